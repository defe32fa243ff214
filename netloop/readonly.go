package netloop

import (
	"bytes"
	"crypto/rand"
	"time"

	"holt/netloop/wire"
	"holt/quorum"
	"holt/tree"
)

// Read-only mode (ZooKeeper's ReadOnlyZooKeeperServer): a member that has had no leader for LeaderWaitMs serves reads to
// clients that say they can do with that, until there is a leader again. Their sessions are this member's own: they have
// no place in the tree, own nothing and cannot expire, so that any member without a leader can take them over. A session
// that is in the tree is not taken: somebody may lead elsewhere and expire it meanwhile.

// readOnly says whether the member is in read-only mode.
func (s *shared) readOnly(st *quorum.Status, nowNs int64) bool {
	return s.cfg.ReadOnly && !led(st) && !stranded(st) &&
		nowNs-s.contactNs(st) >= int64(s.cfg.LeaderWaitMs)*int64(time.Millisecond)
}

// localPassword begins the passwords of sessions that are no member's but this mode's, whoever gave them out.
var localPassword = []byte("read-only")

// connectReadOnly takes a ConnectRequest in read-only mode.
func (l *loop) connectReadOnly(c *conn, q *wire.ConnectRequest) {
	switch _, known := l.root.Session(tree.SessionID(q.SessionID)); {
	case !q.ReadOnly:
		l.drop(c, "writes, and this member only reads")
		return
	case tree.Zxid(q.LastZxidSeen) > l.root.Zxid():
		l.drop(c, "has seen a newer state than this member has, which only reads")
		return
	case q.SessionID == 0:
		c.session = l.ids.next()
		if _, err := rand.Read(c.password[copy(c.password[:], localPassword):]); err != nil {
			panic(err) // never happens: crypto/rand.Read says so
		}
	case known || len(q.Password) != wire.PasswordBytes || !bytes.HasPrefix(q.Password, localPassword):
		l.drop(c, "cannot go on with a session of the ensemble in read-only mode")
		return
	default:
		c.session = tree.SessionID(q.SessionID)
		copy(c.password[:], q.Password)
	}
	c.stage, c.readOnly, c.heardNs, c.timeoutMs = stageOpen, true, l.nowNs, l.clampTimeout(q.TimeoutMs)
	l.readOnlyConns++
	l.connectReply(c, &wire.ConnectReply{
		TimeoutMs: c.timeoutMs, SessionID: int64(c.session), Password: c.password[:], ReadOnly: true, HasReadOnly: q.HasReadOnly,
	})
	l.answered(c, wire.OpCreateSession, 0, int64(l.root.Zxid()), l.nowNs)
}

// readOnlyRequest answers what a read-only member does not do; false: it is a read.
func (l *loop) readOnlyRequest(c *conn, h *wire.RequestHeader) bool {
	code := tree.NotReadOnly
	switch h.Op {
	case wire.OpCloseSession:
		code = tree.OK
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL, wire.OpDelete, wire.OpDeleteContainer,
		wire.OpSetData, wire.OpSetACL, wire.OpMulti, wire.OpReconfig, wire.OpSync, wire.OpCheck:
	default:
		return false
	}
	l.touch(c)
	zxid := int64(l.root.Zxid())
	l.reply(c, h.Xid, zxid, code)
	l.answered(c, h.Op, h.Xid, zxid, l.nowNs)
	if h.Op == wire.OpCloseSession {
		l.close(c)
	}
	return true
}

// lookReadOnly closes read-only connections when somebody leads again, so that their clients come back for more, and those
// whose clients have fallen silent.
func (l *loop) lookReadOnly() {
	if l.readOnlyConns == 0 {
		return
	}
	s := l.quorum.Status()
	over := led(&s) || stranded(&s)
	for _, c := range l.conns {
		if c == nil || !c.readOnly || !c.live() {
			continue
		}
		if c.touched {
			c.heardNs = l.nowNs
		}
		switch {
		case over:
			l.drop(c, "read-only mode is over")
		case l.nowNs-c.heardNs > int64(c.timeoutMs)*int64(time.Millisecond):
			l.drop(c, "not heard of for its session timeout")
		}
	}
}
