package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"holt/cmd/internal/bare"
	"holt/cmd/internal/ensemble"
)

func main() {
	// The kernel kills a child when the thread that started it ends (Pdeathsig); the main thread ends last.
	runtime.LockOSThread()
	var err error
	if len(os.Args) == 5 && os.Args[1] == "bare" {
		err = bare.Serve(bare.Mode(os.Args[2]), os.Args[3], os.Args[4])
	} else {
		err = run(os.Args[1:])
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "benchpeers: %v\n", err)
		os.Exit(1)
	}
}

func parse(args []string) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("benchpeers", flag.ExitOnError)
	f.IntVar(&o.rounds, "rounds", 3, "rounds; each measures every case on every server")
	f.IntVar(&o.absoluteRounds, "absolute-rounds", 0, "rounds of the absolute figures, which take minutes each (default: as -rounds)")
	f.DurationVar(&o.each, "each", eachDefault, "measured time per case, server and round")
	f.DurationVar(&o.warmup, "warmup", warmupDefault, "load before that")
	f.DurationVar(&o.warmJVM, "warm-up-servers", warmJVM, "load before the first round")
	f.StringVar(&o.only, "only", "", "regular expression: only cases whose names match; nothing is written")
	f.StringVar(&o.binary, "holt", "bin/holt", "Holt's binary")
	f.StringVar(&o.tables, "tables", "standalone,three,absolute", "which parts to measure")
	f.BoolVar(&o.write, "write", false, "write the marked part of BENCHMARKS.md and docs/peers.svg")
	f.BoolVar(&o.etcd, "etcd", true, "measure etcd too, where it has an equal")
	f.BoolVar(&o.full, "full", false, "also what takes long or much memory: 10M znodes")
	_ = f.Parse(args)
	if o.absoluteRounds == 0 {
		o.absoluteRounds = o.rounds
	}
	if f.NArg() > 0 || o.rounds < 1 {
		return nil, fmt.Errorf("arguments: %q, rounds %d", f.Args(), o.rounds)
	}
	if o.only != "" && o.write {
		return nil, fmt.Errorf("-only measures a part, and -write would leave the rest out of BENCHMARKS.md")
	}
	return o, nil
}

func run(args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	// A loop of the load generator that comes back from the kernel must find a processor free to go on.
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), 4))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root, err := ensemble.Root()
	if err != nil {
		return err
	}
	work := filepath.Join(root, ".cache", "bench-peers", fmt.Sprintf("run-%d", os.Getpid()))
	if err := os.MkdirAll(work, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(work)
	all := &outcome{began: time.Now(), options: o, commit: commitOf(root)}
	for _, t := range []table{standalone(), ensembleOfThree()} {
		if !slices.Contains(strings.Split(o.tables, ","), strings.Fields(t.name)[0]) {
			continue
		}
		if err := all.measure(ctx, t, filepath.Join(work, strings.Fields(t.name)[0])); err != nil {
			return err
		}
	}
	if slices.Contains(strings.Split(o.tables, ","), "absolute") {
		if err := all.measureAbsolute(ctx, filepath.Join(work, "absolute")); err != nil {
			return err
		}
	}
	all.took = time.Since(all.began)
	return all.tell(root)
}

// measure runs one table.
func (a *outcome) measure(ctx context.Context, t table, dir string) error {
	if a.options.only != "" {
		only, err := regexp.Compile(a.options.only)
		if err != nil {
			return err
		}
		t.cases = slices.DeleteFunc(t.cases, func(c testCase) bool { return !only.MatchString(c.name) })
	}
	if len(t.cases) == 0 {
		return nil
	}
	if !a.options.etcd {
		t.leaveOut(etcd)
	}
	s, err := start(ctx, t, dir, a.options)
	if err != nil {
		return err
	}
	defer s.stop()
	results, err := rounds(ctx, t, s, a.options, os.Stderr)
	a.tables = append(a.tables, tableResult{t.name, results})
	return err
}

// commitOf is the commit that is measured.
func commitOf(root string) string {
	out, err := exec.Command("git", "-C", root, "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
