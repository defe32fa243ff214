package main

import (
	"bytes"
	"encoding/binary"
	"slices"

	"holt/netloop/wire"
)

// canonical is a received frame in the form in which it must equal the other server's.
type canonical struct {
	key   []byte  // every value, made comparable
	times []int64 // ms since 1970, in the order of the frame: near, not equal
	event bool
	zxid  int64 // of the header, as a distance
	code  wire.Code
	frame []byte
	req   *request // what it answers, nil for an event
}

// canon builds canonical forms for one server's frames.
type canon struct {
	s   *server
	out canonical
}

// canonicalFrame gives frame, the answer to q or an event, its comparable form. A frame that does not parse is compared
// as it is.
func canonicalFrame(s *server, q *request, frame []byte) canonical {
	c := canon{s: s, out: canonical{frame: frame, req: q}}
	r := wire.NewReader(frame)
	var h wire.ReplyHeader
	if !h.Parse(&r) {
		c.out.key = frame
		return c.out
	}
	c.out.event = h.Xid == wire.XidEvent
	c.out.zxid = c.distance(h.Zxid)
	c.out.code = h.Err
	c.int32(int32(h.Xid))
	c.zxid(h.Zxid)
	c.int32(int32(h.Err))
	if c.out.event || q == nil {
		c.out.key = append(c.out.key, r.Rest()...)
		return c.out
	}
	if body := r.Rest(); len(body) > 0 && !c.reply(q.op, body) {
		c.out.key = append(c.out.key, body...)
	}
	return c.out
}

func (c *canon) distance(z int64) int64 {
	return c.s.zxids.distance(z)
}

func (c *canon) int32(v int32) { c.out.key = wire.AppendInt32(c.out.key, v) }
func (c *canon) int64(v int64) { c.out.key = wire.AppendInt64(c.out.key, v) }

// zxid keeps 0 and -1 apart from distances.
func (c *canon) zxid(z int64) {
	special := z <= 0
	c.out.key = wire.AppendBool(c.out.key, special)
	c.int64(c.distance(z))
}

func (c *canon) buffer(b []byte) { c.out.key = wire.AppendBuffer(c.out.key, b) }

func (c *canon) stat(s wire.Stat) {
	c.zxid(s.Czxid)
	c.zxid(s.Mzxid)
	c.zxid(s.Pzxid)
	c.time(s.Ctime)
	c.time(s.Mtime)
	// A node that was never set again has equal times.
	c.out.key = wire.AppendBool(c.out.key, s.Czxid == s.Mzxid && s.Ctime != s.Mtime)
	c.int32(s.Version)
	c.int32(s.Cversion)
	c.int32(s.Aversion)
	owner := s.EphemeralOwner
	if n, ok := c.s.sessions[owner]; ok {
		owner = int64(n)
	}
	c.int64(owner)
	c.int32(s.DataLength)
	c.int32(s.NumChildren)
}

func (c *canon) time(ms int64) {
	c.out.key = wire.AppendBool(c.out.key, ms == 0)
	c.out.times = append(c.out.times, ms)
}

// set appends a vector's elements in byte order.
func (c *canon) set(v wire.Strings) {
	c.out.key = wire.AppendBool(c.out.key, v.Null())
	c.int32(int32(v.Len()))
	elements := make([][]byte, 0, v.Len())
	for {
		s, ok := v.Next()
		if !ok {
			break
		}
		elements = append(elements, s)
	}
	slices.SortFunc(elements, bytes.Compare)
	for _, s := range elements {
		c.buffer(s)
	}
}

// acls appends a list. ZooKeeper replaces an entry of scheme auth by the caller's identities in the order of a hash table,
// so a list with several digest entries of the same permissions is compared as a set.
func (c *canon) acls(v wire.ACLs) {
	c.out.key = wire.AppendBool(c.out.key, v.Null())
	var entries [][]byte
	digests := 0
	for {
		a, ok := v.Next()
		if !ok {
			break
		}
		if string(a.Scheme) == "digest" || string(a.Scheme) == "super" {
			digests++
		}
		entries = append(entries, wire.AppendACL(nil, a.Perms, a.Scheme, a.ID))
	}
	if digests > 1 {
		slices.SortFunc(entries, bytes.Compare)
	}
	for _, e := range entries {
		c.out.key = append(c.out.key, e...)
	}
}

func (c *canon) whoAmI(v wire.ClientInfos) {
	var entries [][]byte
	for {
		i, ok := v.Next()
		if !ok {
			break
		}
		entries = append(entries, wire.AppendClientInfo(nil, i.AuthScheme, i.User))
	}
	slices.SortFunc(entries, bytes.Compare)
	for _, e := range entries {
		c.out.key = append(c.out.key, e...)
	}
}

// reply appends the comparable form of the body of a reply to op. It returns false, having appended nothing of use, when
// the body is not what op answers.
func (c *canon) reply(op wire.Op, body []byte) bool {
	r := wire.NewReader(body)
	switch op {
	case wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL, wire.OpGetData, wire.OpReconfig:
		c.buffer(r.Buffer())
		c.stat(r.Stat())
	case wire.OpExists, wire.OpSetData, wire.OpSetACL:
		c.stat(r.Stat())
	case wire.OpGetACL:
		c.acls(r.ACLs())
		c.stat(r.Stat())
	case wire.OpGetChildren, wire.OpGetEphemerals:
		c.set(r.Strings())
	case wire.OpGetChildren2:
		c.set(r.Strings())
		c.stat(r.Stat())
	case wire.OpWhoAmI:
		c.whoAmI(r.ClientInfos())
	case wire.OpMulti, wire.OpMultiRead:
		return c.results(body)
	default: // no zxid, no time, no session in it
		c.out.key = append(c.out.key, body...)
		return true
	}
	c.out.key = append(c.out.key, r.Rest()...)
	return !r.Bad()
}

func (c *canon) results(body []byte) bool {
	m := wire.NewMultiResults(body)
	var res wire.MultiResult
	for m.Next(&res) {
		c.int32(int32(res.Op))
		c.int32(int32(res.Err))
		switch res.Op {
		case wire.OpCreate:
			c.buffer(res.Path)
		case wire.OpCreate2:
			c.buffer(res.Path)
			c.stat(res.Stat)
		case wire.OpSetData:
			c.stat(res.Stat)
		case wire.OpGetData:
			c.buffer(res.Data)
			c.stat(res.Stat)
		case wire.OpGetChildren:
			c.set(res.Children)
		}
	}
	c.out.key = append(c.out.key, m.Rest()...)
	return !m.Bad()
}

// canonicalConnect gives the answer to a ConnectRequest its comparable form. The session it names must have been entered
// in s.sessions before.
func canonicalConnect(s *server, frame []byte) canonical {
	out := canonical{frame: frame}
	var p wire.ConnectReply
	r := wire.NewReader(frame)
	if !p.Parse(&r) {
		out.key = frame
		return out
	}
	out.key = wire.AppendInt32(out.key, p.ProtocolVersion)
	out.key = wire.AppendInt32(out.key, p.TimeoutMs)
	id := p.SessionID
	if n, ok := s.sessions[id]; ok {
		id = int64(n)
	}
	out.key = wire.AppendInt64(out.key, id)
	out.key = wire.AppendInt32(out.key, int32(len(p.Password)))
	out.key = wire.AppendBool(out.key, allZero(p.Password))
	out.key = wire.AppendBool(out.key, p.HasReadOnly)
	out.key = wire.AppendBool(out.key, p.ReadOnly)
	out.key = append(out.key, r.Rest()...)
	return out
}

func allZero(b []byte) bool {
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}

// timeTolerance is how far apart the two servers may stamp one write, in ms, when neither stalls.
const timeTolerance = 5000

// same says whether two frames are equal in the sense of the comparison. toleranceMs is for times.
func (a *canonical) same(b *canonical, toleranceMs int64) bool {
	if !bytes.Equal(a.key, b.key) || len(a.times) != len(b.times) {
		return false
	}
	for i := range a.times {
		if d := a.times[i] - b.times[i]; d > toleranceMs || d < -toleranceMs {
			return false
		}
	}
	return true
}

// sortUnordered puts runs of events that belong to one session's end in a fixed order: ZooKeeper deletes the session's
// ephemerals in the order of a hash table.
func sortUnordered(list []canonical, unordered map[int64]bool) {
	for i := 0; i < len(list); {
		j := i + 1
		if list[i].event && unordered[list[i].zxid] {
			for j < len(list) && list[j].event && list[j].zxid == list[i].zxid {
				j++
			}
			slices.SortFunc(list[i:j], func(a, b canonical) int { return bytes.Compare(a.key, b.key) })
		}
		i = j
	}
}

// frameXid is the xid of a reply.
func frameXid(frame []byte) wire.Xid {
	if len(frame) < 4 {
		return 0
	}
	return wire.Xid(int32(binary.BigEndian.Uint32(frame)))
}
