package main

import (
	"bytes"
	"strings"

	"holt/netloop/wire"
)

// Values for requests: paths, data, versions, ACLs, multis, quotas; and what the reference's answers teach.

var names = []string{"a", "b", "c", "d", "e"}

// configPath names the members of an ensemble; a server that stands alone shows nothing there.
const configPath = "/zookeeper/config"

// oddPaths are refused by some operation or mean something special. Those that create would accept are few.
var oddPaths = []string{
	"", "/", "a", "a/b", "/a/", "//", "//a", "/a//b", "/a/./b", "/a/../b", "/.", "/..", "/a/.", "/a/..", "/...", "/.a", "/a\x00b", "/\x00",
	"/a\x01", "/a\x1f", "/\x7f", "/\u0080", "/\u009f", "/\u00a0", "/\u00fc", "/\ud7ff", "/\ue000", "/\uf8ff", "/\uf900", "/\uffef",
	"/\ufff0", "/\uffff", "/\U0001f600", "/\xed\xa0\x80", "/\xff", "/\xc0\xaf", "/a b", "/a/b/", "/a/b/c/", "/zookeeper", "/zookeeper/quota",
	configPath, "/zookeeper/", "/zookeeper/x", "/zookeeper/config/x", "/zookeeper/quota/zookeeper_limits",
}

func (g *generator) freshPath() []byte {
	var b strings.Builder
	for range 1 + g.rng.IntN(4) {
		b.WriteByte('/')
		b.WriteString(pick(g, names))
	}
	return []byte(b.String())
}

// node is a node that exists, as far as is known. Nodes of quotas are left to quota.
func (g *generator) node() ([]byte, known) {
	if len(g.nodes) == 0 {
		return g.freshPath(), known{}
	}
	k := pick(g, g.nodes)
	return []byte(k.path), k
}

// goodPath has valid syntax.
func (g *generator) goodPath() []byte {
	if g.mode == "wide" && g.chance(15) {
		return g.widePath()
	}
	switch x := g.rng.IntN(100); {
	case x < 60:
		path, _ := g.node()
		return path
	case x < 70:
		path, _ := g.node()
		return append(path, "/"+pick(g, names)...)
	}
	return g.freshPath()
}

func (g *generator) path() []byte {
	switch x := g.rng.Float64() * 100; {
	case x < 2:
		if p := pick(g, oddPaths); p != configPath || !g.ensemble {
			return []byte(p)
		}
	case x < 2.1:
		return nil
	case x < 2.2:
		return []byte("/" + strings.Repeat(pick(g, names), 1+g.rng.IntN(3000)))
	case x < 3 && !restarts(g.mode):
		return []byte("/zookeeper/quota" + string(g.goodPath()) + pick(g, []string{"", "/zookeeper_limits", "/zookeeper_stats"}))
	}
	return g.goodPath()
}

// writePath is path without the quota's nodes, whose data must stay readable for ZooKeeper.
func (g *generator) writePath() []byte {
	for {
		if p := g.path(); !strings.HasPrefix(string(p), "/zookeeper/quota/") {
			return p
		}
	}
}

func (g *generator) data() []byte {
	switch x := g.rng.Float64() * 100; {
	case x < 10:
		return nil
	case x < 20:
		return []byte{}
	case x < 20.2:
		return g.someBytes(g.rng.IntN(dataBytesBig))
	case x < 20.22:
		return make([]byte, 1_048_000-g.rng.IntN(1000))
	case x < 25:
		return g.someBytes(g.rng.IntN(dataBytesLeaf))
	}
	return g.someBytes(g.rng.IntN(30))
}

func (g *generator) version(now int32) int32 {
	switch x := g.rng.IntN(10); {
	case x < 4:
		return wire.AnyVersion
	case x < 8:
		return now
	case x < 9:
		return now + 1
	}
	return int32(g.rng.IntN(5)) - 3
}

func (g *generator) versionBody() []byte {
	path, k := g.node()
	if g.chance(40) {
		path = g.path()
	}
	return (&wire.VersionRequest{Path: path, Version: g.version(k.version)}).Append(nil)
}

func (g *generator) setDataBody() []byte {
	path, k := g.node()
	if g.chance(30) {
		path = g.writePath()
	}
	return (&wire.SetDataRequest{Path: path, Data: g.data(), Version: g.version(k.version)}).Append(nil)
}

var acls = []wire.ACL{
	{Perms: wire.PermAll, Scheme: []byte("world"), ID: []byte("anyone")},
	{Perms: wire.PermRead, Scheme: []byte("world"), ID: []byte("anyone")},
	{Perms: wire.PermAll &^ wire.PermRead, Scheme: []byte("world"), ID: []byte("anyone")},
	{Perms: wire.PermAll, Scheme: []byte("auth"), ID: []byte("")},
	{Perms: wire.PermAll, Scheme: []byte("digest"), ID: []byte(digestOf("otter:brook"))},
	{Perms: wire.PermAll, Scheme: []byte("digest"), ID: []byte(digestOf("badger:sett"))},
	{Perms: wire.PermRead | wire.PermAdmin, Scheme: []byte("digest"), ID: []byte(digestOf("heron:reed"))},
	{Perms: wire.PermAll, Scheme: []byte("ip"), ID: []byte("127.0.0.1")},
	{Perms: wire.PermAll, Scheme: []byte("ip"), ID: []byte("127.0.0.0/8")},
	{Perms: wire.PermAll, Scheme: []byte("ip"), ID: []byte("10.0.0.0/8")},
}

var oddACLs = []wire.ACL{
	{Perms: 0, Scheme: []byte("world"), ID: []byte("anyone")},
	{Perms: 1 << 20, Scheme: []byte("world"), ID: []byte("anyone")},
	{Perms: -1, Scheme: []byte("world"), ID: []byte("anyone")},
	{Perms: 31, Scheme: []byte("world"), ID: []byte("someone")},
	{Perms: 31, Scheme: []byte(""), ID: []byte("")},
	{Perms: 31, Scheme: []byte("none"), ID: []byte("x")},
	{Perms: 31, Scheme: []byte("super"), ID: []byte("")},
	{Perms: 31, Scheme: []byte("super"), ID: []byte("x:y")},
	{Perms: 31, Scheme: []byte("sasl"), ID: []byte("x")},
	{Perms: 31, Scheme: []byte("x509"), ID: []byte("CN=x")},
	{Perms: 31, Scheme: []byte("digest"), ID: []byte("nocolon")},
	{Perms: 31, Scheme: []byte("digest"), ID: []byte("a:b:c")},
	{Perms: 31, Scheme: []byte("digest"), ID: []byte(":")},
	{Perms: 31, Scheme: []byte("digest"), ID: []byte("")},
	{Perms: 31, Scheme: []byte("ip"), ID: []byte("")},
	{Perms: 31, Scheme: []byte("ip"), ID: []byte("127.0.0.1/33")},
	{Perms: 31, Scheme: []byte("ip"), ID: []byte("127.0.0.1/0")},
	{Perms: 31, Scheme: []byte("ip"), ID: []byte("127.0.0.1/x")},
	{Perms: 31, Scheme: []byte("ip"), ID: []byte("127.0.0.1/8/8")},
	{Perms: 31, Scheme: []byte("ip"), ID: []byte("127.0.1")},
	{Perms: 31, Scheme: []byte("ip"), ID: []byte("300.0.0.1")},
	{Perms: 31, Scheme: []byte("ip"), ID: []byte("::1")},
	{Perms: 31, Scheme: []byte("ip"), ID: []byte("fe80::/10")},
	{Perms: 31, Scheme: []byte("ip"), ID: []byte("localhost")},
}

// nullACLs stand only first in a list: ZooKeeper's answer to a later one depends on what is before it.
var nullACLs = []wire.ACL{
	{Perms: 31, Scheme: []byte("auth"), ID: nil},
	{Perms: 31, Scheme: []byte("world"), ID: nil},
	{Perms: 31, Scheme: []byte("digest"), ID: nil},
	{Perms: 31, Scheme: []byte("ip"), ID: nil},
	{Perms: 31, Scheme: nil, ID: []byte("anyone")},
	{Perms: 31, Scheme: nil, ID: nil},
}

// In a multi there are none: ZooKeeper stumbles over them halfway and leaves traces for the requests behind.
func (g *generator) acl(inMulti bool) wire.ACLs {
	switch x := g.rng.IntN(100); {
	case x < 60:
		return wire.OpenACL
	case x < 61:
		return wire.NullACLs
	case x < 62:
		return wire.ACLs{}
	}
	var list []wire.ACL
	if g.chance(3) && !inMulti {
		list = append(list, pick(g, nullACLs))
	}
	for range 1 + g.rng.IntN(3) {
		if g.chance(8) {
			list = append(list, pick(g, oddACLs))
			continue
		}
		list = append(list, pick(g, acls))
	}
	return wire.MakeACLs(list...)
}

// createOps with the flags that suit them; odd combinations come by chance.
var createOps = []struct {
	op    wire.Op
	flags []int32
}{
	{wire.OpCreate, []int32{0, 0, 0, 1, 1, 2, 3}},
	{wire.OpCreate2, []int32{0, 0, 0, 1, 1, 2, 3}},
	{wire.OpCreate, []int32{0, 0, 0, 1, 1, 2, 3}},
	{wire.OpCreateContainer, []int32{4, 4, 4, 2}},
	{wire.OpCreateTTL, []int32{5, 6}},
}

func (g *generator) createOp(inMulti bool) (wire.Op, wire.CreateRequest) {
	c := pick(g, createOps)
	if g.mode == "time" && (c.op == wire.OpCreateContainer || c.op == wire.OpCreateTTL) {
		c = createOps[0] // they would be removed while nobody waits for it
	}
	q := wire.CreateRequest{Data: g.data(), ACL: g.acl(inMulti), Flags: pick(g, c.flags)}
	if g.chance(40) {
		parent, _ := g.node()
		q.Path = append(parent, "/"+pick(g, names)...)
	} else {
		q.Path = g.writePath()
	}
	if q.Flags == 2 || q.Flags == 3 || q.Flags == 6 {
		q.Path = append(q.Path, pick(g, []string{"", "-", "/"})...)
	}
	if q.Path == nil {
		q.Path = g.freshPath() // rare sends null ones, with flags that are not refused before
	}
	if c.op == wire.OpCreateTTL {
		q.TTLMs = pick(g, []int64{3_600_000, 86_400_000, 0xffffffffff, 1})
		if g.chance(10) {
			q.TTLMs = pick(g, []int64{0, -1, -5, 0x10000000000, 1<<63 - 1, -1 << 63})
		}
	}
	// createTTL with a flag that is not a TTL's brings ZooKeeper down; in a multi flag 4 makes a container.
	if g.chance(2) && c.op != wire.OpCreateTTL && !(g.mode == "time" && inMulti) {
		q.Flags = pick(g, []int32{-1, 0, 4, 5, 6, 7, 8, 100})
	}
	return c.op, q
}

func (g *generator) create() (wire.Op, []byte) {
	op, q := g.createOp(false)
	if op == wire.OpCreateTTL {
		return op, q.AppendTTL(nil)
	}
	return op, q.Append(nil)
}

func (g *generator) multiBody(kind wire.Op) []byte {
	var b []byte
	mixed := g.chance(2)
	count := g.rng.IntN(multiMax + 1)
	if g.mode == "wide" && g.chance(3) {
		count = g.rng.IntN(pick(g, []int{20, 600}))
	}
	written := map[string]bool{} // top levels
	for range count {
		op := g.multiOp(kind == wire.OpMultiRead != (mixed && g.chance(40)))
		if mixed && op.ACL.Null() {
			op.ACL = wire.OpenACL // one thing wrong at a time
		}
		if g.mode == "quota" && isWrite(op.Op) {
			top := topLevel(op.Path)
			if written[top] {
				continue // ZooKeeper decides a part of a multi by the quota as it was before the multi
			}
			written[top] = true
		}
		if whole := op.Append(b); len(whole) < frameBytesMax {
			b = whole
		}
	}
	return wire.AppendMultiEnd(b)
}

// topLevel is the part of a path that limits are set on, or above what they are set on.
func topLevel(path []byte) string {
	top, _, _ := bytes.Cut(bytes.TrimPrefix(path, []byte("/")), []byte("/"))
	return string(top)
}

func (g *generator) multiOp(reads bool) wire.MultiOp {
	if reads {
		return wire.MultiOp{Op: pick(g, []wire.Op{wire.OpGetData, wire.OpGetChildren}), Path: g.path(), Watch: g.chance(20)}
	}
	path, k := g.node()
	switch g.rng.IntN(6) {
	case 0, 1:
		op, q := g.createOp(true)
		return wire.MultiOp{Op: op, Path: q.Path, Data: q.Data, ACL: q.ACL, Flags: q.Flags, TTLMs: q.TTLMs}
	case 2:
		return wire.MultiOp{Op: wire.OpDelete, Path: path, Version: g.version(k.version)}
	case 3:
		return wire.MultiOp{Op: wire.OpCheck, Path: path, Version: g.version(k.version)}
	case 4:
		if g.chance(2) {
			return wire.MultiOp{Op: pick(g, []wire.Op{wire.OpExists, wire.OpSetACL, wire.OpSync, 99, wire.OpDeleteContainer})}
		}
		return wire.MultiOp{Op: wire.OpCheck, Path: g.writePath(), Version: -1}
	}
	if g.chance(30) {
		path = g.writePath()
	}
	return wire.MultiOp{Op: wire.OpSetData, Path: path, Data: g.data(), Version: g.version(k.version)}
}

// wholeQuota creates a quota in one piece. Where servers are restarted there are only such ones: ZooKeeper counts anew when it starts, and only
// then is the count the same as before.
func (g *generator) wholeQuota(slot int) request {
	dir := "/zookeeper/quota/" + pick(g, names)
	var b []byte
	for _, o := range [][2]string{{dir, ""}, {dir + "/zookeeper_limits", "count=8,bytes=200"}, {dir + "/zookeeper_stats", "count=0,bytes=0"}} {
		op := wire.MultiOp{Op: wire.OpCreate, Path: []byte(o[0]), Data: []byte(o[1]), ACL: wire.OpenACL}
		b = op.Append(b)
	}
	return g.requestOf(slot, wire.OpMulti, wire.AppendMultiEnd(b))
}

// quota creates, changes and removes limits below a directory of the top level. The texts are valid: others end ZooKeeper.
func (g *generator) quota(slot int) request {
	if restarts(g.mode) {
		return g.wholeQuota(slot)
	}
	dir := "/zookeeper/quota/" + pick(g, names)
	if g.chance(25) {
		dir += "/" + pick(g, names)
	}
	limits := pick(g, []string{
		"count=8,bytes=-1", "count=-1,bytes=200", "count=3,bytes=50=;byteHardLimit=100;countHardLimit=6",
		"count=-1,bytes=-1=;byteHardLimit=150;countHardLimit=-1", "count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=5", "count=0,bytes=0",
	})
	create := func(path, data string) request {
		return g.requestOf(slot, wire.OpCreate, (&wire.CreateRequest{Path: []byte(path), Data: []byte(data), ACL: wire.OpenACL}).Append(nil))
	}
	switch g.rng.IntN(9) {
	case 0, 1:
		return create(dir, "")
	case 2, 3:
		return create(dir+"/zookeeper_limits", limits)
	case 4, 5:
		return create(dir+"/zookeeper_stats", "count=0,bytes=0")
	case 6:
		q := wire.SetDataRequest{Path: []byte(dir + "/zookeeper_limits"), Data: []byte(limits), Version: -1}
		return g.requestOf(slot, wire.OpSetData, q.Append(nil))
	case 7:
		q := wire.WatchRequest{Path: []byte(dir + "/zookeeper_stats"), Watch: g.chance(30)}
		return g.requestOf(slot, wire.OpGetData, q.Append(nil))
	}
	q := wire.VersionRequest{Path: []byte(dir + pick(g, []string{"", "/zookeeper_limits", "/zookeeper_stats"})), Version: -1}
	return g.requestOf(slot, wire.OpDelete, q.Append(nil))
}

// look asks for everything about a path, for an audit.
func (g *generator) look(path string) []request {
	if path == configPath && g.ensemble {
		return nil
	}
	watch := (&wire.WatchRequest{Path: []byte(path)}).Append(nil)
	only := (&wire.PathRequest{Path: []byte(path)}).Append(nil)
	return []request{
		g.requestOf(0, wire.OpGetChildren2, watch), g.requestOf(0, wire.OpGetData, watch), g.requestOf(0, wire.OpGetACL, only),
		g.requestOf(0, wire.OpGetAllChildrenNumber, only),
	}
}

// audit is the next burst of a look at the whole tree. Children found by it are looked at later: learn appends them.
func (g *generator) audit() step {
	g.auditing = true
	n := min(len(g.audits), 4*burstMax)
	s := step{kind: stepBurst, slot: 0, requests: g.audits[:n:n]}
	g.audits = g.audits[n:]
	for i := range s.requests { // in the order in which they are sent
		g.slots[0].xid++
		s.requests[i].xid = g.slots[0].xid
	}
	return s
}

func (g *generator) remember(path string, version, aversion int32) {
	if strings.HasPrefix(path, "/zookeeper") || strings.HasPrefix(path, wideDir) || path == "" || path == "/" {
		return
	}
	if i, ok := g.index[path]; ok {
		g.nodes[i].version, g.nodes[i].aversion = version, aversion
		return
	}
	g.index[path] = len(g.nodes)
	g.nodes = append(g.nodes, known{path: path, version: version, aversion: aversion})
}

func (g *generator) forget(path string) {
	i, ok := g.index[path]
	if !ok {
		return
	}
	last := len(g.nodes) - 1
	g.nodes[i] = g.nodes[last]
	g.index[g.nodes[i].path] = i
	g.nodes = g.nodes[:last]
	delete(g.index, path)
}

// learn takes from an answer which nodes exist.
func (g *generator) learn(q *request, reply canonical) {
	r := wire.NewReader(q.body)
	path := string(r.Buffer())
	if r.Bad() {
		return
	}
	if reply.code == wire.CodeNoNode && q.op != wire.OpCreate && q.op != wire.OpCreate2 && q.op != wire.OpCreateContainer && q.op != wire.OpCreateTTL {
		g.forget(path)
		return
	}
	if reply.code != wire.CodeOK {
		return
	}
	body := wire.NewReader(reply.frame[wire.ReplyHeaderBytes:])
	switch q.op {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		created := string(body.Buffer())
		g.remember(created, 0, 0)
		if i, ok := g.index[created]; ok {
			g.nodes[i].container = q.op == wire.OpCreateContainer || q.op == wire.OpCreateTTL
		}
	case wire.OpDelete, wire.OpDeleteContainer:
		g.forget(path)
	case wire.OpExists, wire.OpSetData, wire.OpSetACL:
		g.learnStat(path, body.Stat())
	case wire.OpGetData:
		body.Buffer()
		g.learnStat(path, body.Stat())
	case wire.OpGetChildren2:
		if g.auditing {
			g.learnChildren(path, body.Strings())
		}
	}
}

func (g *generator) learnStat(path string, s wire.Stat) { g.remember(path, s.Version, s.Aversion) }

// learnChildren continues an audit below path.
func (g *generator) learnChildren(path string, children wire.Strings) {
	for {
		name, ok := children.Next()
		if !ok {
			return
		}
		child := strings.TrimSuffix(path, "/") + "/" + string(name)
		g.remember(child, 0, 0)
		g.audits = append(g.audits, g.look(child)...)
	}
}
