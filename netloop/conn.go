package netloop

import (
	"net"
	"slices"

	"holt/netloop/wire"
	"holt/tree"
)

// link is the byte stream of a connection as a loop sees it: gnet's, or that of a simulator. Only the loop calls it.
type link interface {
	// Write takes all of b; what cannot be sent at once is copied. It may find the stream broken and then calls
	// loop.forget before it returns.
	Write(b []byte)
	// Close ends the stream and calls loop.forget before it returns.
	Close()
	// Outbound is how many bytes were written and not yet sent.
	Outbound() int
	// Pause stops reading; false if that cannot be done. What was read already may still arrive.
	Pause() bool
	Resume()
	// Detach gives the stream to somebody else, who closes it. The loop then calls Close, which leaves it open.
	Detach() (net.Conn, error)
}

// stage is how far the life of a connection has come.
type stage uint8

const (
	stageFresh      stage = iota // nothing but four-letter words and a ConnectRequest is understood
	stageConnecting              // the session is being opened or attached through the log
	stageOpen
	stageClosing // takes no request; goes as soon as its output has been written
	stageGone    // the link is closed
)

// stall is a set of reasons not to take further requests from a connection. While there is one, requests stay
// undecoded and in order, and if more arrive the socket is not read.
type stall uint16

const (
	stallSession  stall = 1 << iota // until the session is there
	stallAnswers                    // too many unanswered requests; until fewer are
	stallBusy                       // the proposal queue is full; until it has drained
	stallOutbound                   // the client does not read its replies; until it did
	stallListing                    // a long listing is being written
	stallLeader                     // until there is a leader to open a session with
	stallReconfig                   // until its reconfig is answered
	stallEnd                        // nothing is taken after what was sent last
)

// conn is one client connection, owned by its loop.
type conn struct {
	loop   *loop
	link   link
	number uint64 // Origin.Conn: never used twice in a process; the low bits are the slot
	slot   uint32 // index in loop.conns, and the connection in the watch table

	stage   stage
	stall   stall
	paused  bool // the socket is not read
	dirty   bool // in loop.dirty
	resumed bool // in loop.resumed
	choked  bool // in loop.choked
	touched bool // heard of since the tracker asked
	proven  bool // has an id of one of Config.AuthSchemes, if some are asked for
	hasRO   bool // the ConnectRequest had the readOnly byte
	synced  bool // this member was brought up to date for the ConnectRequest

	readOnly bool // of read-only mode: the session is this member's own

	in   []byte // received and not taken; in[inAt:] is live
	inAt int
	need int // bytes of the frame at in[inAt:], 0 if unknown

	out   []byte // replies and events of this turn
	parts []part // what has to be written before out
	queue queue  // requests not answered yet, in order
	ids   []tree.ID
	idsIn []byte // ids as commands carry them

	session   tree.SessionID
	claims    tree.SessionID // what a ConnectRequest that waits asks for, if its password is right as far as is known here
	password  [wire.PasswordBytes]byte
	timeoutMs int32

	addr    string // ip:port
	ip      string
	since   int64 // wall clock, ms
	sinceNs int64
	stats   connStats

	lingersNs int64 // until when it is waited for while it is closed, 0: it is not

	awaitsNs int64  // since when its ConnectRequest waits for the ensemble, 0: it does not
	heardNs  int64  // read-only: when it was heard of
	round    uint64 // the last loop.confirmNext that has reads of it
}

// connStats is what cons tells of a connection.
type connStats struct {
	received, sent         int64
	lastOp                 wire.Op
	lastXid                wire.Xid
	lastZxid               int64
	lastReplyNs            int64
	latencyLastNs          int64
	latencyMinNs           int64
	latencyMaxNs           int64
	latencySumNs, answered int64
}

func (s *connStats) reset() { *s = connStats{latencyMinNs: -1} }

func (s *connStats) answer(op wire.Op, xid wire.Xid, zxid, nowNs, tookNs int64) {
	s.sent++
	s.answered++
	s.lastOp, s.lastXid, s.lastZxid, s.lastReplyNs = op, xid, zxid, nowNs
	s.latencyLastNs = tookNs
	s.latencySumNs += tookNs
	s.latencyMaxNs = max(s.latencyMaxNs, tookNs)
	if s.latencyMinNs < 0 || tookNs < s.latencyMinNs {
		s.latencyMinNs = tookNs
	}
}

// part is output that precedes conn.out: bytes, or a listing that is written piece by piece.
type part struct {
	bytes   []byte
	listing *listing
}

// release lets go of what a part keeps.
func (p *part) release() {
	if p.listing != nil {
		p.listing.hold.Release()
	}
}

// live says whether the connection still takes requests.
func (c *conn) live() bool { return c.stage < stageClosing }

// origin names the connection in commands.
func (c *conn) origin() tree.Origin {
	return tree.Origin{Process: c.loop.cfg.Process, Loop: c.loop.index, Conn: c.number}
}

// header opens a command of this connection.
func (c *conn) header(op tree.Op, tag uint64) tree.CommandHeader {
	h := tree.CommandHeader{Op: op, Origin: c.origin(), Tag: tag, Session: c.session, IDs: c.idsIn}
	if c.queue.waits() {
		h.Flags = tree.KeepBefore
	}
	return h
}

// addID adds an identity unless the connection has it. It returns false if the connection has too many.
func (c *conn) addID(id tree.ID) bool {
	if slices.Contains(c.ids, id) {
		return true
	}
	if len(c.ids) >= idsMax || len(c.idsIn)+len(id.Scheme)+len(id.ID) > idsBytesMax {
		return false
	}
	c.ids = append(c.ids, id)
	c.proven = c.proven || slices.Contains(c.loop.cfg.AuthSchemes, id.Scheme)
	c.idsIn = tree.AppendIDs(c.idsIn[:0], c.ids)
	return true
}

// unread is what has been received and not taken.
func (c *conn) unread() []byte { return c.in[c.inAt:] }
