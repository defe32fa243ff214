package tree

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// version is a Root with what must be seen in it.
type version struct {
	root *Root
	want *twin
}

// viewers look at old Roots of a State that uses memory again: a Reader that is some commits behind, as an event loop is, and
// Holds of all durations.
type viewers struct {
	t       *testing.T
	readers Readers
	reader  *Reader
	behind  []version // what the Reader may look at, in order
	holds   map[*Hold]version
}

func newViewers(t *testing.T, s *State, tw *twin) *viewers {
	v := &viewers{t: t, holds: map[*Hold]version{}}
	s.Reuse(&v.readers)
	v.reader = v.readers.Join()
	v.reader.Enter()
	v.behind = append(v.behind, version{s.Root(), tw.clone()})
	return v
}

// published takes in a commit: Roots between its transactions, and the one after them.
func (v *viewers) published(out Applied, befores []*twin, tw *twin) {
	for i, before := range befores {
		if before != nil {
			v.behind = append(v.behind, version{out.Txns[i].Before, before})
		}
	}
	v.behind = append(v.behind, version{out.Root, tw.clone()})
}

// look compares what is looked at, and lets go of some.
func (v *viewers) look(r *rand.Rand) {
	for _, o := range v.behind {
		compareTree(v.t, o.want, o.root)
	}
	for h, o := range v.holds {
		compareTree(v.t, o.want, o.root)
		if r.IntN(10) == 0 {
			h.Release()
			delete(v.holds, h)
		}
	}
	if len(v.holds) < 3 && r.IntN(5) == 0 {
		o := v.behind[r.IntN(len(v.behind))]
		v.holds[v.readers.Hold(o.root)] = o
	}
	newest := v.behind[len(v.behind)-1]
	switch r.IntN(4) {
	case 0: // an idle loop
		v.reader.Rest()
		v.reader.Enter()
		v.behind = []version{newest}
	case 1:
		v.reader.Look(newest.root)
		v.behind = []version{newest}
	}
}

// reuseBed has n znodes below /d of one size, each written before, and memory that is used again. With an ACL of their own their leaves
// are not plain.
type reuseBed struct {
	*bed
	n       int
	readers Readers
	roots   []*Root // all of them, so that the collector gives no memory back
}

func newReuseBed(t *testing.T, n int, acl []byte) *reuseBed {
	b := &reuseBed{bed: newBed(t), n: n}
	b.s.Reuse(&b.readers)
	b.mustCreate("/d", 0)
	for i := range n {
		b.mustCreate(b.path(i), 0)
		b.one(AppendSetACL(nil, &b.h, &SetACL{Path: []byte(b.path(i)), ACL: acl, Version: -1}))
		b.write(i)
	}
	return b
}

var aclOfItsOwn = AppendACL(nil, PermAll, []byte("ip"), []byte("127.0.0.1"))

func (b *reuseBed) path(i int) string { return fmt.Sprintf("/d/n%04d", i%b.n) }

// write sets a znode and returns its new leaf.
func (b *reuseBed) write(i int) *znode {
	b.t.Helper()
	if txn := b.set(b.path(i), "as many bytes as always", -1); txn.Code != OK {
		b.t.Fatal(txn.Code)
	}
	b.roots = append(b.roots, b.s.Root())
	return b.leaf(i)
}

func (b *reuseBed) leaf(i int) *znode { return lookup(b.s.Root().top, []byte(b.path(i))) }

// places counts the leaves that one znode has in so many writes.
func (b *reuseBed) places(writes int, each func()) int {
	seen := map[*znode]bool{}
	for range writes {
		seen[b.write(0)] = true
		each()
	}
	return len(seen)
}

func TestReuse_FollowsTheReaders(t *testing.T) {
	const writes = 100
	never := func() {}
	b := newReuseBed(t, 10, OpenACL)
	if got := b.places(writes, never); got > 4 {
		t.Errorf("without readers one znode is at %d places in %d writes", got, writes)
	}
	r := b.readers.Join()
	if got := b.places(writes, never); got > 4 {
		t.Errorf("with a reader that rests: %d places", got)
	}
	r.Enter()
	if got := b.places(writes, never); got < writes-4 {
		t.Errorf("with a reader that may look at anything: %d places", got)
	}
	follow := func() {
		r.Enter()
		r.Look(b.s.Root())
	}
	follow()
	if got := b.places(writes, follow); got > 5 {
		t.Errorf("with a reader that follows: %d places", got)
	}
	if got := b.places(writes, never); got < writes-5 {
		t.Errorf("with a reader that looks at an old Root: %d places", got)
	}
	r.Look(New().Root())
	if got := b.places(writes, never); got < writes-5 {
		t.Errorf("with a reader that comes from another State: %d places", got)
	}
	r.Rest()
	if got := b.places(writes, never); got > 5 {
		t.Errorf("when it rests again: %d places", got)
	}
}

func TestReuse_HoldKeepsWhatItsRootReaches(t *testing.T) {
	const n = 200
	b := newReuseBed(t, n, aclOfItsOwn)
	held := map[*znode]bool{}
	for i := range n {
		held[b.leaf(i)] = true
	}
	first := b.readers.Hold(b.s.Root())
	reused := func(rounds int) (of, again int) {
		seen := map[*znode]bool{}
		for i := range rounds * n {
			z := b.write(i)
			if held[z] {
				of++
			}
			if seen[z] {
				again++
			}
			seen[z] = true
		}
		return of, again
	}
	of, again := reused(2)
	if of > 0 || again < n/2 {
		t.Errorf("under a Hold %d of its leaves are used again, and %d of later ones", of, again)
	}
	share := first.Share()
	first.Release()
	if of, _ = reused(1); of > 0 {
		t.Errorf("under half of a Hold %d of its leaves are used again", of)
	}
	second := b.readers.Hold(b.s.Root())
	share.Release()
	if of, _ = reused(3); of < n/4 {
		t.Errorf("when it has ended only %d of its leaves are used again, beside a Hold of a later Root", of)
	}
	second.Release()
	var none *Hold
	none.Release()
	if len(b.readers.holds) > 0 {
		t.Errorf("%d Holds are left", len(b.readers.holds))
	}
}

// writeAll sets every znode and returns the places of the leaves.
func (b *reuseBed) writeAll() map[*znode]bool {
	places := map[*znode]bool{}
	for i := range b.n {
		places[b.write(i)] = true
	}
	return places
}

func both(a, b map[*znode]bool) (n int) {
	for z := range a {
		if b[z] {
			n++
		}
	}
	return n
}

// What one Hold has kept is there for the next one, however much is written between them, unless nobody needs it.
func TestReuse_OneHoldKeepsForTheNext(t *testing.T) {
	const n = 3 * demandOf
	b := newReuseBed(t, n, aclOfItsOwn)
	kept := b.writeAll()
	hold := b.readers.Hold(b.s.Root())
	b.writeAll()
	hold.Release()
	for range 20 {
		b.write(0) // settleExtra each
	}
	for range 3 * demandOf {
		b.write(1)
	}
	m := b.s.w.memory
	if m.aged < n {
		t.Errorf("%d writes have retired %d objects", n, m.aged)
	}
	m.aged = reserveOf // what lies there was not unused all the time
	b.write(0)
	hold = b.readers.Hold(b.s.Root())
	if got := both(kept, b.writeAll()); got < n*9/10 {
		t.Errorf("of %d leaves that one Hold kept %d are used under the next", n, got)
	}
	hold.Release()
	for range 20 {
		b.write(0)
	}
	before := m.bytes
	m.aged = reserveOf
	if b.write(0); m.bytes < before/2 {
		t.Errorf("of %d bytes that the second Hold needed %d are left", before, m.bytes)
	}
	for range 2 {
		m.aged = reserveOf
		b.write(0)
	}
	if m.bytes > before/10 {
		t.Errorf("of %d bytes that nobody needs %d are still free", before, m.bytes)
	}
}

func TestTrim(t *testing.T) {
	const n = 200
	b := newReuseBed(t, n, aclOfItsOwn)
	hold := b.readers.Hold(b.s.Root())
	b.writeAll()
	m := b.s.w.memory
	if free := m.bytes; free == 0 || b.s.Trim() != free || m.bytes != 0 {
		t.Errorf("of %d free bytes %d are left", free, m.bytes)
	}
	for kind, size := range lists {
		if l := &m.free[kind][size]; len(l.objects) > 0 || l.reserve > 0 {
			t.Errorf("kind %d, size %d: %d are free, %d are a reserve", kind, size, len(l.objects), l.reserve)
		}
	}
	hold.Release()
	leaf := len("/d/n0000") // at least
	if got := b.s.Trim(); got < n*leaf || len(m.kept) > 0 {
		t.Errorf("when the Hold has ended %d bytes are given up, of %d leaves; %d groups are kept", got, n, len(m.kept))
	}
	if got := New().Trim(); got != 0 {
		t.Errorf("a State that keeps nothing gives up %d bytes", got)
	}
}

// A znode that was never written before leaves memory of a size that nobody asks for.
func TestReuse_KeepsNoMoreThanIsAskedFor(t *testing.T) {
	b := newReuseBed(t, 1, OpenACL)
	const n = 4*demandOf + demandOf/2
	for i := range n {
		b.mustCreate(fmt.Sprintf("/d/other%05d", i), 0)
		b.one(AppendSetACL(nil, &b.h, &SetACL{Path: fmt.Appendf(nil, "/d/other%05d", i), ACL: aclOfItsOwn, Version: -1}))
	}
	for i := range n {
		b.set(fmt.Sprintf("/d/other%05d", i), "so many bytes that the leaf gets another size, and then the first size is not asked for again", -1)
	}
	m, bytes := b.s.w.memory, 0
	for kind := range m.free {
		for size := range m.free[kind] {
			l := &m.free[kind][size]
			if len(l.objects) == 0 {
				continue
			}
			bytes += len(l.objects) * sizeOf(kind, size)
			if len(l.objects) > l.demand() || l.reserve > 0 {
				t.Errorf("kind %d, size %d: %d are free, %d were asked for, %d are a reserve", kind, size, len(l.objects), l.demand(), l.reserve)
			}
			for _, p := range l.objects {
				if kind == nodeKind && slices.ContainsFunc((*node)(p).room(size), func(s slot) bool { return s != nil }) {
					t.Errorf("a free node of %d slots keeps what was below it", size)
				}
			}
		}
	}
	if bytes == 0 || bytes != m.bytes {
		t.Errorf("%d bytes are free, and said to be %d", bytes, m.bytes)
	}
}

func TestReuse_WaitsForAReaderThatDoesNotMove(t *testing.T) {
	const writes = 10_000
	b := newReuseBed(t, 10, OpenACL)
	r := b.readers.Join()
	r.Enter()
	seen := map[*znode]bool{}
	for i := range writes {
		seen[b.write(i)] = true
		b.roots = nil
	}
	if len(seen) < writes {
		t.Errorf("%d writes have found %d places, all of which a reader may look at", writes, len(seen))
	}
	r.Rest()
	m := b.s.w.memory
	waiting := len(m.retired)
	b.write(0)
	if came := m.came; came < settleMost || came > 2*settleMost {
		t.Errorf("of %d objects that waited for a reader %d came at once", waiting, came)
	}
	for range waiting / settleMost {
		b.write(0)
	}
	if len(m.retired) > 100 || len(m.batches) > 1 {
		t.Errorf("%d objects of %d batches wait for no reader", len(m.retired), len(m.batches))
	}
	checkSlabs(t, b.s, 0)
	if m.plain.bytes > 20*slabBytes {
		t.Errorf("slabs of %d bytes are left", m.plain.bytes)
	}
}

func TestReuse_IsBounded(t *testing.T) {
	b := newReuseBed(t, 200, aclOfItsOwn)
	hold := b.readers.Hold(b.s.Root())
	b.writeAll()
	hold.Release()
	m := b.s.w.memory
	m.budget = m.bytes + 1000
	if m.settle(); m.bytes <= m.budget-1000 || m.bytes > m.budget+1000 {
		t.Errorf("%d bytes are free, of %d that may be", m.bytes, m.budget)
	}
}
