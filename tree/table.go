package tree

import "unsafe"

// table is an ordered persistent map from bytes to *V, in the same radix tree as the children of a directory: a
// struct to be copied freely, each copy a version of its own. Keys hold no zero byte or have one length (R4). Values
// are never nil and belong to whoever stores them. Where V has no size the table is a set: ask has, values read nil.
//
//	item, 16 B + key               ref ─▶ V
//	┌──────────┬──────────────┬───────────────
//	│ ref 8    │ head 8       │ key ...
//	└──────────┴──────────────┴───────────────
type table[V any] struct {
	root slot
	len  int
}

type bigItem struct {
	leaf
	key []byte
}

func (t *table[V]) get(key []byte) *V {
	l := find(t.root, key)
	if l == nil {
		return nil
	}
	return (*V)(l.ref)
}

func (t *table[V]) has(key []byte) bool { return find(t.root, key) != nil }

// put stores v under key, which is copied.
func (t *table[V]) put(key []byte, v *V, e edit) {
	ref := unsafe.Pointer(v)
	if unsafe.Sizeof(*v) == 0 {
		ref = nil
	}
	if put(&t.root, newItem(key, ref, e), owner{edit: e}) == nil {
		t.len++
	}
}

// delete removes key and says whether it was there.
func (t *table[V]) delete(key []byte, e edit) bool {
	if remove(&t.root, key, owner{edit: e}) == nil {
		return false
	}
	t.len--
	return true
}

// walk visits the entries with keys greater than after (nil: all) in order, until visit returns false. key is
// valid as long as the table and must not be written.
func (t *table[V]) walk(after []byte, visit func(key []byte, v *V) bool) {
	visitLeaf := func(l *leaf) bool { return visit(l.key(), (*V)(l.ref)) }
	if after == nil {
		walk(t.root, visitLeaf)
		return
	}
	walkAfter(t.root, after, visitLeaf)
}

// diffTables visits, in order, the keys whose values are not the same pointer; a value that is not there is nil.
func diffTables[V any](from, to table[V], visit func(key []byte, from, to *V) error) error {
	return diff(from.root, to.root, func(a, b *leaf) error {
		switch {
		case a == nil:
			return visit(b.key(), nil, (*V)(b.ref))
		case b == nil:
			return visit(a.key(), (*V)(a.ref), nil)
		case a.ref == b.ref:
			return nil
		}
		return visit(b.key(), (*V)(a.ref), (*V)(b.ref))
	})
}

func newItem(key []byte, ref unsafe.Pointer, e edit) *leaf {
	head := uint64(e)<<headBits | partBare
	if len(key) > inlineBytesMax-int(bareBytes) || len(key) >= lenBig {
		big := &bigItem{leaf: leaf{ref: ref, head: head | lenBig<<nameShift}, key: append([]byte(nil), key...)}
		return &big.leaf
	}
	l := newLeaf(int(bareBytes)+max(len(key), 1), partBare, ref)
	l.ref, l.head = ref, head|uint64(len(key))<<nameShift
	copy(l.key(), key)
	return l
}
