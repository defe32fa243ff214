package zkdata

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"holt/netloop/wire"
	"holt/tree"
)

// database is ZooKeeper's tree and sessions while transactions are replayed: a map from the keys under which the tree will
// take the znodes (tree.AppendKey).
type database struct {
	znodes   map[string]*tree.Imported
	owned    map[int64]map[string]bool // keys of a session's ephemerals
	sessions map[int64]int32           // timeouts in ms
	acls     map[string][]byte         // one copy of each
	schemes  map[string][]string       // in each of them
	noACL    map[string]bool           // keys of znodes whose ACL the snapshot does not have
	zxid     int64                     // of the last transaction
	digest   uint64                    // of all znodes
	key      []byte
}

func newDatabase() *database {
	return &database{
		znodes: map[string]*tree.Imported{}, owned: map[int64]map[string]bool{}, sessions: map[int64]int32{},
		acls: map[string][]byte{}, schemes: map[string][]string{}, noACL: map[string]bool{},
	}
}

// acl is the stored form of a list, nil for world:anyone ALL, which a null list is too for ZooKeeper.
func (db *database) acl(list wire.ACLs) []byte {
	if list.Null() {
		return nil
	}
	form, schemes := []byte{}, []string{}
	for a, ok := list.Next(); ok; a, ok = list.Next() {
		form = tree.AppendACL(form, tree.Perm(a.Perms), a.Scheme, a.ID)
		if !slices.Contains(schemes, string(a.Scheme)) {
			schemes = append(schemes, string(a.Scheme))
		}
	}
	if string(form) == string(tree.OpenACL) {
		return nil
	}
	if seen, ok := db.acls[string(form)]; ok {
		return seen
	}
	db.acls[string(form)], db.schemes[string(form)] = form, schemes
	return form
}

var errPath = errors.New("no path of a znode")

// keyOf is the key of a path, valid until the next call.
func (db *database) keyOf(path []byte) ([]byte, error) {
	if len(path) > 1 && path[0] != '/' || bytes.IndexByte(path, 0) >= 0 {
		return nil, fmt.Errorf("%w: %q", errPath, path)
	}
	db.key = tree.AppendKey(db.key[:0], path)
	return db.key, nil
}

// parentOf is the key of the znode above; the root has none.
func parentOf(key []byte) []byte { return key[:max(bytes.LastIndexByte(key, 0), 0)] }

// load takes a znode of a snapshot.
func (db *database) load(path []byte, z *tree.Imported, hasACL bool) error {
	key, err := db.keyOf(path)
	if err != nil {
		return err
	}
	if len(path) > 0 && db.znodes[string(parentOf(key))] == nil {
		return fmt.Errorf("%s is there without its parent", path)
	}
	if !hasACL {
		db.noACL[string(key)] = true
	}
	db.put(string(key), z)
	return nil
}

func (db *database) put(key string, z *tree.Imported) {
	db.znodes[key] = z
	db.digest += digestOf(key, z)
	if tree.IsEphemeral(z.Owner) {
		if db.owned[z.Owner] == nil {
			db.owned[z.Owner] = map[string]bool{}
		}
		db.owned[z.Owner][key] = true
	}
}

// created is what one of the transactions that create a znode says.
type created struct {
	path, data []byte
	acl        wire.ACLs
	owner      int64
	creates    int32 // the parent's from then on; -1: one more
}

// apply replays a transaction (FileTxnSnapLog.processTransaction, DataTree.processTxn). One that finds nothing to do was in the snapshot.
func (db *database) apply(h *header, r *wire.Reader) error {
	var err error
	switch h.op {
	case wire.OpCreateSession:
		db.sessions[h.session] = r.Int32()
	case wire.OpCloseSession:
		paths := parseCloseSession(r)
		if !r.Bad() {
			err = db.closeSession(h, paths)
		}
	case wire.OpMulti:
		err = db.multi(h, r)
	case wire.OpError:
		r.Int32()
	default:
		err = db.change(h, r)
	}
	if err == nil && r.Bad() {
		err = fmt.Errorf("it ends within itself (type %d)", h.op)
	}
	return err
}

// change replays a transaction that a multi may hold too.
func (db *database) change(h *header, r *wire.Reader) error {
	switch h.op {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		c := parseCreate(h, r)
		if r.Bad() {
			return nil
		}
		return db.create(h, &c)
	case wire.OpDelete, wire.OpDeleteContainer:
		return db.remove(r.String(), h.zxid)
	case wire.OpSetData, wire.OpReconfig:
		path, data, version := r.String(), r.Buffer(), r.Int32()
		return db.with(path, r, func(_ string, z *tree.Imported) {
			z.Data, z.Version, z.Mzxid, z.Mtime = bytes.Clone(data), version, tree.Zxid(h.zxid), h.timeMs
		})
	case wire.OpSetACL:
		path, acl, version := r.String(), r.ACLs(), r.Int32()
		return db.with(path, r, func(key string, z *tree.Imported) {
			db.setACL(key, z, acl)
			z.Aversion = version
		})
	case wire.OpCheck:
		r.String()
		r.Int32()
		return nil
	}
	return fmt.Errorf("its type %d is not known", h.op)
}

// multi replays MultiTxn: vector<type i32, buffer>. One with an error in it changed nothing.
func (db *database) multi(h *header, r *wire.Reader) error {
	type part struct {
		op   wire.Op
		data []byte
	}
	var parts []part
	failed := false
	for n := r.Int32(); n > 0 && !r.Bad(); n-- {
		p := part{wire.Op(r.Int32()), r.Buffer()}
		failed = failed || p.op == wire.OpError
		parts = append(parts, p)
	}
	if failed || r.Bad() {
		return nil
	}
	for _, p := range parts {
		one, body := *h, wire.NewReader(p.data)
		one.op = p.op
		if err := db.change(&one, &body); err != nil {
			return err
		}
		if body.Bad() {
			return fmt.Errorf("a part of it ends within itself (type %d)", p.op)
		}
	}
	return nil
}

// create replays the creation of a znode (DataTree.createNode). If it was in the snapshot, its parent may have been written
// there before it was created.
func (db *database) create(h *header, c *created) error {
	key, err := db.keyOf(c.path)
	if err != nil {
		return err
	}
	above := string(parentOf(key))
	parent := db.znodes[above]
	if parent == nil {
		return nil
	}
	if c.creates == -1 {
		c.creates = parent.Creates + 1
	}
	if c.creates > parent.Creates {
		db.alter(above, parent, func() { parent.Creates, parent.Pzxid = c.creates, tree.Zxid(h.zxid) })
	}
	if z := db.znodes[string(key)]; z != nil {
		db.setACL(string(key), z, c.acl)
		return nil
	}
	zxid := tree.Zxid(h.zxid)
	db.put(string(key), &tree.Imported{
		Data: c.data, ACL: db.acl(c.acl), Czxid: zxid, Mzxid: zxid, Pzxid: zxid, Ctime: h.timeMs, Mtime: h.timeMs, Owner: c.owner,
	})
	return nil
}

// remove replays the removal of a znode (DataTree.deleteNode). If it was gone in the snapshot, its parent may have been
// written there before.
func (db *database) remove(path []byte, zxid int64) error {
	key, err := db.keyOf(path)
	if err == nil {
		db.drop(string(key), zxid)
	}
	return err
}

func (db *database) drop(key string, zxid int64) {
	above := string(parentOf([]byte(key)))
	parent := db.znodes[above]
	if parent == nil {
		return
	}
	db.alter(above, parent, func() { parent.Pzxid = max(parent.Pzxid, tree.Zxid(zxid)) })
	if z := db.znodes[key]; z != nil {
		db.digest -= digestOf(key, z)
		delete(db.znodes, key)
		delete(db.noACL, key)
		delete(db.owned[z.Owner], key)
	}
}

func (db *database) alter(key string, z *tree.Imported, change func()) {
	db.digest -= digestOf(key, z)
	change()
	db.digest += digestOf(key, z)
}

func (db *database) setACL(key string, z *tree.Imported, acl wire.ACLs) {
	z.ACL = db.acl(acl)
	delete(db.noACL, key)
}

func (db *database) with(path []byte, r *wire.Reader, change func(key string, z *tree.Imported)) error {
	if r.Bad() {
		return nil
	}
	key, err := db.keyOf(path)
	if err != nil {
		return err
	}
	if z := db.znodes[string(key)]; z != nil {
		db.alter(string(key), z, func() { change(string(key), z) })
	}
	return nil
}

// closeSession removes a session with the ephemerals that the transaction names and all others it has (DataTree.killSession).
func (db *database) closeSession(h *header, paths wire.Strings) error {
	delete(db.sessions, h.session)
	for path, ok := paths.Next(); ok; path, ok = paths.Next() {
		if err := db.remove(path, h.zxid); err != nil {
			return err
		}
	}
	db.dropOwned(h.session, h.zxid)
	return nil
}

func (db *database) dropOwned(session, zxid int64) (n int) {
	for key := range db.owned[session] {
		db.drop(key, zxid)
		n++
	}
	delete(db.owned, session)
	return n
}

// digestVersion is the version of ZooKeeper's digest that is computed here.
const digestVersion = 2

// digestOf is the share of a znode in the digest (DigestCalculator): the CRC-32 of path, data and stat. Those below /zookeeper have
// none. The digest is the sum of all.
func digestOf(key string, z *tree.Imported) uint64 {
	path := tree.AppendPath(nil, []byte(key))
	if bytes.HasPrefix(path, []byte("/zookeeper/")) {
		return 0
	}
	var stat [60]byte
	b, be := stat[:0], binary.BigEndian
	for _, v := range []int64{int64(z.Czxid), int64(z.Mzxid), int64(z.Pzxid), z.Ctime, z.Mtime} {
		b = be.AppendUint64(b, uint64(v))
	}
	for _, v := range []int32{z.Version, z.Creates, z.Aversion} {
		b = be.AppendUint32(b, uint32(v))
	}
	b = be.AppendUint64(b, uint64(z.Owner))
	crc := crc32.ChecksumIEEE(path)
	crc = crc32.Update(crc, crc32.IEEETable, z.Data)
	return uint64(crc32.Update(crc, crc32.IEEETable, b))
}
