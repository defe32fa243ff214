package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"holt/netloop"
	"holt/perf"
	"holt/quorum"
	"holt/tree"
	"holt/wal"
)

// member is one machine of the ensemble: its disk, its clock, and the process that runs on it, if one does. The process
// is the real thing: wal, quorum and netloop, all stepped.
type member struct {
	*world
	id    uint64
	disk  *disk
	image *image
	clock clock

	running bool
	paused  bool
	run     uint64 // counts starts, so that events planned for a former process are known
	process uint32
	log     *wal.Log
	quorum  *quorum.Quorum
	port    *port
	seam    *seam
	server  *netloop.Stepped
	conns   []*pipe

	poked     bool
	flushing  bool
	loopAt    []int64 // when each loop has its next turn, 0: not planned
	cpu       time.Duration
	fsync     time.Duration
	deferred  []func() // planned for a paused process
	retired   string   // why it will not be started again, empty: it may be
	flawed    bool     // its disk was damaged: to stop is right
	lastIndex uint64   // of the newest commit seen of this process
	restartNs int64    // when it is to be started again, 0: it runs or stays down
	ensemble  *tree.Ensemble
	observer  bool  // when all is well
	wiped     int   // times that its data directory was emptied
	fullNs    int64 // when its log was full last
	saved     saved // mutation
}

func (m *member) up() bool { return m.running }

// clock is a member's view of the time.
type clock struct {
	baseNs int64 // true time when the rate was set
	atNs   int64 // what the clock said then
	rate   float64
	wallMs int64 // added to the wall clock only
}

func (c *clock) ns(trueNs int64) int64 { return c.atNs + int64(float64(trueNs-c.baseNs)*c.rate) }

func (c *clock) setRate(trueNs int64, rate float64) {
	c.atNs, c.baseNs, c.rate = c.ns(trueNs), trueNs, rate
}

// epochMs is the wall clock at the beginning of every simulation.
const epochMs = 1_700_000_000_000

func (m *member) nowNs64() int64 { return m.clock.ns(m.nowNs) }
func (m *member) nowMs() int64   { return epochMs + m.clock.ns(m.nowNs)/1e6 + m.clock.wallMs }

// real is the true time after which d has passed on the member's clock.
func (m *member) real(d time.Duration) time.Duration {
	return time.Duration(float64(d) / m.clock.rate)
}

const (
	raftTick     = 25 * time.Millisecond
	serverTickMs = 200
	segmentBytes = 16 << 10
	loops        = 2
)

// metrics are shared by all members of all runs: nothing is read from them.
var metrics = perf.New(perf.Config{Loops: loops})

// errFatal carries what ended a process by its own decision.
type errFatal struct{ error }

func newMember(w *world, id uint64) *member {
	m := &member{world: w, id: id, fullNs: -1 << 60, disk: newDisk(w.diskDice), cpu: 20 * time.Microsecond, fsync: 2 * time.Millisecond}
	m.image = &image{member: m}
	m.clock = clock{rate: 1}
	w.members = append(w.members, m)
	return m
}

// start runs the process. It returns false if the process ended at once.
func (m *member) start() bool {
	m.tell("member %d starts", m.id)
	m.run++
	m.restartNs = 0
	m.process = m.cpuDice.Uint32() | 1
	m.poked, m.flushing, m.conns, m.deferred = false, false, nil, nil
	m.loopAt = make([]int64, loops)
	m.running, m.paused = true, false
	ok := false
	m.do(func() {
		m.open()
		ok = true
	})
	if !ok {
		return false
	}
	run := m.run
	m.every(run, "tick", func() time.Duration { return m.real(raftTick) }, func() {
		m.quorum.Tick()
		m.poke()
	})
	m.every(run, "clock", func() time.Duration { return m.real(m.server.Interval()) }, m.server.Tick)
	m.every(run, "reap", func() time.Duration { return m.real(m.server.ReapInterval()) }, m.server.Reap)
	m.poke()
	return true
}

func (m *member) open() {
	fatal := func(err error) { panic(errFatal{err}) }
	logger := m.logger()
	var err error
	m.log, err = wal.Open(wal.Config{
		FS: m.disk, Dir: "/log", SegmentBytes: segmentBytes, Stepped: true, Fatal: fatal, Logger: logger,
		NoSync: m.opt.noSync,
	})
	if err != nil {
		panic(errFatal{err})
	}
	m.oneChange()
	m.port = &port{fabric: m.fabric, member: m}
	m.quorum, err = quorum.Open(quorum.Config{
		ID: m.id, Process: m.process, Log: m.log, Image: m.image, Rules: tree.RuleTTL | tree.RuleSkipACL | tree.RuleReconfigEnabled,
		CheckpointBytes: m.opt.CheckpointBytes, Tick: raftTick, NowMs: m.nowMs, NowNs: m.nowNs64,
		Drained: func() { m.server.Drained() }, Fatal: fatal, Metrics: metrics, Logger: logger,
		Ensemble: m.ensemble, Network: m.port, Stepped: true, Random: m.cpuDice.Uint64,
	})
	if err != nil {
		panic(errFatal{err})
	}
	m.quorum.OnPublished(m.published)
	m.seam = newSeam(m)
	m.began(m.quorum.Tail())
	m.server, err = netloop.NewStepped(netloop.Config{
		Loops: loops, Process: m.process, Logger: logger, ServerID: uint8(m.id), TickMs: serverTickMs,
		MaxClientConns: -1, ContainerCheckIntervalMs: 500, ContainerMaxPerMinute: 6000, Metrics: metrics, NowNs: m.nowNs64, NowMs: m.nowMs,
		ReadOnly: m.servers.ReadOnly, LeaderWaitMs: m.servers.LeaderWaitMs,
		LinearizableReads: m.servers.LinearizableReads, LinearizablePaths: m.servers.LinearizablePaths,
	}, m.seam, m.planLoop)
	if err != nil {
		panic(err)
	}
}

// oneChange checks that a member comes back with at most one change of members in its log of which it does not know that it
// was committed: a majority of what was agreed two changes ago need not have a member in common with one of today.
func (m *member) oneChange() {
	from := max(m.log.HardState().Commit, m.image.mark.Index, m.log.FirstIndex()-1) + 1
	if from > m.log.LastIndex() || m.flawed || m.disk.lies != nil {
		return
	}
	entries, err := m.log.Entries(from, m.log.LastIndex()+1, math.MaxInt)
	if err != nil {
		return // quorum.Open says so
	}
	changes := 0
	for _, e := range entries {
		if pb.EntryType(e.Type) != pb.EntryNormal {
			changes++
		}
	}
	if changes > 1 {
		m.broken("members agreed", "member %d comes back with %d changes of members that it does not know to be committed", m.id, changes)
	}
}

// every calls do again and again, for as long as this process lives.
func (m *member) every(run uint64, what string, interval func() time.Duration, do func()) {
	var again func()
	again = func() {
		if m.run != run || !m.running {
			return
		}
		if m.paused { // a ticker keeps one tick
			m.deferred = append(m.deferred, again)
			return
		}
		m.do(do)
		m.after(interval(), what, m.id, 0, again)
	}
	m.after(time.Duration(m.cpuDice.Int64N(int64(interval()))), what, m.id, 0, again)
}

// poke has the quorum looked after, soon.
func (m *member) poke() {
	if m.poked || !m.running {
		return
	}
	m.poked = true
	m.later("turn", spread(m.cpuDice, m.cpu), func() {
		m.poked = false
		if m.quorum.Step() {
			m.poke()
		}
		m.planFlush()
		m.checkMember()
	})
}

// planFlush has the log written after as long as a sync takes.
func (m *member) planFlush() {
	if m.flushing {
		return
	}
	m.flushing = true
	m.later("flush", spread(m.diskDice, m.fsync), func() {
		m.flushing = false
		before := m.disk.ops
		m.log.Step()
		if m.disk.ops != before {
			m.poke()
		}
	})
}

// planLoop is what the loops of the server ask for.
func (m *member) planLoop(loop int, d time.Duration) {
	at := m.nowNs + int64(d+spread(m.cpuDice, m.cpu))
	if was := m.loopAt[loop]; was != 0 && was <= at {
		return
	}
	m.loopAt[loop] = at
	m.later("loop", time.Duration(at-m.nowNs), func() {
		if m.loopAt[loop] != at {
			return // an earlier turn was planned since
		}
		m.loopAt[loop] = 0
		m.server.Turn(loop)
		m.poke()
	})
}

// later plans something that the process does. A paused process does it when it goes on, a dead one never.
func (m *member) later(what string, d time.Duration, f func()) {
	run := m.run
	m.after(d, what, m.id, 0, func() {
		if m.run != run || !m.running {
			return
		}
		if m.paused {
			m.deferred = append(m.deferred, func() {
				if m.run == run && m.running {
					m.do(f)
				}
			})
			return
		}
		m.do(f)
	})
}

// do runs product code. It may end the process: by a crash that the disk arranged, or by its own decision.
func (m *member) do(f func()) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case *Violation:
			panic(e)
		case errFatal:
			m.gaveUp(e.error)
		case error:
			if errors.Is(e, errDied) {
				m.crash(m.diskDice.IntN(101), "in the middle of writing")
				m.restartIn(spread(m.faultDice, time.Second))
				return
			}
			m.broken("no panic", "member %d: %v\n%s", m.id, e, debug.Stack())
		default:
			m.broken("no panic", "member %d: %v\n%s", m.id, e, debug.Stack())
		}
	}()
	f()
}

// gaveUp is the end of a process that says it cannot go on. That is right after what a disk did to it, else it is not.
func (m *member) gaveUp(err error) {
	m.tell("member %d gives up: %v", m.id, err)
	var corrupt *wal.CorruptError
	switch {
	case m.disk.failed, isFull(err):
		m.crash(m.diskDice.IntN(101), "its disk failed")
		m.restartIn(spread(m.faultDice, time.Second))
	case m.flawed && (errors.As(err, &corrupt) || errors.Is(err, errRotten)):
		m.crash(100, "its disk is damaged")
		if m.retired = err.Error(); m.faults.calm { // found only now; an operator has it refilled
			m.wipe("refilled: " + m.retired)
			m.restartIn(spread(m.faultDice, time.Second))
		}
	default:
		m.broken("members go on", "member %d gave up: %v", m.id, err)
	}
}

func isFull(err error) bool {
	var full *errFull
	return errors.As(err, &full) || errors.Is(err, wal.ErrFull)
}

// crash ends the process between two instructions. keep is how many per cent of the unsynced sectors survive; 100 is a
// process that was killed on a machine that lives on.
func (m *member) crash(keep int, why string) {
	if !m.running {
		return
	}
	m.tell("member %d crashes, %d%% of what was not synced survives: %s", m.id, keep, why)
	m.running, m.paused = false, false
	m.run++
	if m.quorum != nil {
		m.quorum.Crash()
	}
	if m.port != nil {
		m.fabric.unplug(m.port)
	}
	m.quorum, m.server, m.log, m.seam = nil, nil, nil, nil
	for _, p := range m.conns {
		p.serverDied()
	}
	m.conns, m.deferred = nil, nil
	m.disk.loseWrites(keep)
	m.rollBack()
	m.disk.failSync, m.disk.failWrite, m.disk.failed = false, false, false
	m.image.dieIn, m.image.dieLate = 0, false
	m.troubled(m.id)
}

// restartIn has the process started again after a while.
func (m *member) restartIn(d time.Duration) {
	at := m.nowNs + int64(d)
	m.restartNs = at
	m.after(d, "restart", m.id, 0, func() {
		if !m.running && m.restartNs == at && m.retired == "" {
			m.start()
		}
	})
}

// pause stops the process as SIGSTOP does.
func (m *member) pause(d time.Duration) {
	if !m.running || m.paused {
		return
	}
	m.tell("member %d stands still for %v", m.id, d)
	m.paused = true
	m.troubled(m.id)
	run := m.run
	m.after(d, "resume", m.id, 0, func() {
		if m.run == run && m.paused {
			m.resume()
		}
	})
}

func (m *member) resume() {
	m.tell("member %d goes on", m.id)
	m.paused = false
	m.troubled(m.id)
	due := m.deferred
	m.deferred = nil
	for _, f := range due {
		f()
	}
	if !m.running {
		return
	}
	m.fabric.resume(m.id)
	for _, p := range m.conns {
		p.toServer.pump()
	}
}

// logger passes what the product logs on to Options.Log.
func (m *member) logger() *slog.Logger {
	if m.opt.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(logWriter{m}, &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

type logWriter struct{ m *member }

func (l logWriter) Write(b []byte) (int, error) {
	l.m.opt.Log(fmt.Sprintf("%12v   [%d] %s", time.Duration(l.m.nowNs), l.m.id, b[:len(b)-1]))
	return len(b), nil
}

// handover has a leader pass leadership on.
func (m *member) handover() {
	over, cancel := context.WithCancel(context.Background())
	cancel() // it is asked for, not waited for
	_ = m.quorum.Handover(over)
	m.poke()
}
