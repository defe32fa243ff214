package netloop

import (
	"bytes"

	"holt/netloop/watch"
	"holt/netloop/wire"
	"holt/tree"
)

// read answers a request that is no write, from root. Watches are registered in the same step, so there is no moment
// between what a client reads and what it will be told of.
func (l *loop) read(c *conn, h *wire.RequestHeader, body []byte, root *tree.Root, startNs int64) {
	l.output(c)
	xid := h.Xid
	if h.Op == wire.OpPing {
		xid = wire.XidPing
	}
	code := tree.OK
	if h.Op == wire.OpSetWatches || h.Op == wire.OpSetWatches2 {
		code = l.setWatches(c, h.Op, body, root) // its events come before the reply
	}
	start := len(c.out)
	c.out = wire.AppendReplyHeader(wire.BeginFrame(c.out), xid, int64(root.Zxid()), wire.CodeOK)
	if code == tree.OK {
		code = l.readBody(c, h, body, root)
	}
	if n := len(c.out) - start; code == tree.OK && n > l.cfg.FrameBytesMax {
		l.oversize(c, h.Op, n)
		if n > l.cfg.replyBytesMax() {
			code = codeUndecoded
		}
	}
	switch code {
	case tree.OK:
		wire.EndFrame(c.out, start)
	case codeListing:
		return
	case tree.Unimplemented:
		// A request that ZooKeeper does not know either: -6 with zxid -1, then the end. The session survives.
		c.out = wire.AppendErrorReply(c.out[:start], h.Xid, -1, wire.CodeUnimplemented)
		l.answered(c, h.Op, h.Xid, -1, startNs)
		l.drop(c, "unknown request")
		return
	case codeUndecoded:
		c.out = wire.AppendErrorReply(c.out[:start], xid, int64(root.Zxid()), wire.CodeMarshallingError)
	default:
		if h.Op == wire.OpMultiRead {
			wire.AppendReplyHeader(c.out[:start+wire.FrameHeaderBytes], xid, int64(root.Zxid()), wire.Code(code))
			wire.EndFrame(c.out, start)
			break
		}
		c.out = wire.AppendErrorReply(c.out[:start], xid, int64(root.Zxid()), wire.Code(code))
	}
	l.answered(c, h.Op, xid, int64(root.Zxid()), startNs)
}

// Outcomes of readBody that no client sees.
const (
	codeListing   tree.Code = 1 + iota // the answer is written piece by piece
	codeUndecoded                      // MarshallingError without anything more, for a multiRead too
)

// readBody appends the body of the reply, or returns why there is none.
func (l *loop) readBody(c *conn, h *wire.RequestHeader, body []byte, root *tree.Root) tree.Code {
	r := wire.NewReader(body)
	switch h.Op {
	case wire.OpPing, wire.OpSetWatches, wire.OpSetWatches2:
		return tree.OK
	case wire.OpExists:
		return l.exists(c, &r, root)
	case wire.OpGetData:
		return l.getData(c, &r, root)
	case wire.OpGetChildren, wire.OpGetChildren2:
		return l.getChildren(c, h, &r, root)
	case wire.OpGetACL:
		return l.getACL(c, &r, root)
	case wire.OpGetEphemerals:
		return l.getEphemerals(c, &r, root)
	case wire.OpGetAllChildrenNumber:
		return l.getAllChildrenNumber(c, &r, root)
	case wire.OpWhoAmI:
		l.whoAmI(c)
		return tree.OK
	case wire.OpMultiRead:
		return l.multiRead(c, body, root)
	case wire.OpCheckWatches:
		return l.checkWatches(c, &r)
	case wire.OpRemoveWatches:
		return l.removeWatches(c, &r)
	case wire.OpAddWatch:
		return l.addWatch(c, &r)
	case wire.OpSASL:
		return l.sasl(c, &r)
	}
	return tree.Unimplemented
}

// lookup finds a znode that the connection may read.
func (l *loop) lookup(c *conn, root *tree.Root, path []byte, p tree.Perm) (tree.Node, tree.Code) {
	if path == nil {
		return tree.Node{}, tree.MarshallingError
	}
	n, ok := root.Lookup(path)
	if !ok {
		return n, tree.NoNode
	}
	if !l.allowed(c, n.ACL(), p) {
		return n, tree.NoAuth
	}
	return n, tree.OK
}

// watch registers a watch; a full table is the client's problem, not ours.
func (l *loop) watch(c *conn, m watch.Mode, path []byte) tree.Code {
	if err := l.watches.Add(c.slot, m, path, tree.PathHash(path)); err != nil {
		l.log.Warn("refusing a watch", "client", c.addr, "session", sessionText(c.session), "err", err)
		return tree.SystemError
	}
	return tree.OK
}

func (l *loop) exists(c *conn, r *wire.Reader, root *tree.Root) tree.Code {
	var q wire.WatchRequest
	if !q.Parse(r) {
		return tree.MarshallingError
	}
	if bytes.IndexByte(q.Path, 0) >= 0 {
		return tree.BadArguments
	}
	n, code := l.lookup(c, root, q.Path, tree.PermRead)
	if q.Watch && (code == tree.OK || code == tree.NoNode) {
		if w := l.watch(c, watch.Data, q.Path); w != tree.OK {
			return w
		}
	}
	if code == tree.OK {
		c.out = l.appendStatOf(c.out, n)
	}
	return code
}

func (l *loop) getData(c *conn, r *wire.Reader, root *tree.Root) tree.Code {
	var q wire.WatchRequest
	if !q.Parse(r) {
		return tree.MarshallingError
	}
	return l.appendData(c, root, q.Path, q.Watch)
}

func (l *loop) appendData(c *conn, root *tree.Root, path []byte, watched bool) tree.Code {
	n, code := l.lookup(c, root, path, tree.PermRead)
	if code == tree.OK && watched {
		code = l.watch(c, watch.Data, path)
	}
	if code == tree.OK {
		c.out = wire.AppendBuffer(c.out, n.Data())
		c.out = l.appendStatOf(c.out, n)
	}
	return code
}

func (l *loop) getChildren(c *conn, h *wire.RequestHeader, r *wire.Reader, root *tree.Root) tree.Code {
	var q wire.WatchRequest
	if !q.Parse(r) {
		return tree.MarshallingError
	}
	n, code := l.lookup(c, root, q.Path, tree.PermRead)
	if code == tree.OK && q.Watch {
		code = l.watch(c, watch.Child, q.Path)
	}
	if code != tree.OK {
		return code
	}
	if n.NumChildren() > sliceChildrenMax {
		l.list(c, h, n, root)
		return codeListing
	}
	c.out = appendChildren(c.out, n)
	if h.Op == wire.OpGetChildren2 {
		c.out = l.appendStatOf(c.out, n)
	}
	return tree.OK
}

// appendChildren appends the vector of all names.
func appendChildren(dst []byte, n tree.Node) []byte {
	dst = wire.AppendInt32(dst, int32(n.NumChildren()))
	n.Children(nil, func(name []byte) bool {
		dst = wire.AppendBuffer(dst, name)
		return true
	})
	return dst
}

// getACL hides the passwords' digests from those who may not change the ACL.
func (l *loop) getACL(c *conn, r *wire.Reader, root *tree.Root) tree.Code {
	var q wire.PathRequest
	if !q.Parse(r) {
		return tree.MarshallingError
	}
	n, code := l.lookup(c, root, q.Path, tree.PermRead|tree.PermAdmin)
	if code != tree.OK {
		return code
	}
	entries := n.ACL().Entries()
	if !l.allowed(c, n.ACL(), tree.PermAdmin) {
		entries = n.ACL().Masked()
	}
	c.out = wire.AppendInt32(c.out, int32(len(entries)))
	for i := range entries {
		e := &entries[i]
		c.out = wire.AppendInt32(c.out, int32(e.Perms))
		c.out = wire.AppendString(c.out, e.ID.Scheme)
		c.out = wire.AppendString(c.out, e.ID.ID)
	}
	c.out = l.appendStatOf(c.out, n)
	return tree.OK
}

// getEphemerals lists the session's own ephemerals whose path starts with a prefix: as a string, not as a directory.
func (l *loop) getEphemerals(c *conn, r *wire.Reader, root *tree.Root) tree.Code {
	var q wire.PathRequest
	if !q.Parse(r) {
		return tree.MarshallingError
	}
	prefix := q.Path
	// ZooKeeper trims the prefix only to see whether it asks for all (FinalRequestProcessor, String.trim).
	if trimmed := bytes.TrimFunc(prefix, func(r rune) bool { return r <= ' ' }); len(trimmed) == 0 || string(trimmed) == "/" {
		prefix = nil
	}
	at, n := len(c.out), int32(0)
	c.out = wire.AppendInt32(c.out, 0)
	root.Ephemerals(c.session, func(path []byte) bool {
		if bytes.HasPrefix(path, prefix) {
			c.out = wire.AppendBuffer(c.out, path)
			n++
		}
		return true
	})
	wire.AppendInt32(c.out[:at], n)
	return tree.OK
}

func (l *loop) getAllChildrenNumber(c *conn, r *wire.Reader, root *tree.Root) tree.Code {
	var q wire.PathRequest
	if !q.Parse(r) {
		return tree.MarshallingError
	}
	n, code := l.lookup(c, root, q.Path, tree.PermRead)
	if code == tree.OK {
		count := int32(n.Descendants())
		if len(q.Path) == 0 {
			count++ // the root by its other name counts itself (DataTree.getAllChildrenNumber)
		}
		c.out = wire.AppendInt32(c.out, count)
	}
	return code
}

// whoAmI tells the connection's identities; of a digest only the user.
func (l *loop) whoAmI(c *conn) {
	c.out = wire.AppendInt32(c.out, int32(len(c.ids)))
	for _, id := range c.ids {
		name := id.ID
		if id.Scheme == schemeDigest {
			name = user(name)
		}
		c.out = wire.AppendString(c.out, id.Scheme)
		c.out = wire.AppendString(c.out, name)
	}
}

// multiRead answers getData and getChildren operations, each with its own outcome, all from one root. Their watch flags
// mean nothing: ZooKeeper drops them when it decodes the operations (MultiOperationRecord.deserialize). Operations that
// belong into a multi fail the whole request, a null path fails it when its turn comes; the reply has a list of results
// even so. A request of a megabyte may ask for many gigabytes: beyond what can be sent it fails without results.
func (l *loop) multiRead(c *conn, body []byte, root *tree.Root) tree.Code {
	var op wire.MultiOp
	m := wire.NewMultiReader(wire.OpMultiRead, body)
	for m.Next(&op) {
	}
	if m.Bad() {
		if !m.Foreign() {
			return codeUndecoded
		}
		c.out = wire.AppendMultiEnd(c.out)
		return tree.MarshallingError
	}
	code, begin := tree.OK, len(c.out)
	for m = wire.NewMultiReader(wire.OpMultiRead, body); code == tree.OK && m.Next(&op); {
		start := len(c.out)
		if start-begin > l.cfg.replyBytesMax() {
			l.oversize(c, wire.OpMultiRead, start-begin)
			return codeUndecoded
		}
		c.out = wire.AppendMultiOK(c.out, op.Op)
		if op.Op == wire.OpGetData {
			code = l.appendData(c, root, op.Path, false)
		} else {
			code = l.appendChildrenOf(c, root, op.Path)
		}
		switch code {
		case tree.OK:
		case tree.MarshallingError:
			c.out = c.out[:start]
		default:
			c.out = wire.AppendMultiError(c.out[:start], wire.Code(code))
			code = tree.OK
		}
	}
	c.out = wire.AppendMultiEnd(c.out)
	return code
}

func (l *loop) appendChildrenOf(c *conn, root *tree.Root, path []byte) tree.Code {
	n, code := l.lookup(c, root, path, tree.PermRead)
	if code == tree.OK {
		c.out = appendChildren(c.out, n)
	}
	return code
}

// oversize counts replies that a client with the same jute.maxbuffer refuses, and logs the first. Those that not even
// the bound on unsent bytes holds are not sent at all.
func (l *loop) oversize(c *conn, op wire.Op, bytes int) {
	l.cfg.Metrics.LargeReplies.Inc()
	if l.oversized.CompareAndSwap(false, true) {
		l.log.Warn("a reply exceeds jute.maxbuffer; clients that keep the default drop the connection (raise jute.maxbuffer at the clients, or split the directory); further ones are only counted",
			"client", c.addr, "session", sessionText(c.session), "op", op.String(), "bytes", bytes, "max", l.cfg.FrameBytesMax)
	}
}
