package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"holt/bench"
	"holt/cmd/internal/ensemble"
)

// absoluteResult is a figure with a goal of its own.
type absoluteResult struct {
	name      string
	less      bool
	format    func(v float64) string
	must, aim float64
	rounds    []float64 // Holt's
	theirs    []float64 // ZooKeeper's
	failed    []string
}

func (r *absoluteResult) value() float64 { return median(r.rounds) }

func (r *absoluteResult) verdict() string {
	return goal{figure{less: r.less}, "", r.must, r.aim}.verdict(r.value())
}

// The absolute figures, in the order of their table. Their keys are what probes record under.
const (
	keyEmpty   = "memory, just started and empty"
	keyLoaded  = "memory per znode of 100 B (1M): after load"
	keyReload  = "after restart"
	keyWriting = "with writes going on (most)"
	keyRestart = "restart with 1M znodes to first read"
	keyWorst   = "worst second of 20 s of writes on 1M znodes, against the median"
	keyWatch   = "memory per watch (1M watches, 100 connections, 100k znodes)"
	keySession = "memory per idle session with its connection (10,000)"
	keyPings   = "20,000 idle sessions pinging (18,000 where a process may have 20,000 files): server CPU, against ZooKeeper's"
	keyKilled  = "write gap, leader killed with -9"
	keyHung    = "write gap, leader hung"
	keyStopped = "write gap, leader stopped as planned"
	keyHuge    = "memory of 10M znodes of 100 B"
)

func absoluteGoals() []*absoluteResult {
	const mib, gb = 1 << 20, 1e9
	percent := func(v float64) string { return fmt.Sprintf("%.0f %%", 100*v) }
	ms := float64(time.Millisecond)
	return []*absoluteResult{
		{name: keyLoaded, less: true, format: bench.Bytes, must: 260, aim: 200},
		{name: keyReload, less: true, format: bench.Bytes, must: 260, aim: 200},
		{name: keyWriting, less: true, format: bench.Bytes, must: 260, aim: 200},
		{name: keyHuge, less: true, format: bench.Bytes, must: 3.0 * gb, aim: 2.2 * gb},
		{name: keyWatch, less: true, format: bench.Bytes, must: 36, aim: 24},
		{name: keySession, less: true, format: bench.Bytes, must: 2.5 * 1024, aim: 1.2 * 1024},
		{name: keyPings, less: true, format: ratioText, must: 0.5, aim: 0.25},
		{name: keyRestart, less: true, format: ns, must: 600 * ms, aim: 350 * ms},
		{name: keyWorst, format: percent, must: 0.7, aim: 0.9},
		{name: keyKilled, less: true, format: ns, must: 200 * ms, aim: 60 * ms},
		{name: keyHung, less: true, format: ns, must: 2000 * ms, aim: 800 * ms},
		{name: keyStopped, less: true, format: ns, must: 50 * ms, aim: 15 * ms},
		{name: keyEmpty, less: true, format: bench.Bytes, must: 40 * mib, aim: 20 * mib},
	}
}

// prober measures absolute figures of one server program.
type prober struct {
	which target
	dir   string
	o     *options
	found map[string]float64
	fail  map[string]error
}

const (
	manyNodes   = 1_000_000
	hugeNodes   = 10_000_000
	settleDelay = 3 * time.Second // before memory is looked at: both may give back what a load left
)

// measureAbsolute measures every figure on both, round by round.
func (a *outcome) measureAbsolute(ctx context.Context, dir string) error {
	a.absolute = absoluteGoals()
	for round := range a.options.absoluteRounds {
		both := map[target]*prober{}
		for _, which := range []target{zookeeper, holt} {
			p := &prober{which: which, dir: filepath.Join(dir, fmt.Sprintf("%s-%d", which, round)), o: a.options, found: map[string]float64{}, fail: map[string]error{}}
			both[which] = p
			for _, probe := range p.probes() {
				if err := ctx.Err(); err != nil {
					return err
				}
				p.carryOut(ctx, probe)
			}
		}
		if theirs := both[zookeeper].found[keyPings]; theirs > 0 {
			both[holt].found[keyPings] /= theirs
			both[zookeeper].found[keyPings] = 1
		}
		for _, r := range a.absolute {
			r.take(both)
		}
	}
	return nil
}

// take notes what a round found.
func (r *absoluteResult) take(both map[target]*prober) {
	if v, ok := both[holt].found[r.name]; ok {
		r.rounds = append(r.rounds, v)
	}
	if v, ok := both[zookeeper].found[r.name]; ok {
		r.theirs = append(r.theirs, v)
	}
	for _, p := range both {
		if err := p.fail[r.name]; err != nil {
			r.failed = append(r.failed, fmt.Sprintf("%s: %v", p.which, err))
		}
	}
}

// probe is a measurement that has servers of its own.
type probe struct {
	name    string // a key that it records
	members int
	do      func(ctx context.Context, e *ensemble.Ensemble) error
}

func (p *prober) probes() []probe {
	list := []probe{
		{keyLoaded, 1, p.znodes},
		{keyWatch, 1, p.watches},
		{keySession, 1, p.sessions},
		{keyPings, 1, p.pings},
		{keyKilled, 3, p.gap(keyKilled, func(m *ensemble.Member) { m.Kill() }, func(m *ensemble.Member) error { return m.Start() })},
		{keyHung, 3, p.gap(keyHung, (*ensemble.Member).Freeze, func(m *ensemble.Member) error { m.Thaw(); return nil })},
		{keyStopped, 3, p.gap(keyStopped, (*ensemble.Member).Stop, func(m *ensemble.Member) error { return m.Start() })},
	}
	if p.o.full && p.which == holt {
		list = append(list, probe{keyHuge, 1, p.huge})
	}
	return list
}

func (p *prober) carryOut(ctx context.Context, b probe) {
	dir := filepath.Join(p.dir, fmt.Sprint(len(p.found)+len(p.fail)))
	defer os.RemoveAll(dir)
	e, err := startPeer(ctx, p.which, b.members, dir, p.o.binary)
	if err == nil {
		err = b.do(ctx, e)
		e.Kill()
	}
	if err != nil {
		p.fail[b.name] = err
	}
	fmt.Fprintf(os.Stderr, "absolute  %-10s %-60s %v %v\n", p.which, b.name, p.found[b.name], err)
}

// memory is what the member has, once it has settled.
func (p *prober) memory(e *ensemble.Ensemble) float64 {
	time.Sleep(settleDelay)
	b, err := bench.RSS(e.Members[0].PID())
	if err != nil {
		return 0
	}
	return float64(b)
}

// run is a load on all members.
func (p *prober) run(ctx context.Context, e *ensemble.Ensemble, c bench.Config) (*bench.Report, error) {
	c.Servers, c.PIDs = e.Addrs(), pidsOf(e)
	r, err := bench.Run(ctx, c, nil)
	if err == nil && r.Failed() {
		err = fmt.Errorf("%v %v", r.Faults, r.Causes)
	}
	return r, err
}

const manyRoot = "/many"

func (p *prober) fill(addr string, nodes int) error {
	c, err := bench.Dial(addr, time.Minute)
	if err != nil {
		return err
	}
	defer c.Close()
	return errors.Join(bench.MakePath(c, manyRoot), bench.Fill(c, manyRoot, nodes, bench.Range{Min: 100, Max: 100}), c.Leave())
}

// znodes measures all that needs a tree of a million.
func (p *prober) znodes(ctx context.Context, e *ensemble.Ensemble) error {
	empty := p.memory(e)
	p.found[keyEmpty] = empty
	m := e.Members[0]
	if err := p.fill(m.Addr(), manyNodes); err != nil {
		return err
	}
	p.found[keyLoaded] = (p.memory(e) - empty) / manyNodes
	m.Stop()
	begin := time.Now()
	if err := m.Start(); err != nil {
		return err
	}
	if err := p.firstRead(m.Addr()); err != nil {
		return err
	}
	p.found[keyRestart] = float64(time.Since(begin))
	p.found[keyReload] = (p.memory(e) - empty) / manyNodes
	r, err := p.run(ctx, e, bench.Config{
		Workload: "set", Conns: 64, Nodes: manyNodes, Root: manyRoot, Keep: true, Filled: true, Warmup: 2 * time.Second, Duration: 20 * time.Second,
	})
	if err != nil {
		return err
	}
	p.found[keyWriting] = (float64(r.Server.RSSMax) - empty) / manyNodes
	var ops []float64
	for _, point := range r.Points {
		ops = append(ops, float64(point.Ops))
	}
	p.found[keyWorst] = slices.Min(ops) / median(ops)
	return nil
}

// firstRead waits for the answer to a read.
func (p *prober) firstRead(addr string) error {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
		c, err := bench.Dial(addr, 10*time.Second)
		if err == nil {
			return errors.Join(bench.MakePath(c, manyRoot), c.Close())
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

func (p *prober) watches(ctx context.Context, e *ensemble.Ensemble) error {
	const nodes = 100_000
	m := e.Members[0]
	if err := p.fill(m.Addr(), nodes); err != nil {
		return err
	}
	m.Stop() // what filling has left of the heap would take the watches
	if err := e.Start(); err != nil {
		return err
	}
	r, err := p.run(ctx, e, bench.Config{
		Workload: "wide-watch", Conns: 100, Nodes: nodes, Watches: 1_000_000, Mode: bench.ModeOneShot, Root: manyRoot, Keep: true, Filled: true,
		Warmup: -1, Duration: time.Second,
	})
	if err != nil {
		return err
	}
	p.found[keyWatch], _ = r.Figure(bench.FigureWatchBytes)
	return nil
}

func (p *prober) sessions(ctx context.Context, e *ensemble.Ensemble) error {
	r, err := p.run(ctx, e, bench.Config{Workload: "idle", Conns: 10_000, SessionTimeout: 30 * time.Second, Warmup: -1, Duration: settleDelay})
	if err != nil {
		return err
	}
	p.found[keySession], _ = r.Figure(bench.FigureSessionBytes)
	return nil
}

func (p *prober) pings(ctx context.Context, e *ensemble.Ensemble) error {
	r, err := p.run(ctx, e, bench.Config{Workload: "idle", Conns: min(20_000, bench.FileLimit()-2000), SessionTimeout: 30 * time.Second, Warmup: 2 * time.Second, Duration: 15 * time.Second})
	if err != nil {
		return err
	}
	p.found[keyPings] = r.Server.CPU / r.Seconds
	return nil
}

func (p *prober) huge(_ context.Context, e *ensemble.Ensemble) error {
	if err := p.fill(e.Members[0].Addr(), hugeNodes); err != nil {
		return err
	}
	p.found[keyHuge] = p.memory(e)
	return nil
}

// gap measures how long nobody can write while something is done to the leader.
func (p *prober) gap(key string, do func(m *ensemble.Member), undo func(m *ensemble.Member) error) func(context.Context, *ensemble.Ensemble) error {
	return func(ctx context.Context, e *ensemble.Ensemble) error {
		leader, err := e.Leader(10 * time.Second)
		if err != nil {
			return err
		}
		done := make(chan struct{})
		c := bench.Config{Workload: "failover", Conns: 30, Hold: time.Millisecond, Servers: e.Addrs(), Warmup: time.Second, Duration: 15 * time.Second}
		c.Events = func(phase bench.Phase) {
			switch phase {
			case bench.Measuring:
				go func() {
					defer close(done)
					time.Sleep(2 * time.Second)
					do(leader)
				}()
			case bench.Measured:
				<-done
				err = undo(leader)
			}
		}
		r, e2 := bench.Run(ctx, c, nil)
		if err := errors.Join(err, e2); err != nil {
			return err
		}
		if r.Failed() {
			return fmt.Errorf("%v %v", r.Faults, r.Causes)
		}
		p.found[key], _ = r.Figure(bench.FigureWriteGap)
		return nil
	}
}

func (a *outcome) writeAbsolute(b *strings.Builder) {
	if len(a.absolute) == 0 {
		return
	}
	b.WriteString("### Absolute figures\n\n| | Holt | rounds | must | aim | | ZooKeeper |\n|---|---|---|---|---|---|---|\n")
	for _, r := range a.absolute {
		if len(r.rounds)+len(r.failed) == 0 {
			continue
		}
		sign := "≥ "
		if r.less {
			sign = "≤ "
		}
		var list []string
		for _, v := range r.rounds {
			list = append(list, r.format(v))
		}
		theirs := "-"
		if len(r.theirs) > 0 {
			theirs = r.format(median(r.theirs))
		}
		fmt.Fprintf(b, "| %s | **%s** | %s | %s | %s | %s | %s |\n", r.name, r.format(r.value()), strings.Join(list, ", "), sign+r.format(r.must), sign+r.format(r.aim), r.verdict(), theirs)
	}
	b.WriteString("\n")
	for _, r := range a.absolute {
		for _, why := range r.failed {
			fmt.Fprintf(b, "Failed: %s, %s\n\n", r.name, why)
		}
	}
}
