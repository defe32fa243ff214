package main

import (
	"fmt"
	"strconv"
	"strings"

	"holt/netloop/wire"
)

// textBytesMax is how much of a value is shown.
const textBytesMax = 100

func quote(b []byte) string {
	if b == nil {
		return "null"
	}
	if len(b) > textBytesMax {
		return strconv.Quote(string(b[:textBytesMax])) + fmt.Sprintf("...(%d bytes)", len(b))
	}
	return strconv.Quote(string(b))
}

func showStrings(v wire.Strings) string {
	if v.Null() {
		return "null"
	}
	var parts []string
	for {
		s, ok := v.Next()
		if !ok {
			return "[" + strings.Join(parts, " ") + "]"
		}
		parts = append(parts, quote(s))
	}
}

func showACLs(v wire.ACLs) string {
	if v.Null() {
		return "null"
	}
	var parts []string
	for {
		a, ok := v.Next()
		if !ok {
			return "[" + strings.Join(parts, " ") + "]"
		}
		parts = append(parts, fmt.Sprintf("%d:%s:%s", a.Perms, quote(a.Scheme), quote(a.ID)))
	}
}

func opName(op wire.Op) string {
	if s := op.String(); s != "" {
		return s
	}
	return fmt.Sprintf("op(%d)", int32(op))
}

// String shows the request decoded, with its bytes where it is malformed.
func (q *request) String() string {
	s, rest, ok := showBody(q.op, q.body)
	if !ok {
		s = "malformed " + shortHex(q.body)
	} else if len(rest) > 0 {
		s += " + " + shortHex(rest)
	}
	return fmt.Sprintf("xid %d %s %s", q.xid, opName(q.op), s)
}

func showBody(op wire.Op, body []byte) (text string, rest []byte, ok bool) {
	r := wire.NewReader(body)
	switch op {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer:
		var q wire.CreateRequest
		ok = q.Parse(&r)
		text = fmt.Sprintf("%s data %s acl %s flags %d", quote(q.Path), quote(q.Data), showACLs(q.ACL), q.Flags)
	case wire.OpCreateTTL:
		var q wire.CreateRequest
		ok = q.ParseTTL(&r)
		text = fmt.Sprintf("%s data %s acl %s flags %d ttl %d", quote(q.Path), quote(q.Data), showACLs(q.ACL), q.Flags, q.TTLMs)
	case wire.OpDelete, wire.OpCheck:
		var q wire.VersionRequest
		ok = q.Parse(&r)
		text = fmt.Sprintf("%s version %d", quote(q.Path), q.Version)
	case wire.OpExists, wire.OpGetData, wire.OpGetChildren, wire.OpGetChildren2:
		var q wire.WatchRequest
		ok = q.Parse(&r)
		text = fmt.Sprintf("%s watch %v", quote(q.Path), q.Watch)
	case wire.OpSetData:
		var q wire.SetDataRequest
		ok = q.Parse(&r)
		text = fmt.Sprintf("%s data %s version %d", quote(q.Path), quote(q.Data), q.Version)
	case wire.OpSetACL:
		var q wire.SetACLRequest
		ok = q.Parse(&r)
		text = fmt.Sprintf("%s acl %s version %d", quote(q.Path), showACLs(q.ACL), q.Version)
	case wire.OpGetACL, wire.OpSync, wire.OpDeleteContainer, wire.OpGetEphemerals, wire.OpGetAllChildrenNumber:
		var q wire.PathRequest
		ok = q.Parse(&r)
		text = quote(q.Path)
	case wire.OpReconfig:
		var q wire.ReconfigRequest
		ok = q.Parse(&r)
		text = fmt.Sprintf("joining %s leaving %s members %s config %d", quote(q.Joining), quote(q.Leaving), quote(q.NewMembers), q.ConfigID)
	case wire.OpCheckWatches, wire.OpRemoveWatches:
		var q wire.WatchTypeRequest
		ok = q.Parse(&r)
		text = fmt.Sprintf("%s type %d", quote(q.Path), q.Type)
	case wire.OpAddWatch:
		var q wire.AddWatchRequest
		ok = q.Parse(&r)
		text = fmt.Sprintf("%s mode %d", quote(q.Path), q.Mode)
	case wire.OpAuth:
		var q wire.AuthRequest
		ok = q.Parse(&r)
		text = fmt.Sprintf("%s %s", quote(q.Scheme), quote(q.Auth))
	case wire.OpSetWatches, wire.OpSetWatches2:
		var q wire.SetWatchesRequest
		if op == wire.OpSetWatches {
			ok = q.Parse(&r)
		} else {
			ok = q.Parse2(&r)
		}
		text = fmt.Sprintf("zxid +%d data %s exist %s child %s persistent %s recursive %s", q.RelativeZxid, showStrings(q.Data),
			showStrings(q.Exist), showStrings(q.Child), showStrings(q.Persistent), showStrings(q.PersistentRecursive))
	case wire.OpSASL:
		var q wire.SASLToken
		ok = q.Parse(&r)
		text = quote(q.Token)
	case wire.OpMulti, wire.OpMultiRead:
		return showMulti(op, body)
	default:
		return "", body, true
	}
	return text, r.Rest(), ok
}

func showMulti(kind wire.Op, body []byte) (text string, rest []byte, ok bool) {
	m := wire.NewMultiReader(kind, body)
	var op wire.MultiOp
	var b strings.Builder
	for m.Next(&op) {
		part := op.Append(nil)[wire.MultiHeaderBytes:]
		s, _, _ := showBody(op.Op, part)
		fmt.Fprintf(&b, "{%s %s} ", opName(op.Op), s)
	}
	if m.Bad() {
		return b.String(), nil, false
	}
	return b.String(), m.Rest(), true
}

// describeFrame shows a received frame as the answer to q (nil: an event).
func describeFrame(s *server, q *request, frame []byte) string {
	var h wire.ReplyHeader
	r := wire.NewReader(frame)
	if !h.Parse(&r) {
		return "no header: " + shortHex(frame)
	}
	head := fmt.Sprintf("xid %d zxid 0x%x(%s) err %d", h.Xid, h.Zxid, showZxid(s, h.Zxid), h.Err)
	if h.Xid == wire.XidEvent {
		var e wire.WatcherEvent
		e.Parse(&r)
		return fmt.Sprintf("%s EVENT type %d state %d %s", head, e.Type, e.State, quote(e.Path))
	}
	body := r.Rest()
	if len(body) == 0 || q == nil {
		return head + " " + shortHex(body)
	}
	return head + " " + showReply(s, q.op, body)
}

func showZxid(s *server, z int64) string {
	if z <= 0 {
		return strconv.FormatInt(z, 10)
	}
	return fmt.Sprintf("%+d", s.zxids.distance(z))
}

func showStat(s *server, st wire.Stat) string {
	owner := strconv.FormatInt(st.EphemeralOwner, 16)
	if n, ok := s.sessions[st.EphemeralOwner]; ok {
		owner = fmt.Sprintf("session#%d", n)
	}
	return fmt.Sprintf("{c %s m %s p %s ctime %d mtime %d ver %d cver %d aver %d owner %s len %d children %d}",
		showZxid(s, st.Czxid), showZxid(s, st.Mzxid), showZxid(s, st.Pzxid), st.Ctime, st.Mtime, st.Version, st.Cversion,
		st.Aversion, owner, st.DataLength, st.NumChildren)
}

func showReply(s *server, op wire.Op, body []byte) string {
	r := wire.NewReader(body)
	var text string
	switch op {
	case wire.OpCreate, wire.OpSync:
		text = quote(r.Buffer())
	case wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL, wire.OpGetData, wire.OpReconfig:
		text = quote(r.Buffer())
		text += " " + showStat(s, r.Stat())
	case wire.OpExists, wire.OpSetData, wire.OpSetACL:
		text = showStat(s, r.Stat())
	case wire.OpGetACL:
		text = showACLs(r.ACLs())
		text += " " + showStat(s, r.Stat())
	case wire.OpGetChildren, wire.OpGetEphemerals:
		text = showStrings(r.Strings())
	case wire.OpGetChildren2:
		text = showStrings(r.Strings())
		text += " " + showStat(s, r.Stat())
	case wire.OpGetAllChildrenNumber, wire.OpAddWatch:
		text = strconv.Itoa(int(r.Int32()))
	case wire.OpMulti, wire.OpMultiRead:
		return showResults(s, body)
	default:
		return shortHex(body)
	}
	if r.Bad() {
		return "malformed " + shortHex(body)
	}
	if len(r.Rest()) > 0 {
		text += " + " + shortHex(r.Rest())
	}
	return text
}

func showResults(s *server, body []byte) string {
	m := wire.NewMultiResults(body)
	var res wire.MultiResult
	var b strings.Builder
	for m.Next(&res) {
		if res.Op == wire.OpError {
			fmt.Fprintf(&b, "{error %d} ", res.Err)
			continue
		}
		part := res.Append(nil)[wire.MultiHeaderBytes:]
		fmt.Fprintf(&b, "{%s %s} ", opName(res.Op), showReply(s, res.Op, part))
	}
	if m.Bad() {
		return b.String() + "malformed " + shortHex(body)
	}
	return b.String()
}
