package peers

import (
	"math/bits"
	"sync"
	"unsafe"
)

// framePool keeps the memory of frames for later ones, by powers of two. A leader sends each entry to every follower: without it that
// is a tenth of its garbage.
type framePool [frameClasses]sync.Pool

const (
	frameBytesLeast = 256 // of what is kept
	frameClasses    = 14  // to 2 MiB: raft's messages hold 1 MiB of entries, or one that is larger
)

// classOf is the least class with room for n bytes.
func classOf(n int) int { return bits.Len(uint(max(n, 1)-1) / frameBytesLeast) }

// get is a frame of n bytes of any content.
func (p *framePool) get(n int) []byte {
	class := classOf(n)
	if class >= frameClasses {
		return make([]byte, n)
	}
	if b, ok := p[class].Get().(unsafe.Pointer); ok {
		return unsafe.Slice((*byte)(b), frameBytesLeast<<class)[:n]
	}
	return make([]byte, n, frameBytesLeast<<class)
}

// put takes a frame that nobody uses any more, wherever it comes from. It is kept if it has the capacity of a class.
func (p *framePool) put(frame []byte) {
	if class := classOf(cap(frame)); class < frameClasses && cap(frame) == frameBytesLeast<<class {
		p[class].Put(unsafe.Pointer(unsafe.SliceData(frame)))
	}
}
