package netloop

import (
	"sync"
	"time"

	"holt/netloop/admin"
	"holt/tree"
)

var _ admin.Clients = (*Server)(nil)

// each runs f on every loop and returns when all have, or when the server stops.
func (s *Server) each(f func(l *loop)) {
	done := make(chan struct{}, len(s.loops))
	for _, l := range s.loops {
		l.do(func() {
			f(l)
			done <- struct{}{}
		})
	}
	for range s.loops {
		select {
		case <-done:
		case <-s.stopped:
			return
		}
	}
}

// Connections implements admin.Clients.
func (s *Server) Connections() []admin.Connection {
	var mu sync.Mutex
	var all []admin.Connection
	s.each(func(l *loop) {
		var some []admin.Connection
		for _, c := range l.conns {
			if c != nil {
				some = append(some, c.describe())
			}
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, some...)
	})
	mu.Lock()
	defer mu.Unlock()
	return all
}

// describe says what cons shows.
func (c *conn) describe() admin.Connection {
	t := &c.stats
	d := admin.Connection{
		Remote: c.addr, Reading: !c.paused, Queued: int64(c.queue.len()), Received: t.received, Sent: t.sent,
		Session: c.session, LastOp: int32(t.lastOp), EstablishedMs: c.since, TimeoutMs: c.timeoutMs,
		LastXid: int32(t.lastXid), LastZxid: t.lastZxid, LastReplyMs: ms(t.lastReplyNs), LastLatencyMs: ms(t.latencyLastNs),
		MinLatencyMs: ms(max(t.latencyMinNs, 0)), MaxLatencyMs: ms(t.latencyMaxNs), AvgLatencyMs: ms(t.latencySumNs / max(t.answered, 1)),
	}
	if t.answered == 0 {
		d.LastXid, d.LastZxid = -1, -1
	}
	return d
}

func ms(ns int64) int64 { return ns / int64(time.Millisecond) }

// ResetConnections implements admin.Clients.
func (s *Server) ResetConnections() {
	s.each(func(l *loop) {
		for _, c := range l.conns {
			if c != nil {
				c.stats.reset()
			}
		}
	})
}

// WatchCounts implements admin.Clients.
func (s *Server) WatchCounts() admin.WatchCounts {
	var mu sync.Mutex
	var sum admin.WatchCounts
	s.each(func(l *loop) {
		n := l.watches.Counts()
		mu.Lock()
		defer mu.Unlock()
		sum.Conns += n.DataConns
		sum.Paths += n.DataPaths
		sum.Watches += n.Data
	})
	mu.Lock()
	defer mu.Unlock()
	return sum
}

// WatchedPaths implements admin.Clients.
func (s *Server) WatchedPaths() map[string][]tree.SessionID {
	var mu sync.Mutex
	all := map[string][]tree.SessionID{}
	s.each(func(l *loop) {
		mu.Lock()
		defer mu.Unlock()
		l.watches.VisitPaths(func(path []byte, slots []uint32) bool {
			p := string(path)
			for _, slot := range slots {
				all[p] = append(all[p], l.conns[slot].session)
			}
			return true
		})
	})
	mu.Lock()
	defer mu.Unlock()
	return all
}

// Expiries implements admin.Clients.
func (s *Server) Expiries() map[int64][]tree.SessionID { return s.clock.expiries() }

// expiries returns which sessions end when, in Unix ms; nil while this member does not lead.
func (k *clock) expiries() map[int64][]tree.SessionID {
	k.trackerMu.Lock()
	defer k.trackerMu.Unlock()
	if !k.leading {
		return nil
	}
	now := k.cfg.NowMs()
	all := map[int64][]tree.SessionID{}
	for id, s := range k.tracker.sessions {
		at := now + s.deadlineMs - k.tracker.nowMs
		all[at] = append(all[at], id)
	}
	return all
}
