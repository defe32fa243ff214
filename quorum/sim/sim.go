package sim

import (
	crand "crypto/rand"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"holt/quorum"
	"holt/tree"
)

// Options say what to run. All but the seed may be left out: the seed draws them.
type Options struct {
	Seed            uint64
	Members         int                    // voters; 0: drawn
	Length          time.Duration          // of simulated time with faults; 0: drawn
	CheckpointBytes int64                  // 0: drawn
	Faults          func(name string) bool // which kinds may be drawn; nil: all
	Mutation        string                 // the bug that is put in; empty: none
	Log             func(line string)      // told everything; nil: nobody is
	Messages        bool                   // Log is told the messages between members too

	noSync bool
	rest   bool // clients ask for nothing new
}

func (o *Options) allows(name string) bool { return o.Faults == nil || o.Faults(name) }

// Result is what a run without a violation came to.
type Result struct {
	Trace    uint64 // hash of all that happened
	Steps    uint64
	Time     time.Duration // simulated
	Entries  uint64
	Terms    int
	Answers  int
	Writes   int
	Expired  int
	Images   int // states taken whole from another member
	ReadOnly int // requests answered in read-only mode
	Faults   map[string]int
	Unproven int // registers whose history porcupine could not decide in time
}

// Run simulates one seed. It replaces crypto/rand.Reader while it runs, so only one may run in a process.
func Run(opt Options) (r Result, v *Violation) {
	was := crand.Reader
	crand.Reader = randomness{dice(opt.Seed, "crypto")}
	defer func() { crand.Reader = was }()
	w := newWorld(opt)
	defer func() {
		switch e := recover().(type) {
		case nil:
		case *Violation:
			v = e
		default:
			v = caught(func() { w.broken("no panic", "%v\n%s", e, debug.Stack()) })
		}
		r = w.result()
	}()
	w.run()
	return r, nil
}

// caught turns the panic of f into its value.
func caught(f func()) (v *Violation) {
	defer func() { v, _ = recover().(*Violation) }()
	f()
	return nil
}

func newWorld(opt Options) *world {
	w := &world{opt: opt}
	w.faultDice, w.netDice, w.diskDice = dice(opt.Seed, "faults"), dice(opt.Seed, "net"), dice(opt.Seed, "disk")
	w.clientDice, w.cpuDice = dice(opt.Seed, "clients"), dice(opt.Seed, "cpu")
	shape := dice(opt.Seed, "shape")
	if w.opt.Members == 0 {
		w.opt.Members = []int{3, 3, 3, 5}[shape.IntN(4)]
	}
	if w.opt.Length == 0 {
		w.opt.Length = time.Duration(3+shape.IntN(10)) * time.Second
	}
	if w.opt.CheckpointBytes == 0 {
		w.opt.CheckpointBytes = []int64{2 << 10, 8 << 10, 64 << 10}[shape.IntN(3)]
	}
	w.truth = newTruth(w)
	w.registers = newHistory(w)
	w.fabric = newFabric(w)
	w.wire = &wire{world: w, delay: 200 * time.Microsecond, cut: map[[2]uint64]bool{}}
	var lines []tree.Member
	observers := shape.IntN(5) / 3 // mostly none
	for id := 1; id <= w.opt.Members+observers; id++ {
		lines = append(lines, tree.Member{
			ID: uint8(id), Host: "10.1.0." + strconv.Itoa(id), PeerPort: 2888, ElectionPort: 3888, ClientAddr: "0.0.0.0:2181",
			Observer: id > w.opt.Members,
		})
	}
	e, err := tree.NewEnsemble(lines, 0)
	if err != nil {
		panic(err)
	}
	for id := range lines {
		m := newMember(w, uint64(id+1))
		m.ensemble, m.observer = e, lines[id].Observer
	}
	w.drawServers(shape)
	w.mutate(opt.Mutation)
	for range 2 + shape.IntN(5) {
		newClient(w, len(w.clients))
	}
	for _, m := range w.members {
		w.after(spread(w.faultDice, 50*time.Millisecond), "start", m.id, 0, func() { m.start() })
	}
	w.faults = newInjector(w)
	return w
}

// drawServers decides what the members' configuration says about reads.
func (w *world) drawServers(d *rand.Rand) {
	switch d.IntN(4) {
	case 0:
		w.servers.LinearizableReads = true
	case 1:
		w.servers.LinearizablePaths = [][]byte{[]byte("/r0"), []byte("/d")}
	}
	w.servers.ReadOnly = d.IntN(2) == 0
	w.servers.LeaderWaitMs = []int{300, 1000, 2000}[d.IntN(3)]
}

// linearizable says whether the members' configuration makes a read of path linearizable.
func (w *world) linearizable(path string) bool {
	if w.servers.LinearizableReads {
		return true
	}
	for _, prefix := range w.servers.LinearizablePaths {
		if rest, ok := strings.CutPrefix(path, string(prefix)); ok && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}

const (
	recoverWithin  = 30 * time.Second // of the end of all faults every client has had a write answered
	convergeWithin = 15 * time.Second // of the end of all requests the members are the same
)

// run is a time of faults, a time in which all has to recover, and a time in which all comes to rest.
func (w *world) run() {
	for w.nowNs < int64(w.opt.Length) {
		w.step()
	}
	w.faults.stopAll()
	began := w.nowNs
	w.until(recoverWithin, func() string {
		for _, c := range w.clients {
			if !c.gone && c.doneNs < began {
				return fmt.Sprintf("client %d has had no write answered", c.id)
			}
		}
		return w.membersDiffer()
	})
	w.opt.rest = true
	w.until(convergeWithin, w.unlike)
	w.registers.check()
}

// until runs on until waiting says nothing more.
func (w *world) until(within time.Duration, waiting func() string) {
	deadline := w.nowNs + int64(within)
	for {
		why := waiting()
		if why == "" {
			return
		}
		if w.nowNs > deadline {
			w.broken("liveness", "%v after faults ended: %s; %s", within, why, w.describe())
		}
		for next := w.nowNs + 20e6; w.nowNs < next; {
			w.step()
		}
	}
}

// unlike says what keeps the members from being the same and at rest.
func (w *world) unlike() string {
	for _, c := range w.clients {
		if !c.gone && len(c.pending) > 0 {
			return fmt.Sprintf("client %d waits for %s", c.id, c.oldest())
		}
		if c.gone && c.vanished != 0 && w.truth.alive(c.vanished) {
			return fmt.Sprintf("session %x of client %d, which vanished, is open", uint64(c.vanished), c.id)
		}
	}
	for _, m := range w.members {
		if m.retired != "" {
			continue
		}
		if !m.up() {
			return fmt.Sprintf("member %d is down", m.id)
		}
		root := m.quorum.Tail().Root
		if root.Digest() != w.truth.root().Digest() {
			return fmt.Sprintf("member %d is at zxid %x, the history at %x", m.id, root.Zxid(), w.truth.root().Zxid())
		}
		w.truth.ephemeralsOf(root, fmt.Sprintf("member %d", m.id))
	}
	return ""
}

// describe says how the members stand.
func (w *world) describe() string {
	s := ""
	for _, m := range w.members {
		if !m.up() {
			s += fmt.Sprintf("member %d is down (%s); ", m.id, m.retired)
			continue
		}
		t := m.quorum.Status()
		s += fmt.Sprintf("member %d: %v of term %d, leader %d, entry %d, full %v; ", m.id, t.Role, t.Term, t.Leader, m.lastIndex, t.Full)
		for _, p := range m.quorum.Peers() {
			s += fmt.Sprintf("%+v ", p)
		}
	}
	return s
}

func (w *world) result() Result {
	r := Result{
		Trace: w.trace.sum, Steps: w.steps, Time: time.Duration(w.nowNs), Entries: w.truth.index,
		Terms: len(w.truth.leaders), Expired: w.truth.expired, Images: w.images, Unproven: w.registers.unproven, Faults: map[string]int{},
	}
	for _, c := range w.clients {
		r.Answers += c.answers
		r.Writes += c.done
		r.ReadOnly += c.readOnlyAnswers
	}
	for k, n := range w.faults.counts {
		r.Faults[k] = n
	}
	return r
}

// handover asks the leader to pass leadership on.
func (i *injector) handover() {
	m := i.leader()
	if i.idle = !m.up() || m.paused || m.quorum.Status().Role != quorum.Leader; !i.idle {
		m.do(func() { m.handover() })
	}
}
