package main

import (
	"flag"

	"holt/cmd/internal/bare"
)

// serveBare is the ceiling for reads, until it is killed.
func serveBare(args []string) error {
	f := flag.NewFlagSet("bare", flag.ExitOnError)
	addr := f.String("addr", "127.0.0.1:26281", "where to listen")
	_ = f.Parse(args)
	return bare.Serve(bare.Reads, *addr, "")
}
