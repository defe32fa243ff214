package tree

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestParseMember(t *testing.T) {
	for value, want := range map[string]string{
		"zoo1:2888:3888":                             "server.7=zoo1:2888:3888:participant",
		" zoo1:2888:3888:participant ":               "server.7=zoo1:2888:3888:participant",
		"zoo1:2888:3888:OBSERVER":                    "server.7=zoo1:2888:3888:observer",
		"zoo1:2888:3888;2181":                        "server.7=zoo1:2888:3888:participant;0.0.0.0:2181",
		"10.0.0.1:2888:3888:observer;10.0.0.2:2181":  "server.7=10.0.0.1:2888:3888:observer;10.0.0.2:2181",
		"[2001:db8::1]:2888:3888;[::]:2181":          "server.7=[2001:db8::1]:2888:3888:participant;[::]:2181",
		"zoo1:2888:3888|zoo1-net2:2889:3889;2181":    "server.7=zoo1:2888:3888:participant;0.0.0.0:2181",
		"a:1:2:observer|b:1:2:observer;127.0.0.1:80": "server.7=a:1:2:observer;127.0.0.1:80",
		"a:1:2|b:1:2:observer;80":                    "server.7=a:1:2:observer;0.0.0.0:80",
	} {
		m, err := ParseMember(7, value)
		if err != nil || m.String() != want {
			t.Errorf("%q: %v, %v, want %s", value, m, err, want)
			continue
		}
		again, err := ParseMember(7, strings.TrimPrefix(m.String(), "server.7="))
		if err != nil || again != m {
			t.Errorf("%q: read back %+v, %v", m.String(), again, err)
		}
	}
	for value, want := range map[string]string{
		"":                                 "not a host",
		"zoo1":                             "host:port:port",
		"zoo1:2888":                        "host:port:port",
		"zoo1:2888:x":                      "port",
		"zoo1:0:1":                         "port",
		"zoo1:2888:65536":                  "port",
		"zoo1:2888:2888":                   "differ",
		"zoo1:2888:3888:leader":            "participant or observer",
		"zoo1:2888:3888;":                  "port",
		"zoo1:2888:3888;a:b":               "port",
		"zoo1:2888:3888;1;2":               "TLS",
		"zoo 1:2888:3888":                  "not a host",
		"::1:2888:3888":                    "not a host",
		"[zoo:1]:2888:3888":                "not an address",
		"[::1:2888:3888":                   "brackets",
		"a:1:2:participant|b:1:2:observer": "roles",
		"zoo1:2888:3888;::1:2181":          "host:port",
	} {
		if m, err := ParseMember(7, value); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v, want an error with %q", value, m, err, want)
		}
	}
	if _, err := ParseMember(256, "a:1:2"); err == nil {
		t.Error("256 is no number of a server")
	}
}

func TestParseEnsemble(t *testing.T) {
	e, err := ParseEnsemble([]byte("# members\nserver.10 = c:1:2:observer\n\n server.2=a:1:2\nserver.3=x:1:2\r\nserver.3=b:1:2;2181\nversion=1000000ff"))
	if err != nil {
		t.Fatal(err)
	}
	want := "server.2=a:1:2:participant\nserver.3=b:1:2:participant;0.0.0.0:2181\nserver.10=c:1:2:observer\nversion=1000000ff"
	if string(e.Text()) != want {
		t.Errorf("got\n%s\nwant\n%s", e.Text(), want)
	}
	if !slices.Equal(e.Voters(), []uint64{2, 3}) || !slices.Equal(e.Observers(), []uint64{10}) {
		t.Errorf("voters %d, observers %d", e.Voters(), e.Observers())
	}
	if m, ok := e.Member(3); !ok || m.Host != "b" || m.PeerAddr() != "b:1" {
		t.Errorf("member 3: %+v", m)
	}
	if _, ok := e.Member(4); ok {
		t.Error("there is no member 4")
	}
	for text, want := range map[string]string{
		"server.1=a:1:2\nserver.2=a:1:3":             "same address a:1",
		"server.1=a:1:2\nserver.2=a:2:3":             "same address a:2",
		"server.1=a:1:2;h:5\nserver.2=b:1:2;h:5":     "same address h:5",
		"server.x=a:1:2":                             "number of a server",
		"clientPort=2181":                            "only server and version",
		"server.1=a:1:2\ngroup.1=1\n":                "hierarchical",
		"server.1=a:1:2\nweight.1=1\n":               "hierarchical",
		"version=xyz":                                "hexadecimal",
		"server.1=a:1:2;127.0.0.1:5\nserver.2=a:1:2": "same address",
	} {
		if _, err := ParseEnsemble([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", text, err, want)
		}
	}
	if _, err := ParseEnsemble([]byte("server.1=a:1:2;127.0.0.1:5\nserver.2=b:1:2;127.0.0.1:5\nserver.3=c:1:2;5\nserver.4=d:1:2;5")); err != nil {
		t.Errorf("loopback and wildcard are a different machine for everybody: %v", err)
	}
	if _, err := ParseEnsemble([]byte("group.1=1:2")); !errors.Is(err, ErrGroups) {
		t.Errorf("groups: %v", err)
	}
}

func mustEnsemble(t *testing.T, text string) *Ensemble {
	t.Helper()
	e, err := ParseEnsemble([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

const threeServers = "server.1=a:1:2;80\nserver.2=b:1:2;80\nserver.3=c:1:2;80\n"

// Bootstrap is the first transaction, once; a server that stands alone shows nothing of it.
func TestBootstrap(t *testing.T) {
	b := newBed(t)
	digest := b.s.Root().Digest()
	txn := b.one(AppendBootstrap(nil, &CommandHeader{}, &Bootstrap{ClusterID: 5}))
	if r := b.s.Root(); r.ClusterID() != 5 || r.Ensemble() != nil || txn.Zxid != r.Zxid() || r.Digest() == digest {
		t.Errorf("alone: %d %v %+v", r.ClusterID(), r.Ensemble(), txn)
	}
	before := b.s.Root()
	b.one(AppendBootstrap(nil, &CommandHeader{}, &Bootstrap{ClusterID: 6, Ensemble: mustEnsemble(t, threeServers)}))
	if b.s.Root() != before {
		t.Error("a second bootstrap has an effect")
	}

	s := New()
	data := AppendBatchHeader(nil, BatchHeader{TimeMs: 5})
	data = AppendBootstrap(data, &CommandHeader{}, &Bootstrap{ClusterID: 6, Ensemble: mustEnsemble(t, threeServers)})
	out, err := s.Apply(Batch{Term: 1, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	n, _ := out.Root.Lookup([]byte("/zookeeper/config"))
	want := "server.1=a:1:2:participant;0.0.0.0:80\nserver.2=b:1:2:participant;0.0.0.0:80\nserver.3=c:1:2:participant;0.0.0.0:80\nversion=100000000"
	if string(n.Data()) != want || n.Stat().Version != -1 || n.Stat().Mzxid != 1<<32 || out.Root.Zxid() != 1<<32 {
		t.Errorf("%s, %+v", n.Data(), n.Stat())
	}
	if len(out.Changes) != 1 || out.Changes[0].Path != "/zookeeper/config" || out.Changes[0].Kind != NodeDataChanged {
		t.Errorf("changes %+v", out.Changes)
	}
}

// A reconfig is answered when it has ended, wherever it was asked, and survives an image of the tree in between.
func TestReconfigPending(t *testing.T) {
	b := newBed(t)
	b.rules |= RuleReconfigEnabled | RuleSkipACL
	b.one(AppendBootstrap(nil, &CommandHeader{}, &Bootstrap{ClusterID: 6, Ensemble: mustEnsemble(t, threeServers)}))
	at := b.s.Root().Zxid()
	h := b.h
	h.Tag, h.Flags = 42, KeepBefore
	r := &Reconfig{Joining: []byte("server.4=d:1:2;80"), Leaving: []byte("1"), ConfigID: -1}
	if txn := b.one(AppendReconfig(nil, &h, r)); txn.Op != OpReconfigBegun || txn.Local || txn.Zxid != at || b.s.Root().Pending() == nil {
		t.Fatalf("accepted: %+v", txn)
	}
	if again := b.one(AppendReconfig(nil, &b.h, r)); again.Code != ReconfigInProgress || again.Op != OpReconfig || !again.Local || again.Zxid != at+1 {
		t.Errorf("a second one: %+v", again)
	}
	loaded, err := imageOf(t, b.s.Root()).load()
	if err != nil {
		t.Fatal(err)
	}
	sameRoot(t, loaded.Root(), b.s.Root())
	p := loaded.Root().Pending()
	if *p.Target.member(t, 4) != (Member{4, "d", 1, 2, false, "0.0.0.0:80"}) || p.Zxid != at || p.Tag != 42 || p.Origin != b.h.Origin || p.Flags != KeepBefore {
		t.Errorf("loaded %+v", p)
	}
	b.s = loaded
	before := b.s.Root()
	if txn := b.one(AppendReconfigDone(nil, &CommandHeader{}, &ReconfigDone{at + 7, OK})); txn.Code != NoNode || b.s.Root() != before {
		t.Errorf("the end of another one: %+v", txn)
	}
	txn := b.one(AppendReconfigDone(nil, &CommandHeader{}, &ReconfigDone{at, OK}))
	if txn.Op != OpReconfig || !txn.Local || txn.Tag != 42 || txn.Before != before || txn.Code != OK || txn.Zxid != at+2 ||
		txn.Stat.Mzxid != txn.Zxid || !bytes.HasPrefix(txn.Rare().Data, []byte("server.2=")) {
		t.Errorf("answer %+v, %s", txn, txn.Rare().Data)
	}
	e := b.s.Root().Ensemble()
	if b.s.Root().Pending() != nil || e.Version != txn.Zxid || !slices.Equal(e.Voters(), []uint64{2, 3, 4}) {
		t.Errorf("ensemble %s", e.Text())
	}
	b.want(b.one(AppendReconfig(nil, &b.h, &Reconfig{Joining: []byte("server.5=e:1:2;80"), ConfigID: int64(at)})), BadVersion)
	b.want(b.one(AppendReconfig(nil, &b.h, &Reconfig{Leaving: []byte("2,3,4"), ConfigID: int64(e.Version)})), BadArguments)
	b.want(b.one(AppendReconfig(nil, &b.h, &Reconfig{Leaving: []byte("2,3"), ConfigID: -1})), BadArguments)
	b.rules &^= RuleSkipACL
	b.want(b.one(AppendReconfig(nil, &b.h, &Reconfig{Leaving: []byte("2"), ConfigID: -1})), NoAuth)
	b.want(b.one(AppendReconfig(nil, &b.h, &Reconfig{Joining: []byte("some thing"), ConfigID: -1})), BadArguments)
	b.want(b.one(AppendReconfig(nil, &b.h, &Reconfig{Joining: []byte("server.999=e:1:2;80"), ConfigID: -1})), NoAuth)
	b.rules |= RuleSkipACL | RuleStandaloneDisabled
	begun := b.one(AppendReconfig(nil, &b.h, &Reconfig{Leaving: []byte("2,3"), ConfigID: -1}))
	ended := b.one(AppendReconfigDone(nil, &CommandHeader{}, &ReconfigDone{begun.Zxid, NewConfigNoQuorum}))
	if ended.Code != NewConfigNoQuorum || ended.Rare().Data != nil || b.s.Root().Pending() != nil || b.s.Root().Ensemble() != e {
		t.Errorf("refused by the leader: %+v", ended)
	}
}

func (e *Ensemble) member(t *testing.T, id uint64) *Member {
	m, ok := e.Member(id)
	if !ok {
		t.Fatalf("no member %d in %s", id, e.Text())
	}
	return &m
}

func FuzzParseEnsemble(f *testing.F) {
	f.Add([]byte(threeServers))
	f.Add([]byte("server.10=[2001:db8::1]:2888:3888:observer;[::]:2181\nversion=1f"))
	f.Add([]byte("server.1=a:1:2|b:1:2;a:80\n# x\n\nversion=ffffffffffffffff"))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := ParseEnsemble(text)
		if err != nil {
			return
		}
		again, err := ParseEnsemble(e.Text())
		if err != nil || !again.Equal(e) || again.Version != e.Version {
			t.Fatalf("%q reads as %q, that as %v, %v", text, e.Text(), again, err)
		}
	})
}

func FuzzMembership(f *testing.F) {
	e, _ := ParseEnsemble([]byte(threeServers))
	f.Add(newMembership(1, nil, nil).stored)
	f.Add(newMembership(1, e, nil).stored)
	f.Add(newMembership(1, e, &PendingReconfig{Zxid: 5, Target: e, Session: 7, Origin: Origin{1, 2, 3}, Tag: 9, Flags: KeepBefore}).stored)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMembership(b)
		if err != nil {
			return
		}
		again, err := parseMembership(m.stored)
		if err != nil || !bytes.Equal(again.stored, m.stored) || again.sum != m.sum {
			t.Fatalf("%x reads as %x, %v", b, m.stored, err)
		}
	})
}

// TestNode: ZooKeeper takes server.0, which raft would take for nobody. From ZooKeeper's own tests, whose ensembles begin with it.
func TestNode(t *testing.T) {
	for id := range MemberIDMax + 1 {
		node := NodeOf(uint8(id))
		if node == 0 || int(NumberOf(node)) != id {
			t.Errorf("server.%d is node %d, which is server.%d", id, node, NumberOf(node))
		}
	}
	e, err := ParseEnsemble([]byte("server.0=a:1:2;3\nserver.1=b:1:2:observer;3\nserver.255=c:1:2;3"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(e.Voters(), e.Observers()), "[256 255] [1]"; got != want {
		t.Errorf("voters and observers: got %s, want %s", got, want)
	}
	if m, ok := e.Member(NodeOf(0)); !ok || m.String() != "server.0=a:1:2:participant;0.0.0.0:3" {
		t.Errorf("server.0: %s, %t", m, ok)
	}
	next, err := e.next(&Reconfig{Leaving: []byte("0"), ConfigID: -1})
	if err != nil || len(next.Members) != 2 {
		t.Errorf("without server.0: %v, %v", next, err)
	}
}
