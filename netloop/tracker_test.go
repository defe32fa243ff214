package netloop

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"holt/perf"
	"holt/tree"
)

// slowTracker is the obvious tracker: it remembers when each session was heard of last.
type slowTracker struct {
	nowMs int64
	heard map[tree.SessionID][2]int64 // at, timeout
}

// TestN7_TrackerAgainstTwin: nothing expires early, and nothing later than a tick and a bit.
func TestN7_TrackerAgainstTwin(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 7))
		tickMs := []int{1, 10, 100, 3000}[r.IntN(4)]
		fast, slow := newTracker(tickMs), slowTracker{heard: map[tree.SessionID][2]int64{}}
		for range 3000 {
			id := tree.SessionID(1 + r.IntN(50))
			switch r.IntN(6) {
			case 0:
				timeout := int32(2*tickMs + r.IntN(18*tickMs))
				fast.add(id, timeout)
				slow.heard[id] = [2]int64{slow.nowMs, int64(timeout)}
			case 1, 2:
				fast.touch(id)
				if h, ok := slow.heard[id]; ok {
					h[0] = slow.nowMs
					slow.heard[id] = h
				}
			case 3:
				if r.IntN(4) == 0 {
					fast.remove(id)
					delete(slow.heard, id)
				}
			default:
				ms := r.Int64N(int64(tickMs)) + 1
				slow.nowMs += ms
				for _, id := range tick(fast, ms) {
					h, ok := slow.heard[id]
					if !ok {
						t.Fatalf("seed %d: session %d expired and is not open", seed, id)
					}
					if slow.nowMs <= h[0]+h[1] {
						t.Fatalf("N7: seed %d: session %d expired at %d, %d ms after it was heard of, of %d", seed, id, slow.nowMs, slow.nowMs-h[0], h[1])
					}
					fast.remove(id)
					delete(slow.heard, id)
				}
				for id, h := range slow.heard {
					if late := slow.nowMs - h[0] - h[1]; late > int64(2*tickMs) {
						t.Fatalf("seed %d: session %d is %d ms late", seed, id, late)
					}
				}
			}
		}
	}
}

// tick lets time pass in which nothing was heard.
func tick(k *tracker, ms int64) []tree.SessionID {
	k.pass(ms)
	return k.expire()
}

func TestTrackerRenew(t *testing.T) {
	k := newTracker(100)
	k.add(1, 300)
	k.add(2, 300)
	if got := tick(k, 400); fmt.Sprint(got) != "[1 2]" {
		t.Errorf("expired %v, want [1 2]", got)
	}
	k.touch(1) // too late
	k.renew(2)
	if got := tick(k, 200); fmt.Sprint(got) != "[2]" {
		t.Errorf("expired %v, want [2]", got)
	}
	k.add(1, 300)
	if got := tick(k, 300); len(got) != 0 {
		t.Errorf("expired %v within a fresh timeout", got)
	}
	if got := tick(k, 200); fmt.Sprint(got) != "[1]" {
		t.Errorf("expired %v, want [1]", got)
	}
}

func BenchmarkTrackerTouch(b *testing.B) {
	k := newTracker(2000)
	for i := range 100_000 {
		k.add(tree.SessionID(i), 30_000)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		k.touch(tree.SessionID(i % 100_000))
		if i%100_000 == 0 {
			tick(k, 1000)
		}
	}
}

// TestN7_HeardOfBeforeItLeft: what a connection said right before it went counts, although the clock asks later. A session was
// expired up to an interval between its pings early otherwise (simulator, seed 5383). So does the request of one that had not got
// its session yet (seed 25474).
func TestN7_HeardOfBeforeItLeft(t *testing.T) {
	s := &shared{cfg: Config{Metrics: perf.New(perf.Config{Loops: 1})}}
	l := newLoop(s, 0)
	for slot, c := range []*conn{{session: 7, touched: true}, {session: 8}, {session: 9, touched: true, readOnly: true}, {claims: 10}, {}} {
		c.loop, c.slot = l, uint32(slot)
		l.conns = append(l.conns, c)
	}
	for _, c := range slices.Clone(l.conns) {
		l.forget(c)
	}
	if got := l.takeTouched(); !slices.Equal(got, []tree.SessionID{7, 10}) {
		t.Errorf("heard of %v, want [7 10]", got)
	}
	if got := l.takeTouched(); len(got) != 0 {
		t.Errorf("heard of %v once more", got)
	}
}
