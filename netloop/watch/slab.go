package watch

// slabLen is the number of elements in one chunk of a slab. It bounds the slack of a slab (at most two chunks) and what one
// growth step costs; a slab never copies what it holds in order to grow.
const (
	slabShift = 9
	slabLen   = 1 << slabShift
)

// slab is a dense growable array in fixed chunks. Elements are addressed by number; the last one is the only one that can be
// taken off, so an owner that wants to drop element i first moves the last into its place (and fixes what points at it).
// A plain slice lost: it doubles, which costs up to half its size in slack and a copy of everything in one step, and it
// never gives memory back.
type slab[T any] struct {
	chunks []*[slabLen]T
	n      uint32
}

func (s *slab[T]) at(i uint32) *T { return &s.chunks[i>>slabShift][i&(slabLen-1)] }

// push appends v and returns its number.
func (s *slab[T]) push(v T) uint32 {
	i := s.n
	if int(i>>slabShift) == len(s.chunks) {
		s.chunks = append(s.chunks, new([slabLen]T))
	}
	*s.at(i) = v
	s.n++
	return i
}

// pop drops the last element. One empty chunk is kept, so that a slab that breathes around a boundary does not allocate.
func (s *slab[T]) pop() {
	s.n--
	*s.at(s.n) = *new(T)
	if last := len(s.chunks) - 1; last > 0 && int(s.n)+slabLen <= last*slabLen {
		s.chunks[last] = nil
		s.chunks = s.chunks[:last]
	}
}

// grow makes elements up to and including i exist, as zero values.
func (s *slab[T]) grow(i uint32) {
	for uint32(len(s.chunks))<<slabShift <= i {
		s.chunks = append(s.chunks, new([slabLen]T))
	}
	s.n = max(s.n, i+1)
}

func (s *slab[T]) bytes(elem int) int64 {
	return int64(len(s.chunks))*slabLen*int64(elem) + int64(cap(s.chunks))*8
}
