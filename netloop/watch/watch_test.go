package watch

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// told returns who is told of a change, in order of the connection.
func told(w *Table, kind Kind, path string) []uint32 {
	got := []uint32{}
	w.Fire(kind, path, w.hash(path), func(conn uint32) { got = append(got, conn) })
	slices.Sort(got)
	return got
}

func mustAdd(t testing.TB, w *Table, conn uint32, m Mode, path string) {
	t.Helper()
	if err := w.Add(conn, m, []byte(path), w.hash(path)); err != nil {
		t.Fatal(err)
	}
}

func TestTriggers(t *testing.T) {
	type step struct {
		kind Kind
		path string
		want []uint32
	}
	type add struct {
		conn uint32
		mode Mode
		path string
	}
	me, nobody := []uint32{7}, []uint32{}
	for _, c := range []struct {
		name  string
		adds  []add
		steps []step
	}{
		{"exists and getData on one node give one event", []add{{7, Data, "/a"}, {7, Data, "/a"}}, []step{
			{DataChanged, "/a", me}, {DataChanged, "/a", nobody},
		}},
		{"exists waits for creation; create, set, delete in one multi tell once", []add{{7, Data, "/a"}}, []step{
			{Created, "/a", me}, {DataChanged, "/a", nobody}, {Deleted, "/a", nobody},
		}},
		{"delete with all watches on the node and one on the parent gives two events", []add{{7, Data, "/p/n"}, {7, Child, "/p/n"}, {7, Child, "/p"}}, []step{
			{Deleted, "/p/n", me}, {ChildrenChanged, "/p", me}, {Deleted, "/p/n", nobody}, {ChildrenChanged, "/p", nobody},
		}},
		{"a child watch does not see data, a data watch does not see children", []add{{7, Child, "/a"}, {8, Data, "/a"}}, []step{
			{DataChanged, "/a", []uint32{8}}, {ChildrenChanged, "/a", me},
		}},
		{"persistent sees all four kinds and stays", []add{{7, Persistent, "/a"}}, []step{
			{Created, "/a", me},
			{ChildrenChanged, "/a", me},
			{DataChanged, "/a", me},
			{Deleted, "/a", me},
			{Created, "/a", me},
			{DataChanged, "/a/b", nobody},
		}},
		{"recursive: create r, create r/k, set r/k, delete r/k, delete r are five events", []add{{7, Recursive, "/r"}}, []step{
			{Created, "/r", me},
			{ChildrenChanged, "/", nobody},
			{Created, "/r/k", me},
			{ChildrenChanged, "/r", nobody},
			{DataChanged, "/r/k", me},
			{Deleted, "/r/k", me},
			{ChildrenChanged, "/r", nobody},
			{Deleted, "/r", me},
			{ChildrenChanged, "/", nobody},
			{Created, "/rk", nobody},
		}},
		{"recursive on the root sees everything", []add{{7, Recursive, "/"}}, []step{
			{Created, "/x", me}, {DataChanged, "/x/y/z", me}, {DataChanged, "/", me},
		}},
		{"modes coexist and tell once", []add{{7, Data, "/a"}, {7, Persistent, "/a"}, {7, Recursive, "/a"}, {7, Recursive, "/"}}, []step{
			{DataChanged, "/a", me}, {DataChanged, "/a", me}, {DataChanged, "/a/b", me}, {ChildrenChanged, "/a", me},
		}},
		{"a standard watch suppressed in the second step of a delete is consumed too", []add{{7, Data, "/a"}, {7, Child, "/a"}}, []step{
			{Deleted, "/a", me}, {ChildrenChanged, "/a", nobody},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := New(Config{})
			for _, a := range c.adds {
				mustAdd(t, w, a.conn, a.mode, a.path)
			}
			for i, s := range c.steps {
				if got := told(w, s.kind, s.path); !slices.Equal(got, s.want) {
					t.Errorf("step %d, kind %d of %s: got %v, want %v", i, s.kind, s.path, got, s.want)
				}
			}
			checkInvariants(t, w)
		})
	}
}

func TestRemovalTypes(t *testing.T) {
	for _, c := range []struct {
		typ  Type
		left Mode
	}{
		{TypeChildren, modesAll &^ Child},
		{TypeData, modesAll &^ Data},
		{TypePersistent, modesAll &^ Persistent},
		{TypeRecursive, modesAll &^ Recursive},
		{TypeAny, 0},
	} {
		w := New(Config{})
		mustAdd(t, w, 3, modesAll, "/a")
		h := w.hash("/a")
		if !w.Has(3, []byte("/a"), h, c.typ) || !w.Remove(3, []byte("/a"), h, c.typ) {
			t.Errorf("type %d: nothing found", c.typ)
		}
		if w.Has(3, []byte("/a"), h, c.typ) || w.Remove(3, []byte("/a"), h, c.typ) {
			t.Errorf("type %d: found again after removal", c.typ)
		}
		if w.Has(4, []byte("/a"), h, TypeAny) || w.Has(3, []byte("/a/b"), w.hash("/a/b"), TypeAny) {
			t.Errorf("type %d: found for another connection or path", c.typ)
		}
		var left Mode
		if id := w.find("/a", fold(h)); id != none {
			left = w.modes(id, 3)
		}
		if left != c.left {
			t.Errorf("type %d leaves modes %b, want %b", c.typ, left, c.left)
		}
	}
	if Type(0).Valid() || Type(6).Valid() || !TypeRecursive.Valid() {
		t.Error("Valid disagrees with ZooKeeper's WatcherType")
	}
}

func TestW1_EqualHashes(t *testing.T) {
	w := New(Config{Hash: func(string) uint64 { return 42 }})
	for i := range 300 {
		mustAdd(t, w, uint32(i), Data, fmt.Sprintf("/d%d/n", i))
	}
	for i := range 300 {
		if got := told(w, DataChanged, fmt.Sprintf("/d%d/n", i)); !slices.Equal(got, []uint32{uint32(i)}) {
			t.Fatalf("path %d told %v", i, got)
		}
		checkInvariants(t, w)
	}
}

func TestLongNames(t *testing.T) {
	w := New(Config{})
	long := func(i int) string {
		return "/" + strings.Repeat("d", 1<<18) + "/" + strings.Repeat("n", 1<<18) + fmt.Sprint(i)
	}
	for i := range 40 {
		mustAdd(t, w, uint32(i), Data, long(i))
	}
	checkInvariants(t, w)
	for i := range 40 {
		if got := told(w, DataChanged, long(i)); !slices.Equal(got, []uint32{uint32(i)}) {
			t.Fatalf("told %v, want %d", got, i)
		}
	}
	checkInvariants(t, w)
	if n := w.Bytes(); n > 2<<20 {
		t.Errorf("an empty table holds %d bytes", n)
	}
}

func TestW3_VisitMustNotCallBack(t *testing.T) {
	w := New(Config{})
	mustAdd(t, w, 1, Data, "/a")
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	w.Fire(DataChanged, "/a", w.hash("/a"), func(uint32) { w.RemoveConn(1) })
}

func TestVisitSomePaths(t *testing.T) {
	w := New(Config{})
	for i := range 100 {
		mustAdd(t, w, uint32(i), Data, fmt.Sprint("/", i))
	}
	seen, pieces := map[string]bool{}, 0
	for from, more := uint32(0), true; more; more = from != 0 {
		from = w.VisitSomePaths(from, 30, func(path []byte, conns []uint32) bool {
			seen[string(path)] = true
			return len(conns) == 1
		})
		pieces++
	}
	if len(seen) != 100 || pieces != 4 {
		t.Errorf("%d paths in %d pieces", len(seen), pieces)
	}
	visited := 0
	for from, more := uint32(0), true; more; more = from != 0 {
		from = w.VisitSomePaths(from, 30, func([]byte, []uint32) bool {
			visited++
			return visited%7 != 0
		})
	}
	if visited != 100 {
		t.Errorf("%d paths visited when visit asks to pause", visited)
	}
}

func TestErrFull(t *testing.T) {
	w := New(Config{WatchesMax: 2})
	mustAdd(t, w, 1, Data, "/a")
	mustAdd(t, w, 1, Child, "/a")
	if err := w.Add(1, Data, []byte("/b"), w.hash("/b")); !errors.Is(err, ErrFull) {
		t.Errorf("got %v", err)
	}
	checkInvariants(t, w)
}

// TestW2_ReaddDoesNotGrow is the life of a common client: the watch fires and is set again, for ever.
func TestW2_ReaddDoesNotGrow(t *testing.T) {
	w := New(Config{})
	for i := range 100 {
		mustAdd(t, w, 1, Data, fmt.Sprintf("/kept%d", i))
	}
	for range 10000 {
		mustAdd(t, w, 1, Data, "/a")
		told(w, DataChanged, "/a")
	}
	if n := len(w.conns.at(1).list); n > 500 {
		t.Errorf("a connection with 100 watches lists %d", n)
	}
}

// TestW5_Shrinks removes most of many watches in several ways and looks at what is left allocated.
func TestW5_Shrinks(t *testing.T) {
	path := func(i int) string { return fmt.Sprintf("/services/s%03d/instance-%06d", i/1000, i) }
	const n = 50_000
	for _, c := range []struct {
		name string
		wipe func(w *Table)
	}{
		{"by connection", func(w *Table) {
			for conn := range uint32(1000) {
				if conn%100 != 0 {
					w.RemoveConn(conn)
				}
			}
		}},
		{"by event", func(w *Table) {
			for i := range n {
				if i%1000%100 != 0 {
					told(w, Deleted, path(i))
				}
			}
		}},
		{"one by one", func(w *Table) {
			for i := range n {
				if p := path(i); i%1000%100 != 0 {
					w.Remove(uint32(i%1000), []byte(p), w.hash(p), TypeAny)
				}
			}
		}},
	} {
		w := New(Config{})
		for i := range n {
			mustAdd(t, w, uint32(i%1000), Data, path(i))
			mustAdd(t, w, uint32(i%1000), Data, "/shared")
		}
		full := w.Bytes()
		c.wipe(w)
		checkInvariants(t, w)
		if left := w.Bytes(); left > full/6 {
			t.Errorf("%s: %d bytes for %d watches, then %d bytes for %d", c.name, full, n, left, w.Count())
		}
	}
}

func TestFireDoesNotAllocate(t *testing.T) {
	w := New(Config{})
	n := 0
	visit := func(uint32) { n++ }
	for conn := range uint32(1000) {
		mustAdd(t, w, conn, Persistent, "/p")
		mustAdd(t, w, conn, Recursive, "/")
	}
	h := w.hash("/p")
	if got := testing.AllocsPerRun(100, func() { w.Fire(DataChanged, "/p", h, visit) }); got != 0 {
		t.Errorf("persistent: %v allocations per event", got)
	}
	paths := make([]string, 200)
	for i := range paths {
		paths[i] = fmt.Sprintf("/a/%d", i)
		for conn := range uint32(500) {
			mustAdd(t, w, conn, Data, paths[i])
		}
	}
	i := 0
	if got := testing.AllocsPerRun(100, func() { w.Fire(DataChanged, paths[i], w.hash(paths[i]), visit); i++ }); got > 0.5 {
		t.Errorf("standard: %v allocations per event", got)
	}
}

// heap measures what build leaves allocated.
func heap(build func() *Table) (*Table, float64) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&before)
	w := build()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return w, float64(after.HeapAlloc) - float64(before.HeapAlloc)
}

// TestBytesPerWatch holds the memory targets of DESIGN section 3, measured on the heap and not by Bytes.
func TestBytesPerWatch(t *testing.T) {
	for _, c := range []struct {
		name         string
		paths, conns int
		target       float64
	}{
		{"100 paths x 2k connections", 100, 2_000, 36},
		{"20k paths x 10 connections", 20_000, 10, 36},
		{"200k distinct paths", 200_000, 1, 80},
	} {
		t.Run(c.name, func(t *testing.T) {
			names := make([]string, c.paths)
			for i := range names {
				names[i] = fmt.Sprintf("/services/payments/node-%02d/instance-%06d", i/25_000, i)
			}
			w, bytes := heap(func() *Table {
				w := New(Config{})
				for i, name := range names {
					for conn := range c.conns {
						if c.conns == 1 {
							conn = i % 1000
						}
						mustAdd(t, w, uint32(conn), Data, name)
					}
				}
				return w
			})
			runtime.KeepAlive(names)
			perWatch := bytes / float64(w.Count())
			t.Logf("%s: %.1f bytes per watch (%.1f by estimate)", c.name, perWatch, float64(w.Bytes())/float64(w.Count()))
			if perWatch > c.target {
				t.Errorf("%s: %.1f bytes per watch, target %.0f", c.name, perWatch, c.target)
			}
		})
	}
}
