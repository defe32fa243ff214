package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/term"

	"holt/bench"
)

// Exit codes.
const (
	exitOK    = 0
	exitError = 1 // the run failed, or counted something that must not happen
	exitUsage = 2
)

// Main is holt bench. It returns the exit code.
func Main(args []string, out, errOut io.Writer) int {
	if len(args) == 0 {
		printUsage(errOut)
		return exitUsage
	}
	switch args[0] {
	case "-h", "-help", "--help", "help":
		if len(args) > 1 {
			return kindHelp(args[1], out, errOut)
		}
		printUsage(out)
		return exitOK
	}
	if args[0] == "compare" {
		return compare(args[1:], out, errOut)
	}
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return kindHelp(args[0], out, errOut)
	}
	if err != nil {
		fmt.Fprintf(errOut, "holt bench: %v\nholt bench --help lists workloads and flags.\n", err)
		return exitUsage
	}
	return o.run(out, errOut)
}

// parse reads the arguments, and below them the workload file that they name.
func parse(args []string) (*options, error) {
	o := &options{}
	words, err := parseFlags(o, args)
	if err == nil && o.file != "" {
		file := o.file
		o = &options{}
		o.Workload = "mixed"
		if err := o.applyFile(file); err != nil {
			return nil, err
		}
		words, err = parseFlags(o, args)
	}
	if err != nil {
		return nil, err
	}
	return o, o.choose(words)
}

// choose sets the workload from the words of the command line.
func (o *options) choose(words []string) error {
	if len(words) > 1 {
		return fmt.Errorf("one workload at a time, and %q follows %s", words[1], words[0])
	}
	if len(words) == 1 {
		o.Workload = words[0]
	}
	if o.Workload == "" {
		return errors.New("no workload")
	}
	if _, ok := bench.Find(o.Workload); !ok {
		return fmt.Errorf("no workload %q; there are %s", o.Workload, strings.Join(kindNames(), ", "))
	}
	return nil
}

func kindNames() (names []string) {
	for _, k := range bench.Kinds() {
		names = append(names, k.Name)
	}
	return names
}

// run carries out the load and prints its report. The first SIGINT ends it early, with a report of what there is.
func (o *options) run(out, errOut io.Writer) int {
	// A loop that comes back from the kernel must find a processor free to go on at once.
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), o.Threads+2))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop)
	tell := o.progress(errOut)
	report, err := bench.Run(ctx, o.Config, tell)
	if tell != nil {
		fmt.Fprint(errOut, "\r\033[K")
	}
	if report != nil {
		report.WriteTable(out)
		err = errors.Join(o.write(report), err)
	}
	switch {
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(errOut, "holt bench: ended early")
		return exitError
	case err != nil:
		fmt.Fprintf(errOut, "holt bench: %v\n", err)
		return exitError
	case report.Failed():
		return exitError
	}
	return exitOK
}

func (o *options) write(r *bench.Report) error {
	var errs []error
	if o.json != "" {
		errs = append(errs, r.WriteJSON(o.json))
	}
	if o.html != "" {
		errs = append(errs, bench.WritePageFile(o.html, r))
	}
	return errors.Join(errs...)
}

// progress returns what prints each second on a terminal, or nil if nobody looks.
func (o *options) progress(w io.Writer) func(bench.Point) {
	f, ok := w.(*os.File)
	if o.quiet || !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return func(p bench.Point) {
		fmt.Fprint(w, "\r\033[K")
		p.WriteProgress(w)
	}
}

func printUsage(w io.Writer) {
	fmt.Fprint(w, `usage: holt bench WORKLOAD [flags]
       holt bench --file FILE [flags]
       holt bench compare A.json B.json [--html FILE]
       holt bench help WORKLOAD

Loads any server that speaks ZooKeeper's protocol, and measures.

workloads:
`)
	for _, k := range bench.Kinds() {
		fmt.Fprintf(w, "  %-16s %s\n", k.Name, k.Summary)
	}
	fmt.Fprint(w, "\nflags:\n")
	for _, o := range allOptions() {
		fmt.Fprintf(w, "  --%s\n      %s\n", strings.TrimSpace(o.name+" "+o.args), o.help)
	}
	fmt.Fprint(w, `
The exit code is 1 when anything was counted that must not happen: errors, replies out of order, watch events lost
or doubled, two holders of a lock. docs/bench.md says what each figure means.

  `+strings.Join(examples(), "\n  ")+"\n")
}

func examples() (lines []string) {
	for _, k := range bench.Kinds() {
		lines = append(lines, k.Example)
	}
	return lines
}

// kindHelp prints what there is to say of one workload.
func kindHelp(name string, out, errOut io.Writer) int {
	k, ok := bench.Find(name)
	if !ok {
		if strings.HasPrefix(name, "-") {
			printUsage(out)
			return exitOK
		}
		fmt.Fprintf(errOut, "holt bench: no workload %q; there are %s\n", name, strings.Join(kindNames(), ", "))
		return exitUsage
	}
	loop := "closed loop only"
	if k.Open {
		loop = "closed loop, or open with --rate"
	}
	fmt.Fprintf(out, "holt bench %s: %s (%s)\n\n%s\n\n  %s\n", k.Name, k.Summary, loop, k.Detail, k.Example)
	return exitOK
}
