package tree

// DiffVisitor takes, in ascending order of keys, what turns one stored Root into another. Keys and values are valid
// during the call only. An error ends the Diff.
type DiffVisitor interface {
	Put(key, value []byte) error
	Delete(key []byte) error
	// DeleteSubtree removes key and every key that continues it with a byte 0x00: a znode and all below.
	DeleteSubtree(key []byte) error
}

// Diff tells v what turns the stored form of from into that of to; a nil from is the empty store. What the two share is
// skipped by pointer, so the cost follows the number of changed znodes, each visited once however often it
// changed. Both come from one State, in any order.
func Diff(from, to *Root, v DiffVisitor) error {
	if from == to {
		return nil
	}
	if from == nil {
		from = &Root{}
	}
	d := differ{v: v, key: []byte{keyMeta}}
	d.visitChild = d.child
	d.value = appendMetaValue(d.value, to)
	if err := v.Put(d.key, d.value); err != nil {
		return err
	}
	d.key[0] = keyZnode
	if err := d.znode(from.top, to.top); err != nil {
		return err
	}
	return diffTables(from.sessions, to.sessions, d.session)
}

type differ struct {
	v          DiffVisitor
	key, value []byte
	visitChild func(from, to *leaf) error
}

func (d *differ) child(from, to *leaf) error {
	name := to
	if name == nil {
		name = from
	}
	n := len(d.key)
	d.key = append(append(d.key, 0), name.key()...)
	err := d.znode(znodeOf(from), znodeOf(to))
	d.key = d.key[:n]
	return err
}

func (d *differ) znode(from, to *znode) error {
	switch {
	case from == to:
		return nil
	case to == nil && from.numChildren() == 0:
		return d.v.Delete(d.key)
	case to == nil:
		return d.v.DeleteSubtree(d.key)
	case from == nil || !sameStored(from, to):
		d.value = appendZnodeValue(d.value[:0], to)
		if err := d.v.Put(d.key, d.value); err != nil {
			return err
		}
	}
	if from == nil {
		return diff(nil, to.children(), d.visitChild)
	}
	return diff(from.children(), to.children(), d.visitChild)
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
