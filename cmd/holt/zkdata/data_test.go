package zkdata

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/snappy/xerial"

	"holt/netloop/wire"
	"holt/tree"
)

// testdata/alone is what Apache ZooKeeper 3.9.5 left when it was killed, with snapCount=30, but for the zeros at the end of its log. want.txt is
// what it answered before, to a session with every permission: each znode, and the sessions that were open.
const captured = "testdata/alone"

// The captured files, newest last.
var (
	snapshotNames = []string{"snapshot.0", "snapshot.1c", "snapshot.2e", "snapshot.42"}
	logNames      = []string{"log.1", "log.1e", "log.30", "log.44"}
)

func want(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(captured, "want.txt"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// copyOf gives a test files of its own: all of the captured ones.
func copyOf(t testing.TB) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), versionDir)
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(captured, versionDir))); err != nil {
		t.Fatal(err)
	}
	return dir
}

func remove(t testing.TB, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// describe is a state in the words of want.txt.
func describe(t testing.TB, d *Data) string {
	t.Helper()
	state, err := d.State(true)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	var visit func(path string)
	root := state.Root()
	visit = func(path string) {
		n, ok := root.Lookup([]byte(path))
		if !ok {
			t.Fatalf("%s is not there", path)
		}
		s := n.Stat()
		fmt.Fprintf(&b, "%s %q czxid %#x mzxid %#x pzxid %#x ctime %d mtime %d version %d cversion %d aversion %d owner %#x children %d acl", path, n.Data(),
			uint64(s.Czxid), uint64(s.Mzxid), uint64(s.Pzxid), s.Ctime, s.Mtime, s.Version, s.Cversion, s.Aversion, uint64(s.EphemeralOwner), s.NumChildren)
		for _, e := range n.ACL().Entries() {
			fmt.Fprintf(&b, " %d:%s:%s", e.Perms, e.ID.Scheme, e.ID.ID)
		}
		b.WriteByte('\n')
		n.Children(nil, func(name []byte) bool {
			visit(strings.TrimSuffix(path, "/") + "/" + string(name))
			return true
		})
	}
	visit("/")
	b.WriteString("sessions")
	root.Sessions(func(s tree.Session) bool {
		fmt.Fprintf(&b, " %#x", uint64(s.ID))
		if s.TimeoutMs != 40_000 || s.Password != passwordOf(int64(s.ID)) {
			t.Errorf("session %+v", s)
		}
		return true
	})
	return b.String() + "\n"
}

func sure(d *Data) bool { return len(d.Doubts) == 0 && d.Agreed.Last > 0 && d.Agreed.Differ == 0 }

func TestRead_FromEachSnapshot(t *testing.T) {
	for i := range snapshotNames {
		dir := copyOf(t)
		remove(t, dir, snapshotNames[len(snapshotNames)-i:]...)
		d, err := Read(dir, dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := filepath.Base(d.Snapshot); got != snapshotNames[len(snapshotNames)-1-i] {
			t.Fatalf("read %s", got)
		}
		if !sure(d) || d.Zxid != 0x5b || d.Sessions != 2 || d.Znodes != 44 || d.Term() != 1 || len(d.Notes) > 0 {
			t.Errorf("%s: %+v", d.Snapshot, *d)
		}
		if wantSchemes := map[string]int{"digest": 2, "ip": 1, "world": 2}; !maps.Equal(d.Schemes, wantSchemes) {
			t.Errorf("schemes %v", d.Schemes)
		}
		if got, want := describe(t, d), want(t); got != want {
			t.Errorf("from %s\n%s\nwant\n%s", d.Snapshot, got, want)
		}
	}
}

func TestRead_CompressedSnapshots(t *testing.T) {
	last := snapshotNames[len(snapshotNames)-1]
	for ext, pack := range map[string]func([]byte) []byte{
		".gz": func(b []byte) []byte {
			var z bytes.Buffer
			w := gzip.NewWriter(&z)
			_, err := w.Write(b)
			if err := errors.Join(err, w.Close()); err != nil {
				t.Fatal(err)
			}
			return z.Bytes()
		},
		".snappy": func(b []byte) []byte { return xerial.Encode(nil, b) },
	} {
		dir := copyOf(t)
		b, err := os.ReadFile(filepath.Join(dir, last))
		if err != nil {
			t.Fatal(err)
		}
		remove(t, dir, last)
		if err := os.WriteFile(filepath.Join(dir, last+ext), pack(b), 0o644); err != nil {
			t.Fatal(err)
		}
		d, err := Read(dir, dir)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(d.Snapshot) != last+ext || !sure(d) || describe(t, d) != want(t) {
			t.Errorf("%s: %+v", ext, *d)
		}
	}
}

// A bit that flips must not change what is imported without a word.
func TestRead_FlippedBits(t *testing.T) {
	dir, want := copyOf(t), want(t)
	for _, name := range []string{"snapshot.42", "log.44"} {
		path := filepath.Join(dir, name)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range b {
			b[i] ^= 1 << (i % 8)
			if err := os.WriteFile(path, b, 0o644); err != nil {
				t.Fatal(err)
			}
			b[i] ^= 1 << (i % 8)
			d, err := Read(dir, dir)
			switch {
			case err != nil:
				if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), name) {
					t.Fatalf("byte %d of %s: %v", i, name, err)
				}
			case len(d.Doubts) > 0:
				if text := strings.Join(d.Doubts, "\n"); !strings.Contains(text, name) {
					t.Fatalf("byte %d of %s: %s", i, name, text)
				}
			case describe(t, d) != want:
				t.Fatalf("byte %d of %s made another state without a doubt: %+v", i, name, *d)
			case name == "snapshot.42" && filepath.Base(d.Snapshot) == name:
				t.Fatalf("byte %d of %s was not noticed", i, name)
			}
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Wherever the last file of the log ends, what is read is the state after some transaction of it.
func TestRead_TornLog(t *testing.T) {
	dir := copyOf(t)
	path := filepath.Join(dir, "log.44")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	end := len(bytes.TrimRight(b, "\x00"))
	ends := map[tree.Zxid]int{}
	for n := end; n > logHeaderBytes; n-- {
		for _, padded := range []bool{false, true} {
			cut := bytes.Clone(b[:n])
			if padded {
				cut = append(cut, make([]byte, 4096)...)
			}
			if err := os.WriteFile(path, cut, 0o644); err != nil {
				t.Fatal(err)
			}
			d, err := Read(dir, dir)
			if err != nil || d.Agreed.Differ > 0 || d.Agreed.Last == 0 {
				t.Fatalf("cut at %d, padded %v: %v %+v", n, padded, err, d)
			}
			if !padded {
				ends[d.Zxid]++
			}
			if n == end && !sure(d) {
				t.Errorf("whole: %+v", *d)
			}
		}
	}
	if len(ends) != 0x5b-0x43+1 {
		t.Errorf("ends at %v", slices.Sorted(maps.Keys(ends)))
	}
}

func TestRead_MissingFiles(t *testing.T) {
	for _, c := range []struct {
		without []string
		doubt   string
	}{
		{[]string{"snapshot.42", "log.30"}, "transactions between 0x2f and 0x44 are missing"},
		{[]string{"log.44"}, ""}, // the snapshot is whole, and it was not written to while that was made
		{[]string{"log.30"}, "transactions between 0x42 and 0x44 are missing"},
	} {
		dir := copyOf(t)
		remove(t, dir, c.without...)
		d, err := Read(dir, dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(d.Doubts, "\n"); c.doubt == "" && got != "" || !strings.Contains(got, c.doubt) {
			t.Errorf("without %v: doubts %q", c.without, got)
		}
	}
	dir := copyOf(t)
	remove(t, dir, snapshotNames...)
	if _, err := Read(dir, dir); !errors.Is(err, ErrDamaged) {
		t.Errorf("without a snapshot: %v", err)
	}
	remove(t, dir, logNames...)
	if _, err := Read(dir, dir); !errors.Is(err, ErrNothing) {
		t.Errorf("without anything: %v", err)
	}
	if _, err := Read(filepath.Join(dir, "none"), dir); !errors.Is(err, ErrNothing) {
		t.Errorf("without a directory: %v", err)
	}
}

// A snapshot that was being written while transactions went on is not whole without them.
func TestRead_LogEndsBeforeTheSnapshot(t *testing.T) {
	dir := copyOf(t)
	remove(t, dir, "log.44")
	if err := os.Rename(filepath.Join(dir, "snapshot.42"), filepath.Join(dir, "snapshot.41")); err != nil {
		t.Fatal(err)
	}
	remove(t, dir, "log.30")
	d, err := Read(dir, dir)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(d.Doubts, "\n"), "still being written") {
		t.Errorf("doubts %q", d.Doubts)
	}
}

func TestK3_AnEpochWithoutTransactions(t *testing.T) {
	dir := copyOf(t)
	if err := os.WriteFile(filepath.Join(dir, "currentEpoch"), []byte("7\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	d, err := Read(dir, dir)
	if err != nil {
		t.Fatal(err)
	}
	if d.Zxid != 7<<32 || d.Term() != 8 {
		t.Errorf("zxid %#x, term %d", uint64(d.Zxid), d.Term())
	}
	if state, err := d.State(true); err != nil || state.Root().Zxid() != 7<<32 {
		t.Errorf("%v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "currentEpoch"), []byte("seven"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(dir, dir); !errors.Is(err, ErrDamaged) {
		t.Errorf("an epoch in words: %v", err)
	}
}

// The passwords are those of java.util.Random(id ^ 0xB3415C00L).nextBytes.
func TestPasswordOf(t *testing.T) {
	for id, want := range map[uint64]string{
		0x100000000000001:  "054cc74a37327db215e702e20c73f005",
		0x10000abcdef0042:  "0395396c72c8f1b8ddb2ca365eb472ad",
		0xffffffffffffffff: "20f62cb5648dc2d771471c8a2486a9ee",
	} {
		if got := passwordOf(int64(id)); hex.EncodeToString(got[:]) != want {
			t.Errorf("%#x: %x, want %s", id, got, want)
		}
	}
}

// txn is a transaction as it stands in the log.
type txn struct {
	op      wire.Op
	session int64
	body    []byte
}

func applyAll(t *testing.T, db *database, zxid int64, txns ...txn) {
	t.Helper()
	for _, x := range txns {
		zxid++
		r := wire.NewReader(x.body)
		if err := db.apply(&header{x.session, zxid, 1000 + zxid, x.op}, &r); err != nil {
			t.Fatal(err)
		}
	}
}

func createTxn(path string, ephemeral bool, creates int32) []byte {
	b := wire.AppendBuffer(wire.AppendString(nil, path), []byte("data"))
	b = append(wire.OpenACL.Append(b), 0)
	if ephemeral {
		b[len(b)-1] = 1
	}
	return wire.AppendInt32(b, creates)
}

func freshDatabase() *database {
	db := newDatabase()
	for _, path := range []string{"/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"} {
		z := tree.Fresh(path)
		db.put(string(tree.AppendKey(nil, []byte(path))), &z)
	}
	return db
}

func (db *database) at(path string) *tree.Imported {
	return db.znodes[string(tree.AppendKey(nil, []byte(path)))]
}

// An ephemeral that the snapshot and the log have left behind its session is of no use to anybody.
func TestLeaveOut(t *testing.T) {
	d := &Data{db: freshDatabase()}
	applyAll(t, d.db, 0, txn{wire.OpCreate, 5, createTxn("/a", false, 1)}, txn{wire.OpCreate, 5, createTxn("/a/e", true, 1)})
	d.db.zxid = 9
	d.leaveOut()
	if d.Orphans != 1 || d.db.at("/a/e") != nil || d.db.at("/a").Pzxid != 9 {
		t.Errorf("%d orphans, %v, parent %+v", d.Orphans, d.db.at("/a/e"), d.db.at("/a"))
	}
}

// A session's end names its ephemerals from 3.6 on, and may be followed by a digest only or by nothing otherwise.
func TestCloseSession(t *testing.T) {
	digest := append(wire.AppendInt32(nil, digestVersion), make([]byte, 8)...)
	for name, body := range map[string][]byte{
		"named":               wire.MakeStrings("/e").Append(nil),
		"named, with digest":  append(wire.MakeStrings("/e").Append(nil), digest...),
		"none, with digest":   append(wire.MakeStrings().Append(nil), digest...),
		"empty":               nil,
		"empty, with digest":  digest,
		"none named":          wire.MakeStrings().Append(nil),
		"one with no name":    append(wire.MakeStrings("/e").Append(nil), 0),
		"another's, by name":  wire.MakeStrings("/e", "/f").Append(nil),
		"gone already, named": wire.MakeStrings("/e", "/g").Append(nil),
	} {
		db := freshDatabase()
		applyAll(t, db, 0, txn{wire.OpCreateSession, 5, wire.AppendInt32(nil, 40_000)}, txn{wire.OpCreate, 5, createTxn("/e", true, 1)},
			txn{wire.OpCloseSession, 5, body})
		if db.at("/e") != nil || len(db.sessions) > 0 || db.at("/").Pzxid != 3 {
			t.Errorf("%s: %v, sessions %v, root %+v", name, db.at("/e"), db.sessions, db.at("/"))
		}
	}
}

// What a snapshot has already is not changed by the transactions that made it.
func TestApply_Again(t *testing.T) {
	multi := binary.BigEndian.AppendUint32(nil, 2)
	for _, part := range []txn{{wire.OpCreate, 5, createTxn("/m", false, 3)}, {wire.OpDelete, 5, wire.AppendString(nil, "/b")}} {
		multi = wire.AppendBuffer(wire.AppendInt32(multi, int32(part.op)), part.body)
	}
	failed := binary.BigEndian.AppendUint32(nil, 2)
	for _, part := range []txn{{wire.OpDelete, 5, wire.AppendString(nil, "/a")}, {wire.OpError, 5, wire.AppendInt32(nil, -2)}} {
		failed = wire.AppendBuffer(wire.AppendInt32(failed, int32(part.op)), part.body)
	}
	txns := []txn{
		{wire.OpCreateSession, 5, wire.AppendInt32(nil, 40_000)},
		{wire.OpCreate, 5, createTxn("/a", false, 1)},
		{wire.OpCreate, 5, createTxn("/b", true, 2)},
		{wire.OpMulti, 5, multi},
		{wire.OpMulti, 5, failed},
		{wire.OpSetData, 5, wire.AppendInt32(wire.AppendBuffer(wire.AppendString(nil, "/a"), []byte("x")), 1)},
		{wire.OpSetACL, 5, wire.AppendInt32(wire.OpenACL.Append(wire.AppendString(nil, "/a")), 1)},
	}
	for from := range txns {
		db := freshDatabase()
		applyAll(t, db, 0, txns...)
		once := describe(t, &Data{db: db})
		digest := db.digest
		applyAll(t, db, int64(from), txns[from:]...)
		if again := describe(t, &Data{db: db}); again != once || db.digest != digest {
			t.Errorf("from transaction %d again:\n%s\nwant\n%s", from+1, again, once)
		}
	}
}

// A parent that was written into the snapshot later than its children has the later counts, which stay.
func TestApply_ParentIsAhead(t *testing.T) {
	db := freshDatabase()
	root := db.at("/")
	root.Creates, root.Pzxid = 9, 50
	applyAll(t, db, 10, txn{wire.OpCreate, 5, createTxn("/a", false, 4)}, txn{wire.OpDelete, 5, wire.AppendString(nil, "/a")})
	if root.Creates != 9 || root.Pzxid != 50 {
		t.Errorf("creates %d, pzxid %d", root.Creates, root.Pzxid)
	}
}

func FuzzSnapshot(f *testing.F) {
	for _, name := range snapshotNames {
		b, err := os.ReadFile(filepath.Join(captured, versionDir, name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = (&file{path: "snapshot.0"}).parseSnapshot(b, newDatabase())
	})
}

// FuzzTransaction gives the replay a record whose checksum fits.
func FuzzTransaction(f *testing.F) {
	for _, name := range logNames {
		b, err := os.ReadFile(filepath.Join(captured, versionDir, name))
		if err != nil {
			f.Fatal(err)
		}
		for at := logHeaderBytes; len(b)-at > recordBytes; {
			n := int(binary.BigEndian.Uint32(b[at+8:]))
			if n == 0 {
				break
			}
			f.Add(b[at+recordBytes : at+recordBytes+n])
			at += recordBytes + n + 1
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := wire.NewReader(b)
		h := header{r.Int64(), r.Int64(), r.Int64(), wire.Op(r.Int32())}
		db := freshDatabase()
		if db.apply(&h, &r) == nil {
			d := &Data{db: db}
			d.leaveOut()
			if _, err := d.State(true); err != nil && !errors.Is(err, tree.ErrCorrupt) {
				t.Fatal(err)
			}
		}
	})
}
