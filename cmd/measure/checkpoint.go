package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"time"

	"holt/bench"
	"holt/netloop/wire"
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
	load := bench.Load{Addr: *addr, Conns: *conns, Pipeline: 1, Warmup: 2 * time.Second, Duration: *each, Request: setData(*nodes)}
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

// checkpointRow is one turn; it returns the 99.9th percentile of the latency in microseconds.
func checkpointRow(p *process, load bench.Load, with bool) (float64, error) {
	name := "without"
	if with {
		name = "with a checkpoint running"
	}
	r, err := load.Run(func(begin bool) {
		if begin && with {
			_ = p.Process.Signal(syscall.SIGUSR1) // one checkpoint now
		}
	})
	if err != nil {
		return 0, err
	}
	us := func(q float64) time.Duration {
		return time.Duration(r.Latency.ValueAtQuantile(q)) * time.Microsecond
	}
	fmt.Printf("| %s | %.0f | %v | %v | %v | %v |\n", name, r.PerSecond(), us(50), us(99), us(99.9), time.Duration(r.Latency.Max())*time.Microsecond)
	return float64(r.Latency.ValueAtQuantile(99.9)), nil
}

// setData writes one of nodes znodes at random.
func setData(nodes int) bench.Request {
	value := make([]byte, valueBytes)
	return func(dst []byte, _ int, random *rand.Rand) ([]byte, wire.Op) {
		var path [64]byte
		q := wire.SetDataRequest{Path: appendPath(path[:0], random.IntN(nodes)), Data: value, Version: -1}
		return q.Append(dst), wire.OpSetData
	}
}
