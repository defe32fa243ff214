package tree

import (
	"bytes"
	"unsafe"
)

// A znode is one heap object that is also its own leaf in the radix tree of its parent's children: stat, name and data
// back to back, with only the parts that it needs.
//
//	     0          8          16         24         32                                            <= 512
//	     ┌──────────┬──────────┬──────────┬──────────┬ ─ ─ ─ ─ ┬ ─ ─ ─ ─ ┬ ─ ─ ─ ─ ┬───────┬───────┐
//	     │ ref      │ head     │ czxid    │ ctime    │ dir 40   │ mod 24   │ owner 8  │ name  │ data  │
//	     └──────────┴──────────┴──────────┴──────────┴ ─ ─ ─ ─ ┴ ─ ─ ─ ─ ┴ ─ ─ ─ ─ ┴───────┴───────┘
//	ref    the ACL (nil: world:anyone ALL), interned, so most znodes share a few
//	head   edit 42 │ bare │ owner │ mod │ dir │ name length 9 │ data length 9
//	dir    children, pzxid, creates, number of children, and descendants and data bytes below; for znodes that have or had
//	       children. Without it pzxid is czxid and the rest zero.
//	mod    mzxid, mtime, version, aversion; for znodes that were written after their creation
//	owner  stored ephemeralOwner: session, container or TTL
//
// A registration of 19 bytes name and 100 bytes data that was never written again takes 160 bytes, an ephemeral one
// as well, or 176 and 184 in a slab (slab.go), which has room for its first write. Without an ACL of its own the garbage collector never
// looks into it. What does not fit into 512 bytes becomes a bigZnode, with all parts present and name and data outside, so that a
// change of stat never copies more than that.
//
// The alternative, a Go struct with two slices, takes 208 bytes and three objects before any index; a
// separate directory record takes one more allocation per level of every batch.
//
// Invariants:
//
//	Z1  A znode reachable from a published Root is never written (R3 for the object itself).
//	Z2  The parts and lengths in head never change during an object's life; a znode that needs others is packed anew.
//	Z3  dir.descendants and dir.dataBytes count what is strictly below, and change with every change below, in the same edit.
//	Z4  A znode without dir whose ref is nil lies in memory that the garbage collector does not scan: ref stays nil for good.
//	Z5  No pointer is made past the end of an object: an empty name has a spare byte, empty data is emptyData.

// leaf is what every leaf of a radix tree starts with.
type leaf struct {
	ref  unsafe.Pointer
	head uint64
}

type znode struct {
	leaf
	czxid Zxid
	ctime int64
}

type dirPart struct {
	children    slot
	pzxid       Zxid
	creates     int32 // stored cversion: children ever created here, and the next sequence number
	numChildren int32
	descendants int64
	dataBytes   int64
}

type modPart struct {
	mzxid             Zxid
	mtime             int64
	version, aversion int32
}

type bigZnode struct {
	znode
	dir        dirPart
	mod        modPart
	owner      int64
	name, data []byte
}

const (
	lenMask   = 1<<9 - 1
	lenNull   = lenMask // as data length: null data
	lenBig    = lenMask // as name length: a bigZnode or bigItem
	nameShift = 9
	partDir   = 1 << 18
	partMod   = 1 << 19
	partOwner = 1 << 20
	partBare  = 1 << 21 // an item of a table: ref, head, key
	partShift = 18

	bareBytes  = unsafe.Sizeof(leaf{})
	znodeBytes = unsafe.Sizeof(znode{})
	dirOffset  = znodeBytes
	modBytes   = unsafe.Sizeof(modPart{})
	ownerBytes = unsafe.Sizeof(int64(0))
	bigParts   = partDir | partMod | partOwner
)

// nameOffsets[parts of a head] is where the name starts.
var nameOffsets = func() (offsets [16]uint8) {
	for i := range offsets {
		head := uint64(i) << partShift
		n := znodeBytes
		if head&partDir != 0 {
			n += unsafe.Sizeof(dirPart{})
		}
		if head&partMod != 0 {
			n += modBytes
		}
		if head&partOwner != 0 {
			n += ownerBytes
		}
		if head&partBare != 0 {
			n = bareBytes
		}
		offsets[i] = uint8(n)
	}
	return offsets
}()

var emptyData = []byte{}

func (l *leaf) owned(e edit) bool { return l.head>>headBits == uint64(e) }

func (l *leaf) nameOffset() uintptr { return uintptr(nameOffsets[l.head>>partShift&15]) }

// key is the name of a znode or the key of an item. It aliases the leaf.
func (l *leaf) key() []byte {
	n := l.head >> nameShift & lenMask
	if n == lenBig {
		return l.bigKey()
	}
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(l), l.nameOffset())), n)
}

func (l *leaf) bigKey() []byte {
	if l.head&partBare != 0 {
		return (*bigItem)(unsafe.Pointer(l)).key
	}
	return (*bigZnode)(unsafe.Pointer(l)).name
}

func znodeOf(l *leaf) *znode { return (*znode)(unsafe.Pointer(l)) }

func (z *znode) slot() slot        { return slot(z) }
func (z *znode) big() *bigZnode    { return (*bigZnode)(unsafe.Pointer(z)) }
func (z *znode) isBig() bool       { return z.head>>nameShift&lenMask == lenBig }
func (z *znode) has(p uint64) bool { return z.head&p != 0 }
func (z *znode) name() []byte      { return z.key() }
func (z *znode) acl() *ACLList     { return (*ACLList)(z.ref) }

// data is nil for null data and not nil for empty data. It aliases the znode.
func (z *znode) data() []byte {
	if z.isBig() {
		return z.big().data
	}
	n := z.head & lenMask
	if n == 0 {
		return emptyData
	}
	if n == lenNull {
		return nil
	}
	at := z.nameOffset() + uintptr(z.head>>nameShift&lenMask)
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(z), at)), n)
}

func (z *znode) dataLen() int {
	if z.isBig() {
		return len(z.big().data)
	}
	if n := z.head & lenMask; n != lenNull {
		return int(n)
	}
	return 0
}

// dir is nil for a znode that never had children. The owner of the znode may write it.
func (z *znode) dir() *dirPart {
	if !z.has(partDir) {
		return nil
	}
	return (*dirPart)(unsafe.Add(unsafe.Pointer(z), dirOffset))
}

func (z *znode) mod() *modPart {
	if !z.has(partMod) {
		return nil
	}
	at := znodeBytes
	if z.has(partDir) {
		at += unsafe.Sizeof(dirPart{})
	}
	return (*modPart)(unsafe.Add(unsafe.Pointer(z), at))
}

func (z *znode) owner() int64 {
	if !z.has(partOwner) {
		return 0
	}
	return *z.ownerAt()
}

func (z *znode) ownerAt() *int64 {
	at := znodeBytes
	if z.has(partDir) {
		at += unsafe.Sizeof(dirPart{})
	}
	if z.has(partMod) {
		at += modBytes
	}
	return (*int64)(unsafe.Add(unsafe.Pointer(z), at))
}

func (z *znode) mzxid() Zxid {
	if m := z.mod(); m != nil {
		return m.mzxid
	}
	return z.czxid
}

func (z *znode) mtime() int64 {
	if m := z.mod(); m != nil {
		return m.mtime
	}
	return z.ctime
}

func (z *znode) version() int32 {
	if m := z.mod(); m != nil {
		return m.version
	}
	return 0
}

func (z *znode) aversion() int32 {
	if m := z.mod(); m != nil {
		return m.aversion
	}
	return 0
}

func (z *znode) pzxid() Zxid {
	if d := z.dir(); d != nil {
		return d.pzxid
	}
	return z.czxid
}

// creates is the stored cversion: how many children were ever created here.
func (z *znode) creates() int32 {
	if d := z.dir(); d != nil {
		return d.creates
	}
	return 0
}

func (z *znode) numChildren() int32 {
	if d := z.dir(); d != nil {
		return d.numChildren
	}
	return 0
}

// descendants counts the znodes strictly below.
func (z *znode) descendants() int64 {
	if d := z.dir(); d != nil {
		return d.descendants
	}
	return 0
}

// subtreeBytes is the data of the znode and of all below.
func (z *znode) subtreeBytes() int64 {
	n := int64(z.dataLen())
	if d := z.dir(); d != nil {
		n += d.dataBytes
	}
	return n
}

func (z *znode) children() slot {
	if d := z.dir(); d != nil {
		return d.children
	}
	return nil
}

func (z *znode) child(name []byte) *znode { return znodeOf(find(z.children(), name)) }

// walkChildren visits the children with names greater than after (nil: all) in order, until visit returns false.
func (z *znode) walkChildren(after []byte, visit func(*znode) bool) {
	visitLeaf := func(l *leaf) bool { return visit(znodeOf(l)) }
	if after == nil {
		walk(z.children(), visitLeaf)
		return
	}
	walkAfter(z.children(), after, visitLeaf)
}

// fields is a znode taken apart: what layout packs and changes go through.
type fields struct {
	czxid, mzxid, pzxid        Zxid
	ctime, mtime               int64
	version, aversion, creates int32
	owner                      int64 // stored ephemeralOwner
	acl                        *ACLList
	name, data                 []byte // data nil: null

	// What a directory carries; kept as they are by whoever changes the rest.
	children               slot
	numChildren            int32
	descendants, dataBytes int64

	from *znode // the znode taken apart; name and data that still are its own are not copied if they lie outside
}

// fields takes z apart. Name and data alias it.
func (z *znode) fields() fields {
	f := fields{
		czxid: z.czxid, mzxid: z.mzxid(), pzxid: z.pzxid(), ctime: z.ctime, mtime: z.mtime(),
		version: z.version(), aversion: z.aversion(), owner: z.owner(), acl: z.acl(),
		name: z.name(), data: z.data(), from: z,
	}
	if d := z.dir(); d != nil {
		f.creates, f.children, f.numChildren = d.creates, d.children, d.numChildren
		f.descendants, f.dataBytes = d.descendants, d.dataBytes
	}
	return f
}

// created says that f is a znode just created with data, under zxid and at timeMs.
func (f *fields) created(zxid Zxid, timeMs int64) {
	f.czxid, f.mzxid, f.pzxid, f.ctime, f.mtime = zxid, zxid, zxid, timeMs, timeMs
}

func (f *fields) parts() uint64 {
	var p uint64
	if f.pzxid != f.czxid || f.creates != 0 || f.children != nil {
		p |= partDir
	}
	if f.mzxid != f.czxid || f.mtime != f.ctime || f.version|f.aversion != 0 {
		p |= partMod
	}
	if f.owner != 0 {
		p |= partOwner
	}
	return p
}

// pack makes a znode owned by w. Name and data are copied, unless they lie outside f.from.
func (f *fields) pack(w owner) *znode {
	return f.packParts(w, f.parts())
}

func (f *fields) packParts(w owner, parts uint64) *znode {
	size := int(nameOffsets[parts>>partShift]) + max(len(f.name), 1) + len(f.data)
	if size > inlineBytesMax {
		return f.packBig(w.edit)
	}
	dataLen := uint64(len(f.data))
	if f.data == nil {
		dataLen = lenNull
	}
	z := znodeOf(w.newLeaf(size, parts, unsafe.Pointer(f.acl)))
	z.head = uint64(w.edit)<<headBits | parts | uint64(len(f.name))<<nameShift | dataLen
	f.fill(z)
	copy(z.name(), f.name)
	if len(f.data) > 0 {
		copy(z.data(), f.data)
	}
	return z
}

func (f *fields) packBig(e edit) *znode {
	b := &bigZnode{name: f.name, data: f.data}
	b.head = uint64(e)<<headBits | bigParts | lenBig<<nameShift
	f.fill(&b.znode)
	if f.from == nil || !f.from.isBig() || !sameBytes(f.name, f.from.name()) {
		b.name = bytes.Clone(f.name)
	}
	if f.from == nil || !f.from.isBig() || !sameBytes(f.data, f.from.data()) {
		b.data = bytes.Clone(f.data)
	}
	return &b.znode
}

// fill writes the fixed part and those other parts that z has.
func (f *fields) fill(z *znode) {
	z.ref, z.czxid, z.ctime = unsafe.Pointer(f.acl), f.czxid, f.ctime
	if d := z.dir(); d != nil {
		*d = dirPart{f.children, f.pzxid, f.creates, f.numChildren, f.descendants, f.dataBytes}
	}
	if m := z.mod(); m != nil {
		*m = modPart{f.mzxid, f.mtime, f.version, f.aversion}
	}
	if z.has(partOwner) {
		*z.ownerAt() = f.owner
	}
}

// sameBytes says that a and b are the same memory.
func sameBytes(a, b []byte) bool {
	return len(a) == len(b) && unsafe.SliceData(a) == unsafe.SliceData(b)
}

// size is what packParts asked for, of a znode that is not big.
func (z *znode) size() int { return int(z.nameOffset()) + max(len(z.name()), 1) + z.dataLen() }

// own is z, or a copy of it, as w's own.
func (z *znode) own(w owner) *znode {
	if z.owned(w.edit) {
		return z
	}
	if z.isBig() {
		b := *z.big()
		b.head = b.head&(1<<headBits-1) | uint64(w.edit)<<headBits
		return &b.znode
	}
	size := z.size()
	c := znodeOf(w.newLeaf(size, z.head, z.ref))
	c.leaf, c.czxid, c.ctime = z.leaf, z.czxid, z.ctime
	c.head = z.head&(1<<headBits-1) | uint64(w.edit)<<headBits
	from := znodeBytes
	if d := z.dir(); d != nil {
		*c.dir() = *d
		from += unsafe.Sizeof(dirPart{})
	}
	copy(c.tail(from, size), z.tail(from, size))
	w.retire(z.slot())
	return c
}

// tail is the bytes of z from offset from to size; no pointers lie there.
func (z *znode) tail(from uintptr, size int) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(z), from)), size-int(from))
}

// asDir is z with a directory part, as w's own.
func (z *znode) asDir(w owner) *znode {
	if z.has(partDir) {
		return z.own(w)
	}
	f := z.fields()
	w.retire(z.slot())
	return f.packParts(w, f.parts()|partDir)
}
