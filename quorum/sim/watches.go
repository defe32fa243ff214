package sim

import (
	"strings"

	zk "holt/netloop/wire"
	"holt/tree"
)

// watchKind is how a watch was set.
type watchKind uint8

const (
	watchData watchKind = iota
	watchExist
	watchChild
	watchPersistent
	watchRecursive
)

// watched is a watch as its client knows it: from which change on it has to be told, and of which.
type watched struct {
	kind watchKind
	path string
	next int // index in truth.changes of the first change it may have to be told of
}

func (k watchKind) oneShot() bool { return k <= watchChild }

// concerns says whether a change makes the server send an event for the watch.
func (w *watched) concerns(c *change) bool {
	switch w.kind {
	case watchData, watchExist:
		return c.path == w.path && c.kind != tree.NodeChildrenChanged
	case watchChild:
		return c.path == w.path && (c.kind == tree.NodeDeleted || c.kind == tree.NodeChildrenChanged)
	case watchPersistent:
		return c.path == w.path
	}
	return c.kind != tree.NodeChildrenChanged && (c.path == w.path || w.path == "/" || strings.HasPrefix(c.path, w.path+"/"))
}

// changesTo counts the changes up to zxid z.
func (t *truth) changesTo(z tree.Zxid) int {
	n := len(t.changes)
	for n > 0 && t.changes[n-1].zxid > z {
		n--
	}
	return n
}

// due is the next change that the watch has to be told of, or nil if it has not happened yet.
func (c *client) due(w *watched) *change {
	all := c.truth.changes
	for ; w.next < len(all); w.next++ {
		if w.concerns(&all[w.next]) {
			return &all[w.next]
		}
	}
	return nil
}

// watch notes a watch that was set by a read at zxid z.
func (c *client) watch(k watchKind, path string, z tree.Zxid) {
	n := c.truth.changesTo(z)
	for _, w := range c.watches {
		if w.kind == k && w.path == path {
			if k == watchPersistent || k == watchRecursive {
				return // the server has it already
			}
			w.next = n
			return
		}
	}
	c.watches = append(c.watches, &watched{k, path, n})
}

// overdue: a reply that shows the tree at zxid z comes after the events of all changes up to there.
func (c *client) overdue(z tree.Zxid, q *request) {
	if c.resetting {
		return // nothing is watched yet on this connection
	}
	for _, w := range c.watches {
		if d := c.due(w); d != nil && d.zxid <= z {
			c.broken("watch order", "client %d is answered %v %s at zxid %x, but was not told of event %d on %s at zxid %x, which it watches (%d)",
				c.id, q.op, q.path, z, d.kind, d.path, d.zxid, w.kind)
		}
	}
}

// caughtUp is an event that setWatches found.
type caughtUp struct {
	kind tree.EventKind
	path string
}

// event takes one event.
func (c *client) event(z tree.Zxid, k tree.EventKind, path string) {
	if z == -1 {
		if !c.resetting {
			c.broken("watch events", "client %d: event %d on %s without a zxid, although it set no watches again", c.id, k, path)
		}
		c.caught = append(c.caught, caughtUp{k, path})
		return
	}
	told := false
	kept := c.watches[:0]
	for _, w := range c.watches {
		d := c.due(w)
		if d != nil && d.zxid == z && d.kind == k && d.path == path {
			told = true
			if w.kind.oneShot() {
				continue
			}
			w.next++
		} else if d != nil && d.zxid < z {
			c.broken("watch events", "client %d: event %d on %s at zxid %x, but that of %d on %s at zxid %x did not come before", c.id, k, path, z, d.kind, d.path, d.zxid)
		}
		kept = append(kept, w)
	}
	c.watches = kept
	if !told {
		c.broken("watch events", "client %d: event %d on %s at zxid %x, which it does not watch (any more)", c.id, k, path, z)
	}
}

// setWatches sets the watches again on a new connection.
func (c *client) setWatches() {
	paths := [watchRecursive + 1][]string{}
	for _, w := range c.watches {
		paths[w.kind] = append(paths[w.kind], w.path)
	}
	c.resetting, c.caught = true, nil
	q := zk.SetWatchesRequest{
		RelativeZxid: c.relative(),
		Data:         zk.MakeStrings(paths[watchData]...), Exist: zk.MakeStrings(paths[watchExist]...), Child: zk.MakeStrings(paths[watchChild]...),
		Persistent: zk.MakeStrings(paths[watchPersistent]...), PersistentRecursive: zk.MakeStrings(paths[watchRecursive]...),
	}
	c.send(&request{op: zk.OpSetWatches2, rel: c.seen}, q.Append2)
}

// rewatched checks what setWatches has told, at zxid z: everything that its rules find, and nothing else.
func (c *client) rewatched(q *request, z tree.Zxid, root *tree.Root) {
	c.resetting = false
	told := map[caughtUp]bool{}
	for _, e := range c.caught {
		told[e] = true
	}
	wanted := map[caughtUp]bool{}
	kept := c.watches[:0]
	for _, w := range c.watches {
		n, exists := root.Lookup([]byte(w.path))
		s := n.Stat
		kind := tree.EventKind(0)
		switch {
		case w.kind == watchExist && exists:
			kind = tree.NodeCreated
		case (w.kind == watchData || w.kind == watchChild) && !exists:
			kind = tree.NodeDeleted
		case w.kind == watchData && s().Mzxid > q.rel:
			kind = tree.NodeDataChanged
		case w.kind == watchChild && s().Pzxid > q.rel:
			kind = tree.NodeChildrenChanged
		}
		if kind == 0 {
			w.next = c.truth.changesTo(z) // maybe less than before: no reply has shown the client what an event told
			kept = append(kept, w)
			continue
		}
		e := caughtUp{kind, w.path}
		wanted[e] = true
		if !told[e] {
			c.broken("watch events", "client %d set its watches again at zxid %x, but is not told of %d on %s, which changed after %x", c.id, z, kind, w.path, q.rel)
		}
	}
	c.watches = kept
	for _, e := range c.caught {
		if !wanted[e] {
			c.broken("watch events", "client %d set its watches again at zxid %x and is told of %d on %s for no reason", c.id, z, e.kind, e.path)
		}
	}
	c.caught = nil
}
