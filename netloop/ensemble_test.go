package netloop

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"holt/netloop/wire"
	"holt/perf"
	"holt/quorum"
	"holt/tree"
)

// waitOutstanding waits until so many writes and syncs are under way.
func waitOutstanding(t *testing.T, s *Server, n int64) {
	t.Helper()
	eventually(t, func() string {
		if got := s.outstanding.Load(); got != n {
			return fmt.Sprintf("%d requests wait for the quorum, want %d", got, n)
		}
		return ""
	})
}

// usable fails the test unless the connection still answers.
func usable(t *testing.T, c *rawClient, who string) {
	t.Helper()
	if p := c.call(1000, wire.OpExists, watchBody("/", false)); p.Err != 0 || p.Xid != 1000 {
		t.Errorf("%s: %+v", who, p.ReplyHeader)
	}
}

// TestN9_EpochEndClosesUnansweredWritesOnly: syncs, reads and the idle do not notice, a session in the making does.
func TestN9_EpochEndClosesUnansweredWritesOnly(t *testing.T) {
	q := newFakeQuorum(t)
	s, addr := startServer(t, q, nil)
	idle, writer, syncer, both := openRaw(t, addr), openRaw(t, addr), openRaw(t, addr), openRaw(t, addr)
	release := make(chan struct{})
	q.set(func() { q.pace = func() { <-release } })
	writer.add(1, wire.OpSetData, setBody("/", "x"))
	writer.send()
	syncer.add(1, wire.OpSync, pathBody("/"))
	syncer.add(2, wire.OpGetData, watchBody("/", false))
	syncer.send()
	both.add(1, wire.OpSync, pathBody("/"))
	both.add(2, wire.OpSetData, setBody("/", "y"))
	both.send()
	opening := dialRaw(t, addr)
	req := wire.ConnectRequest{TimeoutMs: 4000, Password: make([]byte, 16)}
	opening.out = appendFrame(nil, req.Append)
	opening.send()
	waitOutstanding(t, s, 5)

	q.endEpoch()
	for _, c := range []*rawClient{writer, both, opening} {
		c.ended()
	}
	waitOutstanding(t, s, 1)
	close(release)
	if p := syncer.reply(); p.Xid != 1 || p.Err != 0 {
		t.Errorf("sync: %+v", p.ReplyHeader)
	}
	if p := syncer.reply(); p.Xid != 2 || p.Err != 0 {
		t.Errorf("read behind a sync: %+v", p.ReplyHeader)
	}
	usable(t, idle, "an idle client")
	for _, c := range []*rawClient{idle, syncer} {
		if p := c.call(7, wire.OpSetData, setBody("/", "z")); p.Err != 0 {
			t.Errorf("a write in the next epoch: %+v", p.ReplyHeader)
		}
	}
}

// TestN9_RefusedInAnOldEpoch: a loop that has not been woken yet learns of the end when it proposes. The write that it
// proposed is lost like those before it.
func TestN9_RefusedInAnOldEpoch(t *testing.T) {
	q := newFakeQuorum(t)
	s, addr := startServer(t, q, nil)
	first, second, idle := openRaw(t, addr), openRaw(t, addr), openRaw(t, addr)
	release := make(chan struct{})
	q.set(func() { q.pace = func() { <-release } })
	first.add(1, wire.OpSetData, setBody("/", "x"))
	first.send()
	waitOutstanding(t, s, 1)
	q.set(func() { q.epoch++; q.waiting = nil })
	second.add(1, wire.OpSetData, setBody("/", "y"))
	second.send()
	first.ended()
	second.ended()
	close(release)
	if p := idle.call(1, wire.OpSetData, setBody("/", "z")); p.Err != 0 {
		t.Errorf("a write in the next epoch: %+v", p.ReplyHeader)
	}
	if p := idle.call(2, wire.OpGetData, watchBody("/", false)); !strings.Contains(p.text(wire.OpGetData), "v1 ") {
		t.Errorf("%s, want one write only", p.text(wire.OpGetData))
	}
	waitOutstanding(t, s, 0)
}

// TestN9_HeldCommands: what the queue had no room for goes with its epoch, and those who waited behind it go on.
func TestN9_HeldCommands(t *testing.T) {
	q := newFakeQuorum(t)
	s, addr := startServer(t, q, nil)
	held, behind := openRaw(t, addr), openRaw(t, addr)
	q.set(func() { q.refuse = quorum.ErrBusy })
	held.add(1, wire.OpSetData, setBody("/", "x"))
	held.send()
	waitOutstanding(t, s, 1)
	behind.add(1, wire.OpSetData, setBody("/", "y"))
	behind.send()
	q.endEpoch()
	held.ended()
	q.set(func() { q.refuse = nil })
	s.Drained()
	if p := behind.reply(); p.Xid != 1 || p.Err != 0 {
		t.Errorf("%+v", p.ReplyHeader)
	}
	if p := behind.call(2, wire.OpGetData, watchBody("/", false)); !strings.Contains(p.text(wire.OpGetData), `"y" v1 `) {
		t.Errorf("%s, want only the write that waited behind", p.text(wire.OpGetData))
	}
	waitOutstanding(t, s, 0)
}

// TestN9_HeldCommandsOfAnOldEpoch: the same when the end of the epoch is learned from the retry.
func TestN9_HeldCommandsOfAnOldEpoch(t *testing.T) {
	q := newFakeQuorum(t)
	s, addr := startServer(t, q, nil)
	held := openRaw(t, addr)
	q.set(func() { q.refuse = quorum.ErrBusy })
	held.add(1, wire.OpSetData, setBody("/", "x"))
	held.send()
	waitOutstanding(t, s, 1)
	q.set(func() { q.refuse = nil; q.epoch++ })
	s.Drained()
	held.ended()
	if p := openRaw(t, addr).call(2, wire.OpGetData, watchBody("/", false)); !strings.Contains(p.text(wire.OpGetData), `"" v0 `) {
		t.Errorf("%s, want no write", p.text(wire.OpGetData))
	}
}

// attach moves a session to another address.
func attach(t *testing.T, addr string, from *rawClient, lastZxidSeen int64) *rawClient {
	t.Helper()
	c := dialRaw(t, addr)
	c.connect(wire.ConnectRequest{TimeoutMs: from.session.TimeoutMs, SessionID: from.session.SessionID, Password: from.session.Password, LastZxidSeen: lastZxidSeen})
	if c.session.SessionID != from.session.SessionID {
		t.Fatalf("the session %#x was not attached: %+v", from.session.SessionID, c.session)
	}
	return c
}

// TestSessionMovesBetweenMembers: the old connection is closed by the member that has it, and a write that it had sent
// meanwhile is refused.
func TestSessionMovesBetweenMembers(t *testing.T) {
	leader, follower := newFakeEnsemble(t)
	a, addrA := startServer(t, leader, nil)
	_, addrB := startServer(t, follower, func(c *Config) { c.ServerID = 2; c.Loops = 2 })
	old := openRaw(t, addrA)
	if p := old.call(1, wire.OpCreate, createBody("/e", "", 1)); p.Err != 0 {
		t.Fatalf("%+v", p.ReplyHeader)
	}
	moved := attach(t, addrB, old, 0)
	old.ended()
	if p := moved.call(1, wire.OpSetData, setBody("/e", "b")); p.Err != 0 {
		t.Errorf("a write after the move: %+v", p.ReplyHeader)
	}
	// Back again, while a write of the member left behind is on its way.
	release := make(chan struct{})
	leader.set(func() { leader.pace = func() { <-release } })
	back := make(chan *rawClient)
	go func() { back <- attach(t, addrA, moved, 0) }()
	waitOutstanding(t, a, 1)
	moved.add(2, wire.OpSetData, setBody("/e", "lost"))
	moved.send()
	eventually(t, func() string {
		leader.mu.Lock()
		defer leader.mu.Unlock()
		if len(leader.waiting) < 2 {
			return "the write has not arrived"
		}
		return ""
	})
	close(release)
	moved.ended()
	c := <-back
	if p := c.call(3, wire.OpGetData, watchBody("/e", false)); !strings.Contains(p.text(wire.OpGetData), `"b" v1 `) {
		t.Errorf("%s, want the write before the move only", p.text(wire.OpGetData))
	}
}

// TestN7_TouchesOfFollowers: a session lives as long as a follower hears of it, and no shorter after that than its timeout.
func TestN7_TouchesOfFollowers(t *testing.T) {
	leader, follower := newFakeEnsemble(t)
	startServer(t, leader, func(c *Config) { c.TickMs = 100 })
	_, addr := startServer(t, follower, func(c *Config) { c.TickMs = 100; c.ServerID = 2 })
	c := dialRaw(t, addr)
	c.connect(wire.ConnectRequest{TimeoutMs: 600, Password: make([]byte, 16)})
	for range 20 {
		c.call(1, wire.OpPing, nil)
		time.Sleep(100 * time.Millisecond)
	}
	heard := time.Now()
	c.call(1, wire.OpPing, nil)
	c.ended()
	if lived := time.Since(heard); lived < 600*time.Millisecond || lived > 1500*time.Millisecond {
		t.Errorf("N7: the session ended %v after it was heard of, of 600 ms", lived)
	}
}

// TestN7_WaitingToAttach: a client that has come in time does not lose its session because attaching takes long. quorum/sim found
// it (seed 535): the leader had lost its quorum, and what it proposed then was committed when there was one again.
func TestN7_WaitingToAttach(t *testing.T) {
	leader, follower := newFakeEnsemble(t)
	_, addrA := startServer(t, leader, func(c *Config) { c.TickMs = 100 })
	_, addrB := startServer(t, follower, func(c *Config) { c.TickMs = 100; c.ServerID = 2 })
	w, c := openRaw(t, addrA), dialRaw(t, addrA)
	c.connect(wire.ConnectRequest{TimeoutMs: 600, Password: make([]byte, 16)})
	release := leader.holdBack(follower)
	w.call(1, wire.OpCreate, createBody("/a", "", 0))
	c.conn.Close()
	time.AfterFunc(1500*time.Millisecond, release)
	attach(t, addrB, c, 0)
}

// TestN7_NewLeaderGivesFullTimeouts: clocks stand still without leadership, and what a former leader thought had expired
// is not proposed to the next one.
func TestN7_NewLeaderGivesFullTimeouts(t *testing.T) {
	q := newFakeQuorum(t)
	_, addr := startServer(t, q, nil)
	c := openRaw(t, addr) // of 4 s, of which the test takes little
	id := tree.SessionID(c.session.SessionID)
	s := &shared{quorum: q, log: slog.New(slog.DiscardHandler)}
	s.cfg = Config{TickMs: 100, Metrics: perf.New(perf.Config{}), NowNs: perf.Now}
	k := newClock(s, nil)
	pass := func(ms int64) {
		for ; ms > 0; ms -= 100 {
			k.tick(100, nil)
		}
	}
	left := func() int64 {
		if e := k.tracker.sessions[id]; e != nil {
			return e.deadlineMs - k.tracker.nowMs
		}
		return -1
	}
	k.tick(100, nil)
	pass(3000)
	if ms := left(); ms > 1100 {
		t.Errorf("%d ms are left after 3 s of 4", ms)
	}
	q.set(func() { q.status.Role = quorum.Follower })
	pass(5000)
	if ms := left(); ms != -1 {
		t.Errorf("a follower keeps account of sessions: %d ms", ms)
	}
	q.set(func() { q.status.Role, q.status.Alone, q.status.Voters, q.status.Term = quorum.Leader, false, 3, 2 })
	k.tick(100, nil)
	if ms := left(); ms <= 4000+100 {
		t.Errorf("N7: %d ms are left at the beginning of leadership, want 4 s and the time of reports", ms)
	}
	pass(3900)
	k.touchedElsewhere([]tree.SessionID{id})
	pass(100)
	if ms := left(); ms <= 4000+100-100 {
		t.Errorf("N7: %d ms are left after another member heard of the session", ms)
	}
	k.term = 1 // as if leadership had been lost and won since the tick looked
	k.tracker.sessions[id].deadlineMs = 0
	k.expire(id)
	if n := s.cfg.Metrics.SessionsExpired.Value(); n != 1 {
		t.Fatalf("%d expiries were proposed, want one", n)
	}
	usable(t, c, "a session whose expiry was thought of in an old term")
	if _, ok := q.Tail().Root.Session(id); !ok {
		t.Error("N7: an expiry of an old term was proposed")
	}
	pass(100)
	if ms := left(); ms <= 4000 {
		t.Errorf("N7: %d ms are left in the new term", ms)
	}
}

// TestNoLeader: clients stay, read and ping for a third of their session timeout, then they are closed. Who connects waits a while.
func TestNoLeader(t *testing.T) {
	q := newFakeQuorum(t)
	s, addr := startServer(t, q, func(c *Config) { c.LeaderWaitMs = 300 })
	short, long := dialRaw(t, addr), dialRaw(t, addr)
	short.connect(wire.ConnectRequest{TimeoutMs: 600, Password: make([]byte, 16)})
	long.connect(wire.ConnectRequest{TimeoutMs: 4000, Password: make([]byte, 16)})
	q.set(func() {
		q.status.Role, q.status.Leader, q.status.Alone, q.status.Voters = quorum.Follower, 0, false, 3
		q.status.ContactNs = perf.Now()
	})
	lost := time.Now()
	usable(t, short, "right after the leader was lost")

	late := dialRaw(t, addr)
	req := wire.ConnectRequest{TimeoutMs: 4000, Password: make([]byte, 16)}
	late.out = appendFrame(nil, req.Append)
	late.send()
	late.ended()
	if waited := time.Since(lost); waited < 300*time.Millisecond || waited > 2*time.Second {
		t.Errorf("a ConnectRequest waited %v for a leader, want 300 ms", waited)
	}
	short.ended()
	if lived := time.Since(lost); lived < 200*time.Millisecond {
		t.Errorf("closed after %v without a leader, of a session timeout of 600 ms", lived)
	}
	usable(t, long, "before its time")
	lucky := dialRaw(t, addr)
	lucky.out = appendFrame(nil, req.Append)
	lucky.send()
	eventually(t, func() string {
		n := 0
		s.each(func(l *loop) { n = len(l.awaiting) })
		if n == 0 {
			return "the ConnectRequest does not wait"
		}
		return ""
	})
	q.set(func() { q.status.Leader, q.status.ContactNs = 2, 0 })
	b := lucky.frame()
	r := wire.NewReader(b)
	if !lucky.session.Parse(&r) || lucky.session.SessionID == 0 {
		t.Errorf("reply %+v", lucky.session)
	}
	usable(t, lucky, "when there is a leader again")
	usable(t, long, "when there is a leader again")
}

// TestNoLeader_UnansweredWrite: who waits for an answer waits no longer than who connects.
func TestNoLeader_UnansweredWrite(t *testing.T) {
	leader, follower := newFakeEnsemble(t)
	_, addr := startServer(t, follower, func(c *Config) { c.LeaderWaitMs = 300 })
	reader, writer := dialRaw(t, addr), dialRaw(t, addr)
	for _, c := range []*rawClient{reader, writer} {
		c.connect(wire.ConnectRequest{TimeoutMs: 40_000, Password: make([]byte, 16)})
	}
	leader.holdBack(follower)
	writer.add(1, wire.OpCreate, createBody("/held", "", 0))
	writer.send()
	lost := time.Now()
	follower.set(func() { follower.status.Leader, follower.status.ContactNs = 0, perf.Now() })
	writer.ended()
	if waited := time.Since(lost); waited < 300*time.Millisecond || waited > 6*time.Second {
		t.Errorf("closed after %v without a leader, want 300 ms", waited)
	}
	usable(t, reader, "when the writer was sent away")
}

// TestRemovedMember: who was removed serves nobody.
func TestRemovedMember(t *testing.T) {
	q := newFakeQuorum(t)
	_, addr := startServer(t, q, nil)
	c := openRaw(t, addr)
	q.set(func() { q.status.Role, q.status.Leader, q.status.Alone, q.status.Voters = quorum.Outside, 0, false, 2 })
	c.ended()
}

// TestSeenANewerState: a client that comes from a member further ahead waits until this one is as far.
func TestSeenANewerState(t *testing.T) {
	leader, follower := newFakeEnsemble(t)
	_, addrA := startServer(t, leader, nil)
	_, addrB := startServer(t, follower, func(c *Config) { c.ServerID = 2 })
	c := openRaw(t, addrA)
	release := leader.holdBack(follower)
	c.add(1, wire.OpCreate, createBody("/new", "", 0))
	c.send()
	seen := c.reply().Zxid
	if behind := int64(follower.Tail().Root.Zxid()); behind >= seen {
		t.Fatalf("the follower is at %d, not behind %d", behind, seen)
	}
	moved := make(chan *rawClient)
	go func() { moved <- attach(t, addrB, c, seen) }()
	select {
	case <-moved:
		t.Fatal("served by a member that is behind what the client has seen")
	case <-time.After(50 * time.Millisecond):
	}
	release()
	if p := (<-moved).call(2, wire.OpExists, watchBody("/new", false)); p.Err != 0 {
		t.Errorf("%+v", p.ReplyHeader)
	}
	ahead := dialRaw(t, addrB)
	req := wire.ConnectRequest{TimeoutMs: 4000, Password: make([]byte, 16), LastZxidSeen: seen + 1000}
	ahead.out = appendFrame(nil, req.Append)
	ahead.send()
	ahead.ended() // another ensemble's client
}

// TestInstalled: when the state came whole nobody can say what watches missed, who was answered, and who has lost his session.
func TestInstalled(t *testing.T) {
	leader, follower := newFakeEnsemble(t)
	_, addrA := startServer(t, leader, nil)
	s, addr := startServer(t, follower, func(c *Config) { c.Loops = 2; c.ServerID = 2 })
	idle, watching, moved, writing, fresh := openRaw(t, addr), openRaw(t, addr), openRaw(t, addr), openRaw(t, addr), dialRaw(t, addr)
	watching.call(1, wire.OpExists, watchBody("/x", true))
	release := leader.holdBack(follower)
	attach(t, addrA, moved, 0) // which the follower will not hear of
	writing.add(1, wire.OpSetData, setBody("/", "x"))
	writing.send()
	waitOutstanding(t, s, 1)
	follower.mu.Lock()
	installed := &quorum.Commit{Root: leader.Tail().Root, Installed: true}
	follower.mu.Unlock()
	follower.publish(installed)
	for _, c := range []*rawClient{watching, moved, writing} {
		c.ended()
	}
	usable(t, idle, "a connection that missed nothing")
	release()
	fresh.connect(wire.ConnectRequest{TimeoutMs: 4000, Password: make([]byte, 16)})
	usable(t, fresh, "a connection without a session")
	if n := s.WatchCounts().Watches; n != 0 {
		t.Errorf("%d watches are left", n)
	}
}

// TestConnectWaitsForTheState: a member that has just found its leader is brought up to date before it opens sessions, and gives
// up if that takes long.
func TestConnectWaitsForTheState(t *testing.T) {
	leader, follower := newFakeEnsemble(t)
	_, addrA := startServer(t, leader, nil)
	_, addrB := startServer(t, follower, func(c *Config) { c.ServerID = 2; c.LeaderWaitMs = 300 })
	w := openRaw(t, addrA)
	release := leader.holdBack(follower)
	w.call(1, wire.OpCreate, createBody("/a", "", 0))
	refusedConnect(t, addrB, wire.ConnectRequest{TimeoutMs: 4000, Password: make([]byte, 16)})
	release()
	c := openRaw(t, addrB)
	if p := c.call(1, wire.OpExists, watchBody("/a", false)); p.Err != 0 {
		t.Errorf("a member serves a state that is older than it has to be: %+v", p.ReplyHeader)
	}
	asked := leader.asked()
	for range 5 {
		openRaw(t, addrB)
	}
	if n := leader.asked() - asked; n != 0 {
		t.Errorf("%d syncs for further connections, want none", n)
	}
}
