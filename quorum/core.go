package quorum

import (
	"encoding/binary"
	"errors"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"holt/wal"
)

// core decides; it does no I/O, reads no clock and starts nothing. It is stepped by the quorum goroutine: what came in
// goes into the raft node, and what must now be done comes out of ready as a list of jobs. A simulation steps it the
// same way.
type core struct {
	node  *raft.RawNode
	store *storage

	appending int // append jobs handed out and not yet reported durable

	readSeq uint64              // last read index asked for
	reads   map[uint64][]Synced // by the sequence number given to raft
}

// appendJob is one write to the log: durable first, then its responses may be stepped.
type appendJob struct {
	append    wal.Append
	entries   []*pb.Entry
	responses []*pb.Message
}

// applyJob is work for the apply goroutine: committed entries in order, or syncs that are due once index is applied.
type applyJob struct {
	entries   []*pb.Entry
	responses []*pb.Message
	synced    []Synced
	index     uint64
}

// jobs is what one turn of the core asks of its shell, in order within each kind.
type jobs struct {
	appends []appendJob
	applies []applyJob
	sends   []*pb.Message
	lead    *raft.SoftState // set when the role or the leader changed
}

// coreConfig fixes the election timing in ticks and the bounds of raft's own queues.
const (
	electionTicks       = 10
	heartbeatTicks      = 1
	messageBytesMax     = 1 << 20
	applyingBytesMax    = 32 << 20
	inflightMessages    = 256
	uncommittedBytesMax = 256 << 20
)

func newCore(id uint64, s *storage, logger raft.Logger) (*core, error) {
	node, err := raft.NewRawNode(&raft.Config{
		ID:                        id,
		ElectionTick:              electionTicks,
		HeartbeatTick:             heartbeatTicks,
		Storage:                   s,
		Applied:                   s.mark.index,
		AsyncStorageWrites:        true,
		MaxSizePerMsg:             messageBytesMax,
		MaxCommittedSizePerReady:  applyingBytesMax,
		MaxUncommittedEntriesSize: uncommittedBytesMax,
		MaxInflightMsgs:           inflightMessages,
		CheckQuorum:               true,
		PreVote:                   true,
		ReadOnlyOption:            raft.ReadOnlySafe,
		Logger:                    logger,
		DisableProposalForwarding: true,
		StepDownOnRemoval:         true,
	})
	if err != nil {
		return nil, err
	}
	return &core{node: node, store: s, reads: make(map[uint64][]Synced)}, nil
}

// alone says that this member is the whole quorum, so that it need not wait for an election timeout.
func (c *core) alone() bool {
	v := c.store.conf.GetVoters()
	return len(v) == 1 && len(c.store.conf.GetLearners()) == 0
}

// leads says whether this member is the leader.
func (c *core) leads() bool { return c.node.BasicStatus().RaftState == raft.StateLeader }

// step feeds messages: from peers, or the responses of finished jobs.
func (c *core) step(messages []*pb.Message) error {
	for _, m := range messages {
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

// askReads starts one ReadIndex round for all of syncs.
func (c *core) askReads(syncs []Synced) {
	c.readSeq++
	c.reads[c.readSeq] = syncs
	c.node.ReadIndex(binary.BigEndian.AppendUint64(nil, c.readSeq))
}

// ready appends to out what has become due.
func (c *core) ready(out *jobs) {
	for c.node.HasReady() {
		rd := c.node.Ready()
		if rd.SoftState != nil {
			out.lead = rd.SoftState
		}
		for _, r := range rd.ReadStates {
			seq := binary.BigEndian.Uint64(r.RequestCtx)
			out.applies = append(out.applies, applyJob{synced: c.reads[seq], index: r.Index})
			delete(c.reads, seq)
		}
		for _, m := range rd.Messages {
			switch m.GetTo() {
			case raft.LocalAppendThread:
				out.appends = append(out.appends, c.appendJob(m))
			case raft.LocalApplyThread:
				out.applies = append(out.applies, applyJob{entries: m.GetEntries(), responses: m.GetResponses()})
			default:
				out.sends = append(out.sends, m)
			}
		}
	}
}

// appendJob translates raft's message to the append thread. A job without entries and hard state still goes through the
// log: its responses must not overtake those of the jobs before it.
func (c *core) appendJob(m *pb.Message) appendJob {
	j := appendJob{entries: m.GetEntries(), responses: m.GetResponses()}
	for _, e := range j.entries {
		j.append.Entries = append(j.append.Entries, wal.Entry{
			Index: e.GetIndex(), Term: e.GetTerm(), Type: uint8(e.GetType()), Data: e.GetData(),
		})
	}
	if m.Term != nil {
		j.append.HardState = &wal.HardState{Term: m.GetTerm(), Vote: m.GetVote(), Commit: m.GetCommit()}
	}
	c.appending++
	return j
}
