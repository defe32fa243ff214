package tree

import (
	"fmt"
	"math/bits"
)

// builder makes a radix tree from leaves in ascending order, bottom-up: every node is written once, at its final size.
//
// Only the right edge of the tree is open: frames with growing pos, and below the last of them the tail, whatever was
// finished last. A new leaf branches off from the one before at some digit; frames below that digit can get nothing
// more and are closed.
//
//	frames   pos 7  ── ● ● ●            leaf "…42" branches off from "…39" at pos 18:
//	         pos 18 ──    ● ●           pos 20 is closed into a node and becomes the tail,
//	         pos 20 ──       ● ● ●      the tail goes into pos 18, the leaf is the new tail
//	         tail   ── "…39"
type builder struct {
	frames []frame
	tail   slot
	prev   *leaf
}

type frame struct {
	pos    uint32
	bitmap uint64
	slots  [nodeSlotsMax]slot
}

func (f *frame) add(s slot, d uint32) {
	f.slots[bits.OnesCount64(f.bitmap)] = s
	f.bitmap |= 1 << d
}

func (f *frame) build(e edit) slot {
	n := newNode(bits.OnesCount64(f.bitmap))
	n.head, n.bitmap = uint64(e)<<headBits|uint64(f.pos), f.bitmap
	copy(n.slots(), f.slots[:])
	return n.slot()
}

// add takes the next leaf, whose key must be greater than that of the one before.
func (b *builder) add(l *leaf, e edit) error {
	if b.prev == nil {
		b.tail, b.prev = slot(l), l
		return nil
	}
	key, prev := l.key(), b.prev.key()
	pos, err := diffPosAscending(prev, key)
	if err != nil {
		return err
	}
	b.closeTo(pos+1, e)
	if len(b.frames) == 0 || b.top().pos < pos {
		b.open(pos)
	}
	b.top().add(b.tail, digit(prev, pos))
	b.tail, b.prev = slot(l), l
	return nil
}

func (b *builder) top() *frame { return &b.frames[len(b.frames)-1] }

func (b *builder) open(pos uint32) {
	if len(b.frames) < cap(b.frames) {
		b.frames = b.frames[:len(b.frames)+1]
	} else {
		b.frames = append(b.frames, frame{})
	}
	f := b.top()
	f.pos, f.bitmap = pos, 0
}

// closeTo closes all frames from digit pos on.
func (b *builder) closeTo(pos uint32, e edit) {
	for len(b.frames) > 0 && b.top().pos >= pos {
		f := b.top()
		f.add(b.tail, digit(b.prev.key(), f.pos))
		b.tail = f.build(e)
		b.frames = b.frames[:len(b.frames)-1]
	}
}

// finish is the tree of all leaves added; the builder is then as new, but for memory it keeps.
func (b *builder) finish(e edit) slot {
	if b.prev == nil {
		return nil
	}
	b.closeTo(0, e)
	root := b.tail
	b.tail, b.prev = nil, nil
	return root
}

// diffPosAscending is diffPos of two keys of which the second must be the greater one.
func diffPosAscending(a, b []byte) (uint32, error) {
	pos := diffPos(a, b)
	if pos == noDiff || digit(a, pos) > digit(b, pos) {
		return 0, fmt.Errorf("%q follows %q", b, a)
	}
	return pos, nil
}
