package quorum

// Role is what a member is to its ensemble.
type Role uint8

// The roles, as raft knows them.
const (
	Follower Role = iota
	Candidate
	Leader
)

// Status is a member's view of its ensemble.
type Status struct {
	Role   Role
	Leader uint64 // 0 when unknown
	Term   uint64
	Full   bool // the log has no space: writes are refused until it has
}

// String names the role in logs.
func (r Role) String() string {
	return [...]string{"follower", "candidate", "leader"}[r]
}
