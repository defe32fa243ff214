package tree

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"
)

// What a batch replaces is seen by those who still look at an older Root, and after that by nobody: its memory is used again by a
// later batch (quiescent-state-based reclamation; Hart, McKenney, Brown and Walpole 2007). Leaving all of it to the garbage
// collector costs memory, two fifths of what lives, and time: memory that comes round after a collection is in no cache, and each
// collection works through the whole tree (BENCHMARKS, Tree). What is not found again in time still is left to the collector, so that
// forgetting about an object is always safe; only to use it again too early is not.
//
//	Apply k replaces ─▶ retired, k ── every Reader at a Root ≥ k ──▶ free, by kind and size ─▶ Apply j > k makes
//	                                        │                         ▲
//	                                        └─ made before a Hold ─▶ kept until its Release
//
// Invariants:
//
//	M1  An object is retired once, by the batch that takes it out of the tree for good. If that batch fails it never was.
//	M2  Memory is used again only after every Reader has looked at a Root of the same State that does not hold it, or rests.
//	M3  Memory that a Root under a Hold reaches is not used again: an object made (its edit) no later than that Root and retired
//	    after it. A Hold is begun where a Reader is, so whatever is kept already was retired before its Root, and only the Holds
//	    that there are when an object is kept count for it.
//	M4  Only nodes and leaves of the tree of znodes come back. Tables, ACLs, what lies outside of large znodes, and Roots
//	    themselves are the collector's, and valid as long as somebody has them.

// lineage is a State's identity: Roots with the same one come from one State.
type lineage struct{ _ byte }

// Readers are those who look at Roots while a State goes on; it asks them whose memory it may use again. One Readers may serve
// several States that follow each other. The zero Readers is ready.
type Readers struct {
	mu      sync.Mutex
	readers []*Reader
	holds   []*Hold // in the order in which they began
	begun   uint64  // holds, ever
}

// Reader is a goroutine that looks at one Root after another, each newer than the one before. Its methods are for that
// goroutine, and cost an atomic store.
type Reader struct{ at atomic.Pointer[Root] }

// anyRoot is where a Reader is that does not know yet which Root it will find.
var anyRoot Root

// Join adds a Reader, which rests.
func (r *Readers) Join() *Reader {
	reader := &Reader{}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.readers = append(r.readers, reader)
	return reader
}

// Enter is called before the newest Root is asked for: whichever that is, it and all later ones may be looked at from then on.
// After a Look it does nothing.
func (r *Reader) Enter() {
	if r.at.Load() == nil {
		r.at.Store(&anyRoot)
	}
}

// Look says that root and later ones may be looked at, and no older one.
func (r *Reader) Look(root *Root) {
	if r.at.Load() != root {
		r.at.Store(root)
	}
}

// Rest says that no Root is looked at before the next Enter.
func (r *Reader) Rest() { r.at.Store(nil) }

// Hold keeps one Root as it is for somebody who takes his time: a checkpoint, a transfer, a long listing.
type Hold struct {
	readers *Readers
	root    *Root
	number  uint64
	shares  int
}

// Hold begins a Hold of root. The caller's Reader looks at root or at an older one: what earlier Holds keep, this one does not reach.
func (r *Readers) Hold(root *Root) *Hold {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun++
	h := &Hold{readers: r, root: root, number: r.begun, shares: 1}
	r.holds = append(r.holds, h)
	return h
}

// Share has the Hold last until one more Release.
func (h *Hold) Share() *Hold {
	h.readers.mu.Lock()
	defer h.readers.mu.Unlock()
	h.shares++
	return h
}

// Release ends a Hold, or one share of it; nil is none.
func (h *Hold) Release() {
	if h == nil {
		return
	}
	h.readers.mu.Lock()
	defer h.readers.mu.Unlock()
	if h.shares--; h.shares == 0 {
		i := slices.Index(h.readers.holds, h)
		h.readers.holds = slices.Delete(h.readers.holds, i, i+1)
	}
}

// seen is what Readers and Holds have to say to one State.
type seen struct {
	passed        edit   // every Reader is at this Root or a later one
	held          []edit // Roots under a Hold
	first, newest uint64 // numbers of the first Hold that lasts, and of the newest one ever
}

// seen asks all. held is for its memory.
func (r *Readers) seen(line *lineage, held []edit) seen {
	s := seen{passed: math.MaxUint64, held: held[:0], first: math.MaxUint64}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, reader := range r.readers {
		switch at := reader.at.Load(); {
		case at == nil:
		case at.line != line:
			s.passed = 0 // goes on to this State's, from wherever it is
		default:
			s.passed = min(s.passed, at.edit)
		}
	}
	for i, h := range r.holds {
		if i == 0 {
			s.first = h.number
		}
		if h.root.line == line {
			s.held = append(s.held, h.root.edit)
		}
	}
	s.newest = r.begun
	return s
}

// owner makes the nodes and leaves of a batch, which carry its edit (R3), from memory that was used before if there is some.
// memory is nil where nothing comes back, plain where plain leaves are objects of their own.
type owner struct {
	edit   edit
	memory *memory
	plain  *slabs
}

func (w *owner) newNode(slots int, pos uint32) *node {
	var n *node
	if w.memory != nil {
		n = w.memory.node(slots)
	}
	if n == nil {
		n = newNode(slots)
	}
	n.head = uint64(w.edit)<<headBits | uint64(pos)
	return n
}

// newLeaf is like the function of this name, but what is not ref, head or children may be of an older leaf.
func (w *owner) newLeaf(n int, parts uint64, ref unsafe.Pointer) *leaf {
	switch kind := leafKind(parts, ref); {
	case kind == plainKind && w.plain != nil:
		return w.plain.take(roomFor(n, parts))
	case kind != plainKind && w.memory != nil:
		if l := w.memory.leaf(n, kind); l != nil {
			return l
		}
	}
	return newLeaf(n, parts, ref)
}

// retire notes that the node or leaf s is in the tree no more.
func (w *owner) retire(s slot) {
	if w.memory != nil {
		w.memory.retired = append(w.memory.retired, s)
	}
}

// memory is what comes back of a State's tree.
type memory struct {
	readers *Readers
	line    *lineage
	plain   *slabs

	free    [kinds][nodeSlotsMax + 1]freeList // by capacity in slots, or by size class
	bytes   int                               // of free
	budget  int                               // for bytes
	settled int                               // batches since demand was counted anew
	aged    int                               // retired objects since the last age

	// What waits for Readers has no bound: from where a loop is on, the commits keep all their Roots, and so all of this, as long.
	retired []slot
	batches []retiredBatch // cut retired, in the order of edits; what is behind the last one belongs to the batch at work
	came    int            // so many of retired were taken already,
	cameOf  int            // of so many batches
	kept    []keptGroup
	held    []edit // scratch
}

// freeList is free memory of one kind and size: no more than was asked for lately, as a znode that is written for the first
// time leaves memory of a size that may never be asked for again. But while a Hold lasts nearly every znode that is written needs
// new memory, and when it ends all that it kept is free: this is a reserve for the next Hold.
type freeList struct {
	objects     []unsafe.Pointer
	asked       int // since demand was counted anew
	askedBefore int
	reserve     int // may be free whatever was asked for
	unused      int // always were, since reserves were looked at
}

type retiredBatch struct {
	edit edit // of the Root that holds them no more
	end  int  // in retired
}

// keptGroup is what Holds keep, until the one with this number and all before it have ended. It lives anyway so long, whatever
// its size.
type keptGroup struct {
	until uint64
	plain []*leaf
	slots []slot // others
	bytes int    // of slots
}

// kinds of memory: leaves in the three shapes of alloc.go, and nodes. Plain leaves have their own lists (slab.go).
const (
	refKind = iota
	dirKind
	nodeKind
	kinds
	plainKind
)

const (
	budgetMin   = 4 << 20
	budgetPart  = 2    // of the tree may be free
	settleMost  = 1024 // retired objects that a batch takes, besides twice as many as the last one retired: however many wait for a Reader
	settleExtra = 64   // kept objects that a batch gives back, besides as many as were retired
	trimPlain   = 1 << 16
	demandOf    = 256     // batches
	reserveOf   = 8 << 20 // retired objects: of several checkpoints
)

func leafKind(parts uint64, ref unsafe.Pointer) int {
	switch {
	case parts&partDir != 0:
		return dirKind
	case ref != nil:
		return refKind
	}
	return plainKind
}

// Reuse has the State use the memory of what it replaces again. From then on whoever looks at znodes of its Roots, other
// than the newest one between two Applies, has to be among readers.
func (s *State) Reuse(readers *Readers) {
	if s.plain == nil {
		s.plain = &slabs{}
	}
	s.w.plain, s.w.memory = s.plain, &memory{readers: readers, line: s.cur.line, plain: s.plain}
}

// Trim leaves all free memory to the collector, and says how many bytes that are: for a State that has little to do. Plain leaves
// go back to their slabs, trimPlain of them at a time.
func (s *State) Trim() (bytes int) {
	m := s.w.memory
	if m == nil {
		return 0
	}
	bytes, m.bytes = m.bytes, 0
	for kind, size := range lists {
		m.free[kind][size] = freeList{}
	}
	first, n := m.readers.seen(m.line, m.held).first, trimPlain
	for i := 0; i < len(m.kept) && m.kept[i].until < first; i++ {
		g := &m.kept[i]
		bytes += g.bytes
		g.slots, g.bytes = nil, 0
		n -= m.releasePlain(g, n)
	}
	m.kept = slices.DeleteFunc(m.kept, func(g keptGroup) bool { return g.empty() })
	return bytes + m.plain.trim()
}

func (m *memory) node(slots int) *node { return (*node)(m.pop(nodeKind, nodeCap(slots))) }

func (m *memory) leaf(n, kind int) *leaf { return (*leaf)(m.pop(kind, int(classOf[(n+15)/16]))) }

func (m *memory) pop(kind, size int) unsafe.Pointer {
	l := &m.free[kind][size]
	l.asked++
	n := len(l.objects)
	if n == 0 {
		return nil
	}
	p := l.objects[n-1]
	l.objects[n-1] = nil
	l.objects = l.objects[:n-1]
	l.unused = min(l.unused, n-1)
	m.bytes -= sizeOf(kind, size)
	return p
}

func (l *freeList) demand() int { return l.asked + l.askedBefore }

// recount counts demand anew, and leaves to the collector what there was none for.
func (m *memory) recount() {
	m.settled = 0
	for kind, size := range lists {
		l := &m.free[kind][size]
		m.forget(kind, size, len(l.objects)-max(l.asked, l.reserve))
		l.asked, l.askedBefore = 0, l.asked
	}
}

// age leaves to the collector what nothing was ever taken from since the last time.
func (m *memory) age() {
	m.aged = 0
	for kind, size := range lists {
		l := &m.free[kind][size]
		l.reserve = max(0, l.reserve-l.unused)
		m.forget(kind, size, l.unused)
		l.unused = len(l.objects)
	}
}

// forget leaves n free objects to the collector.
func (m *memory) forget(kind, size, n int) {
	if l := &m.free[kind][size]; n > 0 {
		l.objects = slices.Delete(l.objects, 0, n)
		l.unused = min(l.unused, len(l.objects))
		m.bytes -= n * sizeOf(kind, size)
	}
}

// lists yields the kind and size of each freeList.
func lists(yield func(kind, size int) bool) {
	for kind := range kinds {
		for size := range nodeSlotsMax + 1 {
			if !yield(kind, size) {
				return
			}
		}
	}
}

func sizeOf(kind, size int) int {
	if kind == nodeKind {
		return int(nodeBytes) + 8*size
	}
	return int(sizeClasses[size])
}

// sealed ends the batch whose Root has this edit. What it retired is in no later one.
func (m *memory) sealed(r *Root) {
	if n := len(m.retired); n > m.sealedEnd() {
		m.batches = append(m.batches, retiredBatch{r.edit, n})
	}
	m.budget = max(budgetMin, int(r.DataBytes()+znodeBytesAbout*r.NodeCount())/budgetPart)
}

// znodeBytesAbout is what a znode takes besides its path and data.
const znodeBytesAbout = 64

func (m *memory) sealedEnd() int {
	if n := len(m.batches); n > 0 {
		return m.batches[n-1].end
	}
	return 0
}

// abandon forgets what the batch at work has retired: the tree is as before it. The plain leaves that it made are lost (S3), but a
// State that is given what it cannot apply gets no more.
func (m *memory) abandon() {
	end := m.sealedEnd()
	clear(m.retired[end:])
	m.retired = m.retired[:end]
}

// settle makes memory free that nobody looks at any more. It is called between two batches.
func (m *memory) settle() {
	if m.settled++; m.settled == demandOf {
		m.recount()
	}
	if m.aged >= reserveOf {
		m.age()
	}
	if len(m.batches) == 0 && len(m.kept) == 0 {
		return
	}
	s := m.readers.seen(m.line, m.held)
	m.held = s.held
	from, most := m.came, settleMost+2*m.newest()
	for m.cameOf < len(m.batches) && m.batches[m.cameOf].edit <= s.passed && m.came-from < most {
		b := m.batches[m.cameOf]
		for ; m.came < b.end; m.came++ {
			m.come(m.retired[m.came], b.edit, &s)
			m.retired[m.came] = nil
		}
		m.cameOf++
	}
	m.aged += m.came - from
	m.releaseKept(m.came-from+settleExtra, s.first)
	m.drop()
}

// newest is how many objects the last of several batches has retired.
func (m *memory) newest() int {
	if n := len(m.batches); n > 1 {
		return m.batches[n-1].end - m.batches[n-2].end
	}
	return 0
}

// drop takes what came off the list, once that is half of it: no more is moved than was dropped.
func (m *memory) drop() {
	if m.came == 0 || 2*m.came < len(m.retired) {
		return
	}
	m.batches = slices.Delete(m.batches, 0, m.cameOf)
	for i := range m.batches {
		m.batches[i].end -= m.came
	}
	m.retired = slices.Delete(m.retired, 0, m.came)
	m.came, m.cameOf = 0, 0
}

// come takes one object that all Readers have passed.
func (m *memory) come(s slot, retired edit, seen *seen) {
	made := madeIn(s)
	for _, h := range seen.held {
		if made <= h && h < retired {
			m.keep(s, seen.newest)
			return
		}
	}
	if l := plainLeaf(s); l != nil {
		m.givePlain(l)
		return
	}
	kind, size, ok := shape(s)
	if !ok {
		return
	}
	if l := &m.free[kind][size]; len(l.objects) < max(l.demand(), l.reserve) {
		m.release(s, kind, size)
	}
}

// plainLeaf is s if it is a plain leaf, or nil.
func plainLeaf(s slot) *leaf {
	if isNode(s) || leafKind(leafOf(s).head, leafOf(s).ref) != plainKind {
		return nil
	}
	return leafOf(s)
}

// givePlain gives a plain leaf back to its slab. Whoever still looks at it, against M2, finds nothing there.
func (m *memory) givePlain(l *leaf) {
	l.head = 0
	m.plain.give(l)
}

func madeIn(s slot) edit {
	if isNode(s) {
		return edit(nodeOf(s).head >> headBits)
	}
	return edit(leafOf(s).head >> headBits)
}

// shape is the kind and size of an object that is no plain leaf; ok is false for those that do not come back.
func shape(s slot) (kind, size int, ok bool) {
	if isNode(s) {
		return nodeKind, nodeCap(nodeOf(s).len()), true
	}
	z := znodeOf(leafOf(s))
	if z.isBig() {
		return 0, 0, false
	}
	return leafKind(z.head, z.ref), int(classOf[(z.size()+15)/16]), true
}

// keep leaves s to the Holds that there are.
func (m *memory) keep(s slot, newest uint64) {
	if l := plainLeaf(s); l != nil {
		g := m.group(newest)
		g.plain = append(g.plain, l)
		return
	}
	kind, size, ok := shape(s)
	if !ok || m.free[kind][size].demand() == 0 {
		return
	}
	g := m.group(newest)
	g.slots = append(g.slots, s)
	g.bytes += sizeOf(kind, size)
}

// group is where the Holds up to this one keep.
func (m *memory) group(newest uint64) *keptGroup {
	if n := len(m.kept); n == 0 || m.kept[n-1].until != newest {
		m.kept = append(m.kept, keptGroup{until: newest})
	}
	return &m.kept[len(m.kept)-1]
}

func (g *keptGroup) empty() bool { return len(g.plain)+len(g.slots) == 0 }

// releaseKept makes up to n objects free whose Holds have ended.
func (m *memory) releaseKept(n int, first uint64) {
	for len(m.kept) > 0 && m.kept[0].until < first && n > 0 {
		g := &m.kept[0]
		n -= m.releasePlain(g, n)
		for ; n > 0 && len(g.slots) > 0; n-- {
			last := len(g.slots) - 1
			s := g.slots[last]
			g.slots[last] = nil
			g.slots = g.slots[:last]
			kind, size, _ := shape(s)
			g.bytes -= sizeOf(kind, size)
			m.release(s, kind, size)
			l := &m.free[kind][size]
			l.reserve = max(l.reserve, len(l.objects))
		}
		if g.empty() {
			m.kept = slices.Delete(m.kept, 0, 1)
		}
	}
}

// releasePlain gives up to n of a group's plain leaves back, and says how many.
func (m *memory) releasePlain(g *keptGroup, n int) int {
	left := len(g.plain) - min(n, len(g.plain))
	for _, l := range g.plain[left:] {
		m.givePlain(l)
	}
	n = len(g.plain) - left
	clear(g.plain[left:])
	g.plain = g.plain[:left]
	return n
}

// release makes the memory of s free. Whoever still looks at it, against M2, finds nothing there.
func (m *memory) release(s slot, kind, size int) {
	if m.bytes >= m.budget {
		return
	}
	m.bytes += sizeOf(kind, size)
	p := s
	if kind == nodeKind {
		n := nodeOf(s)
		clear(n.slots())
		n.head, n.bitmap = 0, 0
		p = unsafe.Pointer(n)
	} else {
		z := znodeOf(leafOf(s))
		if d := z.dir(); d != nil {
			d.children = nil
		}
		z.ref, z.head = nil, 0
	}
	l := &m.free[kind][size]
	l.objects = append(l.objects, p)
}
