package bench

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"holt/netloop/wire"
)

// discoveryLoad is service discovery: each connection is an instance of a service, registered as an ephemeral znode, and
// follows the list of instances of several services with child watches. Instances come and go all the time. When all
// has settled, each follower's last list must be what the server has: a lost event leaves it behind (B5).
type discoveryLoad struct {
	plainWorkload
	run      *run
	services []service
	actors   []*instance
}

// service is what is known of one.
type service struct {
	path      []byte
	changedNs atomic.Int64 // when its last change was asked for
}

// Series of a discoveryLoad.
const (
	discoveryRegister = iota
	discoveryDeregister
	discoveryList
	discoveryNotice
)

const (
	kindRegister uint8 = iota + 10
	kindDeregister
)

const (
	followMax    = 3 // services that a connection follows
	settleNs     = int64(500 * time.Millisecond)
	tagChange    = int32(1)
	holdDefaults = time.Second
)

func newDiscoveryLoad(r *run) (workload, error) {
	p := &discoveryLoad{run: r, services: make([]service, r.cfg.Services)}
	for i := range p.services {
		p.services[i].path = appendDigits(append([]byte(r.root), "/s"...), uint32(i), 6)
	}
	return p, nil
}

func (p *discoveryLoad) series() []series {
	return []series{{name: "register", counts: true}, {name: "deregister", counts: true}, {name: "list", counts: true}, {name: "notice"}}
}

func (p *discoveryLoad) prepare(_ *run, s *Conn) error {
	w := window{Conn: s}
	for i := range p.services {
		if err := w.create(p.services[i].path, nil); err != nil {
			return err
		}
	}
	return w.wait()
}

func (p *discoveryLoad) actor(r *run, number int) actor {
	n := len(p.services)
	a := &instance{load: p, service: number % n, random: rand.New(rand.NewPCG(r.cfg.Seed, uint64(number)))}
	a.path = appendDigits(append(append([]byte{}, p.services[a.service].path...), "/i"...), uint32(number), 10)
	for i := range min(followMax, n) {
		a.follows = append(a.follows, following{service: (number + i) % n})
	}
	p.actors = append(p.actors, a)
	return a
}

// check compares what every connection saw last with what there is.
func (p *discoveryLoad) check(r *run, s *Conn) error {
	for i := range p.services {
		b, start := s.Begin(wire.OpGetChildren2)
		s.End(wire.AppendBool(wire.AppendBuffer(b, p.services[i].path), false), start)
		if err := s.Flush(); err != nil {
			return err
		}
		reply, err := s.Next()
		if err != nil {
			return err
		}
		last := lastChange(reply.Body)
		for _, a := range p.actors {
			for _, f := range a.follows {
				if f.service == i && f.pzxid != last && !a.gone {
					r.fault(FaultLost, "a follower that was not told of the last change", 1)
				}
			}
		}
	}
	return nil
}

// lastChange is the pzxid in a reply to getChildren2: the transaction that changed the list last.
func lastChange(body []byte) int64 {
	var p wire.ChildrenReply
	r := wire.NewReader(body)
	if !p.Parse(&r) {
		return -1
	}
	return p.Stat.Pzxid
}

// instance is one connection.
type instance struct {
	quiet
	load       *discoveryLoad
	random     *rand.Rand
	service    int
	path       []byte
	registered bool
	gone       bool
	follows    []following
}

// following is a service whose list the connection has, and watches.
type following struct {
	service int
	armed   bool
	pzxid   int64 // of the last list
}

func (a *instance) opened(c *client, again bool) {
	if !again {
		a.change(c)
	}
}

// change registers, or takes the registration back.
func (a *instance) change(c *client) {
	a.load.services[a.service].changedNs.Store(c.loop.now)
	if a.registered {
		q := wire.VersionRequest{Path: a.path, Version: wire.AnyVersion}
		c.end(q.Append(c.begin(wire.OpDelete)), kindDeregister, 0, 0)
	} else {
		q := wire.CreateRequest{Path: a.path, Data: a.path, ACL: wire.OpenACL, Flags: wire.FlagEphemeral}
		c.end(q.Append(c.begin(wire.OpCreate)), kindRegister, 0, 0)
	}
	a.registered = !a.registered
}

func (a *instance) list(c *client, i int) {
	f := &a.follows[i]
	b := wire.AppendBuffer(c.begin(wire.OpGetChildren2), a.load.services[f.service].path)
	c.end(wire.AppendBool(b, true), kindList, uint32(i), 0)
	f.armed = true
}

func (a *instance) reply(c *client, w request, p *reply) {
	switch w.kind {
	case kindRegister:
		if c.expect(p, "create") {
			c.measure(discoveryRegister, w.startNs)
		}
		if !c.told {
			for i := range a.follows {
				a.list(c, i)
			}
			return
		}
		a.rest(c)
	case kindDeregister:
		if c.expect(p, "delete") {
			c.measure(discoveryDeregister, w.startNs)
		}
		a.rest(c)
	case kindList:
		if c.expect(p, "getChildren") {
			a.follows[w.arg].pzxid = lastChange(p.body)
			c.measure(discoveryList, w.startNs)
		}
		if !c.told && c.waiting.empty() {
			c.ready()
		}
	}
}

func (a *instance) begin(c *client) { a.rest(c) }

// rest waits for a while, not all for the same, before the next change.
func (a *instance) rest(c *client) {
	if hold := c.loop.run.cfg.Hold.Nanoseconds(); !c.loop.stopping() {
		c.loop.after(hold/2+a.random.Int64N(hold+1), c, tagChange)
	}
}

func (a *instance) poke(c *client, _ int32) {
	if !c.loop.stopping() && c.state == clientOpen {
		a.change(c)
	}
}

func (a *instance) event(c *client, e *event) {
	number := int(lastDigits(e.path))
	for i := range a.follows {
		if f := &a.follows[i]; f.service == number && f.armed {
			f.armed = false
			c.measure(discoveryNotice, a.load.services[number].changedNs.Load())
			a.list(c, i)
			return
		}
	}
	c.fault(FaultDoubled, "an event that nobody had asked for", 1)
}

// idle waits until events have stopped coming.
func (a *instance) idle(c *client) bool { return c.waiting.empty() && c.loop.now-c.heldNs > settleNs }

func (a *instance) lost(c *client, _ int, err error) {
	a.gone = true
	c.fault(FaultError, fmt.Sprintf("connection lost: %v", err), 1)
}
