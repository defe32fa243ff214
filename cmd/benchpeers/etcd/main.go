package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
)

func main() {
	err := errors.New("usage: etcdpeer serve DIR CLIENT-ADDR PEER-ADDR | load FLAGS")
	switch {
	case len(os.Args) == 5 && os.Args[1] == "serve":
		err = serve(os.Args[2], os.Args[3], os.Args[4])
	case len(os.Args) > 2 && os.Args[1] == "load":
		err = load(os.Args[2:])
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "etcdpeer: %v\n", err)
		os.Exit(1)
	}
}

func serve(dir, client, peer string) error {
	cfg := embed.NewConfig()
	cfg.Dir, cfg.LogLevel = dir, "error"
	clientURL, peerURL := url.URL{Scheme: "http", Host: client}, url.URL{Scheme: "http", Host: peer}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{clientURL}, []url.URL{clientURL}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peerURL}, []url.URL{peerURL}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.QuotaBackendBytes = 8 << 30
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	select {
	case <-stop:
		e.Close()
		return nil
	case err := <-e.Err():
		return err
	}
}

// run is one load.
type run struct {
	addr             string
	name             string
	conns, pipeline  int
	warmup, duration time.Duration
	pid              int

	clients []*clientv3.Client
	phase   atomic.Int32 // 0 warm-up, 1 measured, 2 over
	total   *hdrhistogram.Histogram
}

const (
	filledKeys = 10_000
	nsMin      = 1_000
	nsMax      = 60_000_000_000
)

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(nsMin, nsMax, 3) }

func load(args []string) error {
	r := &run{total: newHistogram()}
	f := flag.NewFlagSet("load", flag.ExitOnError)
	f.StringVar(&r.addr, "addr", "", "of the server")
	f.StringVar(&r.name, "case", "", "fill, get, set, create, multi, watch, lock")
	f.IntVar(&r.conns, "conns", 64, "clients")
	f.IntVar(&r.pipeline, "pipeline", 1, "operations under way on each")
	f.DurationVar(&r.warmup, "warmup", time.Second, "load before measuring")
	f.DurationVar(&r.duration, "duration", 3*time.Second, "measured")
	f.IntVar(&r.pid, "pid", 0, "of the server")
	_ = f.Parse(args)
	for range r.conns {
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{r.addr}, DialTimeout: 10 * time.Second})
		if err != nil {
			return err
		}
		defer c.Close()
		r.clients = append(r.clients, c)
	}
	ctx := context.Background()
	switch r.name {
	case "fill":
		return r.fill(ctx)
	case "watch":
		return r.watch(ctx)
	}
	operation, ok := operations[r.name]
	if !ok {
		return fmt.Errorf("no case %q", r.name)
	}
	return r.drive(ctx, operation)
}

// drive lets every goroutine do one operation after the other, and reports.
func (r *run) drive(ctx context.Context, operation func(r *run, w *worker) error) error {
	var (
		wait    sync.WaitGroup
		failed  = make(chan error, 1)
		workers []*worker
	)
	for i := range r.conns * r.pipeline {
		w := newWorker(ctx, r.clients[i%r.conns], i)
		workers = append(workers, w)
		wait.Go(func() {
			for r.phase.Load() < 2 {
				phase := r.phase.Load()
				begin := time.Now()
				if err := operation(r, w); err != nil {
					select {
					case failed <- err:
					default:
					}
					return
				}
				if phase == 1 {
					_ = w.latency.RecordValue(min(max(int64(time.Since(begin)), nsMin), nsMax))
				}
			}
		})
	}
	elapsed, cpu := r.measure()
	wait.Wait()
	select {
	case err := <-failed:
		return err
	default:
	}
	for _, w := range workers {
		r.total.Merge(w.latency)
	}
	return r.report(elapsed, cpu)
}

// measure leads through the phases and returns how long the measured one was, and what the server used in it.
func (r *run) measure() (elapsed time.Duration, cpuSeconds float64) {
	time.Sleep(r.warmup)
	begin, before := time.Now(), cpuOf(r.pid)
	r.phase.Store(1)
	time.Sleep(r.duration)
	r.phase.Store(2)
	return time.Since(begin), cpuOf(r.pid) - before
}

// report writes what benchpeers reads of a bench.Report (E1).
func (r *run) report(elapsed time.Duration, cpu float64) error {
	n, s := r.total.TotalCount(), elapsed.Seconds()
	type series struct {
		Name  string `json:"name"`
		Count int64  `json:"count"`
		P50   int64  `json:"p50_ns"`
		P99   int64  `json:"p99_ns"`
		Max   int64  `json:"max_ns"`
	}
	type server struct {
		CPU       float64 `json:"cpu_s"`
		OpsPerCPU float64 `json:"ops_per_cpu_second"`
	}
	return json.NewEncoder(os.Stdout).Encode(struct {
		Format  int      `json:"format"`
		Name    string   `json:"name"`
		Seconds float64  `json:"seconds"`
		Ops     int64    `json:"ops"`
		Rate    float64  `json:"ops_per_second"`
		Series  []series `json:"series"`
		Server  server   `json:"server"`
	}{
		1, "etcd " + r.name, s, n, float64(n) / s,
		[]series{{r.name, n, r.total.ValueAtQuantile(50), r.total.ValueAtQuantile(99), r.total.Max()}},
		server{cpu, float64(n) / max(cpu, 0.001)},
	})
}
