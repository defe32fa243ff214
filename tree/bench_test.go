package tree

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// A benchmark's tree: /app/service-%05d/instance-%010d with 100 B of data, 100 services, made in random order in
// batches of 256. HOLT_BENCH_ZNODES sets how many znodes (default 1 million; 10 million need 4 GB and a minute).

func benchZnodes() int {
	if n, err := strconv.Atoi(os.Getenv("HOLT_BENCH_ZNODES")); err == nil {
		return n
	}
	return 1_000_000
}

var benchData = []byte(strings.Repeat("0123456789", 10))

// namers give the name of instance i.
var namers = []struct {
	name string
	of   func(dst []byte, i int) []byte
}{
	{"decimal", func(dst []byte, i int) []byte {
		dst = append(dst, "instance-0000000000"...)
		for at := len(dst) - 1; i > 0; at, i = at-1, i/10 {
			dst[at] = byte('0' + i%10)
		}
		return dst
	}},
	{"hex", func(dst []byte, i int) []byte {
		x := uint64(i)*0x9e3779b97f4a7c15 ^ uint64(i)>>7
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		return fmt.Appendf(dst, "%016x", x^x>>31)
	}},
	{"words", func(dst []byte, i int) []byte {
		r := rand.New(rand.NewPCG(uint64(i), 7))
		for range 16 {
			dst = append(dst, byte('a'+r.IntN(26)))
		}
		return dst
	}},
}

type benchTree struct {
	*writer
	nextName func(dst []byte, i int) []byte
	n        int
	name     []byte
	path     []byte
	zxid     Zxid
}

func (b *benchTree) parent(i int) []byte {
	b.path = append(b.path[:0], "/app/service-00000"...)
	s := i % 100
	b.path[len(b.path)-1] = byte('0' + s%10)
	b.path[len(b.path)-2] = byte('0' + s/10)
	return b.path
}

func (b *benchTree) pathOf(i int) []byte {
	p := append(b.parent(i), '/')
	b.path = b.nextName(p, i)
	return b.path
}

func (b *benchTree) add(parent []byte, i int) {
	b.zxid++
	b.name = b.nextName(b.name[:0], i)
	f := fields{name: b.name, data: benchData}
	f.created(b.zxid, 1_700_000_000_000)
	b.create(parent, &f)
}

func newBenchTree(n int, name func([]byte, int) []byte) *benchTree {
	b := &benchTree{writer: newTestWriter(), nextName: name, n: n}
	b.create([]byte("/"), &fields{name: []byte("app"), czxid: 1})
	for i := range 100 {
		b.create([]byte("/app"), &fields{name: b.parent(i)[5:], czxid: 1})
	}
	for at, i := range rand.New(rand.NewPCG(1, 1)).Perm(n) {
		b.add(b.parent(i), i)
		if at%256 == 255 {
			b.freeze()
		}
	}
	b.freeze()
	return b
}

var (
	benchTreeOnce sync.Once
	benchTreeOf   *benchTree
)

// sharedBenchTree is the decimal tree, made once for all benchmarks that only read or freeze.
func sharedBenchTree() *benchTree {
	benchTreeOnce.Do(func() { benchTreeOf = newBenchTree(benchZnodes(), namers[0].of) })
	return benchTreeOf
}

func heap() (bytes, objects uint64) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, m.HeapObjects
}

// residentBytes is VmRSS or VmHWM of this process; 0 where /proc does not tell.
func residentBytes(key string) float64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if fs := strings.Fields(s.Text()); len(fs) > 1 && fs[0] == key+":" {
			kb, _ := strconv.ParseFloat(fs[1], 64)
			return kb * 1024
		}
	}
	return 0
}

// cpuNs is the time all threads of this process spent computing: what a busy machine leaves comparable.
func cpuNs() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// reportCPU reports the cpu of all threads since start, which is a cpuNs, per one of n.
func reportCPU(b *testing.B, start int64, n int, unit string) {
	b.ReportMetric(float64(cpuNs()-start)/float64(n), "cpu-ns/"+unit)
}

// BenchmarkMemory builds the tree once per iteration: use -benchtime=1x.
func BenchmarkMemory(b *testing.B) {
	for _, names := range namers {
		b.Run("names="+names.name, func(b *testing.B) {
			n := benchZnodes()
			bytesBefore, objectsBefore := heap()
			var t *benchTree
			for range b.N {
				t = newBenchTree(n, names.of)
			}
			b.StopTimer()
			bytes, objects := heap()
			cpu := cpuNs()
			runtime.GC()
			gc := cpuNs() - cpu
			b.ReportMetric(float64(bytes-bytesBefore)/float64(n), "B/znode")
			b.ReportMetric(float64(objects-objectsBefore)/float64(n), "objects/znode")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n)/float64(b.N), "ns/znode")
			b.ReportMetric(float64(gc)/1e6, "gc-cpu-ms")
			b.ReportMetric(residentBytes("VmRSS")/1e6, "rss-MB")
			b.ReportMetric(residentBytes("VmHWM")/1e6, "rss-peak-MB")
			runtime.KeepAlive(t)
		})
	}
}

// BenchmarkMemoryEphemeral has every instance owned by one of 10 000 sessions: the cost of the sessions and of their lists
// of paths is in it.
func BenchmarkMemoryEphemeral(b *testing.B) {
	n := benchZnodes()
	before, objectsBefore := heap()
	var s *State
	for range b.N {
		s = newEphemeralState(n)
	}
	bytes, objects := heap()
	b.ReportMetric(float64(bytes-before)/float64(n), "B/znode")
	b.ReportMetric(float64(objects-objectsBefore)/float64(n), "objects/znode")
	runtime.KeepAlive(s)
}

func newEphemeralState(n int) *State {
	s := New()
	for i := range 10_000 {
		s.putSession(Session{ID: SessionID(i + 1)})
	}
	t := &benchTree{nextName: namers[0].of}
	s.add(s.w.root(), nil, []byte("/app"), &fields{name: []byte("app"), czxid: 1})
	for i := range 100 {
		s.add(s.w.lookup([]byte("/app")), []byte("/app"), t.parent(i), &fields{name: t.parent(i)[5:], czxid: 1})
	}
	for at, i := range rand.New(rand.NewPCG(1, 1)).Perm(n) {
		path := t.pathOf(i)
		parent, name, _ := cutPath(path)
		f := fields{name: name, data: benchData, owner: int64(i%10_000 + 1)}
		f.created(Zxid(at+2), 1_700_000_000_000)
		s.add(s.w.lookup(parent), parent, path, &f)
		if at%256 == 255 {
			s.freeze()
		}
	}
	s.freeze()
	return s
}

func BenchmarkGet(b *testing.B) {
	for _, names := range namers {
		t := sharedBenchTree()
		if names.name != "decimal" {
			t = newBenchTree(benchZnodes(), names.of)
		}
		for _, set := range []struct {
			name string
			n    int
		}{{"all", t.n}, {"10k", 10_000}, {"100", 100}} {
			paths := make([][]byte, min(set.n, 100_000))
			r := rand.New(rand.NewPCG(2, 2))
			for i := range paths {
				paths[i] = append([]byte(nil), t.pathOf(r.IntN(t.n))...)
			}
			b.Run("names="+names.name+"/hot="+set.name, func(b *testing.B) {
				b.ReportAllocs()
				top := t.root()
				defer reportCPU(b, cpuNs(), b.N, "op")
				var sum int
				for i := range b.N {
					z := lookup(top, paths[i%len(paths)])
					sum += len(z.data())
				}
				if sum != 100*b.N {
					b.Fatal("lost a znode")
				}
			})
		}
	}
}

// BenchmarkCreate creates in one directory of a million children (random names among them).
func BenchmarkCreate(b *testing.B) {
	for _, names := range namers[:2] {
		t := &benchTree{writer: newTestWriter(), nextName: names.of}
		t.create([]byte("/"), &fields{name: []byte("dir"), czxid: 1})
		n := benchZnodes()
		perm := rand.New(rand.NewPCG(1, 1)).Perm(2 * n)
		dir := []byte("/dir")
		for at, i := range perm[:n] {
			t.add(dir, i)
			if at%256 == 255 {
				t.freeze()
			}
		}
		frozen := t.freeze()
		for _, batch := range []int{1, 16, 256} {
			b.Run(fmt.Sprintf("names=%s/batch=%d", names.name, batch), func(b *testing.B) {
				t.restore(frozen)
				runtime.GC()
				b.ReportAllocs()
				b.ResetTimer()
				defer reportCPU(b, cpuNs(), b.N, "op")
				for i := range b.N {
					if i%n == n-1 {
						t.restore(frozen)
					}
					t.add(dir, perm[n+i%n])
					if i%batch == batch-1 {
						t.freeze()
					}
				}
			})
		}
	}
}

func BenchmarkSet(b *testing.B) {
	t := sharedBenchTree()
	frozen := t.freeze()
	for _, batch := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			t.restore(frozen)
			r := rand.New(rand.NewPCG(3, 3))
			b.ReportAllocs()
			defer reportCPU(b, cpuNs(), b.N, "op")
			for i := range b.N {
				path := t.pathOf(r.IntN(t.n))
				f := t.lookup(path).fields()
				f.mzxid, f.version, f.data = Zxid(i), f.version+1, benchData
				t.replace(path, &f)
				if i%batch == batch-1 {
					t.freeze()
				}
			}
		})
	}
	t.restore(frozen)
}

func BenchmarkSnapshotStart(b *testing.B) {
	t := sharedBenchTree()
	b.ResetTimer()
	for range b.N {
		t.freeze()
	}
}

// image is a stored form in memory, in order.
type image struct {
	buf  []byte
	ends []int // of keys and values in turn
}

func (m *image) Put(key, value []byte) error {
	m.buf = append(m.buf, key...)
	m.ends = append(m.ends, len(m.buf))
	m.buf = append(m.buf, value...)
	m.ends = append(m.ends, len(m.buf))
	return nil
}
func (m *image) Delete([]byte) error { return nil }

type discard struct{}

func (discard) Put(_, _ []byte) error { return nil }
func (discard) Delete([]byte) error   { return nil }

func (m *image) load() (*State, error) {
	var l Loader
	at := 0
	for i := 0; i < len(m.ends); i += 2 {
		if err := l.Add(m.buf[at:m.ends[i]], m.buf[m.ends[i]:m.ends[i+1]]); err != nil {
			return nil, err
		}
		at = m.ends[i+1]
	}
	return l.Finish()
}

// benchState is the tree of the other benchmarks as a State.
func benchState(t *benchTree) *State {
	s := New()
	s.w.edit = t.edit.next()
	s.w.top = t.top
	s.cur.sum = sumBelow(nil, t.root())
	s.same = false
	s.freeze()
	return s
}

func sumBelow(path []byte, z *znode) uint64 {
	sum := znodeSum(path, z)
	z.walkChildren(nil, func(c *znode) bool {
		sum += sumBelow(append(append(path, '/'), c.name()...), c)
		return true
	})
	return sum
}

// BenchmarkDiff writes the whole tree, and then what 1000 sets changed.
func BenchmarkDiff(b *testing.B) {
	t := sharedBenchTree()
	s := benchState(t)
	b.Run("from=nil", func(b *testing.B) {
		for b.Loop() {
			if err := Diff(nil, s.root, discard{}); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(t.n), "ns/znode")
	})
	before := s.root.Base()
	for i := range 1000 {
		path := t.pathOf(i * 997 % t.n)
		z := s.w.lookup(path)
		f := z.fields()
		f.mzxid = Zxid(i)
		s.replace(path, z, &f)
	}
	after := s.freeze()
	b.Run("changed=1000", func(b *testing.B) {
		for b.Loop() {
			if err := Diff(before, after, discard{}); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/changed")
	})
}

// BenchmarkLoad loads the whole tree from memory. The collector is off during the load, as it is at start-up.
func BenchmarkLoad(b *testing.B) {
	t := sharedBenchTree()
	m := &image{}
	if err := Diff(nil, benchState(t).root, m); err != nil {
		b.Fatal(err)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	var cpu int64
	for b.Loop() {
		b.StopTimer()
		runtime.GC()
		cpu -= cpuNs()
		b.StartTimer()
		if _, err := m.load(); err != nil {
			b.Fatal(err)
		}
		cpu += cpuNs()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(t.n), "ns/znode")
	b.ReportMetric(float64(cpu)/float64(b.N)/float64(t.n), "cpu-ns/znode")
}

func BenchmarkWalk(b *testing.B) {
	t := sharedBenchTree()
	n := 0
	visit := func(z *znode) bool { n += len(z.name()); return true }
	b.ResetTimer()
	for b.Loop() {
		n = 0
		for i := range 100 {
			t.lookup(t.parent(i)).walkChildren(nil, visit)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(t.n), "ns/znode")
}
