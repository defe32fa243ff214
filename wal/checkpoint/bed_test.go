package checkpoint

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"holt/tree"
)

// owner is the session that changes the tree; others only own ephemerals.
const owner = 1000

// bed is a tree that random commands change.
type bed struct {
	t      testing.TB
	rng    *rand.Rand
	state  *tree.State
	timeMs int64
	batch  []byte
	paths  []string // made and perhaps gone again
	next   int
}

func newBed(t testing.TB, seed uint64) *bed {
	b := &bed{t: t, rng: rand.New(rand.NewPCG(seed, 1)), state: tree.New()}
	b.begin()
	b.batch = tree.AppendOpenSession(b.batch, &tree.CommandHeader{}, &tree.OpenSession{ID: owner, TimeoutMs: 1000})
	b.apply()
	return b
}

func (b *bed) begin() {
	b.timeMs++
	b.batch = tree.AppendBatchHeader(b.batch[:0], tree.BatchHeader{TimeMs: b.timeMs, Rules: tree.RuleTTL})
}

// apply applies what was gathered since the last apply. The state keeps parts of a batch.
func (b *bed) apply() {
	b.t.Helper()
	if _, err := b.state.Apply(tree.Batch{Term: 1, Data: slices.Clone(b.batch)}); err != nil {
		b.t.Fatal(err)
	}
	b.begin()
}

func (b *bed) create(path string, data []byte, flags int32, session tree.SessionID) {
	h := tree.CommandHeader{Op: tree.OpCreate, Session: session}
	b.batch = tree.AppendCreate(b.batch, &h, &tree.Create{Path: []byte(path), Data: data, ACL: tree.OpenACL, Flags: flags})
}

func (b *bed) set(path string, data []byte) {
	b.batch = tree.AppendSetData(b.batch, &tree.CommandHeader{Session: owner}, &tree.SetData{Path: []byte(path), Data: data, Version: -1})
}

func (b *bed) delete(path string) {
	b.batch = tree.AppendDelete(b.batch, &tree.CommandHeader{Session: owner}, &tree.Delete{Path: []byte(path), Version: -1})
}

// deleteAll removes path and everything below it, as one sees it in the current root.
func (b *bed) deleteAll(path string) {
	if n, ok := b.state.Root().Lookup([]byte(path)); ok {
		n.Children(nil, func(name []byte) bool {
			b.deleteAll(path + "/" + string(name))
			return true
		})
		b.delete(path)
	}
}

func (b *bed) data() []byte {
	data := make([]byte, b.rng.IntN(300))
	for i := range data {
		data[i] = byte(b.rng.Uint32())
	}
	return data
}

// change applies some random commands; some of them fail, as they do in life.
func (b *bed) change(n int) {
	for range n {
		switch p := b.rng.IntN(100); {
		case p < 3:
			id := tree.SessionID(1 + b.rng.IntN(5))
			b.batch = tree.AppendOpenSession(b.batch, &tree.CommandHeader{}, &tree.OpenSession{ID: id, TimeoutMs: 1000})
		case p < 5:
			id := tree.SessionID(1 + b.rng.IntN(5))
			b.batch = tree.AppendCloseSession(b.batch, &tree.CommandHeader{Session: id}, &tree.CloseSession{ID: id})
		case p < 10 && len(b.paths) > 0:
			b.apply()
			b.deleteAll(b.path())
		case p < 30 && len(b.paths) > 0:
			b.delete(b.path())
		case p < 50 && len(b.paths) > 0:
			b.set(b.path(), b.data())
		case p < 55:
			b.create(b.child(""), b.data(), tree.FlagEphemeral, tree.SessionID(1+b.rng.IntN(5)))
		case p < 65:
			b.create(b.child(""), b.data(), 0, owner)
		default:
			b.create(b.child(b.path()), b.data(), 0, owner)
		}
	}
	b.apply()
}

func (b *bed) path() string {
	if len(b.paths) == 0 {
		return ""
	}
	return b.paths[b.rng.IntN(len(b.paths))]
}

// child names a child of parent, often one that was there before, sometimes with bytes around the separator's.
func (b *bed) child(parent string) string {
	b.next++
	name := fmt.Sprintf("n%d", b.next)
	switch b.rng.IntN(4) {
	case 0:
		name = fmt.Sprint(b.rng.IntN(20))
	case 1:
		name = fmt.Sprintf("%d!", b.rng.IntN(20))
	}
	path := parent + "/" + name
	b.paths = append(b.paths, path)
	return path
}

// dump is the stored form of a root.
type dump map[string]string

func dumpOf(t testing.TB, r *tree.Root) dump {
	t.Helper()
	d := dump{}
	if err := tree.Diff(nil, r, d); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d dump) Put(key, value []byte) error { d[string(key)] = string(value); return nil }
func (d dump) Delete(key []byte) error     { return fmt.Errorf("delete of %q from nothing", key) }

// baseOf is r as the older side of a Write; nil is nil.
func baseOf(r *tree.Root) *tree.Base {
	if r == nil {
		return nil
	}
	return r.Base()
}

func mustOpen(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return s
}

func testConfig(fs vfs.FS) Config {
	return Config{FS: fs, Dir: "/data/image", BusyPercent: 100, TableBytes: 2000}
}

func sameMark(a, b Mark) bool {
	return a.Index == b.Index && a.Term == b.Term && bytes.Equal(a.ConfState, b.ConfState)
}

// checkHolds loads the image and compares it in full.
func checkHolds(t testing.TB, s *Store, want *tree.Root, m Mark) *tree.State {
	t.Helper()
	state, got, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	if !sameMark(got, m) {
		t.Fatalf("mark %v, want %v", got, m)
	}
	root := state.Root()
	if root.Zxid() != want.Zxid() || root.Digest() != want.Digest() {
		t.Fatalf("loaded zxid %#x digest %x, want %#x %x", int64(root.Zxid()), root.Digest(), int64(want.Zxid()), want.Digest())
	}
	if a, b := dumpOf(t, root), dumpOf(t, want); !maps.Equal(a, b) {
		t.Fatalf("loaded %d keys, want %d, or their values differ", len(a), len(b))
	}
	return state
}
