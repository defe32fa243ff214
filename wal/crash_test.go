package wal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// world runs a script against a log on a crashFS, and knows what may be found after a crash: what was acknowledged, plus
// any number of the requests that were on their way, in order.
type world struct {
	t      *testing.T
	seed   uint64
	rng    *rand.Rand // of the crashes; the script has its own, so that crashes do not change it
	script script
	fs     *crashFS
	log    *Log
	acked  model
	onWay  []request
	ops    int
	checks int
	noSync bool
	states []model // if noSync: all that were, for any of them may be found
	nested int     // one of so many recoveries is itself crashed at every operation
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, seed: seed, nested: 40,
		rng:    rand.New(rand.NewPCG(seed, 1)),
		script: script{rng: rand.New(rand.NewPCG(seed, 2))},
	}
	w.fs = newCrashFS(vfs.NewCrashableMem())
	return w
}

func (w *world) config(fs vfs.FS) Config {
	cfg := steppedConfig(fs)
	cfg.TailBytes = 2000
	cfg.BatchBytesMax = 4 << 10
	cfg.Salt = w.script.rng.Uint64
	cfg.NoSync = w.noSync
	return cfg
}

func (w *world) fatalf(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("seed %d, operation %d: %s", w.seed, w.ops, fmt.Sprintf(format, args...))
}

func (w *world) open() {
	w.log = mustOpen(w.t, w.config(w.fs))
}

// promised is the model after everything on its way.
func (w *world) promised() model {
	m := w.acked
	for _, r := range w.onWay {
		m = m.with(r)
	}
	return m
}

func (w *world) submit(r request) {
	w.onWay = append(w.onWay, r)
	r.Done = func(err error) {
		if err == nil {
			w.acked = w.acked.with(w.onWay[0])
			if w.noSync {
				w.states = append(w.states, w.acked)
			}
		} else if !errors.Is(err, ErrFull) {
			w.fatalf("request answered %v", err)
		}
		w.onWay = w.onWay[1:]
	}
	w.log.submit(r)
}

// crashHere recovers from crashes at this very moment, of every kind.
func (w *world) crashHere(op, path string) {
	w.ops++
	w.checkRecovery(w.fs, 0, false)
	w.checkRecovery(w.fs, 50, false)
	w.checkRecovery(w.fs, 100, false)
	w.checkRecovery(w.fs, 50, true)
}

func (w *world) checkRecovery(fs *crashFS, percent int, sectors bool) {
	w.t.Helper()
	found := newCrashFS(fs.crash(w.rng, percent, sectors))
	nested := fs == w.fs && w.rng.IntN(w.nested) == 0
	if nested {
		found.before = func(op, path string) error {
			w.checkRecovery(found, 50, w.rng.IntN(2) == 0)
			return nil
		}
	}
	log, err := Open(w.config(found))
	if err != nil {
		w.fatalf("recovery after a crash (%d%%, sectors %v): %v", percent, sectors, err)
	}
	found.before = nil
	state := w.checkState(log)
	w.checks++
	// What recovery told must survive the next crash.
	again, err := Open(w.config(newCrashFS(found.crash(w.rng, 0, false))))
	if err != nil {
		w.fatalf("second recovery: %v", err)
	}
	if err := state.differs(again); err != nil {
		w.fatalf("recovery was not durable: %v", err)
	}
	w.checkUsable(found, log, state)
}

// checkState finds the state that the log must be in, among those that it may be in.
func (w *world) checkState(log *Log) model {
	w.t.Helper()
	m := w.acked
	first := m.differs(log)
	if first == nil {
		return m
	}
	for _, r := range w.onWay {
		m = m.with(r)
		if m.differs(log) == nil {
			return m
		}
	}
	for i := len(w.states) - 1; i >= 0; i-- {
		if w.states[i].differs(log) == nil {
			return w.states[i]
		}
	}
	w.fatalf("recovered log is neither what was acknowledged (%v) nor that and some of %d more", first, len(w.onWay))
	return m
}

func (w *world) checkUsable(fs *crashFS, log *Log, m model) {
	w.t.Helper()
	r := request{Append: Append{Entries: makeEntries(m.last()+1, m.last()+2, 1<<20, 700)}}
	if err := appendNow(log, nil, r.Entries...); err != nil {
		w.fatalf("append after recovery: %v", err)
	}
	if err := log.Close(); err != nil {
		w.fatalf("close after recovery: %v", err)
	}
	again, err := Open(w.config(newCrashFS(fs.crash(w.rng, 0, false))))
	if err != nil {
		w.fatalf("reopening after recovery: %v", err)
	}
	if err := m.with(r).differs(again); err != nil {
		w.fatalf("after recovery and an append: %v", err)
	}
}

// run does n requests.
func (w *world) run(n int) {
	w.open()
	for range n {
		w.submit(w.script.next(w.promised()))
		switch p := w.script.rng.IntN(100); {
		case p < 50:
			w.log.Step()
			w.checkLive()
		case p < 52:
			w.reopen(w.fs)
		case p < 54:
			w.power()
		}
	}
	w.log.Step()
	w.checkLive()
	w.reopen(w.fs)
}

func (w *world) checkLive() {
	if len(w.onWay) > 0 {
		w.fatalf("%d requests unanswered after a step", len(w.onWay))
	}
	if err := w.acked.differs(w.log); err != nil {
		w.fatalf("%v", err)
	}
}

func (w *world) reopen(fs *crashFS) {
	if err := w.log.Close(); err != nil {
		w.fatalf("close: %v", err)
	}
	w.fs = fs
	w.open()
	w.checkLive()
}

// power cuts the power and goes on with what is found.
func (w *world) power() {
	before := w.fs.before
	w.fs.before = nil
	found := newCrashFS(w.fs.crash(w.rng, 50, w.rng.IntN(2) == 0))
	w.fs = found
	w.open()
	w.acked, w.onWay = w.checkState(w.log), nil
	found.before = before
}

// TestW1_CrashAtEveryPoint cuts the power before every write, sync, rename and removal of a random run.
func TestW1_CrashAtEveryPoint(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed)
			w.fs.before = func(op, path string) error { w.crashHere(op, path); return nil }
			w.run(120)
			t.Logf("%d operations, %d recoveries", w.ops, w.checks)
		})
	}
}

type killed struct{}

// TestW2_KilledProcess ends the process between two operations: what it wrote is in the page cache, synced or not. What
// the next process finds there it may act on, so it must be durable before Open returns: a power cut right after must
// not take it back.
func TestW2_KilledProcess(t *testing.T) {
	for seed := range uint64(10) {
		w := newWorld(t, seed)
		w.fs.before = func(op, path string) error {
			if w.log != nil && w.rng.IntN(30) == 0 {
				panic(killed{})
			}
			return nil
		}
		w.open()
		for range 400 {
			w.submit(w.script.next(w.promised()))
			if w.script.rng.IntN(2) == 0 && w.stepKilled() {
				w.log = nil
				w.open()
				w.acked, w.onWay = w.checkState(w.log), nil
				found, err := Open(w.config(w.fs.crash(w.rng, 0, false)))
				if err != nil {
					w.fatalf("power cut after a kill: %v", err)
				}
				if err := w.acked.differs(found); err != nil {
					w.fatalf("what was found after a kill is gone after a power cut: %v", err)
				}
			}
		}
	}
}

func (w *world) stepKilled() (died bool) {
	defer func() {
		if p := recover(); p != nil {
			if _, died = p.(killed); !died {
				panic(p)
			}
		}
	}()
	w.log.Step()
	return false
}

// TestNoSync cuts the power under a log that does not wait for the disk: what is found is what the log once was.
func TestNoSync(t *testing.T) {
	for seed := range uint64(2) {
		w := newWorld(t, seed)
		w.noSync, w.states, w.nested = true, []model{{}}, 1<<30
		w.fs.before = func(op, path string) error {
			if w.ops++; w.ops%3 == 0 {
				w.checkRecovery(w.fs, 50, w.ops%2 == 0)
			}
			return nil
		}
		w.run(200)
	}
}

// TestNoSync_WhatLiesBehindALostWriteStaysLost: a log that does not sync loses a write in the middle and keeps what came after
// it. When the place of the lost one is taken again, to the byte, the later ones must not come back to life behind it.
func TestNoSync_WhatLiesBehindALostWriteStaysLost(t *testing.T) {
	cfg := steppedConfig(vfs.NewMem())
	cfg.NoSync = true
	l := mustOpen(t, cfg)
	var ends []int64
	for i := uint64(1); i <= 5; i++ {
		if err := appendNow(l, nil, makeEntries(i, i, 1, 500)...); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, l.off)
	}
	path := l.path(l.open.id)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := cfg.FS.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, ends[2]-ends[1]), ends[1]); err != nil { // entry 3
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, cfg)
	want := makeEntries(1, 2, 1, 500)
	checkEntries(t, l, want)
	other := makeEntries(3, 3, 1, 500)
	other[0].Data[0] = 'x'
	if err := appendNow(l, nil, other...); err != nil {
		t.Fatal(err)
	}
	if l.off != ends[2] {
		t.Fatalf("the log ends at %d, not where the lost write did, at %d", l.off, ends[2])
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, cfg)
	checkEntries(t, l, append(want, other...))
	if last := l.LastIndex(); last != 3 {
		t.Errorf("the log ends with entry %d, want 3", last)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestModel runs longer without crashes at every point, to reach states that the short runs do not.
func TestModel(t *testing.T) {
	for seed := uint64(100); seed < 110; seed++ {
		newWorld(t, seed).run(1500)
	}
}

// TestW5_NoSpaceAtEveryWrite fails every write once for want of space, keeping none, some or all of it, and cuts the
// power at all points around it: what was refused must not come back, what was acknowledged must stay.
func TestW5_NoSpaceAtEveryWrite(t *testing.T) {
	for _, keep := range []string{"none", "half", "most", "all"} {
		t.Run("keep="+keep, func(t *testing.T) {
			t.Parallel()
			for fail := 1; ; fail += 5 {
				if !runWithoutSpace(t, fail, keep) {
					break
				}
			}
		})
	}
}

func runWithoutSpace(t *testing.T, fail int, keep string) (failed bool) {
	w := newWorld(t, 7)
	w.nested = 1 << 30
	w.open() // a log that cannot be opened for want of space is another test
	writes := 0
	w.fs.torn = func(n int) int {
		switch keep {
		case "none":
			return 0
		case "half":
			return n / 2
		case "most":
			return n - 1
		}
		return n
	}
	w.fs.before = func(op, path string) error {
		if op == "write" || op == "create" {
			writes++
		}
		if writes > fail && writes < fail+4 {
			w.checkRecovery(w.fs, 50, true)
			w.checkRecovery(w.fs, 100, false)
		}
		if (op == "write" || op == "create") && writes == fail {
			failed = true
			return syscall.ENOSPC
		}
		return nil
	}
	for range 60 {
		w.submit(w.script.next(w.promised()))
		if w.script.rng.IntN(2) == 0 {
			w.log.Step()
			w.checkLive()
		}
	}
	w.log.Step()
	w.log.Step() // the probe finds space, unless the failure was the last operation
	w.checkLive()
	if w.log.Full() {
		t.Fatalf("write %d: the log stays full although there is space", fail)
	}
	w.fs.before = nil
	w.reopen(w.fs)
	return failed
}
