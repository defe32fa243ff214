package tree

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var (
	twinSeed = flag.Uint64("twin.seed", 0, "seed of TestTwin; 0: a fixed set")
	twinOps  = flag.Int("twin.ops", 1500, "commands per seed of TestTwin")
)

// encode is the call as a framed command.
func (c *call) encode(dst []byte) []byte {
	h := CommandHeader{Op: c.op, Origin: c.origin, Tag: 99, Session: c.session, IDs: AppendIDs(nil, c.ids)}
	if c.keepBefore {
		h.Flags = KeepBefore
	}
	path := []byte(c.path)
	switch c.op {
	case OpCreate, OpCreate2, OpCreateContainer, OpCreateTTL:
		return AppendCreate(dst, &h, c.createArgs())
	case OpDelete:
		return AppendDelete(dst, &h, &Delete{path, c.version})
	case OpSetData:
		return AppendSetData(dst, &h, &SetData{path, c.data, c.version})
	case OpSetACL:
		return AppendSetACL(dst, &h, &SetACL{path, appendACLs(nil, c.acl), c.version})
	case OpDeleteContainer:
		return AppendDeleteContainer(dst, &h, path)
	case OpReconfig, OpReconfigDone, OpBootstrap, OpRecover:
		return c.encodeMembers(dst, &h)
	case OpError:
		if c.flags != 0 {
			h.Op = OpMulti
		}
		return AppendFailed(dst, &h, c.code)
	case OpOpenSession:
		return AppendOpenSession(dst, &h, &OpenSession{c.id, c.timeoutMs, c.password})
	case OpAttachSession:
		return AppendAttachSession(dst, &h, &AttachSession{c.id, c.timeoutMs, c.password})
	case OpCloseSession:
		return AppendCloseSession(dst, &h, &CloseSession{c.id, c.ifOwner})
	case OpExpire:
		return AppendExpire(dst, &h, &Expire{c.id, c.owner})
	case OpReap:
		return AppendReap(dst, &h, &Reap{path, c.neverUsed})
	case OpMulti:
		dst, mark := BeginMulti(dst, &h)
		for i := range c.ops {
			dst = c.ops[i].encodeOp(dst)
		}
		return EndMulti(dst, mark)
	}
	panic(fmt.Sprint("encode op ", c.op))
}

func (c *call) createArgs() *Create {
	return &Create{[]byte(c.path), c.data, appendACLs(nil, c.acl), c.flags, c.ttl}
}

func (c *call) encodeOp(dst []byte) []byte {
	switch c.op {
	case OpDelete:
		return AppendMultiDelete(dst, &Delete{[]byte(c.path), c.version})
	case OpSetData:
		return AppendMultiSetData(dst, &SetData{[]byte(c.path), c.data, c.version})
	case OpCheck:
		return AppendMultiCheck(dst, &Check{[]byte(c.path), c.version})
	}
	return AppendMultiCreate(dst, c.op, c.createArgs())
}

// caller makes random calls that mostly make sense.
type caller struct {
	*rand.Rand
	tw      *twin
	prelude []call // what comes first
}

// newCaller sets up a session and, for odd seeds, quotas on /a and /b/c.
func newCaller(seed uint64, tw *twin) *caller {
	r := &caller{Rand: rand.New(rand.NewPCG(seed, 0)), tw: tw}
	id, origin := r.sessionID(), twinOrigins[0]
	r.prelude = []call{{op: OpOpenSession, id: id, origin: origin, password: [16]byte{1}}}
	if seed%2 == 0 {
		return r
	}
	create := func(path, data string) {
		c := call{op: OpCreate, session: id, origin: origin, path: path, data: []byte(data), acl: openTwin}
		r.prelude = append(r.prelude, c)
	}
	for _, p := range []string{"/a", "/b", "/b/c", "/zookeeper/quota/a", "/zookeeper/quota/b", "/zookeeper/quota/b/c"} {
		create(p, "")
	}
	create("/zookeeper/quota/a/zookeeper_limits", "count=5,bytes=100=;byteHardLimit=120;countHardLimit=5")
	create("/zookeeper/quota/a/zookeeper_stats", "count=-1,bytes=-1")
	create("/zookeeper/quota/b/c/zookeeper_limits", "count=5,bytes=100=;byteHardLimit=60")
	create("/zookeeper/quota/b/c/zookeeper_stats", "count=-1,bytes=-1")
	return r
}

func pick[T any](r *caller, from ...T) T { return from[r.IntN(len(from))] }

var (
	aliceID = ID{"digest", "alice:kA8LTBW2TrnmFrGmYsSA0xjfLXM="}
	bobID   = ID{"digest", "bob:x"}
)

func (r *caller) ids() []ID {
	ids := []ID{{"ip", pick(r, "127.0.0.1", "10.1.2.3", "fe80:0:0:0:0:0:0:1")}}
	if r.IntN(3) == 0 {
		ids = append(ids, pick(r, aliceID, bobID, ID{"sasl", "carol"}, ID{"sasl", "super"}, ID{"x509", "CN=dave"}))
	}
	if r.IntN(20) == 0 {
		ids = append(ids, ID{"super", ""})
	}
	return ids
}

func (r *caller) acl() []ACL {
	if r.IntN(4) > 0 {
		return openTwin
	}
	var acl []ACL
	for range 1 + r.IntN(3) {
		acl = append(acl, ACL{Perm(pick(r, 31, 31, 31, 1, 3, 5, 12, 16, 0, 1<<20)), pick(
			r,
			ID{"world", "anyone"}, ID{"world", "anyone"}, ID{"auth", ""}, aliceID, bobID, ID{"ip", "127.0.0.1"},
			ID{"ip", "10.0.0.0/8"}, ID{"ip", "10.1.2.0/23"}, ID{"ip", "fe80::/10"}, ID{"sasl", "carol"}, ID{"x509", "CN=dave"},
		)})
	}
	if r.IntN(20) == 0 {
		acl = append(acl, ACL{31, pick(
			r,
			ID{"world", "me"}, ID{"ip", "10.0.0"}, ID{"ip", "10.0.0.0/33"}, ID{"digest", "nocolon"},
			ID{"digest", "a:b:c"}, ID{"super", "x"}, ID{"nobody", "x"}, ID{"auth", "whoever"},
		)})
	}
	if r.IntN(30) == 0 {
		return nil
	}
	return acl
}

func (r *caller) data() []byte {
	switch r.IntN(12) {
	case 0:
		return nil
	case 1:
		return []byte{}
	case 2:
		return bytes.Repeat([]byte{'x'}, 300+r.IntN(600))
	}
	return bytes.Repeat([]byte{byte('a' + r.IntN(26))}, r.IntN(40))
}

func (r *caller) path() string {
	switch r.IntN(30) {
	case 0:
		return pick(
			r,
			"", "/", "//", "a", "/a/", "/a//b", "/a/.", "/a/..", "/./a", "/a\x00", "/\x01", "/a\u007f", "/\ufffd", "/\xff",
			"/\ue000", "/\U0001f600", "a/b", "/zookeeper", "/zookeeper/config", "/zookeeper/quota", "/zookeeper/", "/...", "/ü/a b",
		)
	case 1:
		return pick(
			r,
			"/zookeeper/quota/a", "/zookeeper/quota/a/b", "/zookeeper/quota/a/zookeeper_limits", "/zookeeper/quota/a/zookeeper_stats",
			"/zookeeper/quota/a/b/zookeeper_limits", "/zookeeper/quota/a/b/zookeeper_stats", "/zookeeper/quota/zookeeper_stats",
			"/zookeeper/quota/zookeeper_limits", "/zookeeper/quotax", "/zookeeper/quota/zookeeper",
		)
	case 2, 3, 4, 5, 6, 7, 8, 9, 10, 11:
		return pick(r, slices.Sorted(maps.Keys(r.tw.nodes))...)
	case 12, 13:
		return pick(r, "/a", "/b/c") + pick(r, "", "/b", "/b/c", "/d", "/service-0001")
	}
	var p strings.Builder
	for range 1 + r.IntN(3) {
		p.WriteString("/" + pick(r, "a", "b", "c", "d", "ü", "service-0001", "service-0002"))
	}
	return p.String()
}

func (r *caller) version() int32 {
	return pick[int32](r, -1, -1, -1, 0, 0, 1, 2)
}

var twinOrigins = []Origin{{testProcess, 0, 1}, {testProcess, 1, 2}, {8, 0, 3}, {8, 0, 4}}

func (r *caller) sessionID() SessionID {
	return SessionID(pick(r, 0x100000000000001, 0x100000000000002, 0x200000000000003, 0x7f00000000000004))
}

func (r *caller) operation(inMulti bool) call {
	c := call{path: r.path(), data: r.data(), acl: r.acl(), version: r.version()}
	switch k := r.IntN(100); {
	case k < 50:
		c.op = pick(r, OpCreate, OpCreate, OpCreate2, OpCreate2, OpCreateContainer, OpCreateTTL)
		c.flags = int32(pick(r, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6))
		if c.op == OpCreateTTL && r.IntN(4) > 0 {
			c.flags = int32(pick(r, 5, 6))
		}
		c.ttl = int64(pick(r, 1, 100, 1000, 0, -1, 1<<40-1, 1<<40))
		if r.IntN(60) == 0 {
			c.flags = int32(pick(r, -1, 7, 1<<30))
		}
		if r.IntN(10) == 0 {
			c.path += "/"
		}
	case k < 65:
		c.op = OpDelete
	case k < 85:
		c.op = OpSetData
	case k < 90 && !inMulti:
		c.op = OpSetACL
	case k < 92 && !inMulti:
		c.op = OpDeleteContainer
	case inMulti:
		c.op = OpCheck
	default:
		c.op = OpSetData
	}
	if strings.HasSuffix(c.path, "zookeeper_limits") || strings.HasSuffix(c.path, "zookeeper_stats") {
		c.data = []byte(pick(
			r,
			"count=5,bytes=100", "count=-1,bytes=-1=;byteHardLimit=60;countHardLimit=4", "count=3,bytes=1=;countHardLimit=3",
			"count=1", "", ",", "bytes=7;;x=3", "rubbish", "count=1=2=3", "count==,bytes=2", ",count=1", "countHardLimit=2",
		))
		if r.IntN(2) == 0 {
			c.op, c.flags, c.acl = OpCreate, 0, openTwin
		}
	}
	return c
}

func (r *caller) call() call {
	if len(r.prelude) > 0 {
		c := r.prelude[0]
		r.prelude = r.prelude[1:]
		return c
	}
	var c call
	switch k := r.IntN(100); {
	case k < 70:
		c = r.operation(false)
	case k < 82:
		c = call{op: OpMulti}
		for range r.IntN(7) {
			c.ops = append(c.ops, r.operation(true))
		}
	case k < 86:
		c = call{op: OpOpenSession, id: r.sessionID(), timeoutMs: int32(r.IntN(10000)), password: [16]byte{1}}
		if r.IntN(10) == 0 {
			c.id = pick[SessionID](r, 0, -1<<63, -1<<56|5, -1<<56|1<<40)
		}
	case k < 88:
		c = call{op: OpAttachSession, id: r.sessionID(), timeoutMs: int32(r.IntN(10000)), password: [16]byte{byte(1 + r.IntN(5)/4)}}
	case k < 89:
		c = call{op: OpCloseSession, id: r.sessionID(), ifOwner: r.IntN(2) == 0}
	case k < 90:
		c = call{op: OpExpire, id: r.sessionID(), owner: pick(r, Origin{}, twinOrigins[r.IntN(4)])}
	case k < 95:
		c = call{op: OpReap, path: r.path(), neverUsed: int64(pick(r, 0, 0, 500))}
	case k < 98:
		c = r.membersCall()
	default:
		c = call{op: OpError, code: MarshallingError, flags: int32(r.IntN(2))}
	}
	c.session, c.ids, c.origin = r.sessionID(), r.ids(), pick(r, twinOrigins...)
	if open := slices.Sorted(maps.Keys(r.tw.sessions)); len(open) > 0 && r.IntN(20) > 0 {
		c.session = pick(r, open...)
	}
	if s, open := r.tw.sessions[c.session]; open && r.IntN(20) > 0 {
		c.origin = s.Owner
	}
	c.keepBefore = r.IntN(30) == 0
	return c
}

func TestTwin(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4, 5, 6, 7, 8}
	if *twinSeed != 0 {
		seeds = []uint64{*twinSeed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			runTwin(t, seed, *twinOps)
		})
	}
}

// runTwin drives the tree and its twin with the same commands in batches of
// random size and compares everything there is to see.
func runTwin(t *testing.T, seed uint64, ops int) {
	tw, s := newTwin(), New()
	r := newCaller(seed, tw)
	v := newViewers(t, s, tw)
	term, lost := uint64(1), 0
	now := int64(1000)
	for done := 0; done < ops; {
		if r.IntN(50) == 0 {
			term++
		}
		now += int64(r.IntN(300))
		rules := pick(r, testRules, testRules, testRules|RuleEnforceQuota, testRules|RuleEnforceQuota,
			RuleNoDigest, testRules|RuleSkipACL, testRules|RuleReconfigEnabled, testRules|RuleReconfigEnabled|RuleSkipACL,
			testRules|RuleReconfigEnabled|RuleSkipACL|RuleStandaloneDisabled)
		data := AppendBatchHeader(nil, BatchHeader{TimeMs: now, Rules: rules})
		tw.now, tw.rules, tw.changes = now, rules, nil
		var calls []call
		var results []twinResult
		var befores []*twin
		for range 1 + r.IntN(12) {
			c := r.call()
			var before *twin
			if c.keepBefore {
				before = tw.clone()
			}
			data = c.encode(data)
			calls, befores = append(calls, c), append(befores, before)
			results = append(results, tw.apply(term, &c))
		}
		done += len(calls)
		if r.IntN(8) == 0 {
			if _, err := s.Apply(Batch{Term: term, Data: append(data[:len(data):len(data)], 1), Local: testProcess}); err == nil {
				t.Fatal("half a command is applied")
			}
			lost += madeSince(s)
		}
		out, err := s.Apply(Batch{Term: term, Data: data, Local: testProcess})
		if err != nil {
			t.Fatalf("after %d: %v", done, err)
		}
		v.published(out, befores, tw)
		compareResults(t, calls, results, out)
		compareChanges(t, tw.changes, out.Changes)
		compareTree(t, tw, out.Root)
		v.look(r.Rand)
		if t.Failed() {
			t.Fatalf("seed %d, after %d commands: %+v", seed, done, calls)
		}
	}
	checkSlabs(t, s, lost)
}

func compareResults(t *testing.T, calls []call, want []twinResult, out Applied) {
	t.Helper()
	if len(out.Txns) != len(want) {
		t.Fatalf("%d transactions, want %d", len(out.Txns), len(want))
	}
	for i, w := range want {
		got, origin := out.Txns[i], calls[i].origin
		if w.answers != nil {
			origin = w.answers.origin
		}
		if got.Code != w.code || got.Zxid != w.zxid || got.Tag != 99 || got.Origin != origin {
			t.Errorf("%+v: got %v at %#x, want %v at %#x", calls[i], got.Code, got.Zxid, w.code, w.zxid)
		}
		if w.begun != (got.Op == OpReconfigBegun) || got.Local && string(got.Rare().Data) != w.data {
			t.Errorf("%+v: got %+v, want %+v", calls[i], got, w)
		}
		if got.Local != (origin.Process == testProcess && !w.begun) {
			t.Errorf("%+v: local %v", calls[i], got.Local)
		}
		if got.Local && (got.Path != w.path || got.Stat != w.stat || !slices.Equal(got.Multi, w.multi)) {
			t.Errorf("%+v:\n got %+v\nwant %+v", calls[i], got, w)
		}
	}
}

func compareChanges(t *testing.T, want []twinChange, got []Change) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("changes %+v, want %+v", got, want)
	}
	for i, w := range want {
		g := got[i]
		if g.Kind != w.kind || g.Path != w.path || g.Hash != PathHash(w.path) || !slices.Equal(g.ACL.Entries(), w.acl) {
			t.Errorf("change %d %+v, want %+v", i, g, w)
		}
	}
}

// compareTree compares two whole states.
func compareTree(t *testing.T, tw *twin, r *Root) {
	t.Helper()
	if r.Zxid() != tw.zxid {
		t.Errorf("zxid %#x, want %#x", r.Zxid(), tw.zxid)
	}
	var dataBytes, ephemerals int64
	var reap []string
	for p, w := range tw.nodes {
		dataBytes += int64(len(p) + len(w.data))
		if w.session != 0 {
			ephemerals++
		}
		if tw.mayReap(p, tw.now, 500) {
			reap = append(reap, p)
		}
		n, ok := r.Lookup([]byte(p))
		if !ok {
			t.Errorf("%q is missing", p)
			continue
		}
		if n.Stat() != tw.stat(p) {
			t.Errorf("%q: stat %+v, want %+v", p, n.Stat(), tw.stat(p))
		}
		if !bytes.Equal(n.Data(), w.data) || (n.Data() == nil) != (w.data == nil) {
			t.Errorf("%q: data %q, want %q", p, n.Data(), w.data)
		}
		if !slices.Equal(n.ACL().Entries(), w.acl) {
			t.Errorf("%q: ACL %v, want %v", p, n.ACL().Entries(), w.acl)
		}
		var names []string
		n.Children(nil, func(name []byte) bool { names = append(names, string(name)); return true })
		if !slices.Equal(names, tw.children(p)) {
			t.Errorf("%q: children %q, want %q", p, names, tw.children(p))
		}
		if below, _ := tw.below(p); n.Descendants() != below {
			t.Errorf("%q: %d descendants, want %d", p, n.Descendants(), below)
		}
	}
	if r.NodeCount() != int64(len(tw.nodes)+1) || r.DataBytes() != dataBytes || r.EphemeralCount() != ephemerals {
		t.Errorf("%d znodes, %d bytes, %d ephemerals, want %d, %d, %d",
			r.NodeCount(), r.DataBytes(), r.EphemeralCount(), len(tw.nodes)+1, dataBytes, ephemerals)
	}
	slices.Sort(reap)
	var gotReap []string
	r.Reapable(tw.now, 500, 1<<30, func(p []byte) bool { gotReap = append(gotReap, string(p)); return true })
	if !slices.Equal(gotReap, reap) {
		t.Errorf("reapable %q, want %q", gotReap, reap)
	}
	compareSessions(t, tw, r)
	tw.ensemble.compare(t, r)
	if got, want := r.Digest(), digestFromScratch(r); got != want {
		t.Errorf("digest %#x, from scratch %#x", got, want)
	}
}

func compareSessions(t *testing.T, tw *twin, r *Root) {
	t.Helper()
	if r.SessionCount() != len(tw.sessions) {
		t.Errorf("%d sessions, want %d", r.SessionCount(), len(tw.sessions))
	}
	r.Sessions(func(s Session) bool {
		if tw.sessions[s.ID] != s {
			t.Errorf("session %+v, want %+v", s, tw.sessions[s.ID])
		}
		var want, got []string
		for p, n := range tw.nodes {
			if n.session == s.ID {
				want = append(want, p)
			}
		}
		slices.Sort(want)
		r.Ephemerals(s.ID, func(p []byte) bool { got = append(got, string(p)); return true })
		if !slices.Equal(got, want) {
			t.Errorf("session %#x has %q, want %q", s.ID, got, want)
		}
		return true
	})
}

// digestFromScratch is what Digest should be.
func digestFromScratch(r *Root) uint64 {
	var sum uint64
	var walk func(path []byte)
	walk = func(path []byte) {
		n, _ := r.Lookup(path)
		sum += znodeSum(path, n.z)
		n.Children(nil, func(name []byte) bool {
			walk(slices.Concat(path, []byte("/"), name))
			return true
		})
	}
	walk(nil)
	r.Sessions(func(s Session) bool {
		sum += sessionSum(&s)
		return true
	})
	c := *r
	c.sum = sum
	return c.Digest()
}
