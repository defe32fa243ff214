package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Go's collector lets a heap grow to twice of what lives in it. A small heap may; of a large tree that would be as much garbage again,
// and the process never gives it back, as it needs it again before the next collection.
const (
	garbageBytes   = 64 << 20 // that a heap of any size may hold
	garbagePercent = 40       // of what lives, that a large one may hold
	heapLookEvery  = time.Second
)

// gcPercent is GOGC for a heap in which so many bytes live.
func gcPercent(live uint64) int {
	return int(min(max(100*garbageBytes/max(live, 1), garbagePercent), 100))
}

// paceCollector has GOGC follow the heap until ctx ends. Operators who set it themselves are left alone.
func paceCollector(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	percent := 100
	tick := time.NewTicker(heapLookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		metrics.Read(live)
		if p := gcPercent(live[0].Value.Uint64()); p != percent {
			percent = p
			debug.SetGCPercent(p)
		}
	}
}
