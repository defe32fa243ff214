package netloop

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"holt/netloop/wire"
	"holt/quorum"
	"holt/tree"
)

// quiet is a host and a link that go nowhere.
type quiet struct {
	bytes  int
	writes int
	unsent int // what Outbound says
	closed int
	yields int
}

func (q *quiet) Wake()                     {}
func (q *quiet) Again()                    {}
func (q *quiet) After(time.Duration)       {}
func (q *quiet) Yield()                    { q.yields++ }
func (q *quiet) Write(b []byte)            { q.bytes += len(b); q.writes++ }
func (q *quiet) Close()                    { q.closed++ }
func (q *quiet) Outbound() int             { return q.unsent }
func (q *quiet) Pause() bool               { return true }
func (q *quiet) Resume()                   {}
func (q *quiet) Detach() (net.Conn, error) { return nil, io.ErrClosedPipe }

// inlineQuorum applies a proposal as one commit, at once.
type inlineQuorum struct {
	state *tree.State
	chain *quorum.Chain
	syncs bool

	readers tree.Readers
}

func (q *inlineQuorum) Readers() *tree.Readers { return &q.readers }

func (q *inlineQuorum) Tail() *quorum.Commit             { return q.chain.Tail() }
func (q *inlineQuorum) OnPublished(func(*quorum.Commit)) {}
func (q *inlineQuorum) Epoch() uint64                    { return 0 }
func (q *inlineQuorum) OnLost(func())                    {}
func (q *inlineQuorum) OnTouched(func([]tree.SessionID)) {}
func (q *inlineQuorum) Touch([]tree.SessionID)           {}
func (q *inlineQuorum) Status() quorum.Status            { return quorum.Status{Role: quorum.Leader, Alone: true} }

func (q *inlineQuorum) Sync(o tree.Origin, tag uint64) error {
	if !q.syncs {
		return quorum.ErrUnavailable
	}
	q.chain.Publish(&quorum.Commit{Root: q.Tail().Root, Synced: []quorum.Synced{{Origin: o, Tag: tag}}})
	return nil
}

func (q *inlineQuorum) ProposeAsLeader(_ uint64, commands []byte) error {
	return q.Propose(0, commands)
}

func (q *inlineQuorum) Propose(_ uint64, commands []byte) error {
	batch := tree.AppendBatchHeader(make([]byte, 0, tree.BatchHeaderBytes+len(commands)), tree.BatchHeader{TimeMs: 1})
	a, err := q.state.Apply(tree.Batch{Term: 1, Data: append(batch, commands...), Local: testProcess})
	if err != nil {
		return err
	}
	q.chain.Publish(&quorum.Commit{Root: a.Root, Txns: a.Txns, Changes: a.Changes})
	return nil
}

// quietLoop is a loop with one open connection and no sockets.
func quietLoop(tb testing.TB, k *quiet) (*loop, *conn) {
	tb.Helper()
	cfg := Config{Addr: "-", Process: testProcess, Loops: 1, OutstandingPerConn: 1 << 20, OutstandingMax: 1 << 20}
	if err := cfg.setDefaults(); err != nil {
		tb.Fatal(err)
	}
	q := &inlineQuorum{state: tree.New()}
	q.chain = quorum.NewChain(q.state.Root())
	q.state.Reuse(&q.readers)
	s := &shared{cfg: cfg, log: slog.New(slog.DiscardHandler), quorum: q}
	l := newLoop(s, 0)
	l.host = k
	l.begin(q.Tail())
	c := l.attach(k, "127.0.0.1:1", "127.0.0.1")
	req := wire.ConnectRequest{TimeoutMs: 10000, Password: make([]byte, 16)}
	l.receive(c, appendFrame(nil, req.Append))
	l.turn()
	if c.stage != stageOpen {
		tb.Fatalf("stage %d", c.stage)
	}
	return l, c
}

func frames(n int, op wire.Op, body func([]byte) []byte) []byte {
	var b []byte
	for i := range n {
		b = appendFrame(b, func(b []byte) []byte {
			b = wire.AppendRequestHeader(b, wire.Xid(i+1), op)
			if body != nil {
				b = body(b)
			}
			return b
		})
	}
	return b
}

func TestReadsDoNotAllocate(t *testing.T) {
	k := &quiet{}
	l, c := quietLoop(t, k)
	l.receive(c, frames(1, wire.OpCreate, createBody("/a", string(make([]byte, 100)), 0)))
	for i := range 20 {
		l.receive(c, frames(1, wire.OpCreate, createBody(fmt.Sprintf("/a/child%d", i), "", 0)))
	}
	l.turn()
	q := wire.WatchTypeRequest{Path: []byte("/a"), Type: wire.WatchAny}
	for _, r := range []struct {
		name string
		op   wire.Op
		body func([]byte) []byte
	}{
		{"getData", wire.OpGetData, watchBody("/a", false)},
		{"getData with watch", wire.OpGetData, watchBody("/a", true)},
		{"exists", wire.OpExists, watchBody("/a", false)},
		{"exists not", wire.OpExists, watchBody("/b", false)},
		{"getChildren", wire.OpGetChildren, watchBody("/a", false)},
		{"getChildren2", wire.OpGetChildren2, watchBody("/a", false)},
		{"getACL", wire.OpGetACL, pathBody("/a")},
		{"ping", wire.OpPing, nil},
		{"whoAmI", wire.OpWhoAmI, nil},
		{"getAllChildrenNumber", wire.OpGetAllChildrenNumber, pathBody("/a")},
		{"checkWatches", wire.OpCheckWatches, q.Append},
	} {
		b := frames(10, r.op, r.body)
		writes := k.writes
		if n := testing.AllocsPerRun(100, func() { l.receive(c, b) }); n != 0 {
			t.Errorf("%s: %v allocations for 10 requests, want 0", r.name, n)
		}
		if w := k.writes - writes; w != 101 {
			t.Errorf("%s: %d writes for 101 turns", r.name, w)
		}
	}
}

// TestBurstsOnALargeTree: looking ahead changes no answer and does not allocate.
func TestBurstsOnALargeTree(t *testing.T) {
	k := &quiet{}
	l, c := quietLoop(t, k)
	const nodes = 20_100
	for n := range nodes {
		l.receive(c, frames(1, wire.OpCreate, createBody(fmt.Sprintf("/n%d", n), "data", 0)))
	}
	l.turn()
	if !l.root.Large() {
		t.Fatalf("%d znodes are not a large tree", nodes)
	}
	var burst []byte
	requests := [][]byte{frames(1, wire.OpPing, nil), frames(1, wire.OpGetData, nil), frames(1, wire.OpWhoAmI, nil)}
	for n := range 40 {
		requests = append(requests, frames(1, wire.OpGetData, watchBody(fmt.Sprintf("/n%d", n*1000), false)),
			frames(1, wire.OpGetChildren, watchBody(fmt.Sprintf("//n%d/", n), false)))
	}
	before := k.bytes
	for _, r := range requests {
		l.receive(c, r)
		burst = append(burst, r...)
	}
	apart, before := k.bytes-before, k.bytes
	l.receive(c, burst)
	if together := k.bytes - before; together != apart || apart == 0 {
		t.Errorf("%d bytes of answers to a burst, %d to its requests one by one", together, apart)
	}
	if n := testing.AllocsPerRun(100, func() { l.receive(c, burst) }); n != 0 {
		t.Errorf("%v allocations for a burst", n)
	}
}

// TestWritesAllocateLittle: netloop and tree together.
func TestWritesAllocateLittle(t *testing.T) {
	l, c := quietLoop(t, &quiet{})
	l.receive(c, frames(1, wire.OpCreate, createBody("/a", string(make([]byte, 100)), 0)))
	const n = 100
	b := frames(n, wire.OpSetData, setBody("/a", string(make([]byte, 100))))
	perRequest := testing.AllocsPerRun(100, func() {
		l.receive(c, b)
		l.turn()
	}) / n
	t.Logf("%.2f allocations per setData", perRequest)
	if perRequest > 2 {
		t.Errorf("%.2f allocations per setData, want at most 2", perRequest)
	}
}

func BenchmarkWrite(b *testing.B) {
	for _, pipe := range []int{1, 32} {
		b.Run(fmt.Sprintf("setData/pipe=%d", pipe), func(b *testing.B) {
			l, c := quietLoop(b, &quiet{})
			l.receive(c, frames(1, wire.OpCreate, createBody("/a", string(make([]byte, 100)), 0)))
			l.turn()
			req := frames(pipe, wire.OpSetData, setBody("/a", string(make([]byte, 100))))
			b.ReportAllocs()
			for b.Loop() {
				l.receive(c, req)
				l.turn()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*pipe), "ns/request")
		})
	}
}

// BenchmarkFanout tells 10,000 connections of one event: into their output, not onto the wire.
func BenchmarkFanout(b *testing.B) {
	const conns = 10_000
	k := &quiet{}
	l, c := quietLoop(b, k)
	l.receive(c, frames(1, wire.OpCreate, createBody("/a", "", 0)))
	l.turn()
	connect := wire.ConnectRequest{TimeoutMs: 10000, Password: make([]byte, 16)}
	add := wire.AddWatchRequest{Path: []byte("/a")}
	for range conns {
		n := l.attach(k, "127.0.0.1:1", "127.0.0.1")
		l.receive(n, appendFrame(nil, connect.Append))
		l.turn()
		l.receive(n, frames(1, wire.OpAddWatch, add.Append))
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := l.quorum.Propose(l.epoch, setCommand(c)); err != nil {
			b.Fatal(err)
		}
		l.start()
		l.advance()
		b.StopTimer()
		for len(l.dirty) > 0 {
			l.finish()
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/conns, "ns/event")
}

// setCommand is the command of a setData whose answer nobody waits for.
func setCommand(c *conn) []byte {
	h := tree.CommandHeader{Origin: c.origin(), Session: c.session}
	return tree.AppendSetData(nil, &h, &tree.SetData{Path: []byte("/a"), Version: -1})
}
