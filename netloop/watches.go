package netloop

import (
	"holt/netloop/watch"
	"holt/netloop/wire"
	"holt/tree"
)

// watched is the path that a watch is kept under. ZooKeeper's tables take null too, which is no znode's path.
func watched(path []byte) []byte {
	if path == nil {
		return nullPath
	}
	return path
}

var nullPath = []byte{0}

func (l *loop) checkWatches(c *conn, r *wire.Reader) tree.Code {
	var q wire.WatchTypeRequest
	if !q.Parse(r) || !watch.Type(q.Type).Valid() {
		return tree.MarshallingError
	}
	path := watched(q.Path)
	if !l.watches.Has(c.slot, path, tree.PathHash(path), watch.Type(q.Type)) {
		return tree.NoWatcher
	}
	return tree.OK
}

func (l *loop) removeWatches(c *conn, r *wire.Reader) tree.Code {
	var q wire.WatchTypeRequest
	if !q.Parse(r) || !watch.Type(q.Type).Valid() {
		return tree.MarshallingError
	}
	path := watched(q.Path)
	if !l.watches.Remove(c.slot, path, tree.PathHash(path), watch.Type(q.Type)) {
		return tree.NoWatcher
	}
	return tree.OK
}

// addWatch sets a persistent watch; the znode need not exist and no permission is asked for until delivery.
func (l *loop) addWatch(c *conn, r *wire.Reader) tree.Code {
	var q wire.AddWatchRequest
	if !q.Parse(r) {
		return tree.MarshallingError
	}
	var m watch.Mode
	switch q.Mode {
	case wire.AddWatchPersistent:
		m = watch.Persistent
	case wire.AddWatchPersistentRecursive:
		m = watch.Recursive
	default:
		return tree.MarshallingError
	}
	code := l.watch(c, m, watched(q.Path))
	if code == tree.OK {
		c.out = wire.AppendInt32(c.out, 0)
	}
	return code
}

// setWatches takes over the watches of a client that reconnected. What changed since relativeZxid is told at once, with
// zxid -1 and before the reply; the rest is registered (DataTree.setWatches). No permission is asked for, and there is
// no catch-up for persistent watches.
func (l *loop) setWatches(c *conn, op wire.Op, body []byte, root *tree.Root) tree.Code {
	var q wire.SetWatchesRequest
	r := wire.NewReader(body)
	ok := false
	if op == wire.OpSetWatches2 {
		ok = q.Parse2(&r)
	} else {
		ok = q.Parse(&r)
	}
	if !ok {
		return tree.MarshallingError
	}
	seen := tree.Zxid(q.RelativeZxid)
	data := func(n tree.Node, exists bool) watch.Kind {
		return changedSince(exists, exists && n.Stat().Mzxid > seen, watch.DataChanged)
	}
	exist := func(_ tree.Node, exists bool) watch.Kind {
		if exists {
			return watch.Created
		}
		return 0
	}
	child := func(n tree.Node, exists bool) watch.Kind {
		return changedSince(exists, exists && n.Stat().Pzxid > seen, watch.ChildrenChanged)
	}
	for _, list := range [...]struct {
		paths  wire.Strings
		mode   watch.Mode
		missed func(tree.Node, bool) watch.Kind
	}{
		{q.Data, watch.Data, data},
		{q.Exist, watch.Data, exist},
		{q.Child, watch.Child, child},
		{q.Persistent, watch.Persistent, nil},
		{q.PersistentRecursive, watch.Recursive, nil},
	} {
		if list.paths.Null() {
			return tree.MarshallingError // after what precedes it has been done, as ZooKeeper's exception comes then
		}
		if code := l.rewatch(c, list.paths, list.mode, root, list.missed); code != tree.OK {
			return code
		}
	}
	return tree.OK
}

func changedSince(exists, newer bool, k watch.Kind) watch.Kind {
	switch {
	case !exists:
		return watch.Deleted
	case newer:
		return k
	}
	return 0
}

// rewatch registers watches on the paths for which missed is nil or finds no event to catch up with.
func (l *loop) rewatch(c *conn, paths wire.Strings, m watch.Mode, root *tree.Root, missed func(n tree.Node, exists bool) watch.Kind) tree.Code {
	for {
		path, ok := paths.Next()
		if !ok {
			return tree.OK
		}
		if path == nil {
			return tree.MarshallingError
		}
		if missed != nil {
			n, exists := root.Lookup(path)
			if k := missed(n, exists); k != 0 {
				c.out = wire.AppendEvent(c.out, -1, wire.EventType(k), path)
				c.stats.sent++
				continue
			}
		}
		if code := l.watch(c, m, path); code != tree.OK {
			return code
		}
	}
}
