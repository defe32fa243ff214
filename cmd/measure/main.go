// Command measure produces the figures of BENCHMARKS.md that need whole processes: a server and, beside it in the same
// run, what it is measured against. Every figure is printed with what it was divided by; nothing here passes or fails
// by the clock.
//
//	go run ./cmd/measure reads        reads per server-CPU-second beside a bare gnet server with a fixed reply
//	go run ./cmd/measure checkpoint   write latency with and without a checkpoint of a large tree
//	go run ./cmd/measure profile      writes cmd/holt/holt.pgo, the profile that make build optimises by
//	go run ./cmd/measure restart      CPU time and wall time from exec to the first read, by size of the tree
package main

import (
	"flag"
	"fmt"
	"os"
)

var commands = map[string]func(args []string) error{
	"reads":      reads,
	"checkpoint": checkpoint,
	"restart":    restart,
	"profile":    profile,
	"bare":       bare, // the server that reads is measured against; started by it
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: measure reads|checkpoint|restart [flags]")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "measure %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}

// flags returns the flag set that all measurements share.
func flags(name string) (f *flag.FlagSet, holt *string) {
	f = flag.NewFlagSet(name, flag.ExitOnError)
	return f, f.String("holt", "bin/holt", "server binary")
}
