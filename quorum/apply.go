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
	at    mark // last applied entry
	chain *Chain
	due   []applyJob // syncs that wait for an index, ascending

	report appliedReport // of the running job
	quiet  int64         // bytes applied since the last report that was urgent
	// What the last state said of the members.
	ensemble *tree.Ensemble
	pending  *tree.PendingReconfig

	mu    sync.Mutex
	jobs  []applyJob
	spare []applyJob // the array of jobs that are done
	wake  chan struct{}
}

const (
	// quietBytesMax is how much may be applied before raft is told: it lets a few times that wait to be applied.
	quietBytesMax = 4 << 20
	_             = uint(applyingBytesMax - 4*quietBytesMax)
)

func newApplier(q *Quorum, state *tree.State, m mark) *applier {
	a := &applier{q: q, state: state, at: m, wake: make(chan struct{}, 1)}
	a.chain = NewChain(state.Root())
	state.Reuse(&q.readers)
	a.chain.Tail().Index = m.index
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

// take returns the jobs that wait. Their array comes back with done.
func (a *applier) take() []applyJob {
	a.mu.Lock()
	defer a.mu.Unlock()
	j := a.jobs
	a.jobs, a.spare = a.spare, nil
	return j
}

func (a *applier) done(jobs []applyJob) {
	clear(jobs)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.spare = jobs[:0]
}

// run applies until stop is closed.
func (a *applier) run(stop <-chan struct{}) {
	for {
		select {
		case <-a.wake:
		case <-stop:
			return
		}
		a.step()
	}
}

// step does the jobs that wait; false if there was none.
func (a *applier) step() bool {
	jobs := a.take()
	for _, j := range jobs {
		if err := a.do(j); err != nil {
			a.q.fail(err)
			break
		}
	}
	a.done(jobs)
	return len(jobs) > 0
}

func (a *applier) do(j applyJob) error {
	a.report = appliedReport{}
	for _, e := range j.entries {
		if err := a.entry(e); err != nil {
			return err
		}
	}
	if j.install != nil {
		a.replace(j.install)
	}
	if j.trim != nil {
		j.trim <- a.state.Trim()
	}
	if len(j.synced) > 0 {
		a.due = append(a.due, j)
	}
	if s := a.takeDue(); len(s) > 0 {
		a.publish(&Commit{Root: a.chain.Tail().Root, Synced: s})
	}
	if len(j.entries) > 0 || j.install != nil {
		a.report.point = point{root: a.chain.Tail().Root, mark: a.at}
		a.report.responses = j.responses
		a.quiet += a.report.bytes
		if a.report.urgent = a.report.urgent || a.waited(); a.report.urgent {
			a.quiet = 0
		}
		a.q.applied(a.report)
	}
	return nil
}

// waited says whether somebody may wait for the report: sources for room, raft for its bound on what is not applied, the
// leader for the members that were agreed on.
func (a *applier) waited() bool {
	root := a.report.point.root
	e, p := root.Ensemble(), root.Pending()
	changed := e != a.ensemble || p != a.pending
	a.ensemble, a.pending = e, p
	return changed || a.report.installed || len(a.report.confs) > 0 || a.quiet >= quietBytesMax || a.q.queue.crowded()
}

// replace goes on from a state that came from a peer.
func (a *applier) replace(i *installed) {
	a.state, a.at = i.state, i.mark
	a.state.Reuse(&a.q.readers)
	a.report.installed = true
	a.publish(&Commit{Root: i.root, Installed: true, Synced: a.takeDue()})
}

func (a *applier) entry(e *raftpb.Entry) error {
	if e.GetIndex() != a.at.index+1 {
		panic(fmt.Sprintf("Q4: entry %d is applied after %d", e.GetIndex(), a.at.index))
	}
	a.at = mark{e.GetIndex(), e.GetTerm()}
	a.report.bytes += int64(len(e.GetData()))
	if e.GetType() != raftpb.EntryNormal {
		a.report.confs = append(a.report.confs, e)
		return nil
	}
	if len(e.GetData()) == 0 {
		a.report.urgent = true // the first entry of a term: the way to the leader is open
		return nil
	}
	begin := a.q.cfg.NowNs()
	applied, err := a.state.Apply(tree.Batch{Term: a.at.term, Data: e.GetData(), Local: a.q.cfg.Process})
	if err != nil {
		return fmt.Errorf("quorum: entry %d of term %d cannot be applied (was the log written by a newer version?): %w", a.at.index, a.at.term, err)
	}
	for i := range applied.Txns {
		if o := applied.Txns[i].Origin; o.Loop == markLoop && o.Process == a.q.cfg.Process {
			a.report.chunk = o.Conn
		}
	}
	if a.at.index%digestEvery == 0 {
		a.report.digests = append(a.report.digests, digestAt{a.at.index, applied.Root.Digest()})
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
	for len(a.due) > 0 && a.due[0].index <= a.at.index {
		s = append(s, a.due[0].synced...)
		a.due = a.due[1:]
	}
	return s
}

// publish appends c to the chain and tells the event loops.
func (a *applier) publish(c *Commit) {
	c.AtNs, c.Index = a.q.cfg.NowNs(), a.at.index
	a.chain.Publish(c)
	a.q.tail.Store(c)
	if f := a.q.published.Load(); f != nil {
		(*f)(c)
	}
}
