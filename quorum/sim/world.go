package sim

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"holt/netloop"
)

// world is everything that a seed decides: the time, what happens next, and the dice.
//
// Events lie in a heap by time and then by the order in which they were planned, so two runs of one seed do the same
// things in the same order. Several dice, one per subject: a change to what clients do leaves the faults of a seed as
// they were.
type world struct {
	opt     Options
	nowNs   int64
	heap    []event
	planned uint64
	steps   uint64

	faultDice, netDice, diskDice, clientDice, cpuDice *rand.Rand

	trace   trace
	recent  [recentMax]note
	recents uint64

	servers   netloop.Config // what seeds decide of it
	members   []*member
	fabric    *fabric
	clients   []*client
	truth     *truth
	registers *history
	faults    *injector
	wire      *wire
	calm      bool // no more faults are drawn
	images    int
	bugs      bugs
}

// event is something that is going to happen.
type event struct {
	atNs int64
	seq  uint64
	what string
	a, b uint64
	do   func()
}

// note is one line of what happened lately, formatted only when somebody reads it.
type note struct {
	atNs int64
	step uint64
	what string
	a, b uint64
	text string
}

const recentMax = 256

// trace is the hash of all that happened, in order.
type trace struct{ sum uint64 }

func (t *trace) add(v uint64) {
	// FNV's prime and a shift: cheap, and every bit reaches every later one.
	t.sum = (t.sum ^ v) * 0x100000001b3
	t.sum ^= t.sum >> 29
}

func (t *trace) bytes(b []byte) {
	h := fnv.New64a()
	_, _ = h.Write(b)
	t.add(h.Sum64())
}

// dice makes the source of one subject.
func dice(seed uint64, subject string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(subject))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// after plans do for d from now.
func (w *world) after(d time.Duration, what string, a, b uint64, do func()) {
	w.at(w.nowNs+int64(max(d, 0)), what, a, b, do)
}

// at plans do for a time that is not in the past.
func (w *world) at(ns int64, what string, a, b uint64, do func()) {
	w.planned++
	w.push(event{max(ns, w.nowNs), w.planned, what, a, b, do})
}

// step does what happens next. There is always something: clocks tick.
func (w *world) step() {
	e := w.pop()
	w.nowNs = e.atNs
	w.steps++
	w.trace.add(uint64(e.atNs))
	w.trace.add(uint64(len(e.what))<<56 ^ e.a<<28 ^ e.b)
	w.recent[w.recents%recentMax] = note{e.atNs, w.steps, e.what, e.a, e.b, ""}
	w.recents++
	e.do()
}

// tell adds a line to what is shown beside a violation. It costs an allocation, so it is for what is seldom.
func (w *world) tell(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.trace.bytes([]byte(text))
	w.recent[w.recents%recentMax] = note{w.nowNs, w.steps, "", 0, 0, text}
	w.recents++
	if w.opt.Log != nil {
		w.opt.Log(fmt.Sprintf("%12v %s", time.Duration(w.nowNs), text))
	}
}

// Violation is a promise that was broken.
type Violation struct {
	Seed   uint64
	Step   uint64
	At     time.Duration
	Check  string // its name, as in doc.go
	What   string
	Recent []string // what happened before, oldest first
}

func (v *Violation) Error() string {
	return fmt.Sprintf("seed %d, step %d, %v: %s: %s", v.Seed, v.Step, v.At, v.Check, v.What)
}

// broken ends the run: panic carries the violation up to Run through whatever product code is on the stack.
func (w *world) broken(check, format string, args ...any) {
	v := &Violation{Seed: w.opt.Seed, Step: w.steps, At: time.Duration(w.nowNs), Check: check, What: fmt.Sprintf(format, args...)}
	for i := max(w.recents, recentMax) - recentMax; i < w.recents; i++ {
		n := &w.recent[i%recentMax]
		if n.text == "" {
			n.text = fmt.Sprintf("%s %d %d", n.what, n.a, n.b)
		}
		v.Recent = append(v.Recent, fmt.Sprintf("%12v #%d %s", time.Duration(n.atNs), n.step, n.text))
	}
	panic(v)
}

func (e *event) before(o *event) bool {
	return e.atNs < o.atNs || e.atNs == o.atNs && e.seq < o.seq
}

func (w *world) push(e event) {
	w.heap = append(w.heap, e)
	i := len(w.heap) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !w.heap[i].before(&w.heap[up]) {
			break
		}
		w.heap[i], w.heap[up] = w.heap[up], w.heap[i]
		i = up
	}
}

func (w *world) pop() event {
	top := w.heap[0]
	n := len(w.heap) - 1
	w.heap[0] = w.heap[n]
	w.heap[n] = event{}
	w.heap = w.heap[:n]
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < n; c++ {
			if w.heap[c].before(&w.heap[least]) {
				least = c
			}
		}
		if least == i {
			return top
		}
		w.heap[i], w.heap[least] = w.heap[least], w.heap[i]
		i = least
	}
}

// spread draws a duration around d: mostly near it, now and then several times as long.
func spread(r *rand.Rand, d time.Duration) time.Duration {
	x := time.Duration(r.Float64() * float64(d))
	if r.IntN(16) == 0 {
		x *= 1 + time.Duration(r.IntN(8))
	}
	return d/2 + x
}

func chance(r *rand.Rand, percent int) bool { return r.IntN(100) < percent }

// randomness replaces crypto/rand.Reader: raft draws election timeouts from it, the log its salts, sessions their
// passwords.
type randomness struct{ *rand.Rand }

func (r randomness) Read(b []byte) (int, error) {
	for i := 0; i < len(b); i += 8 {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], r.Uint64())
		copy(b[i:], word[:])
	}
	return len(b), nil
}
