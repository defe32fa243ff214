// Package zkdata reads what a stopped ZooKeeper server left in its data directory, and makes a state of Holt's of it.
//
// # Model
//
// A server's state is its newest whole snapshot with the transactions of its log after it. A snapshot is fuzzy: it was written
// while transactions went on, and holds some of those that follow it in the log. Transactions are therefore results, not requests
// (a cversion, not an increment), and applying one that the snapshot has already changes nothing. Holt logs requests, so its own
// State.Apply cannot take them: database is a map with ZooKeeper's rules for replaying (DataTree.processTxn), made into a
// State once, in order of keys.
//
// Whether the result is right is not taken on trust. Snapshots and records have checksums. Within an epoch zxids have no
// gaps, so a file that is missing shows. And since 3.6 ZooKeeper writes a digest of its whole tree with each transaction, which is
// computed here too: where both agree, the state is the one that the server had. They do not agree everywhere, as ZooKeeper computes that digest
// before it knows which of the requests under way will be refused (and logs "Digests are not matching" about itself); one that agrees later
// makes up for it.
//
// # Data flow
//
//	snapshot.1a00000042 ─────────── parseSnapshot ──┐
//	                                                ├─▶ database, its digest compared ─▶ Data.State ─▶ tree.Importer
//	log.1a00000001, log.1a00000043 ──────── replay ─┘
//
// # Invariants
//
//	K1  Nothing is written to ZooKeeper's files.
//	K2  What ZooKeeper would not start with is an error; what it would start with though something may be missing is a
//	    doubt, which the caller has to accept.
//	K3  What a client could have seen is there: zxids go on from the last one, and from the beginning of an epoch that was
//	    begun and has no transaction; sessions have the passwords that ZooKeeper gave out.
//
// # Ownership
//
// One goroutine, once. A snapshot is read into memory as a whole; the data of znodes lies in it.
//
// # Failure
//
// Errors wrap ErrDamaged or ErrNothing where that is the reason, and name the file and the offset.
package zkdata
