package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	_ "holt/cmd/holt/quiet" // before libraries print
)

// Exit codes of every subcommand, beside the shell's own (package shell).
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2 // wrong arguments
)

// commit is what the binary was built from; make build sets it.
var commit string

// version is Holt's own. What it is compatible with is said by the four-letter words.
const version = "0.1.0"

// stdio is what a subcommand reads and writes.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// subcommand is one word after "holt". run gets the arguments after it and returns the exit code.
type subcommand struct {
	name, args, summary string
	run                 func(args []string, std stdio) int
}

func subcommands() []subcommand {
	return []subcommand{
		{"server", "[zoo.cfg] [flags]", "serve ZooKeeper clients", serverCommand},
		{"cluster", "[-n 3]", "run an ensemble on this machine", clusterCommand},
		{"shell", "[-server host:port] [command]", "zkCli's commands, in a prompt or one at a time", shellCommand},
		{"import", "[zoo.cfg] [flags]", "take over the data of a ZooKeeper server", importCommand},
		{"recover", "[zoo.cfg] [flags]", "make a new ensemble of the one member that is left", recoverCommand},
		{"refill", "[zoo.cfg] [flags]", "empty a damaged member, to be filled by the others", refillCommand},
		{"bench", "WORKLOAD [flags]", "load a server and measure it", benchCommand},
		{"version", "", "print the version", versionCommand},
		{"help", "[command]", "print this, or the help of a command", helpCommand},
	}
}

func main() {
	os.Exit(dispatch(os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr}))
}

// dispatch runs the subcommand that the arguments name.
func dispatch(args []string, std stdio) int {
	if len(args) == 0 {
		printUsage(std.err)
		return exitUsage
	}
	name := args[0]
	switch name {
	case "-h", "-help", "--help":
		name = "help"
	case "-v", "-version", "--version":
		name = "version"
	}
	commands := subcommands()
	i := slices.IndexFunc(commands, func(c subcommand) bool { return c.name == name })
	if i < 0 {
		fmt.Fprintf(std.err, "holt: no command %q%s\n\n", args[0], nearest(args[0], commands))
		printUsage(std.err)
		return exitUsage
	}
	return commands[i].run(args[1:], std)
}

// nearest guesses what was meant by a word that begins like a command, or was meant for the server.
func nearest(word string, commands []subcommand) string {
	for _, c := range commands {
		if len(word) >= 2 && strings.HasPrefix(c.name, word[:2]) {
			return fmt.Sprintf("; did you mean holt %s?", c.name)
		}
	}
	if strings.HasSuffix(word, ".cfg") || strings.HasPrefix(word, "-") {
		return fmt.Sprintf("; did you mean holt server %s?", word)
	}
	return ""
}

func printUsage(w io.Writer) {
	fmt.Fprint(w, "Holt is a coordination server that every ZooKeeper client can use.\n\nusage: holt <command> [arguments]\n\n")
	for _, c := range subcommands() {
		fmt.Fprintf(w, "  %-38s %s\n", c.name+" "+c.args, c.summary)
	}
	fmt.Fprint(w, "\n  holt server                            serve on 127.0.0.1:2181 from ./data\n"+
		"  holt shell ls /                        ask it something\n")
}

func helpCommand(args []string, std stdio) int {
	if len(args) == 0 || isHelp(args[0]) {
		printUsage(std.out)
		return exitOK
	}
	return dispatch([]string{args[0], "--help"}, std) // no command but help itself calls help
}

func versionCommand(args []string, std stdio) int {
	if len(args) > 0 && !isHelp(args[0]) {
		fmt.Fprintf(std.err, "holt version takes no arguments, got %q\n", args)
		return exitUsage
	}
	fmt.Fprintf(std.out, "holt %s (%s, %s, %s/%s)\n", version, buildCommit(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return exitOK
}

// buildCommit is the commit that make build noted, or the one that the go command did.
func buildCommit() string {
	if commit != "" {
		return commit
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 8 {
				return s.Value[:8]
			}
		}
	}
	return "unknown" // it becomes part of a version that clients parse: no blanks
}

func isHelp(arg string) bool { return slices.Contains([]string{"-h", "-help", "--help", "help"}, arg) }
