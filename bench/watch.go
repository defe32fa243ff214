package bench

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"holt/netloop/wire"
)

// Modes of watches.
const (
	ModeOneShot    = "oneshot"    // getData with a watch, set again after every event
	ModePersistent = "persistent" // addWatch
	ModeRecursive  = "recursive"  // addWatch on what is above all znodes
)

// watchLoad has znodes that connections watch while others write them. A write begins a round: it ends when every watcher has
// had its event, and in one-shot mode has set its watch again; only then the znode is written anew. So it is known of every watch
// what it must have seen: an event too few or too many is found, whatever the number of watches (B5).
type watchLoad struct {
	plainWorkload
	placement
	run     *run
	mode    string
	writers int
	nodes   []watchedNode
	seen    []uint32 // by watch: the round whose event came last; only its connection's loop touches it
	blob    blob
}

// watchedNode is the round that a znode is in.
type watchedNode struct {
	round  atomic.Uint32 // 0: never written
	left   atomic.Int32  // events, re-arms and the write's reply that are missing
	sentNs atomic.Int64
	busy   atomic.Bool // in a round, or given up
	writer *client
	slot   int32
}

// Series and kinds of a watchLoad.
const (
	watchNotify = iota
	watchSet
	watchRearm // one-shot only
)

const armingMax = 256 // requests of one connection under way while it sets its watches

func newWatchLoad(r *run) (workload, error) {
	c := r.cfg
	p := &watchLoad{run: r, mode: c.Mode, writers: c.Writers}
	switch p.mode {
	case ModeOneShot, ModePersistent:
	case ModeRecursive:
		c.Watches = c.Nodes * (c.Conns - c.Writers)
	default:
		return nil, fmt.Errorf("--mode %s: %s, %s or %s", p.mode, ModeOneShot, ModePersistent, ModeRecursive)
	}
	var err error
	if p.placement, err = place(c.Watches, c.Nodes, c.Conns-c.Writers); err != nil {
		return nil, err
	}
	p.nodes = make([]watchedNode, c.Nodes)
	p.seen = make([]uint32, p.watches())
	p.blob = newBlob(c.Value)
	return p, nil
}

func (p *watchLoad) series() []series {
	list := []series{{name: "notify", counts: true}, {name: "set"}}
	if p.mode == ModeOneShot {
		list = append(list, series{name: "rearm"})
	}
	return list
}

func (p *watchLoad) prepare(r *run, s *Conn) error { return Fill(s, r.root, r.cfg.Nodes, r.cfg.Value) }

func (p *watchLoad) actor(r *run, number int) actor {
	if number < p.writers {
		return &watchWriter{load: p, random: rand.New(rand.NewPCG(r.cfg.Seed, uint64(number)))}
	}
	return &watcher{load: p, number: number - p.writers}
}

func (p *watchLoad) figures(r *run, report *Report) {
	watches := float64(len(p.seen))
	if p.mode == ModeRecursive {
		watches = float64(p.watchers)
	}
	report.add("watches", watches, "")
	if len(r.cfg.PIDs) > 0 {
		report.add(FigureWatchBytes, float64(r.rssReady-r.rssBefore)/watches, "bytes")
	}
}

// placement says which connection has which watch: watch t is of znode t/perNode and belongs to watcher t mod watchers. That
// spreads the watches of a znode over connections, and finds a watch from its connection and its znode without a table.
type placement struct{ nodes, perNode, watchers int }

// place spreads watches over znodes and watchers.
func place(watches, nodes, watchers int) (placement, error) {
	p := placement{nodes: nodes, perNode: watches / nodes, watchers: watchers}
	if watchers < 1 {
		return p, errors.New("no connection is left to watch")
	}
	if p.perNode < 1 || p.perNode > watchers {
		return p, fmt.Errorf("%d watches on %d znodes by %d connections: a connection has at most one watch on a znode, and a znode at least one",
			watches, nodes, watchers)
	}
	return p, nil
}

// watches is how many there are.
func (p placement) watches() int { return p.nodes * p.perNode }

// node is the znode that a watch is on.
func (p placement) node(watch int) uint32 { return uint32(watch / p.perNode) }

// watchOf returns which watch a watcher has on a znode.
func (p placement) watchOf(watcher int, node uint32) (watch int, ok bool) {
	if int(node) >= p.nodes {
		return 0, false
	}
	first := int(node) * p.perNode
	distance := (watcher - first%p.watchers + p.watchers) % p.watchers
	return first + distance, distance < p.perNode
}

// done counts one thing less that a round waits for.
func (p *watchLoad) done(from *loop, node uint32) {
	n := &p.nodes[node]
	if n.left.Add(-1) != 0 {
		return
	}
	if n.writer.loop == from {
		n.writer.actor.poke(n.writer, n.slot)
		return
	}
	n.writer.loop.post(n.writer, n.slot)
}

// watcher is a connection that watches.
type watcher struct {
	quiet
	load   *watchLoad
	number int
	next   int // the watch to set next, before the load begins
	path   [256]byte
}

const (
	kindArm   uint8 = 0
	kindRearm uint8 = 1
	kindSet   uint8 = 2
)

func (a *watcher) opened(c *client, again bool) {
	if again {
		return
	}
	a.next = a.number
	if a.load.mode == ModeRecursive {
		b := wire.AppendString(c.begin(wire.OpAddWatch), a.load.run.root)
		c.end(wire.AppendInt32(b, int32(wire.AddWatchPersistentRecursive)), kindArm, 0, 0)
		return
	}
	if a.next >= len(a.load.seen) {
		c.ready()
	}
	for range armingMax {
		a.arm(c)
	}
}

// arm sets the next of the connection's watches.
func (a *watcher) arm(c *client) {
	p := a.load
	if a.next >= len(p.seen) || p.mode == ModeRecursive {
		return
	}
	node := p.node(a.next)
	a.next += p.watchers
	path := appendKey(a.path[:0], p.run.root, node)
	if p.mode == ModePersistent {
		b := wire.AppendBuffer(c.begin(wire.OpAddWatch), path)
		c.end(wire.AppendInt32(b, int32(wire.AddWatchPersistent)), kindArm, node, 0)
		return
	}
	c.watchData(path, kindArm, node)
}

func (a *watcher) reply(c *client, w request, p *reply) {
	c.expect(p, "setting a watch")
	if w.kind == kindRearm {
		c.measure(watchRearm, w.startNs)
		a.load.done(c.loop, w.arg)
		return
	}
	a.arm(c)
	if c.waiting.empty() {
		c.ready()
	}
}

func (a *watcher) event(c *client, e *event) {
	p := a.load
	node := lastDigits(e.path)
	watch, ok := p.watchOf(a.number, node)
	if !ok || e.kind != wire.EventNodeDataChanged {
		c.fault(FaultDoubled, "an event that nobody had asked for", 1)
		return
	}
	n := &p.nodes[node]
	round := n.round.Load()
	if p.seen[watch] == round {
		c.fault(FaultDoubled, "a watch event that came twice", 1)
		return
	}
	p.seen[watch] = round
	c.measure(watchNotify, n.sentNs.Load())
	if p.mode == ModeOneShot {
		c.watchData(e.path, kindRearm, node)
		return
	}
	p.done(c.loop, node)
}

// lost counts the connection; its watches are gone, and what they miss shows as lost events.
func (a *watcher) lost(c *client, _ int, err error) {
	c.fault(FaultError, fmt.Sprintf("connection lost: %v", err), 1)
}

// watchWriter is a connection that writes, with Pipeline rounds under way.
type watchWriter struct {
	quiet
	load   *watchLoad
	random *rand.Rand
	slots  []uint32 // the znode of each round
	path   [256]byte
}

const (
	tagLook   = int32(-2) // for lost events
	noNode    = ^uint32(0)
	lookEvery = int64(time.Second)
)

func (a *watchWriter) begin(c *client) {
	rounds := min(c.loop.run.cfg.Pipeline, max(1, len(a.load.nodes)/a.load.writers))
	a.slots = make([]uint32, rounds)
	for slot := range a.slots {
		a.slots[slot] = noNode
		a.start(c, int32(slot))
	}
	c.loop.after(lookEvery, c, tagLook)
}

// start begins a round on a znode that is in none.
func (a *watchWriter) start(c *client, slot int32) {
	p := a.load
	a.slots[slot] = noNode
	if c.loop.stopping() || c.state != clientOpen {
		return
	}
	for range 1000 {
		node := a.random.Uint32N(uint32(len(p.nodes)))
		n := &p.nodes[node]
		if !n.busy.CompareAndSwap(false, true) {
			continue
		}
		a.slots[slot] = node
		n.writer, n.slot = c, slot
		n.left.Store(int32(p.perNode) + 1)
		n.sentNs.Store(c.loop.now)
		n.round.Add(1)
		q := wire.SetDataRequest{Path: appendKey(a.path[:0], p.run.root, node), Data: p.blob.pick(p.run.cfg.Value, a.random), Version: wire.AnyVersion}
		c.end(q.Append(c.begin(wire.OpSetData)), kindSet, node, 0)
		return
	}
}

func (a *watchWriter) reply(c *client, w request, p *reply) {
	c.expect(p, "set")
	c.measure(watchSet, w.startNs)
	a.load.done(c.loop, w.arg)
}

// poke is called when a round has ended, and now and then to find those that do not.
func (a *watchWriter) poke(c *client, tag int32) {
	if tag != tagLook {
		a.load.nodes[a.slots[tag]].busy.Store(false)
		a.start(c, tag)
		return
	}
	for slot, node := range a.slots {
		if node == noNode {
			if !c.loop.stopping() {
				a.start(c, int32(slot))
			}
			continue
		}
		n := &a.load.nodes[node]
		if missing := n.left.Load(); missing > 0 && c.loop.now-n.sentNs.Load() > c.loop.run.cfg.Timeout.Nanoseconds() {
			c.fault(FaultLost, fmt.Sprintf("watch events that did not come within %v", c.loop.run.cfg.Timeout), int64(missing))
			n.left.Store(1 << 30) // given up: the znode stays busy, so that no late event meets another round
			a.start(c, int32(slot))
		}
	}
	c.loop.after(lookEvery, c, tagLook)
}

func (a *watchWriter) idle(c *client) bool {
	for _, node := range a.slots {
		if node != noNode {
			return false
		}
	}
	return c.waiting.empty()
}
