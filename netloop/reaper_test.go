package netloop

import (
	"fmt"
	"testing"
	"time"

	"holt/netloop/wire"
	"holt/quorum"
)

func ttlBody(path string, ttlMs int64) func([]byte) []byte {
	q := wire.CreateRequest{Path: []byte(path), ACL: wire.OpenACL, Flags: 5, TTLMs: ttlMs}
	return q.AppendTTL
}

// TestReaperIsPrompt: what ZooKeeper's clients test, a TTL of 10 ms that is looked at every millisecond.
func TestReaperIsPrompt(t *testing.T) {
	q := newFakeQuorum(t)
	_, addr := startServer(t, q, func(c *Config) { c.TickMs = 2000; c.ContainerCheckIntervalMs = 1 })
	c := openRaw(t, addr)
	for i := range 5 {
		path := fmt.Sprint("/short", i)
		c.call(1, wire.OpExists, watchBody(path, true))
		c.add(2, wire.OpCreateTTL, ttlBody(path, 10))
		c.send()
		c.reply() // created: event, then answer
		if p := c.reply(); p.Err != 0 {
			t.Fatalf("create: %v", p.Err)
		}
		begin := time.Now()
		c.call(3, wire.OpExists, watchBody(path, true))
		if p := c.reply(); p.Xid != wire.XidEvent {
			t.Fatalf("%+v, want the event of the deletion", p.ReplyHeader)
		}
		if took := time.Since(begin); took > 400*time.Millisecond { // a loaded machine; half a tick would be 500
			t.Errorf("a TTL of 10 ms took %v", took)
		}
	}
}

// TestReaperRate: a burst of what the rate has saved, then the rate; and nothing is proposed twice while it is under way.
func TestReaperRate(t *testing.T) {
	q := newFakeQuorum(t)
	var nowNs int64
	s := &shared{quorum: q}
	s.cfg = Config{ContainerCheckIntervalMs: 1, ContainerMaxPerMinute: 60, NowNs: func() int64 { return nowNs }, NowMs: func() int64 { return time.Now().UnixMilli() }}
	r := newReaper(s)
	_, addr := startServer(t, q, nil)
	c := openRaw(t, addr)
	for i := range 20 {
		c.call(i, wire.OpCreateTTL, ttlBody(fmt.Sprintf("/n%02d", i), 1))
	}
	time.Sleep(5 * time.Millisecond) // beyond the TTL
	left := func() int { return int(q.Tail().Root.NodeCount()) - 5 }
	for _, step := range []struct {
		passed time.Duration
		left   int
	}{{0, 19}, {100 * time.Millisecond, 19}, {2900 * time.Millisecond, 16}, {time.Hour, 0}} {
		nowNs += int64(step.passed)
		q.set(func() { q.pace = func() { time.Sleep(time.Millisecond) } })
		for range 10 {
			r.look()
		}
		eventually(t, func() string {
			if left() != step.left {
				return fmt.Sprintf("after %v more %d nodes are left, want %d", step.passed, left(), step.left)
			}
			return ""
		})
	}
	if r.allow > 60 {
		t.Errorf("%v removals are saved up, want at most those of a minute", r.allow)
	}
}

// lateTail is a quorum that goes on while its newest commit is being asked for.
type lateTail struct {
	*inlineQuorum
	late func()
}

func (q *lateTail) Tail() *quorum.Commit {
	c := q.inlineQuorum.Tail()
	q.late()
	return c
}

// TestN11_ReaperAmongWrites: the reaper looks at a tree that stays as it is, whatever is committed meanwhile.
func TestN11_ReaperAmongWrites(t *testing.T) {
	l, c := quietLoop(t, &quiet{})
	l.receive(c, frames(1, wire.OpCreateContainer, createBody("/box", "", 4)))
	l.receive(c, frames(1, wire.OpCreate, createBody("/box/a", "", 0)))
	l.receive(c, frames(1, wire.OpDelete, deleteBody("/box/a")))
	l.turn()
	q := &lateTail{inlineQuorum: l.quorum.(*inlineQuorum)}
	s := &shared{quorum: q, log: l.log}
	s.cfg = Config{ContainerCheckIntervalMs: 1, ContainerMaxPerMinute: 60, NowNs: func() int64 { return 1 }, NowMs: func() int64 { return time.Now().UnixMilli() }}
	r := newReaper(s)
	q.late = func() {
		q.late = func() {}
		l.receive(c, frames(1, wire.OpDelete, deleteBody("/box")))
		for i := range 10 {
			l.receive(c, frames(1, wire.OpCreate, createBody(fmt.Sprintf("/later%d", i), "", 0)))
		}
	}
	want := q.inlineQuorum.Tail().Root.Zxid()
	if r.look(); r.proposed != want {
		t.Errorf("proposed at zxid %#x, want %#x", r.proposed, want)
	}
}
