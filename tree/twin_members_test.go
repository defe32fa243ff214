package tree

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// The twin's ensemble. It knows the outcome of a reconfig from how the request was made, and parses nothing.
type twinEnsemble struct {
	cluster uint64
	members map[int]twinMember // nil: stands alone
	version Zxid
	pending *twinPending
}

type twinPending struct {
	zxid   Zxid
	target map[int]twinMember
	asker  call
}

type twinMember struct {
	id       int
	port     int
	observer bool
	client   bool
}

// twinReconfig is what a call about members asks for.
type twinReconfig struct {
	cluster   uint64
	malformed string // instead of all that follows
	full      bool   // newMembers rather than joining and leaving
	joining   []twinMember
	leaving   []int
	configID  Zxid
	pending   Zxid
	odd       bool // written in another way than it is shown
}

func (m twinMember) shown() string {
	s := fmt.Sprintf("server.%d=host-%d:%d:%d:", m.id, m.port, m.port, m.port+1000)
	if m.observer {
		s += "observer"
	} else {
		s += "participant"
	}
	if m.client {
		s += fmt.Sprintf(";0.0.0.0:%d", m.port-500)
	}
	return s
}

func (m twinMember) written(odd bool) string {
	s := m.shown()
	if odd {
		s = strings.ReplaceAll(strings.ReplaceAll(s, ":participant", ""), ";0.0.0.0:", ";")
		s = " " + strings.Replace(s, "=", " = ", 1) + " "
	}
	return s
}

func twinText(members map[int]twinMember, version Zxid) string {
	var s string
	for _, id := range slices.Sorted(maps.Keys(members)) {
		s += members[id].shown() + "\n"
	}
	return s + fmt.Sprintf("version=%x", int64(version))
}

func twinLines(members []twinMember, separator string, odd bool) []byte {
	var lines []string
	for _, m := range members {
		lines = append(lines, m.written(odd))
	}
	return []byte(strings.Join(lines, separator))
}

func (c *call) encodeMembers(dst []byte, h *CommandHeader) []byte {
	m := &c.members
	switch c.op {
	case OpReconfigDone:
		return AppendReconfigDone(dst, h, &ReconfigDone{m.pending, c.code})
	case OpBootstrap, OpRecover:
		b := &Bootstrap{ClusterID: m.cluster}
		if m.joining != nil {
			var err error
			if b.Ensemble, err = ParseEnsemble(twinLines(m.joining, "\n", m.odd)); err != nil {
				panic(err)
			}
		}
		if c.op == OpRecover {
			return AppendRecover(dst, h, b)
		}
		return AppendBootstrap(dst, h, b)
	}
	r := &Reconfig{ConfigID: int64(m.configID)}
	separator := ","
	if m.odd && m.full {
		separator = "\n"
	}
	lines := twinLines(m.joining, separator, m.odd)
	if m.malformed != "" {
		lines = []byte(m.malformed)
	}
	if m.full {
		r.NewMembers, r.Joining = lines, []byte("not looked at")
		return AppendReconfig(dst, h, r)
	}
	if m.joining != nil || m.malformed != "" {
		r.Joining = lines
	}
	if m.leaving != nil {
		r.Leaving = []byte(strings.ReplaceAll(strings.Trim(fmt.Sprint(m.leaving), "[]"), " ", ","))
	}
	return AppendReconfig(dst, h, r)
}

func (r *caller) member() twinMember {
	id := 1 + r.IntN(5)
	return twinMember{id, 2000 + id + 10*r.IntN(2), r.IntN(4) == 0, r.IntN(10) > 0}
}

func (r *caller) someMembers(n int) []twinMember {
	by := map[int]twinMember{}
	for range n {
		m := r.member()
		by[m.id] = m
	}
	return slices.Collect(maps.Values(by))
}

func (r *caller) membersCall() call {
	e := &r.tw.ensemble
	m := twinReconfig{configID: pick(r, -1, -1, e.version, e.version+1), odd: r.IntN(2) == 0, full: r.IntN(2) == 0}
	switch k := r.IntN(20); {
	case k < 3:
		op := pick(r, OpBootstrap, OpBootstrap, OpRecover)
		m.cluster = 1 + uint64(r.IntN(9))
		if r.IntN(4) > 0 {
			m.joining = r.someMembers(4)
		}
		return call{op: op, members: m}
	case k < 8:
		m.pending = Zxid(r.IntN(1000))
		if e.pending != nil && r.IntN(4) > 0 {
			m.pending = e.pending.zxid
		}
		return call{op: OpReconfigDone, code: pick(r, OK, OK, NewConfigNoQuorum), members: m}
	case k < 10:
		m.malformed = pick(r, "server.1", "server.x=a:1:2;3", "server.1=a:1", "server.1=a:1:1;3", "server.300=a:1:2;3", "x=y", "group.1=1:2",
			"server.7=a:1:2:boss;3,server.8=b:1:2;3", "server.7=a:1:2;b:3;c:4,server.8=b:1:2;3",
			"server.7=a:1:2;3,server.8=a:2:1;3", "server.7=a:1:99999;3,server.8=b:1:2;3", "server.7=::1:2;3,server.8=b:1:2;3")
		return call{op: OpReconfig, members: m}
	}
	if m.full {
		m.joining = r.someMembers(1 + r.IntN(6))
	} else {
		if r.IntN(3) > 0 {
			m.joining = r.someMembers(1 + r.IntN(2))
		}
		for range r.IntN(3) {
			m.leaving = append(m.leaving, 1+r.IntN(6))
		}
	}
	return call{op: OpReconfig, members: m}
}

// membership runs a call about members; next is its zxid if it takes one.
func (t *twin) membership(next Zxid, c *call, r *twinResult) {
	e := &t.ensemble
	switch c.op {
	case OpBootstrap, OpRecover:
		if c.op == OpBootstrap && e.cluster != 0 {
			return
		}
		*e = twinEnsemble{cluster: c.members.cluster}
		if c.members.joining == nil {
			return
		}
		e.members = map[int]twinMember{}
		for _, m := range c.members.joining {
			e.members[m.id] = m
		}
		t.zxid, e.version = next, next
		t.show()
	case OpReconfigDone:
		p := e.pending
		if p == nil || p.zxid != c.members.pending {
			r.code = NoNode
			return
		}
		t.zxid, r.code, r.answers, e.pending = next, c.code, &p.asker, nil
		if c.code == OK {
			e.members, e.version = p.target, next
			t.show()
			r.stat, r.data = t.stat("/zookeeper/config"), twinText(e.members, e.version)
		}
	default:
		target, code := t.target(c)
		if r.code = code; code != OK {
			t.zxid = next
			return
		}
		r.begun = true
		e.pending = &twinPending{t.zxid, target, *c}
	}
}

func (t *twin) show() {
	n := t.nodes["/zookeeper/config"]
	text := twinText(t.ensemble.members, t.ensemble.version)
	t.quotaAdd("/zookeeper/config", int64(len(text)-len(n.data)), 0)
	n.data, n.version, n.mzxid, n.mtime = []byte(text), -1, t.zxid, t.now
	t.event(NodeDataChanged, "/zookeeper/config", n.acl)
}

func (t *twin) target(c *call) (map[int]twinMember, Code) {
	e, m := &t.ensemble, &c.members
	if t.rules&RuleReconfigEnabled == 0 {
		return nil, ReconfigDisabled
	}
	if code := t.session(c); code != OK {
		return nil, code
	}
	if e.members == nil {
		return nil, Unimplemented
	}
	if e.pending != nil {
		return nil, ReconfigInProgress
	}
	if m.configID != -1 && m.configID != e.version {
		return nil, BadVersion
	}
	target := map[int]twinMember{}
	if !m.full {
		maps.Copy(target, e.members)
		for _, id := range m.leaving {
			delete(target, id)
		}
	}
	voters := 0
	for _, j := range m.joining {
		target[j.id] = j
		if !m.full && !j.client {
			return nil, BadArguments
		}
	}
	for _, j := range target {
		if !j.observer {
			voters++
		}
	}
	number := strings.HasPrefix(m.malformed, "server.300")
	if m.malformed != "" && !number || m.malformed == "" && (voters < 1 || voters < 2 && t.rules&RuleStandaloneDisabled == 0) {
		return nil, BadArguments
	}
	if !t.allowed(t.nodes["/zookeeper/config"], c, 2) {
		return nil, NoAuth
	}
	if number {
		return nil, BadArguments
	}
	return target, OK
}

func (e *twinEnsemble) compare(t *testing.T, r *Root) {
	t.Helper()
	if r.ClusterID() != e.cluster || (r.Ensemble() == nil) != (e.members == nil) || (r.Pending() == nil) != (e.pending == nil) {
		t.Fatalf("cluster %d, %v, pending %v, want %+v", r.ClusterID(), r.Ensemble(), r.Pending(), e)
	}
	if e.members != nil && string(r.Ensemble().Text()) != twinText(e.members, e.version) {
		t.Errorf("ensemble %s, want %s", r.Ensemble().Text(), twinText(e.members, e.version))
	}
	if p := e.pending; p != nil {
		got := r.Pending()
		if string(got.Target.Text()) != twinText(p.target, 0) || got.Zxid != p.zxid || got.Origin != p.asker.origin ||
			got.Session != p.asker.session || got.Tag != 99 || (got.Flags&KeepBefore != 0) != p.asker.keepBefore {
			t.Errorf("pending %+v, want %+v", got, p)
		}
	}
}
