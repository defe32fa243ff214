package netloop

import (
	"sync"
	"time"

	"holt/quorum"
	"holt/tree"
)

// clock is the goroutine that counts time for sessions and for containers and TTL nodes. It proposes, as leader, what
// the passing of time asks for; whether that still holds is decided again at Apply.
type clock struct {
	*shared
	loops []*loop

	trackerMu sync.Mutex // held by tick, and by those who only look
	tracker   *tracker
	leading   bool

	reaper reaper

	mu      sync.Mutex
	changes []sessionChange // since the last tick, from the apply goroutine

	done sync.WaitGroup
	stop chan struct{}
}

// sessionChange is what a transaction did to a session.
type sessionChange struct {
	id        tree.SessionID
	timeoutMs int32 // of an opened or attached one; 0: closed
}

// clockIntervalMax bounds how long a touch may be under way and how late four-letter dumps may be.
const clockIntervalMax = 500 * time.Millisecond

// stallFactor ticks of the clock that took longer than so many intervals count as one: the process itself stood still,
// or the machine did, and clients could not be heard.
const stallFactor = 2

func newClock(s *shared, loops []*loop) *clock {
	return &clock{
		shared: s, loops: loops, tracker: newTracker(s.cfg.TickMs), stop: make(chan struct{}),
		reaper: newReaper(s),
	}
}

func (k *clock) interval() time.Duration {
	return max(min(time.Duration(k.cfg.TickMs)*time.Millisecond/2, clockIntervalMax), time.Millisecond)
}

func (k *clock) start() {
	k.done.Add(1)
	go k.run()
}

func (k *clock) close() {
	close(k.stop)
	k.done.Wait()
}

func (k *clock) run() {
	defer k.done.Done()
	tick := time.NewTicker(k.interval())
	defer tick.Stop()
	reap := time.NewTicker(k.reaper.interval())
	defer reap.Stop()
	last := k.cfg.NowNs()
	for {
		select {
		case <-tick.C:
		case <-reap.C:
			k.reaper.look()
			continue
		case <-k.stop:
			return
		}
		touched, ok := k.gather()
		if !ok {
			return
		}
		now := k.cfg.NowNs()
		k.tick((now-last)/1e6, touched)
		last += (now - last) / 1e6 * 1e6
	}
}

// gather asks every loop which sessions it heard of. A loop that is stuck holds up the answer, and so nothing expires
// that it could have heard of.
func (k *clock) gather() ([]tree.SessionID, bool) {
	answers := make(chan []tree.SessionID, len(k.loops))
	for _, l := range k.loops {
		l.do(func() {
			l.dropSilent()
			l.dropStuck()
			answers <- l.takeTouched()
		})
	}
	var all []tree.SessionID
	for range k.loops {
		select {
		case ids := <-answers:
			all = append(all, ids...)
		case <-k.stop:
			return nil, false
		}
	}
	return all, true
}

// published notes what a commit did to sessions. It is called on the apply goroutine.
func (k *clock) published(c *quorum.Commit) {
	for i := range c.Txns {
		t := &c.Txns[i]
		switch {
		case t.Code != tree.OK:
		case t.Op == tree.OpOpenSession || t.Op == tree.OpAttachSession:
			k.changed(sessionChange{t.Session, t.TimeoutMs})
		case t.Closed == tree.ClosedByClient || t.Closed == tree.ClosedByExpiry:
			k.changed(sessionChange{id: t.Session})
		}
	}
}

func (k *clock) changed(c sessionChange) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.changes = append(k.changes, c)
}

func (k *clock) takeChanges() []sessionChange {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.changes
	k.changes = nil
	return c
}

// tick counts ms that have passed, if they count.
func (k *clock) tick(ms int64, touched []tree.SessionID) {
	k.trackerMu.Lock()
	defer k.trackerMu.Unlock()
	for _, c := range k.takeChanges() {
		if c.timeoutMs > 0 {
			k.tracker.add(c.id, c.timeoutMs)
		} else {
			k.tracker.remove(c.id)
		}
	}
	for _, id := range touched {
		k.tracker.touch(id)
	}
	s := k.quorum.Status()
	leads := s.Role == quorum.Leader
	if leads && !k.leading {
		k.lead()
	}
	k.leading = leads
	if !leads || s.Full {
		return // clocks stand still
	}
	most := stallFactor * k.interval().Milliseconds()
	if ms > most+1000 {
		k.log.Warn("the server stood still; sessions are given that time", "ms", ms)
	}
	ms = min(ms, most)
	for _, id := range k.tracker.tick(ms) {
		k.expire(id)
	}
}

// lead begins with every session in the tree and a full timeout for each.
func (k *clock) lead() {
	k.tracker.sessions = map[tree.SessionID]*tracked{}
	k.quorum.Tail().Root.Sessions(func(s tree.Session) bool {
		k.tracker.add(s.ID, s.TimeoutMs)
		return true
	})
	k.tracker.reset()
}

// expire proposes to close a session that fell silent. If it was attached again in the meantime Apply refuses.
func (k *clock) expire(id tree.SessionID) {
	s, ok := k.quorum.Tail().Root.Session(id)
	if !ok {
		k.tracker.remove(id)
		return
	}
	k.cfg.Metrics.SessionsExpired.Inc()
	k.log.Info("session expired", "session", sessionText(id), "timeout_ms", s.TimeoutMs)
	b := tree.AppendExpire(nil, &tree.CommandHeader{}, &tree.Expire{ID: id, Owner: s.Owner})
	if err := k.quorum.Propose(k.quorum.Epoch(), b); err != nil {
		k.log.Debug("session is expired later", "session", sessionText(id), "err", err)
		k.tracker.renew(id)
	}
}
