package bench

import (
	"math/rand/v2"
	"sync"
	"time"
)

// loop drives many connections on one goroutine: it waits for any of them, acts on what has come, and writes what that
// led to. It owns its clients and its tally. A goroutine per connection lost: its wake-ups cost more than the requests.
type loop struct {
	run     *run
	poll    *poller
	clients []*client
	random  *rand.Rand
	tally   tally
	phase   phase
	now     int64 // of clock, as of the last bytes that came

	in     []byte // what is read lands here; a frame that is not whole moves to its client
	ready  []readiness
	reply  reply
	event  event
	timers timers
	dirty  []*client

	connecting int
	queue      []*client // wait for their turn to connect
	schedule   schedule  // of an open loop
	stuck      bool      // it is behind, and no connection takes a request
	lookNs     int64     // when to look at clients again
	lookAt     int
	drained    bool

	mail struct {
		sync.Mutex
		posts []post
	}
	taken []post
}

// post asks for a call of an actor's poke.
type post struct {
	c   *client
	tag int32
}

// phase is what the run is at. It only goes up; the run sets it and the loops follow.
type phase int32

const (
	phaseOpen    phase = iota // connections are made
	phaseWarm                 // load, not measured
	phaseMeasure              // load
	phaseDrain                // no new requests, what is under way ends
	phaseLeave                // sessions are closed
	phaseEnd
)

const (
	inputBytes       = 256 << 10
	frameBytesMax    = 1 << 30
	connectingMax    = 64 // at once, by a loop: a listener's backlog is short
	reconnectDelayNs = int64(50 * time.Millisecond)
	lookTickNs       = int64(20 * time.Millisecond)
	waitMax          = 20 * time.Millisecond
	tagConnect       = int32(-1) // for the client itself; others are the actor's
)

var clockBase = time.Now()

// clock is monotonic time in nanoseconds.
func clock() int64 { return int64(time.Since(clockBase)) }

func newLoop(r *run, number int) (*loop, error) {
	p, err := newPoller(r.cfg.Rate > 0)
	if err != nil {
		return nil, err
	}
	l := &loop{run: r, poll: p, in: make([]byte, inputBytes), now: clock()}
	l.random = rand.New(rand.NewPCG(r.cfg.Seed, uint64(number)))
	l.tally.init(r, number)
	return l, nil
}

// serve is the loop's goroutine.
func (l *loop) serve() {
	defer l.poll.close()
	for _, c := range l.clients {
		l.enqueue(c)
	}
	for {
		l.now = clock()
		l.adopt(phase(l.run.phase.Load()))
		if l.phase == phaseEnd {
			return
		}
		l.fire()
		l.takeMail()
		l.issueDue()
		l.look()
		l.flushDirty()
		l.tally.roll(l.now)
		if l.phase == phaseDrain {
			l.checkDrained()
		}
		l.ready = l.poll.wait(l.sleep(), l.ready)
		for _, r := range l.ready {
			c := l.clients[r.slot]
			if r.write && r.generation == c.generation {
				l.now = clock()
				c.writable()
			}
			if r.read && r.generation == c.generation && c.state != clientConnecting {
				c.readable()
			}
		}
	}
}

// adopt follows the run into its phase.
func (l *loop) adopt(next phase) {
	for l.phase < next {
		l.phase++
		switch l.phase {
		case phaseWarm:
			if next >= phaseDrain {
				continue // the run has failed before it began
			}
			l.schedule.start(l.now)
			for _, c := range l.clients {
				l.now = clock()
				c.actor.begin(c)
				c.flush()
			}
		case phaseMeasure:
			l.tally.begin(l.run.beginNs.Load())
		case phaseDrain:
			l.tally.end(l.run.endNs.Load())
			l.schedule.endNs = max(1, l.run.endNs.Load())
		case phaseLeave:
			l.tally.finish()
			l.leaveAll()
		case phaseEnd:
			for _, c := range l.clients {
				c.drop(true)
			}
		}
	}
}

// stopping says that no new request shall be begun.
func (l *loop) stopping() bool { return l.phase >= phaseDrain }

func (l *loop) checkDrained() {
	if l.drained || l.schedule.due(l.now) {
		return
	}
	for _, c := range l.clients {
		if !c.actor.idle(c) {
			return
		}
	}
	l.drained = true
	l.run.loopDrained()
}

// leaveAll closes the sessions, so that the server need not expire them.
func (l *loop) leaveAll() {
	for _, c := range l.clients {
		switch c.state {
		case clientOpen:
			l.run.leaving.Add(1)
			c.leave()
		case clientLeaving:
			l.run.leaving.Add(1)
		case clientConnecting, clientGreeting:
			c.drop(true)
		}
	}
	l.run.loopDrained()
}

// left is called when a session has been closed.
func (l *loop) left(c *client, w request) {
	if l.phase >= phaseLeave {
		l.run.leaving.Add(-1)
		return
	}
	c.actor.reply(c, w, &l.reply)
}

// enqueue lets the client connect when its turn comes.
func (l *loop) enqueue(c *client) {
	c.state = clientQueued
	if l.connecting < max(connectingMax, l.run.cfg.ConnectAtOnce/len(l.run.loops)) {
		l.connecting++
		c.connect()
		return
	}
	l.queue = append(l.queue, c)
}

// connected is called when an attempt has ended, well or badly: the next may begin.
func (l *loop) connected() {
	l.connecting--
	for len(l.queue) > 0 {
		c := l.queue[0]
		l.queue = l.queue[1:]
		if c.state == clientQueued {
			l.connecting++
			l.post(c, tagConnect)
			return
		}
	}
}

// need makes the input buffer large enough for a frame.
func (l *loop) need(frameBytes int) {
	if frameBytes > len(l.in) {
		in := make([]byte, max(frameBytes, 2*len(l.in)))
		copy(in, l.in)
		l.in = in
	}
}

// post calls poke of c's actor on this loop. Any goroutine may post.
func (l *loop) post(c *client, tag int32) {
	l.mail.Lock()
	first := len(l.mail.posts) == 0
	l.mail.posts = append(l.mail.posts, post{c, tag})
	l.mail.Unlock()
	if first {
		l.poll.wake()
	}
}

func (l *loop) takeMail() {
	l.mail.Lock()
	l.taken, l.mail.posts = l.mail.posts, l.taken[:0]
	l.mail.Unlock()
	for _, p := range l.taken {
		l.poke(p.c, p.tag)
	}
}

func (l *loop) poke(c *client, tag int32) {
	if tag != tagConnect {
		c.actor.poke(c, tag)
		return
	}
	if c.state == clientQueued && l.phase < phaseLeave {
		c.connect()
	}
}

// flushDirty writes for those clients whose output did not follow from input of their own.
func (l *loop) flushDirty() {
	// A client that fails here may call its actor, and that another client: the list may grow meanwhile.
	for i := 0; i < len(l.dirty); i++ {
		c := l.dirty[i]
		c.dirty = false
		c.flush()
	}
	l.dirty = l.dirty[:0]
}

// look lets clients see to their sessions, each several times per session timeout and not all at once.
func (l *loop) look() {
	if l.now < l.lookNs || len(l.clients) == 0 {
		return
	}
	period := min(int64(time.Second), l.run.cfg.SessionTimeout.Nanoseconds()/16)
	l.lookNs = l.now + lookTickNs
	for range 1 + int64(len(l.clients))*lookTickNs/period {
		l.lookAt = (l.lookAt + 1) % len(l.clients)
		l.clients[l.lookAt].look()
	}
}

// sleep is how long the loop may wait for input.
func (l *loop) sleep() time.Duration {
	l.now = clock()
	next := l.now + int64(waitMax)
	if len(l.dirty) > 0 || l.hasMail() {
		return 0
	}
	if at, ok := l.timers.next(); ok {
		next = min(next, at)
	}
	if at, ok := l.schedule.next(); ok && !l.stuck {
		next = min(next, at)
	}
	return time.Duration(max(0, next-l.now))
}

func (l *loop) hasMail() bool {
	l.mail.Lock()
	defer l.mail.Unlock()
	return len(l.mail.posts) > 0
}
