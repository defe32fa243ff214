package tree

import (
	"fmt"
	"slices"
)

// State is the writable tree. One goroutine owns it.
type State struct {
	w    writer // w.top is the tree as it is now
	cur  Root   // everything else as it is now; cur.top is set by freeze
	root *Root  // the last frozen state
	same bool   // nothing changed since root

	plain *slabs // where a Loader put plain leaves, and where they go from Reuse on

	// The batch and command at work.
	local   uint32
	term    uint64
	timeMs  int64
	rules   Rules
	head    CommandHeader
	ids     []ID // of the caller, if idsRead
	idsRead bool
	logging bool      // changes go to log
	log     []undo    // of the multi at work
	ops     []multiOp // of the multi at work; short ones share the memory
	out     Applied
	changes int // per command, a guess
}

// New makes the state of a fresh server: /, /zookeeper, /zookeeper/quota and
// /zookeeper/config as ZooKeeper has them (the DataTree constructor).
func New() *State {
	s := &State{cur: Root{line: new(lineage)}}
	s.cur.gone = newGone()
	s.w.edit = s.w.edit.next()
	top := fields{data: []byte{}}
	z := top.pack(s.w.owner)
	s.w.top = z.slot()
	s.cur.pathBytes = 1
	s.cur.sum = znodeSum(nil, z)
	s.plant("", "zookeeper", nil)
	s.plant(zookeeperPath, "quota", nil)
	readOnly := internACL(AppendACL(nil, PermRead, []byte("world"), []byte("anyone")))
	s.plant(zookeeperPath, "config", readOnly)
	config := s.w.lookup([]byte(configPath))
	f := config.fields()
	f.aversion = -1
	s.replace([]byte(configPath), config, &f)
	s.freeze()
	return s
}

// plant makes a znode of a fresh server. Unlike a create it does not count in
// the parent's cversion, which therefore shows -1 for each child.
func (s *State) plant(parent, name string, acl *ACLList) {
	path := []byte(parent + "/" + name)
	s.add(s.w.lookup([]byte(parent)), []byte(parent), path, &fields{name: []byte(name), data: []byte{}, acl: acl})
	p := s.w.lookup([]byte(parent))
	f := p.fields()
	f.creates = 0
	s.replace([]byte(parent), p, &f)
}

// Root is the current published state, the one of the last Apply.
func (s *State) Root() *Root { return s.root }

// freeze makes the state as it is now a Root.
func (s *State) freeze() *Root {
	if !s.same {
		r := s.cur
		r.edit = s.w.edit
		r.top = s.w.freeze()
		r.size = size{r.top.descendants(), r.top.subtreeBytes()}
		if s.plain != nil {
			r.slabBytes = s.plain.bytes
		}
		s.root, s.same = &r, true
	}
	return s.root
}

// restore goes back to the last frozen state.
func (s *State) restore(r *Root) {
	s.w.restore(r.top)
	if s.w.memory != nil {
		s.w.memory.abandon()
	}
	s.cur, s.root, s.same = *r, r, true
}

// The four changes below are all that ever happens to znodes; they keep the
// digest and the counts of Root.

// add creates the znode f at path, which is parent + "/" + f.name; p is at parent.
func (s *State) add(p *znode, parent, path []byte, f *fields) *znode {
	s.same = false
	ps, creates := pathSum(parent), p.creates()
	if s.logging {
		s.log = append(s.log, undo{undoAdd, path, parent, nil, p.pzxid(), creates})
	}
	s.cur.sum -= dirSum(ps, p.pzxid(), creates)
	z := s.w.create(parent, f)
	s.cur.sum += dirSum(ps, f.czxid, creates+1) + znodeSum(path, z)
	s.cur.pathBytes += int64(len(path))
	switch kindOf(f.owner) {
	case ephemeral:
		s.cur.ephemerals++
		s.ownSession(SessionID(f.owner)).paths.put(path, &present{}, s.w.edit)
	case container, ttl:
		s.cur.reapable.put(path, &present{}, s.w.edit)
	}
	if limitsBelowQuota(parent, f.name) {
		s.cur.limits++
	}
	return z
}

// drop deletes the childless znode z at path, which is parent + "/" + its name;
// p is at parent.
func (s *State) drop(p *znode, parent, path []byte, z *znode, zxid Zxid) {
	s.same = false
	ps, name := pathSum(parent), z.name()
	if s.logging {
		s.log = append(s.log, undo{undoDrop, path, parent, z, p.pzxid(), p.creates()})
	}
	s.cur.sum -= dirSum(ps, p.pzxid(), p.creates()) + znodeSum(path, z)
	s.cur.sum += dirSum(ps, zxid, p.creates())
	s.cur.pathBytes -= int64(len(path))
	switch owner := z.owner(); kindOf(owner) {
	case ephemeral:
		s.cur.ephemerals--
		s.ownSession(SessionID(owner)).paths.delete(path, s.w.edit)
	case container, ttl:
		s.cur.reapable.delete(path, s.w.edit)
	}
	if limitsBelowQuota(parent, name) {
		s.cur.limits--
	}
	s.cur.gone.add(path)
	s.w.delete(parent, name, zxid)
}

// replace puts f in the place of z at path: new data, ACL or stat.
func (s *State) replace(path []byte, z *znode, f *fields) *znode {
	s.same = false
	if s.logging {
		s.log = append(s.log, undo{kind: undoReplace, path: path, old: z})
	}
	s.cur.sum -= znodeSum(path, z)
	n := s.w.replace(path, f)
	s.cur.sum += znodeSum(path, n)
	return n
}

// ownSession is the session, which is there, as this edit's own. Its Session
// part must not be changed through it: see putSession.
func (s *State) ownSession(id SessionID) *session {
	key := sessionKey(id)
	old := s.cur.sessions.get(key[:])
	if old == nil {
		panic(fmt.Sprintf("tree: T5: ephemeral of session %#x, which is not open", uint64(id)))
	}
	if old.edit == s.w.edit {
		return old
	}
	c := *old
	c.edit = s.w.edit
	s.cur.sessions.put(key[:], &c, s.w.edit)
	return &c
}

// putSession opens a session or changes one.
func (s *State) putSession(n Session) {
	s.same = false
	key := sessionKey(n.ID)
	next := &session{Session: n, edit: s.w.edit}
	if old := s.cur.sessions.get(key[:]); old != nil {
		s.cur.sum -= sessionSum(&old.Session)
		next.paths = old.paths
	}
	s.cur.sum += sessionSum(&n)
	s.cur.sessions.put(key[:], next, s.w.edit)
}

// dropSession forgets a session that has no ephemerals any more.
func (s *State) dropSession(old *session) {
	s.same = false
	key := sessionKey(old.ID)
	s.cur.sum -= sessionSum(&old.Session)
	s.cur.sessions.delete(key[:], s.w.edit)
}

// ephemeralPaths lists the paths of a session's ephemerals in byte order. They
// stay valid and are not written.
func (old *session) ephemeralPaths() [][]byte {
	paths := make([][]byte, 0, old.paths.len)
	old.paths.walk(nil, func(path []byte, _ *present) bool {
		paths = append(paths, slices.Clip(path))
		return true
	})
	return paths
}
