package peers

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"

	"holt/quorum"
)

// counter is a Receiver that counts frames, and wakes whoever waits for room or for the last one.
type counter struct {
	got  atomic.Int64
	want atomic.Int64
	all  chan struct{}
	room chan struct{}
}

func newCounter() *counter {
	return &counter{all: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

func (c *counter) Receive(uint64, quorum.Lane, []byte) bool {
	if c.got.Add(1) == c.want.Load() {
		c.all <- struct{}{}
	}
	return true
}
func (c *counter) Greeted(uint64, quorum.Hello) {}
func (c *counter) Opened(uint64, quorum.Lane)   {}
func (c *counter) Ended(uint64, quorum.Lane)    {}
func (c *counter) Broken(uint64, quorum.Lane)   {}
func (c *counter) Writable(uint64, quorum.Lane) {
	select {
	case c.room <- struct{}{}:
	default:
	}
}

// pair is two members on loopback with an open raft lane from the first to the second.
func pair(tb testing.TB) (a, b *Network, ra, rb *counter) {
	ra, rb = newCounter(), newCounter()
	ns := [2]*Network{}
	for i, r := range []*counter{ra, rb} {
		n, err := New(Config{ID: uint64(i + 1), Process: uint32(i + 1), Listen: "127.0.0.1:0"})
		if err != nil {
			tb.Fatal(err)
		}
		if err := n.Start(r); err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { n.Close() })
		ns[i] = n
	}
	peers := []quorum.Peer{{ID: 1, Addr: ns[0].Addr().String()}, {ID: 2, Addr: ns[1].Addr().String()}}
	for _, n := range ns {
		n.SetPeers(peers)
	}
	<-ra.room
	<-rb.room
	return ns[0], ns[1], ra, rb
}

// fill makes frames of a kind: noise does not compress, commands do, about as batches of ZooKeeper's writes do.
func fill(kind string, size int) []byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	f := make([]byte, 0, size+100)
	for i := 0; len(f) < size; i++ {
		if kind == "commands" {
			f = fmt.Appendf(f, "\x00\x00\x00\x05/app/locks/worker-%010d", rnd.IntN(1000))
		}
		for range 50 {
			f = append(f, byte(rnd.Uint32()))
		}
	}
	return f[:size]
}

// BenchmarkLane sends frames over one lane as fast as it takes them, each in memory of its own as a real sender's are.
// Allocations are those of both sides, without the sender's own.
func BenchmarkLane(b *testing.B) {
	for _, bc := range []struct {
		kind string
		size int
	}{{"noise", 200}, {"noise", 4000}, {"noise", 64 << 10}, {"commands", 64 << 10}, {"noise", 1 << 20}} {
		b.Run(fmt.Sprintf("%s/frame=%d", bc.kind, bc.size), func(b *testing.B) {
			a, _, ra, rb := pair(b)
			frame := fill(bc.kind, bc.size)
			b.ReportAllocs()
			b.SetBytes(int64(bc.size))
			rb.want.Store(rb.got.Load() + int64(b.N))
			cpu := cpuTime()
			b.ResetTimer()
			for range b.N {
				for !a.Send(2, quorum.LaneRaft, frame) {
					<-ra.room
				}
			}
			<-rb.all
			b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
		})
	}
}

// cpuTime is what this process has used, in ns: it tells more than the clock on a machine that others use too.
func cpuTime() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkPingPong is the way there and back of one small frame, each on its lane.
func BenchmarkPingPong(b *testing.B) {
	a, n, _, _ := pair(b)
	back := make(chan struct{}, 1)
	echo := &echoer{counter: newCounter(), then: func(f []byte) { n.Send(1, quorum.LaneRaft, append(n.Frame(len(f)), f...)) }}
	home := &echoer{counter: newCounter(), then: func([]byte) { back <- struct{}{} }}
	n.receiver, a.receiver = echo, home
	frame := fill("noise", 200)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		a.Send(2, quorum.LaneRaft, frame)
		<-back
	}
}

type echoer struct {
	*counter
	then func([]byte)
}

func (e *echoer) Receive(_ uint64, _ quorum.Lane, f []byte) bool {
	e.then(f)
	return true
}

// A frame costs its receiver one allocation and its sender none. What a lane allocates beside frames is spread over many.
func TestAllocsPerFrame(t *testing.T) {
	for _, size := range []int{200, 64 << 10} {
		for _, kind := range []string{"noise", "commands"} {
			a, _, ra, rb := pair(t)
			frame := fill(kind, size)
			run := func(frames int) {
				rb.want.Store(rb.got.Load() + int64(frames))
				for range frames {
					for !a.Send(2, quorum.LaneRaft, frame) {
						<-ra.room
					}
				}
				<-rb.all
			}
			run(2000)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			const frames = 5000
			run(frames)
			runtime.ReadMemStats(&after)
			per := float64(after.Mallocs-before.Mallocs) / frames
			t.Logf("%s of %d bytes: %.3f allocations per frame", kind, size, per)
			if per > 1.5 { // a little more than 1 under the race detector, which empties pools
				t.Errorf("%s of %d bytes: %.2f allocations per frame, want 1", kind, size, per)
			}
		}
	}
}
