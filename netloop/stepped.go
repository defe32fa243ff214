package netloop

import (
	"errors"
	"net"
	"time"

	"holt/tree"
)

// Stepped is a Server that owns no goroutine and no socket, for simulations: whoever runs it opens connections, hands
// over what they received, and says when loops have their turns and when time has passed. What it decides is what a
// Server decides, by the same code. One goroutine calls everything.
type Stepped struct {
	*Server
	planned func(loop int, d time.Duration)
	inline  bool  // Wake runs the loop at once
	lastNs  int64 // the time that Tick has counted
}

// Stream is the byte stream of a connection of a Stepped server.
type Stream interface {
	Write(b []byte) // takes all of b, which is not kept
	Close()
	Outbound() int // bytes that were written and not yet sent
	Pause()        // until Resume nothing that was received should be handed over
	Resume()
}

// NewStepped makes a server that serves what q commits. planned is called when loop should have its turn, in d or later.
func NewStepped(cfg Config, q Quorum, planned func(loop int, d time.Duration)) (*Stepped, error) {
	base, err := New(cfg)
	if err != nil {
		return nil, err
	}
	s := &Stepped{Server: base, planned: planned, lastNs: base.cfg.NowNs()}
	s.quorum = q
	s.makeLoops()
	for _, l := range s.loops {
		l.host = &steppedHost{server: s, loop: l}
	}
	s.follow()
	return s, nil
}

// Turn gives a loop its turn.
func (s *Stepped) Turn(loop int) { s.loops[loop].turn() }

// Interval is how often Tick is to be called.
func (s *Stepped) Interval() time.Duration { return s.clock.interval(s.quorum.Status().Alone) }

// Tick does what the clock of a server does at each interval: it asks the loops whom they heard of, and counts the time.
func (s *Stepped) Tick() {
	for _, l := range s.loops {
		l.turn() // so that nothing is planned and each question is answered at once
	}
	s.inline = true
	defer func() { s.inline = false }()
	s.clock.count(&s.lastNs)
}

// ReapInterval is how often Reap is to be called.
func (s *Stepped) ReapInterval() time.Duration { return s.clock.reaper.interval() }

// Reap looks for containers and TTL nodes to remove.
func (s *Stepped) Reap() { s.clock.reaper.look() }

// Connect takes in a connection from addr, ip:port.
func (s *Stepped) Connect(loop int, k Stream, addr string) *SteppedConn {
	ip, _, err := net.SplitHostPort(addr)
	if err != nil {
		ip = addr
	}
	c := &SteppedConn{stream: k, loop: s.loops[loop]}
	c.conn = c.loop.attach((*steppedLink)(c), addr, ip)
	return c
}

// SteppedConn is a connection of a Stepped server.
type SteppedConn struct {
	stream Stream
	loop   *loop
	conn   *conn
	gone   bool
}

// Receive hands over bytes of the client.
func (c *SteppedConn) Receive(b []byte) {
	if !c.gone {
		c.loop.receive(c.conn, b)
	}
}

// Origin is how commands name the connection.
func (c *SteppedConn) Origin() tree.Origin { return c.conn.origin() }

// Gone says that the other side has ended the stream.
func (c *SteppedConn) Gone() {
	if !c.gone {
		c.gone = true
		c.loop.forget(c.conn)
	}
}

// steppedHost implements host.
type steppedHost struct {
	server *Stepped
	loop   *loop
}

func (h *steppedHost) Wake() {
	if h.server.inline {
		h.loop.turn()
		return
	}
	h.server.planned(int(h.loop.index), 0)
}

func (h *steppedHost) Again()                { h.server.planned(int(h.loop.index), 0) }
func (h *steppedHost) After(d time.Duration) { h.server.planned(int(h.loop.index), d) }
func (h *steppedHost) Yield()                {}

// steppedLink implements link.
type steppedLink SteppedConn

func (k *steppedLink) Write(b []byte) { k.stream.Write(b) }

func (k *steppedLink) Close() {
	if !k.gone {
		k.gone = true
		k.stream.Close()
		k.loop.forget(k.conn)
	}
}

func (k *steppedLink) Outbound() int { return k.stream.Outbound() }
func (k *steppedLink) Resume()       { k.stream.Resume() }

func (k *steppedLink) Pause() bool {
	k.stream.Pause()
	return true
}

func (k *steppedLink) Detach() (net.Conn, error) { return nil, errors.ErrUnsupported }
