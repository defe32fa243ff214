package netloop

import (
	"errors"
	"time"

	"holt/netloop/wire"
	"holt/quorum"
	"holt/tree"
)

// take takes in what arrived. Frames are decoded where they lie; only what is left over is copied. While a frame is
// incomplete nothing is looked at until all of it is there, so a large one costs one copy and not one per read.
func (l *loop) take(c *conn, b []byte) {
	if len(c.in) == 0 && c.stall == 0 {
		n := l.consume(c, b)
		if n < len(b) && c.live() {
			l.keepIn(c, b[n:])
		}
		return
	}
	l.keepIn(c, b)
	if c.stall == 0 && len(c.unread()) >= c.need {
		l.consumeKept(c)
	}
	if c.stall != 0 && c.live() {
		l.pause(c)
	}
}

// pause stops reading a connection that has to wait anyway, so that what it sends next stays in the kernel's buffers
// and slows it down.
func (l *loop) pause(c *conn) {
	c.paused = true
	if !c.link.Pause() && len(c.unread()) > inboundBytesStalled+l.cfg.FrameBytesMax {
		l.drop(c, "sent too much while its requests had to wait")
	}
}

// resume goes on with a connection that had to wait.
func (l *loop) resume(c *conn) {
	c.resumed = false
	if c.stall != 0 || !c.live() {
		return
	}
	if len(c.unread()) > 0 {
		l.consumeKept(c)
	}
	if c.stall == 0 && c.paused && c.live() {
		c.paused = false
		c.link.Resume()
	}
}

// keepIn copies bytes behind the unread ones.
func (l *loop) keepIn(c *conn, b []byte) {
	if len(c.unread())+len(b) > inboundBytesSmall && l.inboundAll.Load()+int64(len(b)) > int64(l.cfg.InboundBytesMax) {
		l.cfg.Metrics.LargeRequests.Inc()
		l.drop(c, "too many bytes of incomplete requests in all")
		return
	}
	in := c.in
	if in == nil {
		in = l.buffer()
	}
	l.setIn(c, append(in, b...), c.inAt)
}

// consumeKept takes requests from the unread bytes.
func (l *loop) consumeKept(c *conn) {
	at := c.inAt + l.consume(c, c.unread())
	switch {
	case c.stage == stageGone:
	case at == len(c.in):
		in := c.in
		l.setIn(c, nil, 0)
		l.recycle(in)
	case at*2 >= len(c.in):
		l.setIn(c, c.in[:copy(c.in, c.in[at:])], 0)
	default:
		c.inAt = at
	}
}

// setIn replaces the buffer of unread bytes and keeps account of it.
func (l *loop) setIn(c *conn, in []byte, at int) {
	l.inboundAll.Add(int64(len(in) - len(c.in)))
	c.in, c.inAt = in, at
}

// consume takes requests from b until one has to wait or is incomplete, and returns how many bytes they had. The writes
// among them are proposed together.
func (l *loop) consume(c *conn, b []byte) int {
	n, ahead := 0, 0
	c.need = 0
	for ; c.stall == 0 && c.live(); ahead-- {
		if ahead == 0 && l.root.Large() {
			ahead = l.lookAhead(b[n:])
		}
		if c.stage == stageFresh && l.fourLetters(c, b[n:]) {
			return len(b)
		}
		payload, size, err := wire.Frame(b[n:], l.cfg.FrameBytesMax)
		if err != nil {
			l.drop(c, "frame length out of range")
			break
		}
		if size == 0 {
			c.need = frameNeed(b[n:])
			break
		}
		if !l.request(c, payload) {
			break
		}
		n += size
		if len(c.out) > turnBytesMax {
			l.propose(c)
			l.flush(c)
		}
	}
	l.propose(c)
	return n
}

// lookAhead prepares for the reads among the requests that b begins with, and returns how many requests it looked at.
func (l *loop) lookAhead(b []byte) int {
	var paths [tree.AheadPathsMax][]byte
	n := 0
	for ; n < len(paths); n++ {
		payload, size, err := wire.Frame(b, l.cfg.FrameBytesMax)
		if size == 0 || err != nil {
			break
		}
		b = b[size:]
		r := wire.NewReader(payload)
		var h wire.RequestHeader
		h.Parse(&r)
		switch h.Op {
		case wire.OpGetData, wire.OpExists, wire.OpGetChildren, wire.OpGetChildren2, wire.OpGetACL:
			paths[n] = r.Buffer()
		}
	}
	if n > 1 {
		l.root.LookAhead(paths[:n])
	}
	return n
}

// frameNeed is how many bytes have to be there before the frame at the start of b is worth looking at.
func frameNeed(b []byte) int {
	if len(b) < wire.FrameHeaderBytes {
		return wire.FrameHeaderBytes
	}
	return wire.FrameHeaderBytes + int(b[0])<<24 + int(b[1])<<16 + int(b[2])<<8 + int(b[3])
}

// request takes one request: it is answered, queued or, if false is returned, not taken yet.
func (l *loop) request(c *conn, payload []byte) bool {
	if c.stage == stageFresh {
		if l.busy {
			c.stall |= stallBusy
			return false
		}
		return l.connect(c, payload)
	}
	r := wire.NewReader(payload)
	var h wire.RequestHeader
	if !h.Parse(&r) {
		l.drop(c, "request without a header")
		return true
	}
	if !c.proven && h.Op != wire.OpAuth && h.Op != wire.OpSASL {
		l.touch(c)
		l.unproven(c, &h)
		return true
	}
	if c.readOnly && l.readOnlyRequest(c, &h) {
		return true
	}
	if !c.queue.empty() && (l.crowded(c) || h.Op == wire.OpReconfig) {
		c.stall |= stallAnswers
		return false
	}
	switch h.Op {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL, wire.OpDelete, wire.OpSetData, wire.OpSetACL,
		wire.OpMulti, wire.OpReconfig, wire.OpDeleteContainer, wire.OpCloseSession:
		if l.busy {
			c.stall |= stallBusy
			return false
		}
		l.touch(c)
		l.write(c, &h, r.Rest())
	case wire.OpSync:
		l.touch(c)
		l.sync(c, &h, payload)
	case wire.OpAuth:
		l.touch(c)
		l.auth(c, &h, r.Rest())
	default:
		l.touch(c)
		if l.confirming && !c.readOnly && l.confirms(h.Op, r.Rest()) {
			l.confirm(c, &h, payload)
			return true
		}
		if !c.queue.empty() {
			c.queue.keep(pending{kind: kindKept, xid: h.Xid, op: h.Op, startNs: l.nowNs}, payload)
			return true
		}
		l.read(c, &h, r.Rest(), l.root, l.nowNs)
	}
	return true
}

// crowded says whether a connection with unanswered requests may not add another one.
func (l *loop) crowded(c *conn) bool {
	return c.queue.len() >= l.cfg.OutstandingPerConn || c.queue.keptBytes() > keptBytesMax ||
		c.queue.unanswered() > 0 && l.outstanding.Load()+int64(l.batch) >= int64(l.cfg.OutstandingMax)
}

// touch notes that the connection was heard of, for the session's clock.
func (l *loop) touch(c *conn) {
	c.stats.received++
	l.mix.requests++
	l.perf.Received(1, 0)
	c.touched = true
}

// enqueue adds a write to the queue and returns the header of its command.
func (l *loop) enqueue(c *conn, h *wire.RequestHeader, op tree.Op) tree.CommandHeader {
	l.mix.writes++
	head := c.header(op, c.queue.tag+1)
	c.queue.push(pending{kind: kindWrite, xid: h.Xid, op: h.Op, startNs: l.nowNs})
	if l.batch == 0 {
		l.refused = head.Tag
	}
	l.batch++
	return head
}

// propose hands the writes of the running turn to the quorum: one lock, one copy.
func (l *loop) propose(c *conn) {
	if l.batch == 0 {
		return
	}
	err := l.quorum.Propose(l.epoch, l.commands)
	l.addOutstanding(l.batch)
	l.batch = 0
	if errors.Is(err, quorum.ErrBusy) {
		l.busy = true
		l.held, l.commands = l.commands, l.held[:0]
		l.heldBy, l.heldTag = c, l.refused
		return
	}
	l.commands = l.commands[:0]
	if cap(l.commands) > bufferBytesKept+l.cfg.FrameBytesMax {
		l.commands = nil
	}
	switch {
	case errors.Is(err, quorum.ErrLost):
		l.lose(l.quorum.Epoch())
	case err != nil:
		l.refuse(c, l.refused, err)
	}
}

// retry offers the quorum again what it had no room for; then connections that waited for it go on.
func (l *loop) retry() {
	err := l.quorum.Propose(l.epoch, l.held)
	switch {
	case errors.Is(err, quorum.ErrBusy):
		return
	case errors.Is(err, quorum.ErrLost):
		l.lose(l.quorum.Epoch())
		return
	case err != nil && l.heldBy.stage != stageGone:
		l.refuse(l.heldBy, l.heldTag, err)
	}
	l.unhold()
}

const refusedLogEvery = int64(10 * time.Second)

// refuse answers the writes from tag on with an error: the log is full. A member of several closes the connection instead, or
// because it was removed: the client finds another member, who may take what this one cannot.
func (l *loop) refuse(c *conn, tag uint64, err error) {
	if l.refusedAt.Swap(l.nowNs/refusedLogEvery) != l.nowNs/refusedLogEvery {
		l.log.Warn("refusing writes; reads go on (is the disk full, is a quorum of members up?)", "err", err)
	}
	if c.stage == stageConnecting {
		l.drop(c, "no session can be opened now")
		return
	}
	if !l.quorum.Status().Alone {
		l.drop(c, "this member takes no writes now; another one may")
		return
	}
	for i := c.queue.first; i < len(c.queue.entries); i++ {
		if p := &c.queue.entries[i]; p.tag >= tag && p.kind == kindWrite {
			c.queue.refuse(p, tree.SystemError)
			l.addOutstanding(-1)
		}
	}
	l.drain(c, l.root)
}

// sync asks the quorum how far this server has to come.
func (l *loop) sync(c *conn, h *wire.RequestHeader, payload []byte) {
	l.propose(c)
	if !c.live() {
		return
	}
	p := c.queue.keep(pending{kind: kindSync, xid: h.Xid, op: h.Op, startNs: l.nowNs}, payload)
	l.addSyncs(1)
	if err := l.quorum.Sync(c.origin(), p.tag); err != nil {
		c.queue.refuse(p, tree.SystemError)
		l.addSyncs(-1)
		l.drain(c, l.root)
	}
}
