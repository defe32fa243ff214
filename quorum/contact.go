package quorum

import (
	"slices"
	"sync"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// contacts knows when the leader last heard of this member.
type contacts struct {
	mu     sync.Mutex
	number uint64
	sentNs [32]int64 // of the newest reports, by number
	lastNs int64
}

// begin numbers a report that is sent now.
func (c *contacts) begin(nowNs int64) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.number++
	c.sentNs[c.number%uint64(len(c.sentNs))] = nowNs
	return c.number
}

// acknowledged notes that the leader has a report: it heard what was said when that was sent.
func (c *contacts) acknowledged(number uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if number <= c.number && number+uint64(len(c.sentNs)) > c.number {
		c.lastNs = max(c.lastNs, c.sentNs[number%uint64(len(c.sentNs))])
	}
}

func (c *contacts) last() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lastNs
}

// suspect is a leader whose stream has ended: most likely its process was killed. Followers then need not wait for an
// election timeout. They forget the leader, and ask for votes one after the other so that they do not split them. If the
// leader lives after all, PreVote keeps this without consequences: who still hears it gives no vote.
type suspect struct {
	leader uint64
	term   uint64 // when it was seen last
	ticks  int    // until this member asks for votes
	why    string
}

// suspectLeader is called when a stream from a member has ended.
func (q *Quorum) suspectLeader(from uint64) error {
	lead, term := q.core.leader()
	if lead != from || q.core.leads() {
		return nil
	}
	if err := q.core.node.ForgetLeader(); err != nil {
		return nil
	}
	q.suspect = suspect{leader: from, term: term, ticks: q.rank(from), why: "the stream from the leader has ended"}
	if q.suspect.ticks == 0 {
		q.suspect.ticks = suspectAgainTicks
		q.campaign()
	}
	early := q.early
	if q.early = nil; early == nil {
		return nil
	}
	return q.core.step([]*pb.Message{early})
}

// preVoteAsked is called after a pre-vote was asked for. Raft does not answer who asks while this member hears the leader. If the stream
// from the leader ends next, the other has seen that a little earlier, and gets its answer then.
func (q *Quorum) preVoteAsked(m *pb.Message) {
	if lead, _ := q.core.leader(); lead != 0 && !q.core.leads() {
		q.early = m
	}
}

const (
	suspectAgainTicks = 2 // until votes are asked for again that nobody would have given: others may not have noticed yet
	suspectVoteTicks  = 6 // after somebody asked for votes in earnest: they have to be written down before they are given
)

// rank counts the voters that ask for votes before this one does.
func (q *Quorum) rank(but uint64) int {
	n := 0
	for _, id := range q.core.store.conf.GetVoters() {
		if id < q.cfg.ID && id != but {
			n++
		}
	}
	return n
}

// suspected is called with each tick.
func (q *Quorum) suspected() {
	if q.suspect.leader == 0 {
		return
	}
	lead, term := q.core.leader()
	switch {
	case lead != 0:
		q.suspect = suspect{}
		return
	case term != q.suspect.term:
		q.suspect.term, q.suspect.ticks = term, suspectVoteTicks
		return
	}
	if q.suspect.ticks--; q.suspect.ticks <= 0 {
		q.suspect.ticks = suspectAgainTicks
		q.campaign()
	}
}

// campaign asks for votes, if this member may.
func (q *Quorum) campaign() {
	if q.core.node.BasicStatus().RaftState == raft.StateCandidate {
		return // the votes are being counted
	}
	if !q.outside() && slices.Contains(q.core.store.conf.GetVoters(), q.cfg.ID) {
		_ = q.core.node.Campaign() // refused if it may not, which is as good
	}
}

// reason says why the role has changed, for the log.
func (s *suspect) reason(now Status) string {
	switch {
	case now.Alone:
		return "this member stands alone"
	case s.why != "" && now.Leader == 0:
		return s.why
	case now.Leader == 0:
		return "no word from a leader for an election timeout, or no majority heard this one"
	case now.Role == Leader:
		return "elected"
	}
	return "a leader has spoken"
}
