package tree

import "unsafe"

// Plain leaves of a State that uses memory again lie side by side in slabs. For Go's collector a slab is one object without
// pointers, which lives as long as anything points into it: a tree of a million znodes is ten thousand objects to it instead of a
// million, and all that it has to look into are the nodes. A leaf has room for its mod part from the beginning, so that the first
// write of a znode takes as much as the leaf it replaces leaves behind; otherwise a tree that is being written all over is
// full of places of the one size while places of the other are made.
//
//	slab of leaves of 176 B, 16 KiB
//	┌────────┬────────┬────────┬─ ─ ─ ─┬────────┬──────────────┐
//	│ leaf   │ free ──┼─▶ leaf │  ...  │ free 0 │ never used   │
//	└────────┴────────┴────────┴─ ─ ─ ─┴────────┴──────────────┘
//
// Invariants:
//
//	S1  A slab's memory begins at a page of Go's heap and shares none with anything else (an object of slabBytes has a span of
//	    its own), so that an address in it tells which slab it is.
//	S2  Slabs with room are in the list of their size, or spare if they are empty and not the only one there; others are in none.
//	S3  Nobody but the owner of the State takes and gives, and what is given is nobody's (M2, M3). What is never given is lost, and its
//	    slab stays, as long as there is the State.
const (
	slabBytes   = 16 << 10
	pageBytes   = 8 << 10
	regionBytes = 4 << 20

	sparePart = 8 // of all slabs may be spare

	slabGrain  = 8 // sizes are multiples of it
	slabSizes  = inlineBytesMax/slabGrain + 1
	linkOffset = bareBytes // in a free leaf: where the next one is
)

// slabs is the memory of one State's plain leaves. The zero slabs is ready.
type slabs struct {
	room    [slabSizes]*slab // by size in grains: the first of those with room
	regions map[uintptr]*region
	spare   []*slab // empty ones, for leaves of any size
	bytes   int     // of all slabs
	live    int     // leaves
}

// slab holds leaves of one size.
type slab struct {
	memory     *[slabBytes]byte
	prev, next *slab  // among those with room
	size       uint16 // of a leaf
	live       uint16 // leaves
	fresh      uint16 // offset of what was never used
	free       uint16 // offset of the first free leaf + 1; 0: none
}

// region has the slab of each page.
type region [regionBytes / pageBytes]*slab

// roomFor is the size of the place for a plain leaf of n bytes and these parts.
func roomFor(n int, parts uint64) int {
	if parts&partMod == 0 {
		n = min(n+int(modBytes), inlineBytesMax)
	}
	return (n + slabGrain - 1) &^ (slabGrain - 1)
}

// take is memory for a leaf: its ref is nil, the rest may be of an older leaf.
func (p *slabs) take(size int) *leaf {
	s := p.room[size/slabGrain]
	if s == nil {
		s = p.add(size)
	}
	at := s.fresh
	if s.free != 0 {
		at = s.free - 1
		s.free = *s.after(at)
	} else {
		s.fresh += s.size
	}
	s.live++
	p.live++
	if s.full() {
		p.unlink(s)
	}
	l := (*leaf)(unsafe.Pointer(&s.memory[at]))
	l.ref = nil
	return l
}

// give takes a leaf back. One that lies in no slab is left to the collector.
func (p *slabs) give(l *leaf) {
	s := p.of(l)
	if s == nil {
		return
	}
	at := uint16(uintptr(unsafe.Pointer(l)) - uintptr(unsafe.Pointer(s.memory)))
	full := s.full()
	*s.after(at) = s.free
	s.free = at + 1
	s.live--
	p.live--
	switch {
	case full:
		p.link(s)
	case s.live == 0 && (s.prev != nil || s.next != nil):
		p.unlink(s)
		p.spare = append(p.spare, s)
		for len(p.spare)*slabBytes > p.bytes/sparePart {
			p.drop()
		}
	}
}

// add finds or makes a slab.
func (p *slabs) add(size int) *slab {
	var s *slab
	if n := len(p.spare); n > 0 {
		s, p.spare = p.spare[n-1], p.spare[:n-1]
		s.fresh, s.free = 0, 0
	} else {
		s = &slab{memory: new([slabBytes]byte)}
		p.place(s, s)
		p.bytes += slabBytes
	}
	s.size = uint16(size)
	p.link(s)
	return s
}

// drop leaves a spare slab to the collector.
func (p *slabs) drop() {
	n := len(p.spare) - 1
	p.place(p.spare[n], nil)
	p.spare[n] = nil
	p.spare = p.spare[:n]
	p.bytes -= slabBytes
}

// trim leaves all spare slabs to the collector, and says how many bytes that are.
func (p *slabs) trim() (bytes int) {
	for len(p.spare) > 0 {
		p.drop()
		bytes += slabBytes
	}
	return bytes
}

// place says whose the pages of s are.
func (p *slabs) place(s, owner *slab) {
	if p.regions == nil {
		p.regions = map[uintptr]*region{}
	}
	if uintptr(unsafe.Pointer(s.memory))%pageBytes != 0 {
		panic("tree: S1: a slab begins within a page")
	}
	for at := uintptr(unsafe.Pointer(s.memory)); at < uintptr(unsafe.Pointer(s.memory))+slabBytes; at += pageBytes {
		r := p.regions[at/regionBytes]
		if r == nil {
			r = new(region)
			p.regions[at/regionBytes] = r
		}
		r[at%regionBytes/pageBytes] = owner
	}
}

// of is the slab that l lies in, or nil.
func (p *slabs) of(l *leaf) *slab {
	at := uintptr(unsafe.Pointer(l))
	r := p.regions[at/regionBytes]
	if r == nil {
		return nil
	}
	return r[at%regionBytes/pageBytes]
}

func (s *slab) full() bool { return s.free == 0 && int(s.fresh)+int(s.size) > slabBytes }

// after is where the free leaf at this offset has the next one.
func (s *slab) after(at uint16) *uint16 {
	return (*uint16)(unsafe.Pointer(&s.memory[uintptr(at)+linkOffset]))
}

// link puts s in front of those with room.
func (p *slabs) link(s *slab) {
	first := &p.room[s.size/slabGrain]
	if s.next = *first; s.next != nil {
		s.next.prev = s
	}
	*first = s
}

func (p *slabs) unlink(s *slab) {
	if s.prev == nil {
		p.room[s.size/slabGrain] = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	}
	s.prev, s.next = nil, nil
}
