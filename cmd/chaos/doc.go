// Command chaos breaks an ensemble of real processes while unmodified clients use it, and checks what they saw.
//
//	chaos run -for 5m -seed 1              faults under load, histories checked      (make chaos)
//	chaos run -short                       each fault once, for a continuous build
//	chaos run -kind zookeeper              the same against Apache ZooKeeper
//	chaos run -mutate forget               a client that lies: the check must fail; so it must with
//	                                       -mutate stale -only 'link cut from leader' and -mutate amnesia -only 'all killed'
//	chaos gap -rounds 30                   how long clients cannot write when the leader goes, beside ZooKeeper
//	chaos catchup                          a member that missed 1M writes of a 5M-znode tree comes back under load
//
// # Model
//
// Members run in network namespaces of their own (cmd/internal/ensemble), their data on small disks; clients run at the hub
// between them: go-zookeeper/zk in this process, kazoo and ZooKeeper's Java client as worker processes. Each client does one
// operation at a time, chosen at random, and writes an Entry for each: what was asked, when it was asked and answered
// (CLOCK_MONOTONIC, which all processes of a machine share), what came back. The history is the union of these.
//
// Registers, the znodes written and read, come in pairs that one multi can set together; a pair is one object of the
// linearizability check. Every few seconds clients go on to new pairs, so that a history of one object stays short. A write
// whose answer was lost may have happened or not, but not after the session's next answered write or sync: a command of a
// connection that was given up must never come through later than one of its successor.
//
// # Data flow
//
//	campaign ── kill, freeze, cut, fill ──> members <── go-zookeeper/zk, kazoo, Java
//	                                                          │ entries
//	                        checks <── history.jsonl <────────┘
//
// # Invariants
//
// What the checks hold the ensemble to:
//
//	C1  Writes and sync+read of a pair are linearizable (porcupine); unanswered writes as said above.
//	C2  A write that begins after another was answered has a greater zxid; no two have the same.
//	C3  A session never goes back: once it has seen a zxid, no read of it shows an older state of any znode.
//	C4  What was acknowledged is there at the end, on every member alike, and what nobody asked for is not.
//	C5  No session expires before its client was silent for the whole timeout.
//	C6  An ephemeral is there while its session is, and gone once that was closed, was told to have expired, or was silent for long enough
//	    under one leader.
//	C7  After each fault all members serve again, and every client writes again, within a bound.
//
// # Ownership
//
// The campaign's goroutine owns the members and the links. Each client's goroutine or process writes its own entries; the
// history takes them under one lock.
//
// # Failure
//
// A violation ends the run with exit status 1, the seed, the entries concerned and the directory with the history and the
// members' logs. What cannot be installed or started is an error before anything ran.
package main
