package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Go's collector lets a heap grow to twice of what lives in it, and keeps the memory. For a small heap that is a tenth of what writes
// cost, for a large tree as much garbage again, and either way it is kept when nothing is written any more. Here a heap may hold as much
// garbage as comes in a moment. What a collection costs is up to what it has to look into; slabs make it a third of what it would be.
const (
	garbageBytesMin  = 32 << 20 // that a heap may hold,
	garbageBytesMax  = 64 << 20
	garbagePart      = 40  // percent: at least so much of what is looked into, and at most so much of what lives, where that is more,
	garbagePartSlabs = 20  // and so much of slabs: the nodes that lead to them are looked into
	garbagePartMax   = 400 // and never more than so much of what is looked into
	garbagePerSecond = 4   // collections
	percentPart      = 8   // of the GOGC before: one that is closer is as good

	heapLookEvery = time.Second
	quietBytes    = 1 << 20 // allocated between two looks by a server that has little to do: it gives its garbage back
	keptBytes     = 4 << 20 // not worth it,
	keptPart      = 8       // nor is this part of what lives: a collection costs as much as there lives
)

// gcPercent is GOGC for a heap in which so many bytes live, some of them in slabs, and for which so many are allocated in a second.
func gcPercent(live, slabs, allocated uint64) int {
	live = max(live, slabs+1)
	looked := live - slabs
	garbage := max(allocated/garbagePerSecond, garbageBytesMin, looked*garbagePart/100+slabs*garbagePartSlabs/100)
	garbage = min(garbage, max(garbageBytesMax, live*garbagePart/100), looked*garbagePartMax/100)
	return int(max((100*garbage+live/2)/live, 1))
}

// farFrom says that a GOGC is worth the moment in which all goroutines stop for it to be set.
func farFrom(percent, before int) bool {
	return max(percent, before)-min(percent, before) > before/percentPart
}

// paceCollector has GOGC follow the heap until ctx ends, and collects what is left of busy times: trim gives up what is kept for them, and
// says how many bytes that are. Operators who set GOGC themselves are left alone.
func paceCollector(ctx context.Context, trim func() int, slabs func() uint64) {
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
		if p := gcPercent(live, slabs(), allocated-allocatedBefore); farFrom(p, percent) {
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
