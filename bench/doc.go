// Package bench loads a server that speaks ZooKeeper's protocol and measures what it costs the server to answer.
//
// # Model
//
// A Conn is one session over the raw protocol: requests are encoded into one buffer, written with one system call,
// and their replies are checked for order and error as they are cut from the stream. A Load drives many Conns in a
// closed loop: each sends a burst of Pipeline requests, waits for all replies, and sends the next.
//
// # Data flow
//
//	Load ── burst ──▶ Conn ── one write ──▶ server
//	  ▲                 │
//	  └── Result ◀──────┴── replies: xid order, error code, latency of the burst
//
// # Invariants
//
//	B1  A reply out of order, or with an error the workload does not expect, ends the run with an error.
//	B2  The hot path of a Conn does not allocate.
//	B3  Latency is measured from just before the write of the burst to its last reply.
//
// # Ownership
//
// Each Conn belongs to one goroutine of the Load. Results are merged after the goroutines have ended.
//
// # Failure
//
// The first error stops all connections and is returned with the connection's number.
package bench
