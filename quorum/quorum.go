package quorum

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"holt/perf"
	"holt/tree"
	"holt/wal"
)

// Config says what a member works with. Log and Image are handed over by an Open that succeeds: Close closes them.
type Config struct {
	ID      uint64   // this member, not zero
	Voters  []uint64 // the members of a fresh ensemble; nil is this member alone
	Process uint32   // names this run of the process in Origins; random, not zero
	Log     *wal.Log
	Image   Image
	Rules   tree.Rules // what the leader's configuration decides about Apply

	CheckpointBytes int64         // log applied between two checkpoints; default 128 MiB
	Tick            time.Duration // of raft's clock; default 100 ms
	AppendsMax      int           // entries on their way to the disk at once; default 2

	NowMs      func() int64 // wall clock, ms since 1970; stamps batches. Default: the system's
	NowNs      func() int64 // monotonic; stamps Commits. Default: perf.Now
	Drained    func()       // called when sources that were told ErrBusy may come again; must not block
	Checkpoint func(Checkpoint)
	Cancel     <-chan struct{} // closed when Open shall give up waiting; nil: never
	Fatal      func(error)     // called once when the member cannot go on; must not return. Default: panic
	Metrics    *perf.Metrics   // default: fresh ones
	Logger     *slog.Logger
}

func (c *Config) setDefaults() error {
	if c.ID == 0 || c.Process == 0 {
		return errors.New("quorum: ID and Process must not be zero")
	}
	if c.Log == nil || c.Image == nil {
		return errors.New("quorum: a log and an image are needed")
	}
	if len(c.Voters) == 0 {
		c.Voters = []uint64{c.ID}
	}
	if c.CheckpointBytes <= 0 {
		c.CheckpointBytes = 128 << 20
	}
	if c.Tick <= 0 {
		c.Tick = 100 * time.Millisecond
	}
	if c.AppendsMax <= 0 {
		c.AppendsMax = 2
	}
	if c.NowMs == nil {
		c.NowMs = func() int64 { return time.Now().UnixMilli() }
	}
	if c.NowNs == nil {
		c.NowNs = perf.Now
	}
	if c.Metrics == nil {
		c.Metrics = perf.New(perf.Config{})
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Fatal == nil {
		c.Fatal = func(err error) { panic(err) }
	}
	return nil
}

// Quorum is one member: it accepts commands, makes them durable on a majority in one order, applies them and publishes
// what they did. All methods are safe for concurrent use.
type Quorum struct {
	cfg   Config
	core  *core
	apply *applier
	image *image
	queue queue

	published atomic.Pointer[func(*Commit)]
	lost      atomic.Pointer[func()]
	touched   atomic.Pointer[func([]tree.SessionID)]
	tail      atomic.Pointer[Commit]
	status    atomic.Pointer[Status]

	wake  chan struct{}
	inbox inbox
	held  []byte      // a chunk that raft would not take yet
	retry []appendJob // refused by a full disk, in order

	durableNs   int64 // when the last append became durable whose entries were not handed to apply yet; else 0
	candidateNs int64 // when this member last had no leader

	stop    chan struct{} // closed by Close
	stopped sync.WaitGroup
	failing sync.Once
}

// inbox is what other goroutines report to the quorum goroutine.
type inbox struct {
	mu      sync.Mutex
	durable []durable
	steps   []*pb.Message
	applied uint64
	cut     mark
}

type durable struct {
	job  *appendJob
	err  error
	atNs int64
}

// Open recovers the state from checkpoint and log, starts the member and waits until it has applied everything that
// was acknowledged before (for a member that is alone; others return at once). That takes a few bytes of log: on a disk
// without any Open waits for space, until Config.Cancel is closed, which makes it fail with ErrClosed.
func Open(cfg Config) (*Quorum, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	q := &Quorum{cfg: cfg, wake: make(chan struct{}, 1), stop: make(chan struct{})}
	q.image = &image{
		store: cfg.Image, log: cfg.Log, conf: &pb.ConfState{Voters: cfg.Voters},
		jobs: make(chan imageJob, 1), written: q.cut, report: q.checkpointed,
	}
	begin := cfg.NowNs()
	state, at, err := q.image.load()
	if err != nil {
		return nil, err
	}
	loaded := cfg.NowNs()
	cfg.Metrics.StartLoad.Observe(loaded - begin)
	q.core, err = newCore(cfg.ID, newStorage(cfg.Log, at, q.image.conf), raftLogger{cfg.Logger})
	if err != nil {
		return nil, fmt.Errorf("quorum: %w", err)
	}
	q.apply = newApplier(q, state, at)
	q.setStatus()
	q.start(q.apply.run, q.image.run, q.run)
	if q.core.alone() {
		if err := q.recovered(); err != nil {
			q.halt()
			return nil, err
		}
		cfg.Metrics.StartReplay.Observe(cfg.NowNs() - loaded)
		cfg.Metrics.StartReplayed.Observe(int64(cfg.Log.LastIndex() - at.index))
	}
	return q, nil
}

func (q *Quorum) start(runs ...func(<-chan struct{})) {
	for _, run := range runs {
		q.stopped.Add(1)
		go func() {
			defer q.stopped.Done()
			run(q.stop)
		}()
	}
}

// recovered waits for a sync: raft answers it once an entry of the new term is committed, which comes after everything
// that was in the log.
func (q *Quorum) recovered() error {
	c := q.Tail()
	if err := q.Sync(tree.Origin{Process: q.cfg.Process}, 0); err != nil {
		return err
	}
	told := false
	for {
		for n := c.Next(); n != nil; n = c.Next() {
			c = n
			if len(c.Synced) > 0 {
				return nil
			}
		}
		if !told && q.Status().Full {
			told = true
			q.cfg.Logger.Error("the log has no space left to start with: nothing is served before there is some; free space on the disk or enlarge it")
		}
		select {
		case <-q.stop:
			return ErrClosed
		case <-q.cfg.Cancel:
			return ErrClosed
		case <-time.After(time.Millisecond):
		}
	}
}

// Tail returns the newest Commit. A loop that starts adopts its Root and takes its place there.
func (q *Quorum) Tail() *Commit { return q.tail.Load() }

// OnPublished sets the function that is called with each Commit right after it joined the chain, on the apply
// goroutine: it wakes event loops and must not block.
func (q *Quorum) OnPublished(f func(*Commit)) { q.published.Store(&f) }

// Status returns the member's view of its ensemble.
func (q *Quorum) Status() Status {
	s := *q.status.Load()
	if s.Role == Leader {
		s.ContactNs = q.cfg.NowNs()
	}
	return s
}

// Waiting returns the bytes of commands that no raft entry holds yet.
func (q *Quorum) Waiting() int { return q.queue.waiting() }

// Epoch numbers the unbroken path on which commands reach the leader. It ends when the leader, its term or the stream
// to it changes; what was proposed in it and has no answer by then has an unknown outcome, and what would come after
// it must not be committed either. So whoever proposes says in which epoch it believes to be.
func (q *Quorum) Epoch() uint64 { return q.queue.currentEpoch() }

// OnLost sets the function that is called when an epoch has ended, on the quorum goroutine: it must not block.
func (q *Quorum) OnLost(f func()) { q.lost.Store(&f) }

// OnTouched sets the function that a leader calls with sessions that other members have heard of.
func (q *Quorum) OnTouched(f func(ids []tree.SessionID)) { q.touched.Store(&f) }

// Touch reports sessions that this member has heard of to the leader. The leader ignores its own.
func (q *Quorum) Touch([]tree.SessionID) {}

// Propose queues framed commands (tree.Append*), which are copied, to be committed in this order. What became of each
// is in the Commit that carries its Origin and Tag. Errors: ErrLost, ErrBusy, ErrUnavailable, ErrClosed; then none was
// queued. Without a leader commands wait.
func (q *Quorum) Propose(epoch uint64, commands []byte) error {
	if s := q.status.Load(); s.Role != Leader || s.Full || q.cfg.Log.Full() {
		return ErrUnavailable
	}
	first, err := q.queue.put(epoch, commands, q.cfg.NowNs)
	if first {
		notify(q.wake)
	}
	return err
}

// Sync asks to be told, through Commit.Synced, when this member has applied everything that was acknowledged before the
// call. Syncs that wait together share one ReadIndex round.
func (q *Quorum) Sync(o tree.Origin, tag uint64) error {
	first, err := q.queue.putSync(o, tag)
	if first {
		notify(q.wake)
	}
	return err
}

// Handover has a leader finish what is queued and hand leadership to another member, for a planned stop. A member that does
// not lead, or has nobody to hand over to, returns at once. It fails with ctx.
func (q *Quorum) Handover(context.Context) error { return nil }

// Peers returns what a leader knows of the other members; nil elsewhere.
func (q *Quorum) Peers() []PeerStatus { return nil }

// CheckpointNow begins a checkpoint of the newest root unless one is running.
func (q *Quorum) CheckpointNow() { q.apply.checkpointNow() }

// Close stops the member. Commands that were accepted and are not committed yet have an unknown outcome.
func (q *Quorum) Close() error {
	if !q.halt() {
		return nil
	}
	return errors.Join(q.cfg.Log.Close(), q.cfg.Image.Close())
}

// halt ends the goroutines, the first time.
func (q *Quorum) halt() bool {
	q.queue.close()
	select {
	case <-q.stop:
		return false
	default:
		close(q.stop)
	}
	q.stopped.Wait()
	return true
}

// run is the quorum goroutine: it alone touches the core.
func (q *Quorum) run(stop <-chan struct{}) {
	tick := time.NewTicker(q.cfg.Tick)
	defer tick.Stop()
	if q.core.alone() {
		if err := q.core.node.Campaign(); err != nil {
			q.fail(fmt.Errorf("quorum: %w", err))
			return
		}
	}
	for {
		if err := q.turn(); err != nil {
			q.fail(err)
			return
		}
		select {
		case <-q.wake:
		case <-tick.C:
			q.core.node.Tick()
			q.again()
		case <-stop:
			return
		}
	}
}

// turn takes in what happened, proposes what waits and hands out what has become due.
func (q *Quorum) turn() error {
	if err := q.takeIn(); err != nil {
		return err
	}
	q.dispatch()
	if !q.core.leads() {
		return nil
	}
	if s := q.queue.takeSyncs(); len(s) > 0 {
		q.core.askReads(s)
		q.dispatch()
	}
	for q.core.appending < q.cfg.AppendsMax && len(q.retry) == 0 {
		if !q.proposeChunk() {
			return nil
		}
		q.dispatch()
	}
	return nil
}

// takeIn steps the reports of the other goroutines.
func (q *Quorum) takeIn() error {
	q.inbox.mu.Lock()
	done, steps, applied, cut := q.inbox.durable, q.inbox.steps, q.inbox.applied, q.inbox.cut
	q.inbox.durable, q.inbox.steps = nil, nil
	q.inbox.mu.Unlock()
	for _, d := range done {
		switch {
		case d.err == nil:
			q.durableNs = d.atNs
			if err := q.core.durable(d.job); err != nil {
				return err
			}
		case errors.Is(d.err, wal.ErrFull):
			q.retry = append(q.retry, *d.job)
		default:
			return fmt.Errorf("quorum: appending to the log: %w", d.err)
		}
	}
	if cut.index > q.core.store.mark.index {
		q.core.store.mark = cut
	}
	q.core.store.applied(applied)
	return q.core.step(steps)
}

// proposeChunk makes the oldest waiting chunk one raft entry; it reports whether there was one.
func (q *Quorum) proposeChunk() bool {
	chunk := q.held
	if chunk == nil {
		var drained bool
		chunk, drained = q.takeChunk()
		if drained && q.cfg.Drained != nil {
			q.cfg.Drained()
		}
		if chunk == nil {
			return false
		}
	}
	tree.AppendBatchHeader(chunk[:0], tree.BatchHeader{TimeMs: q.cfg.NowMs(), Rules: q.cfg.Rules})
	if q.core.node.Propose(chunk) != nil {
		q.held = chunk // raft has as much uncommitted as it may: again on the next turn
		return false
	}
	q.held = nil
	q.cfg.Metrics.Proposals.Inc()
	q.cfg.Metrics.ProposalBytes.Set(int64(len(chunk)))
	return true
}

// takeChunk takes the oldest chunk from the queue and takes note of how long its first command waited there.
func (q *Quorum) takeChunk() (commands []byte, drained bool) {
	c, drained := q.queue.takeChunk()
	if c.commands != nil {
		q.cfg.Metrics.StageQueue.Observe(q.cfg.NowNs() - c.bornNs)
	}
	return c.commands, drained
}

// dispatch hands the due jobs to their goroutines.
func (q *Quorum) dispatch() {
	var due jobs
	q.core.ready(&due)
	for i := range due.appends {
		q.append(due.appends[i])
	}
	if len(due.applies) > 0 && q.durableNs != 0 {
		q.cfg.Metrics.StageQuorum.Observe(q.cfg.NowNs() - q.durableNs)
		q.durableNs = 0
	}
	q.apply.give(due.applies)
	if due.lead != nil {
		q.roleChanged()
	}
}

// append hands a job to the log. Behind jobs that a full disk refused it waits its turn.
func (q *Quorum) append(j appendJob) {
	if len(q.retry) > 0 {
		q.retry = append(q.retry, j)
		return
	}
	job, start := &j, q.cfg.NowNs()
	j.append.Done = func(err error) {
		now := q.cfg.NowNs()
		q.inbox.mu.Lock()
		q.inbox.durable = append(q.inbox.durable, durable{job, err, now})
		q.inbox.mu.Unlock()
		notify(q.wake)
		q.cfg.Metrics.StageDurable.Observe(now - start)
	}
	q.cfg.Log.Append(j.append)
}

// again offers the log what it refused for lack of space.
func (q *Quorum) again() {
	if len(q.retry) > 0 && !q.cfg.Log.Full() {
		jobs := q.retry
		q.retry = nil
		for _, j := range jobs {
			q.append(j)
		}
	}
	if q.status.Load().Full != q.full() {
		q.setStatus()
		q.cfg.Logger.Warn("space for the log", "full", q.full())
	}
}

func (q *Quorum) full() bool { return len(q.retry) > 0 || q.cfg.Log.Full() }

// applied is called by the apply goroutine when it has finished jobs up to index.
func (q *Quorum) applied(index uint64, responses []*pb.Message) {
	q.inbox.mu.Lock()
	q.inbox.applied = index
	q.inbox.steps = append(q.inbox.steps, responses...)
	q.inbox.mu.Unlock()
	notify(q.wake)
}

// cut is called by the checkpoint goroutine: an image holds everything up to m.
func (q *Quorum) cut(m mark) {
	q.inbox.mu.Lock()
	q.inbox.cut = m
	q.inbox.mu.Unlock()
	notify(q.wake)
}

func (q *Quorum) checkpointed(c Checkpoint) {
	if c.Err != nil {
		q.cfg.Logger.Error("checkpoint failed; the log is kept and the next one will cover it", "index", c.Index, "err", c.Err)
	} else {
		q.cfg.Logger.Info("checkpoint written", "index", c.Index, "zxid", c.Zxid, "took", c.Duration)
	}
	q.cfg.Metrics.Checkpoint.Observe(int64(c.Duration))
	if f := q.cfg.Checkpoint; f != nil {
		f(c)
	}
}

func (q *Quorum) roleChanged() {
	q.setStatus()
	s := q.Status()
	switch {
	case s.Leader == 0:
		q.candidateNs = q.cfg.NowNs()
	case s.Role == Leader:
		q.cfg.Metrics.Elections.Inc()
		q.cfg.Metrics.ElectionTime.Observe(q.cfg.NowNs() - q.candidateNs)
	}
	q.cfg.Logger.Info("role", "role", s.Role, "term", s.Term, "leader", s.Leader)
}

func (q *Quorum) setStatus() {
	b := q.core.node.BasicStatus()
	s := Status{ID: q.cfg.ID, Alone: q.core.alone(), Voters: len(q.core.store.conf.GetVoters()), Leader: b.Lead, Term: b.GetTerm(), Full: q.full()}
	switch b.RaftState {
	case raft.StateLeader:
		s.Role, s.ContactNs = Leader, q.cfg.NowNs()
	case raft.StateCandidate, raft.StatePreCandidate:
		s.Role = Candidate
	}
	q.status.Store(&s)
	q.cfg.Metrics.LogFull.Set(b2i(s.Full))
}

func b2i(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// fail ends the member: nothing it could still say would be safe.
func (q *Quorum) fail(err error) {
	q.failing.Do(func() { q.cfg.Fatal(err) })
}

// notify wakes the goroutine that waits on c, once however often it is called.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
