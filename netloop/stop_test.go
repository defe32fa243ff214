package netloop

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"holt/netloop/wire"
)

// TestStopAnswersWhatWasAsked: a write that is under way when the server stops is answered before its connection goes.
func TestStopAnswersWhatWasAsked(t *testing.T) {
	q := newFakeQuorum(t)
	s := newServer(t, func(c *Config) { c.Loops = 2 })
	addr := start(t, s, q)
	c, idle := openRaw(t, addr), openRaw(t, addr)
	release := make(chan struct{})
	q.set(func() { q.pace = func() { <-release } })
	c.add(1, wire.OpCreate, createBody("/a", "", 0))
	c.add(2, wire.OpExists, watchBody("/a", false))
	c.send()
	eventually(t, func() string {
		if s.outstanding.Load() == 0 {
			return "the write did not arrive"
		}
		return ""
	})
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(context.Background()) }()
	idle.ended()
	close(release)
	for xid := wire.Xid(1); xid <= 2; xid++ {
		if p := c.reply(); p.Xid != xid || p.Err != 0 {
			t.Errorf("reply %+v", p.ReplyHeader)
		}
	}
	c.ended()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// TestN8_NothingOutlivesStop: also when clients neither read nor leave.
func TestN8_NothingOutlivesStop(t *testing.T) {
	before := loopGoroutines()
	s := newServer(t, func(c *Config) { c.Loops = 3 })
	addr := start(t, s, newFakeQuorum(t))
	for range 10 {
		openRaw(t, addr)
		dialRaw(t, addr)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
	eventually(t, func() string {
		if n := loopGoroutines(); n > before {
			b := make([]byte, 1<<16)
			return string(b[:runtime.Stack(b, true)])
		}
		return ""
	})
}

// loopGoroutines counts goroutines of servers: loops, acceptors, clocks.
func loopGoroutines() int {
	b := make([]byte, 1<<20)
	b = b[:runtime.Stack(b, true)]
	n := 0
	for g := range strings.SplitSeq(string(b), "\n\n") {
		if strings.Contains(g, "eventloop).run") || strings.Contains(g, "netloop.(*acceptor)") || strings.Contains(g, "netloop.(*clock)") {
			n++
		}
	}
	return n
}
