package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Go's collector lets a heap grow to twice of what lives in it, and keeps the memory. For a small heap that is a tenth of what writes
// cost, for a large tree as much garbage again, and either way it is kept when nothing is written any more.
const (
	garbageBytes      = 64 << 20 // that a heap may hold,
	garbagePercentMin = 40       // of what lives, if that is more,
	garbagePercentMax = 400      // or if that is less

	heapLookEvery = time.Second
	quietBytes    = 1 << 20 // allocated between two looks by a server that has little to do: it gives its garbage back
	keptBytes     = 4 << 20 // not worth it,
	keptPart      = 8       // nor is this part of what lives: a collection costs as much as there lives
)

// gcPercent is GOGC for a heap in which so many bytes live.
func gcPercent(live uint64) int {
	return int(min(max(100*garbageBytes/max(live, 1), garbagePercentMin), garbagePercentMax))
}

// paceCollector has GOGC follow the heap until ctx ends, and collects what is left of busy times: trim gives up what is kept for them, and
// says how many bytes that are. Operators who set GOGC themselves are left alone.
func paceCollector(ctx context.Context, trim func() int) {
	if os.Getenv("GOGC") != "" {
		return
	}
	heap := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	percent, allocatedBefore := 0, uint64(0)
	tick := time.NewTicker(heapLookEvery)
	defer tick.Stop()
	for {
		metrics.Read(heap)
		live, allocated, held := heap[0].Value.Uint64(), heap[1].Value.Uint64(), heap[2].Value.Uint64()+heap[3].Value.Uint64()
		if p := gcPercent(live); p != percent {
			percent = p
			debug.SetGCPercent(p)
		}
		if allocated-allocatedBefore < quietBytes {
			live -= min(live, uint64(trim()))
			if held > live+max(keptBytes, live/keptPart) {
				debug.FreeOSMemory()
			}
		}
		allocatedBefore = allocated
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
