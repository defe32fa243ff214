package quorum

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"holt/tree"
	"holt/wal"
	"holt/wal/checkpoint"
)

// ensemble is members in one process, each with a disk of its own.
type ensemble struct {
	t       *testing.T
	net     *memNet
	config  *tree.Ensemble
	disks   map[uint64]vfs.FS
	members map[uint64]*Quorum
	change  func(*Config) // before a member is opened
	runs    uint32
}

func newEnsemble(t *testing.T, ids ...uint64) *ensemble {
	return newEnsembleOf(t, lines(t, ids...), nil)
}

func newEnsembleOf(t *testing.T, config *tree.Ensemble, change func(*Config)) *ensemble {
	return newEnsembleOn(t, map[uint64]vfs.FS{}, config, change)
}

func newEnsembleOn(t *testing.T, disks map[uint64]vfs.FS, config *tree.Ensemble, change func(*Config)) *ensemble {
	e := &ensemble{t: t, net: newMemNet(), disks: disks, members: map[uint64]*Quorum{}, config: config, change: change}
	for _, m := range config.Members {
		e.start(uint64(m.ID))
	}
	t.Cleanup(func() {
		for id := range e.members {
			e.stop(id)
		}
	})
	eventually(t, "all are members", func() bool {
		leader := e.members[e.leader()]
		for _, q := range e.members {
			if r := q.Status().Role; r != Leader && r != Follower && r != Observer || q.Tail().Root.ClusterID() == 0 {
				return false
			}
		}
		return leader.Tail().Root.Ensemble() != nil
	})
	return e
}

func lines(t *testing.T, ids ...uint64) *tree.Ensemble {
	var m []tree.Member
	for _, id := range ids {
		one, err := tree.ParseMember(int(id), fmt.Sprintf("m%d:1:2;3", id))
		if err != nil {
			t.Fatal(err)
		}
		m = append(m, one)
	}
	e, err := tree.NewEnsemble(m, 0)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *ensemble) start(id uint64) *Quorum {
	e.t.Helper()
	if e.disks[id] == nil {
		e.disks[id] = vfs.NewMem()
	}
	fs := e.disks[id]
	log, err := wal.Open(wal.Config{FS: fs, Dir: "log", SegmentBytes: 256 << 10, TailBytes: 64 << 10})
	if err != nil {
		e.t.Fatal(err)
	}
	image, err := checkpoint.Open(checkpoint.Config{FS: fs, Dir: "image"})
	if err != nil {
		e.t.Fatal(err)
	}
	e.runs++
	process := uint32(id)*1000 + e.runs
	logger := slog.New(slog.DiscardHandler)
	if os.Getenv("HOLT_TEST_LOG") != "" {
		logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("member", id)
	}
	cfg := Config{
		ID: id, Process: process, Log: log, Image: image, Rules: tree.RuleTTL | tree.RuleReconfigEnabled | tree.RuleSkipACL, Ensemble: e.config,
		Network: e.net.node(id, process), Logger: logger, CheckpointBytes: 64 << 10,
	}
	if e.change != nil {
		e.change(&cfg)
	}
	q, err := Open(cfg)
	if err != nil {
		e.t.Fatal(err)
	}
	e.members[id] = q
	return q
}

func (e *ensemble) stop(id uint64) {
	if err := e.members[id].Close(); err != nil {
		e.t.Error(err)
	}
	delete(e.members, id)
}

// leader waits until one member leads and all others follow it.
func (e *ensemble) leader() uint64 {
	e.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		for id, q := range e.members {
			if q.Status().Role != Leader {
				continue
			}
			all := true
			for _, o := range e.members {
				all = all && (o.Status().Leader == id || o.Status().Role == Outside)
			}
			if all {
				return id
			}
		}
		time.Sleep(time.Millisecond)
	}
	for id, q := range e.members {
		e.t.Logf("member %d: %+v", id, q.Status())
	}
	e.t.Fatal("no leader that all follow")
	return 0
}

func (e *ensemble) follower() uint64 {
	e.t.Helper()
	leader := e.leader()
	for id, q := range e.members {
		if id != leader && q.Status().Role == Follower {
			return id
		}
	}
	e.t.Fatal("no follower")
	return 0
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// converge waits until all members have the same state.
func (e *ensemble) converge() {
	e.t.Helper()
	leader := e.members[e.leader()]
	eventually(e.t, "all members have the same state", func() bool {
		want := leader.Tail().Root
		for _, q := range e.members {
			if r := q.Tail().Root; q.Status().Role != Outside && (r.Zxid() != want.Zxid() || r.Digest() != want.Digest()) {
				return false
			}
		}
		return true
	})
}

// session opens a session through a member.
func (e *ensemble) session(id, n uint64) *caller {
	e.t.Helper()
	q := e.members[id]
	c := callerAt(q)
	c.header = tree.CommandHeader{Origin: tree.Origin{Process: q.cfg.Process, Conn: n}, Session: tree.SessionID(1000*id + n)}
	if err := q.Propose(q.Epoch(), tree.AppendOpenSession(nil, &c.header, &tree.OpenSession{ID: c.header.Session, TimeoutMs: 30000})); err != nil {
		e.t.Fatal(err)
	}
	if txn := c.next(e.t); txn.Code != tree.OK {
		e.t.Fatalf("opening a session through member %d: %v", id, txn.Code)
	}
	return c
}

// set creates a znode named by a number.
func (c *caller) put(t *testing.T, dir string, i int) {
	t.Helper()
	c.header.Tag++
	c.header.Op = tree.OpCreate
	acl := tree.AppendACL(nil, tree.PermAll, []byte("world"), []byte("anyone"))
	node := tree.Create{Path: fmt.Appendf(nil, "%s%06d", dir, i), Data: bytes.Repeat([]byte("x"), 100), ACL: acl}
	if err := c.q.Propose(c.q.Epoch(), tree.AppendCreate(nil, &c.header, &node)); err != nil {
		t.Fatal(err)
	}
}

func TestEnsembleCommitsFromEveryMember(t *testing.T) {
	e := newEnsemble(t, 1, 2, 3)
	e.leader()
	for id := range e.members {
		c := e.session(id, 1)
		for i := range 50 {
			c.put(t, fmt.Sprintf("/m%d-", id), i)
			if txn := c.next(t); txn.Code != tree.OK || txn.Tag != c.header.Tag {
				t.Fatalf("member %d: create %d: %v tag %d", id, i, txn.Code, txn.Tag)
			}
		}
	}
	e.converge()
	root := e.members[1].Tail().Root
	if root.ClusterID() == 0 || len(root.Ensemble().Members) != 3 {
		t.Errorf("cluster %#x, members %v", root.ClusterID(), root.Ensemble())
	}
}

// A member's commands survive the leader that they were sent to: each is applied once, in order, and nobody is told
// that anything was lost.
func TestNothingIsLostWithTheLeader(t *testing.T) {
	e := newEnsemble(t, 1, 2, 3)
	through := e.follower()
	c := e.session(through, 1)
	lost := false
	c.q.OnLost(func() { lost = true })
	const writes = 3000
	go func() {
		for i := range writes {
			c.put(t, "/n", i)
			if i%100 == 0 {
				time.Sleep(5 * time.Millisecond)
			}
		}
	}()
	leader := e.leader()
	time.Sleep(50 * time.Millisecond)
	e.stop(leader)
	for i := range writes {
		if txn := c.next(t); txn.Code != tree.OK || string(txn.Path) != fmt.Sprintf("/n%06d", i) {
			t.Fatalf("answer %d: %v %q", i, txn.Code, txn.Path)
		}
	}
	if lost {
		t.Error("connections were told that their writes may be lost")
	}
	e.start(leader)
	e.converge()
}

// A deposed leader's own commands that did not get through go to its successor.
func TestDeposedLeaderSendsItsCommandsOn(t *testing.T) {
	e := newEnsemble(t, 1, 2, 3)
	leader := e.leader()
	c := e.session(leader, 1)
	for id := range e.members {
		if id != leader {
			e.net.part(leader, id, true)
		}
	}
	for i := range 100 {
		c.put(t, "/n", i)
	}
	eventually(t, "the leader steps down", func() bool { return e.members[leader].Status().Role != Leader })
	for id := range e.members {
		if id != leader {
			e.net.part(leader, id, false)
		}
	}
	for i := range 100 {
		if txn := c.next(t); txn.Code != tree.OK || string(txn.Path) != fmt.Sprintf("/n%06d", i) {
			t.Fatalf("answer %d: %v %q", i, txn.Code, txn.Path)
		}
	}
	e.converge()
}

// A member that is behind what the log keeps, or has lost everything, is sent the state.
func TestMemberIsRefilled(t *testing.T) {
	for _, wiped := range []bool{false, true} {
		t.Run(fmt.Sprintf("wiped=%v", wiped), func(t *testing.T) {
			e := newEnsemble(t, 1, 2, 3)
			away := e.follower()
			e.stop(away)
			if wiped {
				delete(e.disks, away)
			}
			leader := e.leader()
			c := e.session(leader, 1)
			at := e.members[leader].cfg.Log.LastIndex()
			for i := range 5000 {
				c.put(t, "/n", i)
				if i%20 == 19 {
					for range 20 {
						c.next(t)
					}
				}
			}
			eventually(t, "the log is cut", func() bool { return e.members[leader].cfg.Log.FirstIndex() > at+1 })
			e.start(away)
			eventually(t, "the member has caught up", func() bool {
				return exists(e.members[away], "/n004999") && e.members[away].Status().Role == Follower
			})
			e.converge()
			e.stop(leader)
			e.leader()
			e.stop(away)
			e.start(away)
			e.leader()
			e.converge()
		})
	}
}

// A member that is far behind is sent the log, read back from the disk.
func TestMemberIsSentTheLog(t *testing.T) {
	e := newEnsembleOf(t, lines(t, 1, 2, 3), func(c *Config) { c.CheckpointBytes = 1 << 40 })
	away := e.follower()
	e.stop(away)
	leader := e.leader()
	first := e.members[leader].cfg.Log.FirstIndex()
	c := e.session(leader, 1)
	const znodes = 20_000
	for i := range znodes {
		c.put(t, "/"+strings.Repeat("x", i%700), i)
		if i%100 == 99 {
			for range 100 {
				c.next(t)
			}
		}
	}
	e.start(away)
	if err := e.members[away].CaughtUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := e.members[away].Tail().Root.NodeCount(), e.members[leader].Tail().Root.NodeCount(); got != want {
		t.Errorf("%d of %d znodes are there when the member says that it has caught up", got, want)
	}
	e.converge()
	if e.members[leader].cfg.Log.FirstIndex() != first {
		t.Error("the log was cut")
	}
}

func TestSyncFromFollower(t *testing.T) {
	e := newEnsemble(t, 1, 2, 3)
	leader, follower := e.leader(), e.follower()
	c := e.session(leader, 1)
	for i := range 200 {
		c.put(t, "/n", i)
		c.next(t)
		q := e.members[follower]
		at := q.Tail()
		if err := q.Sync(tree.Origin{Process: q.cfg.Process, Conn: 9}, uint64(i)); err != nil {
			t.Fatal(err)
		}
		for done := false; !done; {
			at = following(t, at)
			done = len(at.Synced) > 0 && at.Synced[0].Tag == uint64(i)
		}
		if _, ok := at.Root.Lookup(fmt.Appendf(nil, "/n%06d", i)); !ok {
			t.Fatalf("Q5: after a sync /n%06d is not there", i)
		}
	}
}

func (c *caller) reconfig(t *testing.T, r *tree.Reconfig) tree.Txn {
	t.Helper()
	c.header.Tag++
	c.header.Op = tree.OpReconfig
	r.ConfigID = -1
	if err := c.q.Propose(c.q.Epoch(), tree.AppendReconfig(nil, &c.header, r)); err != nil {
		t.Fatal(err)
	}
	return c.next(t)
}

// With one of three members away the other one that follows cannot be removed: the leader would be left with one that is away.
// The one that is away can.
func TestReconfig_LeavesAQuorum(t *testing.T) {
	e := newEnsembleOf(t, lines(t, 1, 2, 3), func(c *Config) { c.Tick = 10 * time.Millisecond })
	leader := e.leader()
	c := e.session(leader, 1)
	away := e.follower()
	other := 6 - leader - away
	e.stop(away)
	if txn := c.reconfig(t, &tree.Reconfig{Leaving: fmt.Append(nil, other)}); txn.Code != tree.NewConfigNoQuorum {
		t.Errorf("removing member %d: %v, want %v", other, txn.Code, tree.NewConfigNoQuorum)
	}
	if txn := c.reconfig(t, &tree.Reconfig{Leaving: fmt.Append(nil, away)}); txn.Code != tree.OK {
		t.Errorf("removing member %d: %v", away, txn.Code)
	}
	if n := e.members[leader].Status().Voters; n != 2 {
		t.Errorf("%d members vote", n)
	}
}

// Members are added and removed by reconfig, one that leads too.
func TestReconfig(t *testing.T) {
	e := newEnsemble(t, 1, 2, 3)
	leader := e.leader()
	c := e.session(e.follower(), 1)
	for i := range 100 {
		c.put(t, "/n", i)
		c.next(t)
	}
	reconfig := func(r *tree.Reconfig) tree.Txn { return c.reconfig(t, r) }
	e.config = lines(t, 1, 2, 3, 4)
	e.start(4)
	if txn := reconfig(&tree.Reconfig{Joining: []byte("server.4=m4:1:2;3")}); txn.Code != tree.OK {
		t.Fatalf("adding member 4: %v", txn.Code)
	}
	eventually(t, "member 4 follows", func() bool { return e.members[4].Status().Role == Follower })
	if txn := reconfig(&tree.Reconfig{Leaving: fmt.Appendf(nil, "%d", leader)}); txn.Code != tree.OK {
		t.Fatalf("removing the leader %d: %v", leader, txn.Code)
	}
	eventually(t, "the removed member is outside", func() bool { return e.members[leader].Status().Role == Outside })
	e.stop(leader)
	c.put(t, "/after", 1)
	if txn := c.next(t); txn.Code != tree.OK {
		t.Fatalf("after the leader was removed: %v", txn.Code)
	}
	e.converge()
	if txn := reconfig(&tree.Reconfig{Joining: []byte("server.9=m9:1:2;3")}); txn.Code != tree.NewConfigNoQuorum {
		t.Errorf("adding a member that does not exist: %v, want %v", txn.Code, tree.NewConfigNoQuorum)
	}
}

func TestHandover(t *testing.T) {
	e := newEnsemble(t, 1, 2, 3)
	leader := e.leader()
	c := e.session(e.follower(), 1)
	for i := range 100 {
		c.put(t, "/n", i)
	}
	if err := e.members[leader].Handover(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if txn := c.next(t); txn.Code != tree.OK || string(txn.Path) != fmt.Sprintf("/n%06d", i) {
			t.Fatalf("answer %d: %v %q", i, txn.Code, txn.Path)
		}
	}
	if now := e.leader(); now == leader {
		t.Errorf("member %d still leads", leader)
	}
}

// A member that has just gone counts as active for a while: leadership must not be offered to it.
func TestHandover_NotToOneThatIsGone(t *testing.T) {
	logged := make(chanWriter, 1000)
	e := newEnsembleOf(t, lines(t, 1, 2, 3), func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(logged, nil))
	})
	leader := e.leader()
	one, other := leader%3+1, (leader+1)%3+1
	gone, left := min(one, other), max(one, other) // of members that are as good the first would be taken
	e.converge()
	e.stop(gone)
	if err := e.members[leader].Handover(t.Context()); err != nil {
		t.Fatal(err)
	}
	for line := range logged {
		if !strings.Contains(line, "handing over leadership") {
			continue
		}
		if want := fmt.Sprintf("to=%d\n", left); !strings.HasSuffix(line, want) {
			t.Errorf("%q, want %q", line, want)
		}
		break
	}
}

// chanWriter hands on what is written to it, as long as somebody reads.
type chanWriter chan string

func (c chanWriter) Write(b []byte) (int, error) {
	select {
	case c <- string(b):
	default:
	}
	return len(b), nil
}

// An observer takes commands and serves, and the others go on without it; alone with one voter of three it cannot.
func TestObserver(t *testing.T) {
	config := withObserver(t)
	e := newEnsembleOf(t, config, nil)
	leader := e.leader()
	if s := e.members[4].Status(); s.Role != Observer || s.Voters != 3 {
		t.Fatalf("member 4: %+v", s)
	}
	c := e.session(4, 1)
	for i := range 100 {
		c.put(t, "/n", i)
	}
	for range 100 {
		if txn := c.next(t); txn.Code != tree.OK {
			t.Fatal(txn.Code)
		}
	}
	e.converge()
	for id := range e.members {
		if id != leader && id != 4 {
			e.stop(id)
		}
	}
	eventually(t, "the leader steps down without a majority", func() bool { return e.members[leader].Status().Role != Leader })
	if s := e.members[4].Status(); s.Role == Leader {
		t.Errorf("an observer leads: %+v", s)
	}
}

// withObserver is three members that vote, and member 4.
func withObserver(t *testing.T) *tree.Ensemble {
	config := lines(t, 1, 2, 3)
	observer, err := tree.ParseMember(4, "m4:1:2:observer;3")
	if err != nil {
		t.Fatal(err)
	}
	config, err = tree.NewEnsemble(append(config.Members, observer), 0)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// An observer that lost its data is filled again, also by a leader that knows it to have had entries. quorum/sim found
// (seeds 100 and 103): it was admitted as it was, the leader told it to commit what it no longer had, and it panicked.
func TestQ8_ObserverIsRefilled(t *testing.T) {
	e := newEnsembleOf(t, withObserver(t), nil)
	c := e.session(e.leader(), 1)
	for i := range 50 {
		c.put(t, "/n", i)
		c.next(t)
	}
	e.converge()
	e.stop(4)
	e.disks[4] = vfs.NewMem()
	e.start(4)
	c.put(t, "/n", 50)
	c.next(t)
	e.converge()
	eventually(t, "it is an observer again", func() bool { return e.members[4].Status().Role == Observer })
}

// flawed is an image that gives back a state that is not the one it was given.
type flawed struct{ Image }

// Load implements Image.
func (f flawed) Load() (*tree.State, checkpoint.Mark, error) {
	state, m, err := f.Image.Load()
	if err != nil || m.Index == 0 {
		return state, m, err
	}
	acl := tree.AppendACL(nil, tree.PermAll, []byte("world"), []byte("anyone"))
	batch := tree.AppendBatchHeader(nil, tree.BatchHeader{Rules: tree.RuleSkipACL})
	state.Root().Sessions(func(s tree.Session) bool {
		h := tree.CommandHeader{Op: tree.OpCreate, Session: s.ID, Origin: s.Owner}
		batch = tree.AppendCreate(batch, &h, &tree.Create{Path: []byte("/flaw"), ACL: acl})
		return false
	})
	_, err = state.Apply(tree.Batch{Term: m.Term, Data: batch})
	return state, m, err
}

// TestQ9_MemberThatDiffersStops: one member's image is not what was written; the others find out and it stops.
func TestQ9_MemberThatDiffersStops(t *testing.T) {
	e := newEnsemble(t, 1, 2, 3)
	wrong := e.follower()
	c := e.session(e.leader(), 1)
	write := func(dir string, n int) {
		for i := range n {
			c.put(t, dir, i)
			c.next(t)
		}
	}
	write("/a", 1000)
	eventually(t, "the member has a checkpoint", func() bool { return e.members[wrong].cfg.Log.FirstIndex() > 1 })
	e.stop(wrong)
	stopped := make(chan error, 1)
	e.change = func(c *Config) {
		c.Image = flawed{c.Image}
		c.Fatal = func(err error) {
			stopped <- err
			select {}
		}
	}
	q := e.start(wrong)
	delete(e.members, wrong) // it will not answer a Close
	_ = q
	e.leader()
	write("/b", 3*digestEvery)
	select {
	case err := <-stopped:
		if !errors.Is(err, ErrDiffers) {
			t.Errorf("stopped for another reason: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("a member whose state differs goes on")
	}
	e.converge()
}
