// Command crash kills a real Holt process with SIGKILL while clients write, starts it again on the same data
// directory and checks, round after round, that nothing acknowledged was lost and nothing half done remained.
//
//	go run ./cmd/crash -holt bin/holt -rounds 200 -seed 1
//
// Each round: start (now and then killed again while it recovers), let the load of load.go run for a random time,
// kill, start, verify the model of model.go against the server, go on. The data directory lives through all rounds, so
// that logs are rotated and cut and checkpoints are written in between; small sizes make that happen often. The client
// is go-zookeeper/zk, which Holt's authors did not write.
//
// # Model
//
// The model knows of every path which values it may have: one after an acknowledged write, two or more while the outcome of a
// write is unknown. Each unfinished multi is remembered as a whole: all of it may have happened, or none.
//
// # Data flow
//
//	workers, sessions ── go-zookeeper/zk ──▶ server ◀── SIGKILL, start ── campaign
//	        └── what was acknowledged ──▶ model ── verify after each start ──▶ pass, or the data directory is kept
//
// # Invariants
//
//	K1  What was acknowledged is there; what nobody asked for is not.
//	K2  Of a multi all is there or nothing.
//	K3  A session that was never silent for its timeout is attached again with its ephemerals; one that was closed has none;
//	    one that is left to itself has them for its timeout and loses them soon after.
//
// # Ownership
//
// One goroutine per worker while a load runs; the campaign alone starts and kills the server, and only its own process.
//
// # Failure
//
// The first broken invariant ends the campaign with the seed, the data directory and the end of the server's log.
package main
