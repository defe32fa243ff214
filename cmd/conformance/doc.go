// Command conformance runs the test suites of ZooKeeper's clients against Apache ZooKeeper and against Holt, with the same
// settings, and says where they differ.
//
// # Model
//
// A suite (kazoo, java, quorum, curator) is a list of units; a unit is one process of the suite's own test runner: a test module of
// kazoo under pytest, a test class of ZooKeeper or Curator under JUnit's console. Units come as published, from a pinned source
// distribution or test jar; no test is edited.
//
// A server is a launcher of cmd/internal/ensemble, an executable that takes a zoo.cfg and stays in the foreground.
// Whatever a test asks of its server (ticks, limits, system properties of the server's JVM) becomes a line of that file, the
// same for both. Adapters start launchers where the suites would have started ZooKeeper: kazoo/launched_servers.py replaces
// kazoo's server class, java/.../ExternalCnxnFactory is a ServerCnxnFactory that ZooKeeper's tests load by name,
// java/.../TestingServer stands before Curator's class of this name, and java/.../ExternalPeer is what ZooKeeper's ensemble tests
// (quorum) find where they look for a member: the classes that make members, QuorumBase, QuorumUtil and QuorumPeerMain, are replaced.
//
// ZooKeeper is the oracle: a test that fails on it proves nothing about Holt. Tests that need what an external process cannot
// give (the server's objects in the test's memory) are named with a reason in not-run.txt and run on neither server.
// Tests that pass on ZooKeeper and fail on Holt are named with a reason in exceptions.txt, or fail the run.
//
// # Data flow
//
//	not-run.txt, *-tests.txt ─┐
//	cache (jars, venv) ───────┴─> units ─> workers ─> unit process ──starts──> launcher zoo.cfg
//	                                          │             └─ JUnit XML ─> results
//	                             own ports, own directory                      │
//	                                                 exceptions.txt ─> table, differences, exit status
//
// # Invariants
//
//   - C1: both servers get the same zoo.cfg, byte for byte but for ports and directories.
//   - C2: a unit that leaves no report counts as one failed test; silence is never success.
//   - C3: a test counts as failed when it failed in the first run of its unit and in the second; one that passes the second
//     time is listed as unsteady.
//   - C4: no unit runs without a time limit, and none outlives the run: a unit is a process group, ended as a whole.
//
// # Ownership
//
// A worker owns a range of a hundred ports and runs one unit at a time; the directory of a unit belongs to it until it ends.
// Results are collected by the goroutine that started the workers.
//
// # Failure
//
// What cannot be installed stops the run with the command that failed. Logs of every unit and of its servers stay in
// .cache/conformance/logs/<server>/<suite>/<unit>. The last lines name what failed.
package main
