package quorum

import (
	"slices"
	"sync"

	"go.etcd.io/raft/v3"
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
	ticks  int // until this member asks for votes
	why    string
}

// suspectLeader is called when a stream from a member has ended.
func (q *Quorum) suspectLeader(from uint64) {
	lead, _ := q.core.leader()
	if lead != from || q.core.leads() {
		return
	}
	if err := q.core.node.ForgetLeader(); err != nil {
		return
	}
	q.suspect = suspect{leader: from, ticks: q.rank(from), why: "the stream from the leader has ended"}
	if q.suspect.ticks == 0 {
		q.suspect.ticks = suspectAgainTicks
		q.campaign()
	}
}

// suspectAgainTicks is when votes are asked for again that nobody gave. It leaves time for a vote to be written down.
const suspectAgainTicks = 6

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
	if lead, _ := q.core.leader(); lead != 0 {
		q.suspect = suspect{}
		return
	}
	if q.suspect.ticks--; q.suspect.ticks <= 0 {
		q.suspect.ticks = suspectAgainTicks // others may not have noticed yet, and then gave no vote
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
