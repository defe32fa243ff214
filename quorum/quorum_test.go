package quorum

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"holt/tree"
	"holt/wal"
	"holt/wal/checkpoint"
)

const process = 77

// openOn opens a quorum of one on a file system.
func openOn(t *testing.T, fs vfs.FS, change func(*Config)) *Quorum {
	t.Helper()
	log, err := wal.Open(wal.Config{FS: fs, Dir: "log", SegmentBytes: 256 << 10})
	if err != nil {
		t.Fatal(err)
	}
	image, err := checkpoint.Open(checkpoint.Config{FS: fs, Dir: "image"})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{ID: 1, Process: process, Log: log, Image: image, Rules: tree.RuleTTL}
	if change != nil {
		change(&cfg)
	}
	q, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// caller is a connection with a session.
type caller struct {
	q      *Quorum
	header tree.CommandHeader
	cursor *Commit
	taken  int // transactions of the cursor that were looked at
}

// callerAt looks at what is committed from now on.
func callerAt(q *Quorum) *caller {
	at := q.Tail()
	return &caller{q: q, cursor: at, taken: len(at.Txns)}
}

func newCaller(t *testing.T, q *Quorum, n uint64) *caller {
	t.Helper()
	c := callerAt(q)
	c.header = tree.CommandHeader{Origin: tree.Origin{Process: process, Conn: n}, Session: tree.SessionID(1000 + n)}
	c.header.IDs = tree.AppendIDs(nil, []tree.ID{{Scheme: "ip", ID: "127.0.0.1"}})
	if err := q.Propose(0, tree.AppendOpenSession(nil, &c.header, &tree.OpenSession{ID: c.header.Session, TimeoutMs: 30000})); err != nil {
		t.Fatal(err)
	}
	if txn := c.next(t); txn.Code != tree.OK {
		t.Fatalf("opening session %d: %v", c.header.Session, txn.Code)
	}
	return c
}

// create proposes a znode.
func (c *caller) create(path string) error {
	c.header.Tag++
	c.header.Op = tree.OpCreate
	acl := tree.AppendACL(nil, tree.PermAll, []byte("world"), []byte("anyone"))
	return c.q.Propose(0, tree.AppendCreate(nil, &c.header, &tree.Create{Path: []byte(path), Data: []byte("x"), ACL: acl}))
}

// next waits for the caller's next transaction.
func (c *caller) next(t *testing.T) tree.Txn {
	t.Helper()
	for {
		for c.taken < len(c.cursor.Txns) {
			txn := c.cursor.Txns[c.taken]
			c.taken++
			if txn.Local && txn.Origin == c.header.Origin {
				return txn
			}
		}
		c.cursor, c.taken = following(t, c.cursor), 0
	}
}

func exists(q *Quorum, path string) bool {
	_, ok := q.Tail().Root.Lookup([]byte(path))
	return ok
}

func TestRestartKeepsEverything(t *testing.T) {
	fs := vfs.NewMem()
	q := openOn(t, fs, nil)
	c := newCaller(t, q, 1)
	for i := range 50 {
		if err := c.create(fmt.Sprintf("/n%d", i)); err != nil {
			t.Fatal(err)
		}
		if txn := c.next(t); txn.Code != tree.OK {
			t.Fatalf("create %d: %v", i, txn.Code)
		}
	}
	before := q.Tail().Root
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = openOn(t, fs, nil)
	defer q.Close()
	after := q.Tail().Root
	if before.Digest() != after.Digest() || before.Zxid() != after.Zxid() || !exists(q, "/n49") {
		t.Errorf("before: zxid %#x digest %#x; after: zxid %#x digest %#x", before.Zxid(), before.Digest(), after.Zxid(), after.Digest())
	}
	if _, ok := after.Session(c.header.Session); !ok {
		t.Error("the session is gone")
	}
	if s := q.Status(); s.Role != Leader || s.Term != 2 {
		t.Errorf("status %+v, want leader of term 2", s)
	}
}

// More than applyingBytesMax goes through, so that raft would stop handing entries out if it did not learn that the
// earlier ones are applied.
func TestRaftLearnsWhatIsApplied(t *testing.T) {
	q := openOn(t, vfs.NewMem(), func(c *Config) { c.CheckpointBytes = 1 << 40 })
	defer q.Close()
	c := newCaller(t, q, 1)
	c.header.Op = tree.OpCreate
	acl := tree.AppendACL(nil, tree.PermAll, []byte("world"), []byte("anyone"))
	const bytes = 1 << 20
	for i := range 2 * applyingBytesMax / bytes {
		node := tree.Create{Path: fmt.Appendf(nil, "/big%d", i), Data: make([]byte, bytes), ACL: acl}
		if err := q.Propose(0, tree.AppendCreate(nil, &c.header, &node)); err != nil {
			t.Fatal(err)
		}
		c.next(t)
	}
}

func TestQ2_EachCallersOrderIsKept(t *testing.T) {
	const callers, creates = 8, 200
	q := openOn(t, vfs.NewMem(), nil)
	defer q.Close()
	begin := q.Tail()
	var wait sync.WaitGroup
	for n := range uint64(callers) {
		c := newCaller(t, q, n+1)
		wait.Go(func() {
			for i := range creates {
				if err := c.create(fmt.Sprintf("/c%d-%d", n, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	last := make(map[tree.Origin]uint64)
	for c, txns := begin, 0; txns < callers*creates; {
		c = following(t, c)
		for _, txn := range c.Txns {
			if txn.Op != tree.OpCreate {
				continue
			}
			txns++
			if txn.Code != tree.OK || txn.Tag != last[txn.Origin]+1 {
				t.Errorf("caller %d: tag %d after %d, %v", txn.Origin.Conn, txn.Tag, last[txn.Origin], txn.Code)
			}
			last[txn.Origin] = txn.Tag
		}
	}
}

// following waits for the commit after c.
func following(t *testing.T, c *Commit) *Commit {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Microsecond) {
		if n := c.Next(); n != nil {
			return n
		}
	}
	t.Fatalf("no commit follows number %d within 20 s", c.Seq)
	return nil
}

func TestQ5_SyncSeesWhatWasAcknowledged(t *testing.T) {
	q := openOn(t, vfs.NewMem(), nil)
	defer q.Close()
	c := newCaller(t, q, 1)
	for i := range 100 {
		path := fmt.Sprintf("/s%d", i)
		if err := c.create(path); err != nil {
			t.Fatal(err)
		}
		c.next(t)
		at := q.Tail()
		if err := q.Sync(c.header.Origin, uint64(i)); err != nil {
			t.Fatal(err)
		}
		done := waitSynced(t, at, uint64(i))
		if _, ok := done.Root.Lookup([]byte(path)); !ok {
			t.Fatalf("sync %d was reported with a root that lacks %s", i, path)
		}
	}
}

func waitSynced(t *testing.T, c *Commit, tag uint64) *Commit {
	t.Helper()
	for {
		c = following(t, c)
		if slices.ContainsFunc(c.Synced, func(s Synced) bool { return s.Tag == tag }) {
			return c
		}
	}
}

func TestQ6_CheckpointCutsTheLogAndRestartNeedsBoth(t *testing.T) {
	fs := vfs.NewMem()
	written := make(chan Checkpoint, 100)
	q := openOn(t, fs, func(c *Config) {
		c.CheckpointBytes = 64 << 10
		c.Checkpoint = func(p Checkpoint) { written <- p }
	})
	c := newCaller(t, q, 1)
	var last Checkpoint
	for i := 0; last.Index == 0 || i < 3000; i++ {
		if err := c.create(fmt.Sprintf("/checkpoint-%06d", i)); err != nil {
			t.Fatal(err)
		}
		c.next(t)
		select {
		case last = <-written:
			if last.Err != nil {
				t.Fatal(last.Err)
			}
		default:
		}
	}
	if first := q.cfg.Log.FirstIndex(); first <= 1 {
		t.Errorf("the log still begins at %d after a checkpoint at %d", first, last.Index)
	}
	digest := q.Tail().Root.Digest()
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = openOn(t, fs, nil)
	if got := q.Tail().Root.Digest(); got != digest {
		t.Errorf("digest %#x after the restart, %#x before", got, digest)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	// An image without its log must be refused, not served.
	if err := fs.RemoveAll("log"); err != nil {
		t.Fatal(err)
	}
	log, err := wal.Open(wal.Config{FS: fs, Dir: "log"})
	if err != nil {
		t.Fatal(err)
	}
	image, err := checkpoint.Open(checkpoint.Config{FS: fs, Dir: "image"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{ID: 1, Process: process, Log: log, Image: image}); !errors.Is(err, ErrGap) {
		t.Errorf("an image without its log: %v, want ErrGap", err)
	}
}

// full is an image whose disk is.
type full struct{ Image }

func (full) Write(*tree.Base, *tree.Root, checkpoint.Mark) error { return checkpoint.ErrFull }

// TestQ6_CheckpointBeforeAStop: what was applied before is in the image, so that a start need not replay it; what fails is said.
func TestQ6_CheckpointBeforeAStop(t *testing.T) {
	fs := vfs.NewMem()
	q := openOn(t, fs, nil)
	c := newCaller(t, q, 1)
	for i := range 20 {
		if err := c.create(fmt.Sprintf("/n%d", i)); err != nil {
			t.Fatal(err)
		}
		c.next(t)
	}
	applied := q.Tail().Index
	for range 2 { // the second finds it done
		if err := q.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if first := q.cfg.Log.FirstIndex(); first <= applied {
		t.Errorf("the log begins at %d, entry %d was to be in the image", first, applied)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = openOn(t, fs, func(c *Config) { c.Image = full{c.Image} })
	defer q.Close()
	if !exists(q, "/n19") {
		t.Error("the last write is not there")
	}
	newCaller(t, q, 2)
	if err := q.Checkpoint(t.Context()); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("a checkpoint that cannot be written: %v", err)
	}
}

// TestQ5_StartHasAllThatWasAcknowledged: what a log says of how far it is committed lags behind, and a member that is
// alone must not take its word for it.
func TestQ5_StartHasAllThatWasAcknowledged(t *testing.T) {
	fs := vfs.NewMem()
	for i := range 40 {
		q := openOn(t, fs, nil)
		if i > 0 && !exists(q, fmt.Sprintf("/n%d", i-1)) {
			t.Fatalf("start %d: the last write is not there", i)
		}
		c := newCaller(t, q, uint64(i))
		if err := c.create(fmt.Sprintf("/n%d", i)); err != nil {
			t.Fatal(err)
		}
		if txn := c.next(t); txn.Code != tree.OK {
			t.Fatal(txn.Code)
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
