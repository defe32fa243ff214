// Package quorum puts the commands of all clients into one durable order and applies them, on one member or on several
// that behave as one. A server that stands alone is a quorum of one: the same path, with nobody to send to.
//
// # Model
//
// A member is a raft node (go.etcd.io/raft/v3), the log that raft's entries are written to, the tree that committed
// entries are applied to, and an image of that tree on disk that lets the log be cut. One raft entry is one batch:
// everything that event loops and other members proposed while the log was busy with the entry before.
//
// Any member takes commands. It gathers them in chunks, numbers those, and keeps each until it sees it applied: a leader
// makes entries of its own chunks and of those that others forward to it. When the leader changes, the first entry of
// the new term tells where the old ones end; what is not applied by then never will be, and is sent again, in order.
// So clients of members that live do not notice that a leader died, except that they waited.
//
// # Data flow
//
//	event loops ── Propose ──▶ queue ── chunk, mark ──▶ line ──┬─ not leading: LaneForward ──▶ the leader's others
//	     ▲                                                     │
//	     │                                    leading: entry ──┴─▶ core (raft) ──┬─ messages ──▶ LaneRaft ──▶ followers
//	     │                                                          ▲   ▲        └─ append job ──▶ wal ── fdatasync ─┐
//	     │                                                          │   └─────────── durable: step responses ◀───────┘
//	     │                                                          └── applied ──┐
//	     └── walk the Commit chain ◀── publish ◀── tree.Apply ◀───────────────────┴─ apply job (committed entries, due syncs)
//	                                                  │
//	                                                  └── root, mark ──▶ image (checkpoint) ──▶ wal.Cut
//
//	behind the log:  leader's root ── sender ──▶ LaneImage ──▶ receiver ──▶ raft takes it ──▶ image, wal.Reset ──▶ apply
//
// # Invariants
//
//	Q1  A command is applied only after the entry that holds it is durable on a majority.
//	Q2  Commands that one call to Propose hands over stay together and in order; calls from one goroutine keep theirs.
//	Q3  Entries reach the log in index order without gaps, also when a full disk refused some of them.
//	Q4  Entries are applied in index order, each exactly once; Commits are published in that order.
//	Q5  A sync is reported with a Root that contains every write acknowledged anywhere before Sync was called.
//	Q6  The log is cut only up to an index that a durable image contains, and that no member is being brought up from.
//	Q7  A chunk is applied at most once, and exactly once if its member lives and takes over no state from another one.
//	    Chunks of a member are applied in their order.
//	Q8  A member that came without data gives no vote and acknowledges nothing before it was admitted as one that does
//	    not vote: what it promised before is not known.
//	Q9  After the same entry all members have the same digest; one that differs from a majority stops.
//	Q10 What only a leader may decide (expiry, removal of containers, the end of a reconfig) is committed in the term in
//	    which it was decided, or never.
//	Q11 A member that has a change of members in its log knows that the one before it was committed, so that it asks for
//	    votes by the members of its newest change or of the one before that: two majorities that meet.
//	Q12 Whoever looks at znodes has a tree.Reader or a tree.Hold: the quorum goroutine a Reader at the newest state that it
//	    knows of, and Holds are begun there, for what is lent to raft, sent to a peer or written to the image.
//
// # Ownership
//
// Four goroutines: the quorum goroutine owns the core (raft node, storage), the line and everything about members; the
// apply goroutine owns the writable tree and the newest end of the Commit chain; the image goroutine owns the image; the
// receiver loads states from peers. A transfer to a peer has a goroutine of its own. They hand each other values through
// short locked lists and one wake channel each; the network's goroutines put what arrives into one more. The log's own
// goroutine reports durability. Close waits for all. In stepped mode there are none, and Step plays them in turn.
//
// # Failure
//
// A write error other than a full disk, an entry that cannot be applied or a state that differs from the others' ends the
// process through Config.Fatal. A full disk makes Propose answer ErrUnavailable, and a leader hand leadership over; what
// was already on its way waits for space, in order. A checkpoint that fails is reported and made good by the next. A
// leader whose streams end is suspected at once; one that falls silent, after an election timeout. A peer that is slow or
// gone costs what its lanes may hold.
package quorum
