// Package wal is Holt's log: raft entries and hard states, durable before they are told of, on one disk.
//
// # Model
//
// The log is a sequence of frames in segment files. A frame is what one write and one sync carried: entries, hard states,
// and the log's own records (cut, reset, seal, state). An entry whose index is at or below the last one takes back
// everything from that index on. Files hold written zeros or the leftovers of an earlier life before the log reaches
// them, so that a sync has no metadata to carry; checksums seeded with the segment, a random salt and the offset, and a
// sequence number that never repeats, tell a frame from leftovers.
//
// # Data flow
//
//	Append, Cut, Reset          log goroutine                            keeper goroutine
//	   |                           |                                         |
//	   v        swap               v                                         v
//	[waiting] ------> [taken] -> plan -> admit -> room -> encode         make segment n+1:
//	                                               |        |            a spare with a new header,
//	                                     rotate <--+        v            or a file of zeros
//	                                     (seal,          write           turn cut segments into
//	                                      next) <------  fdatasync       spares, remove the rest
//	                                        prepared        |                ^
//	                                                        v                | cut is durable
//	             Entries, Term, ... <----- view <------- commit -> Done, in order
//
//	directory:  LOCK   000000000000000a.wal  ...0b.wal  ...0c.wal   spare-0000000000000008   filling
//	                   sealed                open       prepared    for reuse               half-made
//
// # Invariants
//
//   - W1: Done(nil) runs only after everything of the request, and of all requests before it, was synced. Dones run in
//     the order of the Appends.
//   - W2: a frame is written only after everything before it was synced. So at recovery a bad frame with a good one
//     behind it was durable once and is damage (*CorruptError); a bad frame with nothing behind it is a torn write and
//     is cut. What recovery accepts it syncs before anyone can act on it.
//   - W3: a segment is sealed, durably, before the next one gets its first frame, and the next one's file was durable
//     before that. So every live segment but the newest ends with a seal, and a sealed segment has a successor.
//   - W4: indexes rise one by one; an Append starts at or below last+1 and above the cut.
//   - W5: of a request that was refused for want of space nothing remains: not in the view, and not on the disk, where a
//     frame written in part is scrubbed before the refusal is told.
//   - W6: a file is reused or removed only after the cut that made it garbage is durable; every segment starts with a
//     state record, so nothing in an older file is needed to know what the newer ones mean.
//   - W7: disk use is bounded: the live segments, one prepared, Config.SpareSegments spares. A new file leaves a reserve
//     free, in which the checkpoint fits that lets the log be cut.
//
// # Ownership
//
// The log goroutine owns the open segment and everything about writing; it alone changes the view, under a lock that is
// never held across I/O. Where Config.Hold says so it keeps its processor while a large frame is synced (disk.Held).
// The keeper goroutine owns the directory. Entries' data is shared and immutable from Append on. In stepped mode
// (Config.Stepped) there are no goroutines: the caller of Step plays both.
//
// # Failure
//
// No space (ENOSPC, EDQUOT) refuses appends with ErrFull until a probe, a cut or a prepared segment finds some. A failed
// sync, and any other failed write, ends the log through Config.Fatal: what the disk holds then only a restart can tell.
// Damage found at Open is a *CorruptError with file and offset; nothing is changed.
package wal
