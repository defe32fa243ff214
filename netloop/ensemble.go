package netloop

import (
	"time"

	"holt/quorum"
)

// This file is what a loop makes of the ensemble: epochs that end, leaders that are not there, and states that came
// whole from another member.

// catchUp walks the commits and then looks whether an epoch has ended, so that what was answered before is answered.
func (l *loop) catchUp() {
	l.advance()
	if n := l.epochsLost.Load(); n != l.lostSeen {
		l.lostSeen = n
		if e := l.quorum.Epoch(); e != l.epoch {
			l.lose(e)
		}
	}
}

// lose begins another epoch. What was proposed in the one before and is not answered may be committed or not, now or
// later. Its clients are told so by losing their connections, as ZooKeeper tells them; and no later write of theirs
// can overtake a lost one. Connections that only wait for syncs or reads, or for nothing, do not notice.
func (l *loop) lose(epoch uint64) {
	l.epoch = epoch
	n := 0
	for _, c := range l.conns {
		if c != nil && c.live() && c.queue.writes > 0 {
			l.drop(c, "the leader changed before its writes were answered: their outcome is unknown")
			n++
		}
	}
	if n > 0 {
		l.cfg.Metrics.ConnsUnsure.Add(n)
		l.log.Info("closing connections with unanswered writes, whose outcome is unknown: the path to the leader has changed", "connections", n, "loop", l.index)
	}
	if l.busy {
		l.unhold()
	}
}

// unhold gives up the commands that the queue had no room for: they have been taken, or nobody waits for them.
func (l *loop) unhold() {
	l.busy = false
	l.held, l.heldBy = l.held[:0], nil
	for _, c := range l.conns {
		if c != nil && c.stall&stallBusy != 0 {
			l.relieve(c, stallBusy)
		}
	}
}

// replaced closes every connection: the tree came whole from another member, so nobody knows which events the watches
// missed and which transactions answered whom. Clients set their watches again when they come back, and are told then.
func (l *loop) replaced() {
	n := 0
	for _, c := range l.conns {
		if c != nil && c.live() && c.stage != stageFresh {
			l.drop(c, "the state was replaced by another member's")
			n++
		}
	}
	if n > 0 {
		l.log.Info("closing connections: this member was behind and took the state of another one whole", "connections", n, "loop", l.index)
	}
}

// led says whether somebody is known to lead.
func led(s *quorum.Status) bool { return s.Role == quorum.Leader || s.Leader != 0 && !stranded(s) }

// stranded says whether a member belongs to no ensemble: it was removed, or was not admitted yet.
func stranded(s *quorum.Status) bool { return s.Role == quorum.Outside }

// contactNs is when this member was last in contact with the leader: with itself while it led. A member that has just
// started is given the time that one has which has just lost its leader.
func (s *shared) contactNs(st *quorum.Status) int64 { return max(st.ContactNs, s.ledNs.Load()) }

// awaitLeader leaves a ConnectRequest untaken until there is a leader, for a while.
func (l *loop) awaitLeader(c *conn) {
	if c.awaitsNs == 0 {
		c.awaitsNs = l.nowNs
	}
	c.stall |= stallLeader
	l.awaiting = append(l.awaiting, c)
	l.host.After(pollInterval)
}

// pollLeader lets ConnectRequests go on when there is a leader, and closes those that waited too long.
func (l *loop) pollLeader() {
	if len(l.awaiting) == 0 {
		return
	}
	if s := l.quorum.Status(); led(&s) || l.readOnly(&s, l.nowNs) {
		for i, c := range l.awaiting {
			l.relieve(c, stallLeader)
			l.awaiting[i] = nil
		}
		l.awaiting = l.awaiting[:0]
		return
	}
	limit, n := l.nowNs-int64(l.cfg.LeaderWaitMs)*int64(time.Millisecond), 0
	for n < len(l.awaiting) && l.awaiting[n].awaitsNs <= limit {
		if c := l.awaiting[n]; c.live() {
			l.cfg.Metrics.ConnsLeaderless.Inc()
			l.drop(c, "no leader to open a session with; the client will try another server")
		}
		n++
	}
	l.awaiting = append(l.awaiting[:0], l.awaiting[n:]...)
	clear(l.awaiting[len(l.awaiting):cap(l.awaiting)])
	if len(l.awaiting) > 0 {
		l.host.After(pollInterval)
	}
}

// awaitSync leaves a ConnectRequest untaken until this member has all that was acknowledged anywhere.
func (l *loop) awaitSync(c *conn) {
	c.synced = true
	c.stall |= stallSession
	p := c.queue.push(pending{kind: kindSync, startNs: l.nowNs})
	l.addOutstanding(1)
	if err := l.quorum.Sync(c.origin(), p.tag); err != nil {
		l.drop(c, "has seen a newer state, and whether there is one cannot be asked")
	}
}

// adriftShare of a session's timeout without contact to the leader is what a member grants itself. Until then the
// leader may have been deaf to the session's touches; what is left is for the client to find another member.
const adriftShare = 3

// dropAdrift closes connections when nobody has led for so long that their sessions are better off elsewhere, and all
// of a member that was removed from its ensemble.
func (l *loop) dropAdrift() {
	s := l.quorum.Status()
	if s.Alone || s.Role == quorum.Leader {
		return
	}
	alien := stranded(&s)
	contact := l.contactNs(&s)
	if !alien && l.nowNs-contact <= int64(l.cfg.MinSessionTimeoutMs)*int64(time.Millisecond)/adriftShare {
		return
	}
	n := 0
	for _, c := range l.conns {
		if c == nil || c.stage != stageOpen || c.readOnly {
			continue
		}
		grace := int64(c.timeoutMs) * int64(time.Millisecond) / adriftShare
		if alien || l.nowNs-max(contact, c.sinceNs) > grace {
			l.drop(c, "no contact with a leader for too long a part of its session timeout")
			n++
		}
	}
	if n > 0 {
		l.cfg.Metrics.ConnsLeaderless.Add(n)
		l.log.Info("closing connections: no contact with a leader for a third of their session timeout, or this member was removed; clients find another member",
			"connections", n, "loop", l.index)
	}
}
