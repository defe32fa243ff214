// Package peers carries frames between the members of an ensemble over TCP. It is the quorum.Network of a real process.
//
// # Model
//
// From a member to each other member go up to three lanes (quorum.Lane), each a TCP connection of its own on which
// frames flow one way: whoever sends, dials. A stream begins with a handshake in which both say who they are and whom
// they mean (handshake.go has the bytes), and ends when either side closes it; the next stream of the lane begins anew.
// Raft streams to all members are dialled at once and again whenever they break, so that their state tells who lives;
// the others when something is to be sent.
//
// One stream with several kinds of frames would need credits of its own to keep a slow receiver of one kind from holding
// up the others; TCP has them already. Streams for both directions would tie the fate of what A sends to what B sends.
//
// # Data flow
//
//	Send ── queue (bytes bounded) ──▶ lane goroutine: s2, crc ── writev ──▶ socket ──▶ stream goroutine: cut, check,
//	                                     │        ▲                                    one allocation per frame
//	                                     │        └── end of stream ◀── watch              │
//	                                     ▼                                                ▼
//	                          Greeted, Writable, Broken                    Greeted, Opened, Receive, Ended
//	                                                                              more=false: stops reading ◀── Resume
//
// # Invariants
//
//	P1  What a stream delivers is a prefix of what was sent on it, in order and unchanged. A frame whose checksum does not
//	    hold ends the stream.
//	P2  Whoever sent on a stream that ended without Reset or Close is told Broken before Send succeeds again. On lanes
//	    other than raft's, Send has refused a frame since that end. (Raft does not mind lost messages, and its streams
//	    shall come back without being asked for.) The refusal may come before Broken: a sender that takes Broken from a
//	    queue may have sent on the new stream by then, so its frames must tell the receiver where they belong.
//	P3  Per lane and peer, Opened, Receive..., Ended follow each other; nothing of an older stream comes after Opened of
//	    a newer one.
//	P4  No call but Close waits for another member, and no lock is held while a Receiver is called.
//	P5  Memory is bounded per peer: by the bounds of the queues and one batch per outgoing lane, by one read buffer and
//	    one frame per incoming lane. Connections that have not said who they are, are at most halfOpenMax.
//	P6  A stream exists only between two members that know each other, meant each other, and do not belong to
//	    different ensembles.
//	P7  After Close returned nothing runs and the Receiver is not called.
//
// # Ownership
//
// Every outgoing lane has a goroutine that dials, writes and is alone in telling Broken and Writable, and while a stream
// is up one more that waits for the other side to close it. Every accepted connection has one goroutine, from handshake
// to end. One goroutine accepts. Frames belong to the network from a Send that succeeded, and their memory serves for
// others once they are written. To the Receiver they belong from Receive, on raft's lane until that returns. Network.mu
// guards who is a member and which stream is the newest; outLane.mu a queue; the first is taken before the second.
//
// # Failure
//
// A peer that cannot be resolved, reached, or that refuses is dialled again, after 50 ms at first and 1 s at most, at
// once when it is heard of. Each reason is logged once until the peer is reached. A process that is killed closes its
// streams, which its peers see at once; a machine that vanishes is noticed by what raft streams lack acknowledgement of
// for 2.5 s, and on idle streams by keepalive after 3 s. A listener whose address does not exist yet is tried
// again; one whose port is taken fails Start.
package peers
