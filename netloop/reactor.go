package netloop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/panjf2000/gnet/v2"
	"github.com/panjf2000/gnet/v2/pkg/logging"
)

// reactor runs loops on gnet's event loops. It decides nothing: bytes go to the loops, their output to the sockets.
//
// It uses gnet's client engine, which is the server's without a listener: connections come from our own acceptor, since
// gnet's stops the whole engine at the first EMFILE. What else of gnet needs care, checked against v2.10.0:
//
//   - An Execute from within a task runs in the same round, so a loop that continues its work that way never polls its
//     sockets in between. Again therefore goes through a socket pair that the loop polls like any other connection.
//   - Execute on a loop whose engine has been stopped writes to a descriptor number that may belong to somebody else by
//     then. Wake and stop therefore exclude each other.
//   - release puts the bytes of an IPv6 zone's name into a pool of writable buffers. Addresses are enrolled without one.
//   - Registering with epoll can fail after the engine has reported success; then OnOpen was not called.
//   - Inbound bytes are taken whole from each OnTraffic, so that gnet's ring buffer, which copies and allocates, stays
//     empty. What a loop cannot use yet it keeps itself, within its own bounds.
//   - A failing Write closes the connection, and so calls OnClose, before it returns.
//   - Flush and ReadFrom stall a level-triggered connection; AsyncWrite allocates. None is used.
//   - gnet neither pauses reading nor bounds output: see pause_linux.go and loop.restrain.
type reactor struct {
	gnet.BuiltinEventEngine
	client *gnet.Client
	log    *slog.Logger
	hosts  []*gnetHost
	byLoop map[gnet.EventLoop]*gnetHost // complete before the first client connects

	mu      sync.RWMutex // held for reading by Wake
	stopped bool
}

// gnetHost is the host of one loop.
type gnetHost struct {
	reactor *reactor
	loop    *loop
	gnet    gnet.EventLoop
	epoll   int           // descriptor to pause reading with, -1 if unknown
	self    *net.UnixConn // our end of the pair
	selfRaw syscall.RawConn
	again   bool
	armed   atomic.Bool
	timer   *time.Timer
	yield   yield
}

// yield is what gnet runs after Yield.
type yield struct{ asked bool }

// Run implements gnet's Runnable.
func (y *yield) Run(context.Context) error {
	y.asked = false
	runtime.Gosched()
	return nil
}

// arrival is an accepted connection on its way to a loop.
type arrival struct {
	addr, ip string
	release  func() // to be called once when the connection has gone
	opened   bool   // OnOpen was called
}

func startReactor(loops []*loop, log *slog.Logger) (*reactor, error) {
	r := &reactor{log: log, byLoop: map[gnet.EventLoop]*gnetHost{}}
	client, err := gnet.NewClient(r, gnet.WithNumEventLoop(len(loops)), gnet.WithLogger(gnetLogger{log}),
		gnet.WithLogLevel(logging.ErrorLevel), gnet.WithTCPNoDelay(gnet.TCPNoDelay))
	if err != nil {
		return nil, fmt.Errorf("netloop: %w", err)
	}
	if err := client.Start(); err != nil {
		return nil, fmt.Errorf("netloop: starting event loops: %w", err)
	}
	r.client = client
	for _, l := range loops {
		if err := r.addHost(l); err != nil {
			return nil, errors.Join(err, r.stop())
		}
	}
	return r, nil
}

// addHost finds the next event loop: the engine puts a connection where there are fewest, and so the n-th of these
// pairs on the n-th loop.
func (r *reactor) addHost(l *loop) error {
	far, near, err := socketPair()
	if err != nil {
		return fmt.Errorf("netloop: event loop %d: %w", l.index, err)
	}
	h := &gnetHost{reactor: r, loop: l, epoll: -1, self: near}
	l.host = h
	h.timer = time.AfterFunc(time.Hour, func() {
		h.armed.Store(false)
		l.wake()
	})
	h.timer.Stop()
	r.hosts = append(r.hosts, h)
	if h.selfRaw, err = near.SyscallConn(); err != nil {
		return fmt.Errorf("netloop: event loop %d: %w", l.index, err)
	}
	c, err := r.client.EnrollContext(far, h)
	if err != nil {
		return fmt.Errorf("netloop: event loop %d: %w", l.index, err)
	}
	h.gnet = c.EventLoop()
	if r.byLoop[h.gnet] != nil {
		return fmt.Errorf("netloop: event loop %d was given twice", l.index)
	}
	r.byLoop[h.gnet] = h
	h.epoll = findEpoll(c.Fd())
	if h.epoll < 0 {
		r.log.Warn("reading cannot be paused here; connections that send much while they have to wait will be closed", "loop", l.index)
	}
	return nil
}

func socketPair() (a, b *net.UnixConn, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		syscall.CloseOnExec(fd)
		f := os.NewFile(uintptr(fd), "loop")
		c, e := net.FileConn(f)
		err = errors.Join(err, e, f.Close())
		if e == nil {
			ends[i] = c.(*net.UnixConn)
		}
	}
	if err != nil {
		return nil, nil, errors.Join(err, closeAll(ends[:]...))
	}
	return ends[0], ends[1], nil
}

func closeAll(conns ...*net.UnixConn) error {
	var err error
	for _, c := range conns {
		if c != nil {
			err = errors.Join(err, c.Close())
		}
	}
	return err
}

// enroll hands an accepted connection to the loop with fewest. The connection is closed if that fails.
func (r *reactor) enroll(c *net.TCPConn, a *arrival) error {
	for _, addr := range []net.Addr{c.LocalAddr(), c.RemoteAddr()} {
		if t, ok := addr.(*net.TCPAddr); ok {
			t.Zone = "" // ours alone by now: nobody else has this connection
		}
	}
	if _, err := r.client.EnrollContext(c, a); err != nil {
		return err
	}
	if !a.opened {
		return errors.New("the connection could not be polled")
	}
	return nil
}

// stop ends the event loops; all connections are closed.
func (r *reactor) stop() error {
	r.mu.Lock()
	stopped := r.stopped
	r.stopped = true
	r.mu.Unlock()
	if stopped {
		return nil
	}
	for _, h := range r.hosts {
		h.timer.Stop()
	}
	err := r.client.Stop()
	for _, h := range r.hosts {
		err = errors.Join(err, h.self.Close())
	}
	return err
}

// OnOpen attaches a connection to the loop that gnet chose.
func (r *reactor) OnOpen(c gnet.Conn) ([]byte, gnet.Action) {
	a, ok := c.Context().(*arrival)
	if !ok {
		return nil, gnet.None // the far end of a host's pair
	}
	a.opened = true
	h := r.byLoop[c.EventLoop()]
	k := &gnetLink{host: h, gnet: c, release: a.release}
	k.conn = h.loop.attach(k, a.addr, a.ip)
	c.SetContext(k)
	return nil, gnet.None
}

// OnTraffic hands over what was read.
func (r *reactor) OnTraffic(c gnet.Conn) gnet.Action {
	switch k := c.Context().(type) {
	case *gnetLink:
		b, _ := c.Peek(-1)
		k.host.loop.receive(k.conn, b)
		if !k.gone {
			_, _ = c.Discard(-1)
		}
	case *gnetHost:
		_, _ = c.Discard(-1)
		k.again = false
		k.loop.turn()
	}
	return gnet.None
}

// OnClose tells the loop that a connection has gone.
func (r *reactor) OnClose(c gnet.Conn, _ error) gnet.Action {
	if k, ok := c.Context().(*gnetLink); ok {
		k.gone = true
		k.host.loop.forget(k.conn)
		if k.release != nil {
			k.release()
		}
	}
	return gnet.None
}

// Wake implements host.
func (h *gnetHost) Wake() {
	h.reactor.mu.RLock()
	defer h.reactor.mu.RUnlock()
	if !h.reactor.stopped {
		if err := h.gnet.Execute(context.Background(), h); err != nil {
			h.reactor.log.Error("waking an event loop", "loop", h.loop.index, "err", err)
		}
	}
}

// Run is what gnet runs after Wake.
func (h *gnetHost) Run(context.Context) error {
	h.loop.turn()
	return nil
}

// Again implements host.
func (h *gnetHost) Again() {
	if h.again {
		return
	}
	h.again = true
	one := [1]byte{1}
	_ = h.selfRaw.Write(func(fd uintptr) bool {
		_, _ = syscall.Write(int(fd), one[:]) // at most one byte is ever under way, so there is room
		return true
	})
}

// After implements host.
func (h *gnetHost) After(d time.Duration) {
	if !h.armed.Swap(true) {
		h.timer.Reset(d)
	}
}

// Yield implements host. What it asks for runs when this round's connections had their turn, before the loop looks for more; gnet by
// itself gives way only when there is nothing more, and then waits in a system call that keeps its processor until Go's monitor
// takes it away.
func (h *gnetHost) Yield() {
	if h.yield.asked {
		return
	}
	h.yield.asked = true
	if err := h.gnet.Execute(context.Background(), &h.yield); err != nil {
		h.yield.asked = false
	}
}

// gnetLink is a link over a gnet connection.
type gnetLink struct {
	host    *gnetHost
	gnet    gnet.Conn
	conn    *conn
	release func()
	paused  bool
	gone    bool
}

// Write implements link.
func (k *gnetLink) Write(b []byte) {
	_, _ = k.gnet.Write(b) // an error has closed the connection already
	if k.paused && !k.gone {
		k.poll(false) // what could not be sent made gnet poll for reading too
	}
}

// Close implements link.
func (k *gnetLink) Close() {
	if !k.gone {
		_ = k.host.gnet.Close(k.gnet)
	}
}

// Outbound implements link.
func (k *gnetLink) Outbound() int { return k.gnet.OutboundBuffered() }

// Pause implements link.
func (k *gnetLink) Pause() bool {
	k.paused = true
	return k.poll(false)
}

// Resume implements link.
func (k *gnetLink) Resume() {
	k.paused = false
	k.poll(true)
}

func (k *gnetLink) poll(read bool) bool {
	return pollFor(k.host.epoll, k.gnet.Fd(), read, k.gnet.OutboundBuffered() > 0)
}

// Detach implements link. The address stays counted until the new owner is done.
func (k *gnetLink) Detach() (net.Conn, error) {
	fd, err := k.gnet.Dup()
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), k.conn.addr)
	c, err := net.FileConn(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	d := &detached{Conn: c, release: k.release}
	k.release = nil
	return d, nil
}

// detached is a connection that no loop has any more.
type detached struct {
	net.Conn
	release func()
	once    sync.Once
}

// CloseWrite ends our half, so that what was sent arrives even if the client has more to say.
func (d *detached) CloseWrite() error {
	if w, ok := d.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// Close closes the connection and gives its place back.
func (d *detached) Close() error {
	err := d.Conn.Close()
	d.once.Do(func() {
		if d.release != nil {
			d.release()
		}
	})
	return err
}

// gnetLogger passes gnet's complaints on.
type gnetLogger struct{ log *slog.Logger }

func (g gnetLogger) Debugf(f string, a ...any) { g.log.Debug("gnet: " + fmt.Sprintf(f, a...)) }
func (g gnetLogger) Infof(f string, a ...any)  { g.log.Debug("gnet: " + fmt.Sprintf(f, a...)) }
func (g gnetLogger) Warnf(f string, a ...any)  { g.log.Warn("gnet: " + fmt.Sprintf(f, a...)) }
func (g gnetLogger) Errorf(f string, a ...any) { g.log.Error("gnet: " + fmt.Sprintf(f, a...)) }
func (g gnetLogger) Fatalf(f string, a ...any) { g.log.Error("gnet: " + fmt.Sprintf(f, a...)) }
