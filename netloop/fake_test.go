package netloop

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"holt/perf"
	"holt/quorum"
	"holt/tree"
)

const testProcess = 77

// fakeQuorum commits what is proposed on one goroutine, in batches whose size and pace a test chooses. With followers it is
// the leader of an ensemble: they hand it what they are asked and apply what it commits.
type fakeQuorum struct {
	t       *testing.T
	process uint32
	state   *tree.State
	rules   tree.Rules
	leader  *fakeQuorum // of a follower
	readers tree.Readers

	mu         sync.Mutex
	followers  []*fakeQuorum
	epoch      uint64
	lost       func()
	touched    func([]tree.SessionID)
	lag        func() // called before a follower applies a batch
	chain      *quorum.Chain
	published  func(*quorum.Commit)
	status     quorum.Status
	refuse     error
	waiting    [][]byte
	syncs      []quorum.Synced
	syncsAsked int
	batchMax   int    // commands per commit at most, 0: no limit
	pace       func() // called before each commit
	wake       chan struct{}
	stop       chan struct{}
	done       sync.WaitGroup
}

func newFakeQuorum(t *testing.T) *fakeQuorum {
	q := &fakeQuorum{t: t, process: testProcess, state: tree.New(), rules: tree.RuleTTL, wake: make(chan struct{}, 1), stop: make(chan struct{})}
	q.chain = quorum.NewChain(q.state.Root())
	q.state.Reuse(&q.readers)
	q.status = quorum.Status{ID: 1, Role: quorum.Leader, Leader: 1, Term: 1, Alone: true, Voters: 1}
	q.done.Add(1)
	go q.run()
	t.Cleanup(func() { close(q.stop); q.done.Wait() })
	return q
}

// newFakeEnsemble returns a leader and a follower, processes testProcess and testProcess+1.
func newFakeEnsemble(t *testing.T) (leader, follower *fakeQuorum) {
	leader = newFakeQuorum(t)
	follower = &fakeQuorum{t: t, process: testProcess + 1, state: tree.New(), leader: leader}
	follower.chain = quorum.NewChain(follower.state.Root())
	follower.state.Reuse(&follower.readers)
	leader.set(func() {
		leader.followers = append(leader.followers, follower)
		leader.status = quorum.Status{ID: 1, Role: quorum.Leader, Leader: 1, Term: 1, Voters: 2}
	})
	follower.status = quorum.Status{ID: 2, Role: quorum.Follower, Leader: 1, Term: 1, Voters: 2}
	return leader, follower
}

// asked is how many syncs were asked for.
func (q *fakeQuorum) asked() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.syncsAsked
}

// holdBack keeps what the leader commits from now on from its follower, until release is called or the test ends. The leader
// waits with it, before the commit after the next. What was committed before reaches the follower first.
func (q *fakeQuorum) holdBack(follower *fakeQuorum) (release func()) {
	q.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); follower.Tail().Root.Zxid() != q.Tail().Root.Zxid(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			q.t.Fatalf("the follower is at %d, the leader at %d", follower.Tail().Root.Zxid(), q.Tail().Root.Zxid())
		}
	}
	held := make(chan struct{})
	follower.set(func() { follower.lag = func() { <-held } })
	release = sync.OnceFunc(func() { close(held) })
	q.t.Cleanup(release)
	return release
}

// endEpoch loses what has not been committed.
func (q *fakeQuorum) endEpoch() {
	q.mu.Lock()
	q.epoch++
	q.waiting = nil
	lost := q.lost
	q.mu.Unlock()
	if lost != nil {
		lost()
	}
}

func (q *fakeQuorum) Readers() *tree.Readers { return &q.readers }

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

func (q *fakeQuorum) Epoch() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.epoch
}

func (q *fakeQuorum) OnLost(f func()) { q.set(func() { q.lost = f }) }

func (q *fakeQuorum) OnTouched(f func([]tree.SessionID)) { q.set(func() { q.touched = f }) }

// Touch tells the leader, of copies that the caller may not see.
func (q *fakeQuorum) Touch(ids []tree.SessionID) {
	if q.leader == nil {
		return
	}
	q.leader.mu.Lock()
	f := q.leader.touched
	q.leader.mu.Unlock()
	if f != nil {
		f(ids)
	}
}

// Status is in contact with the leader unless a test said since when it is not.
func (q *fakeQuorum) Status() quorum.Status {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.status
	if s.ContactNs == 0 {
		s.ContactNs = perf.Now()
	}
	return s
}

func (q *fakeQuorum) set(f func()) {
	q.mu.Lock()
	f()
	q.mu.Unlock()
	q.notify()
}

func (q *fakeQuorum) ProposeAsLeader(term uint64, commands []byte) error {
	if s := q.Status(); s.Role != quorum.Leader || s.Term != term {
		return quorum.ErrUnavailable
	}
	return q.Propose(q.Epoch(), commands)
}

func (q *fakeQuorum) Propose(epoch uint64, commands []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.refuse != nil {
		return q.refuse
	}
	if epoch != q.epoch {
		return quorum.ErrLost
	}
	if q.leader != nil {
		return q.leader.Propose(q.leader.Epoch(), commands)
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
	if q.leader != nil {
		return q.leader.Sync(o, tag)
	}
	q.syncs = append(q.syncs, quorum.Synced{Origin: o, Tag: tag})
	q.syncsAsked++
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
	term, members := q.status.Term, append([]*fakeQuorum{q}, q.followers...)
	q.mu.Unlock()
	if n == 0 {
		batch = nil
	}
	for _, m := range members {
		m.apply(term, batch, synced)
	}
	return true
}

// apply publishes what a batch does, if there is one, and the member's own syncs.
func (q *fakeQuorum) apply(term uint64, batch []byte, synced []quorum.Synced) {
	c := &quorum.Commit{}
	for _, s := range synced {
		if s.Origin.Process == q.process {
			c.Synced = append(c.Synced, s)
		}
	}
	if batch == nil && len(c.Synced) == 0 {
		return
	}
	q.mu.Lock()
	lag := q.lag
	q.mu.Unlock()
	if lag != nil {
		lag()
	}
	c.Root = q.Tail().Root
	if batch != nil {
		a, err := q.state.Apply(tree.Batch{Term: term, Data: batch, Local: q.process})
		if err != nil {
			panic(err)
		}
		c.Root, c.Txns, c.Changes = a.Root, a.Txns, a.Changes
	}
	q.publish(c)
}

func (q *fakeQuorum) publish(c *quorum.Commit) {
	q.mu.Lock()
	q.chain.Publish(c)
	published := q.published
	q.mu.Unlock()
	if published != nil {
		published(c)
	}
}

// startServer serves on a loopback port of the kernel's choice until the test ends.
func startServer(t *testing.T, q *fakeQuorum, change func(*Config)) (*Server, string) {
	t.Helper()
	s := newServer(t, func(c *Config) {
		c.Process = q.process
		if change != nil {
			change(c)
		}
	})
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
