package quorum

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"holt/perf"
	"holt/tree"
	"holt/wal"
)

// Config says what a member works with. Log and Image are handed over by an Open that succeeds: Close closes them.
type Config struct {
	ID      uint64 // this member, not zero
	Process uint32 // names this run of the process in Origins; random, not zero
	Log     *wal.Log
	Image   Image
	Rules   tree.Rules // what the leader's configuration decides about Apply

	// Ensemble is the members as they were configured here: those of an ensemble that is yet to be formed, and where to
	// find somebody who knows better. nil: this member alone. With LocalAddresses its addresses take precedence over those
	// that the ensemble agreed on, which is how members move to other hosts without reconfig.
	Ensemble       *tree.Ensemble
	LocalAddresses bool
	Network        Network // nil: this member alone, for good

	CheckpointBytes int64         // log applied between two checkpoints; default 128 MiB
	Tick            time.Duration // of raft's clock; default 25 ms
	ElectionTicks   int           // a follower that hears nothing for so long, or up to twice that, asks for votes; default 20
	HeartbeatTicks  int           // between two heartbeats; default 4
	AppendsMax      int           // entries on their way to the disk at once; default 2

	NowMs      func() int64  // wall clock, ms since 1970; stamps batches. Default: the system's
	NowNs      func() int64  // monotonic; stamps Commits. Default: perf.Now
	Drained    func()        // called when sources that were told ErrBusy may come again; must not block
	Random     func() uint64 // makes the id of a new ensemble; default random
	Checkpoint func(Checkpoint)
	Stepped    bool            // no goroutines: nothing happens but in Step and Tick (simulation)
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
	if c.Ensemble != nil && c.Network == nil && len(c.Ensemble.Members) > 1 {
		return errors.New("quorum: an ensemble needs a network")
	}
	if c.CheckpointBytes <= 0 {
		c.CheckpointBytes = 128 << 20
	}
	if c.Tick <= 0 {
		c.Tick = 25 * time.Millisecond
	}
	if c.ElectionTicks <= 0 {
		c.ElectionTicks = 20
	}
	if c.HeartbeatTicks <= 0 {
		c.HeartbeatTicks = 4
	}
	if c.Random == nil {
		c.Random = rand.Uint64
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
	cfg      Config
	core     *core // nil until it is known whom to form an ensemble with
	apply    *applier
	image    *image
	receiver *receiver
	queue    queue

	published atomic.Pointer[func(*Commit)]
	lost      atomic.Pointer[func()]
	touched   atomic.Pointer[func([]tree.SessionID)]
	tail      atomic.Pointer[Commit]
	status    atomic.Pointer[Status]
	peers     atomic.Pointer[[]PeerStatus]
	contacts  contacts
	readers   tree.Readers

	wake  chan struct{}
	inbox inbox

	// What follows belongs to the quorum goroutine.
	reader      *tree.Reader  // at the point of its storage
	start       mark          // of the image that was loaded
	conf        *pb.ConfState // in it, nil if it does not say
	seen        mark          // the last entry that was applied
	line        line
	others      []forwarded       // commands that other members sent to this leader
	gathered    []byte            // the last entry that was made of several chunks
	taken       map[uint64]*taken // by member
	reads       []*pb.Message     // questions of other members for a read index
	held        []byte            // an entry that raft would not take yet
	chunk       []byte            // of a member that stands alone: the memory of its chunk in the entry at work
	waiting     []appendJob       // refused by a full disk, or behind a state that is being installed, by number
	appends     uint64            // numbers given to append jobs
	install     installing
	unconfirmed uint64 // what a state that was sent here reaches to, until the leader goes on from there
	senders     map[uint64]*sender
	members     members
	driver      driver
	digests     digests
	suspect     suspect
	early       *pb.Message // the last pre-vote that was asked for while there was a leader
	leaving     bool        // leadership is to be handed over
	ticks       int64       // since the start

	logBytes int64 // applied since the last checkpoint was begun
	asked    bool  // a checkpoint was asked for

	durableNs   int64 // when the last append became durable whose entries were not handed to apply yet; else 0
	candidateNs int64 // when this member last had no leader

	stop    chan struct{} // closed by Close
	stopped sync.WaitGroup
	failing sync.Once
}

// inbox is what other goroutines report to the quorum goroutine.
type inbox struct {
	mu       sync.Mutex
	durable  []durable
	applied  []appliedReport
	cut      mark
	arrived  []arrived
	images   []*installed
	asked    bool
	handover bool
	network  []event
	bytes    map[uint64]int // of forwarded chunks, by member
	halted   map[uint64]bool
}

type durable struct {
	job  *appendJob
	err  error
	atNs int64
}

// appliedReport tells that the apply goroutine has done a job.
type appliedReport struct {
	point     point
	bytes     int64
	chunk     uint64 // the newest mark of this process among what was applied
	confs     []*pb.Entry
	responses []*pb.Message
	digests   []digestAt
	installed bool
	urgent    bool // something waits for it
}

// Open recovers the state from checkpoint and log and starts the member. A member that is alone waits until it has
// applied everything that was acknowledged before; others return at once. That takes a few bytes of log: on a disk
// without any Open waits for space, until Config.Cancel is closed, which makes it fail with ErrClosed.
func Open(cfg Config) (*Quorum, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	q := &Quorum{
		cfg: cfg, wake: make(chan struct{}, 1), stop: make(chan struct{}),
		taken: map[uint64]*taken{}, senders: map[uint64]*sender{},
		inbox: inbox{bytes: map[uint64]int{}, halted: map[uint64]bool{}},
	}
	q.image = &image{store: cfg.Image, log: cfg.Log, wake: make(chan struct{}, 1), cut: q.cut, report: q.checkpointed, arrived: q.imageArrived}
	q.receiver = newReceiver(q)
	q.reader = q.readers.Join()
	begin := cfg.NowNs()
	state, at, conf, err := q.image.load()
	if err != nil {
		return nil, err
	}
	loaded := cfg.NowNs()
	cfg.Metrics.StartLoad.Observe(loaded - begin)
	q.start, q.conf, q.seen = at, conf, at
	q.apply = newApplier(q, state, at)
	if err := q.begin(); err != nil {
		return nil, err
	}
	q.setStatus()
	if cfg.Network != nil {
		q.tellPeers()
		if err := cfg.Network.Start(q); err != nil {
			return nil, err
		}
	}
	if cfg.Stepped {
		return q, nil
	}
	q.spawn(q.apply.run, q.image.run, q.receiver.run, q.run)
	if q.status.Load().Alone {
		if err := q.recovered(); err != nil {
			q.halt()
			return nil, err
		}
		cfg.Metrics.StartReplay.Observe(cfg.NowNs() - loaded)
		cfg.Metrics.StartReplayed.Observe(int64(cfg.Log.LastIndex() - at.index))
	}
	return q, nil
}

func (q *Quorum) spawn(runs ...func(<-chan struct{})) {
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
	all, err := q.awaitAll()
	if err != nil {
		return err
	}
	told := false
	for !all.reached() {
		if !q.Status().Alone {
			return nil // the log told of other members, with whom the rest is agreed on
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
	return nil
}

// caughtUpInterval is how often CaughtUp looks.
const caughtUpInterval = 10 * time.Millisecond

// CaughtUp returns when this member has applied everything that was acknowledged before the call, or fails: with ctx, or ErrClosed.
func (q *Quorum) CaughtUp(ctx context.Context) error {
	all, err := q.awaitAll()
	if err != nil {
		return err
	}
	tick := time.NewTicker(caughtUpInterval)
	defer tick.Stop()
	for !all.reached() {
		select {
		case <-q.stop:
			return ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// awaited is a sync that nobody's connection asked for, and how far the commits have been searched for its end.
type awaited struct {
	commit *Commit
	origin tree.Origin
}

// awaitAll asks for such a sync.
func (q *Quorum) awaitAll() (*awaited, error) {
	a := &awaited{commit: q.Tail(), origin: tree.Origin{Process: q.cfg.Process, Loop: markLoop}}
	return a, q.Sync(a.origin, 0)
}

// reached searches what was published since the last call.
func (a *awaited) reached() bool {
	for n := a.commit.Next(); n != nil; n = a.commit.Next() {
		a.commit = n
		if slices.ContainsFunc(n.Synced, func(s Synced) bool { return s.Origin == a.origin }) {
			return true
		}
	}
	return false
}

// Readers returns those who look at the Roots of commits. Whoever looks at znodes joins first.
func (q *Quorum) Readers() *tree.Readers { return &q.readers }

// Trim has the tree leave memory that it has for later writes to the garbage collector, and returns how many bytes that are.
func (q *Quorum) Trim() (bytes int) {
	answer := make(chan int, 1)
	q.apply.give([]applyJob{{trim: answer}})
	select {
	case bytes = <-answer:
	case <-q.stop:
	}
	return bytes
}

// Tail returns the newest Commit. A loop that starts adopts its Root and takes its place there.
func (q *Quorum) Tail() *Commit { return q.tail.Load() }

// OnPublished sets the function that is called with each Commit right after it joined the chain, on the apply
// goroutine: it wakes event loops and must not block.
func (q *Quorum) OnPublished(f func(*Commit)) { q.published.Store(&f) }

// Status returns the member's view of its ensemble.
func (q *Quorum) Status() Status {
	s := *q.status.Load()
	if s.ContactNs = q.contacts.last(); s.Role == Leader {
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

// Propose queues framed commands (tree.Append*), which are copied, to be committed in this order. What became of each
// is in the Commit that carries its Origin and Tag. Errors: ErrLost, ErrBusy, ErrUnavailable, ErrClosed; then none was
// queued. Without a leader commands wait.
func (q *Quorum) Propose(epoch uint64, commands []byte) error {
	if s := q.status.Load(); s.Role == Outside || s.Full || q.cfg.Log.Full() {
		return ErrUnavailable
	}
	first, err := q.queue.put(epoch, commands, q.cfg.NowNs)
	if first {
		notify(q.wake)
	}
	return err
}

// ProposeAsLeader queues commands that only a leader may decide on. They are not ordered against those of Propose, and are
// forgotten when the term ends in which they were decided. ErrUnavailable: this member does not lead in that term.
func (q *Quorum) ProposeAsLeader(term uint64, commands []byte) error {
	if s := q.status.Load(); s.Role != Leader || s.Term != term || s.Full || q.cfg.Log.Full() {
		return ErrUnavailable
	}
	first, err := q.queue.putOwn(term, commands)
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

// Handover has a leader hand leadership to another member, for a planned stop. A member that does not lead, or has nobody to
// hand over to, returns at once. It fails with ctx.
func (q *Quorum) Handover(ctx context.Context) error {
	if s := q.Status(); s.Role != Leader || s.Alone {
		return nil
	}
	q.inbox.mu.Lock()
	q.inbox.handover = true
	q.inbox.mu.Unlock()
	notify(q.wake)
	for q.Status().Role == Leader {
		select {
		case <-ctx.Done():
			return fmt.Errorf("quorum: handing over leadership: %w", ctx.Err())
		case <-q.stop:
			return ErrClosed
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

// Peers returns what a leader knows of the other members, by id; nil elsewhere.
func (q *Quorum) Peers() []PeerStatus {
	if p := q.peers.Load(); p != nil {
		return *p
	}
	return nil
}

// CheckpointNow begins a checkpoint of the newest root unless one is running.
func (q *Quorum) CheckpointNow() {
	q.inbox.mu.Lock()
	q.inbox.asked = true
	q.inbox.mu.Unlock()
	notify(q.wake)
}

// Checkpoint has the image hold what is applied by now, and waits for that. It fails with ctx, with ErrClosed, or as the
// write does.
func (q *Quorum) Checkpoint(ctx context.Context) error {
	want, failed := q.Tail().Index, q.image.failed.Load()
	for q.image.index.Load() < want {
		if n := q.image.failed.Load(); n != failed {
			return errors.New("quorum: the checkpoint failed")
		}
		q.CheckpointNow()
		select {
		case <-ctx.Done():
			return fmt.Errorf("quorum: waiting for a checkpoint: %w", ctx.Err())
		case <-q.stop:
			return ErrClosed
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

// Close stops the member. Commands that were accepted and are not committed yet have an unknown outcome.
func (q *Quorum) Close() error {
	if !q.halt() {
		return nil
	}
	var err error
	if q.cfg.Network != nil {
		err = q.cfg.Network.Close()
	}
	return errors.Join(err, q.cfg.Log.Close(), q.cfg.Image.Close())
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
