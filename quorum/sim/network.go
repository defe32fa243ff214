package sim

import (
	"fmt"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"holt/quorum"
)

// fabric is the network between members: for each ordered pair three lanes, each a stream of bytes as TCP would make
// it. Frames of a lane arrive in order and without gaps until the lane breaks; what was under way then is lost, all of
// it or from somewhere on. Lanes know nothing of each other, so frames of two lanes overtake one another freely.
type fabric struct {
	*world
	links map[[2]uint64]*link

	dropPercent  int                                                                      // of frames on LaneRaft that vanish although their lane lives
	breakMille   int                                                                      // of frames that break their lane
	twicePercent int                                                                      // of frames on LaneRaft that arrive twice
	laneDelay    time.Duration                                                            // up to so much more for each lane on its own
	delay        time.Duration                                                            // typical, one way
	slow         time.Duration                                                            // added by links that are slow
	taps         []func(from, to uint64, lane quorum.Lane, frame []byte) ([]byte, tapped) // mutations
}

// tapped is what a mutation makes of a frame.
type tapped uint8

const (
	tapPass    tapped = iota
	tapDrop           // it vanishes
	tapReplace        // another one travels in its place
)

// link is one direction between two members.
type link struct {
	from, to uint64
	cut      bool // nothing arrives
	cutNs    int64
	slow     bool
	lanes    [quorum.LanesMax]lane
}

// lane is one stream. The sending end and the receiving end learn of its end at different times.
type lane struct {
	*link
	kind     quorum.Lane
	open     bool // the sender may send
	dialling bool
	number   uint64 // of the stream, so that events of former ones are known
	frames   []flying
	bytes    int
	busy     bool  // a delivery is planned
	lastNs   int64 // when the last frame is due
	refused  bool  // Send answered false for want of room
	held     bool  // the receiver reads no more for now
	backoff  time.Duration

	endOwed    *port // the receiver has yet to learn that the stream ended
	brokenOwed *port // the sender has
}

type flying struct {
	atNs  int64
	frame []byte
}

// What a lane holds on its way, as peers does.
var laneBytesMax = [quorum.LanesMax]int{16 << 20, 4 << 20, 4 << 20}

const (
	userTimeout  = 3 * time.Second // a stream whose data is not acknowledged for so long breaks
	backoffFirst = 50 * time.Millisecond
	backoffMax   = time.Second
)

func newFabric(w *world) *fabric {
	return &fabric{world: w, links: map[[2]uint64]*link{}, delay: 300 * time.Microsecond, slow: 80 * time.Millisecond}
}

// joined says whether what two members have to tell each other can be sent.
func (f *fabric) joined(a, b uint64) bool {
	return f.link(a, b).lanes[quorum.LaneRaft].open && f.link(b, a).lanes[quorum.LaneRaft].open
}

func (f *fabric) link(from, to uint64) *link {
	l := f.links[[2]uint64{from, to}]
	if l == nil {
		l = &link{from: from, to: to}
		for i := range l.lanes {
			l.lanes[i] = lane{link: l, kind: quorum.Lane(i)}
		}
		f.links[[2]uint64{from, to}] = l
	}
	return l
}

// port is the network as one run of one member sees it. It implements quorum.Network.
type port struct {
	fabric   *fabric
	member   *member
	recv     quorum.Receiver
	peers    []quorum.Peer
	cluster  uint64
	promised bool
	closed   bool
}

// Start implements quorum.Network.
func (p *port) Start(r quorum.Receiver) error {
	p.recv = r
	p.dialAll()
	return nil
}

// SetPeers implements quorum.Network.
func (p *port) SetPeers(peers []quorum.Peer) {
	for _, old := range p.peers {
		if !p.knows(old.ID, peers) {
			p.fabric.hangUp(p.member.id, old.ID)
			p.fabric.hangUp(old.ID, p.member.id)
		}
	}
	p.peers = append([]quorum.Peer(nil), peers...)
	p.dialAll()
}

func (p *port) knows(id uint64, peers []quorum.Peer) bool {
	for _, k := range peers {
		if k.ID == id {
			return true
		}
	}
	return false
}

// SetCluster implements quorum.Network.
func (p *port) SetCluster(id uint64) { p.cluster = id }

// SetPromised implements quorum.Network.
func (p *port) SetPromised() { p.promised = true }

func (p *port) hello() quorum.Hello {
	return quorum.Hello{Cluster: p.cluster, Process: p.member.process, Version: 1, Promised: p.promised}
}

func (p *port) dialAll() {
	if p.recv == nil {
		return
	}
	for _, k := range p.peers {
		l := p.fabric.link(p.member.id, k.ID)
		for i := range l.lanes {
			p.dial(&l.lanes[i], 0)
		}
	}
}

// dial tries to open a lane after a while, again and again.
func (p *port) dial(l *lane, wait time.Duration) {
	if l.open || l.dialling || p.closed || !p.knows(l.to, p.peers) {
		return
	}
	l.dialling = true
	f := p.fabric
	f.after(wait+spread(f.netDice, 3*f.delay), "dial", l.from, l.to<<8|uint64(l.kind), func() {
		if p.closed || !l.dialling {
			return
		}
		l.dialling = false
		if l.open || !p.knows(l.to, p.peers) {
			return
		}
		if f.meet(p, l) {
			l.backoff = 0
			return
		}
		l.backoff = min(max(2*l.backoff, backoffFirst), backoffMax)
		p.dial(l, spread(f.netDice, l.backoff))
	})
}

// meet is the handshake.
func (f *fabric) meet(p *port, l *lane) bool {
	to := f.member(l.to)
	if to == nil || !to.up() || to.paused || to.port.closed || to.port.recv == nil || l.cut || f.link(l.to, l.from).cut {
		return false
	}
	q := to.port
	if !q.knows(l.from, q.peers) {
		return false
	}
	if p.cluster != 0 && q.cluster != 0 && p.cluster != q.cluster {
		f.broken("cluster id", "members %d and %d of one ensemble have cluster ids %x and %x", l.from, l.to, p.cluster, q.cluster)
	}
	if l.number++; l.number > 1 {
		f.tell("lane %d->%d/%d opens again", l.from, l.to, l.kind)
		f.troubled(l.from, l.to)
	}
	if l.endOwed == q {
		q.recv.Ended(l.from, l.kind)
	}
	if l.brokenOwed == p {
		p.recv.Broken(l.to, l.kind)
	}
	l.endOwed, l.brokenOwed = nil, nil
	l.open, l.refused, l.held, l.frames, l.bytes, l.busy, l.lastNs = true, false, false, nil, 0, false, f.nowNs
	p.recv.Greeted(l.to, q.hello())
	q.recv.Greeted(l.from, p.hello())
	q.recv.Opened(l.from, l.kind)
	p.recv.Writable(l.to, l.kind)
	to.poke()
	p.member.poke()
	if back := f.link(l.to, l.from); !back.lanes[l.kind].open { // the peer lives: no reason to wait
		back.lanes[l.kind].dialling, back.lanes[l.kind].backoff = false, 0
		q.dial(&back.lanes[l.kind], 0)
	}
	return true
}

// Frame implements quorum.Network.
func (p *port) Frame(size int) []byte { return make([]byte, 0, size) }

// Send implements quorum.Network.
func (p *port) Send(to uint64, kind quorum.Lane, frame []byte) bool {
	f := p.fabric
	if p.closed {
		return false
	}
	l := &f.link(p.member.id, to).lanes[kind]
	if !l.open {
		return false
	}
	if l.bytes > 0 && l.bytes+len(frame) > laneBytesMax[kind] {
		l.refused = true
		return false
	}
	f.trace.add(uint64(kind)<<60 | l.from<<50 | to<<40 | uint64(len(frame)))
	f.trace.bytes(frame)
	if f.opt.Messages {
		f.opt.Log(fmt.Sprintf("%12v   %d->%d/%d %s", time.Duration(f.nowNs), l.from, l.to, kind, describeFrame(kind, frame)))
	}
	switch {
	case chance1000(f, f.breakMille):
		f.breakLane(l, "lost frames")
		return true
	case kind == quorum.LaneRaft && f.dropPercent > 0 && chance(f.netDice, f.dropPercent):
		return true
	}
	if kind == quorum.LaneRaft && f.twicePercent > 0 && chance(f.netDice, f.twicePercent) {
		f.fly(l, append([]byte(nil), frame...))
	}
	if kind == quorum.LaneImage && f.faults.during > 0 {
		if f.faults.during--; f.faults.during == 0 {
			id := l.to
			if f.netDice.IntN(3) == 0 {
				id = l.from
			}
			f.after(0, "crash", id, 0, func() { f.faults.stop(f.member(id), f.diskDice.IntN(101)) })
		}
	}
	if f.faults.afterVote && kind == quorum.LaneRaft && isVote(frame) {
		f.faults.voted(l.from, to)
	}
	for _, tap := range f.taps {
		var what tapped
		if frame, what = tap(l.from, to, kind, frame); what == tapDrop {
			return true
		}
	}
	f.fly(l, frame)
	return true
}

// isVote says whether a frame gives a vote that counts.
func isVote(frame []byte) bool {
	var m pb.Message
	return frame[0] == frameRaft && proto.Unmarshal(frame[1:], &m) == nil && m.GetType() == pb.MsgVoteResp && !m.GetReject()
}

func chance1000(f *fabric, mille int) bool { return mille > 0 && f.netDice.IntN(1000) < mille }

// fly puts a frame on its way.
func (f *fabric) fly(l *lane, frame []byte) {
	d := spread(f.netDice, f.delay)
	if f.laneDelay > 0 && (f.nowNs/int64(f.laneDelay)+int64(l.kind))%2 == 0 {
		d += time.Duration(f.netDice.Int64N(int64(f.laneDelay)))
	}
	if l.slow {
		d += spread(f.netDice, f.slow)
	}
	l.lastNs = max(l.lastNs, f.nowNs+int64(d))
	l.frames = append(l.frames, flying{l.lastNs, frame})
	l.bytes += len(frame)
	f.deliver(l)
}

// deliver plans the arrival of the first frame of a lane.
func (f *fabric) deliver(l *lane) {
	if l.busy || len(l.frames) == 0 || l.cut || l.held {
		return
	}
	to := f.member(l.to)
	if to == nil || to.paused {
		return // it goes on when the member does
	}
	l.busy = true
	number := l.number
	f.at(l.frames[0].atNs, "frame", l.from, l.to<<8|uint64(l.kind), func() {
		if l.number != number {
			return
		}
		l.busy = false
		if len(l.frames) == 0 || l.cut || l.held || to.paused || !to.up() {
			return
		}
		frame := l.frames[0].frame
		l.frames = l.frames[1:]
		l.bytes -= len(frame)
		if !to.port.recv.Receive(l.from, l.kind, frame) {
			l.held = true
		}
		to.poke()
		if l.refused && l.bytes <= laneBytesMax[l.kind]/2 {
			l.refused = false
			if from := f.member(l.from); from.up() {
				from.port.recv.Writable(l.to, l.kind)
				from.poke()
			}
		}
		f.deliver(l)
	})
}

// Reset implements quorum.Network.
func (p *port) Reset(to uint64, kind quorum.Lane) {
	l := &p.fabric.link(p.member.id, to).lanes[kind]
	if !l.open {
		return
	}
	p.fabric.shut(l)
	p.fabric.tellEnded(l)
	p.dial(l, 0)
}

// Resume implements quorum.Network.
func (p *port) Resume(from uint64, kind quorum.Lane) {
	l := &p.fabric.link(from, p.member.id).lanes[kind]
	l.held = false
	p.fabric.deliver(l)
}

// Close implements quorum.Network.
func (p *port) Close() error {
	p.fabric.unplug(p)
	return nil
}

// unplug is the end of a member's run: its sockets close, and those peers that can be reached learn of it at once.
func (f *fabric) unplug(p *port) {
	if p.closed {
		return
	}
	p.closed = true
	for _, o := range f.members {
		if o.id == p.member.id {
			continue
		}
		out, in := f.link(p.member.id, o.id), f.link(o.id, p.member.id)
		for i := range out.lanes {
			if l := &out.lanes[i]; l.open {
				f.trickle(l)
				f.shut(l)
				f.tellEnded(l)
			}
			out.lanes[i].dialling = false
			if l := &in.lanes[i]; l.open {
				f.shut(l)
				f.tellBroken(l)
			}
		}
	}
}

// hangUp ends all lanes from one member to another, with both ends told.
func (f *fabric) hangUp(from, to uint64) {
	ln := f.link(from, to)
	for i := range ln.lanes {
		if l := &ln.lanes[i]; l.open {
			f.shut(l)
			f.tellEnded(l)
			f.tellBroken(l)
		}
	}
}

// breakLane ends a stream for both ends. What was under way is lost, or some of it arrives before the receiver learns.
func (f *fabric) breakLane(l *lane, why string) {
	if !l.open {
		return
	}
	f.tell("lane %d->%d/%d breaks: %s", l.from, l.to, l.kind, why)
	f.trickle(l)
	f.shut(l)
	f.tellEnded(l)
	f.tellBroken(l)
}

// trickle lets some of what is under way arrive before a stream ends.
func (f *fabric) trickle(l *lane) {
	to := f.member(l.to)
	if to == nil || !to.up() || to.paused || l.cut || l.held || len(l.frames) == 0 {
		return
	}
	for n := f.netDice.IntN(len(l.frames) + 1); n > 0 && !l.held; n-- {
		if !to.port.recv.Receive(l.from, l.kind, l.frames[0].frame) {
			l.held = true
		}
		l.frames = l.frames[1:]
	}
	to.poke()
}

// shut forgets what is under way.
func (f *fabric) shut(l *lane) {
	l.open, l.frames, l.bytes, l.busy, l.refused, l.held = false, nil, 0, false, false, false
	l.number++
}

// tellEnded has the receiver learn of the end of a stream, and dial the other way: the peer may live.
func (f *fabric) tellEnded(l *lane) {
	if to := f.member(l.to); to != nil && to.up() {
		l.endOwed = to.port
		f.reach(l, to, &l.endOwed, "ended", func(p *port) {
			p.recv.Ended(l.from, l.kind)
			p.dial(&f.link(l.to, l.from).lanes[l.kind], 0)
		})
	}
}

// tellBroken has the sender learn of it, and dial again.
func (f *fabric) tellBroken(l *lane) {
	if from := f.member(l.from); from != nil && from.up() {
		l.brokenOwed = from.port
		f.reach(l, from, &l.brokenOwed, "broken", func(p *port) {
			p.recv.Broken(l.to, l.kind)
			p.dial(l, 0)
		})
	}
}

// reach tells one end of a lane what it is owed: soon, or when its own timeout says so if the link is cut.
func (f *fabric) reach(l *lane, m *member, owed **port, what string, do func(p *port)) {
	p := *owed
	wait := spread(f.netDice, f.delay)
	if l.cut {
		wait = userTimeout
	}
	var try func()
	try = func() {
		switch {
		case *owed != p || p.closed:
		case m.paused:
			f.after(20*time.Millisecond, what, l.from, l.to, try)
		default:
			*owed = nil
			do(p)
			m.poke()
		}
	}
	f.after(wait, what, l.from, l.to, try)
}

// setCut cuts or heals one direction. A stream over a cut link breaks when nobody has acknowledged its data for too long.
func (f *fabric) setCut(from, to uint64, cut bool) {
	l := f.link(from, to)
	if l.cut == cut {
		return
	}
	l.cut = cut
	if !cut {
		for i := range l.lanes {
			f.deliver(&l.lanes[i])
		}
		return
	}
	l.cutNs = f.nowNs
	since := l.cutNs
	f.after(userTimeout, "timeout", from, to, func() {
		if !l.cut || l.cutNs != since {
			return
		}
		back := f.link(to, from)
		for i := range l.lanes { // acknowledgements of the other direction travel here too
			f.breakLane(&l.lanes[i], "timeout")
			f.breakLane(&back.lanes[i], "timeout of acknowledgements")
		}
	})
}

// resume has everything that waited for a paused member go on.
func (f *fabric) resume(id uint64) {
	for _, o := range f.members {
		if o.id == id {
			continue
		}
		l := f.link(o.id, id)
		for i := range l.lanes {
			f.deliver(&l.lanes[i])
		}
	}
}

func (f *fabric) member(id uint64) *member {
	for _, m := range f.members {
		if m.id == id {
			return m
		}
	}
	return nil
}

// describeFrame says what a frame is, for the eyes of whoever looks for a bug.
func describeFrame(kind quorum.Lane, frame []byte) string {
	if len(frame) == 0 {
		return "nothing, to keep the lane open"
	}
	var m pb.Message
	if kind == quorum.LaneRaft && proto.Unmarshal(frame[1:], &m) == nil && m.Type != nil {
		return fmt.Sprintf("%v term=%d index=%d logTerm=%d entries=%d commit=%d reject=%v hint=%d",
			m.GetType(), m.GetTerm(), m.GetIndex(), m.GetLogTerm(), len(m.GetEntries()), m.GetCommit(), m.GetReject(), m.GetRejectHint())
	}
	return fmt.Sprintf("frame of kind %d, %d bytes", frame[0], len(frame))
}
