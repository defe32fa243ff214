package main

import (
	"math/rand/v2"
	"slices"
	"strings"

	"holt/netloop/wire"
)

// Bounds of what is generated.
const (
	burstMax      = 60        // requests in a burst
	multiMax      = 6         // operations in a multi
	knownMax      = 400       // nodes remembered; beyond it bursts of deletes come more often
	dataBytesBig  = 100_000   // of the larger data
	dataBytesLeaf = 600       // of data on both sides of what a znode's own block holds
	frameBytesMax = 1_048_000 // of a request: a little less than servers take
)

// known is what the generator remembers of a node, from the reference's answers.
type known struct {
	path      string
	version   int32
	aversion  int32
	container bool // or a TTL node
}

// generator makes the steps of a run from a seed and the reference's answers.
type generator struct {
	rng          *rand.Rand
	mode         string
	ensemble     bool // the subject is one
	slots        []slotState
	nodes        []known
	index        map[string]int // path to its place in nodes
	zxid         int64          // newest seen, as a distance
	audits       []request      // what is left of the current look at the whole tree
	auditing     bool           // the last step was one
	sinceAudit   int
	sinceRestart int
	auditNext    bool
	plan         []step // steps that belong together
	serial       int    // makes names of mode time unique
}

// slotState is what the generator knows of a slot; the run has the rest.
type slotState struct {
	open      bool
	connected bool
	had       bool // it had a session once
	xid       wire.Xid
}

// auditEvery is the number of operations between two looks at the whole tree.
const auditEvery = 20_000

// restartEvery is the number of operations between two restarts in the modes that have some.
const restartEvery = 2000

func newGenerator(seed uint64, mode string, slots int) *generator {
	g := &generator{
		rng: rand.New(rand.NewPCG(seed, 0x686f6c74)), mode: mode, slots: make([]slotState, slots), index: map[string]int{},
	}
	return g
}

func (g *generator) chance(percent float64) bool { return g.rng.Float64()*100 < percent }

func pick[T any](g *generator, list []T) T { return list[g.rng.IntN(len(list))] }

// next is the next step. Slot 0 is opened first, becomes super and stays; audits are its.
func (g *generator) next() step {
	if len(g.plan) > 0 {
		s := g.plan[0]
		g.plan = g.plan[1:]
		if s.kind == stepAwait {
			g.forget(s.path) // whoever creates it again may make something else of it
		}
		return s
	}
	if !g.slots[0].open {
		return g.openSuper()
	}
	if len(g.audits) > 0 {
		return g.audit()
	}
	if restarts(g.mode) && g.sinceRestart >= restartEvery {
		g.sinceRestart = 0
		return g.restart()
	}
	if g.sinceAudit >= auditEvery || g.auditNext {
		g.sinceAudit, g.auditNext = 0, false
		g.audits = append(g.audits, g.look("/")...)
		g.plan = append(g.plan, step{kind: stepCounts})
		return step{kind: stepBarrier}
	}
	g.auditing = false
	s := g.random()
	g.sinceAudit += s.ops()
	g.sinceRestart += s.ops()
	return s
}

// restart ends all connections; slot 0 comes back at once, and the whole tree is looked at.
func (g *generator) restart() step {
	for i := range g.slots {
		g.slots[i].connected = i == 0
	}
	g.auditNext = true
	g.plan = append(g.plan,
		step{kind: stepConnect, connect: connect{password: passwordRight, timeoutMs: 3_600_000}},
		step{kind: stepBurst, requests: []request{g.authRequest("digest", []byte(superPassword))}})
	return step{kind: stepRestart}
}

func (g *generator) openSuper() step {
	g.slots[0] = slotState{open: true, connected: true, had: true}
	g.plan = append(g.plan, step{kind: stepBurst, slot: 0, requests: []request{g.authRequest("digest", []byte(superPassword))}})
	if g.mode == "wide" {
		g.plan = append(g.plan, g.wideDirectory()...)
	}
	return step{kind: stepConnect, slot: 0, connect: connect{password: passwordNew, timeoutMs: 3_600_000}}
}

func (g *generator) random() step {
	slot := g.rng.IntN(len(g.slots))
	st := &g.slots[slot]
	if !st.open {
		return g.openStep(slot)
	}
	if !st.connected {
		return g.attachStep(slot)
	}
	switch x := g.rng.Float64() * 100; {
	case x < 8:
		return step{kind: stepBarrier, slot: slot}
	case x < 10.5 && slot != 0:
		st.connected = false
		return step{kind: stepDrop, slot: slot}
	case x < 13 && slot != 0:
		return g.attachStep(slot)
	case x < 13.5 && slot != 0:
		st.connected = false
		return step{kind: stepRaw, slot: slot, raw: pick(g, rawFrames)}
	case x < 15 && g.mode == "time":
		return g.timedStep()
	}
	return g.burst(slot)
}

// rawFrames are lengths that no frame may have: after each the server must close.
var rawFrames = [][]byte{
	{0xff, 0xff, 0xff, 0xff}, {0x80, 0, 0, 0, 1, 2, 3}, {0x7f, 0xff, 0xff, 0xff}, []byte("ruok"), {0x00, 0x10, 0x00, 0x00}, // 1 MiB: one too many
}

func (g *generator) timeout() int32 {
	if g.mode == "time" {
		return 3_600_000 // but for the sessions that are to expire
	}
	return pick(g, []int32{0, -1, 1, 5000, 600_000, 600_001, 1_000_000, 3_600_000, 3_600_001, 1<<31 - 1, -1 << 31})
}

func (g *generator) openStep(slot int) step {
	if g.slots[slot].had && g.chance(20) { // attach a session that is closed
		return step{kind: stepConnect, slot: slot, connect: connect{password: passwordRight, timeoutMs: g.timeout(), noReadOnly: g.chance(30)}}
	}
	k := connect{password: passwordNew, timeoutMs: g.timeout(), noReadOnly: g.chance(30), readOnly: g.chance(20)}
	switch x := g.rng.IntN(40); x {
	case 0:
		k.truncatedTo = 1 + g.rng.IntN(43)
	case 1:
		k.unknownID = true
	case 2:
		k.zxidAhead = 1_000_000
	case 3:
		k.protocol = int32(g.rng.IntN(5)) - 2
		fallthrough
	default:
		g.slots[slot] = slotState{open: true, connected: true, had: true}
	}
	return step{kind: stepConnect, slot: slot, connect: k}
}

func (g *generator) attachStep(slot int) step {
	st := &g.slots[slot]
	k := connect{password: passwordRight, timeoutMs: g.timeout(), noReadOnly: g.chance(30), readOnly: g.chance(20)}
	switch x := g.rng.IntN(20); x {
	case 0:
		k.password, st.connected = passwordWrong, false
	case 1:
		k.password, st.connected = pick(g, []passwordKind{passwordNull, passwordShort}), false
	case 2:
		k.zxidAhead = 1_000_000
	case 3:
		k.unknownID = true
	case 4:
		k.zxidAhead = -int64(g.rng.IntN(100))
		fallthrough
	default:
		st.connected = true
		if g.chance(50) {
			g.plan = append(g.plan, step{kind: stepBurst, slot: slot, requests: []request{g.setWatches(slot)}})
		}
	}
	return step{kind: stepConnect, slot: slot, connect: k}
}

// timedStep plans something that the servers do by themselves and the wait for it.
func (g *generator) timedStep() step {
	g.serial++
	base := "/timed-" + itoa(g.serial)
	s := step{kind: stepBurst, slot: 0}
	watch := g.requestOf(0, wire.OpAddWatch, (&wire.AddWatchRequest{Path: []byte("/"), Mode: wire.AddWatchPersistentRecursive}).Append(nil))
	create := func(op wire.Op, path string, flags int32) request {
		return g.requestOf(0, op, (&wire.CreateRequest{Path: []byte(path), Data: []byte("t"), ACL: wire.OpenACL, Flags: flags}).Append(nil))
	}
	switch g.rng.IntN(3) {
	case 0: // a container goes once its last child has gone
		s.requests = []request{
			watch, create(wire.OpCreateContainer, base, wire.FlagContainer), create(wire.OpCreate, base+"/c", 0),
			g.requestOf(0, wire.OpDelete, (&wire.VersionRequest{Path: []byte(base + "/c"), Version: -1}).Append(nil)),
		}
	case 1:
		q := wire.CreateRequest{Path: []byte(base), Data: []byte("t"), ACL: wire.OpenACL, Flags: wire.FlagPersistentTTL, TTLMs: 400}
		s.requests = []request{watch, g.requestOf(0, wire.OpCreateTTL, q.AppendTTL(nil))}
	case 2:
		return g.expiry(base)
	}
	g.plan = append(g.plan, step{kind: stepAwait, path: base}, step{kind: stepBarrier})
	return s
}

// expiry opens a session with a short timeout in the last slot, leaves ephemerals, and waits for its end.
func (g *generator) expiry(base string) step {
	slot := len(g.slots) - 1
	st := &g.slots[slot]
	if st.open {
		if !st.connected {
			st.connected = true
			return step{kind: stepConnect, slot: slot, connect: connect{password: passwordRight, timeoutMs: 3_600_000}}
		}
		st.open, st.connected = false, false
		return step{kind: stepBurst, slot: slot, requests: []request{g.requestOf(slot, wire.OpCloseSession, nil)}}
	}
	burst := step{kind: stepBurst, slot: slot}
	st.had = true
	for i := range 1 + g.rng.IntN(3) {
		path := base
		if i > 0 {
			path += "-" + itoa(i)
		}
		burst.requests = append(burst.requests, g.requestOf(slot, wire.OpCreate,
			(&wire.CreateRequest{Path: []byte(path), ACL: wire.OpenACL, Flags: wire.FlagEphemeral}).Append(nil)))
	}
	g.plan = append(g.plan, burst, step{kind: stepDrop, slot: slot}, step{kind: stepAwait, path: base}, step{kind: stepBarrier})
	return step{kind: stepConnect, slot: slot, connect: connect{password: passwordNew, timeoutMs: 1000}}
}

func itoa(n int) string {
	var b [20]byte
	i := len(b)
	for {
		i--
		b[i] = byte('0' + n%10)
		n /= 10
		if n == 0 {
			return string(b[i:])
		}
	}
}

// burst is a number of pipelined requests. An auth packet comes first, what may close the connection last (D2).
func (g *generator) burst(slot int) step {
	s := step{kind: stepBurst, slot: slot}
	n := 1 + g.rng.IntN(burstMax)
	if g.chance(5) {
		s.pieces = 2 + g.rng.IntN(30)
	}
	if g.chance(3) {
		s.requests = append(s.requests, g.goodAuth(slot))
	}
	deletes := len(g.nodes) > knownMax && g.chance(40)
	for range n {
		if deletes {
			s.requests = append(s.requests, g.deleteKnown(slot))
			continue
		}
		q := g.request(slot)
		s.requests = append(s.requests, q)
		if q.op == wire.OpSetACL || g.mode == "quota" && isWrite(q.op) {
			break // ZooKeeper decides the next write without an ACL or quota that is still being worked on
		}
	}
	if slot != 0 && g.chance(3) {
		s.requests = append(s.requests, g.requestOf(slot, wire.OpCloseSession, nil))
		g.slots[slot].open, g.slots[slot].connected = false, false
		return s
	}
	if slot != 0 && g.chance(3) {
		q := g.fatal(slot)
		if g.mode == "wide" && g.chance(30) {
			q = g.exactFrame(slot, wireFrameMax+1)
		}
		g.plan = append(g.plan, step{kind: stepBurst, slot: slot, requests: []request{q}})
		g.slots[slot].connected = false
	}
	return s
}

func isWrite(op wire.Op) bool {
	switch op {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL, wire.OpDelete, wire.OpSetData, wire.OpMulti:
		return true
	}
	return false
}

// fatal is a request that ends the connection but not the session. It stands alone in its burst: ZooKeeper answers it on arrival, before
// what is still being worked on.
func (g *generator) fatal(slot int) request {
	switch g.rng.IntN(3) {
	case 0:
		op := pick(g, []wire.Op{10, 23, 71, 99, 108, 109, 1000, -2, -12, -1, wire.OpNotification, 1<<31 - 1, -1 << 31})
		return g.requestOf(slot, op, g.someBytes(g.rng.IntN(40)))
	case 1:
		return g.requestOf(slot, wire.OpCheck, (&wire.VersionRequest{Path: g.path(), Version: -1}).Append(nil))
	}
	return g.badAuth()
}

func (g *generator) requestOf(slot int, op wire.Op, body []byte) request {
	st := &g.slots[slot]
	st.xid++
	return request{op: op, xid: st.xid, body: body}
}

func (g *generator) authRequest(scheme string, auth []byte) request {
	return request{op: wire.OpAuth, xid: wire.XidAuth, body: (&wire.AuthRequest{Scheme: []byte(scheme), Auth: auth}).Append(nil)}
}

var users = []string{"otter:brook", "badger:sett", "heron:reed"}

func (g *generator) goodAuth(slot int) request {
	if slot == 0 || g.chance(10) {
		return g.authRequest("digest", []byte(superPassword))
	}
	if g.chance(5) {
		return g.authRequest("ip", []byte("x"))
	}
	return g.authRequest("digest", []byte(pick(g, users)))
}

func (g *generator) badAuth() request {
	return pick(g, []request{
		g.authRequest("world", []byte("anyone")), g.authRequest("none", nil), g.authRequest("", []byte("x")),
		g.authRequest("auth", []byte("x")), g.authRequest("super", []byte("x")),
	})
}

var watchTypes = []wire.WatchType{1, 2, 3, 3, 4, 5}

// request is one request that leaves the connection open.
func (g *generator) request(slot int) request {
	q := g.wellFormed(slot)
	if g.chance(1) {
		q.body = g.deform(q.op, q.body)
	}
	return q
}

// deform cuts, extends or changes an encoded body. What is known to bring ZooKeeper itself down is left out: garbage in a
// quota, and createTTL with another flag. A null path stays alone: of two things wrong Holt may name the other one.
func (g *generator) deform(op wire.Op, body []byte) []byte {
	if len(body) > frameBytesMax || strings.Contains(string(body), "/zookeeper/quota") || strings.HasPrefix(string(body), "\xff\xff\xff\xff") {
		return body
	}
	b := slices.Clone(body)
	kinds := 4
	if hasTTL(op, body) || g.mode == "time" && op == wire.OpMulti {
		kinds = 2
	}
	switch g.rng.IntN(kinds) {
	case 0:
		return b[:g.rng.IntN(len(b)+1)]
	case 1:
		return append(b, g.someBytes(1+g.rng.IntN(9))...)
	}
	for range 1 + g.rng.IntN(3) {
		if len(b) > 0 {
			b[g.rng.IntN(len(b))] = pick(g, []byte{0, 1, 2, 0x7f, 0x80, 0xff, '/', 'a', byte(g.rng.IntN(256))})
		}
	}
	return b
}

// hasTTL says whether a request makes a TTL node.
func hasTTL(op wire.Op, body []byte) bool {
	if op == wire.OpMulti {
		m := wire.NewMultiReader(op, body)
		var o wire.MultiOp
		for m.Next(&o) {
			if o.Op == wire.OpCreateTTL {
				return true
			}
		}
	}
	return op == wire.OpCreateTTL
}

func (g *generator) someBytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.rng.IntN(256))
	}
	return b
}

func (g *generator) wellFormed(slot int) request {
	if g.mode == "wide" && g.chance(0.2) {
		return g.exactFrame(slot, wireFrameMax)
	}
	switch x := g.rng.IntN(100); {
	case x < 22:
		op, body := g.create()
		return g.requestOf(slot, op, body)
	case x < 30:
		return g.requestOf(slot, wire.OpDelete, g.versionBody())
	case x < 38:
		return g.requestOf(slot, wire.OpSetData, g.setDataBody())
	case x < 46:
		op := pick(g, []wire.Op{wire.OpMulti, wire.OpMulti, wire.OpMultiRead})
		return g.requestOf(slot, op, g.multiBody(op))
	case x < 50:
		path, node := g.node()
		q := wire.SetACLRequest{Path: path, ACL: g.acl(false), Version: g.version(node.aversion)}
		return g.requestOf(slot, wire.OpSetACL, q.Append(nil))
	case x < 54:
		return g.watchRequest(slot)
	case x < 56:
		return g.quota(slot)
	case x < 58:
		return g.rare(slot)
	}
	return g.read(slot)
}

func (g *generator) read(slot int) request {
	op := pick(g, []wire.Op{
		wire.OpExists, wire.OpExists, wire.OpGetData, wire.OpGetData, wire.OpGetData, wire.OpGetChildren, wire.OpGetChildren2,
		wire.OpGetChildren2, wire.OpGetACL, wire.OpSync, wire.OpGetEphemerals, wire.OpGetAllChildrenNumber, wire.OpWhoAmI, wire.OpPing,
	})
	switch op {
	case wire.OpExists, wire.OpGetData, wire.OpGetChildren, wire.OpGetChildren2:
		return g.requestOf(slot, op, (&wire.WatchRequest{Path: g.path(), Watch: g.chance(35)}).Append(nil))
	case wire.OpWhoAmI:
		return g.requestOf(slot, op, nil)
	case wire.OpPing:
		return request{op: op, xid: wire.XidPing}
	}
	return g.requestOf(slot, op, (&wire.PathRequest{Path: g.path()}).Append(nil))
}

// watchRequest registers, checks or removes watches.
func (g *generator) watchRequest(slot int) request {
	switch g.rng.IntN(4) {
	case 0:
		q := wire.AddWatchRequest{Path: g.pathNotNull(), Mode: wire.AddWatchMode(pick(g, []int32{0, 1, 0, 1, 0, 1, 2, -1}))}
		return g.requestOf(slot, wire.OpAddWatch, q.Append(nil))
	case 1:
		return g.setWatches(slot)
	}
	q := wire.WatchTypeRequest{Path: g.path(), Type: pick(g, watchTypes)}
	if g.chance(4) {
		q.Type = pick(g, []wire.WatchType{0, 6, -1, 100})
	}
	return g.requestOf(slot, pick(g, []wire.Op{wire.OpCheckWatches, wire.OpRemoveWatches}), q.Append(nil))
}

func (g *generator) setWatches(slot int) request {
	list := func() wire.Strings {
		if g.chance(3) {
			return wire.NullStrings
		}
		var paths []string
		count := g.rng.IntN(4)
		if g.mode == "wide" && g.chance(5) {
			count = g.rng.IntN(500)
		}
		for range count {
			paths = append(paths, string(g.goodPath()))
		}
		return wire.MakeStrings(paths...)
	}
	q := wire.SetWatchesRequest{
		RelativeZxid: g.zxid - int64(g.rng.IntN(60)), Data: list(), Exist: list(), Child: list(), Persistent: list(), PersistentRecursive: list(),
	}
	if g.chance(50) {
		return request{op: wire.OpSetWatches, xid: wire.XidSetWatches, body: q.Append(nil), zxidHere: true}
	}
	return request{op: wire.OpSetWatches2, xid: wire.XidSetWatches, body: q.Append2(nil), zxidHere: true}
}

func (g *generator) rare(slot int) request {
	switch kind := g.rng.IntN(3); {
	case kind == 0:
		q := wire.ReconfigRequest{ConfigID: pick(g, []int64{-1, 0, 1, 1 << 40})}
		switch g.rng.IntN(4) {
		case 0:
			q.Joining = []byte("server.2=127.0.0.1:1:2;3")
		case 1:
			q.Leaving = []byte("1")
		case 2:
			q.NewMembers = []byte("server.1=127.0.0.1:1:2;3")
		}
		return g.requestOf(slot, wire.OpReconfig, q.Append(nil))
	case kind == 1 && slot == 0:
		return g.deleteContainer()
	}
	q := wire.CreateRequest{ACL: g.acl(false), Flags: int32(g.rng.IntN(4))}
	return g.requestOf(slot, pick(g, []wire.Op{wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer}), q.Append(nil))
}

// pathNotNull is for addWatch: ZooKeeper watches the null path, Holt refuses it.
func (g *generator) pathNotNull() []byte {
	for {
		if p := g.path(); p != nil {
			return p
		}
	}
}

// deleteContainer is sent where a wanted difference does not show: by the super user, for containers and for what is not there.
func (g *generator) deleteContainer() request {
	path := g.freshPath()
	if i, ok := g.index[string(path)]; ok && !g.nodes[i].container {
		path = append(path, "-none"...)
	}
	for range 20 {
		if p, k := g.node(); k.container {
			path = p
			break
		}
	}
	return g.requestOf(0, wire.OpDeleteContainer, (&wire.PathRequest{Path: path}).Append(nil))
}

// deleteKnown removes a node that exists, to keep the tree small.
func (g *generator) deleteKnown(slot int) request {
	path, _ := g.node()
	return g.requestOf(slot, wire.OpDelete, (&wire.VersionRequest{Path: path, Version: -1}).Append(nil))
}

// observe learns from the reference's answer to q.
func (g *generator) observe(q *request, reply canonical) {
	if reply.zxid > g.zxid {
		g.zxid = reply.zxid
	}
	g.learn(q, reply)
}
