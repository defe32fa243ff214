package watch

import "unsafe"

// VisitPaths visits every path that has a watcher in the data table, with its watchers: what wchp prints. The path is valid
// during the call only; visit must not call the table. It stops when visit returns false. Order is unspecified.
func (t *Table) VisitPaths(visit func(path []byte, conns []uint32) bool) {
	_ = t.VisitSomePaths(0, t.path.n, visit)
}

// VisitSomePaths is VisitPaths in pieces, so that a loop can serve in between: it looks at n paths from the given position and
// returns where to go on, 0 at the end. It ends early, behind the path, when visit returns false. A path that is removed or added
// between two pieces may be missed or seen twice.
func (t *Table) VisitSomePaths(from, n uint32, visit func(path []byte, conns []uint32) bool) (next uint32) {
	var conns []uint32
	for id := from; id < t.path.n; id++ {
		if id-from == n {
			return id
		}
		conns = t.appendConns(conns[:0], id)
		if len(conns) == 0 {
			continue
		}
		t.name = t.appendPath(t.name[:0], id)
		if !visit(t.name, conns) && id+1 < t.path.n {
			return id + 1
		}
	}
	return 0
}

// appendConns appends the connections that path id has in the data table.
func (t *Table) appendConns(dst []uint32, id uint32) []uint32 {
	p := t.path.at(id)
	r := t.text.record(p.ref)
	if r.isCrowd() {
		for _, s := range t.many[r.slot(0)].all.slots {
			if slotMode(s)&inDataTable != 0 {
				dst = append(dst, slotConn(s))
			}
		}
		return dst
	}
	for i := range p.watchers {
		if s := r.slot(i); slotMode(s)&inDataTable != 0 {
			dst = append(dst, slotConn(s))
		}
	}
	return dst
}

// VisitConns visits every connection that has a watch in the data table, in order of its number, with its paths one by one: what
// wchc prints. The path is valid during the call only; visit must not call the table. It stops when visit returns false.
func (t *Table) VisitConns(visit func(conn uint32, path []byte) bool) {
	t.mustNotFire("VisitConns")
	for conn := range t.conns.n {
		c := t.conns.at(conn)
		if c.dataPaths == 0 {
			continue
		}
		before := cap(c.list)
		t.compact(conn, c)
		t.listSlots += int64(cap(c.list) - before)
		for _, h := range c.list {
			for id := t.paths.first(h); id != none; id = t.paths.next(id) {
				if t.modes(id, conn)&inDataTable == 0 {
					continue
				}
				t.name = t.appendPath(t.name[:0], id)
				if !visit(conn, t.name) {
					return
				}
			}
		}
	}
}

// Bytes estimates the memory that the table holds, slack included. It walks nothing.
func (t *Table) Bytes() int64 {
	n := t.paths.bytes() + t.path.bytes(int(unsafe.Sizeof(pathEntry{}))) + t.text.bytes()
	n += t.dirs.bytes() + t.dir.bytes(int(unsafe.Sizeof(dirEntry{}))) + t.dirText.bytes()
	n += t.conns.bytes(int(unsafe.Sizeof(connEntry{}))) + int64(cap(t.many))*int64(unsafe.Sizeof(crowd{}))
	return n + 4*(t.listSlots+t.crowdSlots+int64(cap(t.stale)+cap(t.free)))
}
