package quorum

import (
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"

	pb "go.etcd.io/raft/v3/raftpb"

	"holt/tree"
	"holt/wal"
)

// A member that is too far behind for the log is sent the leader's whole state: the stored form of the tree, in key
// order, in frames on a lane of its own. The frames begin with raft's MsgSnap, which the receiver steps once everything
// has arrived: only then raft decides whether the state is wanted.
const (
	frameBegin byte = iota + 1 // MsgSnap
	frameChunk                 // records: length of key, length of value, key, value
	frameEnd                   // number of records
)

const (
	imageChunkBytes  = 128 << 10
	imageFramesMax   = 8 << 20 // bytes that have arrived and wait to be loaded, beyond which the lane is not read
	imageRestFactor  = 3       // times what a chunk took to make: the share of a core that sending takes
	imageRecordBytes = 8
)

// installed is a state that came from a peer.
type installed struct {
	point
	state *tree.State
	from  uint64
	msg   *pb.Message
}

// installing is a state from a peer on its way to take the place of this member's own. The steps: everything appended
// before is durable or was refused; image and log are replaced on the image goroutine; what was refused is dropped; the
// job's own entries are appended; the apply goroutine goes on from the new state; raft is told.
type installing struct {
	offer *installed // has arrived; raft has been asked whether it wants it
	job   *appendJob // raft's, when it does
	begun bool       // the image goroutine is at it
	full  bool       // it found no space the last time
}

// arrived tells what became of replacing image and log.
type arrived struct {
	image *installed
	err   error
}

// imageReceived is called by the receiver when a state has arrived.
func (q *Quorum) imageReceived(i *installed) {
	q.inbox.mu.Lock()
	q.inbox.images = append(q.inbox.images, i)
	q.inbox.mu.Unlock()
	notify(q.wake)
}

// imageArrived is called by the image goroutine.
func (q *Quorum) imageArrived(i *installed, err error) {
	q.inbox.mu.Lock()
	q.inbox.arrived = append(q.inbox.arrived, arrived{i, err})
	q.inbox.mu.Unlock()
	notify(q.wake)
}

// offered asks raft whether it wants a state. If so, the next ready has a job with that snapshot.
func (q *Quorum) offered(i *installed) error {
	if q.install.offer != nil {
		return nil // one at a time, also while raft's job waits for space; it is sent again if it is still wanted
	}
	q.install.offer = i
	if err := q.core.step([]*pb.Message{i.msg}); err != nil {
		return err
	}
	if err := q.dispatch(); err != nil {
		return err
	}
	wanted := slices.ContainsFunc(q.waiting, func(j appendJob) bool { return j.snapshot != nil })
	if q.install.job == nil && !wanted {
		q.install.offer = nil
		q.unconfirmed = q.core.node.BasicStatus().GetCommit() // it is here already
	}
	return nil
}

// beginInstall starts on raft's job as soon as everything before it is durable.
func (q *Quorum) beginInstall(j appendJob) {
	m := j.snapshot.GetMetadata()
	if i := q.install.offer; i == nil || i.mark != (mark{m.GetIndex(), m.GetTerm()}) {
		q.fail(fmt.Errorf("quorum: raft asks for a state of index %d that has not arrived", m.GetIndex()))
		return
	}
	q.install.job = &j
	q.goOnInstalling()
}

// goOnInstalling hands the state to the image goroutine once the log is at rest.
func (q *Quorum) goOnInstalling() {
	if q.install.job == nil || q.install.begun || q.core.appending > 1+len(q.waiting) {
		return
	}
	q.install.begun = true
	q.image.install(q.install.offer)
}

// installed goes on when image and log have been replaced.
func (q *Quorum) installed(a arrived) error {
	if errors.Is(a.err, wal.ErrFull) {
		q.install.begun, q.install.full = false, true // again with the next tick
		return nil
	}
	if a.err != nil {
		return fmt.Errorf("quorum: taking over the state of member %d: %w", a.image.from, a.err)
	}
	job := q.install.job
	q.install = installing{}
	q.unconfirmed = a.image.mark.index
	q.cfg.Logger.Info("took over the state of another member", "from", a.image.from, "index", a.image.mark.index, "zxid", fmt.Sprintf("%#x", int64(a.image.root.Zxid())))
	q.core.store.restore(a.image.mark, a.image.conf)
	q.moveTo(a.image.point)
	q.logBytes = 0
	q.apply.give([]applyJob{{install: a.image}})
	older := 0
	for older < len(q.waiting) && q.waiting[older].number < job.number {
		older++
	}
	q.core.supersede(job, q.waiting[:older])
	q.waiting = q.waiting[older:]
	q.appendNow(*job)
	q.appendWaiting()
	return nil
}

// confirm tells the leader again how far this member is that was sent a state. Raft says it once, and a leader that missed
// it, because the lane broke, would wait for it for ever: it sends nothing to a member that is being sent the state. What is
// not durable yet must not be told.
func (q *Quorum) confirm() {
	lead, term := q.core.leader()
	if q.unconfirmed == 0 || lead == raft.None || lead == q.cfg.ID || q.core.appending > 0 {
		return
	}
	q.send([]*pb.Message{{Type: pb.MsgAppResp.Enum(), From: &q.cfg.ID, To: &lead, Term: &term, Index: &q.unconfirmed}})
}
