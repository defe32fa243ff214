package netloop

import (
	"time"

	"holt/quorum"
	"holt/tree"
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

// replaced is called when the tree came whole from another member. Nobody knows what happened on the way to it, so
// connections are closed that may have missed something: the event of a watch, the answer to a write, or that their session
// is theirs no more. Clients set their watches again when they come back, and are told then.
func (l *loop) replaced(root *tree.Root) {
	n := 0
	for _, c := range l.conns {
		if c == nil || !c.live() || c.stage == stageFresh {
			continue
		}
		s, ok := root.Session(c.session)
		sure := c.readOnly || ok && s.Owner == c.origin() && c.queue.writes == 0
		if sure && !l.watches.Watching(c.slot) {
			continue
		}
		l.drop(c, "the state was replaced by another member's")
		n++
	}
	if n > 0 {
		l.log.Info("closing connections: this member was behind and took the state of another one whole, so watches may have missed events", "connections", n, "loop", l.index)
	}
}

// led says whether somebody is known to lead.
func led(s *quorum.Status) bool { return s.Role == quorum.Leader || s.Leader != 0 && !stranded(s) }

// stranded says whether a member belongs to no ensemble: it was removed, or was not admitted yet.
func stranded(s *quorum.Status) bool { return s.Role == quorum.Outside }

// contactNs is when this member was last in contact with the leader: with itself while it led. A member that has just
// started is given the time that one has which has just lost its leader.
func (s *shared) contactNs(st *quorum.Status) int64 { return max(st.ContactNs, s.ledNs.Load()) }

// await leaves a ConnectRequest untaken while there is a reason, for LeaderWaitMs in all.
func (l *loop) await(c *conn, s stall) {
	c.stall |= s
	if c.awaitsNs != 0 {
		return // it is listed
	}
	c.awaitsNs = l.nowNs
	l.awaiting = append(l.awaiting, c)
	l.host.After(pollInterval)
}

// awaitLeader has a ConnectRequest wait until there is a leader.
func (l *loop) awaitLeader(c *conn) {
	l.upToDate, c.synced = false, false
	l.await(c, stallLeader)
}

// awaitSync has a ConnectRequest wait until this member has all that was acknowledged anywhere.
func (l *loop) awaitSync(c *conn) {
	c.synced = true
	l.await(c, stallSession)
	p := c.queue.push(pending{kind: kindSync, startNs: l.nowNs})
	l.addSyncs(1)
	if err := l.quorum.Sync(c.origin(), p.tag); err != nil {
		l.drop(c, "has seen a newer state, and whether there is one cannot be asked")
	}
}

// pollAwaiting lets ConnectRequests go on when there is a leader, and closes those that waited too long.
func (l *loop) pollAwaiting() {
	if len(l.awaiting) == 0 {
		return
	}
	s := l.quorum.Status()
	ready := led(&s) || l.readOnly(&s, l.nowNs)
	limit := l.nowNs - int64(l.cfg.LeaderWaitMs)*int64(time.Millisecond)
	kept := l.awaiting[:0]
	for _, c := range l.awaiting {
		if c.stage != stageFresh {
			continue
		}
		if ready && c.stall&stallLeader != 0 {
			l.relieve(c, stallLeader)
		} else if c.awaitsNs <= limit && c.stall&(stallLeader|stallSession) != 0 {
			l.cfg.Metrics.ConnsLeaderless.Inc()
			l.drop(c, "no leader to open a session with, or too far behind it; the client will try another server")
			continue
		}
		kept = append(kept, c)
	}
	clear(l.awaiting[len(kept):])
	if l.awaiting = kept; len(kept) > 0 {
		l.host.After(awaitInterval)
	}
}

// awaitInterval is how often a leader is looked for that ConnectRequests wait for.
const awaitInterval = 5 * time.Millisecond

// adriftShare of a session's timeout without contact to the leader is what a member grants itself. Until then the
// leader may have been deaf to the session's touches; what is left is for the client to find another member.
const adriftShare = 3

// dropAdrift closes connections when nobody has led for so long that their sessions are better off elsewhere, and all
// of a member that was removed from its ensemble. A client that waits for an answer waits no longer than one that comes with a
// ConnectRequest: had there been an election that this member can hear of, it would be over.
func (l *loop) dropAdrift() {
	s := l.quorum.Status()
	if s.Alone || s.Role == quorum.Leader {
		return
	}
	alien := stranded(&s)
	contact, leaderWait := l.contactNs(&s), int64(l.cfg.LeaderWaitMs)*int64(time.Millisecond)
	if !alien && l.nowNs-contact <= min(leaderWait, int64(l.cfg.MinSessionTimeoutMs)*int64(time.Millisecond)/adriftShare) {
		return
	}
	n := 0
	for _, c := range l.conns {
		if c == nil || c.stage != stageOpen || c.readOnly {
			continue
		}
		grace := int64(c.timeoutMs) * int64(time.Millisecond) / adriftShare
		if c.queue.unanswered() > 0 {
			grace = min(grace, leaderWait)
		}
		if alien || l.nowNs-max(contact, c.sinceNs) > grace {
			l.drop(c, "no contact with a leader for too long")
			n++
		}
	}
	if n > 0 {
		l.cfg.Metrics.ConnsLeaderless.Add(n)
		l.log.Info("closing connections: no contact with a leader for a third of their session timeout, or for long enough with requests that need one, "+
			"or this member was removed; clients find another member", "connections", n, "loop", l.index)
	}
}
