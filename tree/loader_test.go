package tree

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// store is a sorted store by the slowest means; it checks that a Diff comes in ascending order.
type store struct {
	t    *testing.T
	kv   map[string]string
	last string
	puts int
}

func (s *store) step(key []byte) {
	s.t.Helper()
	if k := string(key); k <= s.last {
		s.t.Fatalf("%q after %q", k, s.last)
	}
	s.last = string(key)
}

func (s *store) Put(key, value []byte) error {
	s.step(key)
	s.kv[string(key)] = string(value)
	s.puts++
	return nil
}

func (s *store) Delete(key []byte) error {
	s.step(key)
	delete(s.kv, string(key)) // it need not be there: made and gone since
	return nil
}

func (s *store) load() (*State, error) {
	var l Loader
	for _, k := range slices.Sorted(maps.Keys(s.kv)) {
		if err := l.Add([]byte(k), []byte(s.kv[k])); err != nil {
			return nil, err
		}
	}
	return l.Finish()
}

func imageOf(t *testing.T, r *Root) *store {
	t.Helper()
	s := &store{t: t, kv: map[string]string{}}
	if err := Diff(nil, r, s); err != nil {
		t.Fatal(err)
	}
	return s
}

// stateTwin makes random changes to a State beneath Apply.
type stateTwin struct {
	*State
	r     *rand.Rand
	paths []string
	ids   []SessionID
}

func newStateTwin(seed uint64) *stateTwin {
	return &stateTwin{State: New(), r: rand.New(rand.NewPCG(seed, 9)), paths: []string{""}}
}

func (st *stateTwin) step() {
	st.cur.zxid++
	switch i := st.r.IntN(len(st.paths)); st.r.IntN(9) {
	case 0, 1, 2, 3:
		st.create(st.paths[i])
	case 4:
		st.delete(i)
	case 5:
		st.deleteBelow(st.paths[i])
	case 6:
		st.set(st.paths[i])
	case 7:
		st.openSession()
	default:
		st.closeSession()
	}
}

func (st *stateTwin) create(parent string) {
	path := parent + "/" + randomName(st.r)
	p := st.w.lookup([]byte(parent))
	if st.w.lookup([]byte(path)) != nil || kindOf(p.owner()) == ephemeral {
		return
	}
	_, name := parentOf(path)
	f := fields{name: []byte(name), data: randomData(st.r)}
	f.created(st.cur.zxid, int64(st.r.IntN(1000)))
	switch k := st.r.IntN(10); {
	case k == 0:
		f.owner = containerOwner
	case k == 1:
		f.owner = ttlOwner(5)
	case k < 5 && len(st.ids) > 0:
		f.owner = int64(st.ids[st.r.IntN(len(st.ids))])
	case k == 5:
		f.acl = internACL(AppendACL(nil, Perm(st.r.IntN(32)), []byte("ip"), []byte("127.0.0.1")))
	}
	st.add(p, []byte(parent), []byte(path), &f)
	st.paths = append(st.paths, path)
}

func (st *stateTwin) delete(i int) {
	path := st.paths[i]
	z := st.w.lookup([]byte(path))
	if path == "" || z.numChildren() > 0 {
		return
	}
	parent := path[:strings.LastIndexByte(path, '/')]
	st.drop(st.w.lookup([]byte(parent)), []byte(parent), []byte(path), z, st.cur.zxid)
	st.paths = slices.Delete(st.paths, i, i+1)
}

// deleteBelow empties a sub-tree, so that a later Diff finds whole directories gone.
func (st *stateTwin) deleteBelow(path string) {
	if path == "" {
		return
	}
	for i := len(st.paths) - 1; i >= 0; i-- {
		if p := st.paths[i]; strings.HasPrefix(p, path+"/") {
			st.delete(i)
		}
	}
	if i := slices.Index(st.paths, path); st.r.IntN(2) == 0 {
		st.delete(i)
	}
}

func (st *stateTwin) set(path string) {
	z := st.w.lookup([]byte(path))
	f := z.fields()
	f.data, f.mzxid = randomData(st.r), st.cur.zxid
	f.version++
	st.replace([]byte(path), z, &f)
}

func (st *stateTwin) openSession() {
	id := SessionID(st.r.Uint64() >> 1)
	st.ids = append(st.ids, id)
	st.putSession(Session{ID: id, TimeoutMs: 4000, Owner: Origin{Process: 7, Loop: 2, Conn: st.r.Uint64()}})
}

func (st *stateTwin) closeSession() {
	if len(st.ids) == 0 || st.r.IntN(3) > 0 {
		return
	}
	i := st.r.IntN(len(st.ids))
	key := sessionKey(st.ids[i])
	s := st.cur.sessions.get(key[:])
	for _, path := range s.ephemeralPaths() {
		st.delete(slices.Index(st.paths, string(path)))
	}
	st.dropSession(st.cur.sessions.get(key[:]))
	st.ids = slices.Delete(st.ids, i, i+1)
}

// sameRoot compares two Roots through their stored form and all that is counted.
func sameRoot(t *testing.T, got, want *Root) {
	t.Helper()
	if g, w := imageOf(t, got), imageOf(t, want); !maps.Equal(g.kv, w.kv) {
		t.Fatal("stored forms differ")
	}
	counts := func(r *Root) string {
		s := fmt.Sprintln(r.Zxid(), r.Digest(), r.NodeCount(), r.DataBytes(), r.EphemeralCount(), r.SessionCount(), r.limits, r.reapable.len)
		r.Sessions(func(x Session) bool {
			s += fmt.Sprintln(x)
			r.Ephemerals(x.ID, func(path []byte) bool { s += string(path) + "\n"; return true })
			return true
		})
		r.reapable.walk(nil, func(path []byte, _ *present) bool { s += string(path) + "\n"; return true })
		return s
	}
	if g, w := counts(got), counts(want); g != w {
		t.Fatalf("loaded:\n%s\nwant:\n%s", g, w)
	}
}

// TestDiffAndLoadTwin keeps a store up to date by Diffs between random versions and loads it.
func TestDiffAndLoadTwin(t *testing.T) {
	for seed := range uint64(6) {
		st := newStateTwin(seed)
		stored := imageOf(t, st.Root())
		at := st.Root().Base()
		var versions []*Root
		for range 60 {
			for range 1 + st.r.IntN(1<<st.r.IntN(7)) {
				st.step()
			}
			st.same = false
			st.freeze()
			versions = append(versions, st.Root())
			if st.r.IntN(3) == 0 {
				continue // a version that is not stored
			}
			from := st.r.IntN(len(versions)) // and some are stored late
			next := versions[from]
			versions = versions[from:]
			stored.last = ""
			if err := Diff(at, next, stored); err != nil {
				t.Fatal(err)
			}
			at = next.Base()
			if want := imageOf(t, next); !maps.Equal(stored.kv, want.kv) {
				t.Fatal("store after Diff differs from the image")
			}
			loaded, err := stored.load()
			if err != nil {
				t.Fatal(err)
			}
			sameRoot(t, loaded.Root(), next)
			top := loaded.Root().top
			if top.descendants() != next.top.descendants() || top.subtreeBytes() != next.top.subtreeBytes() {
				t.Fatal("Z3: loaded counts differ")
			}
			checkCounts(t, top)
		}
		// A loaded state goes on like the one it came from.
		loaded, err := imageOf(t, st.Root()).load()
		if err != nil {
			t.Fatal(err)
		}
		other := &stateTwin{State: loaded, r: rand.New(rand.NewPCG(seed, 1)), paths: slices.Clone(st.paths), ids: slices.Clone(st.ids)}
		st.r = rand.New(rand.NewPCG(seed, 1))
		for range 200 {
			st.step()
			other.step()
		}
		st.same, other.same = false, false
		sameRoot(t, other.freeze(), st.freeze())
	}
}

// checkCounts checks Z3 and the radix trees below z, and returns descendants and bytes.
func checkCounts(t *testing.T, z *znode) (int64, int64) {
	t.Helper()
	checkRadix(t, z.children())
	var count, size int64
	n := int32(0)
	z.walkChildren(nil, func(c *znode) bool {
		below, bytes := checkCounts(t, c)
		count, size = count+below+1, size+bytes
		n++
		return true
	})
	if z.numChildren() != n || z.descendants() != count || z.subtreeBytes() != size+int64(z.dataLen()) {
		t.Fatalf("Z3: %q counts wrong", z.name())
	}
	return count, size + int64(z.dataLen())
}

// TestDiffFollowsChange: one change in a large tree visits one key besides the meta key and those above.
func TestDiffFollowsChange(t *testing.T) {
	st := newStateTwin(1)
	for range 2000 {
		st.step()
	}
	st.same = false
	before := st.freeze()
	path := st.paths[len(st.paths)-1]
	st.set(path)
	st.same = false
	s := imageOf(t, before)
	s.puts, s.last = 0, ""
	if err := Diff(before.Base(), st.freeze(), s); err != nil {
		t.Fatal(err)
	}
	if want := 2 + strings.Count(path, "/"); s.puts != want {
		t.Fatalf("%d puts for one change, want %d", s.puts, want)
	}
}

func TestLoaderRefusesDamage(t *testing.T) {
	st := newStateTwin(5)
	for range 300 {
		st.step()
	}
	st.same = false
	whole := imageOf(t, st.freeze())
	if _, err := whole.load(); err != nil {
		t.Fatal(err)
	}
	damaged := func() *store { return &store{t: t, kv: maps.Clone(whole.kv)} }
	for k, v := range whole.kv {
		s := damaged()
		delete(s.kv, k)
		if _, err := s.load(); !errors.Is(err, ErrCorrupt) {
			t.Errorf("without %q: %v", k, err)
		}
		for range 3 {
			b := []byte(v)
			b[st.r.IntN(len(b))] ^= 1 << st.r.IntN(8)
			s := damaged()
			s.kv[k] = string(b)
			if _, err := s.load(); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewerFormat) {
				t.Errorf("%q with a flipped bit: %v", k, err)
			}
		}
	}
}

func FuzzLoader(f *testing.F) {
	f.Add([]byte("m"), []byte("123456789"), []byte("n\x00a"), []byte("x"))
	st := New()
	var kv [][]byte
	image := map[string]string{}
	_ = Diff(nil, st.Root(), &store{t: &testing.T{}, kv: image})
	for _, k := range slices.Sorted(maps.Keys(image)) {
		kv = append(kv, []byte(k), []byte(image[k]))
	}
	for i := 0; i+3 < len(kv); i += 2 {
		f.Add(kv[i], kv[i+1], kv[i+2], kv[i+3])
	}
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 []byte) {
		// The whole image with two records of the fuzzer's in it, then those alone.
		for _, base := range []map[string]string{image, {"m": image["m"], "n": image["n"]}} {
			kv := maps.Clone(base)
			kv[string(k1)], kv[string(k2)] = string(v1), string(v2)
			s, err := (&store{t: t, kv: kv}).load()
			if err != nil {
				continue
			}
			again, err := imageOf(t, s.Root()).load()
			if err != nil {
				t.Fatal(err)
			}
			sameRoot(t, again.Root(), s.Root())
		}
	})
}

func TestAppendKey(t *testing.T) {
	for path, want := range map[string]string{"": "n", "/": "n", "/a": "n\x00a", "/a/b": "n\x00a\x00b"} {
		if got := AppendKey(nil, []byte(path)); !bytes.Equal(got, []byte(want)) {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}
