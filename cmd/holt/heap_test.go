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
		{0, 400}, {16 << 20, 400}, {32 << 20, 200}, {64 << 20, 100}, {80 << 20, 80}, {128 << 20, 50}, {160 << 20, 40}, {100 << 30, 40},
	} {
		if got := gcPercent(c.live); got != c.want {
			t.Errorf("%d MiB live: GOGC %d, want %d", c.live>>20, got, c.want)
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
	pacing.Go(func() { paceCollector(ctx, trim) })
	heap := []metrics.Sample{{Name: "/gc/gogc:percent"}, {Name: "/memory/classes/heap/objects:bytes"}}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		metrics.Read(heap)
		percent, held := heap[0].Value.Uint64(), heap[1].Value.Uint64()
		if percent == garbagePercentMin && held < 220<<20 {
			break
		}
		if time.Now().After(deadline) {
			t.Errorf("GOGC %d, want %d; %d MiB held, want about 200", percent, garbagePercentMin, held>>20)
			break
		}
	}
	stop()
	pacing.Wait()
	runtime.KeepAlive(large)
}
