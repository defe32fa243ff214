// Package watch is the watch table of one event loop: who is to be told when a path changes.
//
// # Model
//
// A watch is (connection, path, mode). ZooKeeper keeps two tables, data and child, and a connection may hold several modes on
// one path (standard in either table, persistent in both, recursive in the data table). Here that is one entry per connection
// and path with four bits. What a change does to the bits is the table rules in fire.go, one line per kind of change; it says
// the same as WatchManager.triggerWatch called by DataTree: standard watches that match are consumed, persistent ones stay,
// recursive ones match the path and everything under it but never a change of children, and a connection is told once per
// table and change; a deletion asks the data table, then the child table without those already told.
//
// # Data flow
//
//	hash of path ----> index ----> pathEntry ----> record in the arena: name, up to 64 watchers
//	(tree.PathHash)   (linear     {record,         |
//	                   hashing)    directory,      `-> crowd: two open-addressing sets, when they are more
//	                               counts}
//	                                  |
//	                                  `--key------> dirs: the directory part, stored once for all its children
//
//	conn ----> connEntry{hashes of the paths it watches}      for RemoveConn and for listing
//
// A watcher is one word, connection and modes. So a fan-out is a read of one array, and consuming a watch rewrites that word
// and a counter of its connection. Nothing in a slab or in the arena is a pointer: the garbage collector sees one pointer per
// connection, per crowd and per chunk.
//
// # Invariants
//
//	W1  A path is found by its bytes: equal hashes share a chain and are told apart by comparing directory and name.
//	W2  A connection lists the hash of every path that it watches, at least once. It may list more; RemoveConn takes what is
//	    really there, and a list is compacted when three quarters of it (and 64 entries) are dead.
//	W3  A visit of Fire does not call the table. A loop that must close a connection during a fan-out does so afterwards.
//	W4  The index has between as many buckets as paths and twice as many; it grows and shrinks by a bucket or two at a time.
//	W5  Every arena chunk but the one being filled is at least half live, slabs have at most two spare chunks, a record is at
//	    most four times and a set at most eight times what is in it: memory follows use, down as well as up.
//	W6  The counters equal what a walk would count; watch_count is pairs in the data table plus pairs in the child table.
//
// # Ownership
//
// One loop owns a Table and calls it from its own goroutine only; there is no lock. Other goroutines ask the loop (for wchs, wchp,
// wchc) or read counters that the loop publishes. Reading a znode and registering a watch on it is one step because both
// happen on the loop.
//
// # Failure
//
// Add returns ErrFull at the table's bounds (Config.WatchesMax; 65,535 arena chunks of 64 KiB) and has then changed nothing
// that can be seen. A broken invariant panics.
package watch
