package quorum

import (
	"errors"
	"fmt"
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
	Write(from, to *tree.Root, m checkpoint.Mark) error
	Close() error
}

// image keeps the durable image of the tree. It runs on one goroutine, which is handed an immutable root and the
// position in the log that the root corresponds to; nobody waits for it.
type image struct {
	store   Image
	log     *wal.Log
	conf    *pb.ConfState
	last    *tree.Root // what the store holds
	report  func(Checkpoint)
	written func(mark) // the log before this mark is no longer needed

	jobs chan imageJob
	busy atomic.Bool
}

type imageJob struct {
	root *tree.Root
	mark mark
}

// Checkpoint says how one checkpoint went.
type Checkpoint struct {
	Zxid     tree.Zxid
	Index    uint64
	Duration time.Duration
	Err      error
}

// load reads the image back. The log must reach at least to where the image ends, and begin no later.
func (m *image) load() (*tree.State, mark, error) {
	state, at, err := m.store.Load()
	if err != nil {
		return nil, mark{}, fmt.Errorf("quorum: loading the checkpoint: %w", err)
	}
	if len(at.ConfState) > 0 {
		m.conf = &pb.ConfState{}
		if err := proto.Unmarshal(at.ConfState, m.conf); err != nil {
			return nil, mark{}, fmt.Errorf("quorum: members in the checkpoint at index %d: %w", at.Index, err)
		}
	}
	first, last := m.log.FirstIndex(), m.log.LastIndex()
	if last < at.Index || (last > at.Index && first > at.Index+1) {
		return nil, mark{}, fmt.Errorf("%w: the checkpoint ends at index %d, the log holds %d to %d: files of the log are missing; "+
			"restore the data directory from a backup", ErrGap, at.Index, first, last)
	}
	m.last = state.Root()
	return state, mark{at.Index, at.Term}, nil
}

// ErrGap says that checkpoint and log do not join up.
var ErrGap = errors.New("quorum: checkpoint and log do not join")

// offer hands a job over if the goroutine is idle.
func (m *image) offer(j imageJob) bool {
	if !m.busy.CompareAndSwap(false, true) {
		return false
	}
	m.jobs <- j
	return true
}

// run writes one image at a time until stop is closed.
func (m *image) run(stop <-chan struct{}) {
	for {
		select {
		case j := <-m.jobs:
			m.write(j)
			m.busy.Store(false)
		case <-stop:
			return
		}
	}
}

// write makes the store hold j.root and cuts the log before it. A failure (a full disk, say) leaves image and log as
// they were; the next checkpoint covers what this one would have.
func (m *image) write(j imageJob) {
	start := time.Now()
	err := m.writeStore(j)
	if err == nil {
		m.last = j.root
		m.written(j.mark)
		err = m.log.Cut(j.mark.index)
	}
	m.report(Checkpoint{Zxid: j.root.Zxid(), Index: j.mark.index, Duration: time.Since(start), Err: err})
}

func (m *image) writeStore(j imageJob) error {
	conf, err := proto.Marshal(m.conf)
	if err != nil {
		return err
	}
	return m.store.Write(m.last, j.root, checkpoint.Mark{Index: j.mark.index, Term: j.mark.term, ConfState: conf})
}
