package quorum

import (
	"sync/atomic"

	"holt/tree"
)

// Commit is what one applied raft entry did, immutable once published. Commits form an append-only chain: whoever
// holds one can reach all later ones through Next, and those that nobody holds any more are garbage.
//
// The chain is the only thing that passes from the apply goroutine to the event loops. A queue per loop was the
// alternative; it needs a bound, a lock and a policy for the loop that does not drain it, and it cannot hand every
// loop the same root at the same position in the order of transactions.
type Commit struct {
	Seq     uint64        // 1, 2, 3, ... in this process; Tail().Seq minus a cursor's Seq is that cursor's lag
	Index   uint64        // the last entry of the log that Root contains
	Root    *tree.Root    // the state after every transaction of this commit
	Txns    []tree.Txn    // in order; may be empty (a commit that only completes syncs)
	Changes []tree.Change // of all transactions; Txn.ChangesFrom and ChangesTo cut it
	Synced  []Synced      // syncs whose point in the order has been reached
	Loops   uint64        // bit i: a local transaction or sync of event loop i is among them
	Moved   bool          // a session was attached, closed or expired: every loop must look
	// Installed: Root came whole from another member, and what changed on the way to it is not known. Watches may have
	// missed events, so every connection has to be closed.
	Installed bool
	AtNs      int64 // when it was published, on the clock of Config.NowNs
	next      atomic.Pointer[Commit]
}

// Synced names a sync that is complete: every write acknowledged anywhere before the sync was asked for is in the
// Root of the commit that carries it.
type Synced struct {
	Origin tree.Origin
	Tag    uint64
}

// Next returns the commit published after c, or nil if c is the newest.
func (c *Commit) Next() *Commit { return c.next.Load() }

// LoopsMax is how many event loops a Commit can name.
const LoopsMax = 64

// seal computes what loops ask of a commit before they walk it.
func (c *Commit) seal() {
	for i := range c.Txns {
		t := &c.Txns[i]
		if t.Local {
			c.Loops |= 1 << (t.Origin.Loop % LoopsMax)
		}
		if t.Closed != tree.NotClosed {
			c.Moved = true
		}
	}
	for _, s := range c.Synced {
		c.Loops |= 1 << (s.Origin.Loop % LoopsMax)
	}
}
