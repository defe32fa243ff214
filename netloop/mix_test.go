package netloop

import (
	"testing"

	"holt/netloop/wire"
)

func TestMix(t *testing.T) {
	var m mix
	for i, step := range []struct {
		writes, reads int
		writing       bool
	}{
		{0, mixWindow, false},
		{mixWindow / 5, mixWindow - mixWindow/5, false}, // a fifth is too few to begin
		{mixWindow / 4, mixWindow - mixWindow/4, true},
		{mixWindow / 5, mixWindow - mixWindow/5, true}, // and enough to go on
		{mixWindow / 8, mixWindow - mixWindow/8, false},
		{10 * mixWindow, 0, true},
		{0, mixWindow - 1, true}, // too little was asked to tell
	} {
		m.writes, m.requests = m.writes+step.writes, m.requests+step.writes+step.reads
		m.next()
		if m.writing != step.writing {
			t.Errorf("step %d: %d writes and %d reads: writing is %v", i, step.writes, step.reads, m.writing)
		}
	}
}

func TestLoop_YieldsWhileManyRequestsWrite(t *testing.T) {
	k := &quiet{}
	l, c := quietLoop(t, k)
	l.receive(c, frames(1, wire.OpCreate, createBody("/a", "", 0)))
	l.turn()
	writes, reads := frames(mixWindow, wire.OpSetData, setBody("/a", "v")), frames(2*mixWindow, wire.OpExists, watchBody("/a", false))
	yields := func(b []byte) int {
		k.yields = 0
		for range 2 { // the first may end a window of something else
			l.receive(c, b)
			l.turn()
		}
		return k.yields
	}
	if n := yields(writes); n != 0 || !l.writing.Load() {
		t.Errorf("not asked to: yielded %d times; many requests write: %v", n, l.writing.Load())
	}
	l.cfg.Yield = true
	if n := yields(writes); n == 0 {
		t.Error("did not yield while all requests wrote")
	}
	yields(reads)
	if n := yields(reads); n != 0 || l.writing.Load() {
		t.Errorf("only reads: yielded %d times; many requests write: %v", n, l.writing.Load())
	}
}
