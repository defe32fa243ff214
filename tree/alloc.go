package tree

import "unsafe"

// Memory for nodes and leaves, in exactly the size classes of Go's allocator (internal/runtime/gc/sizeclasses.go),
// so that nothing is rounded up behind our back. Each size is a type of its own, which tells the garbage
// collector where the pointers are:
//
//	node    two words, then pointers
//	plain   a leaf whose ref is nil for good: no pointer, never scanned. Most leaves are.
//	ref     a leaf with one pointer, its ref
//	dir     a leaf with two pointers: ref, and the children at dirOffset
//
// Objects over 512 bytes would cost a malloc header; only a node of 63 or 64 slots is larger.

// sizeClasses are the classes up to 512 bytes that are used here.
var sizeClasses = [...]uint16{32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256, 288, 320, 352, 384, 416, 448, 480, 512}

const (
	inlineBytesMax = 512 // a leaf with its name and data; what is larger keeps them outside
	nodeSlotsMax   = 64
)

// classOf[(n+15)/16] is the index in sizeClasses of the class for n bytes.
var classOf = func() (of [inlineBytesMax/16 + 1]uint8) {
	for i := range of {
		for int(sizeClasses[of[i]]) < i*16 {
			of[i]++
		}
	}
	return of
}()

// caps[n] is the capacity of a node of n slots (R5).
var caps = func() (caps [nodeSlotsMax + 1]uint8) {
	for n := range caps {
		caps[n] = nodeSlotsMax
		if b := int(nodeBytes) + 8*n; b <= inlineBytesMax {
			caps[n] = uint8((int(sizeClasses[classOf[(b+15)/16]]) - int(nodeBytes)) / 8)
		}
	}
	return caps
}()

func nodeCap(n int) int { return int(caps[n]) }

type (
	nodeSlots[A any] struct {
		node
		_ A
	}
	plainBytes[A any] struct {
		_ A
	}
	refBytes[A any] struct {
		ref unsafe.Pointer
		_   A
	}
	dirBytes[A any] struct {
		ref      unsafe.Pointer
		_        [dirOffset - 8]byte
		children unsafe.Pointer
		bytes    A
	}
)

// newNode is a zero node with room for nodeCap(n) slots.
func newNode(n int) *node {
	switch nodeCap(n) {
	case 2:
		return &new(nodeSlots[[2]slot]).node
	case 4:
		return &new(nodeSlots[[4]slot]).node
	case 6:
		return &new(nodeSlots[[6]slot]).node
	case 8:
		return &new(nodeSlots[[8]slot]).node
	case 10:
		return &new(nodeSlots[[10]slot]).node
	case 12:
		return &new(nodeSlots[[12]slot]).node
	case 14:
		return &new(nodeSlots[[14]slot]).node
	case 16:
		return &new(nodeSlots[[16]slot]).node
	case 18:
		return &new(nodeSlots[[18]slot]).node
	case 20:
		return &new(nodeSlots[[20]slot]).node
	case 22:
		return &new(nodeSlots[[22]slot]).node
	case 24:
		return &new(nodeSlots[[24]slot]).node
	case 26:
		return &new(nodeSlots[[26]slot]).node
	case 28:
		return &new(nodeSlots[[28]slot]).node
	case 30:
		return &new(nodeSlots[[30]slot]).node
	case 34:
		return &new(nodeSlots[[34]slot]).node
	case 38:
		return &new(nodeSlots[[38]slot]).node
	case 42:
		return &new(nodeSlots[[42]slot]).node
	case 46:
		return &new(nodeSlots[[46]slot]).node
	case 50:
		return &new(nodeSlots[[50]slot]).node
	case 54:
		return &new(nodeSlots[[54]slot]).node
	case 58:
		return &new(nodeSlots[[58]slot]).node
	case 62:
		return &new(nodeSlots[[62]slot]).node
	}
	return &new(nodeSlots[[nodeSlotsMax]slot]).node
}

// newPlain is a zero leaf of at least n bytes without a pointer.
func newPlain(n int) *leaf {
	return (*leaf)(newPlainBytes(n))
}

func newPlainBytes(n int) unsafe.Pointer {
	switch sizeClasses[classOf[(n+15)/16]] {
	case 32:
		return unsafe.Pointer(new(plainBytes[[4]uint64]))
	case 48:
		return unsafe.Pointer(new(plainBytes[[6]uint64]))
	case 64:
		return unsafe.Pointer(new(plainBytes[[8]uint64]))
	case 80:
		return unsafe.Pointer(new(plainBytes[[10]uint64]))
	case 96:
		return unsafe.Pointer(new(plainBytes[[12]uint64]))
	case 112:
		return unsafe.Pointer(new(plainBytes[[14]uint64]))
	case 128:
		return unsafe.Pointer(new(plainBytes[[16]uint64]))
	case 144:
		return unsafe.Pointer(new(plainBytes[[18]uint64]))
	case 160:
		return unsafe.Pointer(new(plainBytes[[20]uint64]))
	case 176:
		return unsafe.Pointer(new(plainBytes[[22]uint64]))
	case 192:
		return unsafe.Pointer(new(plainBytes[[24]uint64]))
	case 208:
		return unsafe.Pointer(new(plainBytes[[26]uint64]))
	case 224:
		return unsafe.Pointer(new(plainBytes[[28]uint64]))
	case 240:
		return unsafe.Pointer(new(plainBytes[[30]uint64]))
	case 256:
		return unsafe.Pointer(new(plainBytes[[32]uint64]))
	case 288:
		return unsafe.Pointer(new(plainBytes[[36]uint64]))
	case 320:
		return unsafe.Pointer(new(plainBytes[[40]uint64]))
	case 352:
		return unsafe.Pointer(new(plainBytes[[44]uint64]))
	case 384:
		return unsafe.Pointer(new(plainBytes[[48]uint64]))
	case 416:
		return unsafe.Pointer(new(plainBytes[[52]uint64]))
	case 448:
		return unsafe.Pointer(new(plainBytes[[56]uint64]))
	case 480:
		return unsafe.Pointer(new(plainBytes[[60]uint64]))
	case 512:
		return unsafe.Pointer(new(plainBytes[[64]uint64]))
	}
	panic("unreachable")
}

// newRef is a zero leaf of at least n bytes with one pointer, ref.
func newRef(n int) *leaf {
	return (*leaf)(newRefBytes(n))
}

func newRefBytes(n int) unsafe.Pointer {
	switch sizeClasses[classOf[(n+15)/16]] {
	case 32:
		return unsafe.Pointer(new(refBytes[[24]byte]))
	case 48:
		return unsafe.Pointer(new(refBytes[[40]byte]))
	case 64:
		return unsafe.Pointer(new(refBytes[[56]byte]))
	case 80:
		return unsafe.Pointer(new(refBytes[[72]byte]))
	case 96:
		return unsafe.Pointer(new(refBytes[[88]byte]))
	case 112:
		return unsafe.Pointer(new(refBytes[[104]byte]))
	case 128:
		return unsafe.Pointer(new(refBytes[[120]byte]))
	case 144:
		return unsafe.Pointer(new(refBytes[[136]byte]))
	case 160:
		return unsafe.Pointer(new(refBytes[[152]byte]))
	case 176:
		return unsafe.Pointer(new(refBytes[[168]byte]))
	case 192:
		return unsafe.Pointer(new(refBytes[[184]byte]))
	case 208:
		return unsafe.Pointer(new(refBytes[[200]byte]))
	case 224:
		return unsafe.Pointer(new(refBytes[[216]byte]))
	case 240:
		return unsafe.Pointer(new(refBytes[[232]byte]))
	case 256:
		return unsafe.Pointer(new(refBytes[[248]byte]))
	case 288:
		return unsafe.Pointer(new(refBytes[[280]byte]))
	case 320:
		return unsafe.Pointer(new(refBytes[[312]byte]))
	case 352:
		return unsafe.Pointer(new(refBytes[[344]byte]))
	case 384:
		return unsafe.Pointer(new(refBytes[[376]byte]))
	case 416:
		return unsafe.Pointer(new(refBytes[[408]byte]))
	case 448:
		return unsafe.Pointer(new(refBytes[[440]byte]))
	case 480:
		return unsafe.Pointer(new(refBytes[[472]byte]))
	case 512:
		return unsafe.Pointer(new(refBytes[[504]byte]))
	}
	panic("unreachable")
}

// newDir is a zero leaf of at least n bytes with two pointers: ref, and the children at dirOffset.
func newDir(n int) *leaf {
	return (*leaf)(newDirBytes(n))
}

func newDirBytes(n int) unsafe.Pointer {
	switch sizeClasses[classOf[(n+15)/16]] {
	case 80:
		return unsafe.Pointer(new(dirBytes[[80 - dirOffset - 8]byte]))
	case 96:
		return unsafe.Pointer(new(dirBytes[[96 - dirOffset - 8]byte]))
	case 112:
		return unsafe.Pointer(new(dirBytes[[112 - dirOffset - 8]byte]))
	case 128:
		return unsafe.Pointer(new(dirBytes[[128 - dirOffset - 8]byte]))
	case 144:
		return unsafe.Pointer(new(dirBytes[[144 - dirOffset - 8]byte]))
	case 160:
		return unsafe.Pointer(new(dirBytes[[160 - dirOffset - 8]byte]))
	case 176:
		return unsafe.Pointer(new(dirBytes[[176 - dirOffset - 8]byte]))
	case 192:
		return unsafe.Pointer(new(dirBytes[[192 - dirOffset - 8]byte]))
	case 208:
		return unsafe.Pointer(new(dirBytes[[208 - dirOffset - 8]byte]))
	case 224:
		return unsafe.Pointer(new(dirBytes[[224 - dirOffset - 8]byte]))
	case 240:
		return unsafe.Pointer(new(dirBytes[[240 - dirOffset - 8]byte]))
	case 256:
		return unsafe.Pointer(new(dirBytes[[256 - dirOffset - 8]byte]))
	case 288:
		return unsafe.Pointer(new(dirBytes[[288 - dirOffset - 8]byte]))
	case 320:
		return unsafe.Pointer(new(dirBytes[[320 - dirOffset - 8]byte]))
	case 352:
		return unsafe.Pointer(new(dirBytes[[352 - dirOffset - 8]byte]))
	case 384:
		return unsafe.Pointer(new(dirBytes[[384 - dirOffset - 8]byte]))
	case 416:
		return unsafe.Pointer(new(dirBytes[[416 - dirOffset - 8]byte]))
	case 448:
		return unsafe.Pointer(new(dirBytes[[448 - dirOffset - 8]byte]))
	case 480:
		return unsafe.Pointer(new(dirBytes[[480 - dirOffset - 8]byte]))
	case 512:
		return unsafe.Pointer(new(dirBytes[[512 - dirOffset - 8]byte]))
	}
	panic("unreachable")
}

// newLeaf is a zero leaf of at least n bytes, with the pointers that a leaf of these parts and this ref needs.
func newLeaf(n int, parts uint64, ref unsafe.Pointer) *leaf {
	switch {
	case parts&partDir != 0:
		return newDir(n)
	case ref != nil:
		return newRef(n)
	}
	return newPlain(n)
}
