package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"holt/tree"
)

// TestIncremental writes one image after another of a tree that changes at random, loads and compares each, and reopens
// the store, or replaces the image, now and then.
func TestIncremental(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			fs := vfs.NewMem()
			b := newBed(t, seed)
			s := mustOpen(t, testConfig(fs))
			var from *tree.Root // fresh: anything is right
			var ephemerals int64
			for i := range uint64(60) {
				b.change(1 + b.rng.IntN(80))
				m := Mark{Index: i, Term: 3, ConfState: []byte(fmt.Sprint(i))}
				if b.rng.IntN(10) == 0 {
					from = nil
				}
				to := b.state.Root()
				if err := s.Write(baseOf(from), to, m); err != nil {
					t.Fatal(err)
				}
				checkHolds(t, s, to, m)
				ephemerals += to.EphemeralCount()
				if from = to; b.rng.IntN(5) == 0 {
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
					s = mustOpen(t, testConfig(fs))
					b.state = checkHolds(t, s, to, m)
					from = b.state.Root()
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if n := b.state.Root().NodeCount(); n < 100 || ephemerals == 0 {
				t.Fatalf("%d znodes, %d ephemerals on the way: too few to show anything", n, ephemerals)
			}
		})
	}
}

func TestFresh(t *testing.T) {
	fs := vfs.NewMem()
	for range 2 {
		s := mustOpen(t, testConfig(fs))
		state, m, err := s.Load()
		if err != nil || m.Index != 0 || state.Root().Digest() != tree.New().Root().Digest() {
			t.Fatalf("fresh image: %v, %v", m, err)
		}
		_ = s.Close()
	}
}

// TestC1_CrashAtEveryPoint cuts the power before every operation on the disk during a Write and the compactions beside
// it: what is loaded then is the old image or the new one, with the mark that belongs to it.
func TestC1_CrashAtEveryPoint(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { crashEverywhere(t, seed, 12) })
	}
}

type image struct {
	root *tree.Root
	mark Mark
}

func crashEverywhere(t *testing.T, seed uint64, writes int) {
	mem := vfs.NewCrashableMem()
	var (
		mu       sync.Mutex
		rng      = rand.New(rand.NewPCG(seed, 2))
		old, new image
		armed    atomic.Bool
		crashes  int
	)
	// Operations come from Pebble's goroutines under Pebble's locks: what goes wrong is told later.
	var failure error
	check := func(percent int) {
		if failure == nil {
			failure = checkCrash(mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}), old, new)
		}
		crashes++
	}
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if armed.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			mu.Lock()
			defer mu.Unlock()
			check([]int{0, 50, 100}[crashes%3])
		}
		return nil
	}))
	b := newBed(t, seed)
	s := mustOpen(t, testConfig(fs))
	defer s.Close()
	old = image{tree.New().Root(), Mark{}}
	for i := range uint64(writes) {
		b.change(150)
		mu.Lock()
		new = image{b.state.Root(), Mark{Index: i + 1, Term: 1, ConfState: []byte("x")}}
		mu.Unlock()
		armed.Store(true)
		from := old.root
		if i%4 == 3 {
			from = nil
		}
		if err := s.Write(baseOf(from), new.root, new.mark); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		old = new
		check(0) // durable on return
		err := failure
		mu.Unlock()
		if err != nil {
			t.Fatalf("write %d, crash %d: %v", i, crashes, err)
		}
	}
	armed.Store(false)
	t.Logf("%d crashes", crashes)
}

// checkCrash loads what was found after a crash, which must be one of the images.
func checkCrash(found vfs.FS, images ...image) error {
	s, err := Open(testConfig(found))
	if err != nil {
		return err
	}
	state, m, err := s.Load()
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	for _, want := range images {
		if sameMark(m, want.mark) && heldOf(state.Root()) == heldOf(want.root) {
			return nil
		}
	}
	return fmt.Errorf("found mark %v at zxid %#x", m, int64(state.Root().Zxid()))
}

// TestNoSpace fails one operation of a Write after the other for want of space: the image stays what it was, and the
// next Write goes through.
func TestNoSpace(t *testing.T) {
	var count, fail atomic.Int64
	mem := vfs.NewMem()
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		// Only what a Write makes: Pebble's manifest is what freeBytesMin is for.
		write := op.Kind == errorfs.OpCreate || op.Kind == errorfs.OpFileWrite || op.Kind == errorfs.OpLink
		if write && strings.Contains(op.Path, buildingDir) && count.Add(1) == fail.Load() {
			return syscall.ENOSPC
		}
		return nil
	}))
	b := newBed(t, 1)
	b.change(300)
	s := mustOpen(t, testConfig(fs))
	defer s.Close()
	from, m := b.state.Root(), Mark{Index: 1}
	if err := s.Write(nil, from, m); err != nil {
		t.Fatal(err)
	}
	for i := int64(1); ; i++ {
		b.change(700)
		count.Store(0)
		fail.Store(i)
		next := Mark{Index: m.Index + 1}
		err := s.Write(baseOf(from), b.state.Root(), next)
		fail.Store(0)
		if err == nil {
			if i < 10 {
				t.Fatalf("only %d operations failed", i)
			}
			break
		}
		if !errors.Is(err, ErrFull) {
			t.Fatalf("operation %d: %v", i, err)
		}
		if names, _ := mem.List(s.building()); len(names) != 0 {
			t.Fatalf("operation %d: %v were left", i, names)
		}
		s.known = false
		state, got, err := s.Load()
		if err != nil || !sameMark(got, m) || state.Root().Digest() != from.Digest() {
			t.Fatalf("operation %d: the image changed: %v, %v", i, got, err)
		}
		if err := s.Write(baseOf(from), b.state.Root(), next); err != nil {
			t.Fatalf("operation %d: with space again: %v", i, err)
		}
		from, m = b.state.Root(), next
	}
}

// TestC2_WrongRoot: a difference from a root that the image does not hold is refused.
func TestC2_WrongRoot(t *testing.T) {
	fs := vfs.NewMem()
	b := newBed(t, 1)
	s := mustOpen(t, testConfig(fs))
	b.change(20)
	first := b.state.Root()
	if err := s.Write(nil, first, Mark{Index: 1}); err != nil {
		t.Fatal(err)
	}
	b.change(20)
	second := b.state.Root()
	if err := s.Write(baseOf(second), second, Mark{Index: 2}); err == nil || !strings.Contains(err.Error(), "C2") {
		t.Fatalf("write from a root that was never written: %v", err)
	}
	_ = s.Close()
	s = mustOpen(t, testConfig(fs))
	defer s.Close()
	if err := s.Write(baseOf(first), second, Mark{Index: 2}); err == nil {
		t.Fatal("a write before a load, from a root that nobody compared with the image")
	}
}

func TestBackup(t *testing.T) {
	dir := t.TempDir()
	b := newBed(t, 1)
	s := mustOpen(t, Config{Dir: dir + "/image"})
	defer s.Close()
	b.change(300)
	root, m := b.state.Root(), Mark{Index: 7, Term: 2}
	if err := s.Write(nil, root, m); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(dir + "/backup"); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(dir + "/backup"); err == nil {
		t.Fatal("a backup over another")
	}
	b.change(300)
	if err := s.Write(baseOf(root), b.state.Root(), Mark{Index: 8}); err != nil {
		t.Fatal(err)
	}
	if s.DiskBytes() <= 0 {
		t.Fatal("no bytes on disk")
	}
	old := mustOpen(t, Config{Dir: dir + "/backup"})
	defer old.Close()
	checkHolds(t, old, root, m)
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, Config{Dir: dir})
	if _, err := Open(Config{Dir: dir}); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("second Open = %v", err)
	}
	_ = s.Close()
	if err := mustOpen(t, Config{Dir: dir}).Close(); err != nil {
		t.Fatal(err)
	}
}

func TestNewerFormat(t *testing.T) {
	fs := vfs.NewMem()
	b := newBed(t, 1)
	s := mustOpen(t, testConfig(fs))
	if err := s.Write(nil, b.state.Root(), Mark{Index: 1}); err != nil {
		t.Fatal(err)
	}
	if err := s.db.Set(keyFormat, binary.LittleEndian.AppendUint32(nil, formatVersion+1), pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	if _, err := Open(testConfig(fs)); !errors.Is(err, ErrNewerFormat) {
		t.Fatalf("Open = %v", err)
	}
}

// TestNewerStore: files of a newer Pebble are a newer format, too.
func TestNewerStore(t *testing.T) {
	fs := vfs.NewMem()
	_ = mustOpen(t, testConfig(fs)).Close()
	names, err := fs.List("/data/image")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if rest, ok := strings.CutPrefix(name, "marker.format-version."); ok {
			newer := fmt.Sprintf("marker.format-version.%s.%03d", strings.Split(rest, ".")[0], pebble.FormatNewest+100)
			if err := fs.Rename("/data/image/"+name, "/data/image/"+newer); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := Open(testConfig(fs)); !errors.Is(err, ErrNewerFormat) {
		t.Fatalf("Open = %v", err)
	}
}

// TestDamage flips one bit in every table in turn: Load says so, rather than building another tree.
func TestDamage(t *testing.T) {
	mem := vfs.NewMem()
	b := newBed(t, 1)
	b.change(5000)
	s := mustOpen(t, testConfig(mem))
	if err := s.Write(nil, b.state.Root(), Mark{Index: 1}); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	names, err := mem.List("/data/image")
	if err != nil {
		t.Fatal(err)
	}
	tables := 0
	for _, name := range names {
		if !strings.HasSuffix(name, ".sst") {
			continue
		}
		tables++
		flip(t, mem, "/data/image/"+name, 100)
		s, err := Open(testConfig(mem))
		if err == nil {
			_, _, err = s.Load()
			_ = s.Close()
		}
		if err == nil || errors.Is(err, ErrNewerFormat) {
			t.Fatalf("%s: %v", name, err)
		}
		flip(t, mem, "/data/image/"+name, 100)
	}
	if tables < 3 {
		t.Fatalf("%d tables", tables)
	}
	s = mustOpen(t, testConfig(mem))
	defer s.Close()
	checkHolds(t, s, b.state.Root(), Mark{Index: 1})
}

func flip(t *testing.T, mem vfs.FS, path string, off int64) {
	t.Helper()
	f, err := mem.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 4
	if _, err := f.WriteAt(b[:], off); err != nil {
		t.Fatal(err)
	}
}
