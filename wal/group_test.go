package wal

import (
	"sync"
	"testing"
)

// TestW1_DonesInOrder appends from one goroutine per writer to a log on the disk that runs by itself.
func TestW1_DonesInOrder(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), SegmentBytes: 256 << 10}
	l := mustOpen(t, cfg)
	const n = 5000
	var (
		wg   sync.WaitGroup
		next uint64 = 1
		all  []Entry
	)
	for i := range uint64(n) {
		e := makeEntries(i+1, i+1, 1, 150)
		all = append(all, e...)
		wg.Add(1)
		l.Append(Append{Entries: e, Done: func(err error) {
			defer wg.Done()
			if err != nil {
				t.Errorf("entry %d: %v", i+1, err)
			}
			if next != i+1 {
				t.Errorf("Done of %d ran before that of %d", i+1, next)
			}
			next++
			if last := l.LastIndex(); last < i+1 {
				t.Errorf("Done of %d ran while the log ended at %d", i+1, last)
			}
		}})
	}
	wg.Wait()
	checkEntries(t, l, all)
	if err := l.Cut(n / 2); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, cfg)
	defer l.Close()
	checkEntries(t, l, all[n/2:])
	if got := l.FirstIndex(); got != n/2+1 {
		t.Fatalf("FirstIndex %d, want %d", got, n/2+1)
	}
}

// Whether to hold the processor is asked for frames that many wait for only.
func TestLog_HoldsTheProcessorForLargeFrames(t *testing.T) {
	asked := 0
	cfg := Config{Dir: t.TempDir(), Stepped: true, Hold: func() bool { asked++; return true }}
	l := mustOpen(t, cfg)
	var all []Entry
	for i, size := range []int{10, 100, heldBytesMin, 4 * heldBytesMin, 10} {
		e := makeEntries(uint64(i+1), uint64(i+1), 1, size)
		all = append(all, e...)
		if err := appendNow(l, nil, e...); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times for two large frames among five", asked)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, cfg)
	defer l.Close()
	checkEntries(t, l, all)
}
