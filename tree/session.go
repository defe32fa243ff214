package tree

import (
	"crypto/subtle"
)

// openSession makes a session. Ids that would read as container or TTL owners
// in an ephemeral's stat are refused, as is an id in use.
func (s *State) openSession(t *Txn, body []byte) (Code, error) {
	n, err := parseSession(body)
	if err != nil {
		return OK, err
	}
	t.Session = n.ID
	if kindOf(int64(n.ID)) != ephemeral {
		return BadArguments, nil
	}
	key := sessionKey(n.ID)
	if s.cur.sessions.get(key[:]) != nil {
		return NodeExists, nil
	}
	n.Owner = s.head.Origin
	s.putSession(n)
	t.setRare().TimeoutMs = n.TimeoutMs
	return OK, nil
}

// attachSession hands a session to the connection that asks, if the password
// is right. The previous connection has to go. No zxid: ZooKeeper logs nothing.
func (s *State) attachSession(t *Txn, body []byte) (Code, error) {
	n, err := parseSession(body)
	if err != nil {
		return OK, err
	}
	t.Session = n.ID
	key := sessionKey(n.ID)
	old := s.cur.sessions.get(key[:])
	switch {
	case old == nil:
		return SessionExpired, nil
	case subtle.ConstantTimeCompare(old.Password[:], n.Password[:]) != 1:
		return AuthFailed, nil
	}
	n.Owner = s.head.Origin
	if old.Owner != n.Owner {
		t.Closed, t.setRare().PrevOwner = ClosedByMove, old.Owner
	}
	s.putSession(n)
	t.setRare().TimeoutMs = n.TimeoutMs
	return OK, nil
}

func (s *State) closeSession(t *Txn, body []byte) (Code, error) {
	c, err := parseCloseSession(body)
	if err != nil {
		return OK, err
	}
	t.Session = c.ID
	key := sessionKey(c.ID)
	old := s.cur.sessions.get(key[:])
	switch {
	case old == nil:
		return SessionExpired, nil
	case c.IfOwner && old.Owner != s.head.Origin:
		return SessionMoved, nil
	}
	s.end(t, old, ClosedByClient)
	return OK, nil
}

func (s *State) expire(t *Txn, body []byte) (Code, error) {
	e, err := parseExpire(body)
	if err != nil {
		return OK, err
	}
	t.Session = e.ID
	key := sessionKey(e.ID)
	old := s.cur.sessions.get(key[:])
	switch {
	case old == nil:
		return SessionExpired, nil
	case e.Owner != Origin{} && e.Owner != old.Owner:
		return SessionMoved, nil
	}
	s.take(t)
	s.end(t, old, ClosedByExpiry)
	return OK, nil
}

// end removes a session and its ephemerals, in byte order of their paths, in
// one transaction (DataTree.killSession).
func (s *State) end(t *Txn, old *session, reason CloseReason) {
	t.Closed, t.setRare().PrevOwner = reason, old.Owner
	id := old.ID
	for _, path := range old.ephemeralPaths() {
		parent, name, _ := cutPath(path)
		p := s.w.lookup(parent)
		s.erase(p, parent, path, p.child(name))
	}
	key := sessionKey(id)
	s.dropSession(s.cur.sessions.get(key[:]))
}
