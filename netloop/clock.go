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
	leader    [2]uint64 // and its term, as seen last
	term      uint64    // in which this member leads

	reaper reaper

	mu       sync.Mutex
	changes  []sessionChange  // since the last tick, from the apply goroutine
	reported []tree.SessionID // heard of by other members since the last tick, from the quorum goroutine

	done sync.WaitGroup
	stop chan struct{}
}

// sessionChange is what a transaction did to a session.
type sessionChange struct {
	id        tree.SessionID
	timeoutMs int32 // of an opened or attached one; 0: closed
}

// clockIntervalMax bounds how long a touch waits to be told. Between members it is less, as it waits twice: here to be sent,
// and at the leader to be looked at.
const (
	clockIntervalMax         = 500 * time.Millisecond
	clockIntervalEnsembleMax = 200 * time.Millisecond
)

// reportSlack intervals are granted to every session in an ensemble: one that a touch may wait at the member that heard of
// it, one for the way.
const reportSlack = 2

// stallFactor ticks of the clock that took longer than so many intervals count as one: the process itself stood still,
// or the machine did, and clients could not be heard.
const stallFactor = 2

func newClock(s *shared, loops []*loop) *clock {
	return &clock{
		shared: s, loops: loops, tracker: newTracker(s.cfg.TickMs), stop: make(chan struct{}),
		reaper: newReaper(s),
	}
}

func (k *clock) interval(alone bool) time.Duration {
	most := clockIntervalEnsembleMax
	if alone {
		most = clockIntervalMax
	}
	return max(min(time.Duration(k.cfg.TickMs)*time.Millisecond/2, most), time.Millisecond)
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
	interval := k.interval(k.quorum.Status().Alone)
	tick := time.NewTicker(interval)
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
		if !k.count(&last) {
			return
		}
		if d := k.interval(k.quorum.Status().Alone); d != interval {
			interval = d
			tick.Reset(d)
		}
	}
}

// count does what is due at each interval: it asks whom the loops heard of, and counts the ms that have passed since last,
// which it moves on. It returns false when the server stops.
func (k *clock) count(last *int64) bool {
	// A member that stood still could not hear its leader either.
	stalled := k.cfg.NowNs()-*last > stallFactor*int64(k.interval(k.quorum.Status().Alone))
	touched, ok := k.gather(stalled)
	if !ok {
		return false
	}
	now := k.cfg.NowNs()
	k.tick((now-*last)/1e6, touched)
	*last += (now - *last) / 1e6 * 1e6
	return true
}

// gather asks every loop which sessions it heard of. A loop that is stuck holds up the answer, and so nothing expires
// that it could have heard of.
func (k *clock) gather(stalled bool) ([]tree.SessionID, bool) {
	answers := make(chan []tree.SessionID, len(k.loops))
	for _, l := range k.loops {
		l.do(func() {
			l.dropSilent()
			l.lookReadOnly()
			l.dropStuck()
			if !stalled {
				l.dropAdrift()
			}
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
			k.changed(sessionChange{t.Session, t.Rare().TimeoutMs})
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

// touchedElsewhere notes which sessions other members have heard of. It is called on the quorum goroutine.
func (k *clock) touchedElsewhere(ids []tree.SessionID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reported = append(k.reported, ids...)
}

func (k *clock) takeNews() (changes []sessionChange, reported []tree.SessionID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	changes, reported = k.changes, k.reported
	k.changes, k.reported = nil, nil
	return changes, reported
}

// tick counts ms that have passed, if they count: only the leader's clock moves. Other members tell it what they heard.
func (k *clock) tick(ms int64, touched []tree.SessionID) {
	k.trackerMu.Lock()
	defer k.trackerMu.Unlock()
	changes, reported := k.takeNews()
	s := k.quorum.Status()
	k.note(&s)
	if s.Role != quorum.Leader {
		if k.leading {
			k.leading, k.tracker = false, newTracker(k.cfg.TickMs)
			k.leadsSinceNs.Store(0)
		}
		k.quorum.Touch(touched) // without any too: the answer shows that the leader is there
		return
	}
	k.ledNs.Store(k.cfg.NowNs())
	if !k.leading || s.Term != k.term {
		k.leading, k.term = true, s.Term
		k.leadsSinceNs.Store(k.cfg.NowNs())
		k.lead(s.Alone)
		return
	}
	interval := k.interval(s.Alone).Milliseconds()
	most := stallFactor * interval
	if ms > most+1000 {
		k.log.Warn("the server stood still; sessions are given that time", "ms", ms)
	}
	k.tracker.slackMs = slackMs(s.Alone, interval)
	if !s.Full {
		k.tracker.pass(min(ms, most))
	}
	for _, c := range changes {
		if c.timeoutMs > 0 {
			k.tracker.add(c.id, c.timeoutMs)
		} else {
			k.tracker.remove(c.id)
		}
	}
	for _, ids := range [...][]tree.SessionID{touched, reported} {
		for _, id := range ids {
			k.tracker.touch(id)
		}
	}
	for _, id := range k.tracker.expire() {
		k.expire(id)
	}
}

// note counts changes of leader and tells of the beginning and the end of read-only mode.
func (k *clock) note(s *quorum.Status) {
	if now := [2]uint64{s.Leader, s.Term}; s.Leader != 0 && now != k.leader {
		k.leader = now
		k.cfg.Metrics.LeaderChanges.Inc()
	}
	if ro := k.readOnly(s, k.cfg.NowNs()); ro != k.inReadOnly.Load() {
		k.inReadOnly.Store(ro)
		k.log.Warn("read-only mode: reads are served to clients that asked for no more, until there is a leader", "on", ro)
	}
}

func slackMs(alone bool, intervalMs int64) int64 {
	if alone {
		return 0
	}
	return reportSlack * intervalMs
}

// lead begins with every session in the tree and a full timeout for each: nobody knows when it was heard of last. What
// commits change from here on comes as changes.
func (k *clock) lead(alone bool) {
	k.tracker = newTracker(k.cfg.TickMs)
	k.tracker.slackMs = slackMs(alone, k.interval(alone).Milliseconds())
	k.quorum.Tail().Root.Sessions(func(s tree.Session) bool {
		k.tracker.add(s.ID, s.TimeoutMs)
		return true
	})
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
	if err := k.quorum.ProposeAsLeader(k.term, b); err != nil {
		k.log.Debug("session is expired later", "session", sessionText(id), "err", err)
		k.tracker.renew(id)
	}
}
