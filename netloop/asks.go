package netloop

import (
	"sync"
	"sync/atomic"
	"time"

	"holt/tree"
)

// asks are functions that other goroutines want to have run on a loop: seldom, and never on the way of a request.
type asks struct {
	mu    sync.Mutex
	funcs []func()
	any   atomic.Bool
}

// do has f run on the loop. It never runs if the loop ends before.
func (l *loop) do(f func()) {
	l.asks.mu.Lock()
	l.asks.funcs = append(l.asks.funcs, f)
	l.asks.mu.Unlock()
	l.asks.any.Store(true)
	l.wake()
}

// asked runs what was asked for.
func (l *loop) asked() {
	if !l.asks.any.Load() {
		return
	}
	l.asks.any.Store(false)
	l.asks.mu.Lock()
	funcs := l.asks.funcs
	l.asks.funcs = nil
	l.asks.mu.Unlock()
	for _, f := range funcs {
		f()
	}
}

// takeTouched returns the sessions that were heard of since the last call, and those that may well have been but for
// us: while a connection waits for an answer or is not read, its client's silence proves nothing. A client that does
// not take its answers is another matter.
func (l *loop) takeTouched() []tree.SessionID {
	ids := l.departed
	l.departed = nil
	for _, c := range l.conns {
		if c == nil {
			continue
		}
		if c.session == 0 {
			if c.claims != 0 {
				ids = append(ids, c.claims)
			}
			continue
		}
		if c.readOnly {
			c.touched = false // nobody else knows its session
			continue
		}
		if c.touched || c.queue.unanswered() > 0 || c.stall&(stallBusy|stallAnswers) != 0 {
			ids = append(ids, c.session)
		}
		c.touched = false
	}
	return ids
}

// dropSilent closes connections that did not send a ConnectRequest in time.
func (l *loop) dropSilent() {
	limit := l.nowNs - int64(l.cfg.SessionlessTimeoutMs)*int64(time.Millisecond)
	n := 0
	for n < len(l.silent) && l.silent[n].sinceNs <= limit {
		if c := l.silent[n]; c.stage == stageFresh {
			l.cfg.Metrics.ConnsSilent.Inc()
			l.drop(c, "no ConnectRequest in time")
		}
		n++
	}
	l.silent = append(l.silent[:0], l.silent[n:]...)
	clear(l.silent[len(l.silent):cap(l.silent)])
}

// stuckMax is how long a write may wait for space in the log before its client is told, by losing its connection, that
// nobody knows what becomes of it.
const stuckMax = 3 * time.Second

// dropStuck closes connections whose writes were on their way to the log when it ran out of space. They are still to
// be written, so neither success nor an error would be true. Writes that came later were refused at once. And those whose
// sync waits for what others wrote and this member has no room for.
func (l *loop) dropStuck() {
	if !l.quorum.Status().Full {
		return
	}
	limit, dropped := l.nowNs-int64(stuckMax), 0
	for _, c := range l.conns {
		if c != nil && c.live() && c.queue.writes+c.queue.syncs > 0 && c.queue.front().startNs <= limit {
			l.drop(c, "the outcome of its writes is unknown while the log has no space")
			dropped++
		}
	}
	if dropped > 0 {
		l.log.Warn("closing connections whose writes wait for space in the log: their outcome is unknown", "connections", dropped)
	}
}

// drainAll takes no further requests, and closes each connection as soon as it has been answered.
func (l *loop) drainAll() {
	l.stopping = true
	for _, c := range l.conns {
		if c == nil {
			continue
		}
		c.stall |= stallEnd
		if c.queue.empty() {
			l.close(c)
		}
	}
}
