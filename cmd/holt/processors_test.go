package main

import (
	"fmt"
	"log/slog"
	"os/exec"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"holt/perf"
)

func TestThrift(t *testing.T) {
	writes := load{used: 0.7, spare: 0.5, entries: 3000}
	full := load{used: 0.95, spare: 0.9, entries: 3000}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"little to do", []step{{load{used: 0.2, spare: 1.7, entries: 900}, 20, false}}},
		{"reads only", []step{{load{used: 0.8, spare: 0.5}, 20, false}}},
		{"writes", []step{{writes, 1, false}, {writes, 1, true}, {writes, 50, true}}},
		{"a pause between writes", []step{{writes, 1, false}, {load{}, 1, false}, {writes, 1, false}, {writes, 1, true}}},
		{"more than one can do", []step{{load{used: 1.4, entries: 3000}, 20, false}}},
		{"writes become few", []step{{writes, 2, true}, {load{used: 0.7, entries: 40}, 4, true}, {load{used: 0.7, entries: 40}, 1, false}}},
		{"requests become few", []step{{writes, 2, true}, {load{used: 0.2, entries: 900}, 4, true}, {load{used: 0.2, entries: 900}, 1, false}}},
		{"neither few nor many", []step{{writes, 2, true}, {load{used: 0.3, entries: 70}, 50, true}, {load{}, 5, false}, {load{used: 0.3, entries: 70}, 50, false}}},
		{"many connections", []step{{load{used: 0.7, entries: 3000, conns: 200}, 20, false}, {writes, 2, true}, {load{used: 0.7, entries: 3000, conns: 200}, 1, false}}},
		{"a large tree", []step{{load{used: 0.7, entries: 3000, live: 100 << 20}, 20, false}, {writes, 2, true}, {load{used: 0.7, entries: 3000, live: 100 << 20}, 1, false}}},
		{"one is short", []step{{writes, 2, true}, {full, 2, true}, {full, 1, false}, {load{used: 1.8, entries: 9000}, 50, false}}},
		{"one is short, and nobody has one to spare", []step{{writes, 2, true}, {load{used: 0.95, spare: 0.4, entries: 3000}, 50, true}}},
		{
			"both are no better: the next attempt comes later",
			[]step{{writes, 2, true}, {full, 3, false}, {writes, 2, true}, {full, 5, true}, {full, 1, false}, {writes, 2, true}, {full, 11, true}, {full, 1, false}},
		},
		{
			"and no later than that",
			append(vain(8), step{writes, 2, true}, step{full, shortMax - 1, true}, step{full, 1, false}),
		},
		{"an idle server forgets it", append(vain(4), step{writes, 2, true}, step{load{}, 5, false}, step{writes, 2, true}, step{full, 3, false})},
	} {
		var th thrift
		for i, s := range c.steps {
			for range s.windows {
				th.next(s.load)
			}
			if th.one != s.one {
				t.Errorf("%s: after step %d one is enough: %t, want %t", c.name, i, th.one, s.one)
			}
		}
	}
}

// step is so many windows of a load, and whether one processor is enough after them.
type step struct {
	load    load
	windows int
	one     bool
}

// vain takes both n times for nothing.
func vain(n int) (steps []step) {
	for i := range n {
		steps = append(steps, step{load{used: 0.7, entries: 3000}, fitWindows, true},
			step{load{used: 0.95, spare: 0.9, entries: 3000}, min(shortWindows<<i, shortMax), false})
	}
	return steps
}

func TestCounted(t *testing.T) {
	s := &server{metrics: perf.New(perf.Config{Loops: 1})}
	runtime.GC()
	before := s.counted()
	for range 50 {
		s.metrics.Proposals.Inc()
	}
	for range 20 {
		s.metrics.ConnsAccepted.Inc()
	}
	for end := before.used + 0.01; s.counted().used < end; {
	}
	after := s.counted()
	if before.spare <= 0 || after.spare < before.spare {
		t.Errorf("processors of the machine did nothing for %v s, later for %v", before.spare, after.spare)
	}
	if after.live == 0 {
		t.Error("nothing lives in the heap")
	}
	l := after.since(before, 2)
	if l.entries != 25 || l.conns != 10 || l.used != (after.used-before.used)/2 || l.spare != (after.spare-before.spare)/2 || l.live != after.live {
		t.Errorf("from %+v to %+v in 2 s: %+v", before, after, l)
	}
}

// The log asks from the moment it is opened, before there is anybody who knows of requests.
// A tree in slabs is no reason to use two processors.
func TestCounted_SlabsAside(t *testing.T) {
	c := serverConfig(t, t.TempDir())
	s := &server{cfg: c, logger: slog.New(slog.DiscardHandler), process: 1}
	serveHere(t, s)
	client := openFor(t, c.Client.Addr(), 20_000)
	for i := range 1000 {
		client.must(createReq(fmt.Sprintf("/n%03d", i), "data"))
	}
	slabs := s.slabBytes()
	if least := uint64(1000 * len("/n000data")); slabs < least {
		t.Errorf("%d bytes in slabs, want %d at least", slabs, least)
	}
	eventually(t, 20*time.Second, func() string {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		counted := s.counted().live
		before := live[0].Value.Uint64()
		if metrics.Read(live); live[0].Value.Uint64() == before && before > slabs && counted == before-slabs {
			return ""
		}
		return fmt.Sprintf("%d bytes live, %d of them in slabs, %d are counted", before, slabs, counted)
	})
}

func TestHoldProcessor_NotBeforeClientsAreServed(t *testing.T) {
	if new(server).holdProcessor() {
		t.Error("holds a processor although both are used")
	}
}

// Under a load of writes a server on two processors uses one of them, and both again when nothing is asked of it.
func TestProcess_OneProcessorIsEnoughForWrites(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("needs two processors")
	}
	t.Setenv("GOMAXPROCS", "") // unset
	p := onTwoProcessors(t, func() *process { return startProcess(t, t.TempDir()) })
	takes := func(want float64) {
		t.Helper()
		eventually(t, 30*time.Second, func() string {
			if n := p.metric("go_gomaxprocs"); n != want {
				return fmt.Sprintf("takes %v processors, want %v", n, want)
			}
			return ""
		})
	}
	takes(2)
	load := exec.CommandContext(t.Context(), holtBinary(t), "bench", "set", "--conns", "16", "--servers", p.addr, "--duration", "120s")
	if err := load.Start(); err != nil {
		t.Fatal(err)
	}
	takes(1)
	_ = load.Process.Kill()
	_ = load.Wait() // it was killed
	takes(2)
}

// onTwoProcessors starts a process that finds two processors.
func onTwoProcessors(t *testing.T, start func() *process) *process {
	t.Helper()
	runtime.LockOSThread() // what it may run on is inherited from the thread that starts it
	defer runtime.UnlockOSThread()
	var all, two unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	for i := 0; two.Count() < 2; i++ {
		if all.IsSet(i) {
			two.Set(i)
		}
	}
	if err := unix.SchedSetaffinity(0, &two); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.SchedSetaffinity(0, &all) }() // it was so before
	return start()
}
