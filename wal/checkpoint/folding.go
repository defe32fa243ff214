package checkpoint

import (
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// folding lets Pebble compact one thing at a time, and nothing before the image has been read: pebble.Open waits for a
// compaction that it began, which with pauses takes a minute in a large image, and one that runs while the image is read
// takes from the start what it computes. It implements pebble.CompactionScheduler and pebble.CompactionGrantHandle.
//
// Pebble's locks come before mu: grant, which calls Pebble, does so without it.
type folding struct {
	db pebble.DBForCompaction

	mu      sync.Mutex
	begun   bool
	ended   bool
	running bool // a compaction, or Pebble is being asked for one
	asking  sync.WaitGroup
}

// begin lets compactions run from now on.
func (f *folding) begin() {
	f.mu.Lock()
	f.begun = true
	f.mu.Unlock()
	f.grant()
}

// take claims the right to the one compaction. Unregister waits until asking is done, too.
func (f *folding) take() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.begun || f.ended || f.running {
		return false
	}
	f.running = true
	f.asking.Add(1)
	return true
}

func (f *folding) release() {
	f.mu.Lock()
	f.running = false
	f.mu.Unlock()
}

// grant has Pebble run what waits. Pebble may be refused a compaction while it is asked for one, and then waits for another
// grant: so it is asked until it says that nothing waits.
func (f *folding) grant() {
	for f.take() {
		accepted := f.db.Schedule(f)
		waits := false
		if !accepted {
			f.release()
			waits, _ = f.db.GetWaitingCompaction()
		}
		f.asking.Done()
		if !waits {
			return
		}
	}
}

// Register implements pebble.CompactionScheduler.
func (f *folding) Register(_ int, db pebble.DBForCompaction) { f.db = db }

// Unregister implements pebble.CompactionScheduler.
func (f *folding) Unregister() {
	f.mu.Lock()
	f.ended = true
	f.mu.Unlock()
	f.asking.Wait()
}

// TrySchedule implements pebble.CompactionScheduler.
func (f *folding) TrySchedule() (bool, pebble.CompactionGrantHandle) {
	if !f.take() {
		return false, nil
	}
	f.asking.Done()
	return true, f
}

// UpdateGetAllowedWithoutPermission implements pebble.CompactionScheduler: one is what is allowed, always.
func (f *folding) UpdateGetAllowedWithoutPermission() {}

// Done implements pebble.CompactionGrantHandle.
func (f *folding) Done() {
	f.release()
	f.grant()
}

// Started implements pebble.CompactionGrantHandle.
func (f *folding) Started() {}

// MeasureCPU implements pebble.CompactionGrantHandle.
func (f *folding) MeasureCPU(pebble.CompactionGoroutineKind) {}

// CumulativeStats implements pebble.CompactionGrantHandle.
func (f *folding) CumulativeStats(pebble.CompactionGrantHandleStats) {}
