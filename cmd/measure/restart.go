package main

import (
	"fmt"
	"os"
	"time"
)

// restart measures what a start costs, from exec until the first session is open, for trees of several sizes: after a
// graceful stop (image and a short log) and after kill -9 (image and the log since).
func restart(args []string) error {
	f, holt := flags("restart")
	addr := f.String("addr", "127.0.0.1:26280", "address for Holt")
	nodes := f.Int("nodes", 1_000_000, "znodes of 100 B")
	rounds := f.Int("rounds", 3, "starts of each kind")
	_ = f.Parse(args)
	dir, err := os.MkdirTemp("", "holt-measure-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p, err := startHolt(*holt, *addr, dir)
	if err != nil {
		return err
	}
	if err := fill(*addr, *nodes); err != nil {
		p.stop()
		return err
	}
	fmt.Printf("%d znodes of %d B\n\n| ended by | CPU time | wall time |\n|---|---|---|\n", *nodes, valueBytes)
	for range *rounds {
		if p, err = restartRow(p, *holt, *addr, dir, "SIGTERM", (*process).stop); err != nil {
			return err
		}
	}
	for range *rounds {
		if p, err = restartRow(p, *holt, *addr, dir, "SIGKILL", func(p *process) {
			_ = p.Process.Kill()
			_ = p.Wait()
		}); err != nil {
			return err
		}
	}
	p.stop()
	return nil
}

func restartRow(p *process, holt, addr, dir, how string, end func(*process)) (*process, error) {
	end(p)
	begin := time.Now()
	p, err := startHolt(holt, addr, dir)
	if err != nil {
		return nil, err
	}
	fmt.Printf("| %s | %.2f s | %.2f s |\n", how, p.cpu().Seconds(), time.Since(begin).Seconds())
	return p, nil
}
