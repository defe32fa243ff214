// Package quorum puts the commands of all clients into one durable order and applies them. A server that stands alone
// is a quorum of one: the same path, with nobody to send to.
//
// # Model
//
// A member is a raft node (go.etcd.io/raft/v3), the log that raft's entries are written to, the tree that committed
// entries are applied to, and an image of that tree on disk that lets the log be cut. One raft entry is one batch:
// everything that event loops proposed while the log was busy with the entry before.
//
// # Data flow
//
//	event loops ── Propose ──▶ queue ── chunk ──▶ core (raft) ── append job ──▶ wal ── fdatasync ─┐
//	     ▲                                          ▲   ▲                                         │
//	     │                                          │   └────────── durable: step responses ◀─────┘
//	     │                                          └── applied ──┐
//	     └── walk the Commit chain ◀── publish ◀── tree.Apply ◀───┴─ apply job (committed entries, due syncs)
//	                                                  │
//	                                                  └── root, mark ──▶ image (checkpoint) ──▶ wal.Cut
//
// # Invariants
//
//	Q1  A command is applied only after the entry that holds it is durable on a majority.
//	Q2  Commands that one call to Propose hands over stay together and in order; calls from one goroutine keep theirs.
//	Q3  Entries reach the log in index order without gaps, also when a full disk refused some of them.
//	Q4  Entries are applied in index order, each exactly once; Commits are published in that order.
//	Q5  A sync is reported with a Root that contains every write acknowledged before Sync was called.
//	Q6  The log is cut only up to an index that a durable image contains.
//
// # Ownership
//
// Three goroutines: the quorum goroutine owns the core (raft node, storage); the apply goroutine owns the writable
// tree and the newest end of the Commit chain; the checkpoint goroutine owns the image. They hand each other values
// through short locked lists and one wake channel each. The log's own goroutine reports durability. Close waits for all.
//
// # Failure
//
// A write error other than a full disk, or an entry that cannot be applied, ends the process through Config.Fatal. A full
// disk makes Propose answer ErrUnavailable; what was already on its way waits for space, in order. A checkpoint that
// fails is reported and made good by the next.
package quorum
