package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"holt/cmd/internal/ensemble"
)

// ending is a way in which a leader goes.
type ending struct {
	name            string
	strike, restore func(*ensemble.Member)
	share           int // one round of so many
}

// A hung leader is waited for longer, so it has fewer rounds.
var endings = []ending{
	{"killed (SIGKILL)", (*ensemble.Member).Kill, startAgain, 1},
	{"stopped (SIGTERM)", (*ensemble.Member).Stop, startAgain, 1},
	{"hung (SIGSTOP)", (*ensemble.Member).Freeze, (*ensemble.Member).Thaw, 3},
}

func startAgain(m *ensemble.Member) { _ = m.Start() }

const (
	gapClientsEach = 4 // per member: half of them write, half only read
	gapSettle      = 1500 * time.Millisecond
	gapPatience    = 60 * time.Second
)

// gapRun measures one server program.
type gapRun struct {
	kind    ensemble.Kind
	members *ensemble.Ensemble
	clients []*steady
	stop    chan struct{}
	running sync.WaitGroup
}

// gapResult is what the rounds of one ending came to.
type gapResult struct {
	follower []time.Duration // gaps of writers that were connected to a follower
	leader   []time.Duration // of writers that were connected to the leader
	first    []time.Duration // from the strike to the first write that anyone got answered after it
	cutIdle  int             // connections of readers on followers that broke
	idle     int             // such connections
	cutBusy  int             // connections of writers on followers that broke, all with a write under way
	busy     int
	expired  int
	sessions int
}

func runGap(ctx context.Context, args []string) error {
	var kinds, only, dir, binary string
	var rounds, port int
	flags := flag.NewFlagSet("chaos gap", flag.ContinueOnError)
	flags.StringVar(&kinds, "kinds", "holt,zookeeper", "server programs to measure, one after the other")
	flags.StringVar(&only, "only", "", "only endings whose name contains this")
	flags.StringVar(&binary, "holt", "bin/holt", "Holt's binary")
	flags.StringVar(&dir, "dir", "", "for data and logs; empty: a temporary one, removed at the end")
	flags.IntVar(&rounds, "rounds", 30, "rounds of each ending; of a hung leader a third")
	flags.IntVar(&port, "port-base", 23100, "first of nine ports")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "holt-gap-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	fmt.Printf("gap: %d rounds, %d members, %d clients each, default settings, fsync on; ms\n", rounds, membersN, gapClientsEach)
	fmt.Printf("%-10s %-18s %6s | %-27s | %-27s | %-20s | %s\n", "server", "leader", "rounds", "writers on followers", "writers on the leader", "first write of any", "connections cut; sessions expired")
	for _, kind := range strings.Split(kinds, ",") {
		if err := measureGaps(ctx, ensemble.Kind(kind), filepath.Join(dir, kind), binary, port, rounds, only); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return nil
}

func measureGaps(ctx context.Context, kind ensemble.Kind, dir, binary string, port, rounds int, only string) error {
	members, err := ensemble.Start(ctx, ensemble.Config{Kind: kind, Members: membersN, Dir: dir, PortBase: port, Binary: binary})
	if err != nil {
		return err
	}
	defer members.Kill()
	g := &gapRun{kind: kind, members: members, stop: make(chan struct{})}
	defer g.running.Wait()
	defer close(g.stop)
	for i := range membersN * gapClientsEach {
		s := &steady{number: i, writes: i/membersN%2 == 0, servers: members.Addrs(), timeout: 15 * time.Second, at: i % membersN}
		g.clients = append(g.clients, s)
		g.running.Go(func() { s.run(g.stop) })
	}
	for _, e := range endings {
		if !strings.Contains(e.name, only) {
			continue
		}
		var result gapResult
		n := max(1, rounds/e.share)
		for round := range n {
			if err := g.round(ctx, e, &result); err != nil {
				return fmt.Errorf("leader %s, round %d: %w", e.name, round+1, err)
			}
		}
		result.print(kind, e, n)
	}
	return nil
}

// round lets the leader go once and adds what clients saw.
func (g *gapRun) round(ctx context.Context, e ending, result *gapResult) error {
	for i, s := range g.clients {
		s.goHome(i % membersN)
	}
	if !sleep(ctx, gapSettle) {
		return ctx.Err()
	}
	leader, err := g.members.Leader(gapPatience)
	if err != nil {
		return err
	}
	for _, s := range g.clients {
		s.home.Store(-1) // from here on it goes where it can
	}
	t := now()
	e.strike(leader)
	if err := g.settled(ctx, t); err != nil {
		return err
	}
	e.restore(leader)
	for _, m := range g.members.Members {
		if err := m.Serves(gapPatience); err != nil {
			return err
		}
	}
	if !sleep(ctx, gapSettle) {
		return ctx.Err()
	}
	return g.tally(t, slices.Index(g.members.Members, leader), result)
}

// settled waits until every client has had an answer after t.
func (g *gapRun) settled(ctx context.Context, t int64) error {
	for deadline := time.Now().Add(gapPatience); ; {
		waiting := 0
		for _, s := range g.clients {
			if s.around(t).next == 0 {
				waiting++
			}
		}
		if waiting == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d clients have had no answer for %v", waiting, len(g.clients), gapPatience)
		}
		if !sleep(ctx, 20*time.Millisecond) {
			return ctx.Err()
		}
	}
}

func (g *gapRun) tally(t int64, leader int, result *gapResult) error {
	first := int64(never)
	var err error
	for i, s := range g.clients {
		n := s.around(t)
		err = errors.Join(err, n.err)
		result.sessions++
		result.expired += n.lost
		home := i % membersN
		broke := slices.ContainsFunc(n.breaks, func(c cut) bool { return c.at >= t && c.server == home })
		switch {
		case s.writes && home == leader:
			result.leader = append(result.leader, time.Duration(n.next-n.prev))
		case s.writes:
			result.follower = append(result.follower, time.Duration(n.next-n.prev))
			result.busy++
			result.cutBusy += asInt(broke)
		case home != leader:
			result.idle++
			result.cutIdle += asInt(broke)
		}
		if s.writes {
			first = min(first, n.next)
		}
	}
	result.first = append(result.first, time.Duration(first-t))
	return err
}

func asInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (r *gapResult) print(kind ensemble.Kind, e ending, rounds int) {
	fmt.Printf("%-10s %-18s %6d | %-27s | %-27s | %-20s | writing %d of %d, reading %d of %d on followers; %d of %d\n", kind, e.name, rounds,
		spread(r.follower), spread(r.leader), spread(r.first), r.cutBusy, r.busy, r.cutIdle, r.idle, r.expired, r.sessions)
}

// spread is median, p99 and longest, in ms.
func spread(list []time.Duration) string {
	if len(list) == 0 {
		return "-"
	}
	slices.Sort(list)
	ms := func(q float64) float64 {
		return float64(list[min(len(list)-1, int(q*float64(len(list))))].Microseconds()) / 1000
	}
	return fmt.Sprintf("%.0f / %.0f / %.0f", ms(0.5), ms(0.99), ms(1))
}
