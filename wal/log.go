package wal

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"holt/wal/internal/disk"
)

// The defaults and bounds of a Config.
const (
	segmentBytesDefault = 64 << 20
	segmentBytesMin     = 16 << 10
	firstSegmentBytes   = 4 << 20 // the very first segment: small, so that a new server starts at once
	sparesDefault       = 2
	tailBytesDefault    = 16 << 20
	tailEntriesMax      = 1 << 16
	batchBytesDefault   = 4 << 20
	probeEveryDefault   = time.Second
	bufferBytesRetained = 8 << 20
	queueRetained       = 1 << 14
	_                   = uint(segmentBytesMin - headerBytes - 2*controlReserve)
	_                   = uint(firstSegmentBytes - segmentBytesMin)
	_                   = uint(bufferBytesRetained - batchBytesDefault)
	readBytes           = 256 << 10
	segmentBytesMax     = 1 << 40
	growthFactor        = 2 // how far a segment may grow past its size while the next one is being made
	seqWindow           = 1 << 24
	reserveShare        = 20 // of the disk one part stays free for checkpoints, at most a segment
)

// Entry is one raft entry. Data is immutable: the log keeps a reference to it after Append, in the part of the log that
// it holds in memory, and Entries hands the same bytes out.
type Entry struct {
	Index, Term uint64
	Type        uint8
	Data        []byte
}

// HardState is what raft needs besides entries: the term, whom this member voted for in it, and how far the log was
// known to be committed (a hint: it never claims more than the log holds).
type HardState struct{ Term, Vote, Commit uint64 }

// Append is one request to the log. Entries rise one by one; if the first index is at or below the last index of the
// log, the log from there on is taken back first (a raft conflict). Done may be nil. It runs on the log goroutine, in
// the order of the Appends: nil once everything of this request and all before it is durable, an error wrapping ErrFull
// if nothing of it was kept. A request without entries and hard state is not written: it only takes its turn.
type Append struct {
	Entries   []Entry
	HardState *HardState // copied when the request is written; unchanged until Done
	Done      func(error)
}

// Flush tells of one write to the disk.
type Flush struct {
	Records int // entries and hard states
	Bytes   int // in the file, framing included
	WriteNs int64
	SyncNs  int64
}

// Config of a Log. Zero values mean the defaults given here; only Dir is needed.
type Config struct {
	FS            vfs.FS        // nil: the operating system's file system
	Dir           string        // the log's own directory; made if it is not there
	SegmentBytes  int64         // 64 MiB
	SpareSegments int           // 2: files of cut segments kept for reuse; the rest is removed; negative: none
	TailBytes     int64         // 16 MiB: the newest entries are kept in memory up to this size; negative: none
	BatchBytesMax int           // 4 MiB: about as much goes into one write and sync
	ProbeEvery    time.Duration // 1 s: how often a log without space looks whether there is some
	NoSync        bool          // do not wait for the disk: an operating system crash loses acknowledged writes
	Stepped       bool          // no goroutines: nothing happens until Step (tests and simulation)
	Salt          func() uint64 // nil: random; a number that clients cannot know, one per segment
	Fatal         func(error)   // nil: panic; told once of an error after which the log cannot promise anything
	Hold          func() bool   // nil: never; asked on the log goroutine whether it should keep its processor while a large frame is synced
	Flushed       func(Flush)   // nil: none; called on the log goroutine before the Dones
	Logger        *slog.Logger  // nil: silent
}

func (c *Config) validate() error {
	if c.Dir == "" {
		return errors.New("wal: Config.Dir is empty")
	}
	if c.FS == nil {
		c.FS = vfs.Default
	}
	setDefault(&c.SegmentBytes, segmentBytesDefault)
	setDefault(&c.SpareSegments, sparesDefault)
	setDefault(&c.TailBytes, tailBytesDefault)
	setDefault(&c.BatchBytesMax, batchBytesDefault)
	setDefault(&c.ProbeEvery, probeEveryDefault)
	if c.SegmentBytes < segmentBytesMin || c.SegmentBytes > segmentBytesMax {
		return fmt.Errorf("wal: SegmentBytes %d is not between %d and %d", c.SegmentBytes, segmentBytesMin, int64(segmentBytesMax))
	}
	if c.BatchBytesMax < 0 || c.ProbeEvery < 0 {
		return fmt.Errorf("wal: BatchBytesMax %d and ProbeEvery %v must not be negative", c.BatchBytesMax, c.ProbeEvery)
	}
	if c.Salt == nil {
		c.Salt = randomSalt
	}
	if c.Fatal == nil {
		c.Fatal = func(err error) { panic(err) }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

func setDefault[T int | int64 | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// Log is an open log. Append may be called by any goroutine; so may everything that reads. One goroutine, the log
// goroutine, writes: it takes all requests that wait, writes them in one frame, syncs once, and runs their Dones.
//
// A queue of requests swapped against an empty one, rather than callers that take turns at leading a group commit: the
// callers here are loops that must not wait for a disk, and one goroutine that owns the open segment needs no lock
// around it.
type Log struct {
	cfg    Config
	keeper *keeper
	lock   io.Closer
	held   *disk.Held
	full   atomic.Bool

	mu      sync.Mutex
	waiting []request
	closing bool
	wake    chan struct{}
	stopped chan struct{}

	// What is durable, for readers. The log goroutine alone changes it, under view, before it runs the Dones.
	view      sync.RWMutex
	index     index
	tail      tail
	hard      HardState
	sealed    []sealedSegment // live segments before the open one
	openBytes int64           // of the open segment

	// Owned by the log goroutine.
	taken   []request // what waiting was swapped against
	open    *segment
	off     int64 // where the next frame goes
	seq     uint64
	next    *segment
	nextErr error // why there is no next segment: no space
	asked   bool  // the keeper works on next
	starved bool  // something has to be probed
	dead    error // after a fatal error: the answer to everything
	buf     []byte

	refusedTo uint64 // the highest index that was refused: what follows it has a gap before it
}

type sealedSegment struct {
	id    uint64
	bytes int64
}

// request is what waits for the log goroutine: an Append, a cut or a reset.
type request struct {
	Append
	kind        uint8 // 0: append; kindCut, kindReset
	index, term uint64
}

// Open opens the log in cfg.Dir, or starts a new one there. It fails with an error wrapping ErrLocked if another process
// has it open, ErrNewerFormat if a newer version wrote it, a *CorruptError if bytes that were durable are damaged.
// What a crash left half-written at the end was never acknowledged and is cut.
func Open(cfg Config) (*Log, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if err := disk.MakeDir(cfg.FS, cfg.Dir); err != nil {
		return nil, fmt.Errorf("log: %w", disk.Explain(cfg.Dir, err))
	}
	lock, err := disk.Lock(cfg.FS, cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	l := &Log{
		cfg:     cfg,
		lock:    lock,
		wake:    make(chan struct{}, 1),
		stopped: make(chan struct{}),
		tail:    tail{bytesMax: max(cfg.TailBytes, 0)},
		keeper: &keeper{
			fs: cfg.FS, dir: cfg.Dir, segmentBytes: cfg.SegmentBytes,
			sparesMax: max(cfg.SpareSegments, 0), salt: cfg.Salt,
		},
	}
	if cfg.Hold != nil {
		l.held = disk.NewHeld()
	}
	if err := l.recover(); err != nil {
		_ = l.closeFiles() // err says more
		var corrupt *CorruptError
		if errors.As(err, &corrupt) || errors.Is(err, ErrNewerFormat) {
			return nil, err
		}
		return nil, fmt.Errorf("log: %w", disk.Explain(cfg.Dir, err))
	}
	if !cfg.Stepped {
		l.keeper.start()
	}
	l.askNext()
	if !cfg.Stepped {
		go l.run() // Close waits for its end
	}
	return l, nil
}

// Append hands a to the log goroutine. It never waits for the disk; whoever appends bounds what is on the way.
func (l *Log) Append(a Append) {
	l.submit(request{Append: a})
}

func (l *Log) submit(r request) {
	l.mu.Lock()
	if l.closing {
		l.mu.Unlock()
		r.done(ErrClosed)
		return
	}
	l.waiting = append(l.waiting, r)
	first := len(l.waiting) == 1
	l.mu.Unlock()
	if first {
		l.signal()
	}
}

func (l *Log) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (r *request) done(err error) {
	if r.Done != nil {
		r.Done(err)
	}
}

// Cut tells the log that all entries up to index are in a durable checkpoint. When it returns nil the log begins at
// index+1 for good, and the segments that hold nothing else are on their way to be reused or removed. index must not be
// past the last index. ErrFull is possible: try again at the next checkpoint.
func (l *Log) Cut(index uint64) error {
	l.view.RLock()
	cut, last := l.index.cut, l.index.last
	l.view.RUnlock()
	if index <= cut {
		return nil
	}
	if index > last {
		return fmt.Errorf("wal: cut at %d is past the last entry %d", index, last)
	}
	return l.wait(request{kind: kindCut, index: index})
}

// Reset drops all entries: the log goes on after (index, term), the mark of a state that came from elsewhere.
func (l *Log) Reset(index, term uint64) error {
	return l.wait(request{kind: kindReset, index: index, term: term})
}

func (l *Log) wait(r request) error {
	answer := make(chan error, 1)
	r.Done = func(err error) { answer <- err }
	l.submit(r)
	if l.cfg.Stepped {
		l.Step()
	}
	return <-answer
}

// Full says that appends are refused with ErrFull because the disk has no space.
func (l *Log) Full() bool { return l.full.Load() }

// Close writes what waits, stops and gives the directory back. Appends that come later are answered ErrClosed.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closing {
		l.mu.Unlock()
		return ErrClosed
	}
	l.closing = true
	l.mu.Unlock()
	if l.cfg.Stepped {
		l.turn()
	} else {
		l.signal()
		<-l.stopped
		l.keeper.stop()
		l.dropPrepared()
	}
	var err error
	if l.dead == nil && l.cfg.NoSync {
		err = l.open.file.SyncData()
	}
	return disk.FirstError(err, l.closeFiles(), l.dead)
}

func (l *Log) dropPrepared() {
	for {
		select {
		case p := <-l.keeper.prepared:
			if p.segment != nil {
				_ = p.segment.file.Close()
			}
		default:
			return
		}
	}
}

func (l *Log) closeFiles() error {
	var errs [3]error
	if l.open != nil {
		errs[0] = l.open.file.Close()
	}
	if l.next != nil {
		errs[1] = l.next.file.Close()
	}
	errs[2] = l.lock.Close()
	l.held.Close()
	return disk.FirstError(errs[:]...)
}

// run is the log goroutine.
func (l *Log) run() {
	defer close(l.stopped)
	var probe <-chan time.Time
	for {
		select {
		case <-l.wake:
			if l.turn() {
				return
			}
		case p := <-l.keeper.prepared:
			l.takePrepared(p)
		case <-probe:
			probe = nil
			l.probe()
		}
		if l.starved && probe == nil && l.dead == nil {
			probe = time.After(l.cfg.ProbeEvery)
		}
	}
}

// Step does in stepped mode what the goroutines do otherwise: looks for space if there was none, recycles and prepares
// segments, writes what waits.
func (l *Log) Step() {
	if !l.cfg.Stepped {
		panic("wal: Step of a log that runs by itself")
	}
	if l.starved && l.dead == nil {
		l.probe()
	}
	l.turn()
	if l.dead == nil {
		l.stepKeeper()
	}
}

// turn writes everything that waits, and says whether the log is closing.
func (l *Log) turn() (closing bool) {
	for {
		l.mu.Lock()
		l.waiting, l.taken = l.taken[:0], l.waiting
		closing = l.closing
		l.mu.Unlock()
		if len(l.taken) == 0 {
			return closing
		}
		for rest := l.taken; len(rest) > 0; {
			rest = rest[l.flush(rest):]
		}
		clear(l.taken)
		if cap(l.taken) > queueRetained {
			l.taken = nil
		}
	}
}
