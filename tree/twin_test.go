package tree

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"
)

// twin is the state machine once more, slow and obvious: a map from path to
// znode, whole copies for multi, children found by looking at every path. It
// is written from the reference's description and shares nothing with the
// tree but the types.
type twin struct {
	nodes    map[string]*twinZnode
	sessions map[SessionID]Session
	zxid     Zxid
	ensemble twinEnsemble

	now     int64
	rules   Rules
	changes []twinChange
}

type twinZnode struct {
	data                       []byte // nil: null
	acl                        []ACL
	czxid, mzxid, pzxid        Zxid
	ctime, mtime               int64
	version, creates, aversion int32
	session                    SessionID // of an ephemeral
	container                  bool
	ttl                        int64 // of a TTL node
}

type twinChange struct {
	kind EventKind
	path string
	acl  []ACL
}

// call is a command before it is encoded.
type call struct {
	op         Op
	session    SessionID
	origin     Origin
	ids        []ID
	keepBefore bool

	path      string
	data      []byte
	acl       []ACL
	flags     int32
	ttl       int64
	version   int32
	ops       []call
	id        SessionID // of session commands
	timeoutMs int32
	password  [16]byte
	ifOwner   bool
	owner     Origin // of an expiry
	neverUsed int64
	code      Code // of OpError, which consumes a zxid if flags is not 0
	members   twinReconfig
}

type twinResult struct {
	code  Code
	zxid  Zxid
	path  string
	stat  Stat
	multi []MultiResult

	answers *call // of the end of a reconfig: what it answers
	begun   bool  // a reconfig that is answered later
	data    string
}

var openTwin = []ACL{{31, ID{"world", "anyone"}}}

func newTwin() *twin {
	t := &twin{nodes: map[string]*twinZnode{}, sessions: map[SessionID]Session{}}
	for _, p := range []string{"/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"} {
		t.nodes[p] = &twinZnode{data: []byte{}, acl: openTwin}
	}
	t.nodes["/zookeeper/config"].acl = []ACL{{1, ID{"world", "anyone"}}}
	t.nodes["/zookeeper/config"].aversion = -1
	return t
}

func (t *twin) get(path string) *twinZnode {
	if path == "" {
		path = "/"
	}
	return t.nodes[path]
}

func twinParent(path string) string {
	p := path[:strings.LastIndex(path, "/")]
	if p == "" {
		return "/"
	}
	return p
}

func (t *twin) children(path string) []string {
	var names []string
	for p := range t.nodes {
		if p != "/" && twinParent(p) == path {
			names = append(names, p[strings.LastIndex(p, "/")+1:])
		}
	}
	sort.Strings(names)
	return names
}

func (t *twin) below(path string) (count, bytes int64) {
	for p, n := range t.nodes {
		if p != path && strings.HasPrefix(p, strings.TrimSuffix(path, "/")+"/") {
			count++
			bytes += int64(len(n.data))
		}
	}
	return count, bytes
}

func (t *twin) stat(path string) Stat {
	n := t.nodes[path]
	kids := int32(len(t.children(path)))
	return Stat{
		Czxid: n.czxid, Mzxid: n.mzxid, Ctime: n.ctime, Mtime: n.mtime, Version: n.version,
		Cversion: n.creates*2 - kids, Aversion: n.aversion, EphemeralOwner: n.session,
		DataLength: int32(len(n.data)), NumChildren: kids, Pzxid: n.pzxid,
	}
}

func (t *twin) clone() *twin {
	c := *t
	c.nodes = make(map[string]*twinZnode, len(t.nodes))
	for p, n := range t.nodes {
		m := *n
		c.nodes[p] = &m
	}
	c.sessions = maps.Clone(t.sessions)
	c.ensemble.members = maps.Clone(t.ensemble.members)
	c.changes = slices.Clone(t.changes)
	return &c
}

// apply runs one call.
func (t *twin) apply(term uint64, c *call) twinResult {
	r := twinResult{}
	next := max(t.zxid+1, Zxid(term)<<32)
	switch c.op {
	case OpAttachSession:
		r.code = t.attach(c)
	case OpExpire:
		s, open := t.sessions[c.id]
		switch {
		case !open:
			r.code = SessionExpired
		case c.owner != Origin{} && c.owner != s.Owner:
			r.code = SessionMoved
		default:
			t.zxid = next
			t.end(c.id)
		}
	case OpReap:
		r.code = t.reapTwin(c, next)
	case OpError:
		r.code = c.code
		if c.flags != 0 {
			t.zxid = next
		}
	case OpReconfig, OpReconfigDone, OpBootstrap, OpRecover:
		t.membership(next, c, &r)
	default:
		t.zxid = next
		t.write(c, &r)
	}
	r.zxid = t.zxid
	return r
}

func (t *twin) write(c *call, r *twinResult) {
	switch c.op {
	case OpOpenSession:
		_, open := t.sessions[c.id]
		switch {
		case c.id == 0 || uint64(c.id) == 1<<63 || uint64(c.id)>>40 == 0xff0000:
			r.code = BadArguments
		case open:
			r.code = NodeExists
		default:
			t.sessions[c.id] = Session{c.id, c.timeoutMs, c.password, c.origin}
		}
	case OpCloseSession:
		s, open := t.sessions[c.id]
		switch {
		case !open:
			r.code = SessionExpired
		case c.ifOwner && s.Owner != c.origin:
			r.code = SessionMoved
		default:
			t.end(c.id)
		}
	case OpMulti:
		t.multi(c, r)
	default:
		if r.code = t.session(c); r.code == OK {
			t.operation(c, r)
		}
	}
}

func (t *twin) session(c *call) Code {
	s, open := t.sessions[c.session]
	if !open {
		return SessionExpired
	}
	if s.Owner != c.origin {
		return SessionMoved
	}
	return OK
}

func (t *twin) attach(c *call) Code {
	s, open := t.sessions[c.id]
	if !open {
		return SessionExpired
	}
	if s.Password != c.password {
		return AuthFailed
	}
	s.TimeoutMs, s.Owner = c.timeoutMs, c.origin
	t.sessions[c.id] = s
	return OK
}

func (t *twin) end(id SessionID) {
	var paths []string
	for p, n := range t.nodes {
		if n.session == id {
			paths = append(paths, p)
		}
	}
	sort.Strings(paths)
	for _, p := range paths {
		t.remove(p)
	}
	delete(t.sessions, id)
}

func (t *twin) multi(c *call, r *twinResult) {
	saved := t.clone()
	fail := func(at int, code Code) {
		zxid := t.zxid
		*t = *saved
		t.zxid = zxid
		r.multi = nil
		for i := range c.ops {
			e := OK
			if i == at {
				e = code
			} else if i > at {
				e = RuntimeInconsistency
			}
			r.multi = append(r.multi, MultiResult{Op: OpError, Code: e})
		}
	}
	if code := t.session(c); code != OK {
		r.code = code
		fail(0, code)
		return
	}
	for _, o := range c.ops {
		if (o.op == OpCreate || o.op == OpCreate2 || o.op == OpCreateContainer) && (o.flags < 0 || o.flags > 4) {
			r.code = MarshallingError
			return
		}
	}
	r.multi = []MultiResult{}
	for i, o := range c.ops {
		o.session, o.origin, o.ids = c.session, c.origin, c.ids
		if o.op == OpCreate || o.op == OpCreate2 || o.op == OpCreateContainer || o.op == OpCreateTTL {
			switch {
			case o.flags == 4:
				o.op = OpCreateContainer
			case o.op == OpCreateTTL && o.flags != 5 && o.flags != 6:
				o.op = OpCreate
			}
		}
		var one twinResult
		if t.operation(&o, &one); one.code != OK {
			fail(i, one.code)
			if one.code == MarshallingError {
				r.code, r.multi = one.code, nil
			}
			return
		}
		m := MultiResult{Op: o.op, Path: one.path, Stat: one.stat}
		switch o.op {
		case OpCreateContainer, OpCreateTTL:
			m.Op = OpCreate2
		case OpCreate:
			m.Stat = Stat{}
		}
		r.multi = append(r.multi, m)
	}
}

func (t *twin) operation(c *call, r *twinResult) {
	switch c.op {
	case OpCreate, OpCreate2, OpCreateContainer, OpCreateTTL:
		t.create(c, r)
	case OpDelete:
		r.code = t.delete(c)
	case OpDeleteContainer:
		r.code = t.deleteContainer(c)
	case OpSetData:
		t.setData(c, r)
	case OpSetACL:
		t.setACL(c, r)
	case OpCheck:
		r.code = t.check(c)
	default:
		panic(fmt.Sprint("twin: op ", c.op))
	}
}

func (t *twin) create(c *call, r *twinResult) {
	r.code = t.createCode(c, r)
}

func (t *twin) createCode(c *call, r *twinResult) Code {
	isTTL := c.flags == 5 || c.flags == 6
	if c.flags < 0 || c.flags > 6 {
		return BadArguments
	}
	if isTTL && t.rules&RuleTTL == 0 {
		return Unimplemented
	}
	if isTTL && (c.op != OpCreateTTL || c.ttl < 1 || c.ttl > 1099511627775) || !isTTL && c.op == OpCreateTTL {
		return BadArguments
	}
	path := c.path
	if !strings.Contains(path, "/") || strings.Contains(path, "\x00") {
		return BadArguments
	}
	acl, code := t.fix(c)
	if code != OK {
		return code
	}
	parentPath := path[:strings.LastIndex(path, "/")]
	parent := t.get(parentPath)
	if parent == nil {
		return NoNode
	}
	if !t.allowed(parent, c, 4) {
		return NoAuth
	}
	if c.flags == 2 || c.flags == 3 || c.flags == 6 {
		path += fmt.Sprintf("%010d", parent.creates)
	}
	if !twinValid(path) {
		return BadArguments
	}
	if t.nodes[path] != nil {
		return NodeExists
	}
	if parent.session != 0 {
		return NoChildrenForEphemerals
	}
	if code := t.quotaCode(path, int64(len(c.data)), 1); code != OK {
		return code
	}
	n := &twinZnode{
		data: slices.Clone(c.data), acl: acl, czxid: t.zxid, mzxid: t.zxid, pzxid: t.zxid,
		ctime: t.now, mtime: t.now,
	}
	switch {
	case isTTL:
		n.ttl = c.ttl
	case c.op == OpCreateContainer:
		n.container = true
	case c.flags == 1 || c.flags == 3:
		n.session = c.session
	}
	t.nodes[path] = n
	parent.creates++
	parent.pzxid = t.zxid
	r.path, r.stat = path, t.stat(path)
	if rest, ok := strings.CutPrefix(twinParent(path), "/zookeeper/quota"); ok && strings.HasSuffix(path, "/zookeeper_stats") &&
		(rest == "" || rest[0] == '/') {
		target := rest
		if rest == "" {
			target = "/"
		}
		count, bytes := int64(0), int64(0)
		if node := t.nodes[target]; node != nil {
			count, bytes = t.below(target)
			count++
			bytes += int64(len(node.data))
		}
		n.data = fmt.Appendf(nil, "count=%d,bytes=%d", count, bytes)
	}
	t.quotaAdd(path, int64(len(c.data)), 1)
	t.event(NodeCreated, path, acl)
	t.event(NodeChildrenChanged, twinParent(path), parent.acl)
	return OK
}

func (t *twin) delete(c *call) Code {
	if !strings.Contains(c.path, "/") || strings.Contains(c.path, "\x00") || twinReserved(c.path) {
		return BadArguments
	}
	parent := t.get(c.path[:strings.LastIndex(c.path, "/")])
	if parent == nil {
		return NoNode
	}
	if !t.allowed(parent, c, 8) {
		return NoAuth
	}
	n := t.nodes[c.path]
	if n == nil {
		return NoNode
	}
	if c.version != -1 && c.version != n.version {
		return BadVersion
	}
	if len(t.children(c.path)) > 0 {
		return NotEmpty
	}
	t.remove(c.path)
	return OK
}

func (t *twin) deleteContainer(c *call) Code {
	if !strings.Contains(c.path, "/") || strings.Contains(c.path, "\x00") || twinReserved(c.path) {
		return BadArguments
	}
	n := t.nodes[c.path]
	if n == nil {
		return NoNode
	}
	if len(t.children(c.path)) > 0 {
		return NotEmpty
	}
	if !n.container && n.ttl == 0 {
		return BadVersion
	}
	if !t.allowed(t.nodes[twinParent(c.path)], c, 8) {
		return NoAuth
	}
	t.remove(c.path)
	return OK
}

func (t *twin) mayReap(path string, now, neverUsed int64) bool {
	n := t.nodes[path]
	if n == nil || len(t.children(path)) > 0 {
		return false
	}
	if n.container {
		return n.creates > 0 || neverUsed > 0 && now-n.mtime > neverUsed
	}
	return n.ttl > 0 && now-n.mtime > n.ttl
}

func (t *twin) reapTwin(c *call, next Zxid) Code {
	if !strings.Contains(c.path, "/") || strings.Contains(c.path, "\x00") || twinReserved(c.path) {
		return BadArguments
	}
	if t.nodes[c.path] == nil {
		return NoNode
	}
	if !t.mayReap(c.path, t.now, c.neverUsed) {
		return BadVersion
	}
	t.zxid = next
	t.remove(c.path)
	return OK
}

func (t *twin) remove(path string) {
	n, parent := t.nodes[path], t.nodes[twinParent(path)]
	delete(t.nodes, path)
	parent.pzxid = t.zxid
	t.quotaAdd(path, -int64(len(n.data)), -1)
	t.event(NodeDeleted, path, n.acl)
	t.event(NodeChildrenChanged, twinParent(path), parent.acl)
}

func (t *twin) setData(c *call, r *twinResult) {
	n := t.nodes[c.path]
	switch {
	case !twinValid(c.path):
		r.code = BadArguments
	case n == nil:
		r.code = NoNode
	case !t.allowed(n, c, 2):
		r.code = NoAuth
	default:
		diff := int64(len(c.data) - len(n.data))
		if r.code = t.quotaCode(c.path, diff, 0); r.code != OK {
			return
		}
		if c.version != -1 && c.version != n.version {
			r.code = BadVersion
			return
		}
		n.data, n.mzxid, n.mtime = slices.Clone(c.data), t.zxid, t.now
		n.version++
		r.stat = t.stat(c.path)
		t.quotaAdd(c.path, diff, 0)
		t.event(NodeDataChanged, c.path, n.acl)
	}
}

func (t *twin) setACL(c *call, r *twinResult) {
	if !twinValid(c.path) {
		r.code = BadArguments
		return
	}
	acl, code := t.fix(c)
	n := t.nodes[c.path]
	switch {
	case code != OK:
		r.code = code
	case n == nil:
		r.code = NoNode
	case !t.allowed(n, c, 16):
		r.code = NoAuth
	case c.version != -1 && c.version != n.aversion:
		r.code = BadVersion
	default:
		n.acl = acl
		if n.aversion++; n.aversion == -1 {
			n.aversion = 0
		}
		r.stat = t.stat(c.path)
	}
}

func (t *twin) check(c *call) Code {
	n := t.nodes[c.path]
	switch {
	case !twinValid(c.path):
		return BadArguments
	case n == nil:
		return NoNode
	case !t.allowed(n, c, 1):
		return NoAuth
	case c.version != -1 && c.version != n.version:
		return BadVersion
	}
	return OK
}

func (t *twin) event(k EventKind, path string, acl []ACL) {
	t.changes = append(t.changes, twinChange{k, path, acl})
}

func twinReserved(path string) bool {
	return slices.Contains([]string{"/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"}, path)
}

func twinValid(path string) bool {
	if path == "/" {
		return true
	}
	if path == "" || path[0] != '/' || !utf8.ValidString(path) {
		return false
	}
	for _, name := range strings.Split(path[1:], "/") {
		if name == "" || name == "." || name == ".." {
			return false
		}
		for _, c := range name {
			if c <= 0x1f || c >= 0x7f && c <= 0x9f || c >= 0xd800 && c <= 0xf8ff || c >= 0xfff0 {
				return false
			}
		}
	}
	return true
}
