package netloop

import "holt/tree"

// tracker is the leader's view of which sessions are alive: a value with a clock of its own that only moves when tick
// says so. Whoever ticks decides whether time counts: not while there is no leader, not while the log is full, not
// while the process itself stood still.
//
// Sessions expire in buckets as in ZooKeeper's ExpiryQueue: a deadline is rounded up to the next multiple of the tick,
// so expiry may be late by one tick and is never early. A session sits in the list of one bucket; hearing of it only
// moves its deadline, and the bucket hands it on when its own time comes. So a touch costs one map access, where
// ZooKeeper moves the session from set to set.
type tracker struct {
	tickMs   int64
	nowMs    int64
	slackMs  int64 // for touches on their way from other members
	sessions map[tree.SessionID]*tracked
	buckets  map[int64][]tree.SessionID // by the deadline they were put there with
	next     int64                      // the oldest bucket that may hold something
}

type tracked struct {
	timeoutMs  int64
	deadlineMs int64
	bucketMs   int64 // where it is listed, 0 when it has expired
}

func newTracker(tickMs int) *tracker {
	return &tracker{tickMs: int64(tickMs), sessions: map[tree.SessionID]*tracked{}, buckets: map[int64][]tree.SessionID{}}
}

// deadline rounds up to the end of a bucket, strictly later than the timeout.
func (t *tracker) deadline(timeoutMs int64) int64 {
	return ((t.nowMs+t.slackMs+timeoutMs)/t.tickMs + 1) * t.tickMs
}

// add begins or renews a session: it has a full timeout from now.
func (t *tracker) add(id tree.SessionID, timeoutMs int32) {
	s := t.sessions[id]
	if s == nil {
		s = &tracked{}
		t.sessions[id] = s
	}
	s.timeoutMs = int64(timeoutMs)
	s.deadlineMs = t.deadline(s.timeoutMs)
	if s.bucketMs == 0 || s.bucketMs > s.deadlineMs {
		t.list(id, s)
	}
}

// list puts a session into the bucket of its deadline.
func (t *tracker) list(id tree.SessionID, s *tracked) {
	s.bucketMs = s.deadlineMs
	t.buckets[s.bucketMs] = append(t.buckets[s.bucketMs], id)
}

// remove forgets a session that was closed.
func (t *tracker) remove(id tree.SessionID) { delete(t.sessions, id) }

// touch notes that a session was heard of. One that has expired or is unknown stays so: it is too late, or too early.
func (t *tracker) touch(id tree.SessionID) {
	if s := t.sessions[id]; s != nil && s.bucketMs != 0 {
		s.deadlineMs = max(s.deadlineMs, t.deadline(s.timeoutMs))
	}
}

// pass moves the clock. What was heard of until now is to be told next, before expire.
func (t *tracker) pass(ms int64) { t.nowMs += ms }

// expire returns the sessions whose time is up, once each unless renew is called.
func (t *tracker) expire() []tree.SessionID {
	var expired []tree.SessionID
	for t.next <= t.nowMs {
		ids := t.buckets[t.next]
		delete(t.buckets, t.next)
		for _, id := range ids {
			s := t.sessions[id]
			if s == nil || s.bucketMs != t.next {
				continue // closed, or listed elsewhere since
			}
			if s.deadlineMs > t.nowMs {
				t.list(id, s)
				continue
			}
			s.bucketMs = 0
			expired = append(expired, id)
		}
		t.next += t.tickMs
	}
	return expired
}

// renew lists a session again whose expiry could not be proposed; it is returned again after a tick.
func (t *tracker) renew(id tree.SessionID) {
	if s := t.sessions[id]; s != nil && s.bucketMs == 0 {
		s.deadlineMs = t.deadline(0)
		t.list(id, s)
	}
}
