package bench

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Config says what to run. Zero values mean the defaults of WithDefaults.
type Config struct {
	Workload string
	Name     string   // of the run, in reports
	Servers  []string // host:port; connections go to them in turn

	Conns         int           // connections, each a session
	Pipeline      int           // requests under way on each (closed loop)
	Rate          float64       // requests per second in all; 0: a closed loop
	Poisson       bool          // an open loop's requests come at random, not at equal distances
	Threads       int           // event loops
	Warmup        time.Duration // load that is not measured; negative: none
	Duration      time.Duration // measured
	DrainTime     time.Duration // the most to wait for replies after that
	Timeout       time.Duration // after which a watch event counts as lost
	ConnectAtOnce int           // connections that may be in the making at once

	SessionTimeout time.Duration
	Root           string // everything is made below it; "": a new znode below /bench, removed at the end
	Keep           bool   // do not remove it
	Filled         bool   // the znodes of the key space are there already, from a run with the same root that kept them
	Seed           uint64

	Nodes  int   // znodes to read, write or watch
	Value  Range // bytes of their data
	Keys   Keys  // which znode a request is for
	Fanout int   // children per parent, for getChildren
	Ops    int   // operations of a multi
	Mix    []Share

	Watchers int           // connections that watch one znode
	Watches  int           // watches in all
	Mode     string        // of watches: oneshot, persistent, recursive
	Writers  int           // connections that write while others watch
	Locks    int           // of the lock workload
	Hold     time.Duration // how long a lock or an office is held, or an instance rests between changes
	Services int           // of service discovery
	Every    time.Duration // between two storms

	PIDs   []int       // of the servers, to ask the kernel what they cost
	Events func(Phase) `json:"-"` // told when the measured part begins and ends
}

// Phase is what Config.Events is told.
type Phase int

// The phases told.
const (
	Measuring Phase = iota
	Measured
)

// Range is a number of bytes, chosen evenly from Min to Max.
type Range struct{ Min, Max int }

// ParseRange reads "100" or "10-1000".
func ParseRange(s string) (Range, error) {
	low, high, both := strings.Cut(s, "-")
	if !both {
		high = low
	}
	a, err := strconv.Atoi(low)
	b, err2 := strconv.Atoi(high)
	if err != nil || err2 != nil || a < 0 || b < a {
		return Range{}, fmt.Errorf("%q is not a number of bytes such as 100, or a range such as 10-1000", s)
	}
	return Range{a, b}, nil
}

func (r Range) String() string {
	if r.Min == r.Max {
		return strconv.Itoa(r.Min)
	}
	return fmt.Sprintf("%d-%d", r.Min, r.Max)
}

// Share is one kind of operation in a mix. Value and Keys stand in for the Config's where they are set.
type Share struct {
	Op     string
	Weight int
	Value  *Range `json:",omitempty"`
	Keys   *Keys  `json:",omitempty"`
}

// ParseMix reads "get=90,set=10".
func ParseMix(s string) ([]Share, error) {
	var mix []Share
	for part := range strings.SplitSeq(s, ",") {
		op, weight, _ := strings.Cut(strings.TrimSpace(part), "=")
		n, err := strconv.Atoi(weight)
		if err != nil || n <= 0 || !slices.Contains(MixOps(), op) {
			return nil, fmt.Errorf("%q is not an operation with its weight, such as get=90; operations: %s", part, strings.Join(MixOps(), ", "))
		}
		mix = append(mix, Share{Op: op, Weight: n})
	}
	return mix, nil
}

// Bounds of what may be asked for.
const (
	connsMax    = 1_000_000
	pipelineMax = 65_536
	nodesMax    = 100_000_000
	valueMax    = 64 << 20
	threadsMax  = 256
	watchesMax  = 100_000_000
)

// WithDefaults fills in what is not set.
func (c Config) WithDefaults() Config {
	if len(c.Servers) == 0 {
		c.Servers = []string{"127.0.0.1:2181"}
	}
	for i, s := range c.Servers {
		if _, _, err := net.SplitHostPort(s); err != nil {
			c.Servers[i] = net.JoinHostPort(strings.Trim(s, "[]"), "2181")
		}
	}
	orElse(&c.Conns, 64)
	orElse(&c.Pipeline, 1)
	orElse(&c.Threads, 1)
	orElse(&c.Warmup, 2*time.Second)
	orElse(&c.Duration, 10*time.Second)
	orElse(&c.DrainTime, 20*time.Second)
	orElse(&c.Timeout, 10*time.Second)
	orElse(&c.SessionTimeout, 30*time.Second)
	orElse(&c.Nodes, 10_000)
	orElse(&c.Fanout, 1000)
	orElse(&c.Ops, 10)
	orElse(&c.Locks, 1)
	orElse(&c.Writers, 1)
	orElse(&c.Services, 10)
	orElse(&c.Every, 5*time.Second)
	if c.Value == (Range{}) {
		c.Value = Range{100, 100}
	}
	if c.Keys.Kind == "" {
		c.Keys.Kind = KeysUniform
	}
	c.Threads = min(c.Threads, c.Conns)
	if c.Name == "" {
		c.Name = c.Workload
	}
	return c
}

func orElse[T int | time.Duration | string](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// validate refuses what makes no sense, naming the flag of holt bench that set it.
func (c Config) validate() error {
	within := func(name string, v, low, high int) error {
		if v < low || v > high {
			return fmt.Errorf("--%s %d: from %d to %d", name, v, low, high)
		}
		return nil
	}
	err := errors.Join(
		within("conns", c.Conns, 1, connsMax), within("pipeline", c.Pipeline, 1, pipelineMax), within("threads", c.Threads, 1, threadsMax),
		within("nodes", c.Nodes, 1, nodesMax), within("value", c.Value.Max, 0, valueMax), within("fanout", c.Fanout, 0, nodesMax),
		within("ops", c.Ops, 1, pipelineMax), within("locks", c.Locks, 1, connsMax), within("writers", c.Writers, 1, connsMax),
		within("services", c.Services, 1, nodesMax), within("watches", c.Watches, 0, watchesMax), c.Keys.validate(),
	)
	if err == nil && c.Rate < 0 {
		err = fmt.Errorf("--rate %g: requests per second, 0 for a closed loop", c.Rate)
	}
	if err == nil && c.Duration <= 0 {
		err = fmt.Errorf("--duration %v: how long to measure", c.Duration)
	}
	return err
}
