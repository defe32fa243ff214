// Package netloop serves ZooKeeper clients: it accepts their connections, takes their requests in order, answers reads
// from the tree, hands writes to the quorum and tells watchers what the quorum committed.
//
// # Model
//
// A loop owns a share of the connections and one view of the tree: a root, and a cursor into the chain of commits that
// the quorum publishes. Everything that belongs to a connection (unanswered requests, watches, output) lives in its
// loop, so nothing on the way of a request is locked or shared. The view moves only in loop.advance, which walks the
// chain to its end at the start of every turn, transaction by transaction:
//
//  1. the reads that the transaction's connection sent before it are answered from the tree just before it,
//  2. the loop's watches that its changes match fire,
//  3. its reply is given,
//
// and after the last transaction of a commit the loop adopts its root and answers the reads that waited for a write of
// this commit. Output of a connection is appended in exactly that order and written once per turn.
//
// A read behind an unanswered write of its connection is copied and waits. A write behind a waiting read does not wait
// for it but carries tree.KeepBefore, and Apply keeps the root that the read has to see. So whatever mixture of reads,
// syncs and writes a client pipelines, it gets the answers of a client that sends one at a time.
//
// The obvious alternatives lost: a queue per loop fed by the apply goroutine needs a bound and a policy for loops that
// lag, and lets two loops see roots and events at different points of the order; one atomic root for all lets a client
// read a change before its watch event has been sent.
//
// Loops know no sockets. A host runs a loop and a link carries a connection's bytes; gnet's are in reactor.go.
//
// # Data flow
//
//	           acceptor ──limits──▶ reactor (gnet) ──bytes──▶ loop.receive
//	                                                            │ take: frames, in place
//	  ┌──────────────── commands, one Propose a turn ◀── write ─┤
//	  │                                                         ├─ read ──▶ conn.out ──one Write a turn──▶ socket
//	  ▼                                                         │             ▲   ▲
//	quorum ── Commit ── Published ── wake ──▶ loop.turn ──▶ advance ── events ┘   └ replies, reads that waited
//	  ▲
//	  ├── Expire, Reap ── clock ◀── sessions heard of ── loops
//	  └── Touch (where another member leads) ──┘
//
// # Invariants
//
//	N1  A connection is answered in the order in which it asked; only auth is answered at once, as in ZooKeeper.
//	N2  A read sees exactly the writes that its connection sent before it, and all that this server has acknowledged.
//	N3  The event of a change is in the output before any reply that shows the change, its own write's included.
//	N4  A watch is registered in the step that reads what it watches: no change falls between.
//	N5  A loop holds at most flushConnsMax writes or one slice of a listing per connection before it polls again.
//	N6  What waits is bounded: requests and their bytes per connection, writes in all, bytes not yet decoded, bytes not
//	    yet sent. Full means that the connection's socket is not read, and only where that does not help that it is closed.
//	N7  A session never expires early: only the leader's clock moves, it stands still while the log is full, a loop has
//	    not reported what it heard, or the process itself stood still; it grants the time that other members' reports
//	    take; and a new leader begins with a full timeout for every session.
//	N8  No connection outlives Stop, nor does a goroutine.
//	N9  No write of a connection is committed after one that it sent before was lost: when an epoch ends, connections
//	    with unanswered writes are closed, and commands of the old epoch are not proposed in the new one.
//	N10 No session sees an older state than it has seen, on whichever member: who has seen more than this member waits
//	    until it is as far. Who may have missed changes (a state that came whole) is closed.
//	N11 A loop looks at znodes only between Enter and Rest of its tree.Reader, and at no Root older than the one of the last
//	    commit it has walked, or than what lies between that and the next one (Txn.Before). While a request waits for a commit
//	    it does not rest. A listing has a tree.Hold.
//
// # Ownership
//
//	event loop (N)   its connections, their requests and output, its watches, its cursor    commit chain, wake, do
//	acceptor (1)     the listening socket, counts per address                               -
//	clock (1)        the session tracker, the reaper                                        a list of session changes
//	four-letter (≤64) one detached socket each                                              -
//
// # Failure
//
// What a client does wrong gets ZooKeeper's answer; see wire for malformed bytes. A full proposal queue stops the
// sources of writes; writes that cannot be accepted are answered with SystemError while reads go on. A connection that
// does not read its replies is not read either, and closed when events pile up. Running out of file descriptors delays
// new connections. A loop that finds the order of transactions broken closes the connection concerned and says so.
//
// When an epoch ends (the leader, its term or the way to it changed) only connections with unanswered writes are closed.
// Without a leader reads go on and writes wait; a connection is closed when a third of its session timeout has passed
// without contact, so that the client has time to take its session to another member; a request that needs a leader, and a
// ConnectRequest, wait for Config.LeaderWaitMs. A member that was removed from its ensemble closes all.
package netloop
