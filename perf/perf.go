package perf

import (
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

var base = time.Now()

// Now is the monotonic clock of all times in this package, in nanoseconds since the process began. Stamp once per turn or batch.
func Now() int64 { return int64(time.Since(base)) }

// Config of Metrics; the zero value is usable.
type Config struct {
	Loops int // event loops; at least one
	// SlowOp is the time from which a request or a turn of a loop counts as slow; 0 = never.
	SlowOp time.Duration
	// SlowLogsPerSecond bounds the lines of the slow-operation log; 0 = 10.
	SlowLogsPerSecond int
	Logger            *slog.Logger // nil = the slow-operation log is off
}

// Counter goes up. Any goroutine may use it.
type Counter struct{ v atomic.Uint64 }

// Inc adds one.
func (c *Counter) Inc() { c.v.Add(1) }

// Add adds n.
func (c *Counter) Add(n int) { c.v.Add(uint64(n)) }

// Value returns the count.
func (c *Counter) Value() uint64 { return c.v.Load() }

// Gauge is a level. Any goroutine may use it.
type Gauge struct{ v atomic.Int64 }

// Set sets the level.
func (g *Gauge) Set(v int64) { g.v.Store(v) }

// Add moves the level.
func (g *Gauge) Add(n int64) { g.v.Add(n) }

// Value returns the level.
func (g *Gauge) Value() int64 { return g.v.Load() }

// Metrics is all that a server says of itself in numbers. Parts write to the fields that concern them; loops write to their
// Loop. It is exported by WritePrometheus and VisitZooKeeper.
type Metrics struct {
	set     *metrics.Set
	loops   []*Loop
	sources atomic.Pointer[Sources]
	start   int64
	slow    slowLog

	// The log (wal). Times in ns.
	Fsync         Histogram
	BatchRecords  Histogram // records in one write
	BatchBytes    Histogram
	LogFull       Gauge   // 1 while writes are refused because the disk is full
	FsyncSlow     Counter // fsyncs over a second (fsync_threshold_exceed_count)
	StartLoad     Histogram
	StartReplay   Histogram
	StartReplayed Histogram // entries replayed at a start

	// The way of a write, in ns: waiting in the proposal queue, proposal to durable here, durable here to committed by the quorum,
	// applying one entry, publishing to delivery by a loop.
	StageQueue, StageDurable, StageQuorum, StageApply, StageDeliver Histogram
	EntryCommands                                                   Histogram // commands in one entry
	ProposalBytes                                                   Last
	Proposals, Commits, Elections                                   Counter   // Elections: those that this member won
	LeaderChanges                                                   Counter   // seen by this member
	ElectionTime                                                    Histogram // ns

	// Checkpoints. Times in ns.
	Checkpoint     Histogram
	CheckpointDisk Gauge

	// Connections and sessions.
	ConnsAccepted, ConnsRejected, ConnsSilent, ConnsAttached Counter // silent: closed without a ConnectRequest
	ConnsSlow                                                Counter // closed because they did not read
	ConnsUnsure                                              Counter // closed because the leader changed before a write was answered
	ConnsLeaderless                                          Counter // closed for want of a leader
	LargeRequests, LargeReplies                              Counter
	SessionsExpired, AuthFailures, HandshakesFailed          Counter
	FourLetterPackets                                        Counter
	FourLetterConns                                          Gauge // being answered; ZooKeeper counts them as connections
	DigestMismatches                                         Counter
	TTLCreated, TTLDeleted                                   Counter
	EventsDenied                                             Counter // events not sent because of the ACL
	QuotaExceeded                                            Counter
	QuotaExceededBy                                          CounterSet // the same by the first name of the path
	EnsembleAuthOK, EnsembleAuthFailed, EnsembleAuthSkipped  Counter    // auth packets of the ensemble scheme

	statsMu sync.Mutex
	reset   resetMark          // what srst subtracts
	windows map[string]*window // by the name of the summary
}

// Sources are levels that other parts know; nil ones are not exported. They are called at a scrape, on its goroutine, and must
// neither block nor walk.
type Sources struct {
	Znodes, DataBytes, Ephemerals, Sessions func() int64
	LastZxid                                func() int64
	TreeBytes                               func() int64 // memory of the tree, estimated
	Leader                                  func() bool
	LeaderUptimeMs                          func() int64
	QuorumSize                              func() int64
	Learners, SyncedFollowers               func() int64
	SyncedObservers                         func() int64
	Followers                               func() int64
	Peers                                   func() []Peer // of a leader
	ContactNs                               func() int64  // age of the last contact with the leader
	ReadOnly                                func() bool   // read-only mode
	TLSHandshakes                           func() int64  // running
	AppliedIndex, CommitIndex, Term         func() int64
	QueuedProposals                         func() int64
	LogBytes                                func() int64
}

// Peer is what a leader knows of another member.
type Peer struct {
	ID              uint64
	LagEntries      uint64 // of the log, that the member is not known to have
	Active, Syncing bool   // heard of lately; being sent the whole tree
}

// New returns metrics that nothing has been counted in.
func New(c Config) *Metrics {
	m := &Metrics{set: metrics.NewSet(), start: Now()}
	slowNs := int64(math.MaxInt64)
	if c.SlowOp > 0 {
		slowNs = int64(c.SlowOp)
	}
	for range max(1, c.Loops) {
		m.loops = append(m.loops, &Loop{slowNs: slowNs})
	}
	m.slow = newSlowLog(c)
	m.windows = map[string]*window{}
	m.sources.Store(&Sources{})
	m.register()
	return m
}

// Loop returns the part of loop i.
func (m *Metrics) Loop(i int) *Loop { return m.loops[i] }

// SetSources names the parts that know levels, once they exist.
func (m *Metrics) SetSources(s Sources) { m.sources.Store(&s) }

// UptimeMs is the time since New.
func (m *Metrics) UptimeMs() int64 { return (Now() - m.start) / 1e6 }

// Last remembers the last, smallest and largest of some sizes; -1 stands for none, as in ZooKeeper.
type Last struct{ last, low, high atomic.Int64 }

// Set notes a size.
func (l *Last) Set(v int64) {
	l.last.Store(v + 1)
	if low := l.low.Load(); low == 0 || v+1 < low {
		l.low.Store(v + 1)
	}
	if v+1 > l.high.Load() {
		l.high.Store(v + 1)
	}
}

// Values returns the last, smallest and largest size.
func (l *Last) Values() (last, low, high int64) {
	return l.last.Load() - 1, l.low.Load() - 1, l.high.Load() - 1
}

func (l *Last) reset() {
	l.last.Store(0)
	l.low.Store(0)
	l.high.Store(0)
}
