package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"holt/bench"
)

// profile writes the processor profile that make build optimises by: half the time reads, half writes, each with deep
// and with shallow pipelines.
func profile(args []string) error {
	f, holt := flags("profile")
	addr := f.String("addr", "127.0.0.1:26280", "address for Holt")
	admin := f.String("admin-addr", "127.0.0.1:26282", "address for Holt's admin server")
	nodes := f.Int("nodes", 10_000, "znodes to read and write")
	each := f.Duration("each", 5*time.Second, "time per load")
	out := f.String("o", "cmd/holt/holt.pgo", "file to write")
	_ = f.Parse(args)
	dir, err := os.MkdirTemp("", "holt-measure-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	h, err := startHolt(*holt, *addr, dir, "HOLT_ADMIN_ADDR="+*admin)
	if err != nil {
		return err
	}
	defer h.stop()
	if err := fill(*addr, *nodes); err != nil {
		return err
	}
	fetched := make(chan error, 1)
	go func() { fetched <- fetchProfile(*admin, 4**each, *out) }()
	for _, workload := range []string{"get", "set"} {
		for _, pipeline := range []int{32, 1} {
			load := bench.Config{Workload: workload, Nodes: *nodes, Conns: 64, Pipeline: pipeline, Warmup: -1, Duration: *each}
			if _, err := onFilled(h, load); err != nil {
				return err
			}
		}
	}
	return <-fetched
}

func fetchProfile(admin string, d time.Duration, file string) error {
	r, err := http.Get(fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", admin, int(d.Seconds())))
	if err != nil {
		return err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("profile: %s: %s", r.Status, b)
	}
	return os.WriteFile(file, b, 0o644)
}
