package main

import (
	"fmt"
	"testing"
	"time"

	"holt/netloop/wire"
)

// compareFakes runs ops operations of seed against two fake servers.
func compareFakes(t *testing.T, seed uint64, ops int, mode string, prepare func(a, b *fakeServer)) (*mismatch, *run) {
	t.Helper()
	a, b := startFake(t, 10, 1000), startFake(t, 5<<32, 77<<40)
	if prepare != nil {
		prepare(a, b)
	}
	r := newRun([2]*server{{name: "a", addr: a.l.Addr().String()}, {name: "b", addr: b.l.Addr().String()}}, 5)
	if prepare != nil {
		r.servers[0].patience, r.servers[1].patience = time.Second, time.Second // what is spoiled may never be answered
	}
	defer r.end()
	if err := r.begin(); err != nil {
		t.Fatal(err)
	}
	g := newGenerator(seed, mode, 5)
	r.observe = g.observe
	for r.ops < ops {
		s := g.next()
		if m := r.do(&s); m != nil {
			return m, r
		}
	}
	final := step{kind: stepBarrier}
	return r.do(&final), r
}

func TestEqualServersAreEqual(t *testing.T) {
	for seed := range uint64(4) {
		m, r := compareFakes(t, seed, 4000, "default", nil)
		if m != nil {
			t.Errorf("seed %d: %s\n%s", seed, m.what, m.detail)
		}
		if r.sessions < 5 {
			t.Errorf("seed %d: only %d sessions", seed, r.sessions)
		}
	}
}

// TestSpoiledAnswersAreSeen spoils one reply of one server in several ways: each must end the run with a mismatch.
func TestSpoiledAnswersAreSeen(t *testing.T) {
	spoils := map[string]func([]byte) []byte{
		"xid":         func(b []byte) []byte { b[7] ^= 1; return b },
		"zxid":        func(b []byte) []byte { b[15] ^= 1; return b },
		"error":       func(b []byte) []byte { b[19] ^= 1; return b },
		"more bytes":  func(b []byte) []byte { return frameOf(append(b[4:], 0)) },
		"twice":       func(b []byte) []byte { return append(b, b...) },
		"event added": func(b []byte) []byte { return append(wire.AppendEvent(nil, 3, wire.EventNodeCreated, "/x"), b...) },
	}
	for name, change := range spoils {
		for _, at := range []int{1, 2, 300, 900} {
			m, _ := compareFakes(t, 7, 3000, "default", func(_, b *fakeServer) {
				n := 0
				b.spoil = func(reply []byte) []byte {
					if n++; n == at+1 { // the first reply only tells where zxids start
						return change(reply)
					}
					return reply
				}
			})
			if m == nil {
				t.Errorf("%s of reply %d spoiled: not seen", name, at)
			}
		}
	}
}

// TestFlippedBitIsSeen is what the flag -flip does.
func TestFlippedBitIsSeen(t *testing.T) {
	for _, at := range []int{3, 50, 2000} {
		m, _ := compareFakes(t, 9, 6000, "default", nil)
		if m != nil {
			t.Fatalf("untouched: %s", m.what)
		}
		a, b := startFake(t, 10, 1000), startFake(t, 20, 9000)
		r := newRun([2]*server{{name: "a", addr: a.l.Addr().String()}, {name: "b", addr: b.l.Addr().String(), flipAt: at, patience: time.Second}}, 5)
		if err := r.begin(); err != nil {
			t.Fatal(err)
		}
		g := newGenerator(9, "default", 5)
		r.observe = g.observe
		for r.ops < 6000 && m == nil {
			s := g.next()
			m = r.do(&s)
		}
		r.end()
		if m == nil {
			t.Errorf("a bit flipped in frame %d: not seen", at)
		}
	}
}

func TestSameSeedSameSteps(t *testing.T) {
	show := func() string {
		g := newGenerator(3, "default", 7)
		var text string
		for range 300 {
			s := g.next()
			text += s.String() + "\n"
		}
		return text
	}
	if first, second := show(), show(); first != second {
		t.Error("two generators of one seed made different steps")
	}
}

func statFrame(zxid int64, st wire.Stat) []byte {
	return wire.AppendStat(wire.AppendReplyHeader(nil, 1, zxid, wire.CodeOK), &st)
}

func TestCanonicalForms(t *testing.T) {
	a := &server{zxids: zxids{[]zxidBase{{100, 100}}}, sessions: map[int64]int{0xa: 3}}
	b := &server{zxids: zxids{[]zxidBase{{1 << 32, 1 << 32}}}, sessions: map[int64]int{0xb: 3}}
	exists := &request{op: wire.OpExists}
	children := &request{op: wire.OpGetChildren2}
	stat := func(base, owner, ms int64) wire.Stat {
		return wire.Stat{Czxid: base + 5, Mzxid: base + 6, Pzxid: base + 5, Ctime: ms, Mtime: ms + 1, EphemeralOwner: owner}
	}
	listing := func(base int64, names ...string) []byte {
		h := wire.AppendReplyHeader(nil, 1, base+9, wire.CodeOK)
		st := stat(base, 0, 5000)
		return wire.AppendStat(wire.MakeStrings(names...).Append(h), &st)
	}
	event := func(base int64, path string) []byte {
		return wire.AppendEvent(nil, base+9, wire.EventNodeDeleted, path)[wire.FrameHeaderBytes:]
	}
	for _, tc := range []struct {
		name string
		q    *request
		a, b []byte
		want bool
	}{
		{"distances, owner and near times are equal", exists, statFrame(109, stat(100, 0xa, 5000)), statFrame(1<<32+9, stat(1<<32, 0xb, 7000)), true},
		{"another zxid", exists, statFrame(109, stat(100, 0xa, 5000)), statFrame(1<<32+10, stat(1<<32, 0xb, 5000)), false},
		{"another czxid", exists, statFrame(109, stat(100, 0xa, 5000)), statFrame(1<<32+9, stat(1<<32+1, 0xb, 5000)), false},
		{"another owner", exists, statFrame(109, stat(100, 0xa, 5000)), statFrame(1<<32+9, stat(1<<32, 0xc, 5000)), false},
		{"far times", exists, statFrame(109, stat(100, 0xa, 5000)), statFrame(1<<32+9, stat(1<<32, 0xb, 500_000)), false},
		{"zero is not a time", exists, statFrame(109, stat(100, 0xa, 0)), statFrame(1<<32+9, stat(1<<32, 0xb, 5)), false},
		{"children in another order", children, listing(100, "x", "y"), listing(1<<32, "y", "x"), true},
		{"another child", children, listing(100, "x", "y"), listing(1<<32, "y", "z"), false},
		{"equal events", nil, event(100, "/x"), event(1<<32, "/x"), true},
		{"another path", nil, event(100, "/x"), event(1<<32, "/y"), false},
	} {
		ca, cb := canonicalFrame(a, tc.q, tc.a), canonicalFrame(b, tc.q, tc.b)
		if ca.same(&cb, timeTolerance) != tc.want {
			t.Errorf("%s: same = %v", tc.name, !tc.want)
		}
	}
}

func TestEventsOfOneEndHaveNoOrder(t *testing.T) {
	s := &server{zxids: zxids{[]zxidBase{{1, 1}}}, sessions: map[int64]int{}}
	list := func(paths ...string) []canonical {
		var l []canonical
		for _, p := range paths {
			l = append(l, canonicalFrame(s, nil, wire.AppendEvent(nil, 8, wire.EventNodeDeleted, p)[wire.FrameHeaderBytes:]))
		}
		return l
	}
	for _, unordered := range []bool{true, false} {
		a, b := list("/x", "/y", "/z"), list("/z", "/x", "/y")
		zxids := map[int64]bool{7: unordered}
		sortUnordered(a, zxids)
		sortUnordered(b, zxids)
		same := true
		for i := range a {
			same = same && a[i].same(&b[i], timeTolerance)
		}
		if same != unordered {
			t.Errorf("unordered=%v: same=%v", unordered, same)
		}
	}
}

// TestShrink finds the two steps of 200 that fail together.
func TestShrink(t *testing.T) {
	var steps []step
	for i := range 200 {
		s := step{kind: stepBurst, slot: i}
		for j := range 4 {
			s.requests = append(s.requests, request{op: wire.OpExists, xid: wire.Xid(j)})
		}
		steps = append(steps, s)
	}
	tries := 0
	small, m := shrink(steps, 1<<40, func(part []step) *mismatch {
		tries++
		seen := ""
		for _, s := range part {
			for _, q := range s.requests {
				if (s.slot == 20 && q.xid == 2) || (s.slot == 150 && q.xid == 1) {
					seen += fmt.Sprint(s.slot, " ")
				}
			}
		}
		if seen == "20 150 " {
			return &mismatch{what: "both"}
		}
		return nil
	})
	if m == nil || len(small) != 2 || len(small[0].requests) != 1 || len(small[1].requests) != 1 {
		t.Errorf("%d steps left after %d tries: %v", len(small), tries, small)
	}
}

func TestZxidsAcrossStarts(t *testing.T) {
	var x zxids
	x.add(1<<32+10, 0)
	x.add(3<<32+7, 500) // started again: the term is 3 now
	for z, d := range map[int64]int64{0: 0, -1: -1, 1<<32 + 10: 0, 1<<32 + 400: 390, 3<<32 + 7: 500, 3<<32 + 6: 499, 3<<32 + 100: 593} {
		if got := x.distance(z); got != d {
			t.Errorf("distance of %#x is %d, want %d", z, got, d)
		}
	}
	for d, z := range map[int64]int64{500: 3<<32 + 7, 600: 3<<32 + 107, 499: 3<<32 + 6, 498: 1<<32 + 508} {
		if got := x.at(d); got != z {
			t.Errorf("at %d is %#x, want %#x", d, got, z)
		}
	}
}
