package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"holt/bench"
	"holt/cmd/internal/ensemble"
)

// catchup measures how a member comes back that missed much, and what those who serve on notice of it.
type catchup struct {
	kind    string
	binary  string
	dir     string
	port    int
	znodes  int
	missed  int64
	rate    float64
	conns   int
	base    time.Duration
	longest time.Duration
	stop    bool // SIGTERM, not SIGKILL
	apart   bool // the member that comes back takes neither processor time nor the disk from the others
	members *ensemble.Ensemble
	serving []string // client addresses of the members that stay
}

const (
	catchupRoot = "/catchup" // holds the znodes

	// Groups of processes share the processors by how busy they are; a group loses its share on one where it runs in the idle class.
	autogroup = "/proc/sys/kernel/sched_autogroup_enabled"
)

func runCatchup(ctx context.Context, args []string) error {
	var c catchup
	flags := flag.NewFlagSet("chaos catchup", flag.ContinueOnError)
	flags.StringVar(&c.kind, "kind", string(ensemble.Holt), "holt or zookeeper")
	flags.StringVar(&c.binary, "holt", "bin/holt", "Holt's binary")
	flags.StringVar(&c.dir, "dir", "", "for data and logs; empty: a temporary one, removed at the end")
	flags.IntVar(&c.port, "port-base", 23900, "first of nine ports")
	flags.IntVar(&c.znodes, "znodes", 5_000_000, "znodes of 100 bytes in the tree")
	flags.Int64Var(&c.missed, "missed", 1_000_000, "writes that the member misses")
	flags.Float64Var(&c.rate, "rate", 2000, "requests per second of the load, half of them writes")
	flags.IntVar(&c.conns, "conns", 32, "connections of the load")
	flags.DurationVar(&c.base, "base", time.Minute, "how long the load is measured before, while all is well")
	flags.DurationVar(&c.longest, "longest", 10*time.Minute, "how long the member may take")
	flags.BoolVar(&c.stop, "stop", false, "stop the member with SIGTERM instead of SIGKILL")
	flags.BoolVar(&c.apart, "apart", false, "start the member such that it runs only while nobody else wants a processor, with its data in /dev/shm: as good as on a machine of its own")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if c.apart {
		if on, err := os.ReadFile(autogroup); err == nil && string(on) != "0\n" {
			return errors.New("-apart needs sysctl kernel.sched_autogroup_enabled=0: with it what runs in the idle class takes time from the others")
		}
	}
	if c.dir == "" {
		var err error
		if c.dir, err = os.MkdirTemp("", "holt-catchup-"); err != nil {
			return err
		}
		defer os.RemoveAll(c.dir)
	}
	return c.run(ctx)
}

func (c *catchup) run(ctx context.Context) (err error) {
	c.members, err = ensemble.Start(ctx, ensemble.Config{
		Kind: ensemble.Kind(c.kind), Members: membersN, Dir: filepath.Join(c.dir, c.kind), PortBase: c.port, Binary: c.binary, JVM: []string{"-Xmx5g"},
	})
	if err != nil {
		return err
	}
	defer c.members.Kill()
	leader, err := c.members.Leader(gapPatience)
	if err != nil {
		return err
	}
	lost := c.members.Others(leader)[0]
	for _, m := range c.members.Others(lost) {
		c.serving = append(c.serving, m.Addr())
	}
	if err := c.fill(ctx); err != nil {
		return fmt.Errorf("filling: %w", err)
	}
	before, err := c.load(ctx, c.base)
	if err != nil {
		return fmt.Errorf("load on all members: %w", err)
	}
	tell("load before", before)
	if c.stop {
		lost.Stop()
	} else {
		lost.Kill()
	}
	if err := c.miss(ctx); err != nil {
		return fmt.Errorf("writes that the member misses: %w", err)
	}
	away, err := c.load(ctx, c.base)
	if err != nil {
		return fmt.Errorf("load while a member is down: %w", err)
	}
	tell("load without it", away)
	during, w, err := c.rejoin(ctx, lost, leader)
	if err != nil {
		return err
	}
	tell("load during", during)
	fmt.Printf("catchup: %s: member %d caught up %.1f s after its start (%d znodes, %d writes missed, %.0f requests/s meanwhile)\n",
		c.kind, lost.ID, w.took.Seconds(), c.znodes, c.missed, c.rate)
	fmt.Printf("catchup: %s: p99 of the load: %s that before; %s that without it; changes of role among the others: %d\n",
		c.kind, ratios(before, during), ratios(away, during), w.changes)
	if w.changes > 0 {
		return errors.New("the others did not keep their roles")
	}
	return nil
}

// fill makes the tree.
func (c *catchup) fill(ctx context.Context) error {
	began := time.Now()
	_, err := bench.Run(ctx, bench.Config{
		Workload: "set", Servers: c.members.Addrs()[:1], Conns: 1, Root: catchupRoot, Keep: true, Nodes: c.znodes,
		Value: bench.Range{Min: 100, Max: 100}, Warmup: -1, Duration: time.Second,
	}, nil)
	fmt.Printf("catchup: %s: %d znodes in %.0f s\n", c.kind, c.znodes, time.Since(began).Seconds())
	return err
}

// load is the load whose latency is looked at: as many requests a second whatever happens.
func (c *catchup) load(ctx context.Context, d time.Duration) (*bench.Report, error) {
	report, err := bench.Run(ctx, bench.Config{
		Workload: "mixed", Mix: []bench.Share{{Op: "get", Weight: 1}, {Op: "set", Weight: 1}}, Servers: c.serving, Conns: c.conns,
		Rate: c.rate, Poisson: true, Root: catchupRoot, Keep: true, Filled: true, Nodes: c.znodes, Value: bench.Range{Min: 100, Max: 100}, Duration: d,
	}, nil)
	if report != nil && report.Failed() {
		err = errors.Join(err, fmt.Errorf("faults: %v %v", report.Faults, report.Causes))
	}
	return report, err
}

// miss writes until the member that is down has missed enough.
func (c *catchup) miss(ctx context.Context) error {
	began := time.Now()
	var done int64
	for done < c.missed {
		report, err := bench.Run(ctx, bench.Config{
			Workload: "set", Servers: c.serving, Conns: c.conns, Pipeline: 16, Root: catchupRoot, Keep: true, Filled: true, Nodes: c.znodes,
			Value: bench.Range{Min: 100, Max: 100}, Warmup: -1, Duration: 5 * time.Second,
		}, nil)
		if err != nil {
			return err
		}
		done += report.Ops
	}
	fmt.Printf("catchup: %s: %d writes while a member is down, in %.0f s\n", c.kind, done, time.Since(began).Seconds())
	return nil
}

// watched is what was seen of the members while one came back.
type watched struct {
	took    time.Duration
	changes int // of role, among those who stayed
	err     error
}

// rejoin starts the member under load, and ends the load when it has caught up.
func (c *catchup) rejoin(ctx context.Context, lost, leader *ensemble.Member) (*bench.Report, watched, error) {
	ctx, cancel := context.WithTimeout(ctx, c.longest)
	defer cancel()
	var w watched
	var wait sync.WaitGroup
	if c.apart {
		lost.Idle = true
		remove, err := moveAway(lost.Data())
		if err != nil {
			return nil, w, err
		}
		defer remove()
	}
	if err := lost.Start(); err != nil {
		return nil, w, err
	}
	loaded, end := context.WithCancel(ctx)
	wait.Go(func() {
		w = c.watch(ctx, lost, leader)
		sleep(ctx, 3*time.Second) // what follows the end belongs to it
		end()
	})
	report, err := c.load(loaded, c.longest)
	end()
	wait.Wait()
	if errors.Is(err, context.Canceled) && w.err == nil {
		err = nil
	}
	return report, w, errors.Join(err, w.err)
}

// moveAway puts the data of a member that is down on a disk that nobody else has: memory.
func moveAway(data string) (remove func(), err error) {
	away, err := os.MkdirTemp("/dev/shm", "holt-catchup-")
	if err != nil {
		return nil, err
	}
	remove = func() { os.RemoveAll(away) }
	err = os.CopyFS(away, os.DirFS(data))
	if err == nil {
		err = os.RemoveAll(data)
	}
	if err == nil {
		err = os.Symlink(away, data)
	}
	if err != nil {
		remove()
		return nil, err
	}
	return remove, nil
}

func (c *catchup) watch(ctx context.Context, lost, leader *ensemble.Member) (w watched) {
	began := time.Now()
	for sleep(ctx, 50*time.Millisecond) {
		for _, m := range c.members.Others(lost) {
			want := "follower"
			if m == leader {
				want = "leader"
			}
			if mode, err := m.Mode(); err != nil || mode != want {
				w.changes++
			}
		}
		select {
		case <-lost.Ended():
			w.err = fmt.Errorf("member %d has ended\n%s", lost.ID, lost.LastLines(10))
			return w
		default:
		}
		want, err := zxidOf(leader)
		if err != nil {
			continue
		}
		if got, err := zxidOf(lost); err == nil && got >= want {
			w.took = time.Since(began)
			return w
		}
	}
	w.err = fmt.Errorf("member %d has not caught up after %v\n%s", lost.ID, c.longest, lost.LastLines(10))
	return w
}

// zxidOf is the newest zxid that a member has applied, as srvr tells.
func zxidOf(m *ensemble.Member) (int64, error) {
	text, err := m.Word("srvr")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if hex, ok := strings.CutPrefix(line, "Zxid: 0x"); ok {
			return strconv.ParseInt(strings.TrimSpace(hex), 16, 64)
		}
	}
	return 0, fmt.Errorf("member %d does not serve", m.ID)
}

func series(r *bench.Report, name string) bench.SeriesReport {
	i := slices.IndexFunc(r.Series, func(s bench.SeriesReport) bool { return s.Name == name })
	if i < 0 {
		return bench.SeriesReport{}
	}
	return r.Series[i]
}

// ratios compares the p99 of all requests, of writes and of reads.
func ratios(before, during *bench.Report) string {
	of := func(name string) float64 {
		return float64(series(during, name).P99) / float64(series(before, name).P99)
	}
	return fmt.Sprintf("%.2f times (writes %.2f, reads %.2f)", float64(p99(during))/float64(p99(before)), of("set"), of("get"))
}

// p99 is that of all requests together, in nanoseconds.
func p99(r *bench.Report) int64 {
	all := hdrhistogram.New(1, int64(time.Hour), 3)
	for _, s := range r.Series {
		for _, bar := range s.Histogram {
			_ = all.RecordValues(bar[0], bar[1]) // none takes an hour
		}
	}
	return all.ValueAtQuantile(99)
}

// tell prints latencies, and the p99 of single seconds.
func tell(what string, r *bench.Report) {
	fmt.Printf("catchup: %s: %.0f s, %.0f requests/s", what, r.Seconds, r.Rate)
	for _, s := range r.Series {
		fmt.Printf("; %s p50 %.2f p99 %.2f p99.9 %.2f max %.1f ms", s.Name, ms(s.P50), ms(s.P99), ms(s.P999), ms(s.Max))
	}
	var seconds []int64
	for _, p := range r.Points {
		seconds = append(seconds, p.P99)
	}
	slices.Sort(seconds)
	if n := len(seconds); n > 0 {
		fmt.Printf("; p99 of seconds: median %.2f, worst %.1f ms", ms(seconds[n/2]), ms(seconds[n-1]))
		var slow []string
		for _, p := range r.Points {
			if p.P99 > 2*seconds[n/2] {
				slow = append(slow, fmt.Sprintf("%d: %.0f", p.Second, ms(p.P99)))
			}
		}
		if len(slow) > 0 {
			fmt.Printf(", over twice the median in seconds %s", strings.Join(slow, ", "))
		}
	}
	fmt.Println()
}

func ms(ns int64) float64 { return float64(ns) / 1e6 }
