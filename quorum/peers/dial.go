package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"holt/quorum"
)

var laneNames = [quorum.LanesMax]string{quorum.LaneRaft: "raft", quorum.LaneForward: "forward", quorum.LaneImage: "image"}

// Causes of an end that this side brings about.
var (
	errReplaced  = errors.New("a newer stream took its place")
	errRestarted = errors.New("the member has restarted since")
	errReset     = errors.New("reset on request")
	errMoved     = errors.New("the member's address changed")
	errHeard     = errors.New("begun anew, because the member was heard of")
)

func notMember(from, self uint64) string {
	return fmt.Sprintf("member %d is not among the members that member %d knows: add it with reconfig, or compare the server.N lines", from, self)
}

func twins(from uint64) string {
	return fmt.Sprintf("another process has become member %d since: two servers have the same id", from)
}

// dial opens a connection to the peer and does the handshake.
func (l *outLane) dial() (*outStream, error) {
	ctx, cancel := context.WithCancel(l.net.ctx)
	defer cancel()
	l.mu.Lock()
	addr := l.addr
	l.connecting, l.since = cancel, time.Now()
	l.mu.Unlock()
	raw, err := l.net.cfg.Dial(ctx, addr)
	l.mu.Lock()
	l.connecting = nil
	l.mu.Unlock()
	if err != nil {
		if ctx.Err() != nil {
			err = errHeard
		}
		return nil, err
	}
	s, err := l.greet(raw, addr)
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	return s, nil
}

// greet does the dialler's part of a handshake.
func (l *outLane) greet(raw net.Conn, addr string) (*outStream, error) {
	n := l.net
	ctx, cancel := context.WithTimeout(n.ctx, handshakeTimeout)
	defer cancel()
	defer context.AfterFunc(n.ctx, func() { _ = raw.Close() })()
	_ = raw.SetDeadline(time.Now().Add(handshakeTimeout))
	tune(raw)
	if l.lane == quorum.LaneRaft {
		limitSilence(raw)
	}
	c := raw
	if n.cfg.Wrap != nil {
		var err error
		if c, err = n.cfg.Wrap(ctx, raw, &quorum.Peer{ID: l.peer.id, Addr: addr}); err != nil {
			return nil, err
		}
	}
	n.mu.Lock()
	st := n.stance
	n.mu.Unlock()
	if _, err := c.Write(appendHello(nil, &hello{
		versionMin: st.versionMin, versionMax: st.versionMax, lane: l.lane, promised: st.promised,
		cluster: st.cluster, from: st.id, to: l.peer.id, process: st.process, ensemble: st.ensemble,
	})); err != nil {
		return nil, err
	}
	r, err := readReply(c)
	if err != nil {
		return nil, fmt.Errorf("no answer to the handshake: %w", err)
	}
	if err := st.accept(&r, l.peer.id); err != nil {
		return nil, err
	}
	_ = raw.SetDeadline(time.Time{})
	return &outStream{
		conn: c, raw: raw, addr: addr, stop: make(chan struct{}),
		hello: quorum.Hello{Cluster: r.cluster, Process: r.process, Version: r.version, Promised: r.promised},
	}, nil
}

// dialTCP resolves addr anew and tries what it resolves to, in order.
func dialTCP(ctx context.Context, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	ips, err := resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: connectTimeout}
	var c net.Conn
	for _, ip := range ips {
		if c, err = d.DialContext(ctx, "tcp", net.JoinHostPort(ip.Unmap().String(), port)); err == nil {
			return c, nil
		}
	}
	return nil, err
}

func resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err == nil && len(ips) == 0 {
		err = &net.DNSError{Err: "no addresses", Name: host, IsNotFound: true}
	}
	return ips, err
}

// tune has the kernel send at once, and find out by itself when the other side is gone.
func tune(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetNoDelay(true)
		_ = t.SetKeepAliveConfig(net.KeepAliveConfig{
			Enable: true, Idle: keepAliveIdle, Interval: keepAliveIdle, Count: keepAliveCount,
		})
	}
}

// limitSilence bounds how long a raft stream may lack the other side's acknowledgement. The other lanes go without:
// their receivers may stop reading, which looks the same to the kernel.
func limitSilence(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = setUserTimeout(t, raftUserTimeout)
	}
}

// timedOut says that an error means silence of the other machine, not a word of it.
func timedOut(err error) bool {
	return errors.Is(err, syscall.ETIMEDOUT) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH)
}

// reason words an error without what differs from attempt to attempt, such as local ports.
func reason(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	var said refusal
	switch {
	case errors.As(err, &said):
		return string(said)
	case errors.As(err, &dns):
		return "cannot resolve " + dns.Name + ": " + dns.Err
	case errors.As(err, &op):
		return op.Op + ": " + reason(op.Err)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed by the other side during the handshake: is it a Holt member?"
	}
	return err.Error()
}

// pause is the time between attempts that fail.
type pause struct{ last time.Duration }

func (p *pause) reset() { p.last = 0 }

func (p *pause) next() time.Duration {
	p.last = min(max(2*p.last, dialPauseMin), dialPauseMax)
	return p.last - rand.N(p.last/4)
}

// sleep waits for d; false: ctx is done.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
