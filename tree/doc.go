// Package tree is the replicated state of Holt as a value: znodes, ACLs,
// quotas, sessions and ephemerals, and Apply, the pure function that takes it
// from one raft entry to the next. No clock, no I/O, no goroutine.
//
// # Model
//
// A [Root] is the whole state at one point and never changes. Znodes hang in
// one persistent radix tree per directory (radix.go, znode.go), sessions with
// their ephemerals and the index of container and TTL nodes in trees of the
// same kind (root.go). A [State] is the one writable tree: Apply runs a batch of
// commands on it, changes in place what the batch made and copies the rest, and
// publishes the result as the next Root.
//
// Commands are logged, not their effects. A command carries what its outcome
// depends on besides the state: the caller's session, connection and
// identities; the batch carries the time and the proposer's [Rules]. Whether a
// version fits, a permission is there or a quota is left is decided in Apply, on
// every member alike, in ZooKeeper's order of checks, which clients can see.
//
// A command of a session that is gone answers SessionExpired, one from a
// connection that lost its session to another SessionMoved. Both consume a zxid
// as all failed writes do in ZooKeeper, whose PrepRequestProcessor takes it
// before it looks at anything. No zxid: attaching a session; expiries and
// removals that find nothing to do; a reconfig until it is answered.
//
// The ensemble is replicated state too (ensemble.go, membership.go): its id, its members, and the reconfig under way. A
// reconfig that passes ZooKeeper's checks becomes pending and consumes no zxid; whoever leads takes the quorum to the
// new members and ends it with a command of its own, which is the transaction that shows in /zookeeper/config and
// answers the client. ZooKeeper has one order of checks in which the new quorum comes before the ACL; here the ACL comes
// first, as the quorum is known only later.
//
// Where ZooKeeper's behaviour is an accident, this is what happens here:
//
//   - The count of creates, and with it the sequence suffix, goes on from
//     2147483647 to -2147483648. ZooKeeper's leader hands out the same suffix, but
//     its tree then refuses to lower cversion, and what follows depends on timing.
//   - deleteContainer from a client needs DELETE on the parent and removes
//     containers and TTL nodes only. ZooKeeper checks no permission and spares
//     ephemerals only.
//   - A createTTL without a TTL flag is refused whatever its TTL is.
//   - zookeeper_limits directly below /zookeeper/quota is a plain znode; stats that
//     do not parse are left as they are. Both stop a ZooKeeper server.
//   - Ephemerals of a closed session go in byte order of their paths.
//
// # Data flow
//
//	           Append*                                   ┌─▶ Txns     code, stat, path, Before
//	netloop ───────────▶ batch ─▶ quorum ─▶ State.Apply ─┼─▶ Changes  for watches, in trigger order
//	                     header                │         └─▶ Root
//	                     command               │              │ Lookup, Children, Session, Ephemerals  ◀── reads
//	                     command               │              │ Reapable, Digest                      ◀── leader, members
//	                                           ▼              ▼
//	                             add, drop, replace         Diff ─▶ checkpoint ─▶ Loader ─▶ State
//	                             (znodes, counts, digest)
//
// # Invariants
//
//	T1  A Root never changes while somebody may look at it (M2, M3). What a batch writes carries the batch's edit, and the
//	    edit is given up whenever a root is taken: at the end of a batch and before a command with KeepBefore (R3, Z1).
//	T2  Apply is a function of the state and the batch. Where a batch ends changes nothing but which roots exist. No
//	    map order, pointer, clock or process seed reaches a result; PathHash and Local, which do differ, reach only
//	    the process that asked.
//	T3  Digest is the sum over all znodes and sessions, with the ensemble on top, and the counts of Root are what a walk
//	    would count: add, drop and replace, putSession and dropSession, and setMembers are the only ways to change
//	    anything, and each keeps them.
//	T4  A batch that does not parse changes nothing. Apply never panics on bytes.
//	T5  An ephemeral's session is open: closing removes both in one transaction.
//	T6  A zxid is larger than all before it and belongs to one transaction. It is max(last + 1, term << 32).
//	T7  A multi does all or nothing: a failed operation changes nothing, and what the ones before did is taken back
//	    (undo.go).
//	T8  A znode or node is no older than anything below it, and every znode that was deleted after a Root is in the list that
//	    begins at its gone: so a Diff needs nothing else of the older side (Base).
//
// # Ownership
//
// The apply goroutine owns the State. Roots, Nodes and what they give may be
// read by any number of goroutines without a lock and stay valid while held,
// unless the State uses memory again ([State.Reuse]): then znodes of a Root stay
// as they are as long as a [Reader] that may look at it has not moved on, or a
// [Hold] lasts (reclaim.go). Data, names and paths alias the tree and are not to
// be written. A batch's bytes belong to its results, whose paths alias them; nothing in the tree
// does. ACL lists are interned for the whole process behind one mutex, taken
// when a list other than the open one is stored.
//
// # Failure
//
// What a client asked for wrongly is a [Code] in its Txn. Bytes that no Holt
// wrote are an error of Apply, after which the member must not go on: its log
// and its program disagree. A broken invariant panics with its name.
package tree
