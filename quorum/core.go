package quorum

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"holt/wal"
)

// core decides; it does no I/O, reads no clock and starts nothing. It is stepped by the quorum goroutine: what came in
// goes into the raft node, and what must now be done comes out of ready as a list of jobs. A simulation steps it the
// same way.
type core struct {
	id    uint64
	node  *raft.RawNode
	store *storage

	appending int           // append jobs handed out and not yet reported durable
	after     []*pb.Message // to other members, due because something has become durable

	hard     wal.HardState // the newest of raft's
	promised wal.HardState // the newest that was handed to the log

	process uint32              // makes read contexts differ from those of an earlier run
	readSeq uint64              // last read index asked for
	reads   map[uint64][]Synced // by the sequence number given to raft
	unasked []Synced            // syncs that no leader was known for, or whose question may be lost
}

// appendJob is one write to the log: durable first, then its responses may be stepped. With a snapshot it replaces the
// log and the state as a whole.
type appendJob struct {
	number    uint64 // in the order of raft; 0: not given yet
	append    wal.Append
	entries   []*pb.Entry
	snapshot  *pb.Snapshot
	responses []*pb.Message
}

// applyJob is work for the apply goroutine: committed entries in order, syncs that are due once index is applied, a
// state from elsewhere that takes the place of its own, or somebody who asks for what Trim says.
type applyJob struct {
	entries   []*pb.Entry
	responses []*pb.Message
	synced    []Synced
	index     uint64
	install   *installed
	trim      chan<- int // has room
}

// jobs is what one turn of the core asks of its shell, in order within each kind.
type jobs struct {
	appends []appendJob
	applies []applyJob
	sends   []*pb.Message
	lead    *raft.SoftState // set when the role or the leader changed
}

// Bounds of raft's own queues.
const (
	messageBytesMax     = 1 << 20
	applyingBytesMax    = 32 << 20
	inflightMessages    = 256
	inflightBytesMax    = 16 << 20
	uncommittedBytesMax = 256 << 20
)

func newCore(cfg *Config, s *storage) (*core, error) {
	node, err := raft.NewRawNode(&raft.Config{
		ID:                        cfg.ID,
		ElectionTick:              cfg.ElectionTicks,
		HeartbeatTick:             cfg.HeartbeatTicks,
		Storage:                   s,
		Applied:                   s.start.index,
		AsyncStorageWrites:        true,
		MaxSizePerMsg:             messageBytesMax,
		MaxCommittedSizePerReady:  applyingBytesMax,
		MaxUncommittedEntriesSize: uncommittedBytesMax,
		MaxInflightMsgs:           inflightMessages,
		MaxInflightBytes:          inflightBytesMax,
		CheckQuorum:               true,
		PreVote:                   true,
		ReadOnlyOption:            raft.ReadOnlySafe,
		Logger:                    raftLogger{cfg.Logger},
		DisableProposalForwarding: true,
		StepDownOnRemoval:         true,
	})
	if err != nil {
		return nil, err
	}
	return &core{id: cfg.ID, node: node, store: s, process: cfg.Process, reads: make(map[uint64][]Synced), hard: s.log.HardState(), promised: s.log.HardState()}, nil
}

// alone says that this member is the whole quorum, so that it need not wait for an election timeout.
func (c *core) alone() bool {
	s := c.store.conf
	return len(s.GetVoters()) == 1 && s.GetVoters()[0] == c.id && len(s.GetLearners()) == 0 && len(s.GetVotersOutgoing()) == 0
}

// leads says whether this member is the leader.
func (c *core) leads() bool { return c.node.BasicStatus().RaftState == raft.StateLeader }

// leader is the leader as this member knows it, 0 if it knows none, and its term.
func (c *core) leader() (id, term uint64) {
	b := c.node.BasicStatus()
	return b.Lead, b.GetTerm()
}

// step feeds messages: from peers, or the responses of finished jobs. Those to other members go out with the next ready.
func (c *core) step(messages []*pb.Message) error {
	for _, m := range messages {
		if to := m.GetTo(); to != c.id && !raft.IsLocalMsgTarget(to) {
			c.after = append(c.after, m)
			continue
		}
		if err := c.node.Step(m); err != nil && !errors.Is(err, raft.ErrStepPeerNotFound) && !errors.Is(err, raft.ErrProposalDropped) {
			return err
		}
	}
	return nil
}

// durable takes note that an append job has reached the disk.
func (c *core) durable(j *appendJob) error {
	c.appending--
	c.store.stable(j.entries)
	return c.step(j.responses)
}

// supersede has j, which holds a state, take the place of older jobs that need not be written any more. What they would
// have promised is promised when j is durable, which holds a newer hard state.
func (c *core) supersede(j *appendJob, older []appendJob) {
	var responses []*pb.Message
	for i := range older {
		responses = append(responses, older[i].responses...)
	}
	j.responses = append(responses, j.responses...)
	c.appending -= len(older)
}

// askReads starts one ReadIndex round for all syncs that wait, if there is somebody to ask.
func (c *core) askReads() {
	if lead, _ := c.leader(); lead == raft.None || len(c.unasked) == 0 {
		return
	}
	c.readSeq++
	c.reads[c.readSeq] = c.unasked
	c.unasked = nil
	context := binary.BigEndian.AppendUint32(nil, c.process)
	c.node.ReadIndex(binary.BigEndian.AppendUint64(context, c.readSeq))
}

// reask has the syncs asked for again whose question or answer may be lost. A late answer to the old question is
// ignored; it would have been as good.
func (c *core) reask() {
	for _, seq := range slices.Sorted(maps.Keys(c.reads)) {
		c.unasked = append(c.unasked, c.reads[seq]...)
	}
	clear(c.reads)
}

// ready appends to out what has become due.
func (c *core) ready(out *jobs) error {
	c.takeAfter(out)
	for c.node.HasReady() {
		rd := c.node.Ready()
		if rd.SoftState != nil {
			out.lead = rd.SoftState
		}
		for _, r := range rd.ReadStates {
			if len(r.RequestCtx) != 12 || binary.BigEndian.Uint32(r.RequestCtx) != c.process {
				continue
			}
			seq := binary.BigEndian.Uint64(r.RequestCtx[4:])
			if syncs, ok := c.reads[seq]; ok {
				out.applies = append(out.applies, applyJob{synced: syncs, index: r.Index})
				delete(c.reads, seq)
			}
		}
		for _, m := range rd.Messages {
			switch m.GetTo() {
			case raft.LocalAppendThread:
				if err := c.appends(m, out); err != nil {
					return err
				}
			case raft.LocalApplyThread:
				out.applies = append(out.applies, applyJob{entries: m.GetEntries(), responses: m.GetResponses()})
			default:
				out.sends = append(out.sends, m)
			}
		}
	}
	c.takeAfter(out)
	return nil
}

// takeAfter moves to out what has become due to other members.
func (c *core) takeAfter(out *jobs) {
	out.sends = append(out.sends, c.after...)
	c.after = nil
}

// appends takes raft's message to the append thread. One that has nothing to write is done as soon as those before it
// are: its responses must not overtake theirs. Raft makes such a message of every commit, and a way through the log's
// goroutine for each would cost a write as many wakes again as it needs.
func (c *core) appends(m *pb.Message, out *jobs) error {
	j := c.appendJob(m)
	if len(j.entries) == 0 && j.append.HardState == nil && j.snapshot == nil {
		if len(j.responses) == 0 {
			return nil
		}
		if c.appending == 0 {
			return c.step(j.responses)
		}
	}
	c.appending++
	out.appends = append(out.appends, j)
	return nil
}

// appendJob translates raft's message. How far the log is committed is not worth a sync, as a member that starts learns it
// anew, but entries are written with the newest that is known: a change of members is proposed when the one before it is
// committed, and a member that has it in its log must not ask for votes by what was agreed before both.
func (c *core) appendJob(m *pb.Message) appendJob {
	j := appendJob{entries: m.GetEntries(), responses: m.GetResponses()}
	if !raft.IsEmptySnap(m.GetSnapshot()) {
		j.snapshot = m.GetSnapshot()
	}
	for _, e := range j.entries {
		j.append.Entries = append(j.append.Entries, wal.Entry{
			Index: e.GetIndex(), Term: e.GetTerm(), Type: uint8(e.GetType()), Data: e.GetData(),
		})
	}
	if m.Term != nil {
		c.hard = wal.HardState{Term: m.GetTerm(), Vote: m.GetVote(), Commit: m.GetCommit()}
	}
	promises := c.hard.Term != c.promised.Term || c.hard.Vote != c.promised.Vote
	if promises || c.hard != c.promised && (len(j.entries) > 0 || j.snapshot != nil) {
		hard := c.hard
		c.promised, j.append.HardState = hard, &hard
	}
	return j
}
