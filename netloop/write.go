package netloop

import (
	"unsafe"

	"holt/netloop/wire"
	"holt/perf"
	"holt/tree"
)

// write encodes a write as a command. One that cannot be decoded is a command too, so that it is answered in its turn.
func (l *loop) write(c *conn, h *wire.RequestHeader, body []byte) {
	r := wire.NewReader(body)
	parsed, path := true, []byte{}
	switch h.Op {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		parsed, path = l.create(c, h, &r)
	case wire.OpDelete:
		var q wire.VersionRequest
		if parsed, path = q.Parse(&r), q.Path; parsed && path != nil {
			head := l.enqueue(c, h, tree.OpDelete)
			l.commands = tree.AppendDelete(l.commands, &head, &tree.Delete{Path: path, Version: q.Version})
		}
	case wire.OpSetData:
		var q wire.SetDataRequest
		if parsed, path = q.Parse(&r), q.Path; parsed && path != nil {
			head := l.enqueue(c, h, tree.OpSetData)
			l.commands = tree.AppendSetData(l.commands, &head, &tree.SetData{Path: path, Data: q.Data, Version: q.Version})
		}
	case wire.OpSetACL:
		var q wire.SetACLRequest
		if parsed, path = q.Parse(&r), q.Path; parsed && path != nil {
			head := l.enqueue(c, h, tree.OpSetACL)
			l.commands = tree.AppendSetACL(l.commands, &head, &tree.SetACL{Path: path, ACL: l.aclBytes(q.ACL), Version: q.Version})
		}
	case wire.OpReconfig:
		var q wire.ReconfigRequest
		if parsed = q.Parse(&r); parsed {
			head := l.enqueue(c, h, tree.OpReconfig)
			l.commands = tree.AppendReconfig(l.commands, &head,
				&tree.Reconfig{Joining: q.Joining, Leaving: q.Leaving, NewMembers: q.NewMembers, ConfigID: q.ConfigID})
			c.stall |= stallReconfig
		}
	case wire.OpDeleteContainer:
		var q wire.PathRequest
		if parsed, path = q.Parse(&r), q.Path; parsed && path != nil {
			head := l.enqueue(c, h, tree.OpDeleteContainer)
			l.commands = tree.AppendDeleteContainer(l.commands, &head, path)
		}
	case wire.OpMulti:
		l.multi(c, h, body)
	case wire.OpCloseSession:
		head := l.enqueue(c, h, tree.OpCloseSession)
		l.commands = tree.AppendCloseSession(l.commands, &head, &tree.CloseSession{ID: c.session, IfOwner: true})
		c.stall |= stallEnd
	}
	switch {
	case !parsed:
		head := l.enqueue(c, h, tree.OpError)
		l.commands = tree.AppendFailed(l.commands, &head, tree.MarshallingError)
	case path == nil:
		code := tree.MarshallingError
		if h.Op == wire.OpSetData || h.Op == wire.OpSetACL {
			code = tree.BadArguments // these look at the path's syntax first
		}
		l.failNullPath(c, h, code)
	}
}

// failNullPath answers a write without a path: ZooKeeper stumbles over it after it took a zxid.
func (l *loop) failNullPath(c *conn, h *wire.RequestHeader, code tree.Code) {
	head := l.enqueue(c, h, tree.Op(h.Op))
	l.commands = tree.AppendFailed(l.commands, &head, code)
}

func (l *loop) create(c *conn, h *wire.RequestHeader, r *wire.Reader) (parsed bool, path []byte) {
	var q wire.CreateRequest
	if h.Op == wire.OpCreateTTL {
		parsed = q.ParseTTL(r)
	} else {
		parsed = q.Parse(r)
	}
	switch {
	case !parsed:
	case q.Path == nil && (q.Flags < tree.FlagPersistent || q.Flags > tree.FlagTTLSequential):
		l.failNullPath(c, h, tree.BadArguments) // the flags are looked at first
		return true, []byte{}
	case q.Path != nil:
		head := l.enqueue(c, h, tree.Op(h.Op))
		l.commands = tree.AppendCreate(l.commands, &head,
			&tree.Create{Path: q.Path, Data: q.Data, ACL: l.aclBytes(q.ACL), Flags: q.Flags, TTLMs: q.TTLMs})
	}
	return parsed, q.Path
}

// multi encodes all operations, or fails as a whole when one of them is malformed or not allowed. Whether that consumes a
// zxid depends on where ZooKeeper stumbles: over a null ACL while it decodes, over a null path after it took one.
func (l *loop) multi(c *conn, h *wire.RequestHeader, body []byte) {
	head := l.enqueue(c, h, tree.OpMulti)
	commands, mark := tree.BeginMulti(l.commands, &head)
	m := wire.NewMultiReader(wire.OpMulti, body)
	var op wire.MultiOp
	nullPath, nullACL, badFlags := false, false, false
	for !nullACL && !badFlags && m.Next(&op) {
		nullPath = nullPath || op.Path == nil
		switch op.Op {
		case wire.OpDelete:
			commands = tree.AppendMultiDelete(commands, &tree.Delete{Path: op.Path, Version: op.Version})
		case wire.OpSetData:
			commands = tree.AppendMultiSetData(commands, &tree.SetData{Path: op.Path, Data: op.Data, Version: op.Version})
		case wire.OpCheck:
			commands = tree.AppendMultiCheck(commands, &tree.Check{Path: op.Path, Version: op.Version})
		default:
			if op.Op != wire.OpCreateTTL {
				// In ZooKeeper's order: flags that nobody knows, a null ACL, flags that want a TTL.
				known := op.Flags >= wire.FlagPersistent && op.Flags <= wire.FlagPersistentSequentialTTL
				nullACL = known && op.ACL.Null()
				badFlags = !nullACL && (!known || op.Flags > wire.FlagContainer)
			}
			commands = tree.AppendMultiCreate(commands, tree.Op(op.Op),
				&tree.Create{Path: op.Path, Data: op.Data, ACL: l.aclBytes(op.ACL), Flags: op.Flags, TTLMs: op.TTLMs})
		}
	}
	switch {
	case nullACL:
		head.Op = tree.OpError
		l.commands = tree.AppendFailed(commands[:mark.Start()], &head, tree.MarshallingError)
	case m.Bad() || nullPath || badFlags:
		l.commands = tree.AppendFailed(commands[:mark.Start()], &head, tree.MarshallingError)
	default:
		l.commands = tree.EndMulti(commands, mark)
	}
}

// aclBytes encodes an ACL as commands carry it; valid until the next call.
func (l *loop) aclBytes(v wire.ACLs) []byte {
	l.acl = l.acl[:0]
	for {
		a, ok := v.Next()
		if !ok {
			return l.acl
		}
		l.acl = tree.AppendACL(l.acl, tree.Perm(a.Perms), a.Scheme, a.ID)
	}
}

// answer replies to the write at the front of the queue, which became t.
func (l *loop) answer(c *conn, t *tree.Txn) {
	if c.queue.empty() || c.queue.front().tag != t.Tag {
		return // refused by drainBefore
	}
	p := c.queue.pop()
	l.addOutstanding(-1)
	if c.stage == stageConnecting {
		l.connected(c, t, p.startNs)
		return
	}
	if t.Code == tree.SessionMoved {
		l.drop(c, "session was attached elsewhere")
		return
	}
	l.output(c)
	zxid := int64(t.Zxid)
	if t.Code != tree.OK && t.Multi == nil {
		c.out = wire.AppendErrorReply(c.out, p.xid, zxid, wire.Code(t.Code))
	} else {
		start := len(c.out)
		c.out = wire.AppendReplyHeader(wire.BeginFrame(c.out), p.xid, zxid, wire.CodeOK)
		c.out = appendResult(c.out, &p, t)
		wire.EndFrame(c.out, start)
	}
	l.answered(c, p.op, p.xid, zxid, p.startNs)
	if c.stall&stallReconfig != 0 {
		l.relieve(c, stallReconfig)
	}
	if p.op == wire.OpCloseSession || t.Code == tree.SessionExpired {
		l.close(c)
	}
}

// appendResult appends the body of a successful write's reply.
func appendResult(dst []byte, p *pending, t *tree.Txn) []byte {
	switch p.op {
	case wire.OpCreate:
		return wire.AppendString(dst, t.Path)
	case wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		return appendStat(wire.AppendString(dst, t.Path), &t.Stat)
	case wire.OpSetData, wire.OpSetACL:
		return appendStat(dst, &t.Stat)
	case wire.OpReconfig:
		return appendStat(wire.AppendBuffer(dst, t.Rare().Data), &t.Stat)
	case wire.OpMulti:
		return appendMulti(dst, t.Multi)
	}
	return dst
}

func appendMulti(dst []byte, results []tree.MultiResult) []byte {
	for i := range results {
		m := &results[i]
		if m.Op == tree.OpError {
			dst = wire.AppendMultiError(dst, wire.Code(m.Code))
			continue
		}
		dst = wire.AppendMultiOK(dst, wire.Op(m.Op))
		switch m.Op {
		case tree.OpCreate:
			dst = wire.AppendString(dst, m.Path)
		case tree.OpCreate2:
			dst = appendStat(wire.AppendString(dst, m.Path), &m.Stat)
		case tree.OpSetData:
			dst = appendStat(dst, &m.Stat)
		}
	}
	return wire.AppendMultiEnd(dst)
}

// syncReply echoes the path.
func (l *loop) syncReply(c *conn, p *pending, body []byte, root *tree.Root) {
	l.output(c)
	zxid := int64(root.Zxid())
	r := wire.NewReader(body)
	var q wire.PathRequest
	if !q.Parse(&r) {
		c.out = wire.AppendErrorReply(c.out, p.xid, zxid, wire.CodeMarshallingError)
	} else {
		start := len(c.out)
		c.out = wire.AppendReplyHeader(wire.BeginFrame(c.out), p.xid, zxid, wire.CodeOK)
		c.out = wire.AppendBuffer(c.out, q.Path)
		wire.EndFrame(c.out, start)
	}
	l.answered(c, p.op, p.xid, zxid, p.startNs)
}

// reply appends a reply without a body.
func (l *loop) reply(c *conn, xid wire.Xid, zxid int64, code tree.Code) {
	l.output(c)
	c.out = wire.AppendErrorReply(c.out, xid, zxid, wire.Code(code))
}

// answered keeps the books of one reply.
func (l *loop) answered(c *conn, op wire.Op, xid wire.Xid, zxid, startNs int64) {
	took := l.nowNs - startNs
	c.stats.answer(op, xid, zxid, l.nowNs, took)
	l.perf.Sent(1, 0)
	kind := perf.OpOf(int32(op))
	if startNs == l.nowNs {
		l.perf.Inline(kind)
	} else if l.perf.Answered(kind, startNs, l.nowNs) {
		l.cfg.Metrics.SlowOp(kind, int64(c.session), nil, startNs, l.nowNs)
	}
}

// appendStatOf appends the stat of a znode.
func (l *loop) appendStatOf(dst []byte, n tree.Node) []byte {
	n.PutStat(&l.stat)
	return appendStat(dst, &l.stat)
}

// appendStat appends a Stat. tree's and wire's are the same but for the names of their types (TestStatsAreTheSame), and
// copying the one into the other right after it was written costs a read as much as encoding it.
func appendStat(dst []byte, s *tree.Stat) []byte {
	return wire.AppendStat(dst, (*wire.Stat)(unsafe.Pointer(s)))
}
