package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"holt/bench"
	"holt/netloop/wire"
)

const valueBytes = 100

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
		load := bench.Load{Conns: *conns, Pipeline: pipeline, Warmup: time.Second, Duration: *each, Request: getData(*nodes)}
		if err := readsRow(h, b, load, *rounds); err != nil {
			return err
		}
	}
	return nil
}

func readsRow(h, b *process, load bench.Load, rounds int) error {
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

// perCPUSecond runs the load and divides its requests by the processor time that the server used meanwhile.
func perCPUSecond(p *process, load bench.Load) (float64, error) {
	load.Addr = p.addr
	var used time.Duration
	r, err := load.Run(func(begin bool) {
		if begin {
			used = -p.cpu()
		} else {
			used += p.cpu()
		}
	})
	return float64(r.Requests) / used.Seconds(), err
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// path writes the name of znode n, in directories of a thousand.
func appendPath(dst []byte, n int) []byte {
	return fmt.Appendf(dst, "/measure/d%05d/instance-%010d", n/1000, n)
}

// getData reads one of nodes znodes at random. Paths are made beforehand: the client must cost little.
func getData(nodes int) bench.Request {
	paths := make([][]byte, nodes)
	for i := range paths {
		q := wire.WatchRequest{Path: appendPath(nil, i)}
		paths[i] = q.Append(nil)
	}
	return func(dst []byte, _ int, random *rand.Rand) ([]byte, wire.Op) {
		return append(dst, paths[random.IntN(nodes)]...), wire.OpGetData
	}
}

// fill creates nodes znodes of valueBytes, with many requests in flight.
func fill(addr string, nodes int) error {
	c, err := bench.Dial(addr, time.Minute)
	if err != nil {
		return err
	}
	defer c.Close()
	open := wire.MakeACLs(wire.ACL{Perms: 31, Scheme: []byte("world"), ID: []byte("anyone")})
	value := make([]byte, valueBytes)
	waiting := 0
	put := func(path []byte, data []byte) error {
		b, start := c.Begin(wire.OpCreate)
		q := wire.CreateRequest{Path: path, Data: data, ACL: open}
		c.End(q.Append(b), start)
		if waiting++; waiting < 512 {
			return nil
		}
		return drain(c, &waiting)
	}
	if err := put([]byte("/measure"), nil); err != nil {
		return err
	}
	for n := range nodes {
		if n%1000 == 0 {
			if err := put(fmt.Appendf(nil, "/measure/d%05d", n/1000), nil); err != nil {
				return err
			}
		}
		if err := put(appendPath(nil, n), value); err != nil {
			return err
		}
	}
	return drain(c, &waiting)
}

func drain(c *bench.Conn, waiting *int) error {
	if err := c.Flush(); err != nil {
		return err
	}
	for ; *waiting > 0; *waiting-- {
		p, err := c.Next()
		if err != nil {
			return err
		}
		if p.Err != wire.CodeOK {
			return fmt.Errorf("create: error %d", p.Err)
		}
	}
	return nil
}
