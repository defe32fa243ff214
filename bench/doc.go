// Package bench loads a server that speaks ZooKeeper's protocol and measures what clients see and what it costs the server.
//
// # Model
//
// A run is a workload, a number of connections and a time. Each connection is a client, a session over the raw protocol, and has an
// actor, which decides what it asks and what it makes of the answers. Clients are driven by loops, one goroutine and one
// epoll instance each; a loop is good for millions of pipelined requests per second, so one is the default. In a closed loop an actor
// sends the next request when a reply has come; in an open loop a schedule says when, whatever the server does.
//
// A run goes through phases: connections are opened, load warms up, load is measured, what is under way drains, sessions
// are closed. Data is prepared before and checked afterwards over a session of its own (Conn).
//
// # Data flow
//
//	schedule ─▶ actor ─ request ─▶ client.out ── one write per turn ──▶ server
//	              ▲                                                       │
//	              └─ reply, event ◀─ client.readable ◀── one read per turn ┘
//	                    │
//	                    └─▶ tally (per loop) ── one interval per second ──▶ collector ──▶ Report ──▶ table, JSON, HTML
//
// # Invariants
//
//	B1  Replies come in the order of their requests, and the zxid in them never goes back: each violation is counted.
//	B2  The hot path, from a reply to the next request, does not allocate.
//	B3  In a closed loop latency runs from just before the write to just after the read, and counts in the second of the reply.
//	B4  In an open loop latency runs from when the request was due, and every request that was due in the measured time
//	    counts: one that is sent late, or answered after the end, no less.
//	B5  A watch event that does not come, comes twice or was not asked for is counted, and so is a second holder of a lock.
//	    Any fault makes the run a failed one.
//
// # Ownership
//
// A loop owns its clients, their actors and its tally. Workloads share what they must through atomics, and reach a client
// of another loop with loop.post. The collector belongs to the goroutine that called Run.
//
// # Failure
//
// A connection that cannot be opened ends the run with an error. One that is lost later is counted and opened again, with the
// same session; its unanswered requests are counted. What is wrong is a Fault, kept with its cause in words.
package bench
