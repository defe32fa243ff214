package tree

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// The traps of the reference that concern state, one test each.

func TestInitialState(t *testing.T) {
	r := New().Root()
	for path, want := range map[string]Stat{
		"/":                 {Cversion: -1, NumChildren: 1},
		"":                  {Cversion: -1, NumChildren: 1},
		"/zookeeper":        {Cversion: -2, NumChildren: 2},
		"/zookeeper/quota":  {},
		"/zookeeper/config": {Aversion: -1},
	} {
		n, ok := r.Lookup([]byte(path))
		if !ok || n.Stat() != want || n.Data() == nil || len(n.Data()) != 0 {
			t.Errorf("%q: %v %+v data %q, want %+v", path, ok, n.Stat(), n.Data(), want)
		}
		if open := n.ACL() == nil; open != (path != "/zookeeper/config") {
			t.Errorf("%q: ACL %v", path, n.ACL().Entries())
		}
	}
	config, _ := r.Lookup([]byte("/zookeeper/config"))
	if got := config.ACL().Entries(); !slices.Equal(got, []ACL{{PermRead, ID{"world", "anyone"}}}) {
		t.Errorf("ACL of the config %v", got)
	}
	top, _ := r.Lookup(nil)
	if r.NodeCount() != 5 || top.Descendants() != 3 || r.DataBytes() != 44 || r.EphemeralCount() != 0 || r.Zxid() != 0 {
		t.Errorf("%d znodes, %d below /, %d bytes", r.NodeCount(), top.Descendants(), r.DataBytes())
	}
	if New().Root().Digest() != r.Digest() {
		t.Error("two fresh states differ in digest")
	}
}

func TestZxidOfFailedWrites(t *testing.T) {
	b := newBed(t)
	z := b.s.Root().Zxid()
	for i, command := range [][]byte{
		AppendFailed(nil, &CommandHeader{Op: OpMulti}, MarshallingError),
		AppendDelete(nil, &b.h, &Delete{[]byte("/none"), -1}),
		AppendReconfig(nil, &b.h, &Reconfig{ConfigID: -1}),
		AppendDelete(nil, &CommandHeader{Origin: testOrigin, Session: 99}, &Delete{[]byte("/none"), -1}),
		AppendDelete(nil, &CommandHeader{Origin: Origin{1, 2, 3}, Session: b.h.Session}, &Delete{[]byte("/none"), -1}),
		AppendCloseSession(nil, &b.h, &CloseSession{ID: 99}),
	} {
		txn := b.one(command)
		want := []Code{MarshallingError, NoNode, ReconfigDisabled, SessionExpired, SessionMoved, SessionExpired}[i]
		if z++; txn.Code != want || txn.Zxid != z || b.s.Root().Zxid() != z {
			t.Errorf("command %d: %v at %#x, want %v at %#x", i, txn.Code, txn.Zxid, want, z)
		}
	}
	for i, command := range [][]byte{
		AppendFailed(nil, &CommandHeader{Op: OpError}, MarshallingError),
		AppendAttachSession(nil, &b.h, &AttachSession{ID: b.h.Session, TimeoutMs: 1}),
		AppendAttachSession(nil, &b.h, &AttachSession{ID: 99}),
		AppendExpire(nil, &CommandHeader{}, &Expire{ID: 99}),
		AppendReap(nil, &CommandHeader{}, &Reap{Path: []byte("/none")}),
	} {
		if txn := b.one(command); txn.Zxid != z || b.s.Root().Zxid() != z {
			t.Errorf("command %d without a zxid has %#x, want the last one %#x", i, txn.Zxid, z)
		}
	}
	b.term = 5
	if txn := b.set("/none", "", -1); txn.Zxid != 5<<32 {
		t.Errorf("first of term 5 is %#x", txn.Zxid)
	}
	b.term = 4
	if txn := b.set("/none", "", -1); txn.Zxid != 5<<32+1 {
		t.Errorf("an older term goes back to %#x", txn.Zxid)
	}
}

func TestReconfig(t *testing.T) {
	b := newBed(t)
	b.want(b.one(AppendReconfig(nil, &b.h, &Reconfig{ConfigID: -1})), ReconfigDisabled)
	b.rules |= RuleReconfigEnabled
	b.want(b.one(AppendReconfig(nil, &b.h, &Reconfig{NewMembers: []byte("x"), ConfigID: -1})), Unimplemented)
}

func TestCreateOrderOfChecks(t *testing.T) {
	b := newBed(t)
	b.mustCreate("/e", FlagEphemeral)
	b.mustCreate("/t", FlagPersistent)
	noACL := []byte{}
	for _, c := range []struct {
		why   string
		op    Op
		rules Rules
		c     Create
		want  Code
	}{
		{"unknown flag first", OpCreate, 0, Create{Path: []byte("bad"), Flags: 7}, BadArguments},
		{"TTL off before its range", OpCreateTTL, 0, Create{Path: []byte("bad"), Flags: 5}, Unimplemented},
		{"TTL of 0", OpCreateTTL, RuleTTL, Create{Path: []byte("/x"), ACL: OpenACL, Flags: 5}, BadArguments},
		{"TTL too large", OpCreateTTL, RuleTTL, Create{Path: []byte("/x"), ACL: OpenACL, Flags: 5, TTLMs: TTLMsMax + 1}, BadArguments},
		{"TTL flag without TTL", OpCreate2, RuleTTL, Create{Path: []byte("/x"), ACL: OpenACL, Flags: 6}, BadArguments},
		{"TTL op without TTL flag", OpCreateTTL, RuleTTL, Create{Path: []byte("/x"), ACL: OpenACL, TTLMs: 5}, BadArguments},
		{"the same, no TTL", OpCreateTTL, RuleTTL, Create{Path: []byte("/x"), ACL: OpenACL, TTLMs: -1}, BadArguments},
		{"slash before ACL", OpCreate, 0, Create{Path: []byte("x"), ACL: noACL}, BadArguments},
		{"NUL before ACL", OpCreate, 0, Create{Path: []byte("/x\x00"), ACL: noACL}, BadArguments},
		{"ACL before parent", OpCreate, 0, Create{Path: []byte("/none/x"), ACL: noACL}, InvalidACL},
		{"parent before path", OpCreate, 0, Create{Path: []byte("/none//x"), ACL: OpenACL}, NoNode},
		{"path", OpCreate, 0, Create{Path: []byte("//x"), ACL: OpenACL}, BadArguments},
		{"exists before ephemeral parent", OpCreate, 0, Create{Path: []byte("/t"), ACL: OpenACL}, NodeExists},
		{"ephemeral parent", OpCreate, 0, Create{Path: []byte("/e/x"), ACL: OpenACL}, NoChildrenForEphemerals},
		{"path before ephemeral parent", OpCreate, 0, Create{Path: []byte("/e/."), ACL: OpenACL}, BadArguments},
		{"empty path", OpCreate, 0, Create{Path: []byte(""), ACL: OpenACL}, BadArguments},
		{"root exists", OpCreate, 0, Create{Path: []byte("/"), ACL: OpenACL}, NodeExists},
	} {
		h := b.h
		h.Op = c.op
		b.rules = c.rules
		if got := b.one(AppendCreate(nil, &h, &c.c)).Code; got != c.want {
			t.Errorf("%s: %v, want %v", c.why, got, c.want)
		}
	}
	if seq := b.mustCreate("/t/", FlagSequential); seq.Path != "/t/0000000000" {
		t.Errorf("sequence without a name: %q", seq.Path)
	}
	if seq := b.mustCreate("/", FlagSequential); seq.Path != "/0000000002" {
		t.Errorf("sequence at the root: %q", seq.Path)
	}
}

func TestPaths(t *testing.T) {
	for path, want := range map[string]bool{
		"/": true, "/a": true, "/a/b": true, "/ü": true, "/a b": true, "/\ud7ff": true, "/...": true, "/..a": true, "/a.": true,
		"/a/.b": true, "/\uf900": true, "/\uffef": true, "/\u00a0": true, "/" + strings.Repeat("x", 1<<20): true,
		"": false, "a": false, "/a/": false, "//": false, "/a//b": false, "/.": false, "/..": false, "/a/./b": false,
		"/a/../b": false, "/a/..": false, "/\x00": false, "/\x1f": false, "/\x7f": false, "/\u0080": false, "/\u009f": false,
		"/\ue000": false, "/\uf8ff": false, "/\ufff0": false, "/\ufffd": false, "/\U00010000": false, "/\xff": false,
		"/\xed\xa0\x80": false, "/\xc0\x80": false, "a/b": false,
	} {
		if got := validPath([]byte(path)); got != want {
			t.Errorf("%.20q: %v, want %v", path, got, want)
		}
		if got := twinValid(path); got != want {
			t.Errorf("twin %.20q: %v, want %v", path, got, want)
		}
	}
}

func TestSequenceWraps(t *testing.T) {
	b := newBed(t)
	b.mustCreate("/q", FlagPersistent)
	z := b.s.w.lookup([]byte("/q"))
	f := z.fields()
	f.creates = math.MaxInt32
	b.s.replace([]byte("/q"), z, &f)
	for _, want := range []string{"/q/n2147483647", "/q/n-2147483648", "/q/n-2147483647"} {
		if got := b.mustCreate("/q/n", FlagSequential).Path; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	low := int32(math.MinInt32 + 2)
	if got := b.stat("/q").Cversion; got != 2*low-3 {
		t.Errorf("cversion %d", got)
	}
}

func TestVersionSkipsMinusOne(t *testing.T) {
	b := newBed(t)
	b.mustCreate("/v", FlagPersistent)
	z := b.s.w.lookup([]byte("/v"))
	f := z.fields()
	f.version = -2
	b.s.replace([]byte("/v"), z, &f)
	if got := b.set("/v", "", -2).Stat.Version; got != 0 {
		t.Errorf("after -2 comes %d, want 0", got)
	}
}

func TestStatRules(t *testing.T) {
	b := newBed(t)
	p := b.mustCreate("/p", FlagPersistent)
	b.mustCreate("/p/a", FlagPersistent)
	b.mustCreate("/p/b", FlagPersistent)
	if s := b.mustCreate("/p/s", FlagSequential); s.Path != "/p/s0000000002" {
		t.Errorf("plain creates must count in the suffix: %q", s.Path)
	}
	del := b.del("/p/b", -1)
	if s := b.stat("/p"); s.Cversion != 4 || s.NumChildren != 2 || s.Pzxid != del.Zxid || s.Mzxid != p.Zxid || s.Version != 0 {
		t.Errorf("after 3 creates and 1 delete %+v", s)
	}
	if s := b.mustCreate("/p/s", FlagSequential); s.Path != "/p/s0000000003" {
		t.Errorf("a delete must not count in the suffix: %q", s.Path)
	}
	before := b.stat("/p")
	acl := AppendACL(nil, PermAll, []byte("world"), []byte("anyone"))
	acl = AppendACL(acl, PermRead, []byte("ip"), []byte("10.0.0.0/8"))
	b.want(b.one(AppendSetACL(nil, &b.h, &SetACL{[]byte("/p"), acl, 7})), BadVersion)
	set := b.one(AppendSetACL(nil, &b.h, &SetACL{[]byte("/p"), acl, 0}))
	before.Aversion = 1
	if set.Stat != before || b.stat("/p") != before || len(b.batch(nil).Changes) != 0 {
		t.Errorf("setACL changes aversion only: %+v, want %+v", set.Stat, before)
	}
	h := b.h
	h.Op = OpCreate
	b.one(AppendCreate(nil, &h, &Create{Path: []byte("/null"), ACL: OpenACL}))
	b.one(AppendCreate(nil, &h, &Create{Path: []byte("/empty"), ACL: OpenACL, Data: []byte{}}))
	null, _ := b.s.Root().Lookup([]byte("/null"))
	empty, _ := b.s.Root().Lookup([]byte("/empty"))
	if null.Data() != nil || empty.Data() == nil {
		t.Errorf("null data %v, empty data %v", null.Data(), empty.Data())
	}
}

func TestOwnersHidden(t *testing.T) {
	b := newBed(t)
	h := b.h
	h.Op = OpCreateContainer
	b.want(b.one(AppendCreate(nil, &h, &Create{Path: []byte("/c"), ACL: OpenACL, Flags: FlagPersistent})), OK)
	h.Op = OpCreateTTL
	b.want(b.one(AppendCreate(nil, &h, &Create{Path: []byte("/t"), ACL: OpenACL, Flags: FlagTTL, TTLMs: TTLMsMax})), OK)
	b.mustCreate("/flag4", FlagContainer)
	b.mustCreate("/e", FlagEphemeral)
	for path, want := range map[string]struct {
		owner int64
		kind  kind
		shown SessionID
	}{
		"/c":     {math.MinInt64, container, 0},
		"/t":     {-0x00ffff0000000001, ttl, 0},
		"/flag4": {0, persistent, 0},
		"/e":     {int64(b.h.Session), ephemeral, b.h.Session},
	} {
		z := b.s.w.lookup([]byte(path))
		if z.owner() != want.owner || kindOf(z.owner()) != want.kind || z.stat().EphemeralOwner != want.shown {
			t.Errorf("%s: owner %#x, kind %d, shown %#x", path, z.owner(), kindOf(z.owner()), z.stat().EphemeralOwner)
		}
	}
	b.want(b.create("/c/x", FlagPersistent), OK)
	b.want(b.create("/t/x", FlagPersistent), OK)
}

func TestDeleteOrderOfChecks(t *testing.T) {
	b := newBed(t)
	b.mustCreate("/d", FlagPersistent)
	b.mustCreate("/d/x", FlagPersistent)
	b.want(b.del("/d", 3), BadVersion)
	b.want(b.del("//d", -1), NoNode)
	b.want(b.del("/d", 0), NotEmpty)
	for _, p := range []string{"/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config", "", "d", "/d\x00"} {
		b.want(b.del(p, -1), BadArguments)
	}
	b.want(b.del("/none/x", -1), NoNode)
	b.want(b.del("/d/", -1), NoNode)
	b.want(b.del("//", -1), NoNode)
}

func TestReap(t *testing.T) {
	b := newBed(t)
	create := func(path string, op Op, flags int32, ttlMs int64) {
		h := b.h
		h.Op = op
		b.want(b.one(AppendCreate(nil, &h, &Create{Path: []byte(path), ACL: OpenACL, Flags: flags, TTLMs: ttlMs})), OK)
	}
	reap := func(path string, neverUsedMs int64) Txn {
		return b.one(AppendReap(nil, &CommandHeader{}, &Reap{Path: []byte(path), NeverUsedMs: neverUsedMs}))
	}
	create("/used", OpCreateContainer, 0, 0)
	create("/used/x", OpCreate, 0, 0)
	create("/fresh", OpCreateContainer, 0, 0)
	create("/ttl", OpCreateTTL, FlagTTL, 100)
	create("/plain", OpCreate, 0, 0)
	b.want(reap("/used", 0), BadVersion)
	b.want(b.del("/used/x", -1), OK)
	b.want(reap("/fresh", 0), BadVersion)
	b.now += 100
	b.want(reap("/ttl", 0), BadVersion)
	b.want(reap("/fresh", 100), BadVersion)
	b.now++
	var due []string
	b.s.Root().Reapable(b.now, 100, 10, func(p []byte) bool { due = append(due, string(p)); return true })
	if !slices.Equal(due, []string{"/fresh", "/ttl", "/used"}) {
		t.Errorf("due %q", due)
	}
	b.s.Root().Reapable(b.now, 0, 1, func(p []byte) bool { due = append(due, string(p)); return true })
	if !slices.Equal(due[3:], []string{"/ttl"}) {
		t.Errorf("at most one, nothing unused: %q", due[3:])
	}
	b.want(reap("/plain", 100), BadVersion)
	b.want(reap("/", 100), BadArguments)
	for _, p := range due[:3] {
		if txn := reap(p, 100); txn.Code != OK || b.has(p) || txn.ChangesTo-txn.ChangesFrom != 2 {
			t.Errorf("%s: %+v", p, txn)
		}
	}
	b.want(reap("/used", 0), NoNode)
}

func TestDeleteContainerFromClients(t *testing.T) {
	b := newBed(t)
	h := b.h
	h.Op = OpCreateContainer
	b.want(b.one(AppendCreate(nil, &h, &Create{Path: []byte("/c"), ACL: OpenACL})), OK)
	b.mustCreate("/c/x", FlagPersistent)
	b.mustCreate("/e", FlagEphemeral)
	del := func(path string) Txn { return b.one(AppendDeleteContainer(nil, &b.h, []byte(path))) }
	b.want(del("/c"), NotEmpty)
	b.want(del("/c/x"), BadVersion)
	b.want(del("/e"), BadVersion)
	b.want(del("/none"), NoNode)
	b.want(del("/zookeeper"), BadArguments)
	b.want(b.del("/c/x", -1), OK)
	b.want(del("/c"), OK)
}

func TestSessions(t *testing.T) {
	b := newBed(t)
	id, password := SessionID(0x200000000000007), [16]byte{1, 2, 3}
	first, second := Origin{testProcess, 0, 1}, Origin{9, 0, 2}
	open := func(id SessionID) Txn {
		return b.one(AppendOpenSession(nil, &CommandHeader{Origin: first}, &OpenSession{id, 4000, password}))
	}
	if txn := open(id); txn.Code != OK || txn.Rare().TimeoutMs != 4000 || txn.Session != id || txn.Closed != NotClosed {
		t.Errorf("open %+v", txn)
	}
	b.want(open(id), NodeExists)
	for _, bad := range []SessionID{0, math.MinInt64, -1 << 56, -1<<56 | 77} {
		b.want(open(bad), BadArguments)
	}
	attach := func(o Origin, id SessionID, password [16]byte) Txn {
		return b.one(AppendAttachSession(nil, &CommandHeader{Origin: o}, &AttachSession{id, 9000, password}))
	}
	b.want(attach(second, id, [16]byte{1, 2, 4}), AuthFailed)
	b.want(attach(second, 5, password), SessionExpired)
	if s, _ := b.s.Root().Session(id); s.Owner != first || s.TimeoutMs != 4000 {
		t.Errorf("a refused attach changed %+v", s)
	}
	if txn := attach(second, id, password); txn.Code != OK || txn.Rare().TimeoutMs != 9000 || txn.Closed != ClosedByMove || txn.Rare().PrevOwner != first {
		t.Errorf("attach %+v", txn)
	}
	if txn := attach(second, id, password); txn.Closed != NotClosed {
		t.Errorf("attach by the owner %+v", txn)
	}
	b.want(b.one(AppendSetData(nil, &CommandHeader{Origin: first, Session: id}, &SetData{[]byte("/"), nil, -1})), SessionMoved)
	b.want(b.one(AppendSetData(nil, &CommandHeader{Origin: second, Session: id}, &SetData{[]byte("/"), nil, -1})), OK)
	b.want(b.one(AppendCloseSession(nil, &CommandHeader{Origin: first}, &CloseSession{id, true})), SessionMoved)
	b.want(b.one(AppendExpire(nil, &CommandHeader{}, &Expire{id, first})), SessionMoved)
	if txn := b.one(AppendExpire(nil, &CommandHeader{}, &Expire{id, second})); txn.Code != OK || txn.Closed != ClosedByExpiry ||
		txn.Rare().PrevOwner != second || txn.Session != id || txn.Local {
		t.Errorf("expiry %+v", txn)
	}
	if _, there := b.s.Root().Session(id); there {
		t.Error("an expired session is still there")
	}
}

func TestCloseIsOneTxn(t *testing.T) {
	b := newBed(t)
	b.mustCreate("/p", FlagPersistent)
	for _, p := range []string{"/p/c", "/p/a", "/p/b", "/top"} {
		b.mustCreate(p, FlagEphemeral)
	}
	out := b.batch(AppendCloseSession(nil, &b.h, &CloseSession{ID: b.h.Session}))
	var got []string
	for _, c := range out.Changes {
		got = append(got, strings.Join([]string{"", "created", "deleted", "data", "children"}[c.Kind:c.Kind+1], "")+c.Path)
	}
	want := []string{
		"deleted/p/a", "children/p", "deleted/p/b", "children/p", "deleted/p/c", "children/p", "deleted/top", "children/",
	}
	if !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
	if s := b.stat("/p"); s.Pzxid != out.Txns[0].Zxid || s.NumChildren != 0 || s.Cversion != 6 {
		t.Errorf("parent %+v", s)
	}
}

func TestMulti(t *testing.T) {
	b := newBed(t)
	b.mustCreate("/m", FlagPersistent)
	dst, m := BeginMulti(nil, &b.h)
	dst = AppendMultiCreate(dst, OpCreate, &Create{Path: []byte("/m/s"), ACL: OpenACL, Flags: FlagSequential})
	dst = AppendMultiCreate(dst, OpCreate2, &Create{Path: []byte("/m/s"), ACL: OpenACL, Flags: FlagSequential})
	dst = AppendMultiSetData(dst, &SetData{[]byte("/m/s0000000000"), []byte("x"), 0})
	dst = AppendMultiCheck(dst, &Check{[]byte("/m/s0000000000"), 1})
	dst = AppendMultiDelete(dst, &Delete{[]byte("/m/s0000000000"), 1})
	good := EndMulti(dst, m)
	out := b.batch(good)
	txn := out.Txns[0]
	ops, paths := []Op{}, []string{}
	for _, r := range txn.Multi {
		ops, paths = append(ops, r.Op), append(paths, r.Path)
		if hasStat := r.Stat != (Stat{}); hasStat != (r.Op == OpCreate2 || r.Op == OpSetData) {
			t.Errorf("stat in %+v", r)
		}
	}
	if !slices.Equal(ops, []Op{OpCreate, OpCreate2, OpSetData, OpCheck, OpDelete}) ||
		!slices.Equal(paths, []string{"/m/s0000000000", "/m/s0000000001", "", "", ""}) || len(out.Changes) != 7 {
		t.Errorf("results %+v, %d changes", txn.Multi, len(out.Changes))
	}
	before := b.s.Root()
	dst, m = BeginMulti(nil, &b.h)
	dst = AppendMultiSetData(dst, &SetData{[]byte("/m"), []byte("x"), -1})
	dst = AppendMultiDelete(dst, &Delete{[]byte("/m/s0000000001"), 5})
	dst = AppendMultiDelete(dst, &Delete{[]byte("/m/s0000000001"), 0})
	out = b.batch(EndMulti(dst, m))
	txn = out.Txns[0]
	want := []MultiResult{{Op: OpError}, {Op: OpError, Code: BadVersion}, {Op: OpError, Code: RuntimeInconsistency}}
	if txn.Code != OK || !slices.Equal(txn.Multi, want) || len(out.Changes) != 0 {
		t.Errorf("failed multi %+v", txn)
	}
	if after := b.s.Root(); after.Zxid() != before.Zxid()+1 || after.sum != before.sum {
		t.Error("a failed multi left something behind")
	}
	dst, m = BeginMulti(nil, &b.h)
	if txn := b.one(EndMulti(dst, m)); txn.Code != OK || txn.Multi == nil || len(txn.Multi) != 0 || txn.Zxid != b.s.Root().Zxid() {
		t.Errorf("empty multi %+v", txn)
	}
	dst, m = BeginMulti(nil, &b.h)
	dst = AppendMultiCreate(dst, OpCreate, &Create{Path: []byte("/x"), ACL: OpenACL, Flags: 9})
	b.want(b.one(EndMulti(dst, m)), MarshallingError)
	dst, m = BeginMulti(nil, &b.h)
	dst = AppendMultiCreate(dst, OpCreate2, &Create{Path: []byte("/x"), ACL: OpenACL, Flags: FlagTTL})
	b.want(b.one(EndMulti(dst, m)), MarshallingError)

	// An ACL over which ZooKeeper stumbles fails the whole, not one operation.
	dst, m = BeginMulti(nil, &b.h)
	dst = AppendMultiCreate(dst, OpCreate, &Create{Path: []byte("/y"), ACL: OpenACL})
	dst = AppendMultiCreate(dst, OpCreate, &Create{Path: []byte("/x"), ACL: AppendACL(nil, 31, []byte("digest"), nil)})
	txn = b.one(EndMulti(dst, m))
	b.want(txn, MarshallingError)
	if _, there := b.s.Root().Lookup([]byte("/y")); there || txn.Multi != nil {
		t.Errorf("a multi that fails as a whole: %+v, its first operation stayed: %v", txn, there)
	}
}

// A multi of 100,000 operations works, and one that fails at the end leaves
// nothing.
func TestLargeMulti(t *testing.T) {
	b := newBed(t)
	build := func(last Op) []byte {
		dst, m := BeginMulti(nil, &b.h)
		for range 99_999 {
			dst = AppendMultiCreate(dst, OpCreate, &Create{Path: []byte("/n-"), ACL: OpenACL, Flags: FlagSequential})
		}
		if last == OpDelete {
			dst = AppendMultiDelete(dst, &Delete{[]byte("/none"), -1})
		} else {
			dst = AppendMultiCreate(dst, OpCreate, &Create{Path: []byte("/end"), ACL: OpenACL})
		}
		return EndMulti(dst, m)
	}
	b.one(build(OpDelete))
	if n := b.s.Root().NodeCount(); n != 5 {
		t.Errorf("a failed multi left %d znodes", n)
	}
	if txn := b.one(build(OpCreate)); len(txn.Multi) != 100_000 || txn.Multi[99_998].Path != "/n-0000099998" {
		t.Errorf("%d results", len(txn.Multi))
	}
	if n := b.s.Root().NodeCount(); n != 100_005 {
		t.Errorf("%d znodes", n)
	}
}

func TestLongPaths(t *testing.T) {
	b := newBed(t)
	name := "/" + strings.Repeat("n", 1<<20)
	b.mustCreate(name, FlagEphemeral)
	if n, ok := b.s.Root().Lookup([]byte(name)); !ok || n.Stat().DataLength != 4 {
		t.Error("a name of 1 MiB is not found")
	}
	deep := ""
	for range 2000 {
		deep += "/d"
		b.mustCreate(deep, FlagPersistent)
	}
	top, _ := b.s.Root().Lookup([]byte("/d"))
	if top.Descendants() != 1999 {
		t.Errorf("%d below, want 1999", top.Descendants())
	}
	b.want(b.create("/"+strings.Repeat("n", keyBytesMax), FlagPersistent), BadArguments)
	b.one(AppendCloseSession(nil, &b.h, &CloseSession{ID: b.h.Session}))
	if b.has(name) {
		t.Error("the ephemeral outlived its session")
	}
}

func TestQuota(t *testing.T) {
	b := newBed(t)
	put := func(path, data string) Txn {
		h := b.h
		h.Op = OpCreate2
		return b.one(AppendCreate(nil, &h, &Create{Path: []byte(path), Data: []byte(data), ACL: OpenACL}))
	}
	stats := func() string {
		n, _ := b.s.Root().Lookup([]byte("/zookeeper/quota/a/zookeeper_stats"))
		return string(n.Data())
	}
	b.want(put("/a", "12345"), OK)
	b.want(put("/a/b", "12"), OK)
	b.want(put("/zookeeper/quota/a", ""), OK)
	b.want(put("/zookeeper/quota/a/zookeeper_limits", "count=3,bytes=20=;byteHardLimit=20;countHardLimit=3"), OK)
	created := put("/zookeeper/quota/a/zookeeper_stats", "count=0,bytes=0")
	if created.Stat.DataLength != 15 || stats() != "count=2,bytes=7" {
		t.Errorf("stats %q, create said %+v", stats(), created.Stat)
	}
	b.want(put("/a/c", "123"), OK)
	b.want(b.set("/a/c", "1", -1), OK)
	stat := b.stat("/zookeeper/quota/a/zookeeper_stats")
	if stats() != "count=3,bytes=8" || stat.Version != 0 || stat.Mzxid != created.Zxid {
		t.Errorf("stats %q %+v", stats(), stat)
	}
	b.want(put("/a/d", ""), OK) // not enforced
	b.rules |= RuleEnforceQuota
	over := put("/a/e", "")
	b.want(over, QuotaExceeded)
	b.want(b.set("/a/c", "12345678901234", -1), QuotaExceeded)
	h := b.h
	h.Op = OpMulti
	commands, mark := BeginMulti(nil, &h)
	commands = AppendMultiCreate(commands, OpCreate, &Create{Path: []byte("/elsewhere2"), ACL: OpenACL})
	commands = AppendMultiCreate(commands, OpCreate, &Create{Path: []byte("/a/e"), ACL: OpenACL})
	multi := b.one(EndMulti(commands, mark))
	if over.Rare().OverQuota != "a" || multi.Rare().OverQuota != "a" || len(multi.Multi) != 2 || multi.Multi[1].Code != QuotaExceeded || created.Rare().OverQuota != "" {
		t.Errorf("whose quota was exceeded: %q, in a multi %q %+v", over.Rare().OverQuota, multi.Rare().OverQuota, multi.Multi)
	}
	b.want(b.set("/a/c", "1234567890", 9), BadVersion)
	b.want(b.del("/a/d", -1), OK)
	b.want(put("/elsewhere", strings.Repeat("x", 100)), OK)
	b.want(put("/ab", "a name that only begins alike"), OK)
	b.want(b.set("/zookeeper/quota/a/zookeeper_limits", "count=1,bytes=1", -1), OK)
	b.want(put("/a/soft", "soft limits only warn"), OK)
	var quotas []Quota
	b.s.Root().Quotas(func(q Quota) bool { quotas = append(quotas, q); return true })
	if !slices.Equal(quotas, []Quota{{"/a", 1, -1, 1, -1, 4, 29}}) {
		t.Errorf("quotas %+v", quotas)
	}
	b.want(b.del("/zookeeper/quota/a/zookeeper_limits", -1), OK)
	b.want(put("/a/uncounted", ""), OK)
	if stats() != "count=4,bytes=29" {
		t.Errorf("stats after the limits went: %q", stats())
	}
}

func TestTrackText(t *testing.T) {
	for text, want := range map[string]string{
		"":                    "count=-1,bytes=-1",
		",":                   "count=-1,bytes=-1",
		"count=5,bytes=7":     "count=5,bytes=7",
		"bytes=7;;count=+5":   "count=5,bytes=7",
		"count=5=6,bytes==1":  "count=5,bytes=-1",
		"bytes==":             "error", // Java drops empty parts at the end, so nothing is left
		"z=1,count=1,a=2;b=3": "count=1,bytes=-1=;a=2;b=3;z=1",
		"count=1,bytes=2=;byteHardLimit=3;countHardLimit=4": "count=1,bytes=2=;byteHardLimit=3;countHardLimit=4",
		"count": "error", "count=": "error", "count=x": "error", ",count=1": "error", "count=99999999999999999999": "error",
	} {
		tr, ok := parseTrack([]byte(text))
		got := "error"
		if ok {
			got = string(tr.append(nil))
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if _, ok := parseTrack(nil); ok {
		t.Error("null text parses")
	}
}
