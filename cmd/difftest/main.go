package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

type options struct {
	seed      uint64
	ops       int
	slots     int
	mode      string
	zookeeper string
	holt      string
	against   string
	binary    string
	lib       string
	port      int
	flipAt    int
	shrinkFor time.Duration
	keep      bool
	survey    int
}

func main() {
	var o options
	flag.Uint64Var(&o.seed, "seed", 1, "what the whole run is made from")
	flag.IntVar(&o.ops, "ops", 100_000, "operations per mode")
	flag.IntVar(&o.slots, "sessions", 7, "sessions at a time")
	flag.StringVar(&o.mode, "mode", "default", "configuration: "+strings.Join(modeNames(), ", ")+", or all")
	flag.StringVar(&o.zookeeper, "zookeeper", "", "host:port of a running, empty ZooKeeper; empty: start one")
	flag.StringVar(&o.holt, "holt", "", "host:port of a running, empty Holt; empty: start one")
	flag.StringVar(&o.against, "against", "holt", "what to start beside ZooKeeper: holt, or zookeeper to test this program")
	flag.StringVar(&o.binary, "binary", "bin/holt", "Holt's binary")
	flag.StringVar(&o.lib, "lib", ".cache/zookeeper-"+zookeeperVersion, "directory of ZooKeeper's jars; fetched with Maven if missing")
	flag.IntVar(&o.port, "port", 0, "first of two ports for servers started here; 0: any that are free")
	flag.IntVar(&o.flipAt, "flip", 0, "flip a bit in this frame of the second server: the run must then fail")
	flag.DurationVar(&o.shrinkFor, "shrink", 2*time.Minute, "how long to make a failing run smaller")
	flag.IntVar(&o.survey, "survey", 0, "go on after this many differences and list one of each sort; the first is the one to trust")
	flag.BoolVar(&o.keep, "keep", false, "keep the servers' data and logs in the directory for temporary files")
	flag.Parse()

	list := []string{o.mode}
	if o.mode == "all" {
		list = modeNames()
	}
	failed := false
	for _, mode := range list {
		if err := compareServers(o, mode); err != nil {
			fmt.Println(err)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
}

// pair is the two servers of a run and the processes behind them, if this program started them.
type pair struct {
	launchers [2]*launcher
	processes [2]*process
	servers   [2]*server
}

func newPair(o options, mode string) (*pair, error) {
	p := &pair{servers: [2]*server{{name: "zookeeper", addr: o.zookeeper}, {name: "holt", addr: o.holt, flipAt: o.flipAt}}}
	var err error
	ports := [2]int{o.port, o.port + 1}
	if o.port == 0 {
		if ports, err = freePorts(); err != nil {
			return nil, err
		}
	}
	if o.zookeeper == "" {
		p.servers[reference].addr = fmt.Sprintf("127.0.0.1:%d", ports[reference])
		if p.launchers[reference], err = zookeeperLauncher(o.lib, mode, ports[reference]); err != nil {
			return nil, err
		}
	}
	if o.holt == "" {
		p.servers[subject].addr = fmt.Sprintf("127.0.0.1:%d", ports[subject])
		if o.against == "zookeeper" {
			p.servers[subject].name = "zookeeper2"
			p.launchers[subject], err = zookeeperLauncher(o.lib, mode, ports[subject])
		} else {
			var binary string
			binary, err = filepath.Abs(o.binary)
			p.launchers[subject] = holtLauncher(binary, mode, ports[subject])
		}
	}
	for _, l := range p.launchers {
		if l != nil {
			l.keep = o.keep
		}
	}
	return p, err
}

// restart gives the run servers with empty trees.
func (p *pair) restart() error {
	p.stop()
	for i, l := range p.launchers {
		if l == nil {
			continue
		}
		var err error
		if p.processes[i], err = l.start(); err != nil {
			return err
		}
	}
	return nil
}

// again kills both servers and starts them on what they left.
func (p *pair) again() error {
	for _, proc := range p.processes {
		proc.kill()
	}
	for _, proc := range p.processes {
		if err := proc.run(); err != nil {
			return err
		}
	}
	return nil
}

func (p *pair) stop() {
	for i, proc := range p.processes {
		proc.stop()
		p.processes[i] = nil
	}
}

// compareServers is one run in one mode.
func compareServers(o options, mode string) error {
	p, err := newPair(o, mode)
	if err != nil {
		return err
	}
	defer p.stop()
	if mode == "restart" && (p.launchers[reference] == nil || p.launchers[subject] == nil) {
		return errors.New("mode restart needs servers that difftest starts itself")
	}
	if err := p.restart(); err != nil {
		return err
	}
	g := newGenerator(o.seed, mode, o.slots)
	r := newRun(p.servers, o.slots)
	r.observe, r.again = g.observe, p.again
	r.survey, r.surveyed = o.survey, survey()
	if err := r.begin(); err != nil {
		return err
	}
	start := time.Now()
	var steps []step
	for r.ops < o.ops {
		s := g.next()
		steps = append(steps, s)
		if m := r.do(&steps[len(steps)-1]); m != nil {
			return report(o, mode, p, r, steps, m)
		}
		if len(steps)%2000 == 0 {
			fmt.Fprintf(os.Stderr, "  %s: %d operations, %.0f/s\n", mode, r.ops, float64(r.ops)/time.Since(start).Seconds())
		}
	}
	final := step{kind: stepBarrier}
	if m := r.do(&final); m != nil {
		return report(o, mode, p, r, append(steps, final), m)
	}
	r.end()
	took := time.Since(start)
	if n := o.survey - r.survey; n > 0 {
		return fmt.Errorf("mode %s seed %d: %d differences in %d operations", mode, o.seed, n, r.ops)
	}
	fmt.Printf("mode %s seed %d: %d operations in %d steps on %d sessions, no unexplained difference, %.0f s, %.0f operations/s\n",
		mode, o.seed, r.ops, r.steps, r.sessions, took.Seconds(), float64(r.ops)/took.Seconds())
	for name, n := range r.wanted {
		fmt.Printf("  wanted difference: %s (%d times)\n", name, n)
	}
	return nil
}

// survey prints the first difference of each sort: an operation and the two codes.
func survey() func(m *mismatch, ref, sub *canonical) {
	seen := map[string]int{}
	return func(m *mismatch, ref, sub *canonical) {
		sort := fmt.Sprintf("event %v %v", ref.event, sub.event)
		if ref.req != nil {
			sort = fmt.Sprintf("%s %d %d", opName(ref.req.op), ref.code, sub.code)
		}
		if seen[sort]++; seen[sort] == 1 {
			fmt.Printf("--- %s\n%s", sort, m.detail)
		}
	}
}

// shownStepsMax is how many steps of a failing run are shown.
const shownStepsMax = 30

// report writes down a difference and the smallest run found that shows it.
func report(o options, mode string, p *pair, r *run, steps []step, m *mismatch) error {
	var b strings.Builder
	fmt.Fprintf(&b, "DIFFERENCE in mode %s, seed %d, operation about %d, step %d: %s\n%s\n", mode, o.seed, r.ops, len(steps), m.what, m.detail)
	sl := &r.slots[m.slot]
	fmt.Fprintf(&b, "the last exchanges of slot %d (session %d), answers of %s:\n", m.slot, sl.number, p.servers[reference].name)
	for _, line := range sl.recent {
		fmt.Fprintf(&b, "    %s\n", line)
	}
	r.end()
	if p.launchers[reference] == nil || p.launchers[subject] == nil || o.shrinkFor <= 0 || o.flipAt > 0 {
		return errors.New(b.String())
	}
	fmt.Fprint(os.Stderr, b.String())
	small, again := shrink(steps, o.shrinkFor, func(part []step) *mismatch { return repeat(p, o, part) })
	if again == nil {
		return fmt.Errorf("%s\nIt did not come again when the same steps were repeated", b.String())
	}
	fmt.Fprintf(&b, "\nmade small: %s\n%s\n", again.what, again.detail)
	if len(small) > shownStepsMax {
		fmt.Fprintf(&b, "%d steps are left; the last ones:\n", len(small))
		small = small[len(small)-shownStepsMax:]
	}
	for i := range small {
		fmt.Fprintf(&b, "%s\n", small[i].String())
	}
	return errors.New(b.String())
}

// repeat runs steps on fresh servers.
func repeat(p *pair, o options, steps []step) *mismatch {
	if err := p.restart(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return nil
	}
	r := newRun(p.servers, o.slots)
	r.again = p.again
	defer r.end()
	if err := r.begin(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return nil
	}
	for i := range steps {
		if m := r.do(&steps[i]); m != nil {
			return m
		}
	}
	final := step{kind: stepBarrier}
	return r.do(&final)
}
