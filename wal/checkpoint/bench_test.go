package checkpoint

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"holt/tree"
)

// HOLT_BENCH_ZNODES sets how many znodes of 100 B (default 1 million), HOLT_BENCH_DIR where the image goes.

func benchZnodes() int {
	if n, err := strconv.Atoi(os.Getenv("HOLT_BENCH_ZNODES")); err == nil {
		return n
	}
	return 1_000_000
}

func benchDir(b *testing.B) string {
	parent := os.Getenv("HOLT_BENCH_DIR")
	dir, err := os.MkdirTemp(parent, "image")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func benchPath(i int) string { return fmt.Sprintf("/app/service-%05d/instance-%010d", i%100, i) }

// benchBed is a tree of n znodes in 100 directories.
func benchBed(b *testing.B, n int) *bed {
	bd := newBed(b, 1)
	bd.create("/app", nil, 0, owner)
	for i := range 100 {
		bd.create(fmt.Sprintf("/app/service-%05d", i), nil, 0, owner)
	}
	data := make([]byte, 100)
	for i := range n {
		for k := 0; k < 40; k++ {
			data[k] = byte(bd.rng.Uint32()) // the rest compresses, as most configuration does
		}
		if bd.create(benchPath(i), data, 0, owner); i%1000 == 999 {
			bd.apply()
		}
	}
	bd.apply()
	if got := bd.state.Root().NodeCount(); got < int64(n) {
		b.Fatalf("%d znodes of %d", got, n)
	}
	return bd
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkImage writes all, writes what changed in between, reopens and loads. Its figures are metrics: CPU of the whole
// process, collector and compactions included.
func BenchmarkImage(b *testing.B) {
	n := benchZnodes()
	for _, busy := range []int{100, 50} {
		b.Run(fmt.Sprintf("busy=%d", busy), func(b *testing.B) {
			bd := benchBed(b, n)
			runtime.GC()
			for range b.N {
				benchImage(b, bd, n, busy)
			}
		})
	}
}

func benchImage(b *testing.B, bd *bed, n, busy int) {
	cfg := Config{Dir: benchDir(b), BusyPercent: busy}
	s := mustOpen(b, cfg)
	root := bd.state.Root()
	start, used := time.Now(), cpu()
	write := func(from, to *tree.Root) {
		if err := s.Write(baseOf(from), to, Mark{Index: 1}); err != nil {
			b.Fatal(err)
		}
	}
	write(nil, root)
	b.ReportMetric(time.Since(start).Seconds(), "full-s")
	b.ReportMetric((cpu() - used).Seconds(), "full-cpu-s")
	b.ReportMetric(float64(s.DiskBytes())/1e6, "full-MB")

	const rounds, changes = 20, 10_000
	var wall, work time.Duration
	begun := cpu()
	for range rounds {
		for range changes {
			bd.set(benchPath(bd.rng.IntN(n)), make([]byte, 100))
		}
		bd.apply()
		start, used = time.Now(), cpu()
		write(root, bd.state.Root())
		wall += time.Since(start)
		work += cpu() - used
		root = bd.state.Root()
	}
	b.ReportMetric(wall.Seconds()/rounds*1e3, "10k-ms")
	b.ReportMetric(work.Seconds()/rounds*1e3, "10k-cpu-ms")
	for settled := time.Now(); s.db.Metrics().Compact.NumInProgress > 0 || time.Since(settled) < time.Second; {
		time.Sleep(10 * time.Millisecond)
	}
	b.ReportMetric((cpu() - begun).Seconds(), "20x10k-all-cpu-s")
	m := s.db.Metrics()
	b.ReportMetric(float64(m.Total().TableBytesCompacted)/1e6, "compacted-MB")
	b.ReportMetric(float64(s.DiskBytes())/1e6, "disk-MB")
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}

	runtime.GC()
	start, used = time.Now(), cpu()
	s = mustOpen(b, cfg)
	b.ReportMetric((cpu()-used).Seconds()*1e3, "open-cpu-ms")
	state, _, err := s.Load()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(time.Since(start).Seconds(), "load-s")
	b.ReportMetric((cpu() - used).Seconds(), "load-cpu-s")
	b.ReportMetric(float64((cpu()-used).Nanoseconds())/float64(n), "load-cpu-ns/znode")
	if state.Root().Digest() != root.Digest() {
		b.Fatal("another tree was loaded")
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
