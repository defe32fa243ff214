package tree

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// PendingReconfig is a reconfig that was accepted and whose outcome is open: the leader brings the new members up to
// date and the quorum from the old ones to the new ones, then ends it with AppendReconfigDone.
type PendingReconfig struct {
	Zxid   Zxid // names it: the last transaction when it was accepted; the next reconfig has a larger one
	Target *Ensemble

	// Who asked, for the answer.
	Session SessionID
	Origin  Origin
	Tag     uint64
	Flags   Flags
}

// membership is what a Root knows of the ensemble. It never changes: a Root has another one, or nil.
type membership struct {
	cluster  uint64
	ensemble *Ensemble        // nil: a server that stands alone
	pending  *PendingReconfig // nil: none

	stored []byte // the three as they are stored
	sum    uint64 // its share in the digest
}

func newMembership(cluster uint64, e *Ensemble, p *PendingReconfig) *membership {
	m := &membership{cluster: cluster, ensemble: e, pending: p}
	le := binary.LittleEndian
	b := le.AppendUint64(nil, cluster)
	b = appendEnsemble(b, e)
	if p != nil {
		b = appendEnsemble(b, p.Target)
		b = le.AppendUint64(b, uint64(p.Zxid))
		b = le.AppendUint64(b, uint64(p.Session))
		b = appendOrigin(b, p.Origin)
		b = le.AppendUint64(b, p.Tag)
		b = append(b, byte(p.Flags))
	}
	m.stored, m.sum = b, xxhash.Sum64(b)
	return m
}

const storedPendingBytes = 8 + 8 + originBytes + 8 + 1

// parseMembership reads the stored form back.
func parseMembership(b []byte) (*membership, error) {
	le := binary.LittleEndian
	if len(b) < 8 {
		return nil, corruptf("an ensemble of %d bytes", len(b))
	}
	cluster := le.Uint64(b)
	e, b, err := parseEnsemble(b[8:])
	if err != nil {
		return nil, corruptf("ensemble: %v", err)
	}
	if len(b) == 0 {
		return newMembership(cluster, e, nil), nil
	}
	p := &PendingReconfig{}
	if p.Target, b, err = parseEnsemble(b); err != nil || p.Target == nil || e == nil || len(b) != storedPendingBytes {
		return nil, corruptf("pending reconfig: %d bytes, %v", len(b), err)
	}
	p.Zxid, p.Session, p.Origin = Zxid(le.Uint64(b)), SessionID(le.Uint64(b[8:])), parseOrigin(b[16:])
	b = b[16+originBytes:]
	p.Tag, p.Flags = le.Uint64(b), Flags(b[8])
	return newMembership(cluster, e, p), nil
}

func appendEnsemble(dst []byte, e *Ensemble) []byte {
	if e == nil {
		return appendNullable(dst, nil)
	}
	return appendNullable(dst, e.Text())
}

func parseEnsemble(b []byte) (e *Ensemble, rest []byte, err error) {
	text, rest, err := parseNullable(b)
	if err != nil || text == nil {
		return nil, rest, err
	}
	e, err = ParseEnsemble(text)
	return e, rest, err
}

// Ensemble is the valid list of members; nil for a server that stands alone.
func (r *Root) Ensemble() *Ensemble {
	if r.members == nil {
		return nil
	}
	return r.members.ensemble
}

// Pending is the reconfig under way, or nil.
func (r *Root) Pending() *PendingReconfig {
	if r.members == nil {
		return nil
	}
	return r.members.pending
}

// ClusterID names the ensemble that this state belongs to; 0 when it has not been made yet.
func (r *Root) ClusterID() uint64 {
	if r.members == nil {
		return 0
	}
	return r.members.cluster
}

func (s *State) setMembers(cluster uint64, e *Ensemble, p *PendingReconfig) {
	s.same = false
	s.cur.members = newMembership(cluster, e, p)
}

// bootstrap gives a fresh state its identity, once.
func (s *State) bootstrap(t *Txn, body []byte) (Code, error) {
	b, err := parseBootstrap(body)
	if err != nil || s.cur.ClusterID() != 0 {
		return OK, err
	}
	s.adopt(t, &b)
	return OK, nil
}

// recoverEnsemble makes the state that of another ensemble, whatever it was before.
func (s *State) recoverEnsemble(t *Txn, body []byte) (Code, error) {
	b, err := parseBootstrap(body)
	if err != nil {
		return OK, err
	}
	s.adopt(t, &b)
	return OK, nil
}

// adopt makes the state that of an ensemble. Its version is a transaction, the first one of the leader that made it, as in
// ZooKeeper. A server that stands alone needs none: nothing that a client sees changes.
func (s *State) adopt(t *Txn, b *Bootstrap) {
	if b.Ensemble == nil {
		s.setMembers(b.ClusterID, nil, nil)
		return
	}
	s.take(t)
	e := &Ensemble{b.Ensemble.Members, t.Zxid}
	s.setMembers(b.ClusterID, e, nil)
	s.showEnsemble(e)
}

// showEnsemble writes /zookeeper/config. Its version is always -1 in an ensemble of ZooKeeper
// (PrepRequestProcessor, case reconfig; ZKDatabase.initConfigInZKDatabase).
func (s *State) showEnsemble(e *Ensemble) Stat {
	path := []byte(configPath)
	z := s.w.lookup(path)
	f := z.fields()
	grown := int64(-len(f.data))
	f.data, f.mzxid, f.mtime, f.version = e.Text(), s.cur.zxid, s.timeMs, -1
	grown += int64(len(f.data))
	z = s.replace(path, z, &f)
	s.countQuota(path, grown, 0)
	s.changed(NodeDataChanged, path, z.acl())
	return z.stat()
}

// reconfig checks a change of membership in ZooKeeper's order (PrepRequestProcessor, case reconfig), but for the ACL. What is refused is
// answered with a zxid of its own. What is accepted becomes pending and is answered by reconfigDone: its Txn here is an
// OpReconfigBegun, which is nobody's.
func (s *State) reconfig(t *Txn, body []byte) (Code, error) {
	r, err := parseReconfig(body)
	if err != nil {
		return OK, err
	}
	target, code, err := s.reconfigTarget(&r)
	if err != nil {
		return OK, err
	}
	if code != OK {
		s.take(t)
		return code, nil
	}
	t.Op, t.Local = OpReconfigBegun, false
	h := &s.head
	s.setMembers(s.cur.members.cluster, s.cur.members.ensemble, &PendingReconfig{
		Zxid: s.cur.zxid, Target: target, Session: h.Session, Origin: h.Origin, Tag: h.Tag, Flags: h.Flags,
	})
	return OK, nil
}

func (s *State) reconfigTarget(r *Reconfig) (*Ensemble, Code, error) {
	if s.rules&RuleReconfigEnabled == 0 {
		return nil, ReconfigDisabled, nil
	}
	if code := s.checkSession(); code != OK {
		return nil, code, nil
	}
	e := s.cur.Ensemble()
	switch {
	case e == nil:
		return nil, Unimplemented, nil
	case s.cur.Pending() != nil:
		return nil, ReconfigInProgress, nil
	case r.ConfigID != -1 && Zxid(r.ConfigID) != e.Version:
		return nil, BadVersion, nil
	}
	target, bad := e.next(r)
	least := 2
	if s.rules&RuleStandaloneDisabled != 0 {
		least = 1
	}
	// ZooKeeper looks at the ACL last, but takes server numbers that do not exist here: to who may not ask, NoAuth is then the answer
	// that both give.
	if bad != nil && !errors.Is(bad, errServerNumber) || bad == nil && len(target.Voters()) < least {
		return nil, BadArguments, nil
	}
	ok, err := s.allowed(s.w.lookup([]byte(configPath)).acl(), PermWrite)
	switch {
	case err != nil || !ok:
		return nil, NoAuth, err
	case bad != nil:
		return nil, BadArguments, nil
	}
	return target, OK, nil
}

// reconfigDone ends the pending reconfig and answers who asked for it: the Txn is that of the OpReconfig. One that is not pending
// any more was ended by another leader; nothing happens then.
func (s *State) reconfigDone(t *Txn, body []byte) (Code, error) {
	d, err := parseReconfigDone(body)
	if err != nil {
		return OK, err
	}
	p := s.cur.Pending()
	if p == nil || p.Zxid != d.Pending {
		return NoNode, nil
	}
	if p.Flags&KeepBefore != 0 {
		t.Before = s.freeze()
	}
	t.Op, t.Session, t.Origin, t.Tag = OpReconfig, p.Session, p.Origin, p.Tag
	t.Local = p.Origin.Process == s.local && s.local != 0
	s.take(t)
	if d.Code != OK {
		s.setMembers(s.cur.members.cluster, s.cur.members.ensemble, nil)
		return d.Code, nil
	}
	e := &Ensemble{p.Target.Members, t.Zxid}
	s.setMembers(s.cur.members.cluster, e, nil)
	stat := s.showEnsemble(e)
	if t.Local {
		t.setRare().Data, t.Stat = e.Text(), stat
	}
	return OK, nil
}

const originBytes = 14

func appendOrigin(dst []byte, o Origin) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, o.Process)
	dst = binary.LittleEndian.AppendUint16(dst, o.Loop)
	return binary.LittleEndian.AppendUint64(dst, o.Conn)
}

// parseOrigin reads originBytes.
func parseOrigin(b []byte) Origin {
	le := binary.LittleEndian
	return Origin{Process: le.Uint32(b), Loop: le.Uint16(b[4:]), Conn: le.Uint64(b[6:])}
}

// Bootstrap gives a fresh state its identity.
type Bootstrap struct {
	ClusterID uint64    // not zero
	Ensemble  *Ensemble // nil: a server that stands alone. The version is set when it is applied
}

// AppendBootstrap writes the first command of an ensemble, which its first leader proposes. It has no effect on a state
// that has a cluster id. With an Ensemble it sets /zookeeper/config and consumes a zxid.
func AppendBootstrap(dst []byte, h *CommandHeader, b *Bootstrap) []byte {
	return appendBootstrap(dst, h, OpBootstrap, b)
}

// AppendRecover writes the command that makes a state that of another ensemble, for a member that outlived its quorum.
func AppendRecover(dst []byte, h *CommandHeader, b *Bootstrap) []byte {
	return appendBootstrap(dst, h, OpRecover, b)
}

func appendBootstrap(dst []byte, h *CommandHeader, op Op, b *Bootstrap) []byte {
	dst, start := beginCommand(dst, h, op)
	dst = binary.LittleEndian.AppendUint64(dst, b.ClusterID)
	return endCommand(appendEnsemble(dst, b.Ensemble), start)
}

func parseBootstrap(b []byte) (Bootstrap, error) {
	if len(b) < 8 || binary.LittleEndian.Uint64(b) == 0 {
		return Bootstrap{}, fmt.Errorf("cluster id in %d bytes: %w", len(b), ErrMalformed)
	}
	e, rest, err := parseEnsemble(b[8:])
	if err != nil {
		return Bootstrap{}, fmt.Errorf("%w: ensemble: %w", ErrMalformed, err)
	}
	return Bootstrap{binary.LittleEndian.Uint64(b), e}, onlyThat(rest, nil)
}

// ReconfigDone ends a pending reconfig.
type ReconfigDone struct {
	Pending Zxid // PendingReconfig.Zxid
	Code    Code // OK: the target becomes the ensemble; any other is the answer to who asked
}

// AppendReconfigDone writes the leader's word on a pending reconfig.
func AppendReconfigDone(dst []byte, h *CommandHeader, d *ReconfigDone) []byte {
	dst, start := beginCommand(dst, h, OpReconfigDone)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(d.Pending))
	return endCommand(binary.LittleEndian.AppendUint32(dst, uint32(d.Code)), start)
}

func parseReconfigDone(b []byte) (ReconfigDone, error) {
	if len(b) != 12 {
		return ReconfigDone{}, fmt.Errorf("end of a reconfig in %d bytes: %w", len(b), ErrMalformed)
	}
	return ReconfigDone{Zxid(binary.LittleEndian.Uint64(b)), Code(int32(binary.LittleEndian.Uint32(b[8:])))}, nil
}
