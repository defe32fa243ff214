package bench

import (
	"fmt"
	"sync/atomic"

	"holt/netloop/wire"
)

// stormLoad is the reconnect storm: all connections are lost at once, znodes change while they are away, and then all
// come back with their sessions and set their watches again (setWatches). Each must be told of every znode that has changed
// and that it watches, once (B5).
//
// One more connection, the conductor, leads through the rounds:
//
//	calm ── drop all ──▶ away ── all are gone: change znodes ──▶ changed ── bring all back ──▶ back ── all have their watches ──▶ calm
type stormLoad struct {
	plainWorkload
	placement
	run     *run
	clients []*client // but the conductor
	leader  *client
	seen    []uint32 // by watch: the round whose event came last
	changed []uint32 // znodes that a round changes
	round   atomic.Uint32
	left    atomic.Int64 // connections that are not yet where the round wants them
	backNs  int64        // when they were called back
	blob    blob
}

// Series of a stormLoad.
const (
	stormBack = iota
	stormAll
)

// Pokes: the conductor's, and those it sends to the others.
const (
	tagStorm int32 = iota
	tagDrop
	tagGone
	tagBack
	tagAllBack
)

const (
	changedCount    = 100       // znodes that a round changes
	setWatchesBytes = 100 << 10 // of paths in one setWatches: clients keep below 128 KiB
)

func newStormLoad(r *run) (workload, error) {
	c := r.cfg
	p := &stormLoad{run: r, blob: newBlob(c.Value)}
	var err error
	if p.placement, err = place(c.Watches, c.Nodes, c.Conns-1); err != nil {
		return nil, err
	}
	p.seen = make([]uint32, p.watches())
	step := max(1, c.Nodes/changedCount)
	for node := 0; node < c.Nodes; node += step {
		p.changed = append(p.changed, uint32(node))
	}
	return p, nil
}

func (p *stormLoad) series() []series {
	return []series{{name: "back", counts: true}, {name: "all-back"}}
}

func (p *stormLoad) prepare(r *run, s *Conn) error { return Fill(s, r.root, r.cfg.Nodes, r.cfg.Value) }

func (p *stormLoad) actor(_ *run, number int) actor {
	if number == 0 {
		return &conductor{load: p}
	}
	return &stormed{load: p, number: number - 1}
}

func (p *stormLoad) figures(_ *run, report *Report) {
	report.add("storms", float64(p.round.Load()), "")
	report.add("watches", float64(p.watches()), "")
}

// arrived counts a connection that is where the round wants it.
func (p *stormLoad) arrived(tag int32) {
	if p.left.Add(-1) == 0 {
		p.leader.loop.post(p.leader, tag)
	}
}

func (p *stormLoad) tellAll(tag int32) {
	p.left.Store(int64(p.watchers))
	for _, c := range p.clients {
		c.loop.post(c, tag)
	}
}

// conductor is the connection that leads.
type conductor struct {
	quiet
	load  *stormLoad
	under bool // a round is under way
	begun int64
	path  [256]byte
}

func (a *conductor) begin(c *client) {
	p := a.load
	p.leader, p.clients = c, c.loop.run.clients[1:]
	c.loop.after(0, c, tagStorm)
	c.loop.after(lookEvery, c, tagLook)
}

func (a *conductor) poke(c *client, tag int32) {
	p := a.load
	switch tag {
	case tagStorm:
		if !c.loop.stopping() {
			a.under, a.begun = true, c.loop.now
			p.tellAll(tagDrop)
		}
	case tagGone:
		p.round.Add(1)
		for _, node := range p.changed {
			q := wire.SetDataRequest{Path: appendKey(a.path[:0], p.run.root, node), Data: p.blob.bytes[:p.run.cfg.Value.Min], Version: wire.AnyVersion}
			c.end(q.Append(c.begin(wire.OpSetData)), kindSet, node, 0)
		}
	case tagAllBack:
		c.measure(stormAll, p.backNs)
		a.under = false
		c.loop.after(p.run.cfg.Every.Nanoseconds(), c, tagStorm)
	case tagLook:
		if limit := p.run.cfg.Timeout + p.run.cfg.Every; a.under && c.loop.now-a.begun > limit.Nanoseconds() {
			a.under = false
			c.fault(FaultLost, fmt.Sprintf("connections that were not back, with their events, after %v", limit), p.left.Load())
		}
		c.loop.after(lookEvery, c, tagLook)
	}
}

// reply brings all back once the last znode has changed.
func (a *conductor) reply(c *client, w request, p *reply) {
	c.expect(p, "set")
	if c.waiting.empty() {
		a.load.backNs = c.loop.now
		a.load.tellAll(tagBack)
	}
}

func (a *conductor) idle(c *client) bool { return !a.under && c.waiting.empty() }

// stormed is a connection that is lost and comes back.
type stormed struct {
	quiet
	load    *stormLoad
	number  int
	next    int // the watch to set next
	missing int // events and replies that must come before it is back
	calm    bool
	path    [256]byte
}

func (a *stormed) opened(c *client, again bool) {
	if !c.told {
		a.next = a.number
		if a.next >= a.load.watches() {
			c.ready()
		}
		for range armingMax {
			a.arm(c)
		}
		return
	}
	if !again {
		c.fault(FaultError, "a session that did not survive the storm", 1)
	}
	a.reset(c)
}

func (a *stormed) arm(c *client) {
	p := a.load
	if a.next < p.watches() {
		node := p.node(a.next)
		a.next += p.watchers
		c.watchData(appendKey(a.path[:0], p.run.root, node), kindArm, node)
	}
}

// reset sets all watches again, and counts what must come because of it.
func (a *stormed) reset(c *client) {
	p := a.load
	a.missing = 0
	for _, node := range p.changed {
		if _, ok := p.watchOf(a.number, node); ok {
			a.missing++
		}
	}
	for watch := a.number; watch < p.watches(); {
		start := len(c.out)
		b := wire.AppendRequestHeader(wire.BeginFrame(c.out), wire.XidSetWatches, wire.OpSetWatches)
		b = wire.AppendInt64(b, c.zxid)
		countAt, count := len(b), int32(0)
		b = wire.AppendInt32(b, 0)
		for ; watch < p.watches() && len(b)-countAt < setWatchesBytes; watch += p.watchers {
			b = wire.AppendBuffer(b, appendKey(a.path[:0], p.run.root, p.node(watch)))
			count++
		}
		wire.AppendInt32(b[:countAt], count)
		b = wire.AppendInt32(wire.AppendInt32(b, 0), 0) // no exist watches, no child watches
		wire.EndFrame(b, start)
		c.out = b
		a.missing++
		c.soil()
	}
	a.settle(c)
}

func (a *stormed) settle(c *client) {
	if a.missing == 0 && !a.calm {
		a.calm = true
		c.measure(stormBack, a.load.backNs)
		a.load.arrived(tagAllBack)
	}
}

func (a *stormed) reply(c *client, w request, p *reply) {
	c.expect(p, "setting a watch")
	switch w.kind {
	case kindArm:
		a.arm(c)
		if c.waiting.empty() {
			c.ready()
		}
	case kindSetWatches, kindRearm:
		a.missing--
		a.settle(c)
	}
}

// event is a znode that changed while the connection was away.
func (a *stormed) event(c *client, e *event) {
	p := a.load
	node := lastDigits(e.path)
	watch, ok := p.watchOf(a.number, node)
	round := p.round.Load()
	switch {
	case !ok || e.kind != wire.EventNodeDataChanged || a.calm:
		c.fault(FaultDoubled, "an event that nobody had asked for", 1)
	case p.seen[watch] == round:
		c.fault(FaultDoubled, "a watch event that came twice", 1)
	default:
		p.seen[watch] = round
		c.watchData(e.path, kindRearm, node)
	}
}

func (a *stormed) poke(c *client, tag int32) {
	switch tag {
	case tagDrop:
		a.calm = false
		c.drop(false)
		a.load.arrived(tagGone)
	case tagBack:
		c.reconnect(0)
	}
}

func (a *stormed) idle(c *client) bool { return a.calm || c.waiting.empty() }

// lost is a connection that failed by itself: it tries again, as clients do.
func (a *stormed) lost(c *client, _ int, err error) {
	if c.failures == 1 {
		c.fault(FaultError, fmt.Sprintf("connection lost: %v", err), 1)
	}
	c.reconnect(reconnectDelayNs)
}
