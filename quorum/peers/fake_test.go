package peers

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"holt/quorum"
)

// event is one call to a Receiver.
type event struct {
	kind  string // "receive", "greeted", "opened", "ended", "broken", "writable"
	peer  uint64
	lane  quorum.Lane
	frame []byte
	hello quorum.Hello
}

func (e event) String() string {
	return fmt.Sprintf("%s %d/%s %dB", e.kind, e.peer, laneNames[e.lane], len(e.frame))
}

// recorder is a Receiver that notes everything, in order.
type recorder struct {
	mu     sync.Mutex
	events []event
	more   func(e event) bool // what Receive answers; nil: always true
	change chan struct{}
}

func newRecorder() *recorder { return &recorder{change: make(chan struct{})} }

func (r *recorder) note(e event) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	close(r.change)
	r.change = make(chan struct{})
	return e.kind != "receive" || r.more == nil || r.more(e)
}

func (r *recorder) Receive(from uint64, lane quorum.Lane, frame []byte) bool {
	if lane == quorum.LaneRaft {
		frame = bytes.Clone(frame)
	}
	return r.note(event{kind: "receive", peer: from, lane: lane, frame: frame})
}

func (r *recorder) Greeted(from uint64, h quorum.Hello) {
	r.note(event{kind: "greeted", peer: from, hello: h})
}

func (r *recorder) Opened(from uint64, l quorum.Lane) {
	r.note(event{kind: "opened", peer: from, lane: l})
}

func (r *recorder) Ended(from uint64, l quorum.Lane) {
	r.note(event{kind: "ended", peer: from, lane: l})
}

func (r *recorder) Broken(to uint64, l quorum.Lane) {
	r.note(event{kind: "broken", peer: to, lane: l})
}

func (r *recorder) Writable(to uint64, l quorum.Lane) {
	r.note(event{kind: "writable", peer: to, lane: l})
}

// await waits until the events satisfy ok.
func (r *recorder) await(t testing.TB, what string, ok func([]event) bool) {
	t.Helper()
	limit := time.After(10 * time.Second)
	for {
		r.mu.Lock()
		good, change := ok(r.events), r.change
		r.mu.Unlock()
		if good {
			return
		}
		select {
		case <-change:
		case <-limit:
			r.mu.Lock()
			defer r.mu.Unlock()
			t.Fatalf("waited in vain for %s; %d events, the last: %v", what, len(r.events), r.events[max(0, len(r.events)-20):])
		}
	}
}

// awaitKind waits until there are count events of a kind on a lane of a peer.
func (r *recorder) awaitKind(t testing.TB, count int, kind string, peer uint64, lane quorum.Lane) {
	t.Helper()
	r.await(t, fmt.Sprintf("%d times %s %d/%s", count, kind, peer, laneNames[lane]), func(es []event) bool {
		return r.countIn(es, kind, peer, lane) >= count
	})
}

func (*recorder) countIn(es []event, kind string, peer uint64, lane quorum.Lane) int {
	n := 0
	for _, e := range es {
		if e.kind == kind && e.peer == peer && e.lane == lane {
			n++
		}
	}
	return n
}

func (r *recorder) count(kind string, peer uint64, lane quorum.Lane) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.countIn(r.events, kind, peer, lane)
}

// frames are those received on a lane of a peer, in order.
func (r *recorder) frames(peer uint64, lane quorum.Lane) [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out [][]byte
	for _, e := range r.events {
		if e.kind == "receive" && e.peer == peer && e.lane == lane {
			out = append(out, e.frame)
		}
	}
	return out
}

type logWriter struct{ t testing.TB }

func (w logWriter) Write(b []byte) (int, error) {
	w.t.Log(string(bytes.TrimSpace(b)))
	return len(b), nil
}

// testLogger logs into the test; everything is closed before the test ends.
func testLogger(t testing.TB, id uint64) *slog.Logger {
	return slog.New(slog.NewTextHandler(logWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug})).With("self", id)
}

// member is a started Network with its recorder.
type member struct {
	*Network
	*recorder
}

// process gives every started member its own number.
var process struct {
	sync.Mutex
	last uint32
}

func start(t testing.TB, id uint64, change func(*Config)) *member {
	t.Helper()
	process.Lock()
	process.last++
	cfg := Config{ID: id, Listen: "127.0.0.1:0", Process: process.last, Logger: testLogger(t, id)}
	process.Unlock()
	if change != nil {
		change(&cfg)
	}
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	m := &member{n, newRecorder()}
	if err := n.Start(m.recorder); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return m
}

func (m *member) peer() quorum.Peer {
	return quorum.Peer{ID: m.cfg.ID, Addr: m.Addr().String()}
}

// join makes members know each other.
func join(ms ...*member) {
	var all []quorum.Peer
	for _, m := range ms {
		all = append(all, m.peer())
	}
	for _, m := range ms {
		m.SetPeers(all)
	}
}

// mustSend sends, waiting for room.
func (m *member) mustSend(t testing.TB, to uint64, lane quorum.Lane, frame []byte) {
	t.Helper()
	for limit := time.Now().Add(10 * time.Second); !m.Send(to, lane, frame); {
		if time.Now().After(limit) {
			t.Fatal("Send answers false for ever")
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// freeAddr is a loopback address that nothing listens on.
func freeAddr(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
