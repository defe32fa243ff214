// Package disk holds what the log and the checkpoint share about their directories: making them durably, locking them,
// and telling an operator what is wrong with them; and a way to sync a file that suits a process on one processor (Held).
//
// # Model
//
// A directory that belongs to one process at a time, on a file system that may be full, read-only or somebody else's.
//
// # Data flow
//
//	wal.Open, checkpoint.Open ──▶ make, lock ──▶ error with what its reader can do about it
//
// # Invariants
//
//	P1  A directory that was made is named durably in its parent.
//
// # Ownership
//
// Whoever locks a directory holds the lock until it closes it.
//
// # Failure
//
// Errors keep their cause for errors.Is and say what to do.
package disk
