// Command measure produces the figures of BENCHMARKS.md that need whole processes: a server and, beside it in the same
// run, what it is measured against. Every figure is printed with what it was divided by; nothing here passes or fails
// by the clock.
//
//	go run ./cmd/measure reads        reads per server-CPU-second beside a bare gnet server with a fixed reply
//	go run ./cmd/measure checkpoint   write latency with and without a checkpoint of a large tree
//	go run ./cmd/measure profile      writes cmd/holt/holt.pgo, the profile that make build optimises by
//	go run ./cmd/measure restart      CPU time and wall time from exec to the first read, by size of the tree
//
// # Model
//
// A measurement starts its own servers, loads them with package bench, and reads the processor time that the kernel charged to
// their processes. What is compared is measured in turns within one run.
//
// # Data flow
//
//	bench.Run ──▶ server process ── /proc/<pid>/stat ──▶ table in Markdown
//
// # Invariants
//
//	F1  Both sides of a ratio are measured in the same run, in turns; the median of the rounds is printed with all of them.
//	F2  Processes that were started are stopped, and their directories removed.
//
// # Ownership
//
// The command owns its server processes; each load its connections.
//
// # Failure
//
// Any error of a server or a reply ends the command with exit code 1; no figure of a failed run is printed as a result.
package main
