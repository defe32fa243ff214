package watch

// rule is what one kind of change does to the watchers of the path itself.
type rule struct {
	tell    Mode // whoever has one of these is told
	consume Mode // and loses these
	under   bool // recursive watchers of ancestors are told too
}

// rules are the trigger table of ZooKeeper (WatchManager.triggerWatch as DataTree calls it). A deletion visits the data table
// and then the child table without those already told, which for one set of modes per connection is one visit.
var rules = [...]rule{
	Created:         {tell: inDataTable, consume: Data, under: true},
	Deleted:         {tell: inDataTable | inChildTable, consume: Data | Child, under: true},
	DataChanged:     {tell: inDataTable, consume: Data, under: true},
	ChildrenChanged: {tell: inChildTable, consume: Child},
}

// Fire visits each connection that is to be told that kind happened to path, once. hash is Config.Hash of path. Standard watches
// that match are gone before Fire returns; the visited connection may yet be denied the event by its ACL. The order of the
// visits is unspecified. visit must not call the table (W3); nothing is allocated unless memory is given back.
func (t *Table) Fire(kind Kind, path string, hash uint64, visit func(conn uint32)) {
	if t.path.n == 0 {
		return
	}
	t.mustNotFire("Fire")
	t.firing = true
	r := rules[kind]
	under := r.under && t.counts.Recursive > 0
	if under {
		t.stamp()
	}
	if id := t.find(path, fold(hash)); id != none {
		t.fireExact(id, r, visit)
	}
	if under {
		t.fireAncestors(path, visit)
	}
	t.firing = false
	t.afterFire()
}

// stamp starts an event whose watchers may be found in several places.
func (t *Table) stamp() {
	if t.event++; t.event != 0 {
		return
	}
	for i := range t.conns.n {
		t.conns.at(i).told = 0
	}
	t.event = 1
}

func (t *Table) fireExact(id uint32, r rule, visit func(uint32)) {
	rec := t.text.record(t.path.at(id).ref)
	if rec.isCrowd() {
		t.fireCrowd(id, rec.slot(0), r, visit)
		return
	}
	p := t.path.at(id)
	kept := uint32(0)
	for i := range p.watchers {
		s := t.tell(id, rec.slot(i), r, visit)
		if slotMode(s) != 0 {
			rec.setSlot(kept, s)
			kept++
		}
	}
	if p.watchers = kept; kept == 0 {
		t.dropPath(id)
	}
}

func (t *Table) fireCrowd(id, n uint32, r rule, visit func(uint32)) {
	all := &t.many[n].all
	kept := uint32(0)
	for i, s := range all.slots {
		if s == 0 {
			continue
		}
		s = t.tell(id, s, r, visit)
		all.slots[i] = s
		if slotMode(s) != 0 {
			kept++
		}
	}
	if kept == all.n {
		return
	}
	t.path.at(id).watchers = kept
	if kept == 0 {
		t.dropPath(id)
		return
	}
	all.sweep()
	t.countCrowd(&t.many[n])
	t.uncrowd(id)
}

// tell visits one watcher if the rule says so and returns its slot as it is afterwards.
func (t *Table) tell(id uint32, s slot, r rule, visit func(uint32)) slot {
	m := slotMode(s)
	if m&r.tell == 0 {
		return s
	}
	conn := slotConn(s)
	c := t.conns.at(conn)
	c.told = t.event
	if m&r.consume != 0 {
		t.account(id, conn, m, m&^r.consume)
		s &^= slot(r.consume)
		if !c.noted && c.overfull() {
			c.noted = true
			t.stale = append(t.stale, conn)
		}
	}
	visit(conn)
	return s
}

// fireAncestors visits the recursive watchers of every ancestor of path, nearest first.
func (t *Table) fireAncestors(path string, visit func(uint32)) {
	for path != "/" && path != "" {
		path, _ = cut(path)
		if path == "" {
			path = "/"
		}
		if id := t.find(path, fold(t.hash(path))); id != none {
			t.fireRecursive(id, visit)
		}
	}
}

func (t *Table) fireRecursive(id uint32, visit func(uint32)) {
	p := t.path.at(id)
	rec := t.text.record(p.ref)
	if rec.isCrowd() {
		for _, s := range t.many[rec.slot(0)].recursive.slots {
			if s != 0 {
				t.tellOnce(slotConn(s), visit)
			}
		}
		return
	}
	for i := range p.watchers {
		if s := rec.slot(i); slotMode(s)&Recursive != 0 {
			t.tellOnce(slotConn(s), visit)
		}
	}
}

func (t *Table) tellOnce(conn uint32, visit func(uint32)) {
	if c := t.conns.at(conn); c.told != t.event {
		c.told = t.event
		visit(conn)
	}
}

// settlesPerFire bounds the connections compacted after one event: an event to thousands may leave thousands of lists overfull.
const settlesPerFire = 16

// afterFire gives memory back where Fire consumed much, a bounded amount at a time.
func (t *Table) afterFire() {
	for range min(settlesPerFire, len(t.stale)) {
		last := len(t.stale) - 1
		conn := t.stale[last]
		t.stale = t.stale[:last]
		t.conns.at(conn).noted = false
		t.settle(conn)
	}
	t.tidy()
}
