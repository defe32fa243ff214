package sim

import (
	"strings"
	"testing"
	"time"

	zk "holt/netloop/wire"
	"holt/tree"
)

// violates runs f and returns the check that it breaks, empty if none.
func violates(f func()) string {
	if v := caught(f); v != nil {
		return v.Check
	}
	return ""
}

// Porcupine alone sees what it is there for: whatever the comparison with truth says.
func TestRegistersAreLinearizable(t *testing.T) {
	set := func(call, ret int64, data string, version int32) *operation {
		return &operation{call: call, ret: ret, kind: zk.OpSetData, version: -1, data: data, got: version}
	}
	create := &operation{call: 1, ret: 2, kind: zk.OpCreate2, data: "a"}
	read := func(call, ret int64, data string, version int32) *operation {
		return &operation{client: 2, call: call, ret: ret, kind: zk.OpGetData, exists: true, got: version, gotData: data}
	}
	lost := &operation{client: 3, call: 3, ret: lostNs, kind: zk.OpDelete, version: -1, lost: true}
	for _, tc := range []struct {
		name string
		ops  []*operation
		want string
	}{
		{"in order", []*operation{create, set(3, 4, "b", 1), read(5, 6, "b", 1)}, ""},
		{"stale read", []*operation{create, set(3, 4, "b", 1), read(5, 6, "a", 0)}, "linearizable"},
		{"read beside a write", []*operation{create, set(3, 6, "b", 1), read(4, 5, "a", 0)}, ""},
		{"write lost", []*operation{create, set(3, 4, "b", 1), set(5, 6, "c", 1)}, "linearizable"},
		{"back in time", []*operation{create, set(3, 10, "b", 1), read(4, 5, "b", 1), read(6, 7, "a", 0)}, "linearizable"},
		{"no answer, done", []*operation{create, lost, {call: 5, ret: 6, kind: zk.OpGetData}}, ""},
		{"no answer, not done", []*operation{create, lost, read(5, 6, "a", 0)}, ""},
		{"done and undone", []*operation{create, lost, {client: 1, call: 5, ret: 6, kind: zk.OpGetData}, read(7, 8, "a", 0)}, "linearizable"},
	} {
		h := newHistory(newWorld(Options{Seed: 1}))
		h.ops["/r0"] = tc.ops
		if got := violates(h.check); got != tc.want {
			t.Errorf("%s: violates %q, want %q", tc.name, got, tc.want)
		}
	}
}

// afterSome is a world in which sessions have ephemerals.
func afterSome(t *testing.T) (w *world, owner tree.SessionID, path string) {
	t.Helper()
	w = newWorld(Options{Seed: 1, Faults: func(string) bool { return false }})
	for w.nowNs < int64(30*time.Second) && path == "" {
		w.step()
		w.truth.root().Sessions(func(s tree.Session) bool {
			w.truth.root().Ephemerals(s.ID, func(p []byte) bool {
				owner, path = s.ID, string(p)
				return false
			})
			return path == ""
		})
	}
	if path == "" {
		t.Fatal("no client made an ephemeral")
	}
	return w, owner, path
}

func TestEphemeralLifetime(t *testing.T) {
	w, owner, path := afterSome(t)
	now := w.truth.root()
	for _, tc := range []struct {
		name string
		do   func()
		want string
	}{
		{"removed by its owner's end", func() { w.truth.deleted(&tree.Txn{Op: tree.OpCloseSession, Session: owner}, path, now) }, ""},
		{"removed by another's end", func() { w.truth.deleted(&tree.Txn{Op: tree.OpExpire, Session: owner + 1}, path, now) }, "ephemeral lifetime"},
		{"removed for no reason", func() { w.truth.deleted(&tree.Txn{Op: tree.OpSetData, Session: owner}, path, now) }, "ephemeral lifetime"},
		{"all is well", func() { w.truth.ephemeralsOf(now, "a member") }, ""},
		{"outlives its session", func() {
			w.truth.ended[owner] = "closed"
			w.truth.ephemeralsOf(now, "a member")
		}, "sessions end once"},
	} {
		if got := violates(tc.do); got != tc.want {
			t.Errorf("%s: violates %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestSessionOrder(t *testing.T) {
	w, _, _ := afterSome(t)
	c := w.clients[0]
	for !c.ready || c.seen == 0 {
		w.step()
	}
	q := &request{op: zk.OpPing}
	for _, tc := range []struct {
		name string
		zxid tree.Zxid
		want string
	}{{"newer", c.seen, ""}, {"older", c.seen - 1, "session order"}} {
		if got := violates(func() { c.answer(q, tc.zxid, tree.OK, &zk.Reader{}) }); got != tc.want {
			t.Errorf("%s: violates %q, want %q", tc.name, got, tc.want)
		}
	}
}

// All kinds that issue 3 names are there, and more.
func TestFaultKinds(t *testing.T) {
	var names []string
	seen := map[string]bool{}
	for i := range faults {
		names = append(names, faults[i].name)
		if seen[faults[i].name] {
			t.Errorf("two kinds are called %q", faults[i].name)
		}
		seen[faults[i].name] = true
	}
	for _, want := range []string{
		"lost", "delay", "duplicated", "reordered", "one-way partition", "two-way partition", "bridge", "slow links",
		"killed", "power lost", "torn", "recovery", "checkpoint", "image transfer", "slow sync", "failed sync", "full disk",
		"bit flip in the log", "bit flip in the image", "clock jumps", "drift", "paused", "added", "removed", "replaced", "demoted",
		"leadership moved", "all restarted", "storm", "vanishes", "duplicate attach", "expiry race",
	} {
		if !strings.Contains(strings.Join(names, "\n"), want) {
			t.Errorf("no kind of fault is called %q", want)
		}
	}
}
