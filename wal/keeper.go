package wal

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// keeper owns the directory: it makes the next segment before it is needed, out of a spare if there is one, and turns
// segments that were cut into spares, or removes them. It runs on its own goroutine, because filling and removing files
// takes longer than a writer should wait; in stepped mode the caller runs it.
type keeper struct {
	fs           vfs.FS
	dir          string
	segmentBytes int64
	sparesMax    int
	salt         func() uint64

	// Owned by the keeper goroutine after start.
	ids    []uint64 // segment files in the directory, rising
	spares []uint64

	mu    sync.Mutex
	below uint64 // files of segments before this one are garbage
	want  uint64 // the segment to make; 0: none

	wake     chan struct{}
	prepared chan prepared // at most one answer per want, and one failure
	stopped  chan struct{}
	stopping atomic.Bool
	hurry    atomic.Bool // the log waits for the segment
}

// prepared answers want: the segment, or why there is none.
type prepared struct {
	segment *segment
	err     error
}

var errStopping = errors.New("stopping")

func (k *keeper) start() {
	k.wake = make(chan struct{}, 1)
	k.prepared = make(chan prepared, 2)
	k.stopped = make(chan struct{})
	go k.run() // stop waits for its end
}

func (k *keeper) stop() {
	if k.wake == nil {
		return
	}
	k.stopping.Store(true)
	close(k.wake)
	<-k.stopped
}

func (k *keeper) run() {
	defer close(k.stopped)
	for range k.wake {
		if k.stopping.Load() {
			return
		}
		if err := k.recycle(); err != nil {
			k.prepared <- prepared{err: err}
			return
		}
		if p, ok := k.prepare(); ok {
			k.prepared <- p
		}
	}
}

// ask sets what is to be done: garbage below a segment, and a segment to make unless that is 0.
func (k *keeper) ask(below, want uint64) {
	k.mu.Lock()
	k.below = max(k.below, below)
	if want != 0 {
		k.want = want
	}
	k.mu.Unlock()
	if k.wake == nil {
		return
	}
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// recycle turns garbage into spares. The cut that made it garbage is durable (W6), so the directory need not be synced:
// a name that comes back after a crash, with whatever bytes behind it, is below the oldest segment and garbage again.
func (k *keeper) recycle() error {
	k.mu.Lock()
	below := k.below
	k.mu.Unlock()
	n := sort.Search(len(k.ids), func(i int) bool { return k.ids[i] >= below })
	if n == 0 {
		return nil
	}
	for _, id := range k.ids[:n] {
		if err := k.discard(id); err != nil {
			return fmt.Errorf("recycling log segment %d in %s: %w", id, k.dir, err)
		}
	}
	k.ids = append(k.ids[:0], k.ids[n:]...)
	return nil
}

func (k *keeper) discard(id uint64) error {
	path := k.fs.PathJoin(k.dir, segmentName(id))
	size, err := fileSize(k.fs, path)
	if err != nil {
		return err
	}
	if size == k.segmentBytes && len(k.spares) < k.sparesMax && !slices.Contains(k.spares, id) {
		if err := k.fs.Rename(path, k.fs.PathJoin(k.dir, spareName(id))); err == nil {
			k.spares = append(k.spares, id)
			return nil
		}
	}
	return k.fs.Remove(path)
}

// prepare makes the wanted segment; ok is false if none is wanted.
func (k *keeper) prepare() (p prepared, ok bool) {
	k.mu.Lock()
	id := k.want
	k.want = 0
	k.mu.Unlock()
	if id == 0 {
		return p, false
	}
	p.segment, p.err = k.make(id, k.segmentBytes)
	return p, !errors.Is(p.err, errStopping)
}

func (k *keeper) make(id uint64, size int64) (*segment, error) {
	var err error
	if n := len(k.spares); n > 0 {
		err = reuseSpare(k.fs, k.dir, spareName(k.spares[n-1]), id, k.salt(), k.segmentBytes)
		if err == nil {
			k.spares = k.spares[:n-1]
		}
	} else if err = k.spaceFor(id, size); err == nil {
		err = createSegment(k.fs, k.dir, id, k.salt(), size, k.pace())
	}
	if err != nil {
		return nil, fmt.Errorf("preparing log segment %d in %s: %w", id, k.dir, err)
	}
	k.ids = append(k.ids, id)
	return openSegment(k.fs, k.fs.PathJoin(k.dir, segmentName(id)), id)
}

// spaceFor refuses a new file that would leave less than a reserve of the disk: the log must not take the space that the
// checkpoint needs by which the log can be cut. The first segment is the log itself.
func (k *keeper) spaceFor(id uint64, size int64) error {
	usage, err := k.fs.GetDiskUsage(k.dir)
	if err != nil || id == 1 {
		return nil // a file system that does not say will refuse by itself
	}
	reserve := min(k.segmentBytes, int64(usage.TotalBytes/reserveShare))
	if int64(usage.AvailBytes) >= size+reserve {
		return nil
	}
	return fmt.Errorf("%d bytes are free, a segment of %d and a reserve of %d for checkpoints are needed: %w",
		usage.AvailBytes, size, reserve, syscall.ENOSPC)
}

// pace returns what createSegment calls between chunks: as long a rest as the chunk took, unless the log waits.
func (k *keeper) pace() func() error {
	if k.wake == nil {
		return nil
	}
	last := time.Now()
	return func() error {
		if k.stopping.Load() {
			return errStopping
		}
		if !k.hurry.Load() {
			time.Sleep(min(time.Since(last), 20*time.Millisecond))
		}
		last = time.Now()
		return nil
	}
}
