package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	zk "holt/netloop/wire"
	"holt/tree"
)

// client is one user of the ensemble as ZooKeeper's own clients are: one session, one connection at a time, requests
// answered in order, a ping when there is nothing to say, another member when this one is silent, watches set again
// after that. It checks everything that it is told.
type client struct {
	*world
	id   int
	dice *rand.Rand
	load *load

	pipe      *pipe
	dialling  bool
	ready     bool // the session is there
	mayRead   bool // it takes a member that only reads
	readOnly  bool // this member only reads, and the session is the member's own
	next      int  // member to try next
	session   tree.SessionID
	password  [zk.PasswordBytes]byte
	timeoutMs int32
	xid       int32
	seen      tree.Zxid // the newest that a reply told of
	in        []byte
	pending   []*request
	heardNs   int64
	saidNs    int64
	watches   []*watched
	caught    []caughtUp // events of setWatches whose reply is under way
	resetting bool

	idleNs   int64 // it only pings before
	muteNs   int64 // it says nothing before
	vanished tree.SessionID
	gone     bool  // vanished for good, without closing
	ending   bool  // closeSession was sent
	done     int   // writes that were answered OK
	doneNs   int64 // when a write was answered last
	answers  int

	readOnlyAnswers int

	serial int
	bound  int64 // when that was called which this session had confirmed last
}

// request is one that was sent and not answered yet.
type request struct {
	xid     int32
	op      zk.Op
	path    string
	data    string
	version int32
	flags   int32
	multi   []zk.MultiOp
	watch   bool
	mode    zk.AddWatchMode
	sentNs  int64
	floor   tree.Zxid // the newest write acknowledged to anybody when it was sent
	called  int64     // on the clock of the histories
	rel     tree.Zxid // setWatches

	answered bool
}

func (r *request) writes() bool {
	switch r.op {
	case zk.OpCreate, zk.OpCreate2, zk.OpCreateContainer, zk.OpCreateTTL, zk.OpDelete, zk.OpSetData, zk.OpMulti, zk.OpCloseSession, zk.OpReconfig:
		return true
	}
	return false
}

func newClient(w *world, id int) *client {
	c := &client{world: w, id: id, dice: rand.New(rand.NewPCG(w.opt.Seed, uint64(id)<<32|0xc11e47)), load: w.drawLoad()}
	c.next = c.dice.IntN(1 << 20)
	c.mayRead = c.dice.IntN(3) == 0
	w.clients = append(w.clients, c)
	w.after(spread(c.dice, 200*time.Millisecond), "client", uint64(id), 0, c.turn)
	return c
}

// turn is the client's own clock.
func (c *client) turn() {
	if c.gone {
		return
	}
	c.after(spread(c.dice, c.load.pause), "client", uint64(c.id), 0, c.turn)
	if c.pipe == nil {
		if !c.dialling && c.nowNs >= c.muteNs {
			c.dial()
		}
		return
	}
	timeout := int64(c.load.timeoutMs)
	if c.ready {
		timeout = int64(c.timeoutMs)
	}
	if c.nowNs-c.heardNs > timeout*2/3*1e6 {
		c.leave("the server is silent")
		return
	}
	if !c.ready {
		return
	}
	if len(c.pending) < c.load.pipelined && !c.ending && !c.resting() && c.nowNs > c.idleNs {
		if c.dice.IntN(200) == 0 { // now and then nothing but pings
			c.idleNs = c.nowNs + c.dice.Int64N(3*timeout)*1e6
		}
		for n := 1 + c.dice.IntN(c.load.burst); n > 0 && c.ready && !c.ending; n-- {
			c.work()
		}
	}
	if c.nowNs-c.saidNs > timeout/3*1e6 && c.ready {
		c.send(&request{op: zk.OpPing}, nil)
	}
}

// resting: near the end of a run nothing new is asked, so that all can come to rest.
func (c *client) resting() bool { return c.opt.rest }

func (c *client) dial() {
	m := c.members[c.next%len(c.members)]
	c.next++
	c.dialling = true
	c.wire.connect(c, m, func(p *pipe) {
		c.dialling = false
		if c.gone {
			if p != nil {
				p.hangUp()
			}
			return
		}
		if p == nil {
			return
		}
		c.pipe, c.in, c.ready = p, nil, false
		c.heardNs, c.saidNs = c.nowNs, c.nowNs
		p.session = c.session
		q := zk.ConnectRequest{LastZxidSeen: int64(c.seen), TimeoutMs: c.load.timeoutMs, SessionID: int64(c.session), Password: c.password[:], HasReadOnly: true, ReadOnly: c.mayRead}
		b := zk.BeginFrame(nil)
		b = q.Append(b)
		zk.EndFrame(b, 0)
		p.toServer.send(b)
	})
}

// leave gives up the connection.
func (c *client) leave(why string) {
	p := c.pipe
	p.hangUp()
	c.lost(p, why)
}

// lost is the end of the connection, whoever ended it. What has no answer has an unknown outcome.
func (c *client) lost(p *pipe, why string) {
	if p != c.pipe {
		return
	}
	c.tell("client %d loses member %d: %s", c.id, p.member.id, why)
	c.pipe, c.ready, c.readOnly, c.resetting, c.caught = nil, false, false, false, nil
	for _, r := range c.pending {
		c.history().unknown(r)
		if r.op == zk.OpCloseSession {
			c.forget()
		}
	}
	c.pending = c.pending[:0]
}

// forget begins anew without a session.
func (c *client) forget() {
	c.session, c.password, c.watches, c.ending, c.timeoutMs = 0, [zk.PasswordBytes]byte{}, nil, false, 0
	c.bound = 0
}

// receive takes bytes of the server.
func (c *client) receive(p *pipe, b []byte) {
	if p != c.pipe {
		return // a connection that this client left behind
	}
	c.heardNs = c.nowNs
	c.in = append(c.in, b...)
	for {
		payload, size, err := zk.Frame(c.in, 1<<24)
		if err != nil {
			c.broken("wire format", "client %d: %v", c.id, err)
		}
		if size == 0 {
			return
		}
		r := zk.NewReader(payload)
		if !c.ready {
			c.connected(&r)
		} else {
			c.frame(&r)
		}
		if c.pipe != p {
			return
		}
		c.in = c.in[size:]
	}
}

// connected takes the ConnectReply.
func (c *client) connected(r *zk.Reader) {
	var q zk.ConnectReply
	if !q.Parse(r) {
		c.broken("wire format", "client %d: malformed ConnectReply", c.id)
	}
	if q.SessionID == 0 {
		if c.session != 0 && c.truth.alive(c.session) {
			c.broken("sessions live", "client %d is told that session %x has expired, but it is open", c.id, uint64(c.session))
		}
		c.tell("client %d: session %x has expired", c.id, uint64(c.session))
		c.forget()
		c.leave("expired")
		return
	}
	id := tree.SessionID(q.SessionID)
	if c.session != 0 && id != c.session {
		c.broken("sessions live", "client %d asked for session %x and got %x", c.id, uint64(c.session), q.SessionID)
	}
	fresh := c.session == 0
	if q.ReadOnly && (!c.mayRead || !c.servers.ReadOnly || !fresh && c.truth.alive(c.session)) {
		c.broken("read-only", "client %d: member %d takes session %x in read-only mode", c.id, c.pipe.member.id, uint64(id))
	}
	c.session, c.timeoutMs, c.ready, c.readOnly = id, q.TimeoutMs, true, q.ReadOnly
	copy(c.password[:], q.Password)
	c.pipe.session = id
	c.truth.heard(id, c.pipe.member)
	c.tell("client %d has session %x on member %d", c.id, uint64(id), c.pipe.member.id)
	if !fresh && len(c.watches) > 0 {
		c.setWatches()
	}
}

// send sends a request; body appends what follows the header.
func (c *client) send(r *request, body func(dst []byte) []byte) {
	c.xid++
	r.xid, r.sentNs, r.floor = c.xid, c.nowNs, c.truth.acked
	switch r.op {
	case zk.OpPing:
		r.xid = int32(zk.XidPing)
	case zk.OpSetWatches, zk.OpSetWatches2:
		r.xid = int32(zk.XidSetWatches)
	}
	b := zk.BeginFrame(nil)
	b = zk.AppendRequestHeader(b, zk.Xid(r.xid), r.op)
	if body != nil {
		b = body(b)
	}
	zk.EndFrame(b, 0)
	if r.writes() && !c.readOnly {
		c.pipe.issued = append(c.pipe.issued, issue{tree.Op(r.op), r.path, r.data, c.nowNs})
	}
	c.pending = append(c.pending, r)
	c.saidNs = c.nowNs
	c.history().begin(c, r)
	c.pipe.toServer.send(b)
}

// frame takes a reply or an event.
func (c *client) frame(r *zk.Reader) {
	var h zk.ReplyHeader
	if !h.Parse(r) {
		c.broken("wire format", "client %d: reply without a header", c.id)
	}
	if h.Xid == zk.XidEvent {
		var e zk.WatcherEvent
		if !e.Parse(r) {
			c.broken("wire format", "client %d: malformed event", c.id)
		}
		c.event(tree.Zxid(h.Zxid), tree.EventKind(e.Type), string(e.Path))
		return
	}
	if len(c.pending) == 0 || c.pending[0].xid != int32(h.Xid) {
		c.broken("answers in order", "client %d: an answer to %d, but %s is the oldest request", c.id, h.Xid, c.oldest())
	}
	q := c.pending[0]
	c.pending = c.pending[1:]
	q.answered = true
	c.answers++
	c.answer(q, tree.Zxid(h.Zxid), tree.Code(h.Err), r)
}

func (c *client) oldest() string {
	if len(c.pending) == 0 {
		return "none"
	}
	return fmt.Sprintf("%d (%v %s)", c.pending[0].xid, c.pending[0].op, c.pending[0].path)
}

// answer checks one reply against the history.
func (c *client) answer(q *request, z tree.Zxid, code tree.Code, r *zk.Reader) {
	if z > 0 {
		if z < c.seen {
			c.broken("session order", "client %d: %v %s is answered at zxid %x after %x", c.id, q.op, q.path, z, c.seen)
		}
		c.seen = z
		if q.op != zk.OpSetWatches2 && q.op != zk.OpSetWatches {
			c.overdue(z, q)
		}
	}
	if c.readOnly {
		c.readOnlyAnswers++
		if q.writes() || q.op == zk.OpSync {
			c.notWritten(q, code)
			return
		}
	}
	if q.writes() {
		c.wrote(q, z, code, r)
		return
	}
	if code == tree.OK || code == tree.NoNode {
		root := c.truth.rootAt(z)
		if root == nil {
			c.broken("reads", "client %d: %v %s is answered at zxid %x, which is in no history", c.id, q.op, q.path, z)
		}
		c.read(q, z, code, r, root)
	} else if code != tree.SystemError {
		c.broken("reads", "client %d: %v %s is answered %v", c.id, q.op, q.path, code)
	}
}

// notWritten checks the answer of a write in read-only mode.
func (c *client) notWritten(q *request, code tree.Code) {
	want := tree.NotReadOnly
	if q.op == zk.OpCloseSession {
		want = tree.OK
	}
	if code != want {
		c.broken("read-only", "client %d: %v %s is answered %v by a member that only reads", c.id, q.op, q.path, code)
	}
	c.history().refused(q)
	if q.op == zk.OpCloseSession {
		c.forget()
		c.leave("closed its session")
	}
}

// read checks the answer of a read.
func (c *client) read(q *request, z tree.Zxid, code tree.Code, r *zk.Reader, root *tree.Root) {
	n, exists := root.Lookup([]byte(q.path))
	wrong := func(got any) {
		var s tree.Stat
		if exists {
			s = n.Stat()
		}
		c.broken("reads", "client %d: %v %s at zxid %x: got %v %+v, but the history says %v %+v", c.id, q.op, q.path, z, code, got, exists, s)
	}
	switch q.op {
	case zk.OpSync:
		if z < q.floor {
			c.broken("linearizable", "client %d: a sync is answered at zxid %x, but %x was acknowledged before it was sent", c.id, z, q.floor)
		}
		c.bound = max(c.bound, q.called)
		return
	case zk.OpSetWatches2:
		c.rewatched(q, z, root)
		return
	case zk.OpAddWatch:
		if q.mode == zk.AddWatchPersistent {
			c.watch(watchPersistent, q.path, z)
		} else {
			c.watch(watchRecursive, q.path, z)
		}
		return
	case zk.OpPing:
		return
	}
	if exists != (code == tree.OK) {
		wrong(nil)
	}
	if c.linearizable(q.path) && !c.readOnly && z < q.floor {
		c.broken("linearizable", "client %d: %v %s is answered at zxid %x, but %x was acknowledged before it was sent", c.id, q.op, q.path, z, q.floor)
	}
	switch q.op {
	case zk.OpGetData:
		if exists {
			var p zk.DataReply
			if !p.Parse(r) || string(p.Data) != string(n.Data()) || !sameStat(&p.Stat, n.Stat()) {
				wrong(p)
			}
			if q.watch {
				c.watch(watchData, q.path, z)
			}
		}
		c.history().read(c, q, exists, n)
	case zk.OpExists:
		if exists {
			if s := r.Stat(); r.Bad() || !sameStat(&s, n.Stat()) {
				wrong(s)
			}
		}
		if q.watch && exists {
			c.watch(watchData, q.path, z)
		} else if q.watch {
			c.watch(watchExist, q.path, z)
		}
	case zk.OpGetChildren2:
		if exists {
			var p zk.ChildrenReply
			if !p.Parse(r) || !sameStat(&p.Stat, n.Stat()) || p.Children.Len() != n.NumChildren() {
				wrong(p)
			}
			n.Children(nil, func(name []byte) bool {
				if got, _ := p.Children.Next(); string(got) != string(name) {
					wrong(string(got))
				}
				return true
			})
			if q.watch {
				c.watch(watchChild, q.path, z)
			}
		}
	}
}

func sameStat(w *zk.Stat, t tree.Stat) bool {
	return *w == zk.Stat{
		Czxid: int64(t.Czxid), Mzxid: int64(t.Mzxid), Ctime: t.Ctime, Mtime: t.Mtime, Version: t.Version, Cversion: t.Cversion,
		Aversion: t.Aversion, EphemeralOwner: int64(t.EphemeralOwner), DataLength: t.DataLength, NumChildren: t.NumChildren, Pzxid: int64(t.Pzxid),
	}
}

// wrote checks the answer of a write.
func (c *client) wrote(q *request, z tree.Zxid, code tree.Code, r *zk.Reader) {
	x := c.truth.txn(z)
	if q.op == zk.OpReconfig {
		c.tell("client %d: reconfig is answered %v", c.id, code)
	}
	if code == tree.SystemError {
		c.pipe.issued = without(c.pipe.issued, q, c.pipe.committed)
		c.history().refused(q)
		return // not taken: the log is full
	}
	if x == nil || x.origin != c.pipe.origin || x.session != c.session && q.op != zk.OpReconfig || x.op != tree.Op(q.op) {
		c.broken("acknowledged writes", "client %d: %v %s is answered %v at zxid %x, but the history has %+v there", c.id, q.op, q.path, code, z, x)
	}
	if x.code != code {
		if !(q.op == zk.OpMulti && code == tree.OK) {
			c.broken("acknowledged writes", "client %d: %v %s is answered %v, but the history says %v", c.id, q.op, q.path, code, x.code)
		}
	}
	if z <= q.floor {
		c.broken("linearizable", "client %d: %v %s is answered at zxid %x, but %x was acknowledged before it was sent", c.id, q.op, q.path, z, q.floor)
	}
	c.truth.acked = max(c.truth.acked, z)
	var got zk.PathStatReply
	switch {
	case code != tree.OK:
	case q.op == zk.OpCreate2 || q.op == zk.OpCreateContainer || q.op == zk.OpCreateTTL:
		if !got.Parse(r) || string(got.Path) != x.path || !sameStat(&got.Stat, x.stat) {
			c.broken("acknowledged writes", "client %d: create of %s answers %s %+v, the history says %s %+v", c.id, q.path, got.Path, got.Stat, x.path, x.stat)
		}
	case q.op == zk.OpSetData:
		if s := r.Stat(); r.Bad() || !sameStat(&s, x.stat) {
			c.broken("acknowledged writes", "client %d: setData of %s answers %+v, the history says %+v", c.id, q.path, s, x.stat)
		}
	case q.op == zk.OpMulti:
		c.multiAnswer(q, x, r)
	case q.op == zk.OpCloseSession:
		c.forget()
		c.leave("closed its session")
	}
	c.history().wrote(c, q, code, x)
	c.doneNs = c.nowNs
	if code == tree.OK {
		c.done++
	}
}

// multiAnswer compares the results one by one: all or nothing.
func (c *client) multiAnswer(q *request, x *txn, r *zk.Reader) {
	m := zk.NewMultiResults(r.Rest())
	var res zk.MultiResult
	for i := 0; m.Next(&res); i++ {
		if i >= len(x.multi) || tree.Code(res.Err) != x.multi[i].Code {
			c.broken("acknowledged writes", "client %d: multi at zxid %x: result %d is %v, the history has %+v", c.id, x.zxid, i, res.Err, x.multi)
		}
	}
	failed, worked := 0, 0
	for i := range x.multi {
		if x.multi[i].Op == tree.OpError {
			failed++
		} else {
			worked++
		}
	}
	if m.Bad() || failed > 0 && worked > 0 {
		c.broken("multi", "client %d: multi at zxid %x is half done: %+v", c.id, x.zxid, x.multi)
	}
}

// without takes a write that the server refused off the list of those that may be in the log.
func without(all []issue, q *request, committed int) []issue {
	for i := committed; i < len(all); i++ {
		if all[i].sentNs == q.sentNs && all[i].op == tree.Op(q.op) && all[i].path == q.path {
			return append(append([]issue(nil), all[:i]...), all[i+1:]...)
		}
	}
	return all
}
