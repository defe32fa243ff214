package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
)

var commands = map[string]func(args []string) error{
	"reads":      reads,
	"checkpoint": checkpoint,
	"restart":    restart,
	"profile":    profile,
	"bare":       serveBare, // the server that reads is measured against; started by it
}

func main() {
	// The kernel kills a child when the thread that started it ends (Pdeathsig); the main thread ends last.
	runtime.LockOSThread()
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
