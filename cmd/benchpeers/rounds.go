package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"holt/bench"
)

// result is what a case came to.
type result struct {
	Case    string
	Reports map[target][]*bench.Report // by round
	Failed  []string                   // runs that are no figures, and why
	goals   []goal
}

// rounds measures every case on every server, round by round.
func rounds(ctx context.Context, t table, s *servers, o *options, w io.Writer) ([]*result, error) {
	results := make([]*result, len(t.cases))
	for i, c := range t.cases {
		results[i] = &result{Case: c.name, Reports: map[target][]*bench.Report{}, goals: c.goals}
	}
	if err := warmUp(ctx, s, o); err != nil {
		return nil, err
	}
	for round := range o.rounds {
		for i, c := range t.cases {
			order := []target{zookeeper, holt}
			if round%2 == 1 {
				slices.Reverse(order)
			}
			if c.ceiling != "" {
				order = append(order, ceiling)
			}
			if c.etcd != "" && s.etcd != nil {
				order = append(order, etcd)
			}
			for _, which := range order {
				if err := ctx.Err(); err != nil {
					return results, err
				}
				results[i].measure(ctx, c, s, which, o)
			}
			fmt.Fprintf(w, "round %d  %-42s %s\n", round+1, c.name, results[i].lastRound())
		}
	}
	return results, nil
}

// warmUp lets the JVM compile what it will need, on both sides alike.
func warmUp(ctx context.Context, s *servers, o *options) error {
	for _, which := range []target{zookeeper, holt} {
		for _, c := range []bench.Config{with(on("mixed", 64, 4), mixOf(70, 30)), fresh("lock", 16, 1)} {
			c.Servers, _ = s.at(which, "")
			c.Warmup, c.Duration = -1, o.warmJVM/2
			if _, err := bench.Run(ctx, c, nil); err != nil {
				return fmt.Errorf("warming up %s: %w", which, err)
			}
		}
	}
	return nil
}

// measure runs the case on one server. A run that fails or counts a fault is noted and leaves a gap.
func (r *result) measure(ctx context.Context, c testCase, s *servers, which target, o *options) {
	var report *bench.Report
	var err error
	if which == etcd {
		report, err = s.etcd.load(ctx, c, o)
	} else {
		load := c.load
		load.Servers, load.PIDs = s.at(which, c.ceiling)
		load.Warmup, load.Duration, load.Name = o.warmup, o.each, c.name+" "+string(which)
		if report, err = bench.Run(ctx, load, nil); err == nil && report.Failed() {
			err = fmt.Errorf("%v %v", report.Faults, report.Causes)
		}
	}
	if err != nil {
		r.Failed = append(r.Failed, fmt.Sprintf("%s: %v", which, err))
		report = nil
	}
	r.Reports[which] = append(r.Reports[which], report)
}

// lastRound says in a line what the newest round came to.
func (r *result) lastRound() string {
	var words []string
	for _, g := range r.goals {
		ratios := r.ratios(g)
		if n := len(ratios); n > 0 {
			words = append(words, fmt.Sprintf("%s %.2f of %s", g.name, ratios[n-1], g.against))
		}
	}
	if n := len(r.Failed); n > 0 {
		words = append(words, r.Failed[n-1])
	}
	return strings.Join(words, ", ")
}

// ratios are those of the rounds in which both sides have a figure (P2).
func (r *result) ratios(g goal) (list []float64) {
	ours, theirs := r.Reports[holt], r.Reports[g.against]
	for i := range min(len(ours), len(theirs)) {
		if ours[i] == nil || theirs[i] == nil {
			continue
		}
		if y := g.of(theirs[i]); y > 0 {
			list = append(list, g.of(ours[i])/y)
		}
	}
	return list
}

// medianOf is the middle of what a target measured, 0 if it measured nothing.
func (r *result) medianOf(which target, f figure) float64 {
	var list []float64
	for _, report := range r.Reports[which] {
		if report != nil {
			list = append(list, f.of(report))
		}
	}
	return median(list)
}

// verdict judges the median ratio.
func (g goal) verdict(ratio float64) string {
	reached := func(limit float64) bool {
		if g.less {
			return ratio <= limit
		}
		return ratio >= limit
	}
	switch {
	case g.must == 0:
		return "-"
	case ratio == 0:
		return "no figure"
	case reached(g.aim):
		return "aim"
	case reached(g.must):
		return "must"
	}
	return "**missed**"
}

func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	if n := len(sorted); n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return sorted[len(sorted)/2]
}

// options are the flags.
type options struct {
	rounds, absoluteRounds int
	each, warmup, warmJVM  time.Duration
	only                   string
	binary                 string
	tables                 string
	write                  bool
	full, etcd             bool
}
