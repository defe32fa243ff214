package netloop

import (
	"bytes"

	"holt/netloop/wire"
	"holt/quorum"
	"holt/tree"
)

// Linearizable reads (Config.LinearizableReads): a read waits until this member has all that was acknowledged anywhere
// before the read arrived. All that arrive in one turn of a loop wait together, for one sync of the loop's own. That is
// the sync that a client would send before each read, without the client knowing.

// reads is a set of waiting reads: those of one turn.
type reads struct {
	number uint64
	conns  []*conn // that have some, once each
}

// confirms says whether a read has to be linearizable. What reads no state, or compares with what the client has seen
// already (setWatches), does not.
func (l *loop) confirms(op wire.Op, body []byte) bool {
	switch op {
	case wire.OpExists, wire.OpGetData, wire.OpGetChildren, wire.OpGetChildren2, wire.OpGetACL, wire.OpGetAllChildrenNumber,
		wire.OpGetEphemerals:
		if l.cfg.LinearizableReads {
			return true
		}
		r := wire.NewReader(body)
		return l.confirmsPath(r.Buffer())
	case wire.OpMultiRead:
		if l.cfg.LinearizableReads {
			return true
		}
		var op wire.MultiOp
		for m := wire.NewMultiReader(wire.OpMultiRead, body); m.Next(&op); {
			if l.confirmsPath(op.Path) {
				return true
			}
		}
	}
	return false
}

// confirmsPath says whether a path lies at or below one of the configured ones.
func (l *loop) confirmsPath(path []byte) bool {
	for _, prefix := range l.cfg.LinearizablePaths {
		rest, ok := bytes.CutPrefix(path, prefix)
		if ok && (len(rest) == 0 || rest[0] == '/') {
			return true
		}
	}
	return false
}

// confirm has a read wait for this turn's sync.
func (l *loop) confirm(c *conn, h *wire.RequestHeader, payload []byte) {
	c.queue.keep(pending{kind: kindConfirmed, round: l.confirmNext.number, xid: h.Xid, op: h.Op, startNs: l.nowNs}, payload)
	l.addOutstanding(1)
	if c.round != l.confirmNext.number {
		c.round = l.confirmNext.number
		l.confirmNext.conns = append(l.confirmNext.conns, c)
	}
}

// ask sends the sync that the reads of this turn wait for. Its origin names the loop and no connection.
func (l *loop) ask() {
	if len(l.confirmNext.conns) == 0 {
		return
	}
	asked := l.confirmNext
	l.confirmNext = reads{number: asked.number + 1}
	if err := l.quorum.Sync(tree.Origin{Process: l.cfg.Process, Loop: l.index}, asked.number); err != nil {
		for _, c := range asked.conns {
			l.refuseReads(c, asked.number)
		}
		return
	}
	l.confirmSent = append(l.confirmSent, asked)
}

// confirmed is told when a sync of the loop is complete. Those before it are too: they asked for less.
func (l *loop) confirmed(s quorum.Synced) {
	n := 0
	for ; n < len(l.confirmSent) && l.confirmSent[n].number <= s.Tag; n++ {
		for _, c := range l.confirmSent[n].conns {
			if !c.live() {
				continue
			}
			q := &c.queue
			for i := q.first; i < len(q.entries); i++ {
				if p := &q.entries[i]; p.kind == kindConfirmed && p.round <= s.Tag {
					p.done = true
				}
			}
			l.unblocked = append(l.unblocked, c)
		}
	}
	l.confirmSent = append(l.confirmSent[:0], l.confirmSent[n:]...)
	clear(l.confirmSent[len(l.confirmSent):cap(l.confirmSent)])
}

// refuseReads answers the reads of a turn with an error: nobody can say whether this member is up to date.
func (l *loop) refuseReads(c *conn, number uint64) {
	if !c.live() {
		return
	}
	for i := c.queue.first; i < len(c.queue.entries); i++ {
		if p := &c.queue.entries[i]; p.kind == kindConfirmed && p.round == number {
			c.queue.refuse(p, tree.SystemError)
			l.addOutstanding(-1)
		}
	}
	l.drain(c, l.root)
}
