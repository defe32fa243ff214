package watch

import "slices"

// connEntry is a connection of the loop. list holds a hash for each path that it watches, and for some that it no longer does
// (W2): Fire leaves what it consumes in the list.
type connEntry struct {
	list      []uint32
	paths     uint32 // paths that it watches
	dataPaths uint32 // those in the data table
	told      uint32 // the last event that it was told of
	noted     bool   // is in Table.stale, where a connection stands at most once
}

// A list is compacted when it holds more than listShare entries per path that is watched, and listSlack. Twice the paths would
// save eight bytes a watch and cost half as many look-ups again.
const (
	listShare = 4
	listSlack = 64
)

func (t *Table) conn(conn uint32) *connEntry {
	if conn >= t.conns.n {
		t.conns.grow(conn)
	}
	return t.conns.at(conn)
}

// listPath notes that conn watches a path with hash h.
func (t *Table) listPath(conn, h uint32) {
	c := t.conn(conn)
	before := cap(c.list)
	c.list = append(c.list, h)
	t.listSlots += int64(cap(c.list) - before)
	t.settle(conn)
}

// overfull says that most of the list is dead.
func (c *connEntry) overfull() bool { return len(c.list) > listShare*int(c.paths)+listSlack }

// settle compacts the list of a connection if most of it is dead. Each compaction is paid for by as many removals.
func (t *Table) settle(conn uint32) {
	c := t.conn(conn)
	before := cap(c.list)
	switch {
	case c.paths == 0 && cap(c.list) > listSlack:
		c.list = nil
	case c.paths == 0:
		c.list = c.list[:0]
	case c.overfull():
		t.compact(conn, c)
	}
	t.listSlots += int64(cap(c.list) - before)
}

// compact leaves each hash once, and only those at which the connection watches something.
func (t *Table) compact(conn uint32, c *connEntry) {
	slices.Sort(c.list)
	c.list = slices.Compact(c.list)
	c.list = slices.DeleteFunc(c.list, func(h uint32) bool { return !t.watchesAt(conn, h) })
	if cap(c.list) > listShare*len(c.list)+listSlack {
		c.list = slices.Clone(c.list)
	}
}

func (t *Table) watchesAt(conn, h uint32) bool {
	for id := t.paths.first(h); id != none; id = t.paths.next(id) {
		if t.modes(id, conn) != 0 {
			return true
		}
	}
	return false
}
