package netloop

import (
	"holt/netloop/wire"
	"holt/tree"
)

// listing is the reply to getChildren of a large directory. It is written in pieces from the immutable root, so that
// neither the loop is held longer than a slice nor the whole reply is ever in memory. A frame's length comes first, so
// the names are walked twice: once to count bytes, once to write them.
type listing struct {
	node    tree.Node
	hold    *tree.Hold // of its Root
	op      wire.Op
	xid     wire.Xid
	zxid    int64
	startNs int64

	after []byte // last name counted or written; nil at the start
	bytes int    // of the vector's elements
	count int
	phase phase
}

type phase uint8

const (
	phaseCount phase = iota
	phaseWrite
)

// list begins a listing; what the connection is owed already precedes it, later replies and events follow it.
func (l *loop) list(c *conn, h *wire.RequestHeader, n tree.Node, root *tree.Root) {
	start := len(c.out) - wire.FrameHeaderBytes - wire.ReplyHeaderBytes
	if start > 0 {
		c.parts = append(c.parts, part{bytes: c.out[:start]})
		c.out = nil
	} else {
		c.out = c.out[:0]
	}
	c.parts = append(c.parts, part{listing: &listing{
		node: n, hold: l.quorum.Readers().Hold(root), op: h.Op, xid: h.Xid, zxid: int64(root.Zxid()), startNs: l.nowNs,
	}})
	c.stall |= stallListing
	l.mark(c)
}

// flushParts writes what precedes c.out, at most one slice of a listing.
func (l *loop) flushParts(c *conn) {
	for len(c.parts) > 0 && !c.choked {
		p := &c.parts[0]
		if p.listing == nil {
			l.perf.Sent(0, len(p.bytes))
			c.link.Write(p.bytes)
			l.recycle(p.bytes)
		} else if !l.slice(c, p.listing) {
			if c.stage != stageGone {
				l.mark(c)
			}
			return
		}
		if c.stage == stageGone {
			return
		}
		p.release()
		c.parts[0] = part{}
		c.parts = c.parts[1:]
		if len(c.parts) == 0 {
			c.parts = nil
			l.relieve(c, stallListing)
		}
	}
}

// slice does one piece of work on a listing and says whether it is complete.
func (l *loop) slice(c *conn, s *listing) bool {
	if s.phase == phaseCount {
		l.countSlice(c, s)
		return false
	}
	b := l.buffer()
	if s.count == 0 {
		b = s.appendHead(b)
	}
	visited := 0
	s.node.Children(s.after, func(name []byte) bool {
		b = wire.AppendBuffer(b, name)
		s.after = name
		visited++
		return visited < sliceChildrenMax && len(b) < sliceBytesMax
	})
	s.count += visited
	done := s.count == s.node.NumChildren()
	if done && s.op == wire.OpGetChildren2 {
		b = l.appendStatOf(b, s.node)
	}
	l.perf.Sent(0, len(b))
	c.link.Write(b)
	l.recycle(b)
	if done && c.stage != stageGone {
		l.answered(c, s.op, s.xid, s.zxid, s.startNs)
	}
	return done
}

// countSlice counts the bytes of some names more.
func (l *loop) countSlice(c *conn, s *listing) {
	visited := 0
	s.node.Children(s.after, func(name []byte) bool {
		s.bytes += wire.FrameHeaderBytes + len(name)
		s.after = name
		visited++
		return visited < sliceChildrenMax
	})
	s.count += visited
	if s.count == s.node.NumChildren() {
		s.phase, s.after, s.count = phaseWrite, nil, 0
		if n := s.frameBytes(); n > l.cfg.FrameBytesMax {
			l.oversize(c, s.op, n)
		}
	}
}

// frameBytes is the size of the whole reply without its length.
func (s *listing) frameBytes() int {
	n := wire.ReplyHeaderBytes + 4 + s.bytes
	if s.op == wire.OpGetChildren2 {
		n += wire.StatBytes
	}
	return n
}

func (s *listing) appendHead(b []byte) []byte {
	b = wire.AppendInt32(b, int32(s.frameBytes()))
	b = wire.AppendReplyHeader(b, s.xid, s.zxid, wire.CodeOK)
	return wire.AppendInt32(b, int32(s.node.NumChildren()))
}
