package tree

import "bytes"

// Loader makes a State from its stored form, bottom-up: no lookup, no edit, each object allocated once at its final
// size. What is not stored is counted on the way, and the digest of the result is compared with the stored one: an image that
// lost, kept or changed anything does not load. The zero Loader is ready; after an error it is of no use.
type Loader struct {
	znodes  znodeLoader
	root    Root
	digest  uint64
	started bool
	path    []byte                        // of the last znode; "" is the root
	owned   map[SessionID]*table[present] // ephemerals whose session has not come yet
}

// Add takes the next key and value, in ascending order, as Diff from nil gives them. Both may be reused after the call. The
// error wraps ErrCorrupt or ErrNewerFormat.
func (l *Loader) Add(key, value []byte) error {
	if len(key) == 0 {
		return corruptf("empty key")
	}
	if !l.started && key[0] != keyMeta {
		return corruptf("the first key is %q, not that of zxid and digest", key)
	}
	switch {
	case key[0] == keyMeta && len(key) == 1 && !l.started:
		l.started = true
		var err error
		l.digest, err = parseMetaValue(value, &l.root)
		return err
	case key[0] == keyZnode && l.root.sessions.root == nil:
		return l.addZnode(key, value)
	case key[0] == keySession:
		return l.addSession(key[1:], value)
	}
	return corruptf("unexpected key %q", key)
}

func (l *Loader) addZnode(key, value []byte) error {
	z, err := l.znodes.add(key, value)
	if err == nil {
		l.count(key, z)
	}
	return err
}

// count takes note of what is kept beside the tree of znodes: sizes, digest, indexes.
func (l *Loader) count(key []byte, z *znode) {
	r := &l.root
	if len(key) == 1 {
		r.pathBytes++
		r.sum += znodeSum(nil, z)
		return
	}
	parent := l.path[:len(key)-len(z.name())-2] // the key has one byte in front and one between
	l.path = append(append(parent, '/'), z.name()...)
	r.pathBytes += int64(len(l.path))
	r.sum += znodeSum(l.path, z)
	switch owner := z.owner(); kindOf(owner) {
	case ephemeral:
		l.addEphemeral(SessionID(owner))
	case container, ttl:
		r.reapable.put(l.path, &present{}, 0)
	}
	if limitsBelowQuota(parent, z.name()) {
		r.limits++
	}
}

func (l *Loader) addEphemeral(id SessionID) {
	paths := l.owned[id]
	if paths == nil {
		if l.owned == nil {
			l.owned = make(map[SessionID]*table[present])
		}
		paths = &table[present]{}
		l.owned[id] = paths
	}
	paths.put(l.path, &present{}, 0)
	l.root.ephemerals++
}

func (l *Loader) addSession(id, value []byte) error {
	s, err := parseSessionValue(id, value)
	if err != nil {
		return err
	}
	n := &session{Session: s}
	if paths := l.owned[s.ID]; paths != nil {
		n.paths = *paths
		delete(l.owned, s.ID)
	}
	if l.root.sessions.has(id) {
		return corruptf("session %#x comes twice", uint64(s.ID))
	}
	l.root.sessions.put(id, n, 0)
	l.root.sum += sessionSum(&s)
	return nil
}

// Finish is the State, once all has been added. The error wraps ErrCorrupt.
func (l *Loader) Finish() (*State, error) {
	s, err := l.state()
	if err != nil {
		return nil, err
	}
	if got := l.root.Digest(); got != l.digest {
		return nil, corruptf("digest %016x at zxid %#x, %016x was stored", got, uint64(l.root.zxid), l.digest)
	}
	return s, nil
}

func (l *Loader) state() (*State, error) {
	top, err := l.znodes.finish()
	if err != nil {
		return nil, err
	}
	for id := range l.owned {
		return nil, corruptf("session %#x has ephemerals and is not there", uint64(id))
	}
	l.root.top, l.root.gone = top, newGone()
	s := &State{w: writer{owner: owner{edit: edit(0).next()}, top: top.slot()}, cur: l.root, plain: l.znodes.plain}
	s.cur.line = new(lineage)
	s.freeze()
	return s, nil
}

// znodeLoader makes the tree of znodes from their keys and values in ascending order. Open are the directories on the way to the
// last znode added, and that one, of which the next key tells whether it has children.
//
//	last key  n 00 app 00 service-00017 00 instance-0000000042
//	open        "/" ─▶ /app ─▶ /app/service-00017             each with a builder for its children
//	last                                            ─▶ instance-0000000042
type znodeLoader struct {
	open  []directory
	last  *znode
	key   []byte // of last
	acls  aclCache
	f     fields
	plain *slabs
}

type directory struct {
	z           *znode
	keyLen      int
	children    builder
	numChildren int32
	descendants int64
	dataBytes   int64
}

// add takes the next znode.
func (l *znodeLoader) add(key, value []byte) (*znode, error) {
	if err := l.begin(key); err != nil {
		return nil, err
	}
	if err := parseZnodeValue(value, &l.f, &l.acls); err != nil {
		return nil, err
	}
	return l.end(key), nil
}

// begin goes to where the next znode belongs and names it; its other fields are the caller's to fill in.
func (l *znodeLoader) begin(key []byte) error {
	cut := bytes.LastIndexByte(key, 0)
	if err := l.descend(key, cut); err != nil {
		return err
	}
	l.f = fields{name: key[cut+1:]}
	if cut < 0 {
		l.f.name = nil
	}
	return nil
}

// end puts the znode that was begun in its place.
func (l *znodeLoader) end(key []byte) *znode {
	if l.plain == nil {
		l.plain = &slabs{}
	}
	l.last = l.f.pack(owner{plain: l.plain})
	l.key = append(l.key[:0], key...)
	return l.last
}

// descend closes what key has left, so that the last open directory is its parent, whose key is key[:cut].
func (l *znodeLoader) descend(key []byte, cut int) error {
	if l.last == nil {
		if len(key) != 1 {
			return corruptf("the first znode is %q, not the root", key)
		}
		return nil
	}
	if cut < 0 || cut > len(l.key) || !bytes.Equal(key[:cut], l.key[:cut]) {
		return corruptf("%q follows %q without its parent", key, l.key)
	}
	if name := key[cut+1:]; len(name) == 0 || len(name) > keyBytesMax || bytes.IndexByte(name, '/') >= 0 {
		return corruptf("%q is no name of a znode", name)
	}
	if cut == len(l.key) {
		l.push()
		return nil
	}
	z := l.last
	for {
		top := &l.open[len(l.open)-1]
		if err := top.add(z); err != nil {
			return err
		}
		if top.keyLen == cut {
			return nil
		}
		if top.keyLen < cut {
			return corruptf("%q follows %q without its parent", key, l.key)
		}
		z = l.pop()
	}
}

// push makes the last znode an open directory. Directories of the same depth share the memory of their builders.
func (l *znodeLoader) push() {
	if len(l.open) < cap(l.open) {
		l.open = l.open[:len(l.open)+1]
	} else {
		l.open = append(l.open, directory{})
	}
	top := &l.open[len(l.open)-1]
	*top = directory{z: l.last, keyLen: len(l.key), children: builder{frames: top.children.frames[:0]}}
}

// pop closes the last open directory.
func (l *znodeLoader) pop() *znode {
	top := &l.open[len(l.open)-1]
	l.open = l.open[:len(l.open)-1]
	z := top.z.asDir(owner{})
	if z != top.z {
		l.plain.give(&top.z.leaf)
	}
	d := z.dir()
	d.children = top.children.finish(0)
	d.numChildren, d.descendants, d.dataBytes = top.numChildren, top.descendants, top.dataBytes
	return z
}

func (d *directory) add(z *znode) error {
	if err := d.children.add(&z.leaf, 0); err != nil {
		return corruptf("names: %v", err)
	}
	d.numChildren++
	d.descendants += 1 + z.descendants()
	d.dataBytes += z.subtreeBytes()
	return nil
}

// finish is the root.
func (l *znodeLoader) finish() (*znode, error) {
	if l.last == nil {
		return nil, corruptf("no znode")
	}
	z := l.last
	for len(l.open) > 0 {
		if err := l.open[len(l.open)-1].add(z); err != nil {
			return nil, err
		}
		z = l.pop()
	}
	return z, nil
}
