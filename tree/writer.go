package tree

import (
	"bytes"
	"fmt"
)

// lookup is the znode at path under top, or nil. "" and "/" are top itself. Any other path that ZooKeeper would refuse
// is not found, as in ZooKeeper's own table of paths.
func lookup(top *znode, path []byte) *znode {
	if len(path) == 0 {
		return top
	}
	if path[0] != '/' {
		return nil
	}
	z := top
	for rest := pathBelow(path); len(rest) > 0; {
		var name []byte
		name, rest = splitPath(rest)
		if z = z.child(name); z == nil {
			return nil
		}
	}
	return z
}

// pathBelow is path as it leads away from the root: nothing for "/".
func pathBelow(path []byte) []byte {
	if len(path) == 1 {
		return nil
	}
	return path
}

// splitPath cuts "/a/b/c" into "a" and "/b/c".
func splitPath(path []byte) (name, rest []byte) {
	path = path[1:]
	if i := bytes.IndexByte(path, '/'); i >= 0 {
		return path[:i], path[i:]
	}
	return path, nil
}

// writer is the writable tree of znodes. Everything it changes carries its edit; whoever publishes or keeps top calls
// freeze first, and from then on top is as immutable as any published one. restore goes back to such a tree.
type writer struct {
	owner
	top slot // always a znode
}

func (w *writer) root() *znode { return znodeOf(leafOf(w.top)) }

// freeze gives up the ownership of all that was changed so far and returns the tree as it is: to publish it, or to
// come back to it.
func (w *writer) freeze() *znode {
	w.edit = w.edit.next()
	return w.root()
}

// restore goes back to a tree that freeze returned.
func (w *writer) restore(top *znode) {
	w.top = top.slot()
	w.edit = w.edit.next()
}

func (w *writer) lookup(path []byte) *znode { return lookup(w.root(), path) }

// create adds the child f.name to the znode at parent, which has no such child. The parent's pzxid becomes
// f.czxid and its count of creates grows.
func (w *writer) create(parent []byte, f *fields) *znode {
	at := w.spine(parent, 1, int64(len(f.data)))
	p := znodeOf(leafOf(*at)).asDir(w.owner)
	*at = p.slot()
	d := p.dir()
	d.pzxid = f.czxid
	d.creates++
	d.numChildren++
	d.descendants++
	d.dataBytes += int64(len(f.data))
	z := f.pack(w.owner)
	if old := put(&d.children, &z.leaf, w.owner); old != nil {
		panic(fmt.Sprintf("tree: create of %q below %q, which exists", f.name, parent))
	}
	return z
}

// delete removes the child name, which has no children itself, from the znode at parent. The parent's pzxid becomes
// zxid.
func (w *writer) delete(parent, name []byte, zxid Zxid) {
	z := w.lookup(parent).child(name)
	if z == nil || z.numChildren() != 0 {
		panic(fmt.Sprintf("tree: delete of %q below %q, which is not there or has children", name, parent))
	}
	n := int64(z.dataLen())
	at := w.spine(parent, -1, -n)
	p := znodeOf(leafOf(*at)).own(w.owner)
	*at = p.slot()
	d := p.dir()
	d.pzxid = zxid
	d.numChildren--
	d.descendants--
	d.dataBytes -= n
	w.retire(slot(remove(&d.children, name, w.owner)))
}

// replace stores f in place of the znode at path, which has the same name and children: new data, ACL or stat.
func (w *writer) replace(path []byte, f *fields) *znode {
	at := w.spine(path, 0, int64(len(f.data)-f.from.dataLen()))
	z := f.pack(w.owner)
	w.retire(*at)
	*at = z.slot()
	return z
}

// spine makes everything above the znode at path writable, adds to the counts of all znodes strictly above it, and
// returns the slot that holds it.
func (w *writer) spine(path []byte, znodes, dataBytes int64) *slot {
	at := &w.top
	for rest := pathBelow(path); len(rest) > 0; {
		z := znodeOf(leafOf(*at)).own(w.owner)
		*at = z.slot()
		d := z.dir()
		if d == nil {
			panic(fmt.Sprintf("tree: nothing at %q", path))
		}
		d.descendants += znodes
		d.dataBytes += dataBytes
		var name []byte
		name, rest = splitPath(rest)
		at = ownTo(&d.children, name, w.owner)
	}
	return at
}
