package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"holt/wal/internal/disk"
)

// smallDisk is a file system in memory that holds so many bytes and no more.
type smallDisk struct {
	*vfs.MemFS
	mu    sync.Mutex
	free  int64
	total int64 // 0: it does not say how much there is
}

func (d *smallDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.total == 0 {
		return vfs.DiskUsage{}, vfs.ErrUnsupported
	}
	return vfs.DiskUsage{AvailBytes: uint64(d.free), TotalBytes: uint64(d.total)}, nil
}

func (d *smallDisk) take(n int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n > d.free {
		return fmt.Errorf("small disk: %w", syscall.ENOSPC)
	}
	d.free -= n
	return nil
}

func (d *smallDisk) Create(name string, cat vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.MemFS.Create(name, cat)
	return &smallFile{File: f, disk: d}, err
}

func (d *smallDisk) OpenReadWrite(name string, cat vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.MemFS.OpenReadWrite(name, cat, opts...)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	return &smallFile{File: f, disk: d, size: st.Size()}, err
}

func (d *smallDisk) Remove(name string) error {
	size, err := fileSize(d.MemFS, name)
	if err == nil {
		_ = d.take(-size)
	}
	return disk.FirstError(err, d.MemFS.Remove(name))
}

type smallFile struct {
	vfs.File
	disk *smallDisk
	size int64
}

func (f *smallFile) grow(to int64) error {
	if to <= f.size {
		return nil
	}
	if err := f.disk.take(to - f.size); err != nil {
		return err
	}
	f.size = to
	return nil
}

func (f *smallFile) Write(b []byte) (int, error) {
	if err := f.grow(f.size + int64(len(b))); err != nil {
		return 0, err
	}
	return f.File.Write(b)
}

func (f *smallFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.grow(off + int64(len(b))); err != nil {
		return 0, err
	}
	return f.File.WriteAt(b, off)
}

// fill appends until the log refuses, and returns the last entry that was kept.
func fill(t *testing.T, l *Log) (last uint64) {
	t.Helper()
	for i := l.LastIndex() + 1; i < 10_000; i++ {
		answer := make(chan error, 1)
		l.Append(Append{Entries: makeEntries(i, i, 1, 300), Done: func(err error) { answer <- err }})
		if err := <-answer; errors.Is(err, ErrFull) {
			return i - 1
		} else if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the disk never filled up")
	return 0
}

func waitUntil(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for range 5000 {
		if cond() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

func runningConfig(fs vfs.FS) Config {
	cfg := steppedConfig(fs)
	cfg.Stepped, cfg.ProbeEvery, cfg.Salt = false, time.Millisecond, nil
	return cfg
}

// TestFullDisk fills a disk under a log that runs by itself, gives space back in both ways, and reads all the while.
func TestFullDisk(t *testing.T) {
	for _, how := range []string{"disk grows", "log is cut"} {
		t.Run(how, func(t *testing.T) {
			disk := &smallDisk{MemFS: vfs.NewMem(), free: 10 * segmentBytesMin}
			l := mustOpen(t, runningConfig(disk))
			last := fill(t, l)
			// A refusal may come while the last segment that fits is being made.
			for time.Sleep(20 * time.Millisecond); !l.Full(); time.Sleep(20 * time.Millisecond) {
				last = fill(t, l)
			}
			if l.LastIndex() != last {
				t.Fatalf("last %d, want %d", l.LastIndex(), last)
			}
			checkEntries(t, l, makeEntries(1, last, 1, 300))
			first := uint64(1)
			if how == "disk grows" {
				_ = disk.take(-4 * segmentBytesMin)
			} else if err := l.Cut(last - 10); err != nil {
				t.Fatal(err)
			} else {
				first = last - 9
			}
			waitUntil(t, "the log finds the space", func() bool { return !l.Full() })
			last = fill(t, l)
			checkEntries(t, l, makeEntries(first, last, 1, 300))
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = mustOpen(t, runningConfig(disk))
			defer l.Close()
			checkEntries(t, l, makeEntries(first, last, 1, 300))
			if l.LastIndex() != last {
				t.Fatalf("last %d, want %d", l.LastIndex(), last)
			}
		})
	}
}

// TestReserve: a full log leaves room for the checkpoint by which it can be cut.
func TestReserve(t *testing.T) {
	const total = 40 * segmentBytesMin
	disk := &smallDisk{MemFS: vfs.NewMem(), free: total, total: total}
	l := mustOpen(t, steppedConfig(disk))
	defer l.Close()
	for i := uint64(1); ; i++ {
		if err := appendNow(l, nil, makeEntries(i, i, 1, 300)...); errors.Is(err, ErrFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if disk.free < segmentBytesMin || disk.free > 3*segmentBytesMin {
		t.Fatalf("the log left %d bytes", disk.free)
	}
}

// TestW4_GapAfterRefusal: what follows refused entries is refused too, and does not end the process.
func TestW4_GapAfterRefusal(t *testing.T) {
	disk := &smallDisk{MemFS: vfs.NewMem(), free: 4 * segmentBytesMin}
	l := mustOpen(t, steppedConfig(disk))
	defer l.Close()
	next := uint64(1)
	for {
		err := appendNow(l, nil, makeEntries(next, next, 1, 300)...)
		if errors.Is(err, ErrFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		next++
	}
	_ = disk.take(-2 * segmentBytesMin)
	l.Step()
	for _, i := range []uint64{next + 1, next + 2} {
		if err := appendNow(l, nil, makeEntries(i, i, 1, 300)...); !errors.Is(err, ErrFull) {
			t.Fatalf("entry %d after a refused one: %v", i, err)
		}
	}
	if err := appendNow(l, nil, makeEntries(next, next+2, 1, 300)...); err != nil {
		t.Fatalf("the refused entries again: %v", err)
	}
	checkEntries(t, l, makeEntries(1, next+2, 1, 300))
}

// TestFatal fails every sync once, for any reason, and every write for a reason other than space.
func TestFatal(t *testing.T) {
	for _, c := range []struct {
		op  string
		err error
	}{{"sync", syscall.EIO}, {"sync", syscall.ENOSPC}, {"write", syscall.EIO}} {
		for fail := 1; ; fail++ {
			if !runFatal(t, c.op, c.err, fail) {
				break
			}
		}
	}
}

func runFatal(t *testing.T, op string, cause error, fail int) bool {
	w := newWorld(t, 3)
	var fatal []error
	cfg := w.config(w.fs)
	cfg.Fatal = func(err error) { fatal = append(fatal, err) }
	w.log = mustOpen(t, cfg)
	ops := 0
	w.fs.before = func(o, path string) error {
		if o == op {
			ops++
		}
		if o == op && ops == fail {
			return cause
		}
		return nil
	}
	var answers []error
	for range 40 {
		if len(fatal) > 0 {
			break
		}
		r := w.script.next(w.promised())
		w.onWay = append(w.onWay, r)
		r.Done = func(err error) {
			if answers = append(answers, err); err == nil {
				w.acked, w.onWay = w.acked.with(w.onWay[0]), w.onWay[1:]
			}
		}
		w.log.submit(r)
		w.log.Step()
	}
	w.fs.before = nil
	if len(fatal) == 0 {
		return false
	}
	late := appendNow(w.log, &HardState{Term: 99})
	if len(fatal) != 1 || late == nil || errors.Is(late, ErrFull) {
		t.Fatalf("%s %d: %v: Fatal %v, answers %v, later %v", op, fail, cause, fatal, answers, late)
	}
	if err := w.log.Close(); err == nil {
		t.Fatal("Close of a dead log says that all is well")
	}
	w.fs = newCrashFS(w.fs.crash(w.rng, 50, true))
	w.open()
	w.checkState(w.log)
	return true
}

// TestCommitClamped: a commit index that outlived the entries it was about claims no more than the log holds.
func TestCommitClamped(t *testing.T) {
	mem := vfs.NewMem()
	l := mustOpen(t, steppedConfig(mem))
	if err := appendNow(l, &HardState{Term: 1, Commit: 9}, makeEntries(1, 3, 1, 10)...); err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	l = mustOpen(t, steppedConfig(mem))
	defer l.Close()
	if got := l.HardState(); got != (HardState{Term: 1, Commit: 3}) {
		t.Fatalf("hard state %v", got)
	}
}

// TestW7_DiskBounded cuts a log as it goes: the files it keeps do not grow with what went through it.
func TestW7_DiskBounded(t *testing.T) {
	mem := vfs.NewMem()
	l := mustOpen(t, steppedConfig(mem))
	defer l.Close()
	for i := uint64(1); i < 3000; i++ {
		if err := appendNow(l, nil, makeEntries(i, i, 1, 500)...); err != nil {
			t.Fatal(err)
		}
		if i%50 == 0 {
			if err := l.Cut(i - 5); err != nil {
				t.Fatal(err)
			}
		}
		// 50 entries take up to three segments; one is prepared, two are spare.
		if bytes, err := l.DiskBytes(); err != nil || bytes > 7*segmentBytesMin {
			t.Fatalf("after entry %d: %d bytes on disk, %v", i, bytes, err)
		}
	}
	if live := l.LiveBytes(); live > 3*segmentBytesMin {
		t.Fatalf("%d live bytes", live)
	}
	if l.open.id < 80 || l.open.id > 200 {
		t.Fatalf("%d segments were used", l.open.id)
	}
}

func TestReset(t *testing.T) {
	mem := vfs.NewMem()
	l := mustOpen(t, steppedConfig(mem))
	if err := appendNow(l, nil, makeEntries(1, 30, 2, 1000)...); err != nil {
		t.Fatal(err)
	}
	if err := l.Reset(1000, 7); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if term, err := l.Term(1000); l.FirstIndex() != 1001 || l.LastIndex() != 1000 || term != 7 || err != nil {
			t.Fatalf("after a reset to 1000: %d..%d, term %d, %v", l.FirstIndex(), l.LastIndex(), term, err)
		}
		if _, err := l.Entries(30, 31, 1); !errors.Is(err, ErrCompacted) {
			t.Fatalf("entry before the reset: %v", err)
		}
		if _, err := l.Entries(1001, 1002, 1); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("entry past the reset: %v", err)
		}
		_ = l.Close()
		l = mustOpen(t, steppedConfig(mem))
	}
	if err := appendNow(l, nil, makeEntries(1001, 1002, 8, 10)...); err != nil {
		t.Fatal(err)
	}
	checkEntries(t, l, makeEntries(1001, 1002, 8, 10))
	_ = l.Close()
}

// TestEntriesBytes: a read stops after the first entry that exceeds the bytes, and returns at least one, from memory
// and from disk alike.
func TestEntriesBytes(t *testing.T) {
	for _, tailBytes := range []int64{-1, 1000, 1 << 20} {
		cfg := steppedConfig(vfs.NewMem())
		cfg.TailBytes = tailBytes
		l := mustOpen(t, cfg)
		for i := uint64(1); i <= 100; i++ {
			if err := appendNow(l, nil, makeEntries(i, i, 1, 100)...); err != nil {
				t.Fatal(err)
			}
		}
		for bytes, want := range map[uint64]int{0: 1, 99: 1, 100: 1, 199: 1, 200: 2, 1050: 10, 1 << 30: 60} {
			got, err := l.Entries(41, 101, bytes)
			if err != nil || len(got) != want || got[0].Index != 41 {
				t.Errorf("tail %d: %d bytes from 41 on: %d entries, %v, want %d", tailBytes, bytes, len(got), err, want)
			}
		}
		_ = l.Close()
	}
}

// TestReadersDuringWrites reads ranges from disk and memory while a writer appends and cuts.
func TestReadersDuringWrites(t *testing.T) {
	cfg := runningConfig(vfs.NewMem())
	cfg.TailBytes = 4000
	l := mustOpen(t, cfg)
	defer l.Close()
	var wg sync.WaitGroup
	var stop atomic.Bool
	for range 3 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for !stop.Load() {
				readSome(t, l)
			}
		}()
	}
	for i := uint64(1); i < 3000; i++ {
		answer := make(chan error, 1)
		l.Append(Append{Entries: makeEntries(i, i, 1, 200), Done: func(err error) { answer <- err }})
		if err := <-answer; err != nil {
			t.Fatal(err)
		}
		if i%200 == 0 {
			if err := l.Cut(i - 150); err != nil {
				t.Fatal(err)
			}
		}
	}
	stop.Store(true)
	wg.Wait()
}

func readSome(t *testing.T, l *Log) {
	lo, hi := l.FirstIndex(), l.LastIndex()+1
	got, err := l.Entries(lo, hi, 1<<20)
	if errors.Is(err, ErrCompacted) {
		return // cut meanwhile
	}
	if err != nil {
		t.Errorf("Entries(%d, %d): %v", lo, hi, err)
		return
	}
	for i, e := range got {
		if e.Index != lo+uint64(i) || string(e.Data[:len(fmt.Sprint(e.Index))]) != fmt.Sprint(e.Index) {
			t.Errorf("position %d of a read from %d: entry %d %q", i, lo, e.Index, e.Data[:8])
			return
		}
	}
}

// TestAllocations: in the steady state an append costs no allocation.
func TestAllocations(t *testing.T) {
	cfg := steppedConfig(vfs.NewMem())
	cfg.SegmentBytes = 32 << 20
	cfg.TailBytes = 10_000
	l := mustOpen(t, cfg)
	defer l.Close()
	entries := makeEntries(1, 20_000, 1, 150)
	hard := &HardState{Term: 1}
	done := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	i := 0
	step := func() {
		for range 4 {
			l.Append(Append{Entries: entries[i : i+1], HardState: hard, Done: done})
			i++
		}
		l.Step()
	}
	for range 1000 {
		step()
	}
	if got := testing.AllocsPerRun(1000, step); got > 0 {
		t.Errorf("%v allocations in 4 appends and a flush", got)
	}
}

func TestSeedContinuesCRC(t *testing.T) {
	s := makeSeed(3, 4)
	for _, off := range []int64{0, 4096, 1<<40 + 17} {
		b := binary.LittleEndian.AppendUint64(nil, uint64(off))
		if got, want := s.at(off), crc32.Update(uint32(s), castagnoli, b); got != want {
			t.Errorf("at(%d) = %08x, want %08x", off, got, want)
		}
	}
}
