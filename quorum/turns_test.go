package quorum

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"holt/tree"
	"holt/wal"
	"holt/wal/checkpoint"
)

// openStepped opens a quorum of one that only moves in settle.
func openStepped(t *testing.T) (*Quorum, *wal.Log) {
	t.Helper()
	fs := vfs.NewMem()
	log, err := wal.Open(wal.Config{FS: fs, Dir: "log", SegmentBytes: 256 << 10, Stepped: true})
	if err != nil {
		t.Fatal(err)
	}
	image, err := checkpoint.Open(checkpoint.Config{FS: fs, Dir: "image"})
	if err != nil {
		t.Fatal(err)
	}
	q, err := Open(Config{ID: 1, Process: process, Log: log, Image: image, Stepped: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q, log
}

// settle steps a member until nothing is due, and returns how many turns it took.
func settle(t *testing.T, q *Quorum, log *wal.Log) (turns int) {
	t.Helper()
	for range 100 {
		if len(q.wake) > 0 {
			turns++
		}
		worked := q.Step()
		log.Step()
		if !worked && len(q.wake) == 0 {
			return turns
		}
	}
	t.Fatal("the member does not come to rest")
	return 0
}

// A write costs two turns, the one that makes its entry and the one in which that is durable. A commit needs no way through
// the log, and raft hears that it was applied when it is asked for something else.
func TestAWriteTakesTwoTurns(t *testing.T) {
	q, log := openStepped(t)
	q.Tick()
	settle(t, q, log)
	if role := q.Status().Role; role != Leader {
		t.Fatalf("role %v, want leader", role)
	}
	c := newStepped(t, q)
	settle(t, q, log)
	for i := range 5 {
		before := q.Tail().Seq
		if err := c.create("/n" + string(rune('a'+i))); err != nil {
			t.Fatal(err)
		}
		if turns := settle(t, q, log); turns != 2 {
			t.Errorf("write %d took %d turns, want 2", i, turns)
		}
		if after := q.Tail().Seq; after != before+1 {
			t.Errorf("write %d: %d commits, want 1", i, after-before)
		}
	}
	if got := q.core.node.BasicStatus().Applied; got != q.Tail().Index-1 {
		t.Errorf("raft knows of %d applied entries, want all but the last of %d", got, q.Tail().Index)
	}
	q.Tick()
	settle(t, q, log)
	if got := q.core.node.BasicStatus().Applied; got != q.Tail().Index {
		t.Errorf("after a tick raft knows of %d applied entries, want %d", got, q.Tail().Index)
	}
}

func newStepped(t *testing.T, q *Quorum) *caller {
	t.Helper()
	c := callerAt(q)
	c.header = tree.CommandHeader{Origin: tree.Origin{Process: process, Conn: 1}, Session: 1001}
	if err := q.Propose(0, tree.AppendOpenSession(nil, &c.header, &tree.OpenSession{ID: c.header.Session, TimeoutMs: 30000})); err != nil {
		t.Fatal(err)
	}
	return c
}
