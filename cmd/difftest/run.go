package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"holt/netloop/wire"
)

// The two sides. The reference is always ZooKeeper.
const (
	reference = 0
	subject   = 1
)

// slot is a place for a session. Steps name sessions by their slot, so that they can be repeated in another run.
type slot struct {
	number   int // of the session in this run, 0 while the slot never had one
	open     bool
	id       [2]int64
	password [2][]byte
	conns    [2]*conn // both or neither
	recent   []string // the last exchanges, for the report
}

func (s *slot) connected() bool { return s.conns[reference] != nil }

func (s *slot) disconnect() {
	for i := range s.conns {
		s.conns[i].close()
		s.conns[i] = nil
	}
}

// run is one comparison of the two servers.
type run struct {
	servers   [2]*server
	slots     []slot
	sessions  int            // opened so far
	lastZxid  int64          // the newest zxid seen, as a distance
	unordered map[int64]bool // zxids of transactions that ended a session
	wanted    map[string]int // how often each wanted difference was seen
	slowest   time.Duration  // the longest that a step's answers took
	steps     int
	ops       int
	observe   func(q *request, reply canonical) // told every reply of the reference
	survey    int                               // differences to go on after
	surveyed  func(m *mismatch, ref, sub *canonical)
	again     func() error // kills both servers and starts them on their data
	imports   bool         // or both on the reference's
	monitor   [2]*conn     // asks about paths outside of the comparison
}

// mismatch is a difference that is not wanted.
type mismatch struct {
	what   string
	step   *step
	slot   int
	detail string
}

func (m *mismatch) Error() string { return m.what }

func newRun(servers [2]*server, slots int) *run {
	return &run{servers: servers, slots: make([]slot, slots), unordered: map[int64]bool{}, wanted: map[string]int{}}
}

// recentMax is how many exchanges of a session the report shows.
const recentMax = 40

func (s *slot) note(format string, args ...any) {
	if len(s.recent) >= recentMax {
		s.recent = slices.Delete(s.recent, 0, 1)
	}
	s.recent = append(s.recent, fmt.Sprintf(format, args...))
}

// begin opens the session of slot 0 and takes the base of the zxids from its first write.
func (r *run) begin() error {
	for i, s := range r.servers {
		s.sessions, s.zxids = map[int64]int{}, zxids{}
		zxid, err := r.openProbed(i)
		if err != nil {
			return err
		}
		s.zxids.add(zxid, 0)
	}
	return nil
}

// openMonitor opens a session that takes no part in the comparison. A server that has just been started may refuse for a
// while.
func openMonitor(s *server) (*conn, error) {
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		c, err := s.dial()
		if err == nil {
			if err = c.openSession(); err == nil {
				return c, nil
			}
			c.close()
		}
		if time.Now().After(deadline) {
			return nil, err
		}
	}
}

func (c *conn) openSession() error {
	q := wire.ConnectRequest{TimeoutMs: 1 << 30, Password: make([]byte, wire.PasswordBytes), HasReadOnly: true}
	c.send(frameOf(q.Append(nil)))
	f, end := c.recv(patience)
	var p wire.ConnectReply
	if r := wire.NewReader(f); end != stillOpen || !p.Parse(&r) || p.SessionID == 0 {
		return fmt.Errorf("%s: opening a session: connection %s, answer %x", c.server.name, end, f)
	}
	return nil
}

// probe makes a write that fails and returns its zxid.
func probe(c *conn) (int64, error) {
	q := request{op: wire.OpDelete, xid: 1, body: (&wire.VersionRequest{Path: []byte("/no-such-parent/x"), Version: -1}).Append(nil)}
	c.send(q.appendFrame(nil, &zxids{}))
	frames, end := c.recvReplies(1, false)
	if end != stillOpen {
		return 0, fmt.Errorf("%s: first write: connection %s", c.server.name, end)
	}
	f := frames[len(frames)-1]
	var h wire.ReplyHeader
	if r := wire.NewReader(f); !h.Parse(&r) || h.Err != wire.CodeNoNode || h.Zxid <= 0 {
		return 0, fmt.Errorf("%s: first write: answer %x", c.server.name, f)
	}
	return h.Zxid, nil
}

func frameOf(payload []byte) []byte {
	b := append(wire.BeginFrame(nil), payload...)
	wire.EndFrame(b, 0)
	return b
}

// end closes every connection.
func (r *run) end() {
	for i := range r.slots {
		r.slots[i].disconnect()
	}
	for _, c := range r.monitor {
		c.close()
	}
}

// do performs one step on both servers and compares their answers.
func (r *run) do(s *step) *mismatch {
	r.steps++
	r.ops += s.ops()
	switch s.kind {
	case stepBurst:
		return r.burst(s)
	case stepConnect:
		return r.connect(s)
	case stepDrop:
		if m := r.barrier(s, s.slot); m != nil {
			return m
		}
		r.slots[s.slot].disconnect()
		r.slots[s.slot].note("dropped")
	case stepRaw:
		return r.raw(s)
	case stepBarrier:
		for i := range r.slots {
			if m := r.barrier(s, i); m != nil {
				return m
			}
		}
	case stepAwait:
		return r.await(s)
	case stepCounts:
		return r.counts(s)
	case stepRestart:
		return r.restart(s)
	}
	return nil
}

// receive reads both sides of a connection at once.
func (r *run) receive(sl *slot, replies int, wantEnd bool) (frames [2][][]byte, ends [2]ending) {
	began := time.Now()
	defer func() { r.slowest = max(r.slowest, time.Since(began)) }()
	done := make(chan struct{})
	go func() {
		defer close(done)
		frames[subject], ends[subject] = sl.conns[subject].recvReplies(replies, wantEnd)
	}()
	frames[reference], ends[reference] = sl.conns[reference].recvReplies(replies, wantEnd)
	<-done
	return frames, ends
}

func (r *run) burst(s *step) *mismatch {
	sl := &r.slots[s.slot]
	if !sl.connected() {
		return nil // only while a failing run is made small
	}
	for i, c := range sl.conns {
		var b []byte
		for j := range s.requests {
			b = s.requests[j].appendFrame(b, &r.servers[i].zxids)
		}
		c.sendPieces(b, s.pieces)
	}
	last := &s.requests[len(s.requests)-1]
	frames, ends := r.receive(sl, len(s.requests), last.op == wire.OpCloseSession)
	if m := r.compare(s, frames, ends); m != nil {
		return m
	}
	if ends[reference] != stillOpen {
		sl.disconnect()
		if last.op == wire.OpCloseSession {
			sl.open = false
		}
	}
	return nil
}

// barrier reads what one session's connection has received so far.
func (r *run) barrier(s *step, slotIndex int) *mismatch {
	if !r.slots[slotIndex].connected() {
		return nil
	}
	ping := step{kind: stepBurst, slot: slotIndex, requests: []request{{op: wire.OpPing, xid: wire.XidPing}}}
	m := r.burst(&ping)
	if m != nil {
		m.step = s
	}
	return m
}

// raw sends bytes that are not a frame. Both servers must close the connection.
func (r *run) raw(s *step) *mismatch {
	sl := &r.slots[s.slot]
	if !sl.connected() {
		return nil
	}
	if m := r.barrier(s, s.slot); m != nil {
		return m
	}
	for _, c := range sl.conns {
		c.send(s.raw)
	}
	frames, ends := r.receive(sl, 0, true)
	m := r.compare(s, frames, ends)
	sl.disconnect()
	return m
}

// compare holds the frames that one session's connections received against each other.
func (r *run) compare(s *step, frames [2][][]byte, ends [2]ending) *mismatch {
	sl := &r.slots[s.slot]
	var lists [2][]canonical
	for i := range lists {
		lists[i] = r.canonicalize(i, s, frames[i])
	}
	for i := range lists {
		sortUnordered(lists[i], r.unordered)
	}
	sl.noteRequests(s)
	for i := range max(len(lists[reference]), len(lists[subject])) {
		a, b := at(lists[reference], i), at(lists[subject], i)
		if a != nil {
			sl.note("  < %s", describeFrame(r.servers[reference], a.req, a.frame))
		}
		if a != nil && b != nil && a.same(b, timeTolerance+r.slowest.Milliseconds()) {
			continue
		}
		if name := wantedReply(a, b); name != "" {
			r.wanted[name]++
			continue
		}
		m := r.frameMismatch(s, a, b, ends)
		if a == nil || b == nil || r.survey <= 0 {
			return m
		}
		r.survey--
		if r.surveyed != nil {
			r.surveyed(m, a, b)
		}
	}
	if ends[reference] != ends[subject] {
		return &mismatch{
			what: "the connections ended differently", step: s, slot: s.slot,
			detail: fmt.Sprintf("%s: %s, %s: %s", r.servers[reference].name, ends[reference], r.servers[subject].name, ends[subject]),
		}
	}
	if ends[reference] == silent {
		return &mismatch{what: "neither server answered", step: s, slot: s.slot}
	}
	for _, c := range lists[reference] {
		if c.zxid > r.lastZxid {
			r.lastZxid = c.zxid
		}
		if !c.event && r.observe != nil && c.req != nil {
			r.observe(c.req, c)
		}
	}
	return nil
}

func at(list []canonical, i int) *canonical {
	if i >= len(list) {
		return nil
	}
	return &list[i]
}

func (s *slot) noteRequests(st *step) {
	for i := range st.requests {
		s.note("> %s", st.requests[i].String())
	}
	if st.kind != stepBurst {
		s.note("> %s", st.kind)
	}
}

// canonicalize pairs replies with requests and notes which zxids ended a session.
func (r *run) canonicalize(side int, s *step, frames [][]byte) []canonical {
	srv := r.servers[side]
	list := make([]canonical, 0, len(frames))
	next := 0
	for _, f := range frames {
		if isEvent(f) {
			list = append(list, canonicalFrame(srv, nil, f))
			continue
		}
		var q *request
		if next < len(s.requests) {
			q = &s.requests[next]
			next++
		}
		c := canonicalFrame(srv, q, f)
		if side == reference && q != nil && q.op == wire.OpCloseSession {
			r.unordered[c.zxid] = true
		}
		list = append(list, c)
	}
	return list
}

func (r *run) frameMismatch(s *step, a, b *canonical, ends [2]ending) *mismatch {
	var d strings.Builder
	var q *request
	for _, c := range []*canonical{a, b} {
		if c != nil && c.req != nil {
			q = c.req
		}
	}
	if q != nil {
		fmt.Fprintf(&d, "request: %s\n", q)
	}
	for i, c := range []*canonical{a, b} {
		text := "nothing, connection " + string(ends[i])
		if c != nil {
			text = describeFrame(r.servers[i], c.req, c.frame) + "\n        " + shortHex(c.frame)
		}
		fmt.Fprintf(&d, "%-10s %s\n", r.servers[i].name+":", text)
	}
	return &mismatch{what: "different answers", step: s, slot: s.slot, detail: d.String()}
}

// restart kills both servers and starts them again. All connections are gone then, and all watches; everything else must be as it
// was.
func (r *run) restart(s *step) *mismatch {
	for i := range r.slots {
		if m := r.barrier(s, i); m != nil {
			return m
		}
		r.slots[i].disconnect()
		r.slots[i].note("the servers were started again")
	}
	for _, c := range r.monitor {
		c.close()
	}
	if err := r.again(); err != nil {
		return &mismatch{what: err.Error(), step: s}
	}
	if r.imports {
		for i := range r.slots {
			sl := &r.slots[i]
			sl.id[subject], sl.password[subject] = sl.id[reference], sl.password[reference]
		}
	}
	var distance int64
	for i, srv := range r.servers {
		zxid, err := r.openProbed(i)
		if err != nil {
			return &mismatch{what: err.Error(), step: s}
		}
		if i == reference {
			distance = srv.zxids.distance(zxid)
		}
		srv.zxids.add(zxid, distance)
	}
	return nil
}

// openProbed opens the monitor's session on one server and returns the zxid of a write.
func (r *run) openProbed(side int) (zxid int64, err error) {
	if r.monitor[side], err = openMonitor(r.servers[side]); err != nil {
		return 0, err
	}
	return probe(r.monitor[side])
}

// await asks both servers, outside of the comparison, until a path is gone. What made it go ended a session or was the
// removal of a container or TTL node; it is one transaction, whose events may come in any order.
func (r *run) await(s *step) *mismatch {
	q := request{op: wire.OpExists, xid: 1, body: (&wire.WatchRequest{Path: []byte(s.path)}).Append(nil)}
	var last int64
	for i, c := range r.monitor {
		deadline := time.Now().Add(2 * time.Minute)
		for {
			c.send(q.appendFrame(nil, &zxids{}))
			f, end := c.recv(patience)
			var h wire.ReplyHeader
			if rd := wire.NewReader(f); end != stillOpen || !h.Parse(&rd) {
				return &mismatch{what: "asking for " + s.path, step: s, detail: fmt.Sprintf("%s: connection %s", c.server.name, end)}
			}
			if h.Err == wire.CodeNoNode {
				last = r.servers[i].zxids.distance(h.Zxid)
				break
			}
			if time.Now().After(deadline) {
				return &mismatch{what: "not removed: " + s.path, step: s, detail: c.server.name}
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	r.unordered[last] = true
	return nil
}

// connect opens a connection on both servers, with a ConnectRequest made of s.connect.
func (r *run) connect(s *step) *mismatch {
	sl := &r.slots[s.slot]
	fresh := s.connect.password == passwordNew && !s.connect.unknownID
	if fresh && sl.open || s.connect.password != passwordNew && sl.number == 0 {
		return nil // only while a failing run is made small
	}
	if m := r.barrier(s, s.slot); m != nil {
		return m
	}
	old := sl.conns
	var frames [2][][]byte
	var ends [2]ending
	for i, srv := range r.servers {
		c, err := srv.dial()
		if err != nil {
			return &mismatch{what: err.Error(), step: s, slot: s.slot}
		}
		sl.conns[i] = c
		b := frameOf(r.connectRequest(sl, s.connect, i))
		if s.connect.truncatedTo > 0 && s.connect.truncatedTo < len(b)-wire.FrameHeaderBytes {
			b = frameOf(b[wire.FrameHeaderBytes : wire.FrameHeaderBytes+s.connect.truncatedTo])
		}
		c.send(b)
	}
	for i, c := range sl.conns {
		f, end := c.recv(patience)
		if end == stillOpen {
			frames[i] = append(frames[i], f)
		}
		ends[i] = end
	}
	return r.connected(s, sl, old, frames, ends)
}

// connected compares the answers to a ConnectRequest and what became of the connection that the session had.
func (r *run) connected(s *step, sl *slot, old [2]*conn, frames [2][][]byte, ends [2]ending) *mismatch {
	accepted := r.enterSession(s, sl, frames)
	var keys [2]canonical
	for i := range keys {
		if len(frames[i]) > 0 {
			keys[i] = canonicalConnect(r.servers[i], frames[i][0])
		}
	}
	sl.note("> connect %+v", s.connect)
	if ends[reference] != ends[subject] || !bytes.Equal(keys[reference].key, keys[subject].key) {
		return &mismatch{
			what: "a connection was answered differently", step: s, slot: s.slot,
			detail: fmt.Sprintf("%s: %s %x\n%s: %s %x", r.servers[reference].name, ends[reference], keys[reference].frame,
				r.servers[subject].name, ends[subject], keys[subject].frame),
		}
	}
	sl.note("  < %s %x", ends[reference], keys[reference].frame)
	if accepted {
		return r.oldMustEnd(s, old)
	}
	for i := range sl.conns {
		if ends[i] == stillOpen {
			if _, end := sl.conns[i].recv(patience); end != closed {
				return &mismatch{what: "a refused connection stays " + string(end), step: s, slot: s.slot, detail: r.servers[i].name}
			}
		}
		sl.conns[i].close()
	}
	sl.conns = [2]*conn{}
	if old[reference] == nil {
		return nil
	}
	return r.afterRefusal(s, sl, old)
}

// enterSession notes the session that both servers answered with. It says whether the connection was accepted.
func (r *run) enterSession(s *step, sl *slot, frames [2][][]byte) bool {
	var replies [2]wire.ConnectReply
	for i := range replies {
		if len(frames[i]) == 0 {
			return false
		}
		rd := wire.NewReader(frames[i][0])
		if !replies[i].Parse(&rd) || replies[i].SessionID == 0 {
			return false
		}
	}
	if replies[reference].SessionID != sl.id[reference] {
		r.sessions++
		sl.number = r.sessions
	}
	sl.open = true
	for i := range replies {
		sl.id[i] = replies[i].SessionID
		sl.password[i] = replies[i].Password
		r.servers[i].sessions[replies[i].SessionID] = sl.number
	}
	return true
}

// oldMustEnd checks that the connection which a session had before it was attached to another one is closed by both servers.
func (r *run) oldMustEnd(s *step, old [2]*conn) *mismatch {
	for i, c := range old {
		if c == nil {
			continue
		}
		if f, end := c.recv(patience); end != closed {
			return &mismatch{
				what: "the connection of a session that moved stays " + string(end), step: s, slot: s.slot,
				detail: fmt.Sprintf("%s %x", r.servers[i].name, f),
			}
		}
		c.close()
	}
	return nil
}

// afterRefusal deals with the connection that the session had while another one was refused. ZooKeeper closes it, whatever the
// password was; Holt keeps it when the password was wrong: a wanted difference.
func (r *run) afterRefusal(s *step, sl *slot, old [2]*conn) *mismatch {
	_, end := old[reference].recv(refusalWait(s))
	if end == silent { // it was not touched: nor may the other be
		sl.conns = old
		return r.barrier(s, s.slot)
	}
	ping := request{op: wire.OpPing, xid: wire.XidPing}
	old[subject].send(ping.appendFrame(nil, &zxids{}))
	if f, end := old[subject].recv(r.servers[subject].waits()); end == stillOpen {
		if frameXid(f) != wire.XidPing {
			return &mismatch{what: "a connection beside a refused one got a frame", step: s, slot: s.slot, detail: shortHex(f)}
		}
		r.wanted[wrongPasswordKeepsConnection]++
	}
	for i := range old {
		old[i].close()
	}
	return nil
}

// refusalWait is how long to look whether a refused attachment closed the session's connection. Only a request that names
// the session can do that.
func refusalWait(s *step) time.Duration {
	if s.connect.unknownID || s.connect.truncatedTo > 0 || s.connect.zxidAhead > 0 || s.connect.password == passwordNew {
		return 50 * time.Millisecond
	}
	return patience
}

func (r *run) connectRequest(sl *slot, k connect, side int) []byte {
	q := wire.ConnectRequest{
		ProtocolVersion: k.protocol, TimeoutMs: k.timeoutMs, HasReadOnly: !k.noReadOnly, ReadOnly: k.readOnly,
		Password: make([]byte, wire.PasswordBytes),
	}
	if k.zxidAhead != 0 {
		q.LastZxidSeen = r.servers[side].zxids.at(r.lastZxid + k.zxidAhead)
	}
	if k.password != passwordNew {
		q.SessionID = sl.id[side]
		q.Password = bytes.Clone(sl.password[side])
	}
	switch k.password {
	case passwordWrong:
		q.Password[3] ^= 0x55
	case passwordNull:
		q.Password = nil
	case passwordShort:
		q.Password = q.Password[:5]
	}
	if k.unknownID {
		q.SessionID = 0x7700000000000001
	}
	return q.Append(nil)
}
