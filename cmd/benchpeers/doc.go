// Command benchpeers measures Holt beside Apache ZooKeeper, etcd and servers that do nothing (package bare), in the same minutes on
// the same machine, and writes the tables of BENCHMARKS.md.
//
//	make bench-peers ROUNDS=3
//	go run ./cmd/benchpeers -only 'get|lock' -rounds 1        some rows, printed only
//
// # Model
//
// A case is a load of package bench and its goals: a figure, what it is divided by, and what must and should come out
// (cases.go). All servers of a table run at the same time, and every round measures each case on each of them in turn, so that
// whatever disturbs the machine disturbs all. Ratios are taken round by round; their median is judged. Absolute figures
// (absolute.go) get servers of their own.
//
// # Data flow
//
//	cases ─▶ rounds: case ─▶ ZooKeeper, Holt, bare server, etcd in turn ─▶ bench.Report ─▶ ratios by round ─▶ verdicts
//	                                                                                    └▶ BENCHMARKS.md (its marked part), SVG, JSON
//
// # Invariants
//
//	P1  ZooKeeper and Holt get the same zoo.cfg (package ensemble) and sync every write; ZooKeeper has -Xmx2g and is warmed up first.
//	P2  Both sides of a ratio were measured in the same round, next to each other.
//	P3  A run with a fault is no figure: its case is marked as failed.
//	P4  In BENCHMARKS.md only what stands between the markers is written.
//
// # Ownership
//
// The command owns its servers, its directory below .cache/bench-peers, and the marked part of BENCHMARKS.md.
//
// # Failure
//
// What cannot be installed or started ends the command. A case that fails is told in the table, and the exit code is 1; a goal that is
// missed is told in the table and is no failure of the command.
package main
