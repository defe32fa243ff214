// Package tree is the replicated state of Holt as a value: znodes, ACLs,
// quotas, sessions and ephemerals, and Apply, the pure function that takes it
// from one raft entry to the next. No clock, no I/O, no goroutine, no lock.
package tree
