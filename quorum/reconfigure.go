package quorum

import (
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/raft/v3/raftpb"

	"holt/tree"
)

// catchUpEntries is how far behind a new voter may be when it begins to vote.
const catchUpEntries = 64

// reconfigTicksMax is how long the members that a reconfig adds may take to show that they are there, and those that it leaves to
// be a quorum.
const reconfigTicksMax = 400

// driver is how far this leader has come with a change of members, in one term: what it proposed in an earlier one may be lost.
type driver struct {
	term     uint64
	named    bool  // the bootstrap was proposed
	at       int64 // tick at which something was proposed last
	conf     *pb.ConfState
	looked   int64 // tick of the last look, and the members at that time
	lookedAt *pb.ConfState
	pending  tree.Zxid // the reconfig that is timed
	since    int64     // tick at which it began, or its members were heard of last
	answered tree.Zxid // the reconfig whose end was proposed
}

// lead does what only a leader does besides proposing: it gives a fresh ensemble its identity, and brings the members
// of the quorum to what the ensemble agreed on. It looks at nothing but the state, so a leader that takes over in the
// middle goes on where the one before it stopped.
func (q *Quorum) lead() {
	root := q.tail.Load().Root
	d := &q.driver
	if q.cfg.Network == nil {
		return
	}
	_, term := q.core.leader()
	if d.term != term {
		*d = driver{term: term}
	}
	if root.ClusterID() == 0 {
		if !d.named {
			d.named = true
			b := &tree.Bootstrap{ClusterID: max(q.cfg.Random(), 1), Ensemble: q.cfg.Ensemble}
			_, _ = q.queue.putOwn(term, tree.AppendBootstrap(nil, &tree.CommandHeader{}, b))
		}
		return
	}
	conf := q.core.store.conf
	if d.looked == q.ticks && d.lookedAt == conf {
		return
	}
	d.looked, d.lookedAt = q.ticks, conf
	if len(conf.GetVotersOutgoing()) > 0 || d.conf == conf && q.ticks < d.at+int64(q.cfg.ElectionTicks) {
		return // raft leaves the joint configuration by itself; what was proposed may be on its way
	}
	target, pending := root.Ensemble(), root.Pending()
	if pending != nil {
		target = pending.Target
		if d.pending != pending.Zxid {
			d.pending, d.since = pending.Zxid, q.ticks
		}
	}
	if target == nil {
		return
	}
	change, done := q.nextChange(target)
	switch {
	case change != nil:
		d.conf, d.at = conf, q.ticks
		_ = q.core.node.ProposeConfChange(change) // dropped: again later
	case pending != nil && done && d.answered != pending.Zxid:
		d.answered = pending.Zxid
		q.endReconfig(pending, tree.OK)
	case pending != nil && !done && d.answered != pending.Zxid && q.ticks > d.since+reconfigTicksMax:
		d.answered = pending.Zxid
		q.endReconfig(pending, tree.NewConfigNoQuorum)
	}
}

func (q *Quorum) endReconfig(p *tree.PendingReconfig, code tree.Code) {
	done := &tree.ReconfigDone{Pending: p.Zxid, Code: code}
	_, _ = q.queue.putOwn(q.line.path.term, tree.AppendReconfigDone(nil, &tree.CommandHeader{}, done))
	notify(q.wake)
}

// nextChange returns the next step from the members that raft has to those of target, or says that they are the same.
// New members begin as learners; when those that are to vote have caught up, all that is left changes at once, unless a majority of
// those that are to vote then is missing: nobody could lead them.
func (q *Quorum) nextChange(target *tree.Ensemble) (change *pb.ConfChangeV2, done bool) {
	conf := q.core.store.conf
	voters, learners := conf.GetVoters(), conf.GetLearners()
	for _, id := range q.members.fresh {
		if slices.Contains(learners, id) || slices.Contains(voters, id) && len(voters) > 1 && id != q.cfg.ID {
			return changeOf(pb.ConfChangeRemoveNode, id), false
		}
	}
	wantVoters, wantLearners := target.Voters(), target.Observers()
	var add []uint64
	for _, id := range slices.Concat(wantVoters, wantLearners) {
		if !slices.Contains(voters, id) && !slices.Contains(learners, id) {
			add = append(add, id)
		}
	}
	if len(add) > 0 {
		return changeOf(pb.ConfChangeAddLearnerNode, add[0]), false
	}
	change = &pb.ConfChangeV2{}
	ready := 0
	for _, id := range wantVoters {
		there, caughtUp := q.follows(id)
		if caughtUp {
			ready++
		}
		if slices.Contains(voters, id) {
			continue
		}
		if there {
			q.driver.since = q.ticks // however long it takes
		}
		if !caughtUp {
			return nil, false
		}
		change.Changes = append(change.Changes, single(pb.ConfChangeAddNode, id))
	}
	for _, id := range wantLearners {
		if slices.Contains(voters, id) {
			change.Changes = append(change.Changes, single(pb.ConfChangeAddLearnerNode, id))
		}
	}
	for _, id := range slices.Concat(voters, learners) {
		if !slices.Contains(wantVoters, id) && !slices.Contains(wantLearners, id) {
			change.Changes = append(change.Changes, single(pb.ConfChangeRemoveNode, id))
		}
	}
	if len(change.Changes) == 0 {
		return nil, true
	}
	if ready <= len(wantVoters)/2 {
		return nil, false
	}
	return change, false
}

func changeOf(kind pb.ConfChangeType, id uint64) *pb.ConfChangeV2 {
	return &pb.ConfChangeV2{Changes: []*pb.ConfChangeSingle{single(kind, id)}}
}

func single(kind pb.ConfChangeType, id uint64) *pb.ConfChangeSingle {
	return &pb.ConfChangeSingle{Type: kind.Enum(), NodeId: proto.Uint64(id)}
}

// follows says whether this leader hears of a member, and whether that has nearly all of the log.
func (q *Quorum) follows(id uint64) (there, caughtUp bool) {
	last, _ := q.core.store.LastIndex()
	q.core.node.WithProgress(func(of uint64, _ raft.ProgressType, p tracker.Progress) {
		if of == id {
			there = p.RecentActive || id == q.cfg.ID
			caughtUp = there && p.State == tracker.StateReplicate && p.Match+catchUpEntries >= last
		}
	})
	return there, caughtUp
}

// tellPeers publishes what a leader knows of the others.
func (q *Quorum) tellPeers() {
	if q.core == nil || !q.core.leads() {
		if q.peers.Load() != nil {
			q.peers.Store(nil)
		}
		return
	}
	last, _ := q.core.store.LastIndex()
	var list []PeerStatus
	q.core.node.WithProgress(func(id uint64, kind raft.ProgressType, p tracker.Progress) {
		if id == q.cfg.ID {
			return
		}
		s := PeerStatus{ID: id, Match: p.Match, Learner: kind == raft.ProgressTypeLearner, Active: p.RecentActive, Snapshot: p.State == tracker.StateSnapshot}
		if last > p.Match {
			s.Lag = last - p.Match
		}
		list = append(list, s)
	})
	slices.SortFunc(list, func(a, b PeerStatus) int { return int(a.ID) - int(b.ID) })
	q.peers.Store(&list)
}

// transfer begins to hand leadership to the voter that has most of the log, of those that the log flows to if there are any:
// one that has just gone counts as active for a while. It is called with each tick while leadership is to go: raft gives up
// after an election timeout, and once in that time it forgets for a moment who is active.
func (q *Quorum) transfer() {
	if b := q.core.node.BasicStatus(); b.RaftState != raft.StateLeader || b.LeadTransferee != raft.None {
		return
	}
	best, match, flows := uint64(0), uint64(0), false
	q.core.node.WithProgress(func(id uint64, kind raft.ProgressType, p tracker.Progress) {
		if id == q.cfg.ID || kind != raft.ProgressTypePeer || !p.RecentActive {
			return
		}
		f := p.State == tracker.StateReplicate
		if better := f && !flows || f == flows && (p.Match > match || p.Match == match && id < best); better {
			best, match, flows = id, p.Match, f
		}
	})
	if best != 0 {
		q.cfg.Logger.Info("handing over leadership", "to", best)
		q.core.node.TransferLeader(best)
	}
}
