// Command holt is a coordination server that every ZooKeeper client can use, and the tools around it.
//
// # Model
//
// One binary, one word after its name: server, shell, import, bench, and so on. main.go dispatches; command_*.go read a
// subcommand's arguments; server.go wires the packages of the server together; packages config, shell and zkdata hold what can
// be tested without a process.
//
// # Data flow
//
//	arguments, HOLT_*, zoo.cfg ── config.Load ──> config.Config ── run (server.go) ──> wal, checkpoint, quorum, netloop, admin
//	ZooKeeper's files ── zkdata.Read ──> zkdata.Data ── State ──> tree.State ── quorum.Begin ──> wal, checkpoint
//	arguments ── shell.Main ──> one session with a server
//	arguments ── cli.Main (bench/cli) ──> load on any server, a report
//
// # Invariants
//
//	M1  Exit codes: 0 done; 1 failed; 2 the arguments were wrong. The shell adds 127 for an unknown command of its own.
//	M2  What was asked for is printed to standard output, everything else to standard error.
//	M3  The first SIGTERM or SIGINT lets the server stop in order; the second ends the process at once.
//
// # Ownership
//
// main owns the process: signals, exit codes, standard streams. Packages get a context, a Config and a logger.
//
// # Failure
//
// An error that ends the process is printed once, with what its reader can do about it (explain).
package main
