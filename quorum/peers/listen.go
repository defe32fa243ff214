package peers

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"syscall"
	"time"

	"holt/quorum"
)

func listenTCP(ctx context.Context, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp", addr)
}

// maybeLater says that an address may become usable: it has no name yet, or this machine does not have it yet.
func maybeLater(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) || errors.Is(err, syscall.EADDRNOTAVAIL)
}

// listen waits until there is something to listen on, and accepts.
func (n *Network) listen(l net.Listener, err error) {
	var pause pause
	for l == nil {
		if n.complain.first(reason(err)) {
			n.log.Warn("cannot listen for other members yet, trying on: check this member's own address", "addr", n.cfg.Listen, "err", err)
		}
		if !sleep(n.ctx, pause.next()) {
			return
		}
		if l, err = n.cfg.ListenOn(n.ctx, n.cfg.Listen); err != nil {
			l = nil
			continue
		}
		n.mu.Lock()
		late := n.closed || n.listener != nil // Move was quicker
		if !late {
			n.listener = l
		}
		n.mu.Unlock()
		if late {
			_ = l.Close()
			return
		}
	}
	n.log.Info("listening for other members", "addr", l.Addr().String())
	n.accept(l)
}

// Move listens on another address and then no more on the one before; streams that are open stay. After an error it is as it
// was, unless both addresses have one port: then nothing listens until a Move succeeds.
func (n *Network) Move(addr string) error {
	n.mu.Lock()
	old, closed := n.listener, n.closed
	n.mu.Unlock()
	if closed {
		return net.ErrClosed
	}
	if old != nil && samePort(old.Addr(), addr) {
		_ = old.Close()
	}
	l, err := n.cfg.ListenOn(n.ctx, addr)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		_ = l.Close()
		return net.ErrClosed
	}
	if n.listener != nil {
		_ = n.listener.Close()
	}
	n.listener = l
	n.goLocked(func() { n.accept(l) })
	n.log.Info("listening for other members", "addr", l.Addr().String())
	return nil
}

func samePort(a net.Addr, addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	_, old, oldErr := net.SplitHostPort(a.String())
	return err == nil && oldErr == nil && port == old
}

// accept takes connections until the listener is closed.
func (n *Network) accept(l net.Listener) {
	var pause pause
	for {
		c, err := l.Accept()
		if err == nil {
			pause.reset()
			n.enter(c)
			continue
		}
		if n.closing() || errors.Is(err, net.ErrClosed) {
			return
		}
		if n.complain.first(reason(err)) {
			n.log.Error("accepting connections of members failed, trying on (out of file descriptors?)", "err", err)
		}
		if !sleep(n.ctx, pause.next()) {
			return
		}
	}
}

// enter starts the handshake of an accepted connection. Those that have not said who they are are few: the oldest of
// them gives way.
func (n *Network) enter(c net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		_ = c.Close()
		return
	}
	n.accepted.Add(1)
	if len(n.halfOpen) >= halfOpenMax {
		n.crowded.Add(1)
		_ = n.halfOpen[0].Close()
		n.halfOpen = slices.Delete(n.halfOpen, 0, 1)
	}
	n.halfOpen = append(n.halfOpen, c)
	n.goLocked(func() { n.admit(c) })
}

// leaveLocked takes a connection off those half open.
func (n *Network) leaveLocked(c net.Conn) {
	if i := slices.Index(n.halfOpen, c); i >= 0 {
		n.halfOpen = slices.Delete(n.halfOpen, i, i+1)
	}
}

// admit does the handshake of an accepted connection and stays as the goroutine of its stream.
func (n *Network) admit(raw net.Conn) {
	s, answer, err := n.meet(raw)
	if err == nil {
		s.run(&answer)
		return
	}
	n.mu.Lock()
	n.leaveLocked(raw)
	n.mu.Unlock()
	_ = raw.Close()
	if n.closing() || errors.Is(err, io.EOF) {
		return // of a port scanner or a health check
	}
	var said refusal
	if errors.As(err, &said) {
		n.refused.Add(1)
	} else {
		n.garbled.Add(1)
	}
	if n.complain.first(reason(err)) {
		n.log.Warn("a connection to this member's port for members was not accepted", "from", raw.RemoteAddr().String(), "why", reason(err))
	}
}

// meet reads who calls. The stream that it returns is registered as the newest of its lane.
func (n *Network) meet(raw net.Conn) (*inStream, reply, error) {
	ctx, cancel := context.WithTimeout(n.ctx, handshakeTimeout)
	defer cancel()
	_ = raw.SetDeadline(time.Now().Add(handshakeTimeout))
	tune(raw)
	c := raw
	if n.cfg.Wrap != nil {
		var err error
		if c, err = n.cfg.Wrap(ctx, raw, nil); err != nil {
			return nil, reply{}, err
		}
	}
	h, err := readHello(c)
	if err != nil {
		return nil, reply{}, err
	}
	s, answer := n.welcome(raw, c, &h)
	if s == nil {
		_, _ = c.Write(appendReply(nil, &answer))
		return nil, answer, refusal(answer.reason)
	}
	return s, answer, nil
}

// welcome decides about a caller and registers its stream; nil: refused.
func (n *Network) welcome(raw, c net.Conn, h *hello) (*inStream, reply) {
	n.mu.Lock()
	defer n.mu.Unlock()
	answer := reply{promised: n.stance.promised, cluster: n.stance.cluster, id: n.cfg.ID, process: n.cfg.Process}
	var why string
	answer.version, why = n.stance.judge(h)
	p := n.peers[h.from]
	switch {
	case why != "":
	case n.closed:
		why = "this member is stopping"
	case p == nil || p.addr == "":
		why = notMember(h.from, n.cfg.ID)
	case !p.greetLocked(h.process):
		why = twins(h.from)
	}
	if why != "" {
		answer.refused, answer.reason = true, why
		return nil, answer
	}
	n.leaveLocked(raw)
	_ = raw.SetDeadline(time.Time{})
	if h.lane == quorum.LaneRaft {
		limitSilence(raw)
	}
	s := &inStream{
		net: n, peer: p, lane: h.lane, conn: c, raw: raw,
		hello: quorum.Hello{Cluster: h.cluster, Process: h.process, Version: answer.version, Promised: h.promised},
		gone:  make(chan struct{}), stop: make(chan struct{}), resume: make(chan struct{}, 1),
	}
	in := &p.in[h.lane]
	if in.tail != nil {
		in.tail.end(errReplaced)
		s.before = in.tail.gone
	}
	in.tail = s
	return s, answer
}

// greetLocked notes which run of the peer speaks. One that another had already replaced is refused: two servers would
// throw each other out for ever.
func (p *peer) greetLocked(process uint32) bool {
	switch process {
	case p.process:
		return true
	case p.former:
		return false
	}
	p.former, p.process = p.process, process
	p.endIncomingLocked(errRestarted, process)
	return true
}
