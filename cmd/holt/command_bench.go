package main

import "holt/bench/cli"

// benchCommand is "holt bench".
func benchCommand(args []string, std stdio) int { return cli.Main(args, std.out, std.err) }
