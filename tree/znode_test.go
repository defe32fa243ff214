package tree

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"weak"
)

// twinNode is a znode of the slow twin, a map by path.
type twinNode struct {
	czxid, mzxid, pzxid        Zxid
	ctime, mtime               int64
	version, aversion, creates int32
	owner                      int64
	acl                        *ACLList
	data                       []byte
}

// newTestWriter is a tree of the root alone.
func newTestWriter() *writer {
	w := &writer{owner: owner{edit: 1}}
	w.top = (&fields{}).pack(w.owner).slot()
	return w
}

// checkTree compares everything under top with the twin.
func checkTree(t *testing.T, top *znode, twin map[string]*twinNode) {
	t.Helper()
	seen := 0
	var check func(path string, z *znode) (count, size int64)
	check = func(path string, z *znode) (count, size int64) {
		seen++
		want := twin[path]
		if want == nil {
			t.Fatalf("%q is there", path)
		}
		got := twinNode{
			z.czxid, z.mzxid(), z.pzxid(), z.ctime, z.mtime(), z.version(), z.aversion(), z.creates(), z.owner(), z.acl(), z.data(),
		}
		if fmt.Sprint(got) != fmt.Sprint(*want) || (got.data == nil) != (want.data == nil) {
			t.Fatalf("%q is %+v, want %+v", path, got, *want)
		}
		if z.dataLen() != len(want.data) {
			t.Fatalf("%q: dataLen %d, want %d", path, z.dataLen(), len(want.data))
		}
		checkRadix(t, z.children())
		n := 0
		z.walkChildren(nil, func(c *znode) bool {
			n++
			below, bytes := check(strings.TrimSuffix(path, "/")+"/"+string(c.name()), c)
			count += below + 1
			size += bytes
			return true
		})
		if int(z.numChildren()) != n || z.descendants() != count || z.subtreeBytes() != size+int64(len(want.data)) {
			t.Fatalf("Z3: %q counts %d children, %d znodes and %d bytes below, want %d, %d, %d", path,
				z.numChildren(), z.descendants(), z.subtreeBytes(), n, count, size+int64(len(want.data)))
		}
		return count, size + int64(len(want.data))
	}
	check("/", top)
	if seen != len(twin) {
		t.Fatalf("%d znodes, want %d", seen, len(twin))
	}
}

// randomData covers null, empty, inline, just inline, just outside and large.
func randomData(r *rand.Rand) []byte {
	switch r.IntN(6) {
	case 0:
		return nil
	case 1:
		return []byte{}
	case 2:
		return bytes.Repeat([]byte{byte(r.IntN(256))}, r.IntN(1000))
	case 3:
		return bytes.Repeat([]byte{byte(r.IntN(256))}, 380+r.IntN(120))
	}
	return bytes.Repeat([]byte{byte(r.IntN(256))}, r.IntN(120))
}

func randomName(r *rand.Rand) string {
	switch r.IntN(40) {
	case 0:
		return strings.Repeat("n", 1+r.IntN(600))
	}
	return fmt.Sprintf("n%d", r.IntN(12))
}

// twinTree drives a writer and the twin with the same random operations.
type twinTree struct {
	*writer
	r    *rand.Rand
	twin map[string]*twinNode
	acls []*ACLList
	zxid Zxid
}

func newTwinTree(r *rand.Rand) *twinTree {
	return &twinTree{
		writer: newTestWriter(), r: r, twin: map[string]*twinNode{"/": {}},
		acls: []*ACLList{nil, new(ACLList), {encoded: "x"}},
	}
}

func (tt *twinTree) randomPath() string {
	paths := slices.Sorted(maps.Keys(tt.twin))
	return paths[tt.r.IntN(len(paths))]
}

func parentOf(path string) (parent, name string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 1)], path[i+1:]
}

// change puts a copy of the twin's znode in its place, so that older versions of the twin keep theirs.
func (tt *twinTree) change(path string) *twinNode {
	n := *tt.twin[path]
	tt.twin[path] = &n
	return &n
}

func (tt *twinTree) step() {
	tt.zxid++
	switch path := tt.randomPath(); tt.r.IntN(10) {
	case 0, 1, 2, 3:
		tt.create(path, randomName(tt.r))
	case 4, 5:
		tt.delete(path)
	default:
		tt.replace(path)
	}
}

func (tt *twinTree) create(parent, name string) {
	path := strings.TrimSuffix(parent, "/") + "/" + name
	if tt.twin[path] != nil {
		return
	}
	f := fields{name: []byte(name), data: randomData(tt.r), acl: tt.acls[tt.r.IntN(3)]}
	f.created(tt.zxid, int64(tt.zxid)*10)
	if tt.r.IntN(3) == 0 {
		f.owner = tt.r.Int64()
	}
	tt.writer.create([]byte(parent), &f)
	p := tt.change(parent)
	p.pzxid = tt.zxid
	p.creates++
	tt.twin[path] = &twinNode{
		czxid: tt.zxid, mzxid: tt.zxid, pzxid: tt.zxid, ctime: f.ctime, mtime: f.mtime, owner: f.owner, acl: f.acl,
		data: bytes.Clone(f.data),
	}
}

func (tt *twinTree) delete(path string) {
	if path == "/" || tt.lookup([]byte(path)).numChildren() > 0 {
		return
	}
	parent, name := parentOf(path)
	tt.writer.delete([]byte(parent), []byte(name), tt.zxid)
	delete(tt.twin, path)
	tt.change(parent).pzxid = tt.zxid
}

func (tt *twinTree) replace(path string) {
	f := tt.lookup([]byte(path)).fields()
	n := tt.change(path)
	if tt.r.IntN(2) == 0 {
		f.aversion++
		f.acl = tt.acls[tt.r.IntN(3)]
		n.aversion, n.acl = f.aversion, f.acl
	} else {
		f.data, f.mzxid, f.mtime = randomData(tt.r), tt.zxid, int64(tt.zxid)
		f.version++
		n.data, n.mzxid, n.mtime, n.version = bytes.Clone(f.data), f.mzxid, f.mtime, f.version
	}
	tt.writer.replace([]byte(path), &f)
}

// TestZ1_TreeTwin edits a tree of znodes beside a map and looks at every frozen version after all later edits.
func TestZ1_TreeTwin(t *testing.T) {
	for seed := range uint64(4) {
		tt := newTwinTree(rand.New(rand.NewPCG(seed, 3)))
		type version struct {
			top  *znode
			twin map[string]*twinNode
		}
		var versions []version
		for range 80 {
			for range 1 + tt.r.IntN(1<<tt.r.IntN(7)) {
				tt.step()
			}
			versions = append(versions, version{tt.freeze(), maps.Clone(tt.twin)})
			if tt.r.IntN(5) == 0 { // a multi that failed
				v := versions[len(versions)-1]
				for range 5 {
					tt.step()
				}
				tt.restore(v.top)
				tt.twin = maps.Clone(v.twin)
			}
		}
		for _, v := range versions {
			checkTree(t, v.top, v.twin)
		}
	}
}

func TestLookup(t *testing.T) {
	w := newTestWriter()
	for _, p := range []string{"/a", "/ab", "/a/b", "/a/b/c"} {
		parent, name := parentOf(p)
		w.create([]byte(parent), &fields{name: []byte(name), czxid: 1})
	}
	for _, path := range []string{"", "/", "/a", "/ab", "/a/b", "/a/b/c"} {
		if w.lookup([]byte(path)) == nil {
			t.Errorf("%q not found", path)
		}
	}
	for _, path := range []string{"/b", "/abc", "/a/", "/a/c", "/a/b/c/d", "//", "/a//b", "a", "a/b"} {
		if z := w.lookup([]byte(path)); z != nil {
			t.Errorf("%q found as %q", path, z.name())
		}
	}
	if n := testing.AllocsPerRun(100, func() { w.lookup([]byte("/a/b/c")) }); n != 0 {
		t.Errorf("lookup allocates %v", n)
	}
}

// TestAllocBudget: what a batch touches a second time it does not copy again.
func TestAllocBudget(t *testing.T) {
	w := newTestWriter()
	w.create([]byte("/"), &fields{name: []byte("a"), czxid: 1})
	w.create([]byte("/a"), &fields{name: []byte("b"), czxid: 1})
	name := []byte("instance-0000000000")
	dir := []byte("/a/b")
	create := func(i int) {
		for at := len(name) - 1; at > len(name)-7; at, i = at-1, i/10 {
			name[at] = byte('0' + i%10)
		}
		w.create(dir, &fields{name: name, czxid: 2, data: name})
	}
	for i := range 10_000 {
		create(i)
	}
	w.freeze()
	i := 10_000
	create(i)
	// The znode, and a node now and then.
	if n := testing.AllocsPerRun(5000, func() { i++; create(i) }); n > 1.25 {
		t.Errorf("create in a batch: %v allocations", n)
	}
	path := []byte("/a/b/instance-0000005000")
	set := func() {
		f := w.lookup(path).fields()
		f.version++
		w.replace(path, &f)
	}
	set()
	if n := testing.AllocsPerRun(1000, set); n != 1 {
		t.Errorf("set in a batch: %v allocations", n)
	}
	// A batch of one copies the three directories, the nodes on the way (one per digit that branches) and makes the znode.
	if n := testing.AllocsPerRun(1000, func() { w.freeze(); set() }); n > 9 {
		t.Errorf("set alone: %v allocations", n)
	}
}

// TestZ4_KeepsACL: a znode with an ACL of its own lies in memory that is scanned, whatever it went through.
func TestZ4_KeepsACL(t *testing.T) {
	for name, pack := range map[string]func(f *fields) *znode{
		"leaf":      func(f *fields) *znode { return f.pack(owner{edit: 1}) },
		"copy":      func(f *fields) *znode { return f.pack(owner{edit: 1}).own(owner{edit: 2}) },
		"directory": func(f *fields) *znode { return f.pack(owner{edit: 1}).asDir(owner{edit: 2}).own(owner{edit: 3}) },
		"big": func(f *fields) *znode {
			f.data = bytes.Repeat([]byte{1}, 600)
			return f.pack(owner{edit: 1}).own(owner{edit: 2})
		},
	} {
		z, list := packWithACL(pack)
		runtime.GC()
		if list.Value() == nil || len(z.acl().encoded) != 64 {
			t.Errorf("Z4: the ACL of a %s was collected", name)
		}
	}
}

// packWithACL is a function of its own so that no stack frame holds on to the list.
//
//go:noinline
func packWithACL(pack func(*fields) *znode) (*znode, weak.Pointer[ACLList]) {
	l := &ACLList{encoded: strings.Repeat("x", 64)}
	f := fields{name: []byte("n"), acl: l}
	f.created(1, 1)
	return pack(&f), weak.Make(l)
}

// TestAnyLength: a znode is what was packed, whatever the lengths of its name and data, in particular around inlineBytesMax.
// A server ended itself, and at each start again, when
// 416 bytes were written to the root: the byte that an empty name takes was not counted.
func TestAnyLength(t *testing.T) {
	for parts := uint64(0); parts <= partDir|partMod|partOwner; parts += partDir & -partDir {
		for _, nameLen := range []int{0, 1, 17, 200, 254, 255, 256, 510, 511, 512, 600} {
			for dataLen := range inlineBytesMax + 32 {
				f := fields{name: bytes.Repeat([]byte{'n'}, nameLen), data: bytes.Repeat([]byte{'d'}, dataLen)}
				f.created(1, 1)
				for how, z := range map[string]*znode{
					"packed": f.packParts(owner{edit: 1}, parts), "copied": f.packParts(owner{edit: 1}, parts).own(owner{edit: 2}), "made a directory": f.packParts(owner{edit: 1}, parts).asDir(owner{edit: 2}),
				} {
					if !bytes.Equal(z.name(), f.name) || !bytes.Equal(z.data(), f.data) {
						t.Fatalf("%s with parts %#x: name of %d and data of %d bytes are %q and %q", how, parts, nameLen, dataLen, z.name(), z.data())
					}
				}
			}
		}
	}
}
