package sim

import (
	"time"

	"holt/netloop"
	"holt/tree"
)

// wire is the network between clients and members.
type wire struct {
	*world
	delay time.Duration
	cut   map[[2]uint64]bool // client and member: nothing passes, either way
	chop  bool               // bytes arrive in small pieces
}

// pipe is one connection of a client to a member.
type pipe struct {
	*wire
	client  *client
	member  *member
	run     uint64 // of the member's process
	conn    *netloop.SteppedConn
	origin  tree.Origin
	loop    int
	session tree.SessionID // as the client knows it

	toServer, toClient stream
	held               bool // the server does not read
	over               bool // the client has given it up
	slow               bool // the client does not read

	issued    []issue // writes in the order they were sent
	committed int     // how many of them the log holds
}

// issue is a write as the checks see it.
type issue struct {
	op     tree.Op
	path   string
	data   string // nobody else writes it
	sentNs int64
}

// stream is one direction: bytes arrive in order, then perhaps the end.
type stream struct {
	p       *pipe
	what    string
	flying  []flying // a nil frame is the end
	bytes   int
	busy    bool
	lastNs  int64
	blocked func() bool
	take    func(b []byte)
	end     func()
}

func (s *stream) send(b []byte) {
	w := s.p.wire
	s.lastNs = max(s.lastNs, w.nowNs+int64(spread(w.netDice, w.delay)))
	s.flying = append(s.flying, flying{s.lastNs, b})
	s.bytes += len(b)
	s.pump()
}

// pump plans the next arrival.
func (s *stream) pump() {
	if s.busy || len(s.flying) == 0 || s.blocked() {
		return
	}
	s.busy = true
	s.p.at(s.flying[0].atNs, s.what, uint64(s.p.client.id), s.p.member.id, func() {
		s.busy = false
		if len(s.flying) == 0 || s.blocked() {
			return
		}
		b := s.flying[0].frame
		if n := len(b); s.p.chop && n > 1 && chance(s.p.netDice, 50) {
			n = 1 + s.p.netDice.IntN(n-1)
			b, s.flying[0].frame = b[:n], b[n:]
		} else {
			s.flying = s.flying[1:]
		}
		s.bytes -= len(b)
		if b == nil {
			s.flying = nil
			s.end()
			return
		}
		s.take(b)
		s.pump()
	})
}

// connect opens a connection. done is told whether that worked.
func (w *wire) connect(c *client, m *member, done func(p *pipe)) {
	refused := func(d time.Duration) {
		w.after(d, "refused", uint64(c.id), m.id, func() { done(nil) })
	}
	w.after(spread(w.netDice, 2*w.delay), "connect", uint64(c.id), m.id, func() {
		if !m.up() || m.server == nil {
			refused(w.delay)
			return
		}
		if m.paused || w.cut[[2]uint64{uint64(c.id), m.id}] {
			refused(300 * time.Millisecond)
			return
		}
		p := &pipe{wire: w, client: c, member: m, run: m.run}
		p.toServer = stream{p: p, what: "request", lastNs: w.nowNs, blocked: p.serverDeaf, take: p.request, end: p.clientGone}
		p.toClient = stream{p: p, what: "reply", lastNs: w.nowNs, blocked: p.clientDeaf, take: p.reply, end: p.serverGone}
		p.loop = w.netDice.IntN(loops)
		m.do(func() {
			p.conn = m.server.Connect(p.loop, p, "10.0.0.1:1")
			p.origin = p.conn.Origin()
		})
		if !m.up() || m.run != p.run {
			refused(w.delay)
			return
		}
		m.conns = append(m.conns, p)
		w.truth.origins[p.origin] = p
		done(p)
	})
}

func (p *pipe) alive() bool { return p.member.up() && p.member.run == p.run }

func (p *pipe) isCut() bool { return p.cut[[2]uint64{uint64(p.client.id), p.member.id}] }

func (p *pipe) serverDeaf() bool { return !p.alive() || p.member.paused || p.held || p.isCut() }
func (p *pipe) clientDeaf() bool { return p.slow || p.isCut() }

// request arrives at the server.
func (p *pipe) request(b []byte) {
	if p.session != 0 {
		p.truth.heard(p.session, p.member)
	}
	p.member.do(func() { p.conn.Receive(b) })
	p.member.poke()
}

// clientGone is the client's end of stream as the server sees it.
func (p *pipe) clientGone() {
	p.member.do(p.conn.Gone)
	p.member.poke()
}

func (p *pipe) reply(b []byte) {
	if !p.over {
		p.client.receive(p, b)
	}
}

func (p *pipe) serverGone() {
	if !p.over {
		p.over = true
		p.client.lost(p, "the server closed")
	}
}

// serverDied is the end of the member's process. What it had sent may still arrive.
func (p *pipe) serverDied() {
	keep := p.netDice.IntN(len(p.toClient.flying) + 1)
	p.toClient.flying = p.toClient.flying[:keep]
	p.toServer.flying = nil
	p.toClient.send(nil)
}

// hangUp is the client ending the connection. What it had sent may still arrive.
func (p *pipe) hangUp() {
	p.over = true
	keep := p.netDice.IntN(len(p.toServer.flying) + 1)
	p.toServer.flying = p.toServer.flying[:keep]
	if p.alive() {
		p.toServer.send(nil)
	}
}

// Write implements netloop.Stream.
func (p *pipe) Write(b []byte) {
	p.trace.bytes(b)
	p.toClient.send(append([]byte(nil), b...))
}

// Close implements netloop.Stream. Unsent replies may be lost with a reset.
func (p *pipe) Close() {
	if chance(p.netDice, 30) {
		p.toClient.flying = p.toClient.flying[:p.netDice.IntN(len(p.toClient.flying)+1)]
	}
	p.toClient.send(nil)
}

// Outbound implements netloop.Stream.
func (p *pipe) Outbound() int {
	if p.slow {
		return p.toClient.bytes
	}
	return 0
}

// Pause implements netloop.Stream.
func (p *pipe) Pause() { p.held = true }

// Resume implements netloop.Stream.
func (p *pipe) Resume() {
	p.held = false
	p.toServer.pump()
}
