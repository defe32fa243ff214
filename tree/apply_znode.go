package tree

import (
	"fmt"
)

// createMode is what the opcode and flags of a create ask for
// (PrepRequestProcessor.pRequest2TxnCreate, CreateMode.fromFlag).
type createMode struct {
	kind       kind
	sequential bool
}

// modeOf follows the checks of a create before the path. A TTL flag through an
// opcode that carries no TTL counts as a TTL of -1.
func modeOf(op Op, c *Create, rules Rules) (createMode, Code) {
	if c.Flags < FlagPersistent || c.Flags > FlagTTLSequential {
		return createMode{}, BadArguments
	}
	m := createMode{sequential: c.Flags&2 != 0 && c.Flags != FlagContainer}
	isTTL := c.Flags == FlagTTL || c.Flags == FlagTTLSequential
	switch {
	case isTTL && rules&RuleTTL == 0:
		return m, Unimplemented
	case isTTL != (op == OpCreateTTL):
		return m, BadArguments
	case isTTL:
		if c.TTLMs <= 0 || c.TTLMs > TTLMsMax {
			return m, BadArguments
		}
		m.kind = ttl
	case op == OpCreateContainer:
		m.kind = container
	case c.Flags == FlagEphemeral, c.Flags == FlagEphemeralSequential:
		m.kind = ephemeral
	}
	return m, OK
}

func (s *State) create(r *MultiResult, c *Create) (Code, error) {
	mode, code := modeOf(r.Op, c, s.rules)
	if code != OK {
		return code, nil
	}
	path := c.Path
	parent, name, ok := cutPath(path)
	if !ok {
		return BadArguments, nil
	}
	acl, code, err := fixACL(c.ACL, s.head.IDs, s.rules)
	if err != nil || code != OK {
		return code, err
	}
	p := s.w.lookup(parent)
	if p == nil {
		return NoNode, nil
	}
	if ok, err := s.allowed(p.acl(), PermCreate); !ok {
		return NoAuth, err
	}
	if mode.sequential {
		path = appendSequence(path, p.creates())
		parent, name = path[:len(parent)], path[len(parent)+1:]
	}
	switch {
	case !validPath(path) || len(path) > keyBytesMax:
		return BadArguments, nil
	case len(name) == 0 || p.child(name) != nil: // no name: "/" itself
		return NodeExists, nil
	case kindOf(p.owner()) == ephemeral:
		return NoChildrenForEphemerals, nil
	}
	if code := s.checkQuota(path, int64(len(c.Data)), 1); code != OK {
		return code, nil
	}
	f := fields{name: name, data: c.Data, acl: acl, owner: s.ownerOf(mode.kind, c)}
	f.created(s.cur.zxid, s.timeMs)
	parentACL := p.acl()
	z := s.add(p, parent, path, &f)
	r.Path = stringOf(path)
	z.putStat(&r.Stat)
	if belowQuota(parent) && string(name) == statsName {
		s.startStats(parent[len(quotaPath):], z)
	}
	s.countQuota(path, int64(len(c.Data)), 1)
	s.changed(NodeCreated, path, acl)
	s.changed(NodeChildrenChanged, parent, parentACL)
	return OK, nil
}

func (s *State) ownerOf(k kind, c *Create) int64 {
	switch k {
	case ephemeral:
		return int64(s.head.Session)
	case container:
		return containerOwner
	case ttl:
		return ttlOwner(c.TTLMs)
	}
	return 0
}

// appendSequence makes path with the parent's count of creates as %010d of an
// int32: after 2147483647 comes -2147483648.
func appendSequence(path []byte, creates int32) []byte {
	dst := make([]byte, 0, len(path)+11)
	return fmt.Appendf(append(dst, path...), "%010d", creates)
}

func (s *State) delete(path []byte, version int32) (Code, error) {
	parent, name, ok := cutPath(path)
	if !ok || reserved(path) {
		return BadArguments, nil
	}
	p := s.w.lookup(parent)
	if p == nil {
		return NoNode, nil
	}
	if ok, err := s.allowed(p.acl(), PermDelete); !ok {
		return NoAuth, err
	}
	z := childAt(p, parent, name)
	switch {
	case z == nil:
		return NoNode, nil
	case version != -1 && version != z.version():
		return BadVersion, nil
	case z.numChildren() != 0:
		return NotEmpty, nil
	}
	s.erase(p, parent, path, z)
	return OK, nil
}

// childAt is the znode at parent/name. The root is found as "/" too, which is what is left of a path like "//a"; but
// nothing has such a path.
func childAt(p *znode, parent, name []byte) *znode {
	if len(parent) == 1 {
		return nil
	}
	return p.child(name)
}

// erase deletes a childless znode and notes the events.
func (s *State) erase(p *znode, parent, path []byte, z *znode) {
	acl, parentACL, dataLen := z.acl(), p.acl(), z.dataLen()
	s.drop(p, parent, path, z, s.cur.zxid)
	s.countQuota(path, -int64(dataLen), -1)
	s.changed(NodeDeleted, path, acl)
	s.changed(NodeChildrenChanged, parent, parentACL)
}

// deleteContainer is the removal of a container as a client may ask for it.
// Only containers and TTL nodes can go this way, and DELETE on the parent is
// needed; ZooKeeper checks no permission here.
func (s *State) deleteContainer(path []byte) (Code, error) {
	parent, name, ok := cutPath(path)
	if !ok || reserved(path) {
		return BadArguments, nil
	}
	p := s.w.lookup(parent)
	if p == nil {
		return NoNode, nil
	}
	z := childAt(p, parent, name)
	if z == nil {
		return NoNode, nil
	}
	if z.numChildren() != 0 {
		return NotEmpty, nil
	}
	if k := kindOf(z.owner()); k != container && k != ttl {
		return BadVersion, nil
	}
	if ok, err := s.allowed(p.acl(), PermDelete); !ok {
		return NoAuth, err
	}
	s.erase(p, parent, path, z)
	return OK, nil
}

// reap is the ensemble's own removal of a container or TTL node, which since
// the leader looked may have got children or been written.
func (s *State) reap(t *Txn, body []byte) (Code, error) {
	neverUsedMs, path, err := parseReap(body)
	if err != nil {
		return OK, err
	}
	parent, _, ok := cutPath(path)
	if !ok || reserved(path) {
		return BadArguments, nil
	}
	z := s.w.lookup(path)
	switch {
	case z == nil:
		return NoNode, nil
	case !reapable(z, s.timeMs, neverUsedMs):
		return BadVersion, nil
	}
	s.take(t)
	s.erase(s.w.lookup(parent), parent, path, z)
	return OK, nil
}

func (s *State) setData(r *MultiResult, d *SetData) (Code, error) {
	if !validPath(d.Path) {
		return BadArguments, nil
	}
	z := s.w.lookup(d.Path)
	if z == nil {
		return NoNode, nil
	}
	if ok, err := s.allowed(z.acl(), PermWrite); !ok {
		return NoAuth, err
	}
	grown := int64(len(d.Data) - z.dataLen())
	if code := s.checkQuota(d.Path, grown, 0); code != OK {
		return code, nil
	}
	if d.Version != -1 && d.Version != z.version() {
		return BadVersion, nil
	}
	f := z.fields()
	f.data, f.mzxid, f.mtime, f.version = d.Data, s.cur.zxid, s.timeMs, nextVersion(f.version)
	z = s.replace(d.Path, z, &f)
	z.putStat(&r.Stat)
	s.countQuota(d.Path, grown, 0)
	s.changed(NodeDataChanged, d.Path, z.acl())
	return OK, nil
}

// nextVersion skips -1, which as an argument means any version
// (ZOOKEEPER-4743).
func nextVersion(v int32) int32 {
	if v++; v == -1 {
		v = 0
	}
	return v
}

func (s *State) setACL(r *MultiResult, path []byte, aversion int32, encoded []byte) (Code, error) {
	if !validPath(path) {
		return BadArguments, nil
	}
	acl, code, err := fixACL(encoded, s.head.IDs, s.rules)
	if err != nil || code != OK {
		return code, err
	}
	z := s.w.lookup(path)
	if z == nil {
		return NoNode, nil
	}
	if ok, err := s.allowed(z.acl(), PermAdmin); !ok {
		return NoAuth, err
	}
	if aversion != -1 && aversion != z.aversion() {
		return BadVersion, nil
	}
	f := z.fields()
	f.acl, f.aversion = acl, nextVersion(f.aversion)
	s.replace(path, z, &f).putStat(&r.Stat)
	return OK, nil
}

func (s *State) check(path []byte, version int32) (Code, error) {
	if !validPath(path) {
		return BadArguments, nil
	}
	z := s.w.lookup(path)
	if z == nil {
		return NoNode, nil
	}
	if ok, err := s.allowed(z.acl(), PermRead); !ok {
		return NoAuth, err
	}
	if version != -1 && version != z.version() {
		return BadVersion, nil
	}
	return OK, nil
}
