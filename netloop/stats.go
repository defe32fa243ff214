package netloop

import (
	"sync"
	"time"

	"holt/netloop/admin"
	"holt/quorum"
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
	all := map[string][]tree.SessionID{}
	for _, l := range s.loops {
		for from, more := uint32(0), true; more; more = from != 0 {
			pieces := make(chan watchedPiece, 1)
			l.do(func() { pieces <- l.watchedPiece(from) })
			select {
			case p := <-pieces:
				for _, w := range p.paths {
					all[w.path] = append(all[w.path], w.sessions...)
				}
				from = p.next
			case <-s.stopped:
				return all
			}
		}
	}
	return all
}

// Bounds of what a loop tells of its watches before it serves again.
const (
	piecePathsMax    = 1024
	pieceSessionsMax = 4096
)

// watchedPiece is a part of a loop's watched paths, and where to go on, 0 at the end.
type watchedPiece struct {
	paths []watchedPath
	next  uint32
}

type watchedPath struct {
	path     string
	sessions []tree.SessionID
}

func (l *loop) watchedPiece(from uint32) (p watchedPiece) {
	n := 0
	p.next = l.watches.VisitSomePaths(from, piecePathsMax, func(path []byte, slots []uint32) bool {
		w := watchedPath{string(path), make([]tree.SessionID, 0, len(slots))}
		for _, slot := range slots {
			w.sessions = append(w.sessions, l.conns[slot].session)
		}
		p.paths = append(p.paths, w)
		n += len(slots)
		return n < pieceSessionsMax
	})
	return p
}

// Expiries implements admin.Clients.
func (s *Server) Expiries() map[int64][]tree.SessionID { return s.clock.expiries() }

// ReadOnly says whether the server is in read-only mode.
func (s *Server) ReadOnly() bool { return s.inReadOnly.Load() }

// LeaderUptimeMs is how long this member has been leading; 0 if it does not.
func (s *Server) LeaderUptimeMs() int64 {
	since := s.leadsSinceNs.Load()
	if since == 0 {
		return 0
	}
	return ms(s.cfg.NowNs() - since)
}

// LeaderContactNs is how long ago this member was in contact with a leader: 0 for one that leads.
func (s *Server) LeaderContactNs(st quorum.Status) int64 {
	if st.Role == quorum.Leader {
		return 0
	}
	return max(s.cfg.NowNs()-s.contactNs(&st), 0)
}

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
