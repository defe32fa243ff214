package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"holt/cmd/internal/ensemble"
)

// Config is what the command line decides.
type Config struct {
	Suites   []string // of suiteNames
	Servers  []string // of serverNames; ZooKeeper is the oracle
	Short    bool     // only the units marked short in the lists
	Only     string   // only units whose name contains this
	Members  int      // of the ensemble that stands where a test wants a server; 1: a server alone
	At       string   // the role of the member that clients talk to: follower or leader
	Jobs     int      // units at a time, all servers together
	PortBase int      // first of Jobs*portsPerWorker ports
}

var (
	suiteNames  = []string{"kazoo", "java", "quorum", "curator"}
	serverNames = []string{"zookeeper", "holt"}
)

const (
	portsPerWorker = 100
	jobsMax        = 8
	unitTimeMax    = 20 * time.Minute
)

var errDifferent = errors.New("holt and zookeeper differ")

func main() {
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], logger)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errDifferent):
		os.Exit(1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(2)
	}
}

func run(ctx context.Context, args []string, logger *slog.Logger) error {
	cfg, err := parseFlags(args)
	if err != nil {
		return err
	}
	root, err := ensemble.Root()
	if err != nil {
		return err
	}
	h := newHouse(root)
	if err := h.install(ctx, cfg, logger); err != nil {
		return err
	}
	units, err := h.units(cfg)
	if err != nil {
		return err
	}
	if err := h.mergeNotRun(cfg); err != nil {
		return err
	}
	exceptions, err := readReasons(cfg.lists(h.source, "exceptions")...)
	if err != nil {
		return err
	}
	began := time.Now()
	results := h.runAll(ctx, cfg, units, exceptions, logger)
	report := compare(cfg, results, exceptions)
	report.print(os.Stdout, h.logs, time.Since(began))
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted: the table is of what had been run of %d units", len(units))
	}
	return report.err()
}

func parseFlags(args []string) (Config, error) {
	var cfg Config
	var suites, servers string
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	flags.StringVar(&suites, "suites", strings.Join(suiteNames, ","), "suites to run")
	flags.StringVar(&servers, "servers", "", "servers to run them against (default zookeeper,holt; with -short holt)")
	flags.BoolVar(&cfg.Short, "short", false, "a part of the tests that fits a continuous build")
	flags.StringVar(&cfg.Only, "only", "", "only the units (test classes, modules) whose name contains this")
	flags.IntVar(&cfg.Members, "members", 1, "servers behind the address that a test connects to: more than one are an ensemble")
	flags.StringVar(&cfg.At, "at", "follower", "with several members the role of the one that clients talk to: follower or leader")
	flags.IntVar(&cfg.Jobs, "jobs", min(jobsMax, max(4, 2*runtime.NumCPU())), "units run at a time (tests wait more than they work)")
	flags.IntVar(&cfg.PortBase, "port-base", 21000, "first port to use; each job takes the next hundred")
	if err := flags.Parse(args); err != nil {
		return cfg, err
	}
	if flags.NArg() > 0 {
		return cfg, fmt.Errorf("%q is no flag", flags.Arg(0))
	}
	if servers == "" {
		servers = "zookeeper,holt"
		if cfg.Short {
			servers = "holt"
		}
	}
	cfg.Suites, cfg.Servers = strings.Split(suites, ","), strings.Split(servers, ",")
	return cfg, cfg.validate()
}

func (c Config) validate() error {
	for _, s := range c.Suites {
		if !slices.Contains(suiteNames, s) {
			return fmt.Errorf("--suites: no suite %q; there are %s", s, strings.Join(suiteNames, ", "))
		}
	}
	for _, s := range c.Servers {
		if !slices.Contains(serverNames, s) {
			return fmt.Errorf("--servers: no server %q; there are %s", s, strings.Join(serverNames, ", "))
		}
	}
	if c.Members < 1 || (c.At != "follower" && c.At != "leader") {
		return fmt.Errorf("--members %d --at %s: at least one member, follower or leader", c.Members, c.At)
	}
	if c.Jobs < 1 || c.Jobs > jobsMax {
		return fmt.Errorf("--jobs: %d is not between 1 and %d", c.Jobs, jobsMax)
	}
	if last := c.PortBase + c.Jobs*portsPerWorker; c.PortBase < 1024 || last > 65536 {
		return fmt.Errorf("--port-base: %d and %d jobs need ports up to %d", c.PortBase, c.Jobs, last)
	}
	return nil
}

// lists are the files of a list: what holds for any server, and what holds for servers alone or for ensembles.
func (c Config) lists(dir, name string) []string {
	more := "-alone.txt"
	if c.Members > 1 {
		more = "-ensemble.txt"
	}
	return []string{filepath.Join(dir, name+".txt"), filepath.Join(dir, name+more)}
}
