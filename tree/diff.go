package tree

import (
	"bytes"
	"slices"
)

// DiffVisitor takes, in ascending order of keys, what turns one stored Root into another. Keys and values are valid
// during the call only. An error ends the Diff.
type DiffVisitor interface {
	Put(key, value []byte) error
	Delete(key []byte) error
}

// Base is what Diff has to know of the older Root. It does not keep the znodes of that Root alive: what changed since carries a
// later edit, and what was deleted is in a list. The alternative, to find out both by comparing with the older tree, holds on to a
// second version of every znode that changes between two checkpoints, which under a load of writes is most of the tree.
type Base struct {
	zxid     Zxid
	digest   uint64
	edit     edit
	gone     gone
	sessions table[session] // few and small: compared
}

// Base is r as the older side of a Diff.
func (r *Root) Base() *Base { return &Base{r.zxid, r.Digest(), r.edit, r.gone, r.sessions} }

// Zxid is the last transaction in the Root.
func (b *Base) Zxid() Zxid { return b.zxid }

// Digest is that of the Root.
func (b *Base) Digest() uint64 { return b.digest }

// Diff tells v what turns the stored form of from into that of to; a nil from is the empty store. Both come from one State, and to
// is the same Root or a later one. The cost follows the number of changed znodes, each visited once however often it
// changed, with those above them; each key is told once, some with the value they had.
func Diff(from *Base, to *Root, v DiffVisitor) error {
	d := differ{v: v, key: []byte{keyMeta}, all: from == nil}
	if from == nil {
		from = &Base{}
	} else if from.edit == to.edit {
		return nil
	} else {
		d.since, d.deleted = from.edit, deleted(from.gone, to)
	}
	d.value = appendMetaValue(d.value, to)
	if err := v.Put(d.key, d.value); err != nil {
		return err
	}
	d.key[0] = keyZnode
	if err := d.znode(to.top); err != nil {
		return err
	}
	if err := d.deleteBefore(nil); err != nil {
		return err
	}
	return diffTables(from.sessions, to.sessions, d.session)
}

// deleted lists the keys of znodes that went after from and are not in to, in ascending order, each once.
func deleted(from gone, to *Root) [][]byte {
	keys := from.until(to.gone)
	var path []byte
	keys = slices.DeleteFunc(keys, func(key []byte) bool {
		path = AppendPath(path[:0], key)
		return lookup(to.top, path) != nil
	})
	slices.SortFunc(keys, bytes.Compare)
	return slices.CompactFunc(keys, bytes.Equal)
}

type differ struct {
	v          DiffVisitor
	key, value []byte
	all        bool // or only what was made after since
	since      edit
	deleted    [][]byte // keys still to be told
}

func (d *differ) older(head uint64) bool { return !d.all && edit(head>>headBits) <= d.since }

// znode visits a znode whose key is d.key, and all below. Whatever is above something newer is newer itself (R3).
func (d *differ) znode(z *znode) error {
	if d.older(z.head) {
		return nil
	}
	if err := d.deleteBefore(d.key); err != nil {
		return err
	}
	d.value = appendZnodeValue(d.value[:0], z)
	if err := d.v.Put(d.key, d.value); err != nil {
		return err
	}
	return d.slot(z.children())
}

func (d *differ) slot(s slot) error {
	switch {
	case s == nil:
		return nil
	case !isNode(s):
		l := leafOf(s)
		n := len(d.key)
		d.key = append(append(d.key, 0), l.key()...)
		err := d.znode(znodeOf(l))
		d.key = d.key[:n]
		return err
	case d.older(nodeOf(s).head):
		return nil
	}
	for _, below := range nodeOf(s).slots() {
		if err := d.slot(below); err != nil {
			return err
		}
	}
	return nil
}

// deleteBefore tells of the deleted znodes whose keys come before key; nil is after all.
func (d *differ) deleteBefore(key []byte) error {
	for len(d.deleted) > 0 && (key == nil || bytes.Compare(d.deleted[0], key) < 0) {
		if err := d.v.Delete(d.deleted[0]); err != nil {
			return err
		}
		d.deleted = d.deleted[1:]
	}
	return nil
}

func (d *differ) session(id []byte, from, to *session) error {
	d.key = append(append(d.key[:0], keySession), id...)
	if to == nil {
		return d.v.Delete(d.key)
	}
	if from != nil && from.Session == to.Session {
		return nil // only its ephemerals changed, which are not stored with it
	}
	d.value = appendSessionValue(d.value[:0], &to.Session)
	return d.v.Put(d.key, d.value)
}
