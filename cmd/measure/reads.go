package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"holt/bench"
)

const (
	valueBytes = 100
	root       = "/measure"
)

// reads measures requests per server-CPU-second of getData, Holt and the bare server in turn, round by round.
func reads(args []string) error {
	f, holt := flags("reads")
	conns := f.Int("conns", 64, "connections")
	nodes := f.Int("nodes", 10_000, "znodes to read from")
	rounds := f.Int("rounds", 5, "rounds; each measures both servers")
	each := f.Duration("each", 3*time.Second, "measured time per server and round")
	addr := f.String("addr", "127.0.0.1:26280", "address for Holt")
	bareAddr := f.String("bare-addr", "127.0.0.1:26281", "address for the bare server")
	_ = f.Parse(args)
	dir, err := os.MkdirTemp("", "holt-measure-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	h, err := startHolt(*holt, *addr, dir)
	if err != nil {
		return err
	}
	defer h.stop()
	b, err := startBare(*bareAddr)
	if err != nil {
		return err
	}
	defer b.stop()
	if err := fill(*addr, *nodes); err != nil {
		return err
	}
	fmt.Printf("getData of %d B, %d znodes, %d connections, %d rounds of %v\n\n", valueBytes, *nodes, *conns, *rounds, *each)
	fmt.Println("| pipeline | Holt, reads per CPU-s | bare gnet, replies per CPU-s | ratio (median of rounds) | ratios |")
	fmt.Println("|---|---|---|---|---|")
	for _, pipeline := range []int{1, 32} {
		load := bench.Config{Workload: "get", Nodes: *nodes, Conns: *conns, Pipeline: pipeline, Warmup: time.Second, Duration: *each}
		if err := readsRow(h, b, load, *rounds); err != nil {
			return err
		}
	}
	return nil
}

func readsRow(h, b *process, load bench.Config, rounds int) error {
	var ours, ceiling, ratios []float64
	for range rounds {
		x, err := perCPUSecond(h, load)
		if err != nil {
			return err
		}
		y, err := perCPUSecond(b, load)
		if err != nil {
			return err
		}
		ours, ceiling, ratios = append(ours, x), append(ceiling, y), append(ratios, x/y)
	}
	fmt.Printf("| %d | %.0f | %.0f | **%.2f** | %.2f |\n", load.Pipeline, median(ours), median(ceiling), median(ratios), ratios)
	return nil
}

// perCPUSecond runs the load and returns its requests per second of the server's processor time.
func perCPUSecond(p *process, load bench.Config) (float64, error) {
	load.PIDs = []int{p.Process.Pid}
	r, err := onFilled(p, load)
	if err != nil {
		return 0, err
	}
	return r.OpsPerCPU(), nil
}

// onFilled runs the load on the znodes that fill has made.
func onFilled(p *process, load bench.Config) (*bench.Report, error) {
	load.Servers, load.Root, load.Keep, load.Filled = []string{p.addr}, root, true, true
	r, err := bench.Run(context.Background(), load, nil)
	if err == nil && r.Failed() {
		err = fmt.Errorf("%v: %v", r.Faults, r.Causes)
	}
	return r, err
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// fill creates nodes znodes of valueBytes.
func fill(addr string, nodes int) error {
	c, err := bench.Dial(addr, time.Minute)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := bench.MakePath(c, root); err != nil {
		return err
	}
	return bench.Fill(c, root, nodes, bench.Range{Min: valueBytes, Max: valueBytes})
}
