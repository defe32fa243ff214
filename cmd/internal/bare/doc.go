// Package bare has servers that do nothing but what no server can leave out: the ceilings that Holt is measured against.
//
// # Model
//
// All cut frames on one gnet event loop, answer a connect with a fixed session, and every request with a fixed reply that carries
// its xid. They look nothing up. Reads answers with the bytes of a getData of 100 B. Commit answers once the request has been
// written to a file and fdatasync has returned, one sync for all that waits. Fanout answers too, and before it answers a
// setData it sends a watch event to every other connection.
//
// # Data flow
//
//	Reads, Fanout:  socket ─▶ frames ─▶ fixed replies ─▶ one write
//	Commit:         socket ─▶ frames ─▶ pending ─▶ committer: pwrite, fdatasync ─▶ loop: replies ─▶ one write per connection
//
// # Invariants
//
//	C1  A server here decodes the length, the xid and the opcode of a request and nothing else.
//	C2  Commit never answers a request before it is on the disk.
//
// # Ownership
//
// The loop owns connections and replies. The committer owns the file; the two share a batch under one lock.
//
// # Failure
//
// A server here runs until it is killed. An error of the file ends the process.
package bare
