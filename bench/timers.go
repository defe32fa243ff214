package bench

import (
	"container/heap"
	"math/rand/v2"
)

// timer asks for a call of an actor's poke at a time.
type timer struct {
	at  int64
	c   *client
	tag int32
}

// timers is a heap by time. Timers are rare: connections that wait to retry, clients that rest.
type timers []timer

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].at < t[j].at }
func (t timers) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *timers) Push(x any)        { *t = append(*t, x.(timer)) }

func (t *timers) Pop() any {
	last := (*t)[len(*t)-1]
	*t = (*t)[:len(*t)-1]
	return last
}

func (t timers) next() (at int64, ok bool) {
	if len(t) == 0 {
		return 0, false
	}
	return t[0].at, true
}

// after calls poke of c's actor once the time has passed.
func (l *loop) after(ns int64, c *client, tag int32) {
	heap.Push(&l.timers, timer{l.now + max(ns, 0), c, tag})
}

// fire calls what is due.
func (l *loop) fire() {
	for {
		at, ok := l.timers.next()
		if !ok || at > l.now {
			return
		}
		t := heap.Pop(&l.timers).(timer)
		if t.tag == tagConnect {
			if t.c.state == clientQueued && l.phase < phaseLeave {
				l.enqueue(t.c)
			}
			continue
		}
		t.c.actor.poke(t.c, t.tag)
	}
}

// schedule says when the requests of an open loop are due, whatever became of those before.
type schedule struct {
	everyNs float64 // 0: a closed loop
	poisson bool
	dueNs   float64
	endNs   int64 // nothing is due from then on
	turn    int   // the connection whose turn it is
	started bool
}

// start makes the first request due.
func (s *schedule) start(nowNs int64) { s.dueNs, s.started = float64(nowNs), s.everyNs > 0 }

// due says whether a request should have been sent by now.
func (s *schedule) due(nowNs int64) bool {
	return s.started && int64(s.dueNs) <= nowNs && (s.endNs == 0 || int64(s.dueNs) < s.endNs)
}

func (s *schedule) next() (at int64, ok bool) {
	return int64(s.dueNs), s.started && (s.endNs == 0 || int64(s.dueNs) < s.endNs)
}

// advance sets the time of the next request: at equal distances, or as independent arrivals come.
func (s *schedule) advance(random *rand.Rand) {
	if s.poisson {
		s.dueNs += s.everyNs * random.ExpFloat64()
		return
	}
	s.dueNs += s.everyNs
}

// issueDue sends the requests whose time has come, each on the next connection that is open. When none is, or when too
// many wait for replies, they stay due: their latency runs from the time at which they should have been sent (B4).
func (l *loop) issueDue() {
	l.stuck = false
	for l.schedule.due(l.now) {
		c := l.nextOpen()
		if c == nil {
			l.stuck = true
			return
		}
		c.actor.issue(c, int64(l.schedule.dueNs))
		l.schedule.advance(l.random)
	}
}

// unansweredMax is how many requests of an open loop may be under way on one connection.
const unansweredMax = 4096

func (l *loop) nextOpen() *client {
	for range l.clients {
		c := l.clients[l.schedule.turn]
		l.schedule.turn = (l.schedule.turn + 1) % len(l.clients)
		if c.state == clientOpen && c.waiting.len() < unansweredMax {
			return c
		}
	}
	return nil
}
