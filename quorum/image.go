package quorum

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/raft/v3/raftpb"

	"holt/tree"
	"holt/wal"
	"holt/wal/checkpoint"
)

// Image is the durable image of the tree (*checkpoint.Store).
type Image interface {
	// Load returns the tree in the image and its mark; a fresh image holds a fresh tree and a zero mark.
	Load() (*tree.State, checkpoint.Mark, error)
	// Write makes the image hold to instead of from, durably and at once, with its mark.
	Write(from *tree.Base, to *tree.Root, m checkpoint.Mark) error
	Close() error
}

// image keeps the durable image of the tree. It runs on one goroutine, which is handed an immutable root and the
// position in the log that the root corresponds to; nobody waits for it.
type image struct {
	store   Image
	log     *wal.Log
	last    *tree.Base // of what the store holds
	report  func(Checkpoint)
	cut     func(mark)              // the log begins after this mark now
	arrived func(*installed, error) // an image from a peer is in the store, and the log begins after it
	index   atomic.Uint64           // of the last entry in the store, once the log is cut too
	failed  atomic.Uint64           // writes that failed

	mu   sync.Mutex
	jobs []imageJob
	busy bool
	wake chan struct{}
}

// imageJob is a checkpoint of point, after which the log is cut up to cutTo; or a state that takes the place of store and
// log.
type imageJob struct {
	point
	hold    *tree.Hold // of its root
	cutTo   uint64
	install *installed
}

// Checkpoint says how one checkpoint went.
type Checkpoint struct {
	Zxid     tree.Zxid
	Index    uint64
	Duration time.Duration
	Err      error
}

// load reads the image back, with the members at its place in the log: nil if it does not say. The log must begin no
// later than where the image ends. A log that ends before it, or went another way, is left over from before the image
// was taken over from a peer; what a peer's image holds is committed, so nothing in that log counts.
func (m *image) load() (*tree.State, mark, *pb.ConfState, error) {
	state, at, err := m.store.Load()
	if err != nil {
		return nil, mark{}, nil, fmt.Errorf("quorum: loading the checkpoint: %w", err)
	}
	var conf *pb.ConfState
	if len(at.ConfState) > 0 {
		conf = &pb.ConfState{}
		if err := proto.Unmarshal(at.ConfState, conf); err != nil {
			return nil, mark{}, nil, fmt.Errorf("quorum: members in the checkpoint at index %d: %w", at.Index, err)
		}
	}
	m.last = state.Root().Base()
	m.index.Store(at.Index)
	first, last := m.log.FirstIndex(), m.log.LastIndex()
	alone := conf == nil || len(conf.GetVoters())+len(conf.GetLearners()) == 1
	stale := last < at.Index
	if !stale && first <= at.Index+1 && at.Index > 0 {
		term, err := m.log.Term(at.Index)
		if err != nil {
			return nil, mark{}, nil, fmt.Errorf("quorum: %w", err)
		}
		stale = term != at.Term
	}
	switch {
	case stale && !alone:
		err = m.log.Reset(at.Index, at.Term)
	case stale, last > at.Index && first > at.Index+1:
		err = fmt.Errorf("%w: the checkpoint ends at index %d of term %d, the log holds %d to %d: files of the log are missing; "+
			"restore the data directory from a backup", ErrGap, at.Index, at.Term, first, last)
	}
	if err != nil {
		return nil, mark{}, nil, err
	}
	return state, mark{at.Index, at.Term}, conf, nil
}

// ErrGap says that checkpoint and log do not join up.
var ErrGap = errors.New("quorum: checkpoint and log do not join")

// offer hands a checkpoint over if the goroutine is idle.
func (m *image) offer(j imageJob) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.busy || len(m.jobs) > 0 {
		return false
	}
	m.jobs = append(m.jobs, j)
	notify(m.wake)
	return true
}

// install hands over a state from a peer; it comes after a checkpoint that is being written.
func (m *image) install(i *installed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.jobs = append(m.jobs, imageJob{install: i})
	notify(m.wake)
}

// run writes one image at a time until stop is closed.
func (m *image) run(stop <-chan struct{}) {
	for {
		select {
		case <-m.wake:
			for m.step() {
			}
		case <-stop:
			return
		}
	}
}

// step does one job if there is one.
func (m *image) step() bool {
	m.mu.Lock()
	if len(m.jobs) == 0 {
		m.mu.Unlock()
		return false
	}
	j := m.jobs[0]
	m.jobs, m.busy = m.jobs[1:], true
	m.mu.Unlock()
	if j.install != nil {
		m.arrived(j.install, m.replace(j.install))
	} else {
		m.write(j)
	}
	m.mu.Lock()
	m.busy = false
	m.mu.Unlock()
	return true
}

// write makes the store hold the job's state and cuts the log. A failure (a full disk, say) leaves image and log as
// they were; the next checkpoint covers what this one would have.
func (m *image) write(j imageJob) {
	start := time.Now()
	err := m.put(m.last, j.point)
	j.hold.Release()
	if err == nil {
		err = m.cutLog(j.cutTo)
	}
	if err == nil {
		m.index.Store(j.mark.index)
	} else {
		m.failed.Add(1)
	}
	m.report(Checkpoint{Zxid: j.root.Zxid(), Index: j.mark.index, Duration: time.Since(start), Err: err})
}

func (m *image) cutLog(to uint64) error {
	if to < m.log.FirstIndex() {
		return nil
	}
	term, err := m.log.Term(to)
	if err != nil {
		return err
	}
	m.cut(mark{to, term})
	return m.log.Cut(to)
}

// replace makes the store hold what came from a peer and lets the log begin after it. In this order: load knows a log
// that has no part in its image.
func (m *image) replace(i *installed) error {
	if err := m.put(nil, i.point); err != nil {
		return err
	}
	if err := m.log.Reset(i.mark.index, i.mark.term); err != nil {
		return err
	}
	m.index.Store(i.mark.index)
	return nil
}

// put makes the store hold p instead of from; nil is whatever it holds.
func (m *image) put(from *tree.Base, p point) error {
	conf, err := proto.Marshal(p.conf)
	if err != nil {
		return err
	}
	if err := m.store.Write(from, p.root, checkpoint.Mark{Index: p.mark.index, Term: p.mark.term, ConfState: conf}); err != nil {
		return err
	}
	m.last = p.root.Base()
	return nil
}
