package quorum

import (
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/raft/v3/raftpb"

	"holt/tree"
)

// members is what this member knows of who belongs to the ensemble and where to find them. It belongs to the quorum
// goroutine.
type members struct {
	all      []tree.Member
	voters   []uint64
	version  *tree.Ensemble // what all was made from
	pending  *tree.Ensemble
	astray   bool             // the peers include those that were configured; see Quorum.astray
	heard    map[uint64]Hello // while it is not known whom to form an ensemble with
	fresh    []uint64         // members whose data was lost, while this one leads and until they were removed
	admitted bool             // this member, which came without data, was admitted as one that does not vote
	known    bool             // the network was told the id of the ensemble
	promised bool             // the network was told that this member is not fresh
	waits    bool             // said that it waits for others
}

func (m *members) voter(id uint64) bool { return slices.Contains(m.voters, id) }

func (m *members) others(self uint64) []uint64 {
	var ids []uint64
	for i := range m.all {
		if id := m.all[i].Node(); id != self {
			ids = append(ids, id)
		}
	}
	return ids
}

// begin finds out how this member starts: as one that knows its ensemble, as one that is alone, or as a fresh one that
// first has to hear from the others.
func (q *Quorum) begin() error {
	root := q.apply.chain.Tail().Root
	q.members.heard = map[uint64]Hello{}
	q.setPeers()
	if q.cfg.Network != nil && root.ClusterID() != 0 {
		q.cfg.Network.SetCluster(root.ClusterID())
		q.members.known = true
	}
	joins := q.conf != nil && len(q.conf.GetVoters()) == 0 // see AwaitState
	if q.start.index > 0 || q.cfg.Log.LastIndex() > 0 || q.cfg.Log.HardState().Term > 0 || joins {
		q.promise()
	}
	// A term is no sign of data: a member that waits to be sent the state hears of the leader's, and may be started again.
	fresh := q.conf == nil && q.start.index == 0 && q.cfg.Log.LastIndex() == 0
	alone := q.cfg.Ensemble == nil || len(q.cfg.Ensemble.Members) <= 1
	switch {
	case q.conf != nil:
		return q.join(q.conf)
	case fresh && !alone:
		return nil // see form
	default:
		// A directory that was never more than one member's says so by not saying anything.
		return q.join(&pb.ConfState{Voters: []uint64{q.cfg.ID}})
	}
}

// join starts raft.
func (q *Quorum) join(conf *pb.ConfState) error {
	store, err := newStorage(q.cfg.Log, &q.readers, q.start, conf)
	if err != nil {
		return fmt.Errorf("quorum: %w", err)
	}
	if q.core, err = newCore(&q.cfg, store); err != nil {
		return fmt.Errorf("quorum: %w", err)
	}
	q.moveTo(point{root: q.apply.chain.Tail().Root, mark: q.start, conf: conf})
	if q.core.alone() {
		if err := q.core.node.Campaign(); err != nil {
			return fmt.Errorf("quorum: %w", err)
		}
	}
	return nil
}

// promise has the network say from now on that this member is not fresh. It comes before the first vote or entry is
// written down, and when this member has heard that there is an ensemble.
func (q *Quorum) promise() {
	if !q.members.promised && q.cfg.Network != nil {
		q.members.promised = true
		q.cfg.Network.SetPromised()
	}
}

// form decides, on a member whose directory is fresh, whether the others are as fresh and an ensemble is to be formed,
// or whether there is one, which then has to send its state. A majority of fresh members is enough: none of them has
// promised anything to anybody. They give the others an election timeout to say that there is an ensemble: that of a
// member that was made the only voter of a new one, whose other members come back empty. A member that has promised
// something, but does not know the name of its ensemble yet, is no sign of either: this one may have been a part of what
// it promised, and have lost its data since.
func (q *Quorum) form(events []event) error {
	leader := uint64(0)
	for i := range events {
		switch e := &events[i]; e.kind {
		case eventGreeted:
			q.members.heard[e.from] = e.hello
		case eventMessage:
			if t := e.message.GetType(); t == pb.MsgApp || t == pb.MsgHeartbeat {
				leader = e.from
			}
		case eventChunk:
			q.took(e.from, len(e.chunk.commands))
		}
	}
	if leader != 0 {
		q.cfg.Logger.Info("joining an ensemble: its leader, which has spoken, will send its state", "leader", leader)
		return q.joined(&pb.ConfState{})
	}
	fresh, voters := 0, 0
	for id, h := range q.members.heard {
		if h.Cluster != 0 {
			q.cfg.Logger.Info("joining an ensemble: its leader will send its state", "cluster", fmt.Sprintf("%#x", h.Cluster), "heard_from", id)
			return q.joined(&pb.ConfState{})
		}
		if !q.members.voter(id) {
			continue
		}
		voters++
		if !h.Promised {
			fresh++
		}
	}
	if q.members.voter(q.cfg.ID) {
		fresh, voters = fresh+1, voters+1
	}
	all := len(q.members.voters)
	if fresh <= all/2 {
		if !q.members.waits {
			q.members.waits = true
			q.cfg.Logger.Info("waiting for a majority of the members to form an ensemble", "members", all, "reached", fresh)
		}
		return nil
	}
	if voters < all && q.ticks < int64(q.cfg.ElectionTicks) {
		return nil
	}
	conf := &pb.ConfState{Voters: q.cfg.Ensemble.Voters(), Learners: q.cfg.Ensemble.Observers()}
	root := q.apply.chain.Tail().Root
	if err := q.image.put(root.Base(), point{root: root, conf: conf}); err != nil {
		return fmt.Errorf("quorum: writing down the members: %w", err)
	}
	q.cfg.Logger.Info("forming an ensemble", "voters", conf.GetVoters(), "observers", conf.GetLearners())
	return q.joined(conf)
}

func (q *Quorum) joined(conf *pb.ConfState) error {
	q.members.heard = nil
	if len(conf.GetVoters()) == 0 {
		q.promise()
	}
	if err := q.join(conf); err != nil {
		return err
	}
	q.setStatus()
	return nil
}

// joining says that this member came without data to an ensemble and has not got its state yet.
func (q *Quorum) joining() bool {
	c := q.core.store.conf
	return len(c.GetVoters()) == 0
}

// outside says that this member does not belong to the ensemble: it was removed, or has not been admitted yet.
func (q *Quorum) outside() bool {
	if q.core == nil {
		return false
	}
	c := q.core.store.conf
	return !slices.Contains(c.GetVoters(), q.cfg.ID) && !slices.Contains(c.GetVotersOutgoing(), q.cfg.ID) &&
		!slices.Contains(c.GetLearners(), q.cfg.ID) && !slices.Contains(c.GetLearnersNext(), q.cfg.ID)
}

// astray says that this member may not know who is in the ensemble by now: it does not belong to it, or hears of no leader,
// or of one that was admitted since.
func (q *Quorum) astray(agreed *tree.Ensemble) bool {
	if q.core == nil {
		return false
	}
	leader, _ := q.core.leader()
	_, known := agreed.Member(leader)
	return !known || q.outside()
}

// setPeers tells the network who the other members are: those that the ensemble agreed on, those it is about to agree
// on, and, while it is not known, those that were configured.
func (q *Quorum) setPeers() {
	if q.cfg.Network == nil {
		return
	}
	root := q.tail.Load().Root
	agreed := root.Ensemble()
	if agreed == nil {
		agreed = q.cfg.Ensemble
	}
	var pending *tree.Ensemble
	if p := root.Pending(); p != nil {
		pending = p.Target
	}
	if agreed == nil {
		return
	}
	astray := q.astray(agreed)
	if agreed == q.members.version && pending == q.members.pending && astray == q.members.astray {
		return
	}
	q.members.version, q.members.pending, q.members.astray = agreed, pending, astray
	q.members.voters = agreed.Voters()
	q.members.all = slices.Clone(agreed.Members)
	if pending != nil {
		for _, m := range pending.Members {
			if _, known := agreed.Member(m.Node()); !known {
				q.members.all = append(q.members.all, m)
			}
		}
	}
	var peers []Peer
	for _, m := range q.members.all {
		if m.Node() == q.cfg.ID {
			continue
		}
		if q.cfg.LocalAddresses && q.cfg.Ensemble != nil {
			if local, ok := q.cfg.Ensemble.Member(m.Node()); ok {
				m = local
			}
		}
		peers = append(peers, Peer{ID: m.Node(), Addr: m.PeerAddr()})
	}
	if astray && q.cfg.Ensemble != nil {
		for _, m := range q.cfg.Ensemble.Members { // the leader that is to admit or to lead this one may be among them
			if id := m.Node(); id != q.cfg.ID && !slices.ContainsFunc(peers, func(p Peer) bool { return p.ID == id }) {
				peers = append(peers, Peer{ID: id, Addr: m.PeerAddr()})
			}
		}
	}
	q.cfg.Network.SetPeers(peers)
}

// askAdmission is called now and then by a member that joins: the others cannot know that it came without data.
func (q *Quorum) askAdmission() {
	if !q.joining() || q.members.admitted {
		return
	}
	for _, id := range q.members.others(q.cfg.ID) {
		q.cfg.Network.Send(id, LaneRaft, []byte{frameAdmit})
	}
}

// asksAdmission takes note, on a leader, of a member that came without data although the ensemble knows it. A voter may have
// forgotten votes and entries that it acknowledged, so it must not count until it was admitted anew. It takes part as soon
// as it is told that it does not vote. An observer takes part at once, unless this leader believes it to have entries: raft
// would go on after those. One that does not lead takes no note: it need not hear when the member has been admitted.
func (q *Quorum) asksAdmission(from uint64) {
	if !q.core.leads() {
		return
	}
	conf := q.core.store.conf
	observer := slices.Contains(conf.GetLearners(), from)
	if observer && q.matched(from) == 0 {
		q.cfg.Network.Send(from, LaneRaft, []byte{frameAdmitted})
		return
	}
	if (observer || slices.Contains(conf.GetVoters(), from)) && !slices.Contains(q.members.fresh, from) {
		q.cfg.Logger.Warn("a member has come without its data; the leader removes it and admits it anew", "member", from)
		q.members.fresh = append(q.members.fresh, from)
	}
}

// matched is the last entry that this leader knows a member to have.
func (q *Quorum) matched(id uint64) (index uint64) {
	q.core.node.WithProgress(func(of uint64, _ raft.ProgressType, p tracker.Progress) {
		if of == id {
			index = p.Match
		}
	})
	return index
}

// changeConf applies a change of members that was committed.
func (q *Quorum) changeConf(e *pb.Entry) error {
	var change pb.ConfChangeI
	var err error
	switch e.GetType() {
	case pb.EntryConfChange:
		c := &pb.ConfChange{}
		err, change = proto.Unmarshal(e.GetData(), c), c
	case pb.EntryConfChangeV2:
		c := &pb.ConfChangeV2{}
		err, change = proto.Unmarshal(e.GetData(), c), c
	default:
		err = errors.New("not a change of members")
	}
	if err != nil {
		return fmt.Errorf("quorum: entry %d: %w", e.GetIndex(), err)
	}
	conf := q.core.node.ApplyConfChange(change)
	q.core.store.conf = conf
	q.cfg.Logger.Info("members", "voters", conf.GetVoters(), "leaving", conf.GetVotersOutgoing(), "observers", conf.GetLearners(), "index", e.GetIndex())
	q.members.fresh = slices.DeleteFunc(q.members.fresh, func(id uint64) bool {
		return !slices.Contains(conf.GetVoters(), id) && !slices.Contains(conf.GetVotersOutgoing(), id) && !slices.Contains(conf.GetLearners(), id)
	})
	q.setPeers()
	q.setStatus()
	return nil
}
