package netloop

import (
	"crypto/rand"
	"crypto/subtle"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"holt/netloop/wire"
	"holt/tree"
)

// Schemes of identities that the server itself knows.
const (
	schemeDigest = "digest"
	schemeIP     = "ip"
	schemeSuper  = "super"

	schemeEnsemble = "ensemble" // identifies nobody
)

// connect takes the first frame of a connection. Opening and attaching go through the log, so that they are ordered
// with the writes of the session's former connection; the password is checked there too, before that one is dropped. It
// returns false if the request has to wait: it is not taken then, and comes again.
func (l *loop) connect(c *conn, payload []byte) bool {
	r := wire.NewReader(payload)
	var q wire.ConnectRequest
	if !q.Parse(&r) {
		l.drop(c, "malformed ConnectRequest")
		return true
	}
	s := l.quorum.Status()
	l.claim(c, &q)
	switch {
	case led(&s):
	case l.readOnly(&s, l.nowNs):
		l.connectReadOnly(c, &q)
		return true
	default:
		l.awaitLeader(c)
		return false
	}
	behind := tree.Zxid(q.LastZxidSeen) > l.root.Zxid()
	if (behind || !l.upToDate) && !s.Alone && !c.synced {
		l.awaitSync(c)
		return false
	}
	if behind {
		l.log.Info("closing connection of a client that has seen a newer state; it will try another server",
			"client", c.addr, "seen", zxidText(q.LastZxidSeen), "here", zxidText(int64(l.root.Zxid())))
		l.close(c)
		return true
	}
	c.hasRO = q.HasReadOnly
	c.timeoutMs = l.clampTimeout(q.TimeoutMs)
	if q.SessionID == 0 {
		l.openSession(c)
		return true
	}
	if copy(c.password[:], q.Password) != wire.PasswordBytes || len(q.Password) != wire.PasswordBytes {
		l.refuseSession(c)
		return true
	}
	c.stage, c.stall = stageConnecting, c.stall|stallSession
	head := l.enqueue(c, &wire.RequestHeader{Op: wire.OpCreateSession}, tree.OpAttachSession)
	l.commands = tree.AppendAttachSession(l.commands, &head,
		&tree.AttachSession{ID: tree.SessionID(q.SessionID), TimeoutMs: c.timeoutMs, Password: c.password})
	return true
}

// claim notes the session that a ConnectRequest asks for. However long attaching takes, and without a quorum it takes its
// time, the client was heard of.
func (l *loop) claim(c *conn, q *wire.ConnectRequest) {
	s, ok := l.root.Session(tree.SessionID(q.SessionID))
	if ok && subtle.ConstantTimeCompare(s.Password[:], q.Password) == 1 {
		c.claims = s.ID
	}
}

func (l *loop) clampTimeout(ms int32) int32 {
	return int32(min(max(int(ms), l.cfg.MinSessionTimeoutMs), l.cfg.MaxSessionTimeoutMs))
}

// openSession asks for a new session.
func (l *loop) openSession(c *conn) {
	c.stage, c.stall = stageConnecting, c.stall|stallSession
	if _, err := rand.Read(c.password[:]); err != nil {
		panic(err) // never happens: crypto/rand.Read says so
	}
	head := l.enqueue(c, &wire.RequestHeader{Op: wire.OpCreateSession}, tree.OpOpenSession)
	l.commands = tree.AppendOpenSession(l.commands, &head,
		&tree.OpenSession{ID: l.ids.next(), TimeoutMs: c.timeoutMs, Password: c.password})
}

// connected answers the ConnectRequest.
func (l *loop) connected(c *conn, t *tree.Txn, startNs int64) {
	if t.Op == tree.OpOpenSession && t.Code == tree.NodeExists {
		if l.busy {
			l.drop(c, "the id of its session was in use, and another cannot be asked for now")
			return
		}
		l.openSession(c) // the clock went back since these ids were used; the next one is as good
		l.propose(c)
		return
	}
	if t.Code != tree.OK {
		l.refuseSession(c)
		return
	}
	c.stage, c.session, c.timeoutMs = stageOpen, t.Session, t.Rare().TimeoutMs
	if t.Op == tree.OpAttachSession {
		l.cfg.Metrics.ConnsAttached.Inc()
	}
	l.connectReply(c, &wire.ConnectReply{
		TimeoutMs: t.Rare().TimeoutMs, SessionID: int64(t.Session), Password: c.password[:], HasReadOnly: c.hasRO,
	})
	l.answered(c, wire.OpCreateSession, 0, int64(t.Zxid), startNs)
	l.relieve(c, stallSession)
}

// refuseSession tells the client that its session has expired, or that it is not its session.
func (l *loop) refuseSession(c *conn) {
	var none [wire.PasswordBytes]byte
	l.connectReply(c, &wire.ConnectReply{Password: none[:], HasReadOnly: c.hasRO})
	l.drop(c, "unknown session or wrong password")
}

func (l *loop) connectReply(c *conn, p *wire.ConnectReply) {
	l.output(c)
	start := len(c.out)
	c.out = p.Append(wire.BeginFrame(c.out))
	wire.EndFrame(c.out, start)
}

// unproven refuses a request of a client that has to authenticate first (AuthenticationHelper.enforceAuthentication). The
// session survives; ZooKeeper takes neither pings nor closeSession either.
func (l *loop) unproven(c *conn, h *wire.RequestHeader) {
	l.log.Info("closing connection of a client that has not authenticated", "client", c.addr, "session", sessionText(c.session),
		"op", h.Op.String(), "schemes", l.cfg.AuthSchemes)
	l.reply(c, h.Xid, 0, tree.SessionClosedRequireSASLAuth)
	l.answered(c, h.Op, h.Xid, 0, l.nowNs)
	l.drop(c, "has not authenticated")
}

// auth adds an identity. As in ZooKeeper it does not wait for earlier requests, so that later ones of the same segment
// have it.
func (l *loop) auth(c *conn, h *wire.RequestHeader, body []byte) {
	r := wire.NewReader(body)
	var q wire.AuthRequest
	if !q.Parse(&r) {
		l.reply(c, h.Xid, 0, tree.MarshallingError)
		return
	}
	ok := false
	switch string(q.Scheme) {
	case schemeDigest:
		if ok = !l.cfg.DigestDisabled && q.Auth != nil; ok {
			id := l.cfg.DigestID(q.Auth)
			if l.cfg.SuperDigest != "" && id == l.cfg.SuperDigest {
				ok = c.addID(tree.ID{Scheme: schemeSuper})
			}
			ok = c.addID(tree.ID{Scheme: schemeDigest, ID: id}) && ok
		}
	case schemeIP:
		ok = true // every connection has its address already
	case schemeEnsemble:
		if ok = l.cfg.EnsembleAuth; ok && !l.rightEnsemble(c, q.Auth) {
			return
		}
	}
	if !ok {
		l.cfg.Metrics.AuthFailures.Inc()
		l.reply(c, h.Xid, 0, tree.AuthFailed)
		l.drop(c, "authentication failed")
		return
	}
	l.reply(c, h.Xid, 0, tree.OK)
	l.answered(c, h.Op, h.Xid, 0, l.nowNs)
}

// rightEnsemble checks the ensemble that a client means to talk to. A client in the wrong place is not told but closed: it is
// to try its next server, and an error of authentication would end it (EnsembleAuthenticationProvider).
func (l *loop) rightEnsemble(c *conn, name []byte) bool {
	m := l.cfg.Metrics
	switch {
	case len(name) == 0 || l.cfg.EnsembleNames == nil:
		m.EnsembleAuthSkipped.Inc()
	case slices.Contains(l.cfg.EnsembleNames, string(name)):
		m.EnsembleAuthOK.Inc()
	default:
		m.EnsembleAuthFailed.Inc()
		l.log.Info("closing connection of a client that means another ensemble", "client", c.addr, "name", string(name[:min(len(name), 64)]))
		l.drop(c, "means another ensemble")
		return false
	}
	return true
}

// user is the part of a digest id before the colon.
func user(id string) string {
	name, _, _ := strings.Cut(id, ":")
	return name
}

// sasl answers as a server that has no SASL configured: no error, no token.
func (l *loop) sasl(c *conn, r *wire.Reader) tree.Code {
	var q wire.SASLToken
	if !q.Parse(r) {
		return tree.MarshallingError
	}
	c.out = wire.AppendBuffer(c.out, nil)
	return tree.OK
}

// sessionIDs makes session ids as ZooKeeper does: the server's number on top, below it a count that began at a clock.
type sessionIDs struct{ last atomic.Int64 }

func (s *sessionIDs) begin(server uint8, nowMs int64) {
	s.last.Store(int64(uint64(nowMs)<<24>>8 | uint64(server)<<56))
}

// next never returns zero, and never ZooKeeper's mark for containers.
func (s *sessionIDs) next() tree.SessionID {
	for {
		if id := s.last.Add(1); id != 0 && id != -1<<63 {
			return tree.SessionID(id)
		}
	}
}

func sessionText(id tree.SessionID) string { return "0x" + strconv.FormatUint(uint64(id), 16) }
func zxidText(z int64) string              { return "0x" + strconv.FormatUint(uint64(z), 16) }
