package watch

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// twin is the slow obvious table: the reference's two tables, each a map from path to connection to modes.
type twin struct {
	data, child map[string]map[uint32]Mode
}

func newTwin() *twin {
	return &twin{map[string]map[uint32]Mode{}, map[string]map[uint32]Mode{}}
}

func set1(table map[string]map[uint32]Mode, path string, conn uint32, m Mode) {
	if table[path] == nil {
		table[path] = map[uint32]Mode{}
	}
	table[path][conn] |= m
}

func clear1(table map[string]map[uint32]Mode, path string, conn uint32, m Mode) bool {
	old := table[path][conn]
	if old&m == 0 {
		return false
	}
	if table[path][conn] = old &^ m; old&^m == 0 {
		delete(table[path], conn)
	}
	if len(table[path]) == 0 {
		delete(table, path)
	}
	return true
}

func (w *twin) add(conn uint32, m Mode, path string) {
	if m&inDataTable != 0 {
		set1(w.data, path, conn, m&inDataTable)
	}
	if m&inChildTable != 0 {
		set1(w.child, path, conn, m&inChildTable)
	}
}

func (w *twin) remove(conn uint32, path string, typ Type) bool {
	switch typ {
	case TypeChildren:
		return clear1(w.child, path, conn, Child)
	case TypeData:
		return clear1(w.data, path, conn, Data)
	case TypePersistent:
		a, b := clear1(w.child, path, conn, Persistent), clear1(w.data, path, conn, Persistent)
		return a || b
	case TypeRecursive:
		return clear1(w.data, path, conn, Recursive)
	case TypeAny:
		a, b := clear1(w.child, path, conn, modesAll), clear1(w.data, path, conn, modesAll)
		return a || b
	}
	panic("type")
}

func (w *twin) has(conn uint32, path string, typ Type) bool {
	switch typ {
	case TypeChildren:
		return w.child[path][conn]&Child != 0
	case TypeData:
		return w.data[path][conn]&Data != 0
	case TypePersistent:
		return w.data[path][conn]&Persistent != 0
	case TypeRecursive:
		return w.data[path][conn]&Recursive != 0
	case TypeAny:
		return w.data[path][conn] != 0 || w.child[path][conn] != 0
	}
	panic("type")
}

func (w *twin) removeConn(conn uint32) {
	for _, table := range []map[string]map[uint32]Mode{w.data, w.child} {
		for path := range table {
			clear1(table, path, conn, modesAll)
		}
	}
}

// trigger is one table's part of an event.
func trigger(table map[string]map[uint32]Mode, path string, told map[uint32]bool) {
	for conn := range table[path] {
		told[conn] = true
		clear1(table, path, conn, Data|Child)
	}
	for p := path; p != "/"; {
		p = p[:strings.LastIndexByte(p, '/')]
		if p == "" {
			p = "/"
		}
		for conn, m := range table[p] {
			if m&Recursive != 0 {
				told[conn] = true
			}
		}
	}
}

func (w *twin) fire(kind Kind, path string) []uint32 {
	told := map[uint32]bool{}
	if kind != ChildrenChanged {
		trigger(w.data, path, told)
	}
	if kind == ChildrenChanged || kind == Deleted {
		trigger(w.child, path, told)
	}
	return slices.Sorted(maps.Keys(told))
}

func (w *twin) counts() (c Counts) {
	conns, paths := map[uint32]bool{}, map[string]bool{}
	for path, watchers := range w.data {
		paths[path] = true
		c.DataPaths++
		c.Data += int64(len(watchers))
		for conn, m := range watchers {
			conns[conn] = true
			if m&Recursive != 0 {
				c.Recursive++
			}
		}
	}
	for path, watchers := range w.child {
		paths[path] = true
		c.Child += int64(len(watchers))
	}
	c.DataConns, c.Paths = int64(len(conns)), int64(len(paths))
	return c
}

// pair drives the table and its twin with the same operations and fails on the first difference.
type pair struct {
	t     testing.TB
	table *Table
	twin  *twin
	log   []string
}

func (p *pair) check(what string, got, want any) {
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		p.t.Helper()
		n := max(0, len(p.log)-30)
		p.t.Fatalf("%s: got %v, want %v, after\n%s", what, g, w, strings.Join(p.log[n:], "\n"))
	}
}

func (p *pair) note(format string, args ...any) { p.log = append(p.log, fmt.Sprintf(format, args...)) }

func (p *pair) add(conn uint32, m Mode, path string) {
	p.note("add conn=%d mode=%d %s", conn, m, path)
	if err := p.table.Add(conn, m, []byte(path), p.table.hash(path)); err != nil {
		p.t.Fatal(err)
	}
	p.twin.add(conn, m, path)
}

func (p *pair) fire(kind Kind, path string) {
	p.note("fire %d %s", kind, path)
	var got []uint32
	p.table.Fire(kind, path, p.table.hash(path), func(conn uint32) { got = append(got, conn) })
	slices.Sort(got)
	p.check("told", got, p.twin.fire(kind, path))
}

func (p *pair) remove(conn uint32, path string, typ Type) {
	p.note("remove conn=%d type=%d %s", conn, typ, path)
	p.check("has", p.table.Has(conn, []byte(path), p.table.hash(path), typ), p.twin.has(conn, path, typ))
	p.check("removed", p.table.Remove(conn, []byte(path), p.table.hash(path), typ), p.twin.remove(conn, path, typ))
}

func (p *pair) removeConn(conn uint32) {
	p.note("removeConn %d", conn)
	p.table.RemoveConn(conn)
	p.twin.removeConn(conn)
}

// whole compares everything that can be seen, and the invariants.
func (p *pair) whole() {
	p.t.Helper()
	p.check("counts", p.table.Counts(), p.twin.counts())
	byPath, byConn := map[string][]uint32{}, map[string][]uint32{}
	p.table.VisitPaths(func(path []byte, conns []uint32) bool {
		byPath[string(path)] = slices.Sorted(slices.Values(conns))
		return true
	})
	p.table.VisitConns(func(conn uint32, path []byte) bool {
		byConn[string(path)] = append(byConn[string(path)], conn)
		return true
	})
	want := map[string][]uint32{}
	for path, watchers := range p.twin.data {
		want[path] = slices.Sorted(maps.Keys(watchers))
	}
	p.check("by path", byPath, want)
	p.check("by connection", byConn, want)
	checkInvariants(p.t, p.table)
}

// checkInvariants walks the whole structure.
func checkInvariants(t testing.TB, w *Table) {
	t.Helper()
	if w.paths.len() != w.path.n || w.dirs.len() != w.dir.n {
		t.Fatalf("index has %d paths and %d directories, slabs %d and %d", w.paths.len(), w.dirs.len(), w.path.n, w.dir.n)
	}
	if n := w.paths.links.n; w.paths.heads.n > max(1, 2*n) || n > w.paths.heads.n {
		t.Fatalf("W4: %d buckets for %d paths", w.paths.heads.n, n)
	}
	checkBytes(t, w)
	refs := map[uint32]uint32{}
	for id := range w.path.n {
		p := w.path.at(id)
		refs[p.dir]++
		path := string(w.appendPath(nil, id))
		if got := w.find(path, fold(w.hash(path))); got != id {
			t.Fatalf("W1: path %d %q is found as %d", id, path, got)
		}
		if p.watchers == 0 {
			t.Fatalf("path %q has no watchers", path)
		}
	}
	for id := range w.dir.n {
		key := w.dirs.links.at(id).hash
		if w.dir.at(id).refs != refs[key] {
			t.Fatalf("directory %d has %d references, counted %d", key, w.dir.at(id).refs, refs[key])
		}
	}
	for _, a := range []*arena{&w.text, &w.dirText} {
		live := map[uint32]int{}
		count := func(r ref) { live[uint32(r>>chunkShift)] += len(a.record(r).buf) }
		if a == &w.text {
			for id := range w.path.n {
				count(w.path.at(id).ref)
			}
		} else {
			for id := range w.dir.n {
				count(w.dir.at(id).ref)
			}
		}
		for i := range a.chunks {
			c := a.chunks[i]
			if c.live != live[uint32(i)] {
				t.Fatalf("W5: chunk %d counts %d live bytes, has %d", i, c.live, live[uint32(i)])
			}
			if uint32(i) != a.current && 2*c.live < len(c.buf) {
				t.Fatalf("W5: chunk %d holds %d live of %d bytes", i, c.live, len(c.buf))
			}
		}
	}
}

// checkBytes counts by a walk what Bytes keeps as it goes.
func checkBytes(t testing.TB, w *Table) {
	t.Helper()
	lists, crowds, text := int64(0), int64(0), int64(0)
	for i := range w.conns.n {
		lists += int64(cap(w.conns.at(i).list))
	}
	for i := range w.many {
		crowds += int64(len(w.many[i].all.slots) + len(w.many[i].recursive.slots))
	}
	for _, a := range []*arena{&w.text, &w.dirText} {
		for i := range a.chunks {
			text += int64(cap(a.chunks[i].buf))
		}
	}
	if lists != w.listSlots || crowds != w.crowdSlots || text != w.text.held+w.dirText.held {
		t.Fatalf("W6: %d slots of lists, %d of crowds, %d bytes of text; a walk counts %d, %d, %d",
			w.listSlots, w.crowdSlots, w.text.held+w.dirText.held, lists, crowds, text)
	}
}

var allTypes = []Type{TypeChildren, TypeData, TypeAny, TypePersistent, TypeRecursive}

func randomPath(rng *rand.Rand, names int) string {
	if rng.IntN(30) == 0 {
		return "/"
	}
	path := ""
	for range 1 + rng.IntN(3) {
		path += fmt.Sprintf("/n%d", rng.IntN(names))
	}
	return path
}

func TestTwin(t *testing.T) {
	hashes := map[string]func(string) uint64{
		"good":      nil,
		"colliding": func(p string) uint64 { return uint64(len(p)) & 3 },
	}
	shapes := map[string]struct{ conns, names, ops int }{
		"few watchers":  {5, 6, 5000},
		"many watchers": {400, 2, 5000},
		"many paths":    {20, 30, 5000},
	}
	for hashName, hash := range hashes {
		for name, shape := range shapes {
			t.Run(name+"/"+hashName, func(t *testing.T) {
				for seed := range uint64(2) {
					runRandom(t, New(Config{Hash: hash}), seed, shape.conns, shape.names, shape.ops)
				}
			})
		}
	}
}

func runRandom(t *testing.T, table *Table, seed uint64, conns, names, ops int) {
	rng := rand.New(rand.NewPCG(seed, 1))
	p := &pair{t: t, table: table, twin: newTwin()}
	p.note("seed %d", seed)
	for i := range ops {
		conn, path := uint32(rng.IntN(conns)), randomPath(rng, names)
		// Phases that mostly add and phases that mostly take away, so that everything also shrinks.
		adding := i/2000%2 == 0
		switch k := rng.IntN(100); {
		case k < 75 && adding, k < 20:
			p.add(conn, []Mode{Data, Child, Persistent, Recursive}[rng.IntN(4)], path)
		case k < 85:
			p.fire(Kind(1+rng.IntN(4)), path)
		case k < 98 || (adding && k < 99):
			p.remove(conn, path, allTypes[rng.IntN(len(allTypes))])
		default:
			p.removeConn(conn)
		}
		if i%997 == 0 {
			p.whole()
		}
	}
	for conn := range conns {
		p.removeConn(uint32(conn))
	}
	p.whole()
	if table.Count() != 0 || !table.Empty() {
		t.Fatalf("%d watches left", table.Count())
	}
}

func FuzzTable(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 1, 0, 4, 1, 2, 5, 0, 0})
	f.Add([]byte("add, fire and remove in any order, on few paths of few connections"))
	paths := []string{"/", "", "/a", "/a/b", "/a/b/c", "/a/bc", "/b", "/a/b/c/d/e", "no slash", "//"}
	f.Fuzz(func(t *testing.T, ops []byte) {
		p := &pair{t: t, table: New(Config{Hash: func(p string) uint64 { return uint64(len(p) % 3) }}), twin: newTwin()}
		for ; len(ops) >= 3; ops = ops[3:] {
			path, conn := paths[int(ops[1])%len(paths)], uint32(ops[2]%100)
			switch op := ops[0] % 16; op {
			case 0, 1, 2, 3:
				p.add(conn, Data<<op, path)
			case 4, 5, 6, 7:
				for c := range uint32(80) {
					p.add(conn+c, Data<<(op-4), path)
				}
			case 8, 9, 10, 11:
				if strings.HasPrefix(path, "/") {
					p.fire(Kind(op-7), path)
				}
			case 12:
				p.removeConn(conn)
			default:
				p.remove(conn, path, Type(ops[2]%5+1))
			}
		}
		p.whole()
	})
}
