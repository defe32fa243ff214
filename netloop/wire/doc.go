// Package wire is ZooKeeper's client protocol as bytes: frames, headers, the records of every operation, in both
// directions. It knows formats and nothing of their meaning.
//
// # Model
//
// The format is jute: big-endian integers, length-prefixed buffers, counted vectors, no tags and no padding. A record is a
// struct with a Parse and an Append method. Parse is given a Reader and leaves byte slices that are windows of what was
// received; Append extends a caller's buffer. A vector is a view over its encoded elements with a Next method. Nothing
// here allocates, except the Make functions meant for clients and tests, and the repair of text that is not UTF-8.
//
// The obvious alternative, one generated type per jute record as in the Java client, lost: many records have the
// same layout (getData and getChildren; delete and check), and what matters to a reader of the code is the layout.
//
// # Data flow
//
//	bytes of a connection
//	  |  Frame            4-byte length, payload
//	  v
//	payload -- first one --> ConnectRequest
//	  |  RequestHeader    xid, op
//	  v
//	body -- by op --------> CreateRequest, WatchRequest, ... MultiReader
//
//	reply: BeginFrame, AppendReplyHeader, body by op (AppendStat, AppendBuffer, ...), EndFrame
//	event: AppendEvent
//
// # Invariants
//
//	W1  What Parse accepts, Append encodes to the same bytes; only a boolean byte above 1 becomes 1, the
//	    meaningless err field of a multi's request headers becomes -1, and text that is not UTF-8 is repaired.
//	W2  Null and empty differ and survive a round trip: nil is null, length -1; empty non-nil is empty.
//	W3  No length or count in the input makes the package reserve memory or index outside the input. Work is at most
//	    proportional to the bytes received.
//	W4  Once a vector view exists, iterating over it cannot fail.
//
// # Ownership
//
// What Parse and Next return belongs to whoever owns the input buffer and is valid as long as that is.
//
// # Failure
//
// A malformed record makes Parse return false; ZooKeeper answers MarshallingError and keeps the connection. A frame length
// out of range is ErrFrameLength; ZooKeeper closes the connection. There are no other failures.
package wire
