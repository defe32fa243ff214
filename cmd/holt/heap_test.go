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
		live uint64
		want int
	}{
		{0, 100}, {4 << 20, 100}, {64 << 20, 100}, {80 << 20, 80}, {128 << 20, 50}, {160 << 20, 40}, {100 << 30, 40},
	} {
		if got := gcPercent(c.live); got != c.want {
			t.Errorf("%d MiB live: GOGC %d, want %d", c.live>>20, got, c.want)
		}
	}
}

// A heap of 200 MiB gets the GOGC of a large one.
func TestPaceCollector(t *testing.T) {
	t.Setenv("GOGC", "")
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	large := make([]byte, 200<<20)
	runtime.GC()
	ctx, stop := context.WithCancel(t.Context())
	var pacing sync.WaitGroup
	pacing.Go(func() { paceCollector(ctx) })
	percent := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		metrics.Read(percent)
		if percent[0].Value.Uint64() == garbagePercent {
			break
		}
		if time.Now().After(deadline) {
			t.Errorf("GOGC %d, want %d", percent[0].Value.Uint64(), garbagePercent)
			break
		}
	}
	stop()
	pacing.Wait()
	runtime.KeepAlive(large)
}
