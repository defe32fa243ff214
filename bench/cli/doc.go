// Package cli is holt bench: it reads the arguments, runs package bench and writes its reports.
//
// # Model
//
// One table of options (allOptions) serves the flags, the keys of a workload file and the help.
//
// # Data flow
//
//	arguments, workload file ──▶ bench.Config ──▶ bench.Run ──▶ progress (standard error), table (standard output), JSON, HTML
//
// # Invariants
//
//	O1  Exit codes: 0 done; 1 the run failed or counted a fault; 2 the arguments were wrong.
//	O2  What was asked for is printed to standard output, everything else to standard error.
//
// # Ownership
//
// Main owns nothing beyond its call.
//
// # Failure
//
// The first SIGINT or SIGTERM ends a run early, with a report of what there is; the second ends the process.
package cli
