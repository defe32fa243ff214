// Command etcdpeer is etcd as a peer of cmd/benchpeers: a server, and loads that are the equals of some of package bench's.
// It is a module of its own, so that etcd's dependencies are not Holt's.
//
//	etcdpeer serve DIR CLIENT-ADDR PEER-ADDR
//	etcdpeer load -addr A -pid P -case get -conns 64 -pipeline 1 -warmup 1s -duration 3s
//
// # Model
//
// serve is an embedded etcd with one member and its defaults; every write is synced. load has a client, which is a gRPC
// connection, for each of -conns, and -pipeline goroutines on each that do one operation after the other. Reads are serializable (local), as
// ZooKeeper's are.
//
// # Data flow
//
//	load ─▶ clientv3 ─▶ server; latencies ─▶ histogram per goroutine ─▶ a report as JSON on standard output
//
// # Invariants
//
//	E1  The JSON has the fields of bench.Report that benchpeers reads, with the same meaning.
//
// # Ownership
//
// Each goroutine owns its histogram until all have ended.
//
// # Failure
//
// The first error of an operation ends the load with exit code 1.
package main
