package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	zk "holt/netloop/wire"
	"holt/quorum"
)

// What operators do: members are demoted, removed, added and replaced, through reconfig requests that some client sends, and
// data directories are emptied so that the other members fill them again.

// line is a member as reconfig names it.
func (i *injector) line(m *member, observer bool) string {
	all := m.ensemble.Members
	for k := range all {
		if uint64(all[k].ID) == m.id {
			l := all[k]
			l.Observer = observer
			return l.String()
		}
	}
	panic("a member that no ensemble has")
}

// reconfig has some client send a reconfig request. It says whether one could.
func (i *injector) reconfig(joining, leaving string) bool {
	for range 16 {
		c := i.client()
		if c == nil || !c.ready || c.readOnly || c.ending || len(c.pending) > 0 || c.resetting {
			continue
		}
		i.tell("client %d asks for reconfig: joining %q, leaving %q", c.id, joining, leaving)
		q := zk.ReconfigRequest{ConfigID: -1}
		if joining != "" {
			q.Joining = []byte(joining)
		}
		if leaving != "" {
			q.Leaving = []byte(leaving)
		}
		r := &request{op: zk.OpReconfig}
		i.reconfigs = append(i.reconfigs, r)
		c.send(r, q.Append)
		return true
	}
	i.idle = true
	return false
}

// intact says that all members vote, follow one leader and have nearly all there is, and that none is about to be removed: the
// time to damage one. A member that never heard of a leader must not count: with one that forgot all it knew it would take itself
// for a fresh ensemble. Nor must one that a reconfig without an answer, wherever that is, may yet remove: seed 6733 was left with
// two of three members, one of them damaged.
func (i *injector) intact() bool {
	i.idle = true
	if slices.ContainsFunc(i.reconfigs, func(r *request) bool { return !r.answered }) {
		return false
	}
	root := i.truth.root()
	if root.Ensemble() == nil || root.Pending() != nil || len(i.missing()) > 0 {
		return false
	}
	lead := i.leader()
	if !lead.up() || lead.quorum.Status().Role != quorum.Leader {
		return false
	}
	now := lead.quorum.Status()
	for _, m := range i.members {
		if !m.up() || m.paused || m.flawed || m.lastIndex == 0 || m.lastIndex+100 < i.truth.index {
			return false
		}
		s := m.quorum.Status()
		if s.Term != now.Term || s.Leader != lead.id || s.Voters != i.opt.Members || (s.Role == quorum.Observer) != m.observer || s.Role == quorum.Outside {
			return false // what the leader knows of it may be old
		}
	}
	i.idle = i.settled(lead) != ""
	return !i.idle
}

// settled says what is missing, as the leader knows it, until every member has the role that it should have.
func (w *world) settled(lead *member) string {
	peers := lead.quorum.Peers()
	for _, p := range peers {
		if m := w.fabric.member(p.ID); p.Snapshot || p.Learner != m.observer {
			return fmt.Sprintf("member %d is not what it should be: %+v", p.ID, p)
		}
	}
	if len(peers) != len(w.members)-1 || lead.observer {
		return fmt.Sprintf("member %d leads %d others", lead.id, len(peers))
	}
	return ""
}

// wipe empties a member's data directory while it is down.
func (m *member) wipe(why string) {
	m.crash(0, why)
	lies, spoil := m.disk.lies, m.image.spoil
	m.disk, m.image = newDisk(m.diskDice), &image{member: m, spoil: spoil}
	m.disk.lies = lies
	m.flawed, m.retired, m.lastIndex = false, "", 0
	m.saved = saved{}
	m.wiped++
}

// replace removes a member, may empty its data directory once it is out, and adds it again.
func (i *injector) replace(m *member, wipe bool) {
	if !i.intact() || !i.reconfig("", fmt.Sprint(m.id)) {
		return
	}
	tries := 0
	var again func()
	again = func() {
		if tries++; i.calm || tries > 40 {
			return
		}
		if _, in := i.truth.root().Ensemble().Member(m.id); in {
			i.after(100*time.Millisecond, "replace", m.id, 0, again)
			return
		}
		if wipe {
			wipe = false
			m.wipe("replaced")
			m.restartIn(spread(i.faultDice, 200*time.Millisecond))
		}
		if !i.reconfig(i.line(m, m.observer), "") {
			i.after(100*time.Millisecond, "replace", m.id, 0, again)
			return
		}
		i.after(500*time.Millisecond, "replace", m.id, 0, again)
		tries = 39 // once more at most
	}
	i.after(100*time.Millisecond, "replace", m.id, 0, again)
}

// restore has the members back that there were, after the faults. It goes on until they are.
func (i *injector) restore() {
	i.after(300*time.Millisecond, "restore", 0, 0, i.restore)
	root := i.truth.root()
	if e := root.Ensemble(); e == nil || root.Pending() != nil {
		return
	}
	if missing := i.missing(); len(missing) > 0 {
		i.reconfig(strings.Join(missing, ","), "")
	}
}

// missing are the members that are not there or in another role than they should be, as reconfig lines.
func (i *injector) missing() (lines []string) {
	e := i.truth.root().Ensemble()
	for _, m := range i.members {
		if l, in := e.Member(m.id); !in || l.Observer != m.observer {
			lines = append(lines, i.line(m, m.observer))
		}
	}
	return lines
}

// membersDiffer says what keeps the ensemble from being as it was.
func (w *world) membersDiffer() string {
	root := w.truth.root()
	switch {
	case root.Ensemble() == nil:
		return "no ensemble was formed"
	case root.Pending() != nil:
		return "a reconfig is pending"
	case len(w.faults.missing()) > 0:
		return "not all members are back: " + strings.Join(w.faults.missing(), ",")
	}
	for _, m := range w.members {
		if !m.up() {
			return fmt.Sprintf("member %d is down", m.id)
		}
		s := m.quorum.Status()
		if s.Role != quorum.Leader {
			continue
		}
		if s.Voters != w.opt.Members {
			return fmt.Sprintf("%d members vote", s.Voters)
		}
		return w.settled(m)
	}
	return "nobody leads"
}
