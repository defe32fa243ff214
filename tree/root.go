package tree

import (
	"bytes"
	"encoding/binary"
	"math"
)

// Root is the whole replicated state at one point: immutable, readable by any
// number of goroutines without a lock, valid for as long as somebody holds it;
// its znodes, if its State uses memory again (Reuse), as long as a Reader or a
// Hold says so.
//
//	Root ─▶ top        znodes, each with the radix tree of its children
//	     ─▶ sessions   8 bytes of id, big-endian ─▶ session ─▶ paths of its ephemerals
//	     ─▶ reapable   paths of all container and TTL nodes
//	     ─▶ members    cluster id, ensemble, pending reconfig
type Root struct {
	zxid     Zxid
	top      *znode
	sessions table[session]
	reapable table[present]
	members  *membership // nil: no cluster id, no ensemble

	pathBytes  int64  // of all znodes, "/" included
	ephemerals int64  // znodes owned by sessions
	limits     int64  // zookeeper_limits nodes below /zookeeper/quota
	sum        uint64 // see digest.go

	edit edit // the last one in it
	gone gone
	line *lineage
	size size

	slabBytes int
}

// size is what the top znode counts, for those who look at a Root that nobody keeps for them (M4).
type size struct{ znodes, dataBytes int64 }

// session is the value of the sessions table. It is written only under the
// edit it carries (R3).
type session struct {
	Session
	edit  edit
	paths table[present]
}

// present is the value of tables that are sets.
type present struct{}

func sessionKey(id SessionID) (key [8]byte) {
	binary.BigEndian.PutUint64(key[:], uint64(id))
	return key
}

// Zxid is the last transaction in this state.
func (r *Root) Zxid() Zxid { return r.zxid }

// Lookup finds a znode. "" and "/" are the root; a path that ZooKeeper would
// refuse is not found. Nothing is allocated.
func (r *Root) Lookup(path []byte) (Node, bool) {
	z := lookup(r.top, path)
	return Node{z}, z != nil
}

// NodeCount counts znodes as ZooKeeper does, which knows the root under two
// names: an empty server has 5.
func (r *Root) NodeCount() int64 { return r.size.znodes + 2 }

// DataBytes is ZooKeeper's approximate_data_size: bytes of all paths and data.
func (r *Root) DataBytes() int64 { return r.pathBytes + r.size.dataBytes }

// SlabBytes is memory of the State that made this Root in which there is nothing for Go's collector to do: most of a tree, once its
// State uses memory again.
func (r *Root) SlabBytes() int64 { return int64(r.slabBytes) }

// EphemeralCount counts ephemeral znodes.
func (r *Root) EphemeralCount() int64 { return r.ephemerals }

// SessionCount counts open sessions.
func (r *Root) SessionCount() int { return r.sessions.len }

// Session finds a session.
func (r *Root) Session(id SessionID) (Session, bool) {
	key := sessionKey(id)
	s := r.sessions.get(key[:])
	if s == nil {
		return Session{}, false
	}
	return s.Session, true
}

// Sessions visits all sessions in ascending unsigned order of their ids until
// visit returns false.
func (r *Root) Sessions(visit func(Session) bool) {
	r.sessions.walk(nil, func(_ []byte, s *session) bool { return visit(s.Session) })
}

// Ephemerals visits the paths of a session's ephemerals in byte order until
// visit returns false. path is valid as long as the Root and must not be written.
func (r *Root) Ephemerals(id SessionID, visit func(path []byte) bool) {
	key := sessionKey(id)
	if s := r.sessions.get(key[:]); s != nil {
		s.paths.walk(nil, func(path []byte, _ *present) bool { return visit(path) })
	}
}

// Reapable visits containers that had children and are empty, TTL nodes that
// are childless and expired at nowMs, and, if neverUsedMs > 0, containers
// older than that which never had a child: at most max, in path order
// (ContainerManager.getCandidates). Its cost follows the number of container
// and TTL nodes, not the tree. path is valid as long as the Root.
func (r *Root) Reapable(nowMs, neverUsedMs int64, max int, visit func(path []byte) bool) {
	r.reapable.walk(nil, func(path []byte, _ *present) bool {
		if max <= 0 {
			return false
		}
		if !reapable(lookup(r.top, path), nowMs, neverUsedMs) {
			return true
		}
		max--
		return visit(path)
	})
}

// Quotas visits all quotas in path order until visit returns false.
func (r *Root) Quotas(visit func(Quota) bool) {
	if r.limits == 0 {
		return
	}
	visitQuotas(lookup(r.top, []byte(quotaPath)), nil, visit)
}

// Node is a znode in a Root: a small value to be passed by value.
type Node struct{ z *znode }

// Stat is the znode's stat as a client sees it: cversion counts creates and
// deletes, the owner of container and TTL nodes is hidden.
func (n Node) Stat() Stat { return n.z.stat() }

// PutStat is Stat into memory of the caller: a copy right after the fields were written costs more than writing them.
func (n Node) PutStat(s *Stat) { n.z.putStat(s) }

// Data is the znode's data: nil when null, non-nil when empty. It aliases the
// tree and must not be written.
func (n Node) Data() []byte { return n.z.data() }

// ACL is the znode's ACL; nil is world:anyone ALL.
func (n Node) ACL() *ACLList { return n.z.acl() }

// NumChildren counts the direct children.
func (n Node) NumChildren() int { return int(n.z.numChildren()) }

// Children visits the names of the children in byte order, from the first one
// greater than after (nil: from the start), until visit returns false. name is
// valid as long as the Root and must not be written.
func (n Node) Children(after []byte, visit func(name []byte) bool) {
	// No name has a NUL, so what follows "a\x00..." is what follows "a" (R4).
	if i := bytes.IndexByte(after, 0); i >= 0 {
		after = after[:i]
	}
	n.z.walkChildren(after, func(z *znode) bool { return visit(z.name()) })
}

// Descendants counts all znodes below this one in O(1). For "/" ZooKeeper's
// getAllChildrenNumber says the same: 3 on an empty server.
func (n Node) Descendants() int64 { return n.z.descendants() }

// stat is ZooKeeper's DataNode.copyStat.
func (z *znode) stat() (s Stat) {
	z.putStat(&s)
	return s
}

func (z *znode) putStat(s *Stat) {
	s.Czxid, s.Mzxid, s.Pzxid = z.czxid, z.czxid, z.czxid
	s.Ctime, s.Mtime = z.ctime, z.ctime
	s.Version, s.Cversion, s.Aversion = 0, 0, 0
	s.DataLength, s.NumChildren = int32(z.dataLen()), 0
	s.EphemeralOwner = 0
	if m := z.mod(); m != nil {
		s.Mzxid, s.Mtime, s.Version, s.Aversion = m.mzxid, m.mtime, m.version, m.aversion
	}
	if d := z.dir(); d != nil {
		s.Pzxid, s.NumChildren, s.Cversion = d.pzxid, d.numChildren, 2*d.creates-d.numChildren
	}
	if owner := z.owner(); kindOf(owner) == ephemeral {
		s.EphemeralOwner = SessionID(owner)
	}
}

// kind is what the stored ephemeralOwner of a znode makes of it.
type kind uint8

const (
	persistent kind = iota
	ephemeral
	container
	ttl
)

// Stored ephemeralOwner of container and TTL nodes (EphemeralType).
const (
	containerOwner = math.MinInt64
	ttlOwnerMask   = -1 << 40 // 0xff, 16 reserved bits, then 40 bits of TTL
	ttlOwnerBits   = -1 << 56 // with all reserved bits zero
)

func ttlOwner(ttlMs int64) int64 { return ttlOwnerBits | ttlMs }

func kindOf(owner int64) kind {
	switch {
	case owner == 0:
		return persistent
	case owner == containerOwner:
		return container
	case owner&ttlOwnerMask == ttlOwnerBits:
		return ttl
	}
	return ephemeral
}

// reapable says whether the server may remove z by itself at nowMs.
func reapable(z *znode, nowMs, neverUsedMs int64) bool {
	if z == nil || z.numChildren() != 0 {
		return false
	}
	age := nowMs - z.mtime()
	switch kindOf(z.owner()) {
	case container:
		return z.creates() != 0 || neverUsedMs > 0 && age > neverUsedMs
	case ttl:
		return age > z.owner()&^ttlOwnerMask
	}
	return false
}
