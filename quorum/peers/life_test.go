package peers

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"holt/quorum"
)

// restart closes m, which ends all its connections as killing its process does, and starts it anew at the same place.
func (m *member) restart(t *testing.T, idle time.Duration) *member {
	t.Helper()
	addr := m.Addr().String()
	m.Close()
	time.Sleep(idle)
	return start(t, m.cfg.ID, func(c *Config) { c.Listen = addr })
}

// A member that is killed is missed at once. When it is back, streams both ways are there at once, also when the others
// had come to dial it once a second only.
func TestReconnectAtOnce(t *testing.T) {
	for _, away := range []time.Duration{0, 2500 * time.Millisecond} {
		for try := 1; ; try++ {
			missed, took := reconnect(t, away)
			t.Logf("away for %v: missed after %v, streams both ways %v after it was back", away, missed, took)
			if missed < 200*time.Millisecond && took < 400*time.Millisecond {
				break
			}
			if try == 4 { // a busy machine is not slow every time
				t.Fatal("too slow")
			}
		}
	}
}

func reconnect(t *testing.T, away time.Duration) (missed, took time.Duration) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	defer a.Close()
	join(a, b)
	a.awaitKind(t, 1, "opened", 2, quorum.LaneRaft)
	a.awaitKind(t, 1, "writable", 2, quorum.LaneRaft)
	killed := time.Now()
	again := make(chan *member)
	go func() { again <- b.restart(t, away) }()
	a.awaitKind(t, 1, "ended", 2, quorum.LaneRaft)
	missed = time.Since(killed)
	a.awaitKind(t, 1, "broken", 2, quorum.LaneRaft)
	b = <-again
	defer b.Close()
	back := time.Now()
	b.SetPeers([]quorum.Peer{a.peer()})
	a.awaitKind(t, 2, "opened", 2, quorum.LaneRaft)
	a.awaitKind(t, 2, "writable", 2, quorum.LaneRaft)
	b.awaitKind(t, 1, "opened", 1, quorum.LaneRaft)
	return missed, time.Since(back)
}

// A peer's new run is heard of while a stream to the earlier one still looks alive, as after a loss of power: that stream
// is given up at once.
func TestRestartedBehindALiveStream(t *testing.T) {
	a := start(t, 1, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	answers := make(chan net.Conn, 10)
	go func() {
		for p := uint32(100); ; p += 100 {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := readHello(c); err == nil {
				c.Write(appendReply(nil, &reply{version: 1, id: 2, process: p}))
			}
			answers <- c
		}
	}()
	a.SetPeers([]quorum.Peer{{ID: 2, Addr: l.Addr().String()}})
	defer func() { (<-answers).Close() }()
	a.awaitKind(t, 1, "writable", 2, quorum.LaneRaft)
	caller(t, a, hello{from: 2, process: 200, lane: quorum.LaneForward})
	a.awaitKind(t, 1, "broken", 2, quorum.LaneRaft)
	a.awaitKind(t, 2, "writable", 2, quorum.LaneRaft)
	(<-answers).Close()
}

func TestSetPeers(t *testing.T) {
	a, b, b2 := start(t, 1, nil), start(t, 2, nil), start(t, 2, nil)
	b.SetPeers([]quorum.Peer{a.peer()})
	b2.SetPeers([]quorum.Peer{{ID: 1, Addr: freeAddr(t)}})
	a.SetPeers([]quorum.Peer{b.peer(), a.peer()})
	a.awaitKind(t, 1, "writable", 2, quorum.LaneRaft)
	a.awaitKind(t, 1, "opened", 2, quorum.LaneRaft)
	a.mustSend(t, 2, quorum.LaneForward, []byte("to b"))
	b.awaitKind(t, 1, "receive", 1, quorum.LaneForward)

	// The same again changes nothing. Another address moves the outgoing streams; those that are dialled again are
	// raft's, and forward's because one was there.
	a.SetPeers([]quorum.Peer{b.peer()})
	a.SetPeers([]quorum.Peer{b2.peer()})
	a.awaitKind(t, 1, "broken", 2, quorum.LaneForward)
	a.awaitKind(t, 2, "writable", 2, quorum.LaneRaft)
	b2.awaitKind(t, 1, "opened", 1, quorum.LaneRaft)
	a.mustSend(t, 2, quorum.LaneForward, []byte("to b2"))
	b2.awaitKind(t, 1, "receive", 1, quorum.LaneForward)
	if n := a.count("broken", 2, quorum.LaneRaft); n != 1 {
		t.Errorf("Broken %d times", n)
	}
	if a.count("ended", 2, quorum.LaneRaft) != 0 {
		t.Error("an incoming stream ended because of an address")
	}

	// No member any more: nothing stays, nothing comes back.
	a.SetPeers(nil)
	a.awaitKind(t, 2, "broken", 2, quorum.LaneRaft)
	a.awaitKind(t, 1, "ended", 2, quorum.LaneRaft)
	if a.Send(2, quorum.LaneRaft, []byte("x")) || a.Send(9, quorum.LaneRaft, []byte("x")) {
		t.Error("Send to one who is no member")
	}
	for b.Stats().Peers[0].Lanes[quorum.LaneRaft].DialsFailed < 2 {
		time.Sleep(time.Millisecond)
	}

	a.SetPeers([]quorum.Peer{b.peer()})
	a.awaitKind(t, 3, "writable", 2, quorum.LaneRaft)
	a.awaitKind(t, 2, "opened", 2, quorum.LaneRaft)
}

// Reset is not told as Broken, and what is sent later goes over a new stream.
func TestReset(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	join(a, b)
	for i, lane := range []quorum.Lane{quorum.LaneForward, quorum.LaneForward, quorum.LaneForward, quorum.LaneRaft} {
		a.mustSend(t, 2, lane, []byte{byte(i)})
		b.awaitKind(t, 1, "receive", 1, lane)
		opened := b.count("opened", 1, lane)
		a.Reset(2, lane)
		if a.Send(2, lane, []byte("after")) {
			t.Fatal("Send answers true right behind Reset")
		}
		b.awaitKind(t, opened, "ended", 1, lane)
		a.mustSend(t, 2, lane, []byte("again"))
		b.awaitKind(t, opened+1, "opened", 1, lane)
		if a.count("broken", 2, lane) != 0 {
			t.Fatal("Broken is told for a Reset")
		}
	}
	a.Reset(7, quorum.LaneRaft)
	a.Resume(7, quorum.LaneRaft)
}

// Receivers may call the network back from all their methods.
func TestCallsFromWithin(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	peersOfA := []quorum.Peer{b.peer()}
	var calls atomic.Int32
	back := &within{recorder: a.recorder, act: func() {
		calls.Add(1)
		a.Send(2, quorum.LaneRaft, []byte("x"))
		a.Resume(2, quorum.LaneRaft)
		a.SetPeers(peersOfA)
		a.SetCluster(5)
		a.Stats()
		if calls.Load()%5 == 0 {
			a.Reset(2, quorum.LaneForward)
		}
	}}
	a.Network.receiver = back
	join(a, b)
	for i := 0; calls.Load() < 500; i++ {
		b.mustSend(t, 1, quorum.LaneRaft, []byte("y"))
		a.Send(2, quorum.LaneForward, []byte("z"))
	}
}

type within struct {
	*recorder
	act func()
}

func (w *within) Receive(from uint64, lane quorum.Lane, frame []byte) bool {
	w.act()
	return w.recorder.Receive(from, lane, frame)
}
func (w *within) Greeted(from uint64, h quorum.Hello) { w.act(); w.recorder.Greeted(from, h) }
func (w *within) Opened(from uint64, l quorum.Lane)   { w.act(); w.recorder.Opened(from, l) }
func (w *within) Ended(from uint64, l quorum.Lane)    { w.act(); w.recorder.Ended(from, l) }
func (w *within) Broken(to uint64, l quorum.Lane)     { w.act(); w.recorder.Broken(to, l) }
func (w *within) Writable(to uint64, l quorum.Lane)   { w.act(); w.recorder.Writable(to, l) }

// Close under load, with lanes stopped and stalled, leaves no goroutine and calls nobody.
func TestP7_Close(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		f := &faults{}
		a := start(t, 1, func(c *Config) { c.Dial = f.dial; c.Logger = nil })
		b, d := start(t, 2, func(c *Config) { c.Logger = nil }), start(t, 3, func(c *Config) { c.Logger = nil })
		b.more = func(e event) bool { return e.lane != quorum.LaneForward }
		a.SetPeers([]quorum.Peer{b.peer(), d.peer(), {ID: 4, Addr: freeAddr(t)}})
		b.SetPeers([]quorum.Peer{a.peer(), d.peer()})
		d.SetPeers([]quorum.Peer{a.peer(), b.peer()})
		silent, err := net.Dial("tcp", a.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		stop := make(chan struct{})
		var senders sync.WaitGroup
		for lane := range quorum.LanesMax {
			for _, m := range []*member{a, b, d} {
				senders.Go(func() {
					for i := uint64(0); ; i++ {
						select {
						case <-stop:
							return
						default:
							if !m.Send(1+i%3, lane, make([]byte, 100+i%5000)) {
								runtime.Gosched()
							}
						}
					}
				})
			}
		}
		time.Sleep(10 * time.Millisecond)
		f.set(func(f *faults) { f.stall = make(chan struct{}) })
		time.Sleep(2 * time.Millisecond)
		for _, m := range []*member{a, b, d} {
			m.Close()
			m.recorder.mu.Lock()
			told := len(m.events)
			m.recorder.mu.Unlock()
			time.Sleep(time.Millisecond)
			m.recorder.mu.Lock()
			if len(m.events) != told {
				t.Errorf("told of %v after Close", m.events[told:])
			}
			m.recorder.mu.Unlock()
			m.Close()
			m.SetPeers(nil)
		}
		close(stop)
		senders.Wait()
	}
	for limit := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
		}
	}
}

// An own address that has no name yet is waited for, and said once. One that is taken is not.
func TestListenLater(t *testing.T) {
	var book logbook
	var tries atomic.Int32
	a := start(t, 1, func(c *Config) {
		c.Logger = book.logger()
		c.ListenOn = func(ctx context.Context, addr string) (net.Listener, error) {
			switch tries.Add(1) {
			case 1, 2:
				return nil, &net.OpError{Op: "listen", Err: &net.DNSError{Err: "no such host", Name: "holt-1"}}
			case 3:
				return nil, &net.OpError{Op: "listen", Err: syscall.EADDRNOTAVAIL}
			}
			return listenTCP(ctx, addr)
		}
	})
	if a.Addr() != nil {
		t.Error("an address before there is one")
	}
	b := start(t, 2, nil)
	b.SetPeers([]quorum.Peer{{ID: 1, Addr: freeAddr(t)}})
	a.SetPeers([]quorum.Peer{b.peer()})
	a.awaitKind(t, 1, "writable", 2, quorum.LaneRaft) // it dials meanwhile
	for a.Addr() == nil {
		time.Sleep(time.Millisecond)
	}
	b.SetPeers([]quorum.Peer{a.peer()})
	a.awaitKind(t, 1, "opened", 2, quorum.LaneRaft)
	if n := book.count("cannot listen for other members yet"); n != 2 {
		t.Errorf("said %d times, want once for each of two reasons:\n%s", n, book.b.String())
	}
	n, err := New(Config{ID: 3, Process: 1, Listen: a.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(newRecorder()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("listening where another listens: %v", err)
	}
	n.Close()
}

// Names are resolved on every dial. Each reason why a peer is not reached is logged once.
func TestUnreachable(t *testing.T) {
	var book logbook
	var tries atomic.Int32
	var there atomic.Pointer[string]
	a := start(t, 1, func(c *Config) {
		c.Logger = book.logger()
		c.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			if addr != "holt-2.test:2888" {
				t.Errorf("dialled %q", addr)
			}
			if to := there.Load(); to != nil {
				return dialTCP(ctx, *to)
			}
			if tries.Add(1)%2 == 0 {
				return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
			}
			return nil, &net.DNSError{Err: "no such host", Name: "holt-2.test"}
		}
	})
	a.SetPeers([]quorum.Peer{{ID: 2, Addr: "holt-2.test:2888"}})
	for tries.Load() < 5 {
		time.Sleep(time.Millisecond)
	}
	b := start(t, 2, nil)
	addr := b.Addr().String()
	there.Store(&addr)
	b.SetPeers([]quorum.Peer{a.peer()})
	a.awaitKind(t, 1, "writable", 2, quorum.LaneRaft)
	for text, want := range map[string]int{
		"cannot reach a member": 2, "cannot resolve holt-2.test: no such host": 1, "dial: connection refused": 1, "a stream to a member is open": 1,
	} {
		if n := book.count(text); n != want {
			t.Errorf("%q was logged %d times, want %d:\n%s", text, n, want, book.b.String())
		}
	}
	if st := a.Stats().Peers[0].Lanes[quorum.LaneRaft]; st.DialsFailed < 5 || !st.Up {
		t.Errorf("stats %+v", st)
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []Config{{Process: 1}, {ID: 1}} {
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), "must not be zero") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// The real dialler resolves, and says so when it cannot.
func TestDialTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	c, err := dialTCP(t.Context(), net.JoinHostPort("localhost", port))
	if err != nil {
		t.Fatal(err)
	}
	tune(c)
	limitSilence(c)
	c.Close()
	for addr, want := range map[string]string{
		"127.0.0.1": "missing port", "holt.invalid:1": "cannot resolve holt.invalid", freeAddr(t): "dial: connect: connection refused",
	} {
		if _, err := dialTCP(t.Context(), addr); err == nil || !strings.Contains(reason(err), want) {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

// Whoever waits to dial does so at once when the peer is heard of; the longest wait would be 750 ms at least.
func TestHeardOfWhileWaiting(t *testing.T) {
	n, err := New(Config{ID: 1, Process: 1, Listen: "127.0.0.1:0"}) // not started: no goroutine but this one
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	n.SetPeers([]quorum.Peer{{ID: 2, Addr: freeAddr(t)}})
	p := n.peers[2]
	l := p.out[quorum.LaneRaft]
	if !l.await() {
		t.Fatal("a raft stream is not wanted")
	}
	began := time.Now()
	time.AfterFunc(10*time.Millisecond, func() { p.lives(7) })
	l.rest(&pause{last: dialPauseMax}, began)
	if took := time.Since(began); took < dialFloor || took > 600*time.Millisecond {
		t.Errorf("waited %v", took)
	}
}

// A lane that broke while its sender had nothing to say is not there again before that sender was refused once (P2).
func TestP2_RefusedAfterBreak(t *testing.T) {
	f := &faults{}
	a, b := start(t, 1, func(c *Config) { c.Dial = f.dial }), start(t, 2, nil)
	join(a, b)
	a.mustSend(t, 2, quorum.LaneForward, []byte("x"))
	b.awaitKind(t, 1, "receive", 1, quorum.LaneForward)
	a.awaitKind(t, 1, "writable", 2, quorum.LaneRaft)
	f.set(func(f *faults) {
		for _, c := range f.conns {
			c.Close()
		}
	})
	a.awaitKind(t, 1, "broken", 2, quorum.LaneForward)
	a.awaitKind(t, 2, "writable", 2, quorum.LaneRaft)
	time.Sleep(100 * time.Millisecond)
	if a.Send(2, quorum.LaneForward, []byte("y")) {
		t.Error("a frame was taken as if nothing had happened")
	}
	a.awaitKind(t, 2, "writable", 2, quorum.LaneForward)
}

// TestMove: a reconfig may give a member another port. ZooKeeper's ReconfigTest.testBulkReconfig gives all of them others, and whoever
// dialled those found nobody there.
func TestMove(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	join(a, b)
	a.awaitKind(t, 1, "writable", 2, quorum.LaneRaft)
	b.awaitKind(t, 1, "opened", 1, quorum.LaneRaft)
	old := b.Addr().String()
	if err := b.Move(a.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("moving to where another listens: %v", err)
	}
	if got := b.Addr().String(); got != old {
		t.Errorf("after a failure it listens on %s, want %s", got, old)
	}
	if err := b.Move(freeAddr(t)); err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp", old); err == nil {
		c.Close()
		t.Error("the old address is open")
	}
	a.mustSend(t, 2, quorum.LaneRaft, []byte("on the old stream"))
	b.awaitKind(t, 1, "receive", 1, quorum.LaneRaft)
	a.SetPeers([]quorum.Peer{b.peer()})
	a.awaitKind(t, 2, "writable", 2, quorum.LaneRaft)
	a.mustSend(t, 2, quorum.LaneRaft, []byte("to the new address"))
	b.awaitKind(t, 2, "receive", 1, quorum.LaneRaft)
	if err := b.Move(":" + strconv.Itoa(b.Addr().(*net.TCPAddr).Port)); err != nil {
		t.Errorf("the same port on all addresses: %v", err)
	}
	b.Close()
	if err := b.Move(freeAddr(t)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("moving after Close: %v", err)
	}
}
