package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// How clients may lie, so that one sees the checks fail.
const (
	mutateForget  = "forget"  // now and then a write is not sent and noted as answered
	mutateStale   = "stale"   // sync is left out of a read that is noted as one with sync
	mutateAmnesia = "amnesia" // a majority of members gets disks from the past when all are killed a second time
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	commands := map[string]func(context.Context, []string) error{"run": runCampaign, "gap": runGap, "catchup": runCatchup}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: chaos run|gap|catchup [flags]; chaos run -h lists them")
		os.Exit(2)
	}
	err := commands[os.Args[1]](ctx, os.Args[2:])
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintf(os.Stderr, "chaos %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}
