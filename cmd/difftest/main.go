package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"holt/cmd/internal/ensemble"
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
	members   int
	at        string
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
	flag.StringVar(&o.lib, "lib", "", "directory of ZooKeeper's jars; empty: fetched with Maven if missing")
	flag.IntVar(&o.port, "port", 0, "first of the ports for servers started here; 0: any that are free")
	flag.IntVar(&o.members, "members", 1, "members of the second server: more than one are an ensemble")
	flag.StringVar(&o.at, "at", "follower", "with several members the role of the one to talk to: follower or leader")
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

// pair is the two servers of a run, and what is behind them if this program started it.
type pair struct {
	sides   [2]*side
	servers [2]*server
	imports bool // Holt goes on with what ZooKeeper has on its disk
}

func newPair(o options, mode string) (*pair, error) {
	p := &pair{imports: mode == modeImport, servers: [2]*server{{name: "zookeeper", addr: o.zookeeper}, {name: "holt", addr: o.holt, flipAt: o.flipAt}}}
	sizes := [2]int{1, o.members}
	if o.port == 0 {
		var err error
		if o.port, err = ensemble.FreePorts((sizes[reference] + sizes[subject]) * ensemble.PortsPerMember); err != nil {
			return nil, err
		}
	}
	kinds := [2]ensemble.Kind{ensemble.ZooKeeper, ensemble.Kind(o.against)}
	if kinds[subject] == ensemble.ZooKeeper {
		p.servers[subject].name = "zookeeper2"
	}
	lines := settings(mode)
	if o.members > 1 {
		lines["reconfigEnabled"] = "false" // a server that stands alone refuses what an ensemble does
	}
	port := o.port
	for i, srv := range p.servers {
		if srv.addr != "" {
			continue
		}
		p.sides[i] = &side{keep: o.keep, at: o.at, cfg: ensemble.Config{
			Kind: kinds[i], Members: sizes[i], PortBase: port, Settings: lines, Binary: o.binary, Lib: o.lib, JVM: jvm(mode),
		}}
		port += sizes[i] * ensemble.PortsPerMember
	}
	return p, nil
}

// restart gives the run servers with empty trees.
func (p *pair) restart() error {
	p.stop()
	for _, s := range p.sides {
		if s == nil {
			continue
		}
		if err := s.start(); err != nil {
			return err
		}
	}
	return p.find()
}

// find looks up which member of each side to talk to.
func (p *pair) find() (err error) {
	for i, s := range p.sides {
		if s == nil {
			continue
		}
		if p.servers[i].addr, err = s.addr(); err != nil {
			return err
		}
	}
	return nil
}

// again kills both servers and starts them on what they left, or both on what ZooKeeper left.
func (p *pair) again() error {
	for _, s := range p.sides {
		s.running.Kill()
	}
	if p.imports {
		if err := p.sides[subject].takeOver(p.sides[reference].running.Members[0]); err != nil {
			return err
		}
		p.servers[subject].become(p.servers[reference])
	}
	for _, s := range p.sides {
		if err := s.running.Start(); err != nil {
			return err
		}
	}
	return p.find()
}

func (p *pair) stop() {
	for _, s := range p.sides {
		s.stop()
	}
}

// compareServers is one run in one mode.
func compareServers(o options, mode string) error {
	p, err := newPair(o, mode)
	if err != nil {
		return err
	}
	defer p.stop()
	if restarts(mode) && (p.sides[reference] == nil || p.sides[subject] == nil || p.imports && o.against != "holt") {
		return fmt.Errorf("mode %s needs servers that difftest starts itself", mode)
	}
	if err := p.restart(); err != nil {
		return err
	}
	g := newGenerator(o.seed, mode, o.slots)
	g.ensemble = o.members > 1
	r := newRun(p.servers, o.slots)
	r.observe, r.again, r.imports = g.observe, p.again, p.imports
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
	if p.sides[reference] == nil || p.sides[subject] == nil || o.shrinkFor <= 0 || o.flipAt > 0 {
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
	r.again, r.imports = p.again, p.imports
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
