package watch

// slot is what a watcher is to its path: connection and modes in one word, ((conn+1) << 4) | modes. Zero is no slot, so a
// zeroed array is an empty set; a slot whose modes are zero is a watcher that Fire has just consumed.
type slot = uint32

const (
	slotModes     = 1<<slotModesBits - 1
	slotModesBits = 4
)

func makeSlot(conn uint32, m Mode) slot { return (conn+1)<<slotModesBits | slot(m) }
func slotConn(s slot) uint32            { return s>>slotModesBits - 1 }
func slotMode(s slot) Mode              { return Mode(s & slotModes) }

// set is the watchers of one path once they are many: open addressing with linear probing over one pointer-free array.
//
// A connection's place is its own number, rotated per block of len(slots) numbers. So a fan-out, which reads the array from
// end to end, also meets the loop's connections nearly in order, and the rotation keeps blocks from piling up on each other.
type set struct {
	slots []slot // a power of two, or nil
	n     uint32
}

const setSlotsMin = 64

func (s *set) home(conn uint32) uint32 {
	mask := uint32(len(s.slots) - 1)
	return (conn + (conn/uint32(len(s.slots)))*0x9e3779b1) & mask
}

// find returns the position of conn, or of the free slot where it belongs.
func (s *set) find(conn uint32) (at uint32, ok bool) {
	mask := uint32(len(s.slots) - 1)
	for at = s.home(conn); s.slots[at] != 0; at = (at + 1) & mask {
		if slotConn(s.slots[at]) == conn {
			return at, true
		}
	}
	return at, false
}

func (s *set) mode(conn uint32) Mode {
	if s.n == 0 {
		return 0
	}
	at, ok := s.find(conn)
	if !ok {
		return 0
	}
	return slotMode(s.slots[at])
}

// put sets the modes of conn; no modes removes it.
func (s *set) put(conn uint32, m Mode) {
	if m == 0 {
		s.remove(conn)
		return
	}
	if 4*(int(s.n)+1) > 3*len(s.slots) {
		s.resize(max(setSlotsMin, 2*len(s.slots)))
	}
	at, ok := s.find(conn)
	if !ok {
		s.n++
	}
	s.slots[at] = makeSlot(conn, m)
}

func (s *set) remove(conn uint32) {
	if s.n == 0 {
		return
	}
	if at, ok := s.find(conn); ok {
		s.cut(at)
		s.shrink()
	}
}

// cut empties the slot at and closes the gap, so that no probe stops early.
func (s *set) cut(at uint32) {
	mask := uint32(len(s.slots) - 1)
	s.n--
	for next := (at + 1) & mask; s.slots[next] != 0; next = (next + 1) & mask {
		home := s.home(slotConn(s.slots[next]))
		if (next-home)&mask >= (next-at)&mask {
			s.slots[at] = s.slots[next]
			at = next
		}
	}
	s.slots[at] = 0
}

// sweep removes every slot without modes.
func (s *set) sweep() {
	for at := range s.slots {
		for s.slots[at] != 0 && slotMode(s.slots[at]) == 0 {
			s.cut(uint32(at))
		}
	}
	s.shrink()
}

// shrink keeps the array within eight times what is in it.
func (s *set) shrink() {
	if s.n == 0 {
		s.slots = nil
		return
	}
	size := len(s.slots)
	for size > setSlotsMin && int(s.n)*8 < size {
		size /= 2
	}
	if size != len(s.slots) {
		s.resize(max(setSlotsMin, size))
	}
}

func (s *set) resize(size int) {
	old := s.slots
	s.slots = make([]slot, size)
	for _, sl := range old {
		if sl != 0 {
			at, _ := s.find(slotConn(sl))
			s.slots[at] = sl
		}
	}
}
