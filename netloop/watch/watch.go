package watch

import (
	"errors"
	"hash/maphash"
	"strings"
	"unsafe"
)

// Kind is what happened to a znode; the numbers are those of ZooKeeper's WatcherEvent.type.
type Kind uint8

// The kinds of event that a server sends.
const (
	Created         Kind = 1
	Deleted         Kind = 2
	DataChanged     Kind = 3
	ChildrenChanged Kind = 4
)

// Mode is a set of ways in which a connection watches a path. Modes coexist (ZOOKEEPER-4466).
type Mode uint8

// The modes. Data and Child are the standard watches of exists/getData and getChildren: one event, then gone. Persistent and
// Recursive are what addWatch sets: kept until removed.
const (
	Data       Mode = 1 << iota // in the data table, standard
	Child                       // in the child table, standard
	Persistent                  // in both tables
	Recursive                   // in the data table; matches the path and everything under it

	modesAll     = Data | Child | Persistent | Recursive
	inDataTable  = Data | Persistent | Recursive
	inChildTable = Child | Persistent
)

// Type says which watches checkWatches and removeWatches mean; the numbers are those of ZooKeeper's Watcher.WatcherType.
type Type int32

// The types of CheckWatchesRequest and RemoveWatchesRequest.
const (
	TypeChildren   Type = 1
	TypeData       Type = 2
	TypeAny        Type = 3
	TypePersistent Type = 4
	TypeRecursive  Type = 5
)

// Valid says whether ZooKeeper knows the type; it answers any other with MarshallingError.
func (t Type) Valid() bool { return t >= TypeChildren && t <= TypeRecursive }

func (t Type) modes() Mode {
	switch t {
	case TypeChildren:
		return Child
	case TypeData:
		return Data
	case TypeAny:
		return modesAll
	case TypePersistent:
		return Persistent
	case TypeRecursive:
		return Recursive
	}
	return 0
}

// ErrFull is returned by Add when a bound of the table is reached. Nothing was added; the loop refuses the client.
var ErrFull = errors.New("watch: table is full (raise WatchesMax, or have clients watch less)")

// Bounds of one loop's table.
const (
	// ConnMax is the largest connection number: a slot of a set holds conn+1 in 28 bits.
	ConnMax = 1<<(32-slotModesBits) - 2

	watchesMaxDefault = 1 << 27
)

// Config of a Table; the zero value is usable.
type Config struct {
	// WatchesMax bounds the watches of the table as Count counts them; 0 means 134 million.
	WatchesMax int64
	// Hash must be the function whose results Add and Fire are given (tree.PathHash); the table calls it for the ancestors of a
	// path and for directories. nil means maphash with a seed of its own.
	Hash func(path string) uint64
}

// Table is the watches of one event loop's connections: both tables of the reference, data and child, in one structure, since
// a connection's modes on a path are four bits. It is owned by that loop and has no lock.
//
//	Fire(path, hash) -> index -> path{record, directory} -> name and watchers in the arena, or a set once they are many
//	RemoveConn(conn) -> conn{hashes of what it may watch} -> index -> path
//
// A connection lists its paths by hash and not by number, and may list too much: entries that Fire consumed are left behind
// and compacted once they far outnumber the live ones. So consuming a watch touches nothing but the path's own array and one
// counter of the connection, and a path may move when memory is given back. Doubly linked lists through every watch lost:
// 28 bytes a watch and three cache misses to consume one, against 12 and about one.
type Table struct {
	watchesMax int64
	hash       func(string) uint64

	paths index // by the path's hash; entries parallel to path
	path  slab[pathEntry]
	text  arena // records of paths
	many  []crowd
	free  []uint32 // free numbers of many

	dirs    index // by the directory's key
	dir     slab[dirEntry]
	dirText arena

	conns slab[connEntry]
	stale []uint32 // connections whose list wants compacting, noted by Fire

	counts     Counts
	listSlots  int64  // capacity of all connections' lists
	crowdSlots int64  // and of all crowds
	event      uint32 // stamps the connections already told of the running event
	firing     bool
	name       []byte // scratch for visits
}

// Counts of the table, kept as watches come and go.
type Counts struct {
	Data, Child int64 // (path, connection) pairs in each table; ZooKeeper's watch_count is their sum
	DataPaths   int64 // paths with a watcher in the data table: what wchs counts
	DataConns   int64 // connections with a watch in the data table
	Recursive   int64 // pairs with the recursive mode
	Paths       int64 // paths in either table
}

// New returns an empty table.
func New(c Config) *Table {
	t := &Table{watchesMax: c.WatchesMax, hash: c.Hash}
	if t.watchesMax <= 0 {
		t.watchesMax = watchesMaxDefault
	}
	if t.hash == nil {
		seed := maphash.MakeSeed()
		t.hash = func(p string) uint64 { return maphash.String(seed, p) }
	}
	t.text.ref = func(owner uint32) *ref {
		if owner >= t.path.n {
			return nil
		}
		return &t.path.at(owner).ref
	}
	t.dirText.ref = func(owner uint32) *ref {
		if owner >= t.dir.n {
			return nil
		}
		return &t.dir.at(owner).ref
	}
	return t
}

// Count is ZooKeeper's watch_count: the pairs of path and connection in the data table plus those in the child table.
func (t *Table) Count() int64 { return t.counts.Data + t.counts.Child }

// Counts returns all counters.
func (t *Table) Counts() Counts { return t.counts }

// Hash is the hash that Add and Fire take.
func (t *Table) Hash(path []byte) uint64 { return t.hash(text(path)) }

// Empty says that no path has a watcher: the loop can skip a commit's changes.
func (t *Table) Empty() bool { return t.path.n == 0 }

// Watching says whether conn watches anything.
func (t *Table) Watching(conn uint32) bool { return conn < t.conns.n && t.conns.at(conn).paths > 0 }

// Add registers one mode, or several, of a connection on a path. hash is Config.Hash of the path. Nothing is kept of path.
func (t *Table) Add(conn uint32, m Mode, path []byte, hash uint64) error {
	t.mustNotFire("Add")
	if conn > ConnMax || m == 0 || m&^modesAll != 0 {
		panic("watch: connection number or mode out of range")
	}
	p := text(path)
	h := fold(hash)
	id := t.find(p, h)
	if t.Count() >= t.watchesMax {
		return ErrFull
	}
	if id == none {
		if !t.text.fits(recordBytes(len(p), 1)) || !t.dirText.fits(recordBytes(len(p), 0)) {
			return ErrFull
		}
		id = t.newPath(p, h)
	}
	old := t.modes(id, conn)
	if old|m == old {
		return nil
	}
	if old == 0 && !t.reserve(id) {
		return ErrFull
	}
	t.put(id, conn, old|m)
	t.account(id, conn, old, old|m)
	if old == 0 {
		t.listPath(conn, h)
	}
	t.tidy()
	return nil
}

// Has is checkWatches: whether the connection has a watch of this type on exactly this path.
func (t *Table) Has(conn uint32, path []byte, hash uint64, typ Type) bool {
	id := t.find(text(path), fold(hash))
	return id != none && t.modes(id, conn)&typ.modes() != 0
}

// Remove is removeWatches: it removes the connection's watches of this type on exactly this path and says whether there were any.
func (t *Table) Remove(conn uint32, path []byte, hash uint64, typ Type) bool {
	t.mustNotFire("Remove")
	id := t.find(text(path), fold(hash))
	if id == none {
		return false
	}
	old := t.modes(id, conn)
	if old&typ.modes() == 0 {
		return false
	}
	t.change(id, conn, old, old&^typ.modes())
	t.settle(conn)
	t.tidy()
	return true
}

// RemoveConn forgets a connection, in time proportional to its own watches.
func (t *Table) RemoveConn(conn uint32) {
	t.mustNotFire("RemoveConn")
	if conn >= t.conns.n {
		return
	}
	c := t.conns.at(conn)
	for _, h := range c.list {
		t.removeAt(conn, h)
		t.tidy()
	}
	if c.paths != 0 || c.dataPaths != 0 {
		panic("watch: W2: a connection watches a path that it does not list")
	}
	t.listSlots -= int64(cap(c.list))
	*c = connEntry{noted: c.noted}
}

// removeAt removes conn from every path with this hash. Removing a path renumbers, so the chain is read anew.
func (t *Table) removeAt(conn, h uint32) {
	for id := t.paths.first(h); id != none; {
		old := t.modes(id, conn)
		if old == 0 {
			id = t.paths.next(id)
			continue
		}
		t.change(id, conn, old, 0)
		id = t.paths.first(h)
	}
}

// change sets the modes of a connection on a path that it watches; the path goes with its last watcher.
func (t *Table) change(id, conn uint32, old, now Mode) {
	t.put(id, conn, now)
	t.account(id, conn, old, now)
	if t.path.at(id).watchers == 0 {
		t.dropPath(id)
	}
}

// account keeps every counter when the modes of a connection on a path change.
func (t *Table) account(id, conn uint32, old, now Mode) {
	p, c := t.path.at(id), t.conn(conn)
	c.paths += uint32(has(now, modesAll) - has(old, modesAll))
	t.counts.Child += has(now, inChildTable) - has(old, inChildTable)
	t.counts.Recursive += has(now, Recursive) - has(old, Recursive)
	if d := has(now, inDataTable) - has(old, inDataTable); d != 0 {
		t.counts.Data += d
		t.counts.DataPaths -= has(p.dataWatchers, ^uint32(0))
		t.counts.DataConns -= has(c.dataPaths, ^uint32(0))
		p.dataWatchers += uint32(d)
		c.dataPaths += uint32(d)
		t.counts.DataPaths += has(p.dataWatchers, ^uint32(0))
		t.counts.DataConns += has(c.dataPaths, ^uint32(0))
	}
}

// has is 1 if any of the bits is set, else 0.
func has[T Mode | uint32](v, bits T) int64 {
	if v&bits != 0 {
		return 1
	}
	return 0
}

func (t *Table) mustNotFire(what string) {
	if t.firing {
		panic("watch: W3: " + what + " called from a Fire visit")
	}
}

func (t *Table) tidy() {
	t.text.tidy()
	t.dirText.tidy()
}

// fold makes the index hash of a path hash.
func fold(hash uint64) uint32 { return uint32(hash) ^ uint32(hash>>32) }

// text views bytes as a string for the length of one call.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// cut splits a path into its directory and the rest, which starts with the slash; dir+name is the path again.
func cut(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path
	}
	return path[:i], path[i:]
}
