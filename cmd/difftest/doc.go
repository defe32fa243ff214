// Command difftest sends the same random requests to Apache ZooKeeper and to Holt and compares every answer.
//
//	difftest -seed 1 -ops 100000                      starts both servers itself, compares, stops them
//	difftest -seed 1 -ops 100000 -zookeeper 127.0.0.1:2181 -holt 127.0.0.1:2182
//	difftest -seed 1 -ops 100000 -against zookeeper   ZooKeeper with ZooKeeper: must find nothing
//
// # Model
//
// A run is a list of steps made from one seed. A step is a burst of pipelined requests on one session, or something that
// happens to a connection: a session opened, dropped, attached again, moved, refused. Each step is given to both servers and
// their answers are awaited before the next, so that both see one order; within a burst the server has all requests at once.
// The frames that each connection received, replies and watch events in their order, are compared one by one.
//
// Values that cannot be equal are put in a common form first: a zxid becomes its distance from the first one of the run; a
// session id becomes the number of the session; times must be near each other, and equal where ZooKeeper makes them equal (a
// server that stalls may stamp a write as much later as it took to answer); lists of children are sets; the events of one
// session's end have no order among themselves. Everything else must be equal byte by byte.
//
// Choosing what to send next uses only the seed and the reference's answers. A generator that knows which nodes
// exist finds more than one that guesses; since both servers' answers are compared before the next choice, the run
// stays a function of the seed.
//
// The second server may be an ensemble (-members 3), talked to through a follower or the leader (-at); its answers are
// held against those of a ZooKeeper that stands alone. Beside an ensemble of ZooKeeper's it cannot be held: that one leaves
// pipelined requests of one connection unanswered or answers them out of order, now and then, which -against zookeeper
// -members 3 shows.
//
// A mode is a configuration of both servers, with what suits it: default; plain (no TTL nodes, no reconfig); skipacl; quota (limits are
// enforced); time (sessions expire, containers and TTL nodes are removed, each awaited); restart (both servers are killed
// again and again, and everything but watches must still be there); import (the same, but Holt does not go on with its own data: it takes over
// what ZooKeeper has on its disk, with holt import, and ZooKeeper's digest of its tree must agree); wide (directories of 10,000 children, long multis, requests of
// just the size that is taken).
//
// # Data flow
//
//	generator --step--> run --frames--> ZooKeeper     Holt
//	    ^                |                  |           |
//	    |                +--<-- frames -----+-----------+
//	    |                v
//	    +--observe--- compare (canon) --difference--> wanted? --no--> report, shrink, exit 1
//
// # Invariants
//
//	D1  One session acts at a time; an answer that is still awaited belongs to the acting session.
//	D2  A request that ends its connection at once stands alone, closeSession is the last of its burst, an auth packet the
//	    first: ZooKeeper answers those on arrival, before what is still being worked on.
//	D3  Nothing expires or is reaped behind the run's back: timeouts and intervals are an hour, except in mode "time",
//	    where each such thing is awaited before the next step.
//	D4  A step says all that is needed to repeat it (a session by its slot, a zxid by its distance), so any part of a
//	    run can be repeated: that is how a failing run is made small.
//
// # Ownership
//
// One goroutine owns the run; for the time of a step a second one reads the other server's connection.
//
// # Failure
//
// A difference that is not in the table of wanted ones (wanted.go, docs/differences.md) ends the run with exit code 1 after
// the seed, the step, the session's last exchanges and a small list of steps that still shows it.
package main
