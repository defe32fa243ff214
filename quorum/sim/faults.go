package sim

import (
	"fmt"
	"time"

	"holt/quorum"
)

// injector makes bad luck. Each seed enables some of the kinds, so that a run has a character: one where disks fail,
// one where links flap, one where nearly nothing happens. What a fault changes it undoes by itself after a while.
type injector struct {
	*world
	enabled   []*fault
	pace      time.Duration
	counts    map[string]int
	idle      bool // the fault that was drawn found nothing to do
	serial    int
	undos     []pendingUndo
	reconfigs []*request // that operators sent
	afterVote bool       // the next that gives a vote loses power
	during    int        // frames of an image until its receiver or sender crashes; 0: none does
}

// fault is one kind of bad luck.
type fault struct {
	name string
	do   func(i *injector)
}

// faults are all kinds, in the order in which seeds draw them.
var faults = []fault{
	// The network between members.
	{"lost frames", func(i *injector) {
		i.fabricFor(func() { i.fabric.breakMille = 20 }, func() { i.fabric.breakMille = 0 })
	}},
	{"dropped messages", func(i *injector) {
		i.fabricFor(func() { i.fabric.dropPercent = 10 }, func() { i.fabric.dropPercent = 0 })
	}},
	{"delay", func(i *injector) {
		was := i.fabric.delay
		i.fabricFor(func() { i.fabric.delay = 40 * time.Millisecond }, func() { i.fabric.delay = was })
	}},
	{"duplicated messages", func(i *injector) {
		i.fabricFor(func() { i.fabric.twicePercent = 10 }, func() { i.fabric.twicePercent = 0 })
	}},
	{"reordered lanes", func(i *injector) {
		i.fabricFor(func() { i.fabric.laneDelay = 60 * time.Millisecond }, func() { i.fabric.laneDelay = 0 })
	}},
	{"broken lane", func(i *injector) {
		a, b := i.two()
		i.fabric.breakLane(&i.fabric.link(a, b).lanes[i.faultDice.IntN(int(quorum.LanesMax))], "fault")
		i.troubled(a, b)
	}},
	{"one-way partition", func(i *injector) { a, b := i.two(); i.cutFor([][2]uint64{{a, b}}) }},
	{"two-way partition", func(i *injector) { a, b := i.two(); i.cutFor([][2]uint64{{a, b}, {b, a}}) }},
	{"isolated member", func(i *injector) { i.cutFor(i.around(i.any().id, true, true)) }},
	{"isolated leader", func(i *injector) { i.cutFor(i.around(i.leader().id, true, true)) }},
	{"deaf leader", func(i *injector) { i.cutFor(i.around(i.leader().id, false, true)) }},
	{"mute leader", func(i *injector) { i.cutFor(i.around(i.leader().id, true, false)) }},
	{"split", (*injector).split},
	{"bridge", (*injector).bridge},
	{"slow links", func(i *injector) {
		a, b := i.two()
		l := i.fabric.link(a, b)
		i.troubled(a, b)
		l.slow = true
		i.undo(func() { l.slow = false; i.troubled(a, b) })
	}},
	{"flapping link", func(i *injector) {
		a, b := i.two()
		for n := range 6 {
			i.after(time.Duration(n)*150*time.Millisecond, "flap", a, b, func() {
				i.cut(a, b, n%2 == 0 && !i.calm)
				i.cut(b, a, n%2 == 0 && !i.calm)
			})
		}
	}},

	// Processes and machines.
	{"killed", func(i *injector) { i.stop(i.any(), 100) }},
	{"killed leader", func(i *injector) { i.stop(i.leader(), 100) }},
	{"power lost", func(i *injector) { i.stop(i.any(), 0) }},
	{"power lost, torn writes", func(i *injector) { i.stop(i.any(), 1+i.faultDice.IntN(99)) }},
	{"crash within a write", func(i *injector) {
		if m := i.any(); i.may(m) {
			m.disk.dieIn = 1 + i.faultDice.IntN(40)
		}
	}},
	{"crash during recovery", func(i *injector) {
		m := i.any()
		if i.stop(m, i.faultDice.IntN(101)) {
			m.disk.dieIn = 1 + i.faultDice.IntN(12)
		}
	}},
	{"crash during a checkpoint", func(i *injector) {
		if m := i.any(); i.may(m) {
			m.image.dieIn, m.image.dieLate = 1, i.faultDice.IntN(2) == 0
		}
	}},
	{"crash during an image transfer", func(i *injector) { i.during = 1 + i.faultDice.IntN(6) }},
	{"voter loses power", func(i *injector) { // right after its vote, and whom it voted for is not heard of
		if l := i.leader(); i.stop(l, 100) {
			i.afterVote = true
			i.undo(func() { i.afterVote = false })
		}
	}},
	{"all restarted", func(i *injector) {
		keep := []int{0, 50, 100}[i.faultDice.IntN(3)]
		for _, m := range i.members {
			m.crash(keep, "power lost everywhere")
			m.restartIn(spread(i.faultDice, 200*time.Millisecond))
		}
	}},
	{"long absence", func(i *injector) {
		if m := i.any(); i.may(m) {
			m.crash(100, "absent for long")
			m.restartIn(spread(i.faultDice, 4*time.Second))
		}
	}},
	{"paused process", func(i *injector) { i.pause(i.any(), spread(i.faultDice, time.Second)) }},
	{"paused leader", func(i *injector) { i.pause(i.leader(), spread(i.faultDice, 1500*time.Millisecond)) }},
	{"slow processor", func(i *injector) {
		m := i.any()
		m.cpu = 10 * time.Millisecond
		i.troubled(m.id)
		i.undo(func() { m.cpu = 20 * time.Microsecond; i.troubled(m.id) })
	}},

	// Disks.
	{"slow sync", func(i *injector) {
		m := i.any()
		m.fsync = 150 * time.Millisecond
		i.undo(func() { m.fsync = 2 * time.Millisecond })
	}},
	{"failed sync", func(i *injector) {
		if m := i.any(); i.may(m) {
			m.disk.failSync = true
		}
	}},
	{"failed write", func(i *injector) {
		if m := i.any(); i.may(m) {
			m.disk.failWrite = true
		}
	}},
	{"full disk", func(i *injector) {
		m := i.any()
		m.disk.full = true
		i.undo(func() { m.disk.full = false })
	}},
	{"full image", func(i *injector) {
		m := i.any()
		m.image.full = true
		i.undo(func() { m.image.full = false })
	}},
	{"bit flip in the log", func(i *injector) { i.rot(func(m *member) (string, bool) { return m.disk.rot("/log", ".wal") }) }},
	{"bit flip in the image", func(i *injector) {
		i.rot(func(m *member) (string, bool) {
			m.image.rotten = m.image.pairs != nil
			return "image", m.image.rotten
		})
	}},

	// Clocks.
	{"wall clock jumps", func(i *injector) { i.any().clock.wallMs += i.faultDice.Int64N(20_000) - 10_000 }},
	{"clock drift", func(i *injector) {
		m := i.any()
		m.clock.setRate(i.nowNs, 0.95+0.1*i.faultDice.Float64())
	}},

	// Members.
	{"member demoted", func(i *injector) {
		if i.undamaged() {
			i.reconfig(i.line(i.any(), true), "")
		}
	}},
	{"member promoted", func(i *injector) { i.reconfig(i.line(i.any(), false), "") }},
	{"member's role in doubt", func(i *injector) { // one request after the other, none waits for the one before
		if m := i.any(); i.undamaged() && i.reconfig(i.line(m, !m.observer), "") {
			i.reconfig(i.line(m, m.observer), "")
		}
	}},
	{"member removed", func(i *injector) {
		if i.undamaged() {
			i.reconfig("", fmt.Sprint(i.any().id))
		}
	}},
	{"member added", func(i *injector) {
		if e := i.truth.root().Ensemble(); e != nil {
			if lines := i.missing(); len(lines) > 0 {
				i.reconfig(lines[i.faultDice.IntN(len(lines))], "")
				return
			}
		}
		i.replace(i.any(), false) // one has to be out first
	}},
	{"member replaced", func(i *injector) { i.replace(i.any(), true) }},
	{"data directory emptied", func(i *injector) {
		if m := i.any(); i.intact() {
			m.wipe("its data directory is emptied")
			m.restartIn(spread(i.faultDice, 300*time.Millisecond))
		}
	}},
	{"leadership moved", func(i *injector) { i.handover() }},

	// Clients.
	{"reconnect storm", func(i *injector) {
		for _, c := range i.clients {
			if c.pipe != nil && i.faultDice.IntN(4) > 0 {
				c.leave("storm")
			}
		}
	}},
	{"client vanishes", func(i *injector) {
		if c := i.client(); c != nil && i.livingClients() > 2 {
			c.vanish()
			newClient(i.world, len(i.clients))
		}
	}},
	{"duplicate attach", func(i *injector) {
		if c := i.client(); c != nil && c.pipe != nil && c.ready {
			c.duplicate()
		}
	}},
	{"expiry race", func(i *injector) {
		if c := i.client(); c != nil && c.session != 0 && c.timeoutMs > 0 {
			c.muteNs = i.nowNs + int64(float64(c.timeoutMs)*(0.8+0.4*i.faultDice.Float64()))*1e6
			if c.pipe != nil {
				c.leave("silent until its session is about to expire")
			}
		}
	}},
	{"client cut off", func(i *injector) {
		if c := i.client(); c != nil {
			key := [2]uint64{uint64(c.id), i.any().id}
			i.wire.cut[key] = true
			i.undo(func() {
				delete(i.wire.cut, key)
				if c.pipe != nil {
					c.pipe.toServer.pump()
					c.pipe.toClient.pump()
				}
			})
		}
	}},
	{"slow reader", func(i *injector) {
		if c := i.client(); c != nil && c.pipe != nil {
			p := c.pipe
			p.slow = true
			i.undo(func() { p.slow = false; p.toClient.pump() })
		}
	}},
	{"chopped bytes", func(i *injector) {
		i.wire.chop = true
		i.undo(func() { i.wire.chop = false })
	}},
}

// FaultKinds is how many kinds of bad luck there are.
func FaultKinds() int { return len(faults) }

// troubleLasts is how long after a fault what was heard may not have been told yet.
const troubleLasts = 500 * time.Millisecond

// toldAfter is how long after it was heard of a session the leader knows that: members report at intervals.
const toldAfter = 250 * time.Millisecond

func newInjector(w *world) *injector {
	i := &injector{world: w, counts: map[string]int{}}
	share := []int{10, 30, 60, 100}[w.faultDice.IntN(4)]
	for k := range faults {
		if chance(w.faultDice, share) && w.opt.allows(faults[k].name) {
			i.enabled = append(i.enabled, &faults[k])
		}
	}
	i.pace = []time.Duration{100, 300, 800, 2000}[w.faultDice.IntN(4)] * time.Millisecond
	i.after(spread(w.faultDice, time.Second), "fault", 0, 0, i.next)
	return i
}

func (i *injector) next() {
	if i.calm || len(i.enabled) == 0 {
		return
	}
	f := i.enabled[i.faultDice.IntN(len(i.enabled))]
	i.tell("fault: %s", f.name)
	i.idle = false
	f.do(i)
	if !i.idle {
		i.counts[f.name]++
	}
	i.after(spread(i.faultDice, i.pace), "fault", 0, 0, i.next)
}

// undo plans the end of a fault. When faults stop it comes at once.
func (i *injector) undo(f func()) {
	i.serial++
	n := i.serial
	i.undos = append(i.undos, pendingUndo{n, f})
	i.after(spread(i.faultDice, 1500*time.Millisecond), "undo", uint64(n), 0, func() { i.undoNow(n) })
}

type pendingUndo struct {
	serial int
	do     func()
}

func (i *injector) undoNow(n int) {
	for k, u := range i.undos {
		if u.serial == n {
			i.undos = append(i.undos[:k], i.undos[k+1:]...)
			u.do()
			return
		}
	}
}

// stopAll ends all faults: links heal, members start, disks have space, clocks go right.
func (i *injector) stopAll() {
	i.tell("faults stop")
	i.calm = true
	for len(i.undos) > 0 {
		i.undoNow(i.undos[0].serial)
	}
	i.during, i.afterVote = 0, false
	for _, a := range i.members {
		for _, b := range i.members {
			i.fabric.setCut(a.id, b.id, false)
			i.fabric.link(a.id, b.id).slow = false
		}
	}
	for _, m := range i.members {
		m.disk.dieIn, m.image.dieIn, m.image.dieLate = 0, 0, false
		m.disk.failSync, m.disk.failWrite = false, false
		m.clock.setRate(i.nowNs, 1)
		if m.paused {
			m.resume()
		}
		if m.retired != "" {
			m.wipe("refilled: " + m.retired)
		}
		if !m.running {
			m.start()
		}
		i.troubled(m.id)
	}
	i.restore()
}

func (i *injector) any() *member { return i.members[i.faultDice.IntN(len(i.members))] }

// leader is the member that leads, if one does, else any.
func (i *injector) leader() *member {
	m := i.any()
	var term uint64
	for _, o := range i.members {
		if o.up() {
			if s := o.quorum.Status(); s.Role == quorum.Leader && s.Term > term {
				m, term = o, s.Term
			}
		}
	}
	return m
}

func (i *injector) two() (a, b uint64) {
	n := len(i.members)
	x := i.faultDice.IntN(n)
	y := (x + 1 + i.faultDice.IntN(max(n-1, 1))) % n
	return i.members[x].id, i.members[y].id
}

// may says whether a member runs, so that it can end. All may be down at once: what they wrote down is there again.
func (i *injector) may(m *member) bool {
	i.idle = !m.up()
	return m.up()
}

// pause has a member stand still.
func (i *injector) pause(m *member, d time.Duration) {
	i.idle = !m.running || m.paused
	m.pause(d)
}

// stop crashes a member and has it started again.
func (i *injector) stop(m *member, keep int) bool {
	if !i.may(m) {
		return false
	}
	m.crash(keep, "fault")
	m.restartIn(spread(i.faultDice, []time.Duration{20, 300, 1500}[i.faultDice.IntN(3)]*time.Millisecond))
	return true
}

// undamaged says that no member has lost anything.
func (i *injector) undamaged() bool {
	for _, m := range i.members {
		if m.flawed || m.retired != "" {
			i.idle = true
			return false
		}
	}
	return i.intact()
}

// rot damages a member's disk while the member is down. So few are damaged that a quorum of others is left.
func (i *injector) rot(do func(m *member) (string, bool)) {
	m := i.any()
	if !i.intact() {
		return
	}
	m.crash(100, "its disk rots")
	if where, ok := do(m); ok {
		m.flawed = true
		i.tell("member %d: a bit flips in %s", m.id, where)
	}
	m.restartIn(spread(i.faultDice, 300*time.Millisecond))
}

func (i *injector) fabricFor(do, undo func()) {
	i.troubleAll()
	do()
	i.undo(func() { undo(); i.troubleAll() })
	i.keepTrouble()
}

// keepTrouble marks all members for as long as some fault of the whole network lasts.
func (i *injector) keepTrouble() {
	i.after(100*time.Millisecond, "trouble", 0, 0, func() {
		if f := i.fabric; f.breakMille > 0 || f.dropPercent > 0 || f.twicePercent > 0 || f.laneDelay > 0 || f.delay > 5*time.Millisecond {
			i.troubleAll()
			i.keepTrouble()
		}
	})
}

func (i *injector) troubleAll() {
	for _, m := range i.members {
		i.troubled(m.id)
	}
}

func (i *injector) cut(a, b uint64, cut bool) {
	i.fabric.setCut(a, b, cut)
	i.troubled(a, b)
}

func (i *injector) cutFor(pairs [][2]uint64) {
	for _, p := range pairs {
		i.cut(p[0], p[1], true)
	}
	i.undo(func() {
		for _, p := range pairs {
			i.cut(p[0], p[1], false)
		}
	})
	i.stayTroubled(pairs)
}

// stayTroubled marks the members at the ends of cut links for as long as they are cut.
func (i *injector) stayTroubled(pairs [][2]uint64) {
	i.after(100*time.Millisecond, "trouble", 0, 1, func() {
		again := false
		for _, p := range pairs {
			if i.fabric.link(p[0], p[1]).cut {
				i.troubled(p[0], p[1])
				again = true
			}
		}
		if again {
			i.stayTroubled(pairs)
		}
	})
}

// around are the links of one member with all others.
func (i *injector) around(id uint64, out, in bool) (pairs [][2]uint64) {
	for _, o := range i.members {
		if o.id == id {
			continue
		}
		if out {
			pairs = append(pairs, [2]uint64{id, o.id})
		}
		if in {
			pairs = append(pairs, [2]uint64{o.id, id})
		}
	}
	return pairs
}

// voted is told of a vote that was given. The voter forgets what it did not write down, and the others learn of the new leader
// late: whoever counts on the vote a second time gets it if it was not written down.
func (i *injector) voted(voter, candidate uint64) {
	i.afterVote = false
	i.after(time.Millisecond, "voter", voter, candidate, func() {
		i.cutFor(i.around(candidate, true, false))
		if m := i.fabric.member(voter); m.up() {
			m.crash(0, "power lost after a vote")
			m.restartIn(spread(i.faultDice, 20*time.Millisecond))
		}
	})
}

// split cuts the members into two halves.
func (i *injector) split() {
	var side [2][]uint64
	for _, m := range i.members {
		s := i.faultDice.IntN(2)
		side[s] = append(side[s], m.id)
	}
	var pairs [][2]uint64
	for _, a := range side[0] {
		for _, b := range side[1] {
			pairs = append(pairs, [2]uint64{a, b}, [2]uint64{b, a})
		}
	}
	i.cutFor(pairs)
}

// bridge leaves one member that reaches all, while the others see only their own half.
func (i *injector) bridge() {
	mid := i.any().id
	var pairs [][2]uint64
	half := func(id uint64) uint64 { return id % 2 }
	for _, a := range i.members {
		for _, b := range i.members {
			if a.id != b.id && a.id != mid && b.id != mid && half(a.id) != half(b.id) {
				pairs = append(pairs, [2]uint64{a.id, b.id})
			}
		}
	}
	if len(i.members) == 3 {
		pairs = pairs[:0]
		for _, a := range i.members {
			for _, b := range i.members {
				if a.id != b.id && a.id != mid && b.id != mid {
					pairs = append(pairs, [2]uint64{a.id, b.id})
				}
			}
		}
	}
	i.cutFor(pairs)
}

func (i *injector) client() *client {
	living := make([]*client, 0, len(i.clients))
	for _, c := range i.clients {
		if !c.gone {
			living = append(living, c)
		}
	}
	if len(living) == 0 {
		i.idle = true
		return nil
	}
	return living[i.faultDice.IntN(len(living))]
}

func (i *injector) livingClients() int {
	n := 0
	for _, c := range i.clients {
		if !c.gone {
			n++
		}
	}
	return n
}

// vanish is the end of a client that says nothing to anybody.
func (c *client) vanish() {
	c.tell("client %d vanishes", c.id)
	c.gone = true
	c.vanished = c.session
	if c.pipe != nil {
		if c.dice.IntN(2) == 0 {
			c.pipe.hangUp()
		}
		c.pipe.over = true
		for _, r := range c.pending {
			c.history().unknown(r)
		}
		c.pipe = nil
	}
}

// duplicate leaves the connection as it is, with requests under way and a few more to come, and attaches elsewhere.
func (c *client) duplicate() {
	old := c.pipe
	for range 3 {
		c.work()
		if c.pipe != old {
			return
		}
	}
	c.tell("client %d attaches a second time", c.id)
	old.over = true // what it still answers is not looked at
	c.lost(old, "attaches a second time")
	c.dial()
	for n := range 5 { // the old connection goes on asking
		c.after(time.Duration(n)*20*time.Millisecond, "ghost", uint64(c.id), 0, func() { c.ghost(old) })
	}
}
