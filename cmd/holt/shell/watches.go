package shell

import (
	"maps"
	"slices"

	"holt/netloop/wire"
)

// watchKind is how a watch was set; it decides which list of setWatches2 repeats it and which events use it up.
type watchKind int

const (
	watchData watchKind = iota
	watchExist
	watchChild
	watchPersistent
	watchRecursive
	watchKinds
)

// removedNames are the events that ZooKeeper's client makes up when a watch is taken away.
var removedNames = [watchKinds]string{
	"DataWatchRemoved", "DataWatchRemoved", "ChildWatchRemoved", "PersistentWatchRemoved", "PersistentWatchRemoved",
}

// watches remembers what is watched, so that a new connection can be told. Paths are without the chroot.
type watches [watchKinds]map[string]bool

func newWatches() watches {
	var w watches
	for kind := range w {
		w[kind] = map[string]bool{}
	}
	return w
}

// request builds setWatches2; any is false when nothing is watched.
func (w *watches) request(zxid int64, rooted func(string) []byte) (q wire.SetWatchesRequest, any bool) {
	list := func(kind watchKind) wire.Strings {
		var paths []string
		for _, p := range slices.Sorted(maps.Keys(w[kind])) {
			paths = append(paths, string(rooted(p)))
		}
		any = any || len(paths) > 0
		return wire.MakeStrings(paths...)
	}
	q = wire.SetWatchesRequest{
		RelativeZxid: zxid, Data: list(watchData), Exist: list(watchExist), Child: list(watchChild),
		Persistent: list(watchPersistent), PersistentRecursive: list(watchRecursive),
	}
	return q, any
}

// fired drops the one-time watches that an event used up.
func (w *watches) fired(typ wire.EventType, path string) {
	switch typ {
	case wire.EventNodeChildrenChanged:
		delete(w[watchChild], path)
	case wire.EventNodeDeleted:
		delete(w[watchChild], path)
		fallthrough
	default:
		delete(w[watchData], path)
		delete(w[watchExist], path)
	}
}

// removed drops what removeWatches with the given type took away and returns the kinds that were there.
func (w *watches) removed(typ wire.WatchType, path string) []watchKind {
	var gone []watchKind
	for _, kind := range kindsOf(typ) {
		if w[kind][path] {
			delete(w[kind], path)
			gone = append(gone, kind)
		}
	}
	return gone
}

func kindsOf(typ wire.WatchType) []watchKind {
	switch typ {
	case wire.WatchChildren:
		return []watchKind{watchChild}
	case wire.WatchData:
		return []watchKind{watchData, watchExist}
	case wire.WatchPersistent:
		return []watchKind{watchPersistent}
	case wire.WatchPersistentRecursive:
		return []watchKind{watchRecursive}
	}
	return []watchKind{watchChild, watchData, watchExist, watchPersistent, watchRecursive}
}
