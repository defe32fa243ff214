package netloop

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"holt/quorum"
	"holt/tree"
)

const testProcess = 77

// fakeQuorum commits what is proposed on one goroutine, in batches whose size and pace a test chooses.
type fakeQuorum struct {
	t     *testing.T
	state *tree.State
	rules tree.Rules

	mu        sync.Mutex
	chain     *quorum.Chain
	published func(*quorum.Commit)
	status    quorum.Status
	refuse    error
	waiting   [][]byte
	syncs     []quorum.Synced
	batchMax  int    // commands per commit at most, 0: no limit
	pace      func() // called before each commit
	wake      chan struct{}
	stop      chan struct{}
	done      sync.WaitGroup
}

func newFakeQuorum(t *testing.T) *fakeQuorum {
	q := &fakeQuorum{t: t, state: tree.New(), rules: tree.RuleTTL, wake: make(chan struct{}, 1), stop: make(chan struct{})}
	q.chain = quorum.NewChain(q.state.Root())
	q.status = quorum.Status{Role: quorum.Leader, Leader: 1, Term: 1}
	q.done.Add(1)
	go q.run()
	t.Cleanup(func() { close(q.stop); q.done.Wait() })
	return q
}

func (q *fakeQuorum) Tail() *quorum.Commit {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.chain.Tail()
}

func (q *fakeQuorum) OnPublished(f func(*quorum.Commit)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.published = f
}

func (q *fakeQuorum) Epoch() uint64                    { return 0 }
func (q *fakeQuorum) OnLost(func())                    {}
func (q *fakeQuorum) OnTouched(func([]tree.SessionID)) {}
func (q *fakeQuorum) Touch([]tree.SessionID)           {}

func (q *fakeQuorum) Status() quorum.Status {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.status
}

func (q *fakeQuorum) set(f func()) {
	q.mu.Lock()
	f()
	q.mu.Unlock()
	q.notify()
}

func (q *fakeQuorum) Propose(_ uint64, commands []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.refuse != nil {
		return q.refuse
	}
	for len(commands) > 0 {
		_, _, rest, err := tree.ParseCommand(commands)
		if err != nil {
			panic(err)
		}
		q.waiting = append(q.waiting, append([]byte(nil), commands[:len(commands)-len(rest)]...))
		commands = rest
	}
	q.notify()
	return nil
}

func (q *fakeQuorum) Sync(o tree.Origin, tag uint64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.refuse != nil {
		return q.refuse
	}
	q.syncs = append(q.syncs, quorum.Synced{Origin: o, Tag: tag})
	q.notify()
	return nil
}

func (q *fakeQuorum) notify() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *fakeQuorum) run() {
	defer q.done.Done()
	for {
		select {
		case <-q.wake:
		case <-q.stop:
			return
		}
		for q.commit() {
		}
	}
}

// commit publishes one batch and says whether there was one.
func (q *fakeQuorum) commit() bool {
	q.mu.Lock()
	pace := q.pace
	q.mu.Unlock()
	if pace != nil {
		pace()
	}
	q.mu.Lock()
	n, synced := len(q.waiting), q.syncs
	if q.batchMax > 0 {
		n = min(n, 1+rand.IntN(q.batchMax))
	}
	if n == 0 && len(synced) == 0 {
		q.mu.Unlock()
		return false
	}
	batch := tree.AppendBatchHeader(nil, tree.BatchHeader{TimeMs: time.Now().UnixMilli(), Rules: q.rules})
	for _, c := range q.waiting[:n] {
		batch = append(batch, c...)
	}
	q.waiting = q.waiting[n:]
	q.syncs = nil
	term := q.status.Term
	q.mu.Unlock()
	c := &quorum.Commit{Root: q.Tail().Root, Synced: synced}
	if n > 0 {
		a, err := q.state.Apply(tree.Batch{Term: term, Data: batch, Local: testProcess})
		if err != nil {
			panic(err)
		}
		c.Root, c.Txns, c.Changes = a.Root, a.Txns, a.Changes
	}
	q.mu.Lock()
	q.chain.Publish(c)
	published := q.published
	q.mu.Unlock()
	if published != nil {
		published(c)
	}
	return true
}

// startServer serves on a loopback port of the kernel's choice until the test ends.
func startServer(t *testing.T, q *fakeQuorum, change func(*Config)) (*Server, string) {
	t.Helper()
	s := newServer(t, change)
	return s, start(t, s, q)
}

func newServer(t *testing.T, change func(*Config)) *Server {
	t.Helper()
	cfg := Config{
		Addr: "127.0.0.1:0", Loops: 1, Process: testProcess, ServerID: 1, TickMs: 200, MaxClientConns: -1,
		Logger: slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func start(t *testing.T, s *Server, q Quorum) string {
	t.Helper()
	addr, err := s.Start(q)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Errorf("Stop: %v", err)
		}
	})
	return addr.(*net.TCPAddr).String()
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", b)
	return len(b), nil
}
