package main

import "holt/cmd/holt/shell"

// shellCommand is "holt shell".
func shellCommand(args []string, std stdio) int {
	return shell.Main(args, std.in, std.out, std.err, "holt "+version+" ("+buildCommit()+")")
}
