package netloop

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"holt/netloop/wire"
	"holt/quorum"
)

// TestLinearizableReads: a follower that lags behind does not answer what it knows to be old, where it was told so.
func TestLinearizableReads(t *testing.T) {
	leader, follower := newFakeEnsemble(t)
	_, addrA := startServer(t, leader, nil)
	_, addrB := startServer(t, follower, func(c *Config) { c.ServerID = 2; c.LinearizablePaths = [][]byte{[]byte("/lin")} })
	w := openRaw(t, addrA)
	for _, path := range []string{"/lin", "/linear", "/lin/a", "/local"} {
		if p := w.call(1, wire.OpCreate, createBody(path, "old", 0)); p.Err != 0 {
			t.Fatalf("%s: %+v", path, p.ReplyHeader)
		}
	}
	r := openRaw(t, addrB)
	release := leader.holdBack(follower)
	for _, path := range []string{"/lin/a", "/lin", "/linear", "/local"} {
		w.add(2, wire.OpSetData, setBody(path, "new"))
	}
	w.send()
	for range 4 {
		w.reply() // acknowledged by the leader, not yet known to the follower
	}
	for i, path := range []string{"/local", "/linear"} {
		if p := r.call(i+1, wire.OpGetData, watchBody(path, false)); !strings.Contains(p.text(wire.OpGetData), `"old"`) {
			t.Errorf("%s: %s, want the local state", path, p.text(wire.OpGetData))
		}
	}
	r.add(1, wire.OpGetData, watchBody("/lin", true))
	r.add(2, wire.OpMultiRead, func(b []byte) []byte {
		b = (&wire.MultiOp{Op: wire.OpGetData, Path: []byte("/local")}).Append(b)
		b = (&wire.MultiOp{Op: wire.OpGetData, Path: []byte("/lin/a")}).Append(b)
		return wire.AppendMultiEnd(b)
	})
	r.add(3, wire.OpGetData, watchBody("/local", false)) // behind those two
	r.add(4, wire.OpPing, nil)
	r.send()
	time.Sleep(20 * time.Millisecond)
	release()
	if p := r.reply(); p.Xid != 1 || !strings.Contains(p.text(wire.OpGetData), `"new"`) {
		t.Errorf("%s, want the new state", p.text(wire.OpGetData))
	}
	if p := r.reply(); p.Xid != 2 || strings.Contains(string(p.body), "old") || strings.Count(string(p.body), "new") != 2 {
		t.Errorf("multiRead: %q, want the new state", p.body)
	}
	if p := r.reply(); p.Xid != 3 || !strings.Contains(p.text(wire.OpGetData), `"new"`) {
		t.Errorf("%s, want what was there after those before it", p.text(wire.OpGetData))
	}
	if p := r.reply(); p.Xid != wire.XidPing {
		t.Errorf("%+v, want the ping", p.ReplyHeader)
	}
}

// TestLinearizableReadsShareASync: one for a segment of many reads; none for pings and watches.
func TestLinearizableReadsShareASync(t *testing.T) {
	q := newFakeQuorum(t)
	s, addr := startServer(t, q, func(c *Config) { c.LinearizableReads = true })
	c := openRaw(t, addr)
	c.call(1, wire.OpPing, nil)
	q.mu.Lock()
	before := q.syncsAsked
	q.mu.Unlock()
	for i := range 100 {
		c.add(i+1, wire.OpGetData, watchBody("/", i%2 == 0))
	}
	c.send()
	for i := range 100 {
		if p := c.reply(); p.Err != 0 || int(p.Xid) != i+1 {
			t.Fatalf("%+v, want %d", p.ReplyHeader, i+1)
		}
	}
	q.mu.Lock()
	asked := q.syncsAsked - before
	q.mu.Unlock()
	if asked == 0 || asked > 5 { // the segment may have arrived in pieces
		t.Errorf("%d syncs for one segment of reads, want 1", asked)
	}
	q.set(func() { q.refuse = quorum.ErrUnavailable })
	if p := c.call(200, wire.OpGetData, watchBody("/", false)); p.Err != wire.CodeSystemError {
		t.Errorf("when nobody can say whether the state is new: %+v", p.ReplyHeader)
	}
	q.set(func() { q.refuse = nil })
	usable(t, c, "afterwards")
	waitOutstanding(t, s, 0)
}

// TestN9_LinearizableReadsSurviveEpochs: they have no effect, so they wait on.
func TestN9_LinearizableReadsSurviveEpochs(t *testing.T) {
	q := newFakeQuorum(t)
	s, addr := startServer(t, q, func(c *Config) { c.LinearizableReads = true })
	c := openRaw(t, addr)
	release := make(chan struct{})
	q.set(func() { q.pace = func() { <-release } })
	c.add(1, wire.OpExists, watchBody("/", false))
	c.send()
	waitOutstanding(t, s, 1)
	q.endEpoch()
	time.Sleep(5 * time.Millisecond)
	close(release)
	if p := c.reply(); p.Xid != 1 || p.Err != 0 {
		t.Errorf("%+v", p.ReplyHeader)
	}
}

func TestConfirmsPath(t *testing.T) {
	l := &loop{shared: &shared{}}
	for _, x := range []struct {
		prefixes, path string
		want           bool
	}{
		{"/a", "/a", true}, {"/a", "/a/b", true}, {"/a", "/ab", false}, {"/a", "/", false}, {"/b,/a", "/a/b/c", true}, {"", "/x", true}, {"", "/", true},
	} {
		l.cfg.LinearizablePaths = nil
		for p := range strings.SplitSeq(x.prefixes, ",") {
			l.cfg.LinearizablePaths = append(l.cfg.LinearizablePaths, []byte(p))
		}
		if got := l.confirmsPath([]byte(x.path)); got != x.want {
			t.Errorf("%q in %q: %v", x.path, x.prefixes, got)
		}
	}
}

func BenchmarkLinearizableReads(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprintf("segment=%d", n), func(b *testing.B) {
			k := &quiet{}
			l, c := quietLoop(b, k)
			l.cfg.LinearizableReads, l.confirming = true, true
			q := l.quorum.(*inlineQuorum)
			q.syncs = true
			reads := frames(n, wire.OpGetData, watchBody("/", false))
			b.ReportAllocs()
			for b.Loop() {
				l.receive(c, reads)
				l.turn()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/read")
		})
	}
}
