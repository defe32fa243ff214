package sim

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"holt/quorum"
	"holt/tree"
)

// truth is the one history that all members must share, and what checks ask of it. It is written by whoever applies an
// entry first, and it applies each entry itself, command by command: so it knows the tree at every transaction.
type truth struct {
	*world
	state   *tree.State
	index   uint64
	terms   []uint64     // of entry i+1
	digests []uint64     // after entry i+1
	roots   []*tree.Root // by zxid
	txns    []txn        // that have a zxid, by zxid
	changes []change

	leaders  map[uint64]uint64 // term: member
	origins  map[tree.Origin]*pipe
	owners   map[tree.SessionID]tree.Origin
	ended    map[tree.SessionID]string    // sessions that are gone, and why
	hearings map[tree.SessionID][]hearing // ascending, the newest ones
	acked    tree.Zxid                    // the newest write that some client knows of
	seen     int                          // transactions since ephemerals were looked at
	trouble  map[uint64]int64             // member: when a fault touched it last
	expired  int
	early    map[tree.SessionID]early
}

type txn struct {
	zxid    tree.Zxid
	op      tree.Op
	session tree.SessionID
	origin  tree.Origin
	code    tree.Code
	path    string
	stat    tree.Stat
	multi   []tree.MultiResult
}

type change struct {
	zxid tree.Zxid
	kind tree.EventKind
	path string
}

// hearing is when a member received something of a session last.
type hearing struct {
	atNs, clockNs int64
	member        uint64
	run           uint64
}

func newTruth(w *world) *truth {
	t := &truth{
		world: w, state: tree.New(), leaders: map[uint64]uint64{}, origins: map[tree.Origin]*pipe{},
		owners: map[tree.SessionID]tree.Origin{}, ended: map[tree.SessionID]string{},
		hearings: map[tree.SessionID][]hearing{}, trouble: map[uint64]int64{}, early: map[tree.SessionID]early{},
	}
	t.roots = append(t.roots, t.state.Root())
	return t
}

func (t *truth) root() *tree.Root { return t.state.Root() }

// rootAt is the tree as it was after a transaction.
func (t *truth) rootAt(z tree.Zxid) *tree.Root {
	i := sort.Search(len(t.roots), func(i int) bool { return t.roots[i].Zxid() > z })
	if i == 0 || t.roots[i-1].Zxid() != z {
		return nil
	}
	return t.roots[i-1]
}

// txn finds a transaction.
func (t *truth) txn(z tree.Zxid) *txn {
	i := sort.Search(len(t.txns), func(i int) bool { return t.txns[i].zxid >= z })
	if i == len(t.txns) || t.txns[i].zxid != z {
		return nil
	}
	return &t.txns[i]
}

// published compares what a member applied with the history.
func (m *member) published(c *quorum.Commit) {
	t := m.truth
	if c.Installed {
		m.images++
		m.bugs.installed[m.id] = c.Index
	}
	t.growTo(m, c.Index, c.Root)
	if c.Index > 0 {
		if got, want := c.Root.Digest(), t.digests[c.Index-1]; got != want {
			m.broken("equal digests", "member %d has digest %x after entry %d (zxid %x), others %x", m.id, got, c.Index, c.Root.Zxid(), want)
		}
	}
	if c.Index < m.lastIndex {
		m.broken("applied in order", "member %d applied entry %d after %d", m.id, c.Index, m.lastIndex)
	}
	m.lastIndex = c.Index
	m.trace.add(c.Index)
	m.trace.add(c.Root.Digest())
	m.seam.publish(c)
}

// began notes the state that a process begins with.
func (m *member) began(c *quorum.Commit) {
	m.lastIndex = c.Index
	t := m.truth
	if c.Index > t.index {
		m.broken("equal digests", "member %d begins with entry %d, but nobody has applied more than %d", m.id, c.Index, t.index)
	}
	if c.Index > 0 && c.Root.Digest() != t.digests[c.Index-1] {
		m.broken("equal digests", "member %d begins with digest %x at entry %d, others had %x", m.id, c.Root.Digest(), c.Index, t.digests[c.Index-1])
	}
}

// growTo applies the entries up to index, where a member has root. A member that was given the whole state has no log of
// what came before; it may only be ahead by entries that change nothing.
func (t *truth) growTo(m *member, index uint64, root *tree.Root) {
	for t.index < index {
		if _, err := m.log.Term(t.index + 1); err != nil && root.Digest() == t.root().Digest() {
			t.index++
			t.terms = append(t.terms, 0)
			t.digests = append(t.digests, root.Digest())
			continue
		}
		t.grow(m)
	}
}

// grow applies the next entry, as the member has it.
func (t *truth) grow(m *member) {
	e, err := m.log.Entries(t.index+1, t.index+2, 1<<30)
	if err != nil || len(e) != 1 || e[0].Index != t.index+1 {
		t.broken("equal digests", "member %d applied past entry %d, which its log does not show: %v", m.id, t.index+1, err)
	}
	t.index++
	t.terms = append(t.terms, e[0].Term)
	if e[0].Type == 0 && len(e[0].Data) > 0 {
		t.apply(e[0].Term, e[0].Data)
	}
	t.digests = append(t.digests, t.root().Digest())
}

// apply applies the commands of a batch one by one.
func (t *truth) apply(term uint64, batch []byte) {
	_, commands, err := tree.ParseBatchHeader(batch)
	for err == nil && len(commands) > 0 {
		var rest []byte
		var h tree.CommandHeader
		var body []byte
		if h, body, rest, err = tree.ParseCommand(commands); err != nil {
			break
		}
		one := append(append([]byte(nil), batch[:tree.BatchHeaderBytes]...), commands[:len(commands)-len(rest)]...)
		before := t.root()
		var a tree.Applied
		if a, err = t.state.Apply(tree.Batch{Term: term, Data: one, Local: h.Origin.Process}); err != nil {
			break
		}
		for i := range a.Txns {
			t.note(&a.Txns[i], body, a.Changes, before)
		}
		if n := len(t.roots); t.roots[n-1].Zxid() == a.Root.Zxid() {
			t.roots[n-1] = a.Root
		} else {
			t.roots = append(t.roots, a.Root)
		}
		commands = rest
	}
	if err != nil {
		t.broken("entries apply", "entry %d: %v", t.index, err)
	}
	if t.seen++; t.seen%16 == 0 {
		t.ephemerals()
	}
}

// note checks one transaction against what sessions are promised, and remembers it.
func (t *truth) note(x *tree.Txn, body []byte, changes []tree.Change, before *tree.Root) {
	t.order(x, body)
	t.ownership(x)
	for _, c := range changes[x.ChangesFrom:x.ChangesTo] {
		t.changes = append(t.changes, change{x.Zxid, c.Kind, strings.Clone(c.Path)})
		if c.Kind == tree.NodeDeleted {
			t.deleted(x, c.Path, before)
		}
	}
	if x.Zxid > before.Zxid() {
		t.txns = append(t.txns, txn{
			x.Zxid, x.Op, x.Session, x.Origin, x.Code, strings.Clone(x.Path), x.Stat, x.Multi,
		})
	}
}

// order: what a connection sent is in the log in its order and without gaps, but for what a full log refused.
func (t *truth) order(x *tree.Txn, body []byte) {
	p := t.origins[x.Origin]
	if p == nil || x.Op == tree.OpOpenSession || x.Op == tree.OpAttachSession || x.Op == tree.OpReconfigBegun {
		return
	}
	for first := p.committed; ; p.committed++ {
		if p.committed == len(p.issued) {
			t.broken("session order", "connection %v of client %d: the log holds %d %q, which its client did not send after %d writes", x.Origin, p.client.id, x.Op, body, first)
		}
		want := &p.issued[p.committed]
		if want.op == x.Op && bytes.Contains(body, []byte(want.path)) && bytes.Contains(body, []byte(want.data)) {
			break
		}
		if t.nowNs > p.member.fullNs+int64(10*time.Second) { // a full log refuses writes, which are not in it then
			t.broken("session order", "connection %v of client %d: the log holds %d %q where its client sent %d %s %s", x.Origin, p.client.id, x.Op, body, want.op, want.path, want.data)
		}
	}
	p.committed++
}

// ownership: a write succeeds only through the connection that has the session.
func (t *truth) ownership(x *tree.Txn) {
	switch x.Op {
	case tree.OpOpenSession, tree.OpAttachSession:
		if x.Code == tree.OK {
			t.owners[x.Session] = x.Origin
			if why, gone := t.ended[x.Session]; gone {
				t.broken("sessions end once", "session %x is attached to although it is gone: %s", x.Session, why)
			}
		}
		return
	case tree.OpExpire:
		if x.Closed == tree.ClosedByExpiry {
			if e, ok := t.early[x.Session]; ok && e.owner == x.Rare().PrevOwner {
				t.broken("never early", "%s", e.what)
			}
			t.ended[x.Session] = fmt.Sprintf("expired at entry %d", t.index)
			t.expired++
			t.tell("session %x is expired", uint64(x.Session))
		}
		return
	}
	if x.Session == 0 || x.Code != tree.OK || x.Op == tree.OpReconfig || x.Op == tree.OpReconfigBegun {
		return
	}
	if owner, ok := t.owners[x.Session]; !ok || owner != x.Origin && x.Origin != (tree.Origin{}) {
		t.broken("moved sessions", "a write of session %x through %v succeeds, but the session belongs to %v", x.Session, x.Origin, owner)
	}
	if why, gone := t.ended[x.Session]; gone {
		t.broken("moved sessions", "a write of session %x succeeds, but it is gone: %s", x.Session, why)
	}
	if x.Op == tree.OpCloseSession {
		t.ended[x.Session] = fmt.Sprintf("closed at entry %d", t.index)
	}
}

// deleted: an ephemeral goes because somebody deletes it or because its session ends.
func (t *truth) deleted(x *tree.Txn, path string, before *tree.Root) {
	n, ok := before.Lookup([]byte(path))
	if !ok {
		return // made and removed by one multi
	}
	owner := n.Stat().EphemeralOwner
	switch x.Op {
	case tree.OpDelete, tree.OpMulti, tree.OpDeleteContainer:
	case tree.OpCloseSession, tree.OpExpire:
		if owner != x.Session {
			t.broken("ephemeral lifetime", "the end of session %x removes %s, which belongs to %x", x.Session, path, owner)
		}
	default:
		if owner != 0 {
			t.broken("ephemeral lifetime", "%d removes %s, whose session %x lives", x.Op, path, owner)
		}
	}
}

// ephemerals: every ephemeral belongs to a session that is open.
func (t *truth) ephemerals() { t.ephemeralsOf(t.root(), "the history") }

func (t *truth) ephemeralsOf(r *tree.Root, who string) {
	owned := int64(0)
	r.Sessions(func(s tree.Session) bool {
		if why, gone := t.ended[s.ID]; gone {
			t.broken("sessions end once", "%s holds session %x, which is gone: %s", who, s.ID, why)
		}
		r.Ephemerals(s.ID, func(path []byte) bool {
			owned++
			if n, ok := r.Lookup(path); !ok || n.Stat().EphemeralOwner != s.ID {
				t.broken("ephemeral lifetime", "%s: %s is listed as ephemeral of session %x and is not", who, path, s.ID)
			}
			return true
		})
		return true
	})
	if n := r.EphemeralCount(); n != owned {
		t.broken("ephemeral lifetime", "%s: %d ephemerals, but open sessions have %d", who, n, owned)
	}
}

// alive says whether a session is open.
func (t *truth) alive(id tree.SessionID) bool {
	_, ok := t.root().Session(id)
	return ok
}

// heard notes that a member received something of a session. One that was removed has nobody to tell.
func (t *truth) heard(id tree.SessionID, m *member) {
	if m.quorum == nil || m.quorum.Status().Role == quorum.Outside {
		return
	}
	h := t.hearings[id]
	if n := len(h); n > 1 && t.nowNs-h[n-2].atNs < int64(toldAfter)/8 && h[n-1].member == m.id {
		h = h[:n-1] // the one before is as good
	}
	if n := len(h); n > 32 {
		h = append(h[:0], h[n-16:]...)
	}
	t.hearings[id] = append(h, hearing{t.nowNs, m.nowNs64(), m.id, m.run})
}

// heardOf is when a session was heard of last by the leader m itself, or so long ago by another member that m was told of it.
func (t *truth) heardOf(id tree.SessionID, m *member) (last hearing, known bool) {
	for _, h := range slices.Backward(t.hearings[id]) {
		if h.member == m.id || t.nowNs-h.atNs > int64(toldAfter) {
			return h, true
		}
	}
	return hearing{}, false
}

// troubled notes that a fault touches a member: what it has heard may not have been told.
func (w *world) troubled(ids ...uint64) {
	for _, id := range ids {
		w.truth.trouble[id] = w.nowNs
	}
}

// expires: a leader ends a session only when nobody has heard of it for its timeout. What was heard by a member that had
// trouble since may not have reached the leader; clients are to leave such a member in time. What a leader proposes is
// judged now and counts once it is in the log: a session that is attached elsewhere before stays.
func (t *truth) expires(m *member, id tree.SessionID) {
	s, ok := m.quorum.Tail().Root.Session(id)
	h, known := t.heardOf(id, m)
	if !ok || !known {
		return
	}
	delete(t.early, id)
	timeoutNs, silentNs := int64(s.TimeoutMs)*1e6, t.nowNs-h.atNs
	ran := int64(float64(silentNs) * max(m.clock.rate, 1))
	calmSince := max(t.trouble[m.id], t.trouble[h.member], t.trouble[0])
	itself := h.member == m.id && h.run == m.run && m.nowNs64()-h.clockNs < timeoutNs && silentNs < timeoutNs
	told := h.member != m.id && h.atNs > calmSince+int64(troubleLasts) && ran < timeoutNs && m.port.fabric.joined(m.id, h.member)
	t.tell("member %d expires session %x, heard of by %d %d ms ago, trouble %d ms ago", m.id, uint64(id), h.member, silentNs/1e6, (t.nowNs-calmSince)/1e6)
	if itself || told {
		t.early[id] = early{s.Owner, fmt.Sprintf("leader %d expires session %x %d ms after member %d heard of it; the timeout is %d ms", m.id, uint64(id), silentNs/1e6, h.member, s.TimeoutMs)}
	}
}

// early is an expiry that was proposed too early.
type early struct {
	owner tree.Origin
	what  string
}

// checkMember looks at a member after it did something.
func (m *member) checkMember() {
	s := m.quorum.Status()
	if s.Full {
		m.fullNs = m.nowNs
	}
	if s.Role != quorum.Leader {
		return
	}
	t := m.truth
	if other, ok := t.leaders[s.Term]; ok && other != m.id {
		m.broken("one leader per term", "members %d and %d both lead in term %d", other, m.id, s.Term)
	} else if !ok {
		t.leaders[s.Term] = m.id
		m.troubled(0) // a change of leader gives all sessions a full timeout
		m.tell("member %d leads in term %d", m.id, s.Term)
	}
}
