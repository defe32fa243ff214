package main

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"holt/bench"
)

// checkpoint measures the latency of setData of 100 B over a large tree, in turns without and with checkpoints running
// all the time: the first of them a full one, the others of what changed since.
func checkpoint(args []string) error {
	f, holt := flags("checkpoint")
	addr := f.String("addr", "127.0.0.1:26280", "address for Holt")
	nodes := f.Int("nodes", 5_000_000, "znodes of 100 B")
	conns := f.Int("conns", 16, "connections, one write in flight on each")
	each := f.Duration("each", 20*time.Second, "measured time per turn")
	rounds := f.Int("rounds", 3, "pairs of turns")
	_ = f.Parse(args)
	dir, err := os.MkdirTemp("", "holt-measure-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// No checkpoint by itself: the turns decide.
	p, err := startHolt(*holt, *addr, dir, "HOLT_CHECKPOINT_BYTES=1099511627776")
	if err != nil {
		return err
	}
	defer func() { p.stop() }()
	if err := fill(*addr, *nodes); err != nil {
		return err
	}
	load := bench.Config{Workload: "set", Nodes: *nodes, Conns: *conns, Warmup: 2 * time.Second, Duration: *each}
	fmt.Printf("setData of %d B, %d znodes, %d connections\n\n", valueBytes, *nodes, *conns)
	fmt.Println("| turn | writes/s | p50 | p99 | p99.9 | max |\n|---|---|---|---|---|---|")
	var ratios []float64
	for range *rounds {
		without, err := checkpointRow(p, load, false)
		if err != nil {
			return err
		}
		with, err := checkpointRow(p, load, true)
		if err != nil {
			return err
		}
		ratios = append(ratios, with/without)
	}
	fmt.Printf("\np99.9 with a checkpoint / without, pair by pair: %.2f; median **%.2f**\n", ratios, median(ratios))
	return nil
}

// checkpointRow is one turn; it returns the 99.9th percentile of the latency in nanoseconds.
func checkpointRow(p *process, load bench.Config, with bool) (float64, error) {
	name := "without"
	if with {
		name = "with a checkpoint running"
	}
	load.Events = func(phase bench.Phase) {
		if phase == bench.Measuring && with {
			_ = p.Process.Signal(syscall.SIGUSR1) // one checkpoint now
		}
	}
	r, err := onFilled(p, load)
	if err != nil {
		return 0, err
	}
	l, _ := r.Latency("set")
	fmt.Printf("| %s | %.0f | %s | %s | %s | %s |\n", name, r.Rate, bench.Short(l.P50), bench.Short(l.P99), bench.Short(l.P999), bench.Short(l.Max))
	return float64(l.P999), nil
}
