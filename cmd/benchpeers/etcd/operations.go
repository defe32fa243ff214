package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

// worker is one goroutine of a load.
type worker struct {
	ctx     context.Context
	client  *clientv3.Client
	number  int
	serial  int
	random  *rand.Rand
	latency *hdrhistogram.Histogram
	session *concurrency.Session
	mutex   *concurrency.Mutex
}

func newWorker(ctx context.Context, c *clientv3.Client, number int) *worker {
	return &worker{ctx: ctx, client: c, number: number, random: rand.New(rand.NewPCG(1, uint64(number))), latency: newHistogram()}
}

var value = strings.Repeat("x", 100)

func key(n int) string { return fmt.Sprintf("/bare/d%06d/n%010d", n/1000, n) }

// operations are the loads, by case: the equals of package bench's workloads of the same names.
var operations = map[string]func(r *run, w *worker) error{
	"get": func(_ *run, w *worker) error {
		_, err := w.client.Get(w.ctx, key(w.random.IntN(filledKeys)), clientv3.WithSerializable())
		return err
	},
	"set": func(_ *run, w *worker) error {
		_, err := w.client.Put(w.ctx, key(w.random.IntN(filledKeys)), value)
		return err
	},
	"create": func(_ *run, w *worker) error {
		w.serial++
		k := fmt.Sprintf("/c/%d/%d/%d", os.Getpid(), w.number, w.serial)
		p, err := w.client.Txn(w.ctx).If(clientv3.Compare(clientv3.CreateRevision(k), "=", 0)).Then(clientv3.OpPut(k, value)).Commit()
		if err == nil && !p.Succeeded {
			err = fmt.Errorf("%s is there already", k)
		}
		return err
	},
	"multi": func(_ *run, w *worker) error {
		var ops []clientv3.Op
		for _, n := range w.random.Perm(100)[:10] { // a transaction may put a key once
			ops = append(ops, clientv3.OpPut(key(n*(filledKeys/100)), value))
		}
		_, err := w.client.Txn(w.ctx).Then(ops...).Commit()
		return err
	},
	"lock": func(_ *run, w *worker) (err error) {
		if w.session == nil {
			if w.session, err = concurrency.NewSession(w.client); err != nil {
				return err
			}
			w.mutex = concurrency.NewMutex(w.session, "/lock")
		}
		if err := w.mutex.Lock(w.ctx); err != nil {
			return err
		}
		return w.mutex.Unlock(w.ctx)
	},
}

// fill puts the keys that gets and sets choose from.
func (r *run) fill(ctx context.Context) error {
	const parallel = 64
	failed := make(chan error, parallel)
	var wait sync.WaitGroup
	for i := range parallel {
		wait.Go(func() {
			for n := i; n < filledKeys; n += parallel {
				if _, err := r.clients[n%len(r.clients)].Put(ctx, key(n), value); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wait.Wait()
	close(failed)
	return <-failed
}

// watch puts one key that all clients but the first watch, again and again, each time when all have been told.
func (r *run) watch(ctx context.Context) error {
	var told sync.WaitGroup
	var began atomic.Int64 // unix nanoseconds
	histograms := make([]*hdrhistogram.Histogram, len(r.clients)-1)
	for i, c := range r.clients[1:] {
		h := newHistogram()
		histograms[i] = h
		events := c.Watch(ctx, key(0), clientv3.WithCreatedNotify())
		if p := <-events; p.Err() != nil {
			return p.Err()
		}
		go func() {
			for p := range events {
				for range p.Events {
					if r.phase.Load() == 1 {
						_ = h.RecordValue(min(max(time.Now().UnixNano()-began.Load(), nsMin), nsMax))
					}
					told.Done()
				}
			}
		}()
	}
	failed := make(chan error, 1)
	go func() {
		defer close(failed)
		for r.phase.Load() < 2 {
			told.Add(len(histograms))
			began.Store(time.Now().UnixNano())
			if _, err := r.clients[0].Put(ctx, key(0), value); err != nil {
				failed <- err
				return
			}
			told.Wait()
		}
	}()
	elapsed, cpu := r.measure()
	if err := <-failed; err != nil {
		return err
	}
	for _, h := range histograms {
		r.total.Merge(h)
	}
	return r.report(elapsed, cpu)
}

// cpuOf is the processor time of a process in seconds (proc(5)).
func cpuOf(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return float64(user+system) / 100
}
