package tree

import (
	"testing"
)

// testOrigin owns the sessions of tests, testProcess is their process.
const testProcess = 7

var testOrigin = Origin{Process: testProcess, Loop: 1, Conn: 42}

const testRules = RuleTTL | RuleX509 | RuleSASL

// bed is a State with one session to run commands in.
type bed struct {
	t     testing.TB
	s     *State
	term  uint64
	now   int64
	rules Rules
	h     CommandHeader
}

func newBed(t testing.TB) *bed {
	b := &bed{t: t, s: New(), term: 1, now: 1000, rules: testRules}
	b.h = CommandHeader{Origin: testOrigin, Session: 0x100000000000001, IDs: AppendIDs(nil, []ID{{"ip", "127.0.0.1"}})}
	b.open(b.h.Session)
	return b
}

// as is a header with other identities.
func (b *bed) as(ids ...ID) CommandHeader {
	h := b.h
	h.IDs = AppendIDs(nil, append([]ID{{"ip", "127.0.0.1"}}, ids...))
	return h
}

func (b *bed) batch(commands []byte) Applied {
	b.t.Helper()
	data := AppendBatchHeader(nil, BatchHeader{TimeMs: b.now, Rules: b.rules})
	out, err := b.s.Apply(Batch{Term: b.term, Data: append(data, commands...), Local: testProcess})
	if err != nil {
		b.t.Fatalf("Apply: %v", err)
	}
	return out
}

// one runs a single command.
func (b *bed) one(command []byte) Txn {
	b.t.Helper()
	out := b.batch(command)
	if len(out.Txns) != 1 {
		b.t.Fatalf("%d transactions, want 1", len(out.Txns))
	}
	return out.Txns[0]
}

func (b *bed) open(id SessionID) {
	b.t.Helper()
	h := CommandHeader{Origin: b.h.Origin}
	if txn := b.one(AppendOpenSession(nil, &h, &OpenSession{ID: id, TimeoutMs: 5000})); txn.Code != OK {
		b.t.Fatalf("open %#x: %v", id, txn.Code)
	}
}

func (b *bed) create(path string, flags int32) Txn {
	b.t.Helper()
	h := b.h
	h.Op = OpCreate2
	return b.one(AppendCreate(nil, &h, &Create{Path: []byte(path), Data: []byte("data"), ACL: OpenACL, Flags: flags}))
}

func (b *bed) mustCreate(path string, flags int32) Txn {
	b.t.Helper()
	txn := b.create(path, flags)
	if txn.Code != OK {
		b.t.Fatalf("create %q: %v", path, txn.Code)
	}
	return txn
}

func (b *bed) set(path, data string, version int32) Txn {
	b.t.Helper()
	return b.one(AppendSetData(nil, &b.h, &SetData{Path: []byte(path), Data: []byte(data), Version: version}))
}

func (b *bed) del(path string, version int32) Txn {
	b.t.Helper()
	return b.one(AppendDelete(nil, &b.h, &Delete{Path: []byte(path), Version: version}))
}

func (b *bed) stat(path string) Stat {
	b.t.Helper()
	n, ok := b.s.Root().Lookup([]byte(path))
	if !ok {
		b.t.Fatalf("no %q", path)
	}
	return n.Stat()
}

func (b *bed) has(path string) bool {
	_, ok := b.s.Root().Lookup([]byte(path))
	return ok
}

func (b *bed) want(txn Txn, code Code) {
	b.t.Helper()
	if txn.Code != code {
		b.t.Errorf("got %v, want %v", txn.Code, code)
	}
}

func TestSlice(t *testing.T) {
	b := newBed(t)
	created := b.mustCreate("/a", FlagPersistent)
	if created.Path != "/a" || created.Zxid != 1<<32+1 || !created.Local {
		t.Errorf("created %+v", created)
	}
	want := Stat{Czxid: created.Zxid, Mzxid: created.Zxid, Pzxid: created.Zxid, Ctime: 1000, Mtime: 1000, DataLength: 4}
	if created.Stat != want || b.stat("/a") != want {
		t.Errorf("stat %+v, stored %+v, want %+v", created.Stat, b.stat("/a"), want)
	}
	b.now = 2000
	set := b.set("/a", "longer", 0)
	want.Mzxid, want.Mtime, want.Version, want.DataLength = set.Zxid, 2000, 1, 6
	if set.Stat != want || b.stat("/a") != want {
		t.Errorf("stat %+v, stored %+v, want %+v", set.Stat, b.stat("/a"), want)
	}
	b.want(b.set("/a", "x", 0), BadVersion)
	b.want(b.create("/a", FlagPersistent), NodeExists)
	b.mustCreate("/a/e", FlagEphemeral)
	b.want(b.create("/a/e/x", FlagPersistent), NoChildrenForEphemerals)
	b.want(b.del("/a", -1), NotEmpty)
	if seq := b.mustCreate("/a/s-", FlagSequential); seq.Path != "/a/s-0000000001" {
		t.Errorf("sequential %q", seq.Path)
	}
	if got := b.s.Root().EphemeralCount(); got != 1 {
		t.Errorf("%d ephemerals, want 1", got)
	}
	out := b.batch(AppendCloseSession(nil, &b.h, &CloseSession{ID: b.h.Session}))
	if b.has("/a/e") || len(out.Changes) != 2 || out.Changes[0].Path != "/a/e" || out.Changes[1].Path != "/a" {
		t.Errorf("closing left %v, changes %+v", b.has("/a/e"), out.Changes)
	}
	if out.Txns[0].Closed != ClosedByClient || out.Txns[0].Rare().PrevOwner != testOrigin {
		t.Errorf("close %+v", out.Txns[0])
	}
	b.want(b.create("/b", FlagPersistent), SessionExpired)
	b.open(b.h.Session)
	b.want(b.del("/a/s-0000000001", 0), OK)
	b.want(b.del("/a", 1), OK)
	if n := b.s.Root().NodeCount(); n != 5 {
		t.Errorf("%d znodes, want 5", n)
	}
}
