package tree

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
)

// checkRadix checks R1, R2 and R5 of everything under root, and returns its keys in order.
func checkRadix(t *testing.T, root slot) []string {
	t.Helper()
	var keys []string
	var check func(s slot, above int)
	check = func(s slot, above int) {
		if !isNode(s) {
			keys = append(keys, string(leafOf(s).key()))
			return
		}
		n := nodeOf(s)
		if n.len() < 2 || n.len() > nodeCap(n.len()) {
			t.Fatalf("R1: node at %d has %d slots", n.pos(), n.len())
		}
		if int(n.pos()) <= above {
			t.Fatalf("R2: node at %d below node at %d", n.pos(), above)
		}
		prefix := first(s).key()
		bitmap := uint64(0)
		for _, c := range n.slots() {
			if c == nil {
				t.Fatalf("R1: empty slot at %d", n.pos())
			}
			if pos := diffPos(first(c).key(), prefix); pos < n.pos() {
				t.Fatalf("R2: %q and %q differ at %d above their node at %d", first(c).key(), prefix, pos, n.pos())
			}
			bitmap |= 1 << digit(first(c).key(), n.pos())
			check(c, int(n.pos()))
		}
		if bitmap != n.bitmap {
			t.Fatalf("R1: bitmap %x, slots say %x", n.bitmap, bitmap)
		}
	}
	if root != nil {
		check(root, -1)
	}
	if !sort.StringsAreSorted(keys) {
		t.Fatalf("not in order: %q", keys)
	}
	return keys
}

// keyMakers are shapes of keys that make different trees.
var keyMakers = map[string]func(r *rand.Rand) string{
	"decimal": func(r *rand.Rand) string { return fmt.Sprintf("instance-%010d", r.IntN(3000)) },
	"short": func(r *rand.Rand) string {
		b := make([]byte, 1+r.IntN(4))
		for i := range b {
			b[i] = "abc"[r.IntN(3)]
		}
		return string(b)
	},
	"binary": func(r *rand.Rand) string {
		b := make([]byte, 1+r.IntN(3))
		for i := range b {
			b[i] = byte(1 + r.IntN(255))
		}
		return string(b)
	},
	"fixed": func(r *rand.Rand) string {
		b := make([]byte, 8)
		b[r.IntN(8)] = byte(r.IntN(256))
		b[r.IntN(8)] = byte(r.IntN(256))
		return string(b)
	},
	"long": func(r *rand.Rand) string {
		return string(bytes.Repeat([]byte{'x'}, r.IntN(1200))) + fmt.Sprint(r.IntN(100))
	},
}

type tableVersion struct {
	tab  table[int]
	twin map[string]int
}

func (v *tableVersion) check(t *testing.T) {
	t.Helper()
	keys := checkRadix(t, v.tab.root)
	if want := slices.Sorted(maps.Keys(v.twin)); !slices.Equal(keys, want) {
		t.Fatalf("keys %q, want %q", keys, want)
	}
	if v.tab.len != len(v.twin) {
		t.Fatalf("len %d, want %d", v.tab.len, len(v.twin))
	}
	for k, want := range v.twin {
		if got := v.tab.get([]byte(k)); got == nil || *got != want {
			t.Fatalf("get %q: %v, want %d", k, got, want)
		}
	}
}

func (v *tableVersion) checkAfter(t *testing.T, after string) {
	t.Helper()
	var got, want []string
	v.tab.walk([]byte(after), func(k []byte, _ *int) bool {
		got = append(got, string(k))
		return len(got) < 20
	})
	for _, k := range slices.Sorted(maps.Keys(v.twin)) {
		if k > after && len(want) < 20 {
			want = append(want, k)
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("after %q: %q, want %q", after, got, want)
	}
}

func checkTableDiff(t *testing.T, a, b *tableVersion) {
	t.Helper()
	var got, want []string
	err := diffTables(a.tab, b.tab, func(k []byte, from, to *int) error {
		got = append(got, diffLine(string(k), from, to))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	all := maps.Clone(a.twin)
	maps.Copy(all, b.twin)
	for _, k := range slices.Sorted(maps.Keys(all)) {
		from, inA := a.twin[k]
		to, inB := b.twin[k]
		switch {
		case !inA:
			want = append(want, diffLine(k, nil, &to))
		case !inB:
			want = append(want, diffLine(k, &from, nil))
		case from != to:
			want = append(want, diffLine(k, &from, &to))
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("diff:\n%q\nwant\n%q", got, want)
	}
}

func diffLine(k string, from, to *int) string {
	s := fmt.Sprintf("%q", k)
	if from != nil {
		s += fmt.Sprintf(" from %d", *from)
	}
	if to != nil {
		s += fmt.Sprintf(" to %d", *to)
	}
	return s
}

// TestR3_TableTwin edits a table in batches beside a map and looks at every version again after all later edits.
func TestR3_TableTwin(t *testing.T) {
	for name, makeKey := range keyMakers {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			var (
				versions []*tableVersion
				now      = tableVersion{twin: map[string]int{}}
				e        edit
			)
			for i := range 60 {
				e = e.next()
				for range 1 + r.IntN(1<<r.IntN(8)) {
					k := makeKey(r)
					if r.IntN(100) < 45+i%20 {
						_, had := now.twin[k]
						if now.tab.delete([]byte(k), e) != had {
							t.Fatalf("delete %q: want %v", k, had)
						}
						delete(now.twin, k)
					} else {
						v := r.Int()
						now.tab.put([]byte(k), &v, e)
						now.twin[k] = v
					}
				}
				versions = append(versions, &tableVersion{now.tab, maps.Clone(now.twin)})
			}
			for i, v := range versions {
				v.check(t)
				v.checkAfter(t, makeKey(r))
				checkTableDiff(t, v, versions[r.IntN(len(versions))])
				checkTableDiff(t, v, versions[max(0, i-1)])
				checkTableDiff(t, &tableVersion{twin: map[string]int{}}, v)
			}
		})
	}
}

func TestR4_ZeroBytesPanic(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Fatal("two keys that differ in zero bytes only were both taken")
		}
	}()
	var tab table[int]
	tab.put([]byte("a"), new(int), 1)
	tab.put([]byte("a\x00"), new(int), 1)
}

func TestDigitsOrderAsBytes(t *testing.T) {
	for a := range 256 {
		for b := range 256 {
			x, y := []byte{'k', byte(a)}, []byte{'k', byte(b)}
			if a == b {
				continue
			}
			pos := diffPos(x, y)
			if got := digit(x, pos) < digit(y, pos); got != (a < b) {
				t.Fatalf("bytes %d and %d: digit order says %v", a, b, got)
			}
		}
	}
}

// TestDiffMovedPrefix: two nodes that branch at the same digit under different prefixes have nothing to do with each other.
func TestDiffMovedPrefix(t *testing.T) {
	value := new(int)
	version := func(keys ...string) *tableVersion {
		v := &tableVersion{twin: map[string]int{}}
		for _, k := range keys {
			v.tab.put([]byte(k), value, 1)
			v.twin[k] = *value
		}
		return v
	}
	versions := []*tableVersion{
		version("a1", "a2"), version("b1", "b2"), version("a1", "a2", "b1", "b2"), version("a1"), version("a1x", "a1y"), version(),
	}
	for _, from := range versions {
		for _, to := range versions {
			checkTableDiff(t, from, to)
		}
	}
}
