package tree

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// checkSlabs holds the slabs of a State that nobody looks at against its tree: each plain leaf is in one, if it was made since there are
// slabs, and there is none besides, but for those that are lost (S3). What was replaced last may still wait.
func checkSlabs(t *testing.T, s *State, lost int) {
	t.Helper()
	m := s.w.memory
	waiting := 0
	for _, o := range m.retired[m.came:] {
		if l := plainLeaf(o); l != nil && m.plain.of(l) != nil {
			waiting++
		}
	}
	for _, g := range m.kept {
		waiting += len(g.plain)
	}
	inTree := 0
	var count func(z *znode)
	count = func(z *znode) {
		if l := plainLeaf(z.slot()); l != nil && m.plain.of(l) != nil {
			inTree++
		}
		z.walkChildren(nil, func(c *znode) bool {
			count(c)
			return true
		})
	}
	count(s.w.root())
	if inTree+waiting+lost != m.plain.live {
		t.Errorf("S3: %d leaves are in the tree, %d wait, %d are lost, but %d are in slabs", inTree, waiting, lost, m.plain.live)
	}
	bytes, live := 0, 0
	for sl := range m.plain.all {
		bytes += slabBytes
		live += int(sl.live)
		listed := sl.prev != nil || m.plain.room[sl.size/slabGrain] == sl
		spare := slices.Contains(m.plain.spare, sl)
		if listed == (sl.full() || spare) || spare && sl.live > 0 {
			t.Errorf("S2: a slab of leaves of %d bytes, %d of them there, is among those with room: %t, spare: %t", sl.size, sl.live, listed, spare)
		}
	}
	if bytes != m.plain.bytes || live != m.plain.live {
		t.Errorf("%d bytes and %d leaves are said to be %d and %d", bytes, live, m.plain.bytes, m.plain.live)
	}
}

// madeSince counts the leaves in slabs that are younger than the newest Root: what a batch has made that could not be applied.
func madeSince(s *State) (n int) {
	for sl := range s.plain.all {
		for at := uint16(0); at < sl.fresh; at += sl.size {
			if l := (*leaf)(unsafe.Pointer(&sl.memory[at])); madeIn(slot(l)) > s.Root().edit {
				n++
			}
		}
	}
	return n
}

// all yields each slab.
func (p *slabs) all(yield func(*slab) bool) {
	for at, r := range p.regions {
		for i, s := range r {
			if s != nil && at*regionBytes+uintptr(i)*pageBytes == uintptr(unsafe.Pointer(s.memory)) && !yield(s) {
				return
			}
		}
	}
}

// TestSlabs takes and gives leaves of all sizes at random: no two overlap, none is written by another, and what is empty goes.
func TestSlabs(t *testing.T) {
	type taken struct {
		l    *leaf
		size int
		mark byte
	}
	r := rand.New(rand.NewPCG(1, 2))
	var p slabs
	var all []taken
	bytesOf := func(l taken) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(l.l)), l.size) }
	give := func(i int) {
		l := all[i]
		for at, b := range bytesOf(l) {
			if b != l.mark {
				t.Fatalf("byte %d of a leaf of %d bytes is %d, was %d", at, l.size, b, l.mark)
			}
		}
		p.give(l.l)
		all[i] = all[len(all)-1]
		all = all[:len(all)-1]
	}
	for step := range 200_000 {
		if grows := step/20_000%2 == 0; len(all) > 0 && r.IntN(10) < 3 == grows {
			give(r.IntN(len(all)))
			continue
		}
		n := 33 + r.IntN(inlineBytesMax-32)
		parts := uint64(r.IntN(2)) * partMod
		l := taken{size: roomFor(n, parts), mark: byte(r.Uint32())}
		if l.size < n || l.size > inlineBytesMax || parts == 0 && l.size < min(n+int(modBytes), inlineBytesMax) {
			t.Fatalf("a leaf of %d bytes and parts %#x has a place of %d", n, parts, l.size)
		}
		l.l = p.take(l.size)
		if p.of(l.l) == nil || l.l.ref != nil || uintptr(unsafe.Pointer(l.l))%slabGrain != 0 {
			t.Fatalf("a leaf of %d bytes is at %p, with ref %p", l.size, l.l, l.l.ref)
		}
		for i := range bytesOf(l) {
			bytesOf(l)[i] = l.mark
		}
		all = append(all, l)
	}
	for len(all) > 0 {
		give(0)
	}
	if p.live != 0 || len(p.spare) > slabSizes/(sparePart-1) {
		t.Errorf("%d leaves and %d spare slabs are left of none", p.live, len(p.spare))
	}
	if spare := len(p.spare) * slabBytes; spare == 0 || p.trim() != spare || p.bytes > slabSizes*slabBytes {
		t.Errorf("%d bytes are left, %d are spare", p.bytes, spare)
	}
	p = slabs{}
	for range slabBytes / 64 {
		p.take(64)
	}
	if p.bytes != slabBytes {
		t.Errorf("slabs of %d bytes for %d bytes of leaves", p.bytes, slabBytes)
	}
	p = slabs{}
	if p.give(newPlain(64)); p.live != 0 {
		t.Error("a leaf that lies in no slab was taken back")
	}
}

// A znode that is written for the first time needs no other size, and memory goes when znodes do.
func TestSlabs_OfATree(t *testing.T) {
	const n = 2000
	b := newReuseBed(t, 1, OpenACL)
	plain := b.s.w.plain
	path := func(i int) string { return fmt.Sprintf("/d/of%05d", i) }
	for i := range n {
		if txn := b.create(path(i), 0); txn.Code != OK {
			t.Fatal(txn.Code)
		}
	}
	b.write(0)
	loaded := plain.bytes
	for i := range n {
		b.set(path(i), "", -1)
	}
	if plain.bytes > loaded+2*slabBytes {
		t.Errorf("%d bytes of slabs before and %d after all was written once", loaded, plain.bytes)
	}
	checkSlabs(t, b.s, 0)
	first := lookup(b.s.Root().top, []byte(path(0)))
	for i := range n {
		b.del(path(i), -1)
	}
	b.write(0)
	if first.head != 0 {
		t.Error("whoever still looks at a leaf that was given back finds something there")
	}
	checkSlabs(t, b.s, 0)
	if plain.bytes > 4*slabBytes {
		t.Errorf("%d bytes of slabs are left of %d", plain.bytes, loaded)
	}
	empty := plain.add(inlineBytesMax)
	plain.unlink(empty)
	plain.spare = append(plain.spare, empty)
	free := b.s.w.memory.bytes + len(plain.spare)*slabBytes
	if got := b.s.Trim(); got != free || len(plain.spare) > 0 {
		t.Errorf("%d bytes are given up, want %d; %d slabs are spare", got, free, len(plain.spare))
	}
	checkSlabs(t, b.s, 0)
}

// What one Hold keeps is there when it has ended, at once or, of a State with little to do, when that is trimmed.
func TestSlabs_UnderAHold(t *testing.T) {
	const n = 2000
	b := newReuseBed(t, n, OpenACL)
	plain := b.s.w.plain
	hold := b.readers.Hold(b.s.Root())
	before := b.writeAll()
	peak := plain.bytes
	if of := both(before, b.writeAll()); of < n*9/10 {
		t.Errorf("only %d of %d leaves that no Hold reaches are used again", of, n)
	}
	if plain.bytes > peak+2*slabBytes {
		t.Errorf("slabs of %d bytes after %d writes under a Hold, of %d after twice as many", peak, n, plain.bytes)
	}
	hold.Release()
	b.write(0)
	checkSlabs(t, b.s, 0)
	hold = b.readers.Hold(b.s.Root())
	b.writeAll()
	hold.Release()
	if plain.bytes > peak+2*slabBytes {
		t.Errorf("slabs of %d bytes after a Hold, of %d after the next", peak, plain.bytes)
	}
	if b.s.Trim(); len(b.s.w.memory.kept) > 0 {
		t.Errorf("%d leaves are kept for a Hold that has ended", len(b.s.w.memory.kept[0].plain))
	}
	checkSlabs(t, b.s, 0)
}

// What a Loader has made comes back like the rest, once the State uses memory again; directories have left no leaf behind.
func TestSlabs_OfALoadedTree(t *testing.T) {
	const n = 500
	b := newReuseBed(t, n, OpenACL)
	s, err := imageOf(t, b.s.Root()).load()
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Root().SlabBytes(); got < n*int64(roomFor(len("n0000"), 0)) {
		t.Errorf("slabs of %d bytes for %d znodes", got, n)
	}
	b.s = s
	s.Reuse(&b.readers)
	checkSlabs(t, s, 0)
	if made := s.plain.live; made < n || made > n+10 {
		t.Errorf("%d leaves for %d znodes", made, n)
	}
	before := s.Root().SlabBytes()
	b.writeAll()
	b.writeAll()
	checkSlabs(t, s, 0)
	if got := s.Root().SlabBytes(); got > before+slabBytes {
		t.Errorf("slabs of %d bytes before all was written twice, of %d after", before, got)
	}
}
