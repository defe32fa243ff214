package netloop

import (
	"log/slog"
	"sync/atomic"
	"time"

	"holt/netloop/watch"
	"holt/netloop/wire"
	"holt/perf"
	"holt/quorum"
	"holt/tree"
)

// host runs a loop: gnet's event loop, or a simulator.
type host interface {
	// Wake has turn called on the loop, soon. It is the only method that other goroutines may call.
	Wake()
	// Again has turn called once more after other connections had their chance.
	Again()
	// After has turn called not before d, once however often it was asked for until then.
	After(d time.Duration)
	// Yield has other goroutines run once the connections that have sent something had their turn.
	Yield()
}

// loop owns a share of the connections: their unanswered requests, their watches and one view of the tree. It knows
// nothing of sockets; whoever runs it calls attach, receive and turn, one at a time.
//
// Its view only moves in advance, which walks the commit chain. Everything that a client can observe follows from the
// order of steps there, see doc.go.
type loop struct {
	*shared
	index uint16
	host  host
	nowNs int64 // stamped at the start of a turn

	epoch    uint64 // in which its commands are proposed, see quorum.Quorum.Epoch
	lostSeen uint64 // ends of epochs it knows of

	cursor *quorum.Commit // the last commit that was walked
	root   *tree.Root     // its root
	reader *tree.Reader   // at root or an older one; rests between turns if no request waits for a commit

	conns      []*conn // by slot
	free       []uint32
	generation uint64

	watches *watch.Table
	visit   func(slot uint32) // tells one connection of change; made once, so that firing does not allocate
	change  *tree.Change
	zxid    tree.Zxid
	event   []byte // the change encoded, empty until somebody is told
	told    int    // connections told of it

	commands []byte // of the connection whose requests are being taken
	refused  uint64 // first tag among commands
	batch    int    // writes in commands
	held     []byte // commands that the queue had no room for
	heldBy   *conn
	heldTag  uint64
	busy     bool // the proposal queue was full

	dirty     []*conn // have output or are to be closed
	unblocked []*conn // had an answer in the commit being walked
	resumed   []*conn // have a stall less
	choked    []*conn // wait for their client to read
	silent    []*conn // connected and without a session, in the order they came
	awaiting  []*conn // their ConnectRequests wait for a leader, or for this member to be up to date
	upToDate  bool    // this member has been since it lost its leader last

	confirming  bool    // some reads have to be linearizable
	confirmNext reads   // those of this turn
	confirmSent []reads // those of earlier ones

	stat        tree.Stat // scratch
	buffers     [][]byte  // for reuse
	bufferBytes int       // their capacity
	acl         []byte    // scratch: an ACL as commands carry it
	unanswered  int64     // requests that wait for the quorum
	syncs       int64     // the syncs among them
	stopping    bool

	readOnlyConns int              // connections of read-only mode
	departed      []tree.SessionID // heard of since the clock asked last, on connections that have gone

	mix  mix
	asks asks // of other goroutines

	waking     atomic.Bool  // Wake was called and turn has not begun
	hasWatches atomic.Bool  // the loop wants commits that only change the tree
	open       atomic.Int64 // connections
	perf       *perf.Loop
}

func newLoop(s *shared, index int) *loop {
	l := &loop{shared: s, index: uint16(index), perf: s.cfg.Metrics.Loop(index)}
	l.confirming = s.cfg.LinearizableReads || len(s.cfg.LinearizablePaths) > 0
	l.confirmNext.number = 1
	l.watches = watch.New(watch.Config{Hash: tree.PathHash[string]})
	l.visit = l.tell
	return l
}

// begin takes the place at the end of the chain.
func (l *loop) begin(tail *quorum.Commit) {
	l.cursor, l.root, l.epoch = tail, tail.Root, l.quorum.Epoch()
	l.reader = l.quorum.Readers().Join()
}

// wake asks for a turn, once however often it is called.
func (l *loop) wake() {
	if l.waking.CompareAndSwap(false, true) {
		l.host.Wake()
	}
}

// turn does what is due when no bytes have arrived.
func (l *loop) turn() {
	l.waking.Store(false)
	l.start()
	if c := l.cursor.Next(); c != nil {
		l.perf.Lag(l.nowNs - c.AtNs)
	}
	l.catchUp()
	l.asked()
	l.finish()
}

// start begins a turn.
func (l *loop) start() {
	l.nowNs = l.cfg.NowNs()
	l.perf.Begin(l.nowNs)
	l.reader.Enter()
}

// attach takes in a fresh connection.
func (l *loop) attach(k link, addr, ip string) *conn {
	l.nowNs = l.cfg.NowNs()
	var slot uint32
	if n := len(l.free); n > 0 {
		slot, l.free = l.free[n-1], l.free[:n-1]
	} else {
		slot = uint32(len(l.conns))
		l.conns = append(l.conns, nil)
	}
	l.generation++
	c := &conn{
		loop: l, link: k, slot: slot, number: l.generation<<slotBits | uint64(slot),
		addr: addr, ip: ip, since: l.cfg.NowMs(), sinceNs: l.nowNs,
	}
	c.stats.reset()
	c.proven = len(l.cfg.AuthSchemes) == 0
	c.addID(tree.ID{Scheme: "ip", ID: ip})
	l.conns[slot] = c
	l.open.Add(1)
	l.silent = append(l.silent, c)
	return c
}

// slotBits of a connection's number are its slot, the rest counts the loop's connections.
const slotBits = 24

// receive is called with bytes that have arrived. b is not kept.
func (l *loop) receive(c *conn, b []byte) {
	l.start()
	l.perf.Received(0, len(b))
	l.catchUp()
	if c.live() {
		l.take(c, b)
	}
	l.flush(c)
	l.finish()
}

// forget is called when a link has gone, whoever ended it.
func (l *loop) forget(c *conn) {
	if c.stage == stageGone {
		return
	}
	c.stage = stageGone
	switch { // a timeout counts from when the session was heard of last, not from when the clock asked last
	case c.readOnly:
		l.readOnlyConns--
	case c.session == 0 && c.claims != 0:
		l.departed = append(l.departed, c.claims)
	case c.session != 0 && c.touched:
		l.departed = append(l.departed, c.session)
	}
	l.watches.RemoveConn(c.slot)
	l.conns[c.slot] = nil
	l.free = append(l.free, c.slot)
	l.open.Add(-1)
	l.dropQueue(c)
	l.setIn(c, nil, 0)
	for i := range c.parts {
		c.parts[i].release()
	}
	c.out, c.parts = nil, nil
}

// find returns the connection that an Origin names, or nil if it has gone or lives elsewhere.
func (l *loop) find(o tree.Origin) *conn {
	if o.Process != l.cfg.Process || o.Loop != l.index {
		return nil
	}
	slot := o.Conn & (1<<slotBits - 1)
	if slot >= uint64(len(l.conns)) {
		return nil
	}
	if c := l.conns[slot]; c != nil && c.number == o.Conn {
		return c
	}
	return nil
}

// close has the connection closed after what it is owed was written.
func (l *loop) close(c *conn) {
	if !c.live() {
		return
	}
	c.stage = stageClosing
	l.dropQueue(c)
	l.mark(c)
}

// drop is close for what the other side did wrong.
func (l *loop) drop(c *conn, why string) {
	if !c.live() {
		return
	}
	l.log.Debug("closing connection", "client", c.addr, "session", sessionText(c.session), "why", why)
	l.close(c)
}

// mark puts the connection on the list of those that finish writes to.
func (l *loop) mark(c *conn) {
	if !c.dirty && c.stage != stageGone {
		c.dirty = true
		l.dirty = append(l.dirty, c)
	}
}

// output prepares c.out for a reply or an event.
func (l *loop) output(c *conn) {
	if c.out == nil {
		c.out = l.buffer()
	}
	l.mark(c)
}

func (l *loop) buffer() []byte {
	if n := len(l.buffers); n > 0 {
		b := l.buffers[n-1]
		l.buffers[n-1] = nil
		l.buffers = l.buffers[:n-1]
		l.bufferBytes -= cap(b)
		return b
	}
	return make([]byte, 0, bufferBytesNew)
}

func (l *loop) recycle(b []byte) {
	if cap(b) > 0 && cap(b) <= bufferBytesKept && l.bufferBytes+cap(b) <= buffersBytesMax {
		l.buffers = append(l.buffers, b[:0])
		l.bufferBytes += cap(b)
	}
}

// finish ends a turn: connections that may go on do, what is owed is written, and what exceeds the bounds of a turn is
// left for the next one.
func (l *loop) finish() {
	if l.busy {
		l.retry()
	}
	l.poll()
	l.pollAwaiting()
	n := min(len(l.resumed), flushConnsMax)
	for i := 0; i < n; i++ {
		l.resume(l.resumed[i])
		l.resumed[i] = nil
	}
	l.resumed = l.resumed[:copy(l.resumed, l.resumed[n:])]
	l.ask()
	l.flushDirty()
	l.watchFlag()
	if l.unanswered == 0 {
		l.reader.Rest()
	}
	if len(l.resumed) > 0 || len(l.dirty) > 0 {
		l.host.Again()
	}
	if l.mix.next() {
		l.writing.Store(l.mix.writing)
	}
	if l.cfg.Yield && l.mix.writing {
		l.host.Yield()
	}
	g := &l.perf.Gauges
	g.Syncs = l.syncs
	g.Conns, g.Outstanding, g.Watches, g.RecursiveWatches = l.open.Load(), l.unanswered, l.watches.Count(), l.watches.Counts().Recursive
	if now := l.cfg.NowNs(); l.perf.End(now) {
		l.cfg.Metrics.SlowTurn(int(l.index), l.nowNs, now)
	}
}

// flushDirty writes to connections with output, as many as a turn may.
func (l *loop) flushDirty() {
	n := min(len(l.dirty), flushConnsMax)
	for i := 0; i < n; i++ {
		c := l.dirty[i]
		l.dirty[i] = nil
		if c.dirty {
			l.flush(c)
		}
	}
	l.dirty = l.dirty[:copy(l.dirty, l.dirty[n:])]
}

// flush writes what the connection is owed, in one call to the link unless there are parts.
func (l *loop) flush(c *conn) {
	if c.stage == stageGone {
		return
	}
	c.dirty = false
	l.flushParts(c)
	if c.stage == stageGone {
		return
	}
	if len(c.parts) == 0 && len(c.out) > 0 && !c.choked {
		out := c.out
		c.out = nil
		l.perf.Sent(0, len(out))
		c.link.Write(out)
		l.recycle(out)
	}
	if c.stage == stageGone {
		return
	}
	if c.stage == stageClosing {
		l.end(c)
		return
	}
	l.restrain(c)
}

// watchFlag tells the publisher whether commits without local transactions concern this loop. A commit may have been
// published after advance and before the flag was up, when its publisher saw no reason to wake us; so look once more.
func (l *loop) watchFlag() {
	has := !l.watches.Empty()
	if has == l.hasWatches.Load() {
		return
	}
	l.hasWatches.Store(has)
	if has && l.cursor.Next() != nil {
		l.host.Again()
	}
}

// advance walks the commit chain to its end.
func (l *loop) advance() {
	for c := l.cursor.Next(); c != nil; c = c.Next() {
		l.walk(c)
		l.cursor = c
	}
	l.reader.Look(l.root)
}

// walk does one commit: transaction by transaction, then syncs, then the reads that waited for any of these.
func (l *loop) walk(c *quorum.Commit) {
	mine := c.Loops&(1<<l.index) != 0
	if c.Installed {
		l.replaced(c.Root)
	}
	if mine || c.Moved || !l.watches.Empty() {
		for i := range c.Txns {
			l.txn(&c.Txns[i], c.Changes)
		}
	}
	l.root = c.Root
	if mine {
		l.cfg.Metrics.StageDeliver.Observe(l.nowNs - c.AtNs)
		for _, s := range c.Synced {
			if s.Origin.Conn == 0 && s.Origin.Loop == l.index {
				l.confirmed(s)
			} else {
				l.synced(s)
			}
		}
	}
	for i, n := range l.unblocked {
		l.drain(n, l.root)
		l.unblocked[i] = nil
	}
	l.unblocked = l.unblocked[:0]
}

// txn does one transaction in the order that clients rely on: the reads sent before it see the tree before it; its
// events come before its reply.
func (l *loop) txn(t *tree.Txn, changes []tree.Change) {
	var c *conn
	if t.Local {
		c = l.find(t.Origin)
	}
	if c != nil {
		l.drainBefore(c, t)
	}
	if t.ChangesFrom < t.ChangesTo && !l.watches.Empty() {
		l.fire(t.Zxid, changes[t.ChangesFrom:t.ChangesTo])
	}
	if c != nil && c.live() {
		l.answer(c, t)
		l.unblocked = append(l.unblocked, c)
	}
	if name := t.Rare().OverQuota; name != "" && t.Origin.Loop == l.index {
		l.cfg.Metrics.QuotaExceeded.Inc()
		l.cfg.Metrics.QuotaExceededBy.Inc(name)
	}
	if t.Closed == tree.ClosedByExpiry || t.Closed == tree.ClosedByMove {
		if old := l.find(t.Rare().PrevOwner); old != nil && old != c {
			l.drop(old, "session expired or attached elsewhere")
		}
	}
}

// fire tells the connections that watch what a transaction changed.
func (l *loop) fire(zxid tree.Zxid, changes []tree.Change) {
	l.zxid = zxid
	for i := range changes {
		l.change, l.event, l.told = &changes[i], l.event[:0], 0
		l.watches.Fire(watch.Kind(l.change.Kind), l.change.Path, l.change.Hash, l.visit)
		if l.told > 0 {
			l.perf.Fired(int(l.change.Kind), l.told)
		}
	}
	l.change = nil
}

// tell appends the event of l.change to one connection's output, if it may read the znode (CVE-2024-23944).
func (l *loop) tell(slot uint32) {
	c := l.conns[slot]
	if !c.live() {
		return
	}
	if !l.allowed(c, l.change.ACL, tree.PermRead) {
		l.cfg.Metrics.EventsDenied.Inc()
		return
	}
	if len(l.event) == 0 {
		l.event = wire.AppendEvent(l.event, int64(l.zxid), wire.EventType(l.change.Kind), l.change.Path)
	}
	l.output(c)
	c.out = append(c.out, l.event...)
	c.stats.sent++
	l.perf.Sent(1, 0)
	l.told++
}

// allowed says whether the connection has one of the permissions.
func (l *loop) allowed(c *conn, acl *tree.ACLList, p tree.Perm) bool {
	return acl == nil || l.cfg.SkipACL || acl.Allows(p, c.ids)
}

// drainBefore answers what was sent before the write that became t, from the tree just before t. Syncs among it are
// complete, and reads confirmed: what anybody was told before they were sent precedes t in the log.
func (l *loop) drainBefore(c *conn, t *tree.Txn) {
	root := t.Before
	for !c.queue.empty() && c.queue.front().tag < t.Tag && c.live() {
		p := c.queue.front()
		if p.kind == kindWrite || root == nil {
			l.log.Error("closing connection whose writes came out of order", "client", c.addr, "session", sessionText(c.session),
				"want", p.tag, "got", t.Tag)
			l.close(c)
			return
		}
		l.answerFront(c, root)
	}
	c.queue.trim()
}

// drain answers requests until one has to wait.
func (l *loop) drain(c *conn, root *tree.Root) {
	for c.live() && !c.queue.empty() {
		p := c.queue.front()
		if p.kind == kindWrite || (p.kind == kindSync || p.kind == kindConfirmed) && !p.done {
			break
		}
		l.answerFront(c, root)
	}
	c.queue.trim()
	if l.stopping && c.queue.empty() {
		l.close(c)
	}
	if c.stall&stallAnswers != 0 && l.roomFor(c) {
		l.relieve(c, stallAnswers)
	}
}

// answerFront answers the first request of the queue, which is no write.
func (l *loop) answerFront(c *conn, root *tree.Root) {
	payload := c.queue.payload(c.queue.front())
	p := c.queue.pop()
	switch p.kind {
	case kindConfirmed:
		l.addOutstanding(-1)
		fallthrough
	case kindKept:
		r := wire.NewReader(payload)
		var h wire.RequestHeader
		h.Parse(&r)
		l.read(c, &h, r.Rest(), root, p.startNs)
	case kindSync:
		l.addSyncs(-1)
		if c.stage == stageFresh {
			l.upToDate = true
			l.relieve(c, stallSession) // its ConnectRequest is looked at again
			return
		}
		r := wire.NewReader(payload)
		var h wire.RequestHeader
		h.Parse(&r)
		l.syncReply(c, &p, r.Rest(), root)
	case kindRefused:
		l.reply(c, p.xid, int64(root.Zxid()), p.code)
		l.answered(c, p.op, p.xid, int64(root.Zxid()), p.startNs)
		if c.stall&stallReconfig != 0 {
			l.relieve(c, stallReconfig)
		}
		if p.op == wire.OpCloseSession {
			l.close(c) // nothing is taken from it any more; the session goes when its time is up
		}
	}
}

// synced notes the completion of a sync.
func (l *loop) synced(s quorum.Synced) {
	c := l.find(s.Origin)
	if c == nil || !c.live() {
		return
	}
	q := &c.queue
	for i := q.first; i < len(q.entries); i++ {
		if q.entries[i].tag == s.Tag {
			q.entries[i].done = true
			l.unblocked = append(l.unblocked, c)
			return
		}
	}
}

// roomFor says whether the connection may have another request wait.
func (l *loop) roomFor(c *conn) bool {
	if c.queue.empty() {
		return true
	}
	return c.queue.len() <= l.cfg.OutstandingPerConn/2 && c.queue.keptBytes() <= keptBytesMax/2 &&
		l.outstanding.Load() <= int64(l.cfg.OutstandingMax)
}

// relieve takes a reason to stall away and has finish resume the connection when none is left.
func (l *loop) relieve(c *conn, s stall) {
	c.stall &^= s
	if c.stall == 0 && !c.resumed && c.live() {
		c.resumed = true
		l.resumed = append(l.resumed, c)
	}
}

// dropQueue forgets what a connection waits for.
func (l *loop) dropQueue(c *conn) {
	l.syncs -= int64(c.queue.syncs)
	l.addOutstanding(-c.queue.clear())
}

func (l *loop) addSyncs(n int) {
	l.syncs += int64(n)
	l.addOutstanding(n)
}

func (l *loop) addOutstanding(n int) {
	if n != 0 {
		l.unanswered += int64(n)
		l.outstanding.Add(int64(n))
	}
}

// shared is what the loops of a server have in common.
type shared struct {
	cfg         Config
	log         *slog.Logger
	quorum      Quorum
	outstanding atomic.Int64 // requests that wait for the quorum
	inboundAll  atomic.Int64 // bytes of incomplete requests
	refusedAt   atomic.Int64 // in which period refusing writes was logged last
	epochsLost  atomic.Uint64
	ledNs       atomic.Int64 // when this member was last known to lead, or was started
	ids         sessionIDs
	inReadOnly  atomic.Bool

	writing      atomic.Bool  // much of what the last loop was asked for that looked wrote
	leadsSinceNs atomic.Int64 // 0: this member does not lead
	words        words
	oversized    atomic.Bool // a reply beyond jute.maxbuffer was logged
}
