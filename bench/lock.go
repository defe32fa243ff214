package bench

import (
	"fmt"
	"sync/atomic"

	"holt/netloop/wire"
)

// lockLoad is the lock recipe of ZooKeeper's documentation: a client creates an ephemeral sequential znode, lists, and
// has the lock if its number is the lowest; otherwise it watches the znode before its own and lists again when that has
// gone. As all clients live in this process, two holders of one lock at a time are seen with certainty: a client holds it
// from the reply that shows it until just before it asks for its release.
//
// Leader election is the same recipe with another end: a leader resigns by closing its session.
type lockLoad struct {
	plainWorkload
	run    *run
	leader bool
	locks  []lockState
}

// lockState is what is known of one lock.
type lockState struct {
	holder     atomic.Int64 // its client's number + 1, 0 for nobody
	last       atomic.Int64 // sequence number + 1 of the last holder
	acquiredNs atomic.Int64
	releasedNs atomic.Int64
}

const (
	lockAcquire = iota
	lockHandOver
)

const (
	kindCreate uint8 = iota
	kindList
	kindWait
	kindDelete
)

const tagRelease = int32(1)

func newLockLoad(leader bool) func(r *run) (workload, error) {
	return func(r *run) (workload, error) {
		return &lockLoad{run: r, leader: leader, locks: make([]lockState, r.cfg.Locks)}, nil
	}
}

func (p *lockLoad) series() []series {
	if p.leader {
		return []series{{name: "elected", counts: true}, {name: "hand-over"}}
	}
	return []series{{name: "acquire", counts: true}, {name: "hand-over"}}
}

func (p *lockLoad) appendLock(dst []byte, n int) []byte {
	return appendDigits(append(append(dst, p.run.root...), "/l"...), uint32(n), 6)
}

func (p *lockLoad) prepare(_ *run, s *Conn) error {
	w := window{Conn: s}
	for n := range p.locks {
		if err := w.create(p.appendLock(nil, n), nil); err != nil {
			return err
		}
	}
	return w.wait()
}

func (p *lockLoad) actor(_ *run, number int) actor {
	n := number % len(p.locks)
	a := &locker{load: p, lock: &p.locks[n]}
	a.parent = p.appendLock(nil, n)
	return a
}

// locker is one client of a lock.
type locker struct {
	quiet
	load      *lockLoad
	lock      *lockState
	parent    []byte
	path      []byte // of its own znode
	number    uint32 // sequence number in it
	beganNs   int64
	watched   bool // it waits for an event
	contended bool
	holding   bool
	missed    bool // a lost event has been counted for this wait
	buf       [256]byte
}

func (a *locker) opened(c *client, _ bool) {
	if c.told {
		a.begin(c) // a new session after a resignation
		return
	}
	c.ready()
}

func (a *locker) begin(c *client) {
	if c.loop.phase < phaseWarm {
		return
	}
	if a.beganNs == 0 {
		c.loop.after(lookEvery, c, tagLook)
	}
	a.try(c)
}

// try asks for the lock.
func (a *locker) try(c *client) {
	a.watched, a.contended, a.holding, a.missed = false, false, false, false
	if c.loop.stopping() || c.state != clientOpen {
		return
	}
	a.beganNs = c.loop.now
	q := wire.CreateRequest{Path: append(append(a.buf[:0], a.parent...), "/c-"...), ACL: wire.OpenACL, Flags: wire.FlagEphemeralSequential}
	c.end(q.Append(c.begin(wire.OpCreate)), kindCreate, 0, 0)
}

func (a *locker) list(c *client) {
	b := wire.AppendBuffer(c.begin(wire.OpGetChildren), a.parent)
	c.end(wire.AppendBool(b, false), kindList, 0, 0)
}

func (a *locker) reply(c *client, w request, p *reply) {
	switch w.kind {
	case kindCreate:
		if c.expect(p, "create") {
			r := wire.NewReader(p.body)
			a.path = append(a.path[:0], r.String()...)
			a.number = lastDigits(a.path)
			a.list(c)
		}
	case kindList:
		if c.expect(p, "getChildren") {
			a.listed(c, p)
		}
	case kindWait:
		if p.code == wire.CodeNoNode {
			a.watched = false
			a.list(c)
			return
		}
		c.expect(p, "getData")
	case kindDelete:
		c.expect(p, "delete")
		a.try(c)
	case kindLeave:
		c.loop.enqueue(c)
	}
}

// listed finds the place of the client's znode among the others.
func (a *locker) listed(c *client, p *reply) {
	r := wire.NewReader(p.body)
	children := r.Strings()
	var before []byte
	highest, mine := int64(-1), false
	for name, ok := children.Next(); ok; name, ok = children.Next() {
		number := lastDigits(name)
		switch {
		case number == a.number:
			mine = true
		case number < a.number && int64(number) > highest:
			highest, before = int64(number), name
		}
	}
	switch {
	case !mine:
		c.fault(FaultLock, "a list without the client's own znode", 1)
		a.try(c)
	case before == nil:
		a.acquired(c)
	default:
		a.contended, a.watched = true, true
		path := append(append(append(a.buf[:0], a.parent...), '/'), before...)
		c.watchData(path, kindWait, 0) // exists would leave a watch behind when the znode has gone
	}
}

func (a *locker) acquired(c *client) {
	l := a.lock
	if !l.holder.CompareAndSwap(0, int64(c.number)+1) {
		c.fault(FaultLock, "two holders at a time", 1)
	}
	if last := l.last.Swap(int64(a.number) + 1); last > int64(a.number)+1 {
		c.fault(FaultLock, "a lock that went back in its order", 1)
	}
	l.acquiredNs.Store(c.loop.now)
	a.holding = true
	c.measure(lockAcquire, a.beganNs)
	if released := l.releasedNs.Load(); a.contended && released > a.beganNs {
		c.measure(lockHandOver, released)
	}
	if hold := c.loop.run.cfg.Hold; hold > 0 {
		c.loop.after(hold.Nanoseconds(), c, tagRelease)
		return
	}
	a.release(c)
}

// release gives the lock up, in the eyes of this process before the request can leave.
func (a *locker) release(c *client) {
	if !a.holding || c.state != clientOpen {
		return
	}
	a.holding = false
	a.lock.releasedNs.Store(c.loop.now)
	a.lock.holder.CompareAndSwap(int64(c.number)+1, 0)
	if a.load.leader {
		c.leave()
		return
	}
	q := wire.VersionRequest{Path: a.path, Version: wire.AnyVersion}
	c.end(q.Append(c.begin(wire.OpDelete)), kindDelete, 0, 0)
}

func (a *locker) event(c *client, e *event) {
	if !a.watched {
		if e.kind == wire.EventNodeDeleted {
			c.fault(FaultDoubled, "an event that nobody waited for", 1)
		}
		return
	}
	a.watched = false
	if !c.loop.stopping() {
		a.list(c)
	}
}

func (a *locker) poke(c *client, tag int32) {
	if tag == tagRelease {
		a.release(c)
		return
	}
	limit := c.loop.run.cfg.Timeout.Nanoseconds() + c.loop.run.cfg.Hold.Nanoseconds()
	if a.watched && !a.missed && a.lock.holder.Load() == 0 && c.loop.now-max(a.beganNs, a.lock.releasedNs.Load(), a.lock.acquiredNs.Load()) > limit {
		a.missed = true
		c.fault(FaultLost, fmt.Sprintf("waiters of a lock that was free for %v", c.loop.run.cfg.Timeout), 1)
	}
	c.loop.after(lookEvery, c, tagLook)
}

// lost ends the client's part: what becomes of its znode is the server's to decide.
func (a *locker) lost(c *client, _ int, err error) {
	if a.holding {
		a.holding = false
		a.lock.holder.CompareAndSwap(int64(c.number)+1, 0)
	}
	c.fault(FaultError, fmt.Sprintf("connection lost: %v", err), 1)
}
