package tree

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"unsafe"
)

// The ordered persistent radix tree under everything a Root holds: the children of every directory,
// the sessions, the ephemerals of a session, the container and quota indexes.
//
// A key is read as a string of digits, two per byte: the first says in which window of 64 byte values
// the byte lies, the second where in that window. The windows are shifted so that '-', '.', '/', the decimal
// and hexadecimal digits, the capitals and 'a'..'l' share one: in names like service-00017 or 6f1c09ab the
// first digit never branches, and what never branches is not stored. Order of digits is order of bytes.
//
//	node of 3 slots, 48 B                           digit 8 of the key decides
//	┌──────────────┬──────────────┬────────┬────────┬────────┐
//	│ edit 42│pos 22│ bitmap 64    │ slot 0 │ slot 1 │ slot 2 │ (one slot spare, see R5)
//	└──────────────┴──────────────┴───┬────┴───┬────┴───┬────┘
//	   pos = 8       bits 3, 4, 7     │        │        │
//	                                  ▼ leaf   ▼ leaf   ▼ node with pos > 8 (pointer + 1)
//
// A slot holds a leaf, or a node further down whose address is raised by one: the address of the node's
// second byte, which the garbage collector understands and which tells the two apart before touching them.
//
// Nodes hold no part of any key (the prefix that all leaves of a node share is to be read in any of
// them), so a search goes blindly by the digits that branch and compares once, at the leaf. This is what
// makes a node of ten children 96 bytes; it costs an insertion a second descent. The alternative,
// prefixes kept in the nodes, makes most nodes one or two size classes larger. A B-tree copies 1-2 KB
// per level and edit; a hash trie (CHAMP) has the same bytes per leaf and no order.
//
// Invariants:
//
//	R1  A node has at least two slots, one per bit of its bitmap, in the order of the bits. A tree of one leaf
//	    is that leaf, an empty tree is nil.
//	R2  All leaves under a node agree in all digits before its pos; pos grows on every way down.
//	R3  A node or leaf whose edit is not the writer's current one may be seen by others and is never written, until M2 and
//	    M3 say that nobody sees it any more.
//	R4  Keys hold no zero byte, or all keys of a tree have one length: beyond its end a key reads as
//	    zeroes, so "a" sorts before "ab", and the two differ in a digit.
//	R5  Capacity follows from the number of slots (the size class of the allocator that holds them).

// edit is a batch's private ownership: what carries the current edit was made in this batch and may be
// changed in place. An edit is used once in the life of a State; 0 is that of a
// Loader, before it.
type edit uint64

const (
	headBits    = 22
	editMax     = edit(1)<<(64-headBits) - 1
	posMask     = 1<<headBits - 1
	keyBytesMax = 1<<(headBits-1) - 1
	windowShift = 19 // moves the byte '-' to the start of a window
)

// next is the edit of the next batch. At a hundred thousand batches a second it lasts 508 days; the
// member then stops rather than risk that two batches share an edit.
func (e edit) next() edit {
	if e >= editMax {
		panic("tree: edits are used up; restart this member")
	}
	return e + 1
}

// slot is nil, a leaf, or a node (address raised by one).
type slot = unsafe.Pointer

type node struct {
	head   uint64 // edit<<22 | pos
	bitmap uint64 // digits present
	// slots follow
}

const nodeBytes = unsafe.Sizeof(node{})

func isNode(s slot) bool          { return uintptr(s)&1 != 0 }
func nodeOf(s slot) *node         { return (*node)(unsafe.Add(s, -1)) }
func leafOf(s slot) *leaf         { return (*leaf)(s) }
func (n *node) slot() slot        { return unsafe.Add(unsafe.Pointer(n), 1) }
func (n *node) pos() uint32       { return uint32(n.head) & posMask }
func (n *node) owned(e edit) bool { return n.head>>headBits == uint64(e) }
func (n *node) len() int          { return bits.OnesCount64(n.bitmap) }

// rank is the number of slots before digit d.
func (n *node) rank(d uint32) int { return bits.OnesCount64(n.bitmap & (1<<(d&63) - 1)) }
func (n *node) has(d uint32) bool { return n.bitmap>>(d&63)&1 != 0 }

func (n *node) at(i int) *slot {
	return (*slot)(unsafe.Add(unsafe.Pointer(n), nodeBytes+uintptr(i)*unsafe.Sizeof(slot(nil))))
}

func (n *node) slots() []slot { return n.room(n.len()) }

// room is the first count slots, whether set or not.
func (n *node) room(count int) []slot { return unsafe.Slice(n.at(0), count) }

// digit is digit pos of key: even positions are windows, odd ones places in a window.
func digit(key []byte, pos uint32) uint32 {
	b := uint32(windowShift)
	if i := int(pos >> 1); i < len(key) {
		b += uint32(key[i])
	}
	return b >> (6 * (^pos & 1)) & 63
}

// noDiff says that two keys are equal.
const noDiff = ^uint32(0)

// diffPos is the first digit in which two keys differ, or noDiff.
func diffPos(a, b []byte) uint32 {
	i, n := 0, min(len(a), len(b))
	for ; i+8 <= n; i += 8 {
		if x := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:]); x != 0 {
			return diffByte(a, b, i+bits.TrailingZeros64(x)>>3)
		}
	}
	for ; i < n; i++ {
		if a[i] != b[i] {
			return diffByte(a, b, i)
		}
	}
	if len(a) == len(b) {
		return noDiff
	}
	for longer := max(len(a), len(b)); i < longer; i++ {
		if byteAt(a, i) != byteAt(b, i) {
			return diffByte(a, b, i)
		}
	}
	panic(fmt.Sprintf("tree: R4: keys %q and %q differ in zero bytes only", a, b))
}

func byteAt(key []byte, i int) uint32 {
	if i < len(key) {
		return uint32(key[i])
	}
	return 0
}

func diffByte(a, b []byte, i int) uint32 {
	if (byteAt(a, i)+windowShift)>>6 != (byteAt(b, i)+windowShift)>>6 {
		return uint32(i) << 1
	}
	return uint32(i)<<1 | 1
}

// find is the leaf of key under root, or nil.
func find(root slot, key []byte) *leaf {
	for isNode(root) {
		n := nodeOf(root)
		d := digit(key, n.pos())
		if !n.has(d) {
			return nil
		}
		root = *n.at(n.rank(d))
	}
	if root == nil {
		return nil
	}
	if l := leafOf(root); bytes.Equal(l.key(), key) {
		return l
	}
	return nil
}

// nearest is a leaf that shares with key at least all that any leaf under root does up to the first
// branch that key does not take. root is not nil.
func nearest(root slot, key []byte) *leaf {
	for isNode(root) {
		n := nodeOf(root)
		i := 0
		if d := digit(key, n.pos()); n.has(d) {
			i = n.rank(d)
		}
		root = *n.at(i)
	}
	return leafOf(root)
}

// first is the smallest leaf under root, which is not nil.
func first(root slot) *leaf {
	for isNode(root) {
		root = *nodeOf(root).at(0)
	}
	return leafOf(root)
}

// own makes the node at *at writable by w.
func own(at *slot, w owner) *node {
	n := nodeOf(*at)
	if n.owned(w.edit) {
		return n
	}
	m := w.newNode(n.len(), n.pos())
	m.bitmap = n.bitmap
	copy(m.slots(), n.slots())
	*at = m.slot()
	w.retire(n.slot())
	return m
}

// ownTo makes all nodes on the way to key writable and returns the slot that holds its leaf. The
// caller knows that key is there.
func ownTo(at *slot, key []byte, w owner) *slot {
	for isNode(*at) {
		n := own(at, w)
		at = n.at(n.rank(digit(key, n.pos())))
	}
	return at
}

// put stores l under its key and returns the leaf that was there before, or nil.
func put(root *slot, l *leaf, w owner) *leaf {
	if *root == nil {
		*root = slot(l)
		return nil
	}
	key := l.key()
	near := nearest(*root, key)
	pos := diffPos(near.key(), key)
	if pos == noDiff {
		*ownTo(root, key, w) = slot(l)
		return near
	}
	at := root
	for isNode(*at) && nodeOf(*at).pos() < pos {
		n := own(at, w)
		at = n.at(n.rank(digit(key, n.pos())))
	}
	d := digit(key, pos)
	if isNode(*at) && nodeOf(*at).pos() == pos {
		insert(at, d, slot(l), w)
		return nil
	}
	*at = fork(pos, d, slot(l), digit(near.key(), pos), *at, w)
	return nil
}

// fork is a node of two slots.
func fork(pos, d uint32, s slot, otherD uint32, other slot, w owner) slot {
	n := w.newNode(2, pos)
	n.bitmap = 1<<d | 1<<otherD
	i := n.rank(d)
	*n.at(i), *n.at(1 - i) = s, other
	return n.slot()
}

// insert adds a slot to the node at *at.
func insert(at *slot, d uint32, s slot, w owner) {
	n := nodeOf(*at)
	m, count, i := n, n.len(), n.rank(d)
	if !n.owned(w.edit) || count == nodeCap(count) {
		m = w.newNode(count+1, n.pos())
		copy(m.room(i), n.slots()[:i])
		*at = m.slot()
		w.retire(n.slot())
	}
	copy(m.room(count + 1)[i+1:], n.slots()[i:])
	*m.at(i) = s
	m.bitmap = n.bitmap | 1<<d
}

// remove deletes key and returns its leaf, or nil if it was not there.
func remove(root *slot, key []byte, w owner) *leaf {
	l := find(*root, key)
	if l == nil {
		return nil
	}
	at, up := root, (*slot)(nil)
	for isNode(*at) {
		n := own(at, w)
		up, at = at, n.at(n.rank(digit(key, n.pos())))
	}
	if up == nil {
		*root = nil
		return l
	}
	cut(up, digit(key, nodeOf(*up).pos()), w)
	return l
}

// cut takes digit d out of the node at *at, which the caller owns.
func cut(at *slot, d uint32, w owner) {
	n := nodeOf(*at)
	count, i := n.len(), n.rank(d)
	if count == 2 {
		*at = *n.at(1 - i)
		w.retire(n.slot())
		return
	}
	m := n
	if nodeCap(count-1) != nodeCap(count) {
		m = w.newNode(count-1, n.pos())
		copy(m.room(i), n.slots()[:i])
		*at = m.slot()
		w.retire(n.slot())
	}
	copy(m.room(count - 1)[i:], n.slots()[i+1:])
	if m == n {
		*n.at(count - 1) = nil
	}
	m.bitmap = n.bitmap &^ (1 << d)
}

// walk visits all leaves under root in the order of their keys, until visit returns false.
func walk(root slot, visit func(*leaf) bool) bool {
	if !isNode(root) {
		return root == nil || visit(leafOf(root))
	}
	for _, s := range nodeOf(root).slots() {
		if !walk(s, visit) {
			return false
		}
	}
	return true
}

// walkAfter visits the leaves whose keys are greater than after, in order.
func walkAfter(root slot, after []byte, visit func(*leaf) bool) bool {
	if root == nil {
		return true
	}
	near := nearest(root, after).key()
	w := afterWalk{after: after, visit: visit, pos: diffPos(near, after)}
	w.less = w.pos != noDiff && digit(after, w.pos) < digit(near, w.pos)
	return w.walk(root)
}

// afterWalk is a walkAfter under way. Its key leaves the tree at digit pos; what hangs there is all greater
// than the key (less) or all smaller.
type afterWalk struct {
	after []byte
	visit func(*leaf) bool
	pos   uint32
	less  bool
}

func (w *afterWalk) walk(s slot) bool {
	if !isNode(s) || nodeOf(s).pos() > w.pos {
		return !w.less || walk(s, w.visit)
	}
	n := nodeOf(s)
	d := digit(w.after, n.pos())
	i := n.rank(d)
	if n.has(d) {
		if !w.walk(*n.at(i)) {
			return false
		}
		i++
	}
	for _, s := range n.slots()[i:] {
		if !walk(s, w.visit) {
			return false
		}
	}
	return true
}

// diff visits, in the order of keys, every leaf that is not the same object in both trees: (old, nil) for a
// key that went, (nil, new) for one that came, (old, new) where both have it. Sub-trees that the two
// share are not entered. It stops at the first error and returns it.
func diff(from, to slot, visit func(from, to *leaf) error) error {
	if from == to {
		return nil
	}
	if from == nil {
		return each(to, func(l *leaf) error { return visit(nil, l) })
	}
	if to == nil {
		return each(from, func(l *leaf) error { return visit(l, nil) })
	}
	fromPos, toPos := slotPos(from), slotPos(to)
	if fromPos == toPos && fromPos != noDiff && nodeOf(from).shares(nodeOf(to)) {
		return diffSlots(branch{n: nodeOf(from)}, branch{n: nodeOf(to)}, visit)
	}
	fromKey, toKey := first(from).key(), first(to).key()
	pos := diffPos(fromKey, toKey)
	if pos < min(fromPos, toPos) {
		// No key in common: one lies wholly before the other.
		a, b := [2]slot{from, nil}, [2]slot{nil, to}
		if digit(toKey, pos) < digit(fromKey, pos) {
			a, b = b, a
		}
		if err := diff(a[0], a[1], visit); err != nil {
			return err
		}
		return diff(b[0], b[1], visit)
	}
	if fromPos == noDiff && toPos == noDiff {
		return visit(leafOf(from), leafOf(to))
	}
	at := min(fromPos, toPos)
	return diffSlots(branchAt(from, fromPos, fromKey, at), branchAt(to, toPos, toKey, at), visit)
}

// diffSlots is diff of what branches at the same digit of the same prefix.
func diffSlots(a, b branch, visit func(from, to *leaf) error) error {
	for todo := a.digits() | b.digits(); todo != 0; todo &= todo - 1 {
		d := uint32(bits.TrailingZeros64(todo))
		if err := diff(a.get(d), b.get(d), visit); err != nil {
			return err
		}
	}
	return nil
}

// shares says that n and m, of the same pos, have a slot in common, which proves that they stand for the same prefix
// without a look at any key. It is all but certain for a node and its copy, not that it is found.
func (n *node) shares(m *node) bool {
	return *n.at(0) == *m.at(0) || *n.at(n.len() - 1) == *m.at(m.len() - 1)
}

// slotPos is the digit at which s branches; a leaf never does.
func slotPos(s slot) uint32 {
	if isNode(s) {
		return nodeOf(s).pos()
	}
	return noDiff
}

// branch is a node, or what is seen of a slot from a digit above its own: a single way.
type branch struct {
	n     *node
	digit uint32
	only  slot
}

func branchAt(s slot, pos uint32, key []byte, at uint32) branch {
	if pos == at {
		return branch{n: nodeOf(s)}
	}
	return branch{digit: digit(key, at), only: s}
}

func (b *branch) digits() uint64 {
	if b.n == nil {
		return 1 << b.digit
	}
	return b.n.bitmap
}

func (b *branch) get(d uint32) slot {
	if b.digits()>>d&1 == 0 {
		return nil
	}
	if b.n == nil {
		return b.only
	}
	return *b.n.at(b.n.rank(d))
}

// each is walk with errors.
func each(root slot, visit func(*leaf) error) error {
	if !isNode(root) {
		if root == nil {
			return nil
		}
		return visit(leafOf(root))
	}
	for _, s := range nodeOf(root).slots() {
		if err := each(s, visit); err != nil {
			return err
		}
	}
	return nil
}
