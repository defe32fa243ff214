package watch

// crowd is the watchers of one path once they are too many for a record. Those with the recursive mode are listed a second
// time, so that a change deep under a path that thousands watch reads only the few that want to know.
type crowd struct {
	all, recursive set
	counted        int64 // slots that Table.crowdSlots has of it
}

// recordSlotsMax is the most watchers a record holds: a search in it reads at most 256 bytes. A path returns from a crowd to
// a record at half of it.
const recordSlotsMax = 64

// slotSteps are the capacities that records take: what a path wastes is under half, or two slots.
var slotSteps = [...]uint32{1, 2, 4, 6, 8, 12, 16, 24, 32, 48, recordSlotsMax}

func slotsFor(n uint32) uint32 {
	for _, s := range slotSteps {
		if n <= s {
			return s
		}
	}
	panic("watch: more slots than a record holds")
}

// modes returns how conn watches path id; 0 if it does not.
func (t *Table) modes(id, conn uint32) Mode {
	p := t.path.at(id)
	r := t.text.record(p.ref)
	if r.isCrowd() {
		return t.many[r.slot(0)].all.mode(conn)
	}
	if i := r.indexOf(conn, p.watchers); i != none {
		return slotMode(r.slot(i))
	}
	return 0
}

func (r record) indexOf(conn, n uint32) uint32 {
	for i := range n {
		if slotConn(r.slot(i)) == conn {
			return i
		}
	}
	return none
}

// reserve says whether path id can take one more watcher within the bounds of the arena.
func (t *Table) reserve(id uint32) bool {
	p := t.path.at(id)
	r := t.text.record(p.ref)
	if r.isCrowd() || p.watchers < r.slotsMax() {
		return true
	}
	return t.text.fits(recordBytes(len(r.name), int(slotsFor(min(p.watchers+1, recordSlotsMax)))))
}

// put sets the modes of conn on path id; no modes removes it.
func (t *Table) put(id, conn uint32, m Mode) {
	p := t.path.at(id)
	r := t.text.record(p.ref)
	if !r.isCrowd() {
		t.putRecord(id, p, r, conn, m)
		return
	}
	c := &t.many[r.slot(0)]
	c.all.put(conn, m)
	c.recursive.put(conn, m&Recursive)
	p.watchers = c.all.n
	t.countCrowd(c)
	t.uncrowd(id)
}

func (t *Table) putRecord(id uint32, p *pathEntry, r record, conn uint32, m Mode) {
	i := r.indexOf(conn, p.watchers)
	switch {
	case i != none && m != 0:
		r.setSlot(i, makeSlot(conn, m))
	case i != none:
		p.watchers--
		r.setSlot(i, r.slot(p.watchers))
		t.shrinkRecord(id)
	case m == 0:
	case p.watchers == recordSlotsMax:
		t.makeCrowd(id)
		t.put(id, conn, m)
	default:
		if p.watchers == r.slotsMax() {
			r = t.resizeRecord(id, slotsFor(p.watchers+1))
		}
		r.setSlot(p.watchers, makeSlot(conn, m))
		p.watchers++
	}
}

// resizeRecord moves the record of a path to one with room for slots watchers, and copies as many as fit.
func (t *Table) resizeRecord(id, slots uint32) record {
	p := t.path.at(id)
	old := t.text.record(p.ref)
	to := t.text.alloc(id, text(old.name), int(slots))
	r := t.text.record(to)
	copy(r.slots, old.slots)
	t.text.drop(p.ref)
	p.ref = to
	return r
}

// shrinkRecord keeps a record within four times its watchers.
func (t *Table) shrinkRecord(id uint32) {
	p := t.path.at(id)
	r := t.text.record(p.ref)
	if r.slotsMax() < 8 || p.watchers*4 > r.slotsMax() {
		return
	}
	slots := slotsFor(max(p.watchers*2, 1))
	if t.text.fits(recordBytes(len(r.name), int(slots))) {
		t.resizeRecord(id, slots)
	}
}

// makeCrowd moves the watchers of a full record to a crowd.
func (t *Table) makeCrowd(id uint32) {
	p := t.path.at(id)
	r := t.text.record(p.ref)
	n := t.newCrowd()
	c := &t.many[n]
	for i := range p.watchers {
		s := r.slot(i)
		c.all.put(slotConn(s), slotMode(s))
		c.recursive.put(slotConn(s), slotMode(s)&Recursive)
	}
	t.countCrowd(c)
	t.setCrowd(id, n)
}

// countCrowd keeps Table.crowdSlots after the sets of a crowd have changed.
func (t *Table) countCrowd(c *crowd) {
	now := int64(len(c.all.slots) + len(c.recursive.slots))
	t.crowdSlots += now - c.counted
	c.counted = now
}

func (t *Table) setCrowd(id, n uint32) {
	r := t.resizeRecord(id, 1)
	r.buf[recordSlots] = slotsCrowd
	r.setSlot(0, n)
}

// uncrowd moves few watchers back to a record.
func (t *Table) uncrowd(id uint32) {
	p := t.path.at(id)
	r := t.text.record(p.ref)
	if p.watchers > recordSlotsMax/2 || p.watchers == 0 || !t.text.fits(recordBytes(len(r.name), recordSlotsMax)) {
		return
	}
	n := r.slot(0)
	r = t.resizeRecord(id, slotsFor(p.watchers))
	i := uint32(0)
	for _, s := range t.many[n].all.slots {
		if s != 0 {
			r.setSlot(i, s)
			i++
		}
	}
	t.freeCrowd(n)
}

func (t *Table) newCrowd() uint32 {
	if last := len(t.free) - 1; last >= 0 {
		n := t.free[last]
		t.free = t.free[:last]
		return n
	}
	t.many = append(t.many, crowd{})
	return uint32(len(t.many) - 1)
}

func (t *Table) freeCrowd(n uint32) {
	t.crowdSlots -= t.many[n].counted
	t.many[n] = crowd{}
	t.free = append(t.free, n)
}
