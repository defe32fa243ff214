package quorum

// Role is what a member is to its ensemble.
type Role uint8

// The roles, as raft knows them.
const (
	Follower Role = iota
	Observer      // applies and serves, and does not vote
	Candidate
	Leader
	Outside // not a member, or not admitted yet: it serves nobody
)

// Status is a member's view of its ensemble.
type Status struct {
	ID     uint64
	Role   Role
	Leader uint64 // 0 when unknown
	Term   uint64
	Full   bool // the log, or another member's state, has no space: writes are refused until it has
	Alone  bool // the ensemble is this member
	Voters int

	// ContactNs is when this member last learned that the leader hears it, on the clock of Config.NowNs; a leader is
	// always in contact. 0: never since the start.
	ContactNs int64
}

// String names the role in logs.
func (r Role) String() string {
	return [...]string{"follower", "observer", "candidate", "leader", "outside"}[r]
}

// PeerStatus is what a leader knows of another member.
type PeerStatus struct {
	ID       uint64
	Match    uint64 // the last entry of the log that it is known to have
	Lag      uint64 // entries of the leader's log after that
	Learner  bool
	Active   bool // heard of lately
	Snapshot bool // is being sent the whole tree
}
