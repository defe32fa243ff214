package bench

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"holt/netloop/wire"
)

var tContext = context.Background()

// paths is what the fake has, but for its root.
func (f *fake) paths() (list []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for path := range f.nodes {
		list = append(list, path)
	}
	slices.Sort(list)
	return list
}

// standalone returns a function that hands a reply to a client without a socket, which then makes its next request.
func standalone(t testing.TB, op string) (turn func()) {
	t.Helper()
	r := &run{cfg: Config{Workload: op, Conns: 1}.WithDefaults(), root: "/bench/r12345678"}
	w, err := newPlainLoad(Share{Op: op, Weight: 1})(r)
	if err != nil {
		t.Fatal(err)
	}
	r.load, r.series = w, w.series()
	l := &loop{run: r, random: rand.New(rand.NewPCG(1, 1)), phase: phaseMeasure, now: 1}
	r.loops = []*loop{l}
	l.tally.init(r, 0)
	l.tally.begin(0)
	c := &client{loop: l, state: clientOpen}
	c.actor = w.actor(r, 0)
	c.actor.issue(c, 0)
	frame := wire.AppendReplyHeader(nil, 0, 1, wire.CodeOK)
	return func() {
		l.now += 1000
		c.out, c.dirty, l.dirty = c.out[:0], false, l.dirty[:0]
		wire.AppendInt32(frame[:0], int32(c.answered+1))
		c.frame(frame)
	}
}
