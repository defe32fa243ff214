package wal

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"
)

// benchDir is on a real disk: HOLT_BENCH_DIR, or the test's directory.
func benchDir(b *testing.B) string {
	if dir := os.Getenv("HOLT_BENCH_DIR"); dir != "" {
		sub, err := os.MkdirTemp(dir, "wal")
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = os.RemoveAll(sub) })
		return sub
	}
	return b.TempDir()
}

// BenchmarkAppend keeps depth records of 150 B on their way, each its own Append. One op is one record. The log is cut as
// it goes, so that after the first segments every write goes to recycled blocks.
func BenchmarkAppend(b *testing.B) {
	for _, depth := range []int{1, 32, 2048} {
		b.Run(fmt.Sprintf("depth=%d", depth), func(b *testing.B) {
			var flushes, syncNs atomic.Int64
			l := mustOpen(b, Config{Dir: benchDir(b), Flushed: func(f Flush) { flushes.Add(1); syncNs.Add(f.SyncNs) }})
			defer l.Close()
			data := make([]byte, 150)
			entries := make([]Entry, b.N)
			for i := range entries {
				entries[i] = Entry{Index: uint64(i + 1), Term: 1, Data: data}
			}
			slots := make(chan struct{}, depth)
			done := func(err error) {
				if err != nil {
					b.Error(err)
				}
				<-slots
			}
			for l.diskBytes() < segmentBytesDefault {
				time.Sleep(10 * time.Millisecond) // the second segment is being filled
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range entries {
				slots <- struct{}{}
				l.Append(Append{Entries: entries[i : i+1], Done: done})
				if i%(1<<20) == 1<<20-1 {
					if err := l.Cut(uint64(i) / 2); err != nil {
						b.Fatal(err)
					}
				}
			}
			for range depth {
				slots <- struct{}{}
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rec/s")
			b.ReportMetric(float64(b.N)/float64(flushes.Load()), "rec/flush")
			b.ReportMetric(float64(syncNs.Load())/float64(flushes.Load())/1e3, "us/sync")
		})
	}
}

func (l *Log) diskBytes() int64 {
	n, _ := l.DiskBytes()
	return n
}

// BenchmarkOpen recovers a log of 64 MiB in records of 150 B.
func BenchmarkOpen(b *testing.B) {
	cfg := Config{Dir: benchDir(b)}
	l := mustOpen(b, cfg)
	entries := makeEntries(1, 1000, 1, 150)
	for i := range 370 {
		done := make(chan error, 1)
		for k := range entries {
			entries[k].Index = uint64(1000*i + k + 1)
		}
		l.Append(Append{Entries: entries, Done: func(err error) { done <- err }})
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		l := mustOpen(b, cfg)
		b.StopTimer()
		if l.LastIndex() != 370_000 {
			b.Fatal(l.LastIndex())
		}
		_ = l.Close()
		b.StartTimer()
	}
}
