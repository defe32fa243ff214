package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"
)

// Apply runs a batch and publishes the new Root. The same batch on the same
// state gives the same state and, but for Local, the same results on every
// member. An error means bytes that no version of Holt wrote (ErrMalformed), or
// that a newer one did (ErrNewerFormat); the state is then as before the batch.
func (s *State) Apply(b Batch) (Applied, error) {
	header, commands, err := ParseBatchHeader(b.Data)
	if err != nil {
		return Applied{}, fmt.Errorf("apply after zxid %#x: %w", int64(s.cur.zxid), err)
	}
	if unknown := header.Rules &^ (rulesEnd - 1); unknown != 0 {
		return Applied{}, fmt.Errorf("apply after zxid %#x: rules %#x: %w", int64(s.cur.zxid), uint32(unknown), ErrNewerFormat)
	}
	before := s.root
	if s.w.memory != nil {
		s.w.memory.settle()
	}
	s.local, s.term, s.timeMs, s.rules = b.Local, b.Term, header.TimeMs, header.Rules
	n := countFrames(commands)
	s.out = Applied{Txns: make([]Txn, 0, n), Changes: make([]Change, 0, n*s.changes)}
	for i := 0; len(commands) > 0; i++ {
		if i%AheadPathsMax == 0 && before.Large() {
			s.lookAhead(commands)
		}
		if commands, err = s.command(commands); err != nil {
			s.release()
			s.restore(before)
			return Applied{}, fmt.Errorf("apply after zxid %#x: command %d: %w", int64(before.zxid), i, err)
		}
	}
	s.out.Root = s.freeze()
	if s.w.memory != nil {
		s.w.memory.sealed(s.out.Root)
	}
	out := s.out
	s.release()
	s.changes = changesPerCommand(&out)
	return out, nil
}

// changesPerCommand is a guess at how many changes the commands of the next batch will make.
func changesPerCommand(last *Applied) int {
	n := max(len(last.Txns), 1)
	return min(max((len(last.Changes)+n-1)/n, 1), changesPerCommandMax)
}

const changesPerCommandMax = 16

// lookAhead prepares for the next commands.
func (s *State) lookAhead(commands []byte) {
	var paths [AheadPathsMax][]byte
	for i := range paths {
		h, body, rest, err := ParseCommand(commands)
		if err != nil {
			break // said when its turn comes
		}
		paths[i], commands = pathOf(h.Op, body), rest
	}
	lookAhead(s.w.root(), paths[:])
}

// pathOf is the path that a command is about, nil if it is about none or several.
func pathOf(op Op, body []byte) []byte {
	switch op {
	case OpCreate, OpCreate2, OpCreateContainer:
		c, _ := parseCreate(op, body)
		return c.Path
	case OpDelete, OpSetData, OpSetACL:
		path, _, _, _ := parsePathVersion(body)
		return path
	}
	return nil
}

// release lets go of the batch and its results.
func (s *State) release() {
	s.forgetLog()
	clear(s.ids)
	clear(s.ops[:cap(s.ops)])
	s.ids, s.ops = s.ids[:0], s.ops[:0]
	s.head, s.out = CommandHeader{}, Applied{}
}

// countFrames counts commands as far as their frames make sense.
func countFrames(b []byte) int {
	n := 0
	for len(b) >= frameBytes+commandHeadBytes {
		length := uint64(binary.LittleEndian.Uint32(b))
		n++
		if length > uint64(len(b)-frameBytes) {
			break
		}
		b = b[frameBytes+length:]
	}
	return n
}

// command runs the first of the framed commands and returns the rest.
func (s *State) command(commands []byte) (rest []byte, err error) {
	var body []byte
	if s.head, body, rest, err = ParseCommand(commands); err != nil {
		return nil, err
	}
	h := &s.head
	s.idsRead = false
	s.out.Txns = append(s.out.Txns, Txn{})
	t := &s.out.Txns[len(s.out.Txns)-1]
	t.Zxid, t.Op, t.Session, t.Origin, t.Tag = s.cur.zxid, h.Op, h.Session, h.Origin, h.Tag
	t.Local = h.Origin.Process == s.local && s.local != 0
	t.ChangesFrom = uint32(len(s.out.Changes))
	if h.Flags&KeepBefore != 0 {
		t.Before = s.freeze()
	}
	if consumes(h.Op) {
		s.take(t)
	}
	t.Code, err = s.dispatch(t, body)
	if err != nil {
		return nil, fmt.Errorf("op %d: %w", h.Op, err)
	}
	t.ChangesTo = uint32(len(s.out.Changes))
	return rest, nil
}

// consumes says whether an op takes a zxid whatever comes of it, as every
// request does that enters ZooKeeper's write pipeline. Commands of the ensemble
// take theirs when they do something, a reconfig when it is answered, attaching
// takes none.
func consumes(op Op) bool {
	switch op {
	case OpAttachSession, OpExpire, OpReap, OpError, OpReconfig, OpBootstrap, OpReconfigDone, OpRecover:
		return false
	}
	return true
}

// take gives the next zxid to t.
func (s *State) take(t *Txn) {
	s.same = false
	s.cur.zxid = max(s.cur.zxid+1, Zxid(s.term<<32))
	t.Zxid = s.cur.zxid
}

var errUnknownOp = errors.New("unknown op")

func (s *State) dispatch(t *Txn, body []byte) (Code, error) {
	switch t.Op {
	case OpOpenSession:
		return s.openSession(t, body)
	case OpAttachSession:
		return s.attachSession(t, body)
	case OpCloseSession:
		return s.closeSession(t, body)
	case OpExpire:
		return s.expire(t, body)
	case OpReap:
		return s.reap(t, body)
	case OpError:
		return s.failed(t, body)
	case OpReconfig:
		return s.reconfig(t, body)
	case OpReconfigDone:
		return s.reconfigDone(t, body)
	case OpBootstrap:
		return s.bootstrap(t, body)
	case OpRecover:
		return s.recoverEnsemble(t, body)
	}
	code := s.checkSession()
	if t.Op == OpMulti {
		return s.multi(t, body, code)
	}
	r := MultiResult{Op: t.Op}
	code, err := s.operation(&r, body, code, false)
	if t.Local {
		t.Path, t.Stat = r.Path, r.Stat
	}
	return code, err
}

// operation runs what can stand alone or in a multi. A code other than OK is
// the outcome if the body parses.
func (s *State) operation(r *MultiResult, body []byte, code Code, inMulti bool) (Code, error) {
	switch r.Op {
	case OpCreate, OpCreate2, OpCreateContainer, OpCreateTTL:
		c, err := parseCreate(r.Op, body)
		if err != nil || code != OK {
			return code, err
		}
		if inMulti {
			r.Op = asDecoded(r.Op, c.Flags)
		}
		return s.create(r, &c)
	case OpDelete, OpCheck:
		path, version, rest, err := parsePathVersion(body)
		if err = onlyThat(rest, err); err != nil || code != OK {
			return code, err
		}
		if r.Op == OpDelete {
			return s.delete(path, version)
		}
		return s.check(path, version)
	case OpSetData:
		d, err := parseSetData(body)
		if err != nil || code != OK {
			return code, err
		}
		return s.setData(r, &d)
	case OpSetACL:
		path, version, acl, err := parsePathVersion(body)
		if err != nil || code != OK {
			return code, err
		}
		return s.setACL(r, path, version, acl)
	case OpDeleteContainer:
		if code != OK {
			return code, nil
		}
		return s.deleteContainer(body)
	}
	return code, fmt.Errorf("%w: %w", errUnknownOp, ErrMalformed)
}

// failed is a write that was refused before it came here: see AppendFailed.
func (s *State) failed(t *Txn, body []byte) (Code, error) {
	if len(body) != 6 {
		return OK, fmt.Errorf("failed write of %d bytes: %w", len(body), ErrMalformed)
	}
	if Op(binary.LittleEndian.Uint16(body[4:])) != OpError {
		s.take(t)
	}
	return Code(binary.LittleEndian.Uint32(body)), nil
}

// checkSession says whether the caller still has its session
// (SessionTracker.checkSession).
func (s *State) checkSession() Code {
	key := sessionKey(s.head.Session)
	switch session := s.cur.sessions.get(key[:]); {
	case session == nil:
		return SessionExpired
	case session.Owner != s.head.Origin:
		return SessionMoved
	}
	return OK
}

// allowed says whether the caller has a permission.
func (s *State) allowed(acl *ACLList, p Perm) (bool, error) {
	if s.rules&RuleSkipACL != 0 || acl == nil && p&PermAll != 0 {
		return true, nil
	}
	if !s.idsRead {
		var err error
		if s.ids, err = parseIDs(s.ids[:0], s.head.IDs); err != nil {
			return false, err
		}
		s.idsRead = true
	}
	return acl.Allows(p, s.ids), nil
}

// changed notes an event. path must stay as it is: it is part of the batch, or
// made for this.
func (s *State) changed(k EventKind, path []byte, acl *ACLList) {
	p := stringOf(path)
	if p == "" {
		p = "/"
	}
	s.out.Changes = append(s.out.Changes, Change{Kind: k, Path: p, Hash: PathHash(p), ACL: acl})
}

// stringOf is b as a string, without a copy.
func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
