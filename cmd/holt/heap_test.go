package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"testing"
	"time"
)

func TestGCPercent(t *testing.T) {
	for _, c := range []struct {
		live, slabs, allocated uint64 // MiB
		want                   int
	}{
		{0, 0, 0, 400},
		{4, 0, 0, 400},
		{16, 0, 0, 200},
		{16, 0, 200, 313},
		{16, 0, 1000, 400},
		{64, 0, 1000, 100},
		{160, 0, 0, 40},
		{160, 0, 1000, 40},
		{100 << 10, 0, 0, 40},
		{160, 150, 0, 21},
		{160, 150, 200, 25},
		{160, 150, 1000, 25},
		{160, 140, 1000, 40},
		{2000, 1800, 0, 22},
		{2000, 1800, 8000, 40},
		{100, 200, 0, 1},
	} {
		if got := gcPercent(c.live<<20, c.slabs<<20, c.allocated<<20); got != c.want {
			t.Errorf("%+v: GOGC %d", c, got)
		}
	}
}

func TestFarFrom(t *testing.T) {
	for _, c := range []struct {
		percent, before int
		want            bool
	}{
		{1, 0, true}, {400, 0, true}, {400, 400, false}, {350, 400, false}, {349, 400, true}, {451, 400, true}, {3, 3, false}, {4, 3, true},
	} {
		if got := farFrom(c.percent, c.before); got != c.want {
			t.Errorf("%+v: %t", c, got)
		}
	}
}

// A heap of 240 MiB gets the GOGC of a large one, and what a quiet process does not need any more is given back.
func TestPaceCollector(t *testing.T) {
	t.Setenv("GOGC", "")
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	large, spare := make([]byte, 200<<20), make([]byte, 40<<20)
	runtime.GC()
	trim := func() (bytes int) {
		bytes, spare = len(spare), nil
		return bytes
	}
	ctx, stop := context.WithCancel(t.Context())
	var pacing sync.WaitGroup
	pacing.Go(func() { paceCollector(ctx, trim, func() uint64 { return 0 }) })
	heap := []metrics.Sample{{Name: "/gc/gogc:percent"}, {Name: "/memory/classes/heap/objects:bytes"}}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		metrics.Read(heap)
		percent, held := heap[0].Value.Uint64(), heap[1].Value.Uint64()
		if percent == garbagePart && held < 220<<20 {
			break
		}
		if time.Now().After(deadline) {
			t.Errorf("GOGC %d, want %d; %d MiB held, want about 200", percent, garbagePart, held>>20)
			break
		}
	}
	stop()
	pacing.Wait()
	runtime.KeepAlive(large)
}
