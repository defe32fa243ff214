package peers

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"holt/quorum"
)

// faults is a dialler whose connections misbehave on request.
type faults struct {
	mu      sync.Mutex
	rnd     *rand.Rand
	conns   []*faultConn
	breakAt int           // each connection breaks after up to so many bytes; 0: never
	flip    bool          // the next write has one bit changed
	stall   chan struct{} // writes wait until it is closed; nil: they do not
}

func (f *faults) dial(ctx context.Context, addr string) (net.Conn, error) {
	c, err := dialTCP(ctx, addr)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	fc := &faultConn{Conn: c, faults: f, left: -1, closed: make(chan struct{})}
	if f.breakAt > 0 {
		fc.left = messageHeader + helloBytes + 4 + f.rnd.IntN(f.breakAt)
	}
	f.conns = append(f.conns, fc)
	return fc, nil
}

// set changes what happens under the lock.
func (f *faults) set(change func(f *faults)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

type faultConn struct {
	net.Conn
	faults *faults
	left   int // bytes until it breaks; negative: never
	closed chan struct{}
	once   sync.Once
}

func (c *faultConn) Write(b []byte) (int, error) {
	c.faults.mu.Lock()
	stall, flip := c.faults.stall, c.faults.flip && len(b) > frameHeader
	if flip {
		c.faults.flip = false
		b = append([]byte(nil), b...)
		b[c.faults.rnd.IntN(len(b))] ^= 1 << c.faults.rnd.IntN(8)
	}
	c.faults.mu.Unlock()
	if stall != nil {
		select {
		case <-stall:
		case <-c.closed:
			return 0, net.ErrClosed
		}
	}
	if c.left < 0 {
		return c.Conn.Write(b)
	}
	n := min(len(b), c.left)
	c.left -= n
	n, err := c.Conn.Write(b[:n])
	if err == nil && c.left == 0 {
		_ = c.Close()
		err = errors.New("the test broke it")
	}
	return n, err
}

func (c *faultConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// numbered is a frame that says its place: stream or round, number, then filling that depends on both.
func numbered(rnd *rand.Rand, epoch, number uint32) []byte {
	n := 8 + rnd.IntN(20_000)>>rnd.IntN(14)
	f := make([]byte, n)
	binary.LittleEndian.PutUint32(f, epoch)
	binary.LittleEndian.PutUint32(f[4:], number)
	for i := 8; i < n; i++ {
		f[i] = byte(uint32(i)*(epoch|1) + number)
	}
	return f
}

func placeOf(t *testing.T, f []byte) (epoch, number uint32) {
	epoch, number = binary.LittleEndian.Uint32(f), binary.LittleEndian.Uint32(f[4:])
	for i := 8; i < len(f); i++ {
		if f[i] != byte(uint32(i)*(epoch|1)+number) {
			t.Fatalf("frame %d of epoch %d is not as it was sent", number, epoch)
		}
	}
	return epoch, number
}

// Connections break anywhere, also within the handshake's answer and within frames. Whatever arrives between Opened and
// Ended was sent one after the other, and the first of it only after Broken had been told for every stream before.
func TestP1_P2_PrefixUnderBreaks(t *testing.T) {
	const seed, breaks = 7, 150
	f := &faults{rnd: rand.New(rand.NewPCG(seed, 1)), breakAt: 300_000}
	a := start(t, 1, func(c *Config) { c.Dial = f.dial; c.Logger = nil })
	b := start(t, 2, func(c *Config) { c.Logger = nil })
	join(a, b)
	rnd := rand.New(rand.NewPCG(seed, 2))
	var told []int // by frame: how often Broken had been told when Send had taken it
	seen := 0
	for limit := time.Now().Add(20 * time.Second); seen < breaks && time.Now().Before(limit); {
		took := a.Send(2, quorum.LaneForward, numbered(rnd, 0, uint32(len(told))))
		seen = a.count("broken", 2, quorum.LaneForward)
		if took {
			told = append(told, seen)
			continue
		}
		(*a.byID.Load())[2].lives(b.cfg.Process) // no long pauses
		time.Sleep(50 * time.Microsecond)
	}
	if seen < breaks/5 { // the machine is busy
		t.Fatalf("only %d breaks in 20 s", seen)
	}
	f.set(func(f *faults) { f.breakAt = 0 })
	b.Close()
	checkRuns(t, b.recorder, told)
}

func checkRuns(t *testing.T, r *recorder, told []int) {
	t.Helper()
	streams, frames := 0, 0 // streams that brought something: those the sender has seen
	open, empty := false, false
	next := uint32(0)
	for _, e := range r.events {
		if e.lane != quorum.LaneForward {
			continue
		}
		switch e.kind {
		case "opened":
			if open {
				t.Fatal("Opened twice without Ended (P3)")
			}
			open, empty = true, true
		case "ended":
			if !open {
				t.Fatal("Ended without Opened (P3)")
			}
			open = false
		case "receive":
			if !open {
				t.Fatal("a frame outside of a stream (P3)")
			}
			_, n := placeOf(t, e.frame)
			switch {
			case n < next:
				t.Fatalf("frame %d after %d", n, next-1)
			case n > next && !empty:
				t.Fatalf("frame %d within a stream, want %d (P1)", n, next)
			case empty && told[n] < streams:
				t.Fatalf("frame %d came on stream %d when Broken had been told %d times (P2)", n, streams+1, told[n])
			}
			if empty {
				streams++
			}
			empty = false
			next = n + 1
			frames++
		}
	}
	if streams < 2 {
		t.Fatal("no stream followed another")
	}
	t.Logf("%d streams, %d of %d frames", streams, frames, len(told))
}

// Any changed bit ends the stream, and nothing changed is handed over.
func TestP1_DamageEndsTheLane(t *testing.T) {
	f := &faults{rnd: rand.New(rand.NewPCG(3, 3))}
	a := start(t, 1, func(c *Config) { c.Dial = f.dial })
	b := start(t, 2, nil)
	join(a, b)
	rnd := rand.New(rand.NewPCG(3, 4))
	for round := range 20 {
		(*a.byID.Load())[2].lives(b.cfg.Process)
		a.awaitKind(t, round+1, "writable", 2, quorum.LaneRaft)
		b.awaitKind(t, round+1, "opened", 1, quorum.LaneRaft)
		f.set(func(f *faults) { f.flip = true })
		a.mustSend(t, 2, quorum.LaneRaft, numbered(rnd, uint32(round), 0))
		// A changed length may make the receiver wait for more: so much follows that it always comes.
		for i := range 40 {
			a.Send(2, quorum.LaneRaft, numbered(rnd, uint32(round), uint32(i)+1))
		}
		f.mu.Lock()
		last := f.conns[len(f.conns)-1]
		f.mu.Unlock()
		time.AfterFunc(50*time.Millisecond, func() { last.Close() })
		a.awaitKind(t, round+1, "broken", 2, quorum.LaneRaft)
		b.awaitKind(t, round+1, "ended", 1, quorum.LaneRaft)
	}
	for _, f := range b.frames(1, quorum.LaneRaft) {
		placeOf(t, f)
	}
	if got := len(b.frames(1, quorum.LaneRaft)); got >= 20*41 {
		t.Fatal("every frame came through: nothing was damaged")
	}
}

// What is sent to a peer that takes nothing is bounded, other peers and other lanes do not notice, and Writable comes.
func TestOneWayStall(t *testing.T) {
	f := &faults{rnd: rand.New(rand.NewPCG(5, 5))}
	bounds := func(c *Config) { c.QueueBytes = [quorum.LanesMax]int{1 << 20, 256 << 10, 256 << 10} }
	a := start(t, 1, func(c *Config) { bounds(c); c.Dial = f.dial })
	b, d := start(t, 2, bounds), start(t, 3, bounds)
	join(a, b, d)
	a.awaitKind(t, 1, "writable", 2, quorum.LaneRaft)
	a.awaitKind(t, 1, "writable", 3, quorum.LaneRaft)
	stall := make(chan struct{})
	f.set(func(f *faults) { f.stall = stall })
	frame := make([]byte, 10_000)
	sent := 0
	for a.Send(2, quorum.LaneRaft, frame) {
		sent++
	}
	if sent < 90 || sent > 110 {
		t.Fatalf("%d frames of 10,000 bytes fit a bound of 1 MiB", sent)
	}
	if q := a.Stats().Peers[0].Lanes[quorum.LaneRaft]; q.Queued > 1<<20 || q.Drops != 1 {
		t.Fatalf("stats %+v", q)
	}
	b.mustSend(t, 1, quorum.LaneRaft, []byte("the other way"))
	a.awaitKind(t, 1, "receive", 2, quorum.LaneRaft)
	if n := a.count("writable", 2, quorum.LaneRaft); n != 1 {
		t.Fatalf("Writable %d times while stalled", n)
	}
	f.set(func(f *faults) { f.stall = nil })
	close(stall)
	a.awaitKind(t, 2, "writable", 2, quorum.LaneRaft)
	b.awaitKind(t, sent, "receive", 1, quorum.LaneRaft)
}

// A receiver that stops reading is felt by the sender, keeps what it does not read on the other side, and gets all of it.
func TestBackPressure(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	stop := 10
	b.more = func(e event) bool {
		stop--
		return stop > 0
	}
	join(a, b)
	rnd := rand.New(rand.NewPCG(6, 6))
	noise := make([]byte, 60_000)
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	a.Send(2, quorum.LaneForward, nil)
	a.awaitKind(t, 1, "writable", 2, quorum.LaneForward)
	var sent uint32
	send := func() bool {
		f := append([]byte(nil), noise...)
		binary.LittleEndian.PutUint32(f, sent)
		ok := a.Send(2, quorum.LaneForward, f)
		if ok {
			sent++
		}
		return ok
	}
	// Full for good: queue, socket buffers and the receiver's one read.
	for quiet := time.Now(); time.Since(quiet) < 300*time.Millisecond; {
		if send() {
			quiet = time.Now()
		} else {
			time.Sleep(time.Millisecond)
		}
	}
	if got := b.count("receive", 1, quorum.LaneForward); got != 10 {
		t.Fatalf("%d frames received by one who stopped at 10", got)
	}
	st := a.Stats().Peers[0].Lanes[quorum.LaneForward]
	t.Logf("%d frames of %d bytes sent until full, %d queued bytes", sent, len(noise), st.Queued)
	if st.Queued > 4<<20 {
		t.Fatalf("%d bytes are queued", st.Queued)
	}
	if !b.Stats().Peers[0].Lanes[quorum.LaneForward].Stopped {
		t.Fatal("Stats does not say that the lane is stopped")
	}
	before := a.count("writable", 2, quorum.LaneForward)
	b.recorder.mu.Lock()
	stop = 1 << 30
	b.recorder.mu.Unlock()
	b.Resume(1, quorum.LaneForward)
	a.awaitKind(t, before+1, "writable", 2, quorum.LaneForward)
	b.awaitKind(t, int(sent), "receive", 1, quorum.LaneForward)
	for i, f := range b.frames(1, quorum.LaneForward) {
		if n := binary.LittleEndian.Uint32(f); n != uint32(i) {
			t.Fatalf("frame %d came in place of %d", n, i)
		}
	}
}

// Resume that comes while Receive is still on its way out is not lost, and one that comes when nothing is stopped does
// not let more than one frame pass.
func TestResumeRaces(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	const frames = 2000
	b.more = func(event) bool {
		b.Resume(1, quorum.LaneRaft)
		return false
	}
	join(a, b)
	for range frames {
		a.mustSend(t, 2, quorum.LaneRaft, []byte("x"))
	}
	b.awaitKind(t, frames, "receive", 1, quorum.LaneRaft)

	b.recorder.mu.Lock()
	b.more = func(event) bool { return false }
	b.recorder.mu.Unlock()
	for range 3 {
		b.Resume(1, quorum.LaneRaft)
	}
	for range 10 {
		a.mustSend(t, 2, quorum.LaneRaft, []byte("y"))
	}
	time.Sleep(50 * time.Millisecond)
	if got := b.count("receive", 1, quorum.LaneRaft) - frames; got > 1 {
		t.Fatalf("%d frames passed a lane that stops at each", got)
	}
}
