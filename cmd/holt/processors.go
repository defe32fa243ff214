package main

import (
	"context"
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A write goes from the event loop to the quorum's goroutine, the log's, back, to the one that applies, and to the loop again. With two
// processors Go gives each step to the one that is idle: a thread is woken on another core every time, and an entry is begun with the
// first write that comes. With one the loop reads what all connections have sent before it is the quorum's turn, so that entries are
// fewer and larger, and nobody is woken. A server that stands alone on two processors therefore uses one of them while that is enough
// for its writes. It uses both when little is asked of it, since with one a thread that waits for the disk can hold up the others
// for a moment; when many connections come, for which Go polls itself; when one is short while the machine has another to spare; and
// with a large tree of znodes that are not plain, whose collections would stop the one for up to 20 ms at a time.
//
// While many requests write (a quarter, netloop's mix), that moment is taken on purpose: see holdProcessor and netloop.Config.Yield. One thread then reads, has the
// quorum propose, waits for the disk, applies and answers.

// load is what a server did in one window.
type load struct {
	used    float64 // processor time that it took, in processors
	spare   float64 // that nobody on the machine took
	entries float64 // proposed per second
	conns   float64 // accepted per second
	live    uint64  // bytes that the last collection found in use, slabs aside
}

const (
	loadWindow = 100 * time.Millisecond

	usedMin  = 0.35 // below, both are used
	usedIdle = 0.25 // and below this, again
	usedFull = 0.9  // what one processor can do
	usedBoth = 1.3  // above, one would not do
	spareMin = 0.75

	entriesMin  = 100.
	entriesIdle = 50.
	connsMany   = 100.
	liveMax     = 64 << 20

	fitWindows   = 2 // in a row, for one processor,
	idleWindows  = 5 // and back to both because of idleness,
	shortWindows = 3 // or because one is short,
	shortMax     = 100
)

// thrift decides whether one processor is enough. The zero value uses both.
type thrift struct {
	one              bool
	fit, idle, short int // windows in a row
	vain             int // how often both turned out to be no better since the server was idle
}

// next takes in a window.
func (t *thrift) next(l load) {
	both := l.conns >= connsMany || l.live > liveMax
	t.fit = inRow(t.fit, !both && l.entries >= entriesMin && l.used >= usedMin && l.used < usedBoth)
	t.idle = inRow(t.idle, l.entries < entriesIdle || l.used < usedIdle)
	t.short = inRow(t.short, l.used >= usedFull && l.spare >= spareMin)
	was := t.one
	switch {
	case !t.one:
		t.one = t.fit >= fitWindows
	case t.idle >= idleWindows:
		t.one, t.vain = false, 0
	case t.short >= min(shortWindows<<t.vain, shortMax):
		t.one, t.vain = false, min(t.vain+1, 8)
	case both:
		t.one = false
	}
	if t.one != was {
		t.fit, t.idle, t.short = 0, 0, 0
	}
}

func inRow(n int, yes bool) int {
	if yes {
		return n + 1
	}
	return 0
}

// saveProcessors looks at the load until ctx ends. Operators who set GOMAXPROCS themselves are left alone.
func (s *server) saveProcessors(ctx context.Context) {
	if os.Getenv("GOMAXPROCS") != "" || s.loops > 1 {
		return
	}
	var t thrift
	before, at := s.counted(), time.Now()
	tick := time.NewTicker(loadWindow)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if s.processors == 0 && runtime.GOMAXPROCS(0) != 2 {
			continue // its container may use more or less now
		}
		counted, now := s.counted(), time.Now()
		t.next(counted.since(before, now.Sub(at).Seconds()))
		before, at = counted, now
		switch {
		case t.one && s.processors == 0:
			s.spareProcessors()
		case !t.one && s.processors != 0:
			s.useProcessors()
		}
		s.onOne.Store(t.one)
	}
}

// holdProcessor says whether who waits for the log's disk should keep the processor (for 2 ms at most, disk.Held): it is the only one
// that is used, and much of what is asked waits for that disk too.
func (s *server) holdProcessor() bool { return s.onOne.Load() && s.client.Writing() }

// counted is the load in sums: seconds of processors' time, entries, connections.
func (s *server) counted() load {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r) // cannot fail
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	return load{
		used:    float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9,
		spare:   spareSeconds(),
		entries: float64(s.metrics.Proposals.Value()),
		conns:   float64(s.metrics.ConnsAccepted.Value()),
		live:    live[0].Value.Uint64() - min(s.slabBytes(), live[0].Value.Uint64()),
	}
}

// since is the load between two sums that are so many seconds apart.
func (l load) since(before load, seconds float64) load {
	return load{
		used: (l.used - before.used) / seconds, spare: (l.spare - before.spare) / seconds,
		entries: (l.entries - before.entries) / seconds, conns: (l.conns - before.conns) / seconds,
		live: l.live,
	}
}

// spareSeconds is the time that all processors of the machine together did nothing, as the first line of /proc/stat says it in
// hundredths of a second; 0 where there is no such file.
func spareSeconds() float64 {
	b, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(b), "\n")
	f := strings.Fields(line) // cpu user nice system idle iowait ...
	if len(f) < 6 {
		return 0
	}
	idle, _ := strconv.ParseFloat(f[4], 64)
	wait, _ := strconv.ParseFloat(f[5], 64)
	return (idle + wait) / 100
}
