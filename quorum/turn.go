package quorum

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/raft/v3"

	"holt/wal"
)

// run is the quorum goroutine: it alone touches the core.
func (q *Quorum) run(stop <-chan struct{}) {
	tick := time.NewTicker(q.cfg.Tick)
	defer tick.Stop()
	for {
		if err := q.turn(); err != nil {
			q.fail(err)
			return
		}
		select {
		case <-q.wake:
		case <-tick.C:
			q.tick()
		case <-stop:
			return
		}
	}
}

// tick moves raft's clock, and does what is done once in a while.
func (q *Quorum) tick() {
	q.ticks++
	if q.core == nil {
		return
	}
	q.core.store.tick()
	if !q.outside() {
		q.core.node.Tick()
	}
	q.again()
	q.goOnInstalling()
	q.suspected()
	if q.ticks%int64(q.cfg.HeartbeatTicks) == 0 {
		q.askAdmission()
		q.confirm()
	}
	if q.ticks%int64(q.cfg.ElectionTicks) == 0 {
		q.core.reask()
		q.keepOpen()
		q.tellPeers()
		q.setPeers()
		q.sentImages()
	}
}

// turn takes in what happened, proposes what waits and hands out what has become due.
func (q *Quorum) turn() error {
	if err := q.takeIn(); err != nil || q.core == nil {
		return err
	}
	if err := q.dispatch(); err != nil {
		return err
	}
	q.core.unasked = append(q.core.unasked, q.queue.takeSyncs()...)
	if !q.open() {
		return nil
	}
	if err := q.askReads(); err != nil {
		return err
	}
	if err := q.dispatch(); err != nil {
		return err
	}
	if !q.core.leads() {
		q.forward()
		return nil
	}
	q.lead()
	for q.core.appending < q.cfg.AppendsMax && len(q.waiting) == 0 {
		if !q.propose() {
			return nil
		}
		if err := q.dispatch(); err != nil {
			return err
		}
	}
	return nil
}

// takeIn steps the reports of the other goroutines.
func (q *Quorum) takeIn() error {
	q.inbox.mu.Lock()
	in := inbox{
		durable: q.inbox.durable, applied: q.inbox.applied, cut: q.inbox.cut, arrived: q.inbox.arrived, images: q.inbox.images,
		asked: q.inbox.asked, handover: q.inbox.handover, network: q.inbox.network,
	}
	q.inbox.durable, q.inbox.applied, q.inbox.arrived, q.inbox.images, q.inbox.network = nil, nil, nil, nil, nil
	q.inbox.asked, q.inbox.handover = false, false
	q.inbox.mu.Unlock()
	q.asked = q.asked || in.asked
	if q.core == nil {
		return q.form(in.network)
	}
	for _, d := range in.durable {
		if err := q.appended(d); err != nil {
			return err
		}
	}
	q.core.store.cut(in.cut)
	for _, a := range in.applied {
		if err := q.noteApplied(&a); err != nil {
			return err
		}
	}
	for _, a := range in.arrived {
		if err := q.installed(a); err != nil {
			return err
		}
	}
	if err := q.handle(in.network); err != nil {
		return err
	}
	for _, i := range in.images {
		if err := q.offered(i); err != nil {
			return err
		}
	}
	if in.handover {
		q.leaving = true
		q.transfer()
	}
	q.maybeCheckpoint()
	return nil
}

// appended takes note of what became of an append.
func (q *Quorum) appended(d durable) error {
	switch {
	case d.err == nil:
		q.durableNs = d.atNs
		if err := q.core.durable(d.job); err != nil {
			return err
		}
		q.goOnInstalling()
		return nil
	case errors.Is(d.err, wal.ErrFull):
		q.wait(*d.job)
		return nil
	default:
		return fmt.Errorf("quorum: appending to the log: %w", d.err)
	}
}

// noteApplied takes note of what the apply goroutine has done.
func (q *Quorum) noteApplied(a *appliedReport) error {
	for _, e := range a.confs {
		if err := q.changeConf(e); err != nil {
			return err
		}
	}
	q.seen = a.point.mark
	a.point.conf = q.core.store.conf
	q.moveTo(a.point)
	q.core.store.applied(a.point.mark.index)
	q.logBytes += a.bytes
	if bytes, memory := q.line.applied(a.chunk); bytes > 0 {
		q.release(bytes)
		if q.held == nil {
			q.queue.reuse(memory) // raft and the lanes have copies
		}
	}
	q.sampled(a.digests)
	if id := a.point.root.ClusterID(); id != 0 && !q.members.known && q.cfg.Network != nil {
		q.members.known = true
		q.asked = true // with it in the image the member refuses strangers from its next start on, not only once it has applied its log
		q.cfg.Network.SetCluster(id)
		q.setPeers()
	}
	if a.installed {
		q.line = line{path: q.line.path, number: q.line.number, seq: q.line.seq}
		q.queue.turnOver()
		if f := q.lost.Load(); f != nil {
			(*f)()
		}
		q.setPeers()
		q.setStatus()
	}
	return q.core.step(a.responses)
}

// moveTo makes p the newest state that is known of.
func (q *Quorum) moveTo(p point) {
	q.core.store.point = p
	q.reader.Look(p.root)
}

// dispatch hands the due jobs to their goroutines.
func (q *Quorum) dispatch() error {
	var due jobs
	if err := q.core.ready(&due); err != nil {
		return err
	}
	q.send(due.sends) // first: a leader's disk and its followers' work at the same time
	q.core.store.takeBack()
	q.core.store.scratch.Reset()
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
	return nil
}

// maybeCheckpoint hands the newest state to the checkpoint goroutine once enough log has gathered, or a checkpoint was
// asked for, and it is idle.
func (q *Quorum) maybeCheckpoint() {
	if q.logBytes < q.cfg.CheckpointBytes && !q.asked || q.install.job != nil {
		return
	}
	p := q.core.store.point
	if p.mark.index == 0 {
		return
	}
	hold := q.readers.Hold(p.root)
	if q.image.offer(imageJob{point: p, hold: hold, cutTo: q.needless(p)}) {
		q.logBytes, q.asked = 0, false
	} else {
		hold.Release()
	}
}

// needless is the entry up to which the log is needed no more once p is in the image. Members that come back are brought up to date
// from the log with less effort than with the whole state, as long as it is much smaller; a member that is sent a state needs
// what comes after that. But one whose disk is full takes for ever to take it over, and the disks of the others must not fill up
// meanwhile: it is sent another state then.
func (q *Quorum) needless(p point) uint64 {
	if q.core.alone() {
		return p.mark.index
	}
	state := p.root.DataBytes() + p.root.NodeCount()*nodeBytes
	kept := max(state/2, q.cfg.CheckpointBytes)
	to := q.cfg.Log.Before(kept)
	for _, s := range q.senders {
		to = min(to, s.point.mark.index)
	}
	return min(p.mark.index, max(to, q.cfg.Log.Before(2*kept)))
}

// nodeBytes is what a znode has in an image besides its path and data, about.
const nodeBytes = 64

// append hands a job to the log. Behind jobs that a full disk refused it waits its turn, and so it does behind a state
// that takes the place of the log.
func (q *Quorum) append(j appendJob) {
	if j.append.HardState != nil || len(j.entries) > 0 || j.snapshot != nil {
		q.promise()
	}
	if j.number == 0 {
		q.appends++
		j.number = q.appends
	}
	if len(q.waiting) > 0 || q.install.job != nil {
		q.wait(j)
		return
	}
	if j.snapshot != nil {
		q.beginInstall(j)
		return
	}
	q.appendNow(j)
}

// wait has a job wait in its place: the log may refuse jobs when later ones wait already, and a hard state must never be
// followed by an older one.
func (q *Quorum) wait(j appendJob) {
	at := len(q.waiting)
	for at > 0 && q.waiting[at-1].number > j.number {
		at--
	}
	q.waiting = slices.Insert(q.waiting, at, j)
}

func (q *Quorum) appendNow(j appendJob) {
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

// again offers the log what had to wait.
func (q *Quorum) again() {
	if len(q.waiting) > 0 && !q.cfg.Log.Full() {
		q.appendWaiting()
	}
	full := q.full()
	if q.status.Load().Full != full {
		q.setStatus()
		q.cfg.Logger.Warn("space for the log", "full", full)
	}
	q.leaving = q.leaving && q.core.leads()
	if full || q.leaving {
		q.transfer() // others may have room; one that has none cannot take what is to come first, and does not lead then
	}
}

func (q *Quorum) appendWaiting() {
	jobs := q.waiting
	q.waiting = nil
	for _, j := range jobs {
		q.append(j)
	}
}

func (q *Quorum) full() bool {
	return q.install.full || len(q.waiting) > 0 && q.install.job == nil || q.cfg.Log.Full()
}

// applied is called by the apply goroutine when it has done a job. Nobody waits for most of these reports: the next turn
// takes them in, which comes with the next write or tick. To wake the quorum goroutine for each would be a turn more per entry.
func (q *Quorum) applied(a appliedReport) {
	q.inbox.mu.Lock()
	q.inbox.applied = append(q.inbox.applied, a)
	q.inbox.mu.Unlock()
	if a.urgent {
		notify(q.wake)
	}
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
	before := q.Status()
	q.setStatus()
	s := q.Status()
	if before.Role == Leader && s.Role != Leader {
		q.stepDown()
	}
	q.core.reask()
	switch {
	case s.Leader == 0:
		q.candidateNs = q.cfg.NowNs()
	case s.Role == Leader:
		q.cfg.Metrics.Elections.Inc()
		q.cfg.Metrics.ElectionTime.Observe(q.cfg.NowNs() - q.candidateNs)
	}
	if before.Role != s.Role || before.Leader != s.Leader || before.Term != s.Term {
		q.cfg.Logger.Info("role", "role", s.Role, "term", s.Term, "leader", s.Leader, "was", before.Role, "why", q.suspect.reason(s))
	}
}

func (q *Quorum) setStatus() {
	s := Status{ID: q.cfg.ID, Full: q.full(), Role: Outside}
	if q.core != nil {
		b := q.core.node.BasicStatus()
		conf := q.core.store.conf
		s.Alone, s.Voters, s.Leader, s.Term = q.core.alone(), len(conf.GetVoters()), b.Lead, b.GetTerm()
		switch {
		case b.RaftState == raft.StateLeader:
			s.Role = Leader
		case q.outside():
		case slices.Contains(conf.GetLearners(), q.cfg.ID):
			s.Role = Observer
		case b.RaftState == raft.StateFollower && b.Lead != raft.None:
			s.Role = Follower
		default:
			s.Role = Candidate
		}
	} else if q.members.voter(q.cfg.ID) {
		s.Role = Candidate // an ensemble is about to be formed
	}
	q.status.Store(&s)
	q.cfg.Metrics.LogFull.Set(b2i(s.Full))
}
