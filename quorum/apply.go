package quorum

import (
	"fmt"
	"sync"

	"go.etcd.io/raft/v3/raftpb"

	"holt/tree"
)

// applier owns the writable tree. It runs on one goroutine: committed entries in, Commits out.
type applier struct {
	q     *Quorum
	state *tree.State
	index uint64 // last applied entry
	term  uint64
	chain *Chain
	due   []applyJob // syncs that wait for an index, ascending

	logBytes int64 // applied since the last checkpoint was begun

	mu    sync.Mutex
	jobs  []applyJob
	asked bool // a checkpoint was asked for
	wake  chan struct{}
}

func newApplier(q *Quorum, state *tree.State, m mark) *applier {
	a := &applier{q: q, state: state, index: m.index, term: m.term, wake: make(chan struct{}, 1)}
	a.chain = NewChain(state.Root())
	q.tail.Store(a.chain.Tail())
	return a
}

// give hands jobs over, in order. It never blocks: raft bounds how much may be unapplied.
func (a *applier) give(jobs []applyJob) {
	if len(jobs) == 0 {
		return
	}
	a.mu.Lock()
	a.jobs = append(a.jobs, jobs...)
	a.mu.Unlock()
	notify(a.wake)
}

func (a *applier) take() []applyJob {
	a.mu.Lock()
	defer a.mu.Unlock()
	j := a.jobs
	a.jobs = nil
	return j
}

// run applies until stop is closed.
func (a *applier) run(stop <-chan struct{}) {
	for {
		select {
		case <-a.wake:
		case <-stop:
			return
		}
		for _, j := range a.take() {
			if err := a.do(j); err != nil {
				a.q.fail(err)
				return
			}
		}
		a.maybeCheckpoint()
	}
}

func (a *applier) do(j applyJob) error {
	for _, e := range j.entries {
		if err := a.entry(e); err != nil {
			return err
		}
	}
	if len(j.synced) > 0 {
		a.due = append(a.due, j)
	}
	if s := a.takeDue(); len(s) > 0 {
		a.publish(&Commit{Root: a.chain.Tail().Root, Synced: s})
	}
	if len(j.responses) > 0 {
		a.q.applied(a.index, j.responses)
	}
	return nil
}

func (a *applier) entry(e *raftpb.Entry) error {
	if e.GetIndex() != a.index+1 {
		panic(fmt.Sprintf("Q4: entry %d is applied after %d", e.GetIndex(), a.index))
	}
	a.index, a.term = e.GetIndex(), e.GetTerm()
	a.logBytes += int64(len(e.GetData()))
	if e.GetType() != raftpb.EntryNormal || len(e.GetData()) == 0 {
		return nil // raft's own: the first entry of a term, a change of members
	}
	begin := a.q.cfg.NowNs()
	applied, err := a.state.Apply(tree.Batch{Term: a.term, Data: e.GetData(), Local: a.q.cfg.Process})
	if err != nil {
		return fmt.Errorf("quorum: entry %d of term %d cannot be applied (was the log written by a newer version?): %w", a.index, a.term, err)
	}
	a.q.cfg.Metrics.Commits.Inc()
	a.q.cfg.Metrics.EntryCommands.Observe(int64(len(applied.Txns)))
	a.q.cfg.Metrics.StageApply.Observe(a.q.cfg.NowNs() - begin)
	a.publish(&Commit{Root: applied.Root, Txns: applied.Txns, Changes: applied.Changes, Synced: a.takeDue()})
	return nil
}

// takeDue returns the syncs whose index has been applied.
func (a *applier) takeDue() []Synced {
	var s []Synced
	for len(a.due) > 0 && a.due[0].index <= a.index {
		s = append(s, a.due[0].synced...)
		a.due = a.due[1:]
	}
	return s
}

// publish appends c to the chain and tells the event loops.
func (a *applier) publish(c *Commit) {
	c.AtNs = a.q.cfg.NowNs()
	a.chain.Publish(c)
	a.q.tail.Store(c)
	if f := a.q.published.Load(); f != nil {
		(*f)(c)
	}
}

// maybeCheckpoint hands the root to the checkpoint goroutine once enough log has gathered, or one was asked for, and it
// is idle.
func (a *applier) maybeCheckpoint() {
	a.mu.Lock()
	asked := a.asked
	a.asked = false
	a.mu.Unlock()
	if a.logBytes < a.q.cfg.CheckpointBytes && !asked {
		return
	}
	if a.q.image.offer(imageJob{root: a.chain.Tail().Root, mark: mark{a.index, a.term}}) {
		a.logBytes = 0
	}
}

// checkpointNow asks for a checkpoint however little log there is.
func (a *applier) checkpointNow() {
	a.mu.Lock()
	a.asked = true
	a.mu.Unlock()
	notify(a.wake)
}
