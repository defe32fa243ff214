package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"holt/netloop/wire"
)

var (
	errServerClosed = errors.New("the server closed the connection")
	errSilent       = errors.New("the server said nothing for two thirds of the session timeout")
	errExpired      = errors.New("the session has expired")
	errFrame        = errors.New("a reply that makes no sense")
	errOrder        = errors.New("a reply out of order")
)

// client is one connection with its session, driven by a loop and owned by it. What it asks and what it makes of
// the answers is its actor's part.
type client struct {
	loop       *loop
	actor      actor
	number     int   // among all connections of the run
	slot       int32 // among those of the loop
	generation int32 // counts sockets, so that what the kernel says of a closed one is ignored
	fd         int
	state      clientState
	writing    bool // epoll shall tell when the socket takes more
	dirty      bool // has output and is on the loop's list
	told       bool // the run, that it is ready
	keep       bool // the session is to be re-attached on the next connection

	attempts  int // to connect, since the start: chooses the server
	failures  int // of the connection, since a session was open last
	session   int64
	password  [wire.PasswordBytes]byte
	timeoutNs int64
	zxid      int64 // highest seen

	sent     wire.Xid // of the last request
	answered wire.Xid // of the last reply
	waiting  ring     // requests without a reply, in order
	out      []byte   // encoded, from outAt on not yet written
	outAt    int
	begun    int    // where the request under way starts in out
	in       []byte // the beginning of a frame whose end has not come

	dialNs int64 // when connecting began
	sentNs int64
	heldNs int64 // when the last bytes came
	pingNs int64 // when the unanswered ping was sent, 0 for none
}

type clientState uint8

const (
	clientClosed clientState = iota
	clientQueued             // waits for its turn to connect
	clientConnecting
	clientGreeting // the ConnectRequest is on its way
	clientOpen
	clientLeaving // closeSession is on its way
)

// request is what is remembered of a request until its reply comes. kind and arg belong to the actor.
type request struct {
	startNs int64 // when it was sent, or in an open loop should have been
	arg     uint32
	kind    uint8
}

// Kinds that belong to the client itself.
const (
	kindLeave      uint8 = 255 - iota
	kindSetWatches       // the reply to setWatches, which has an xid of its own
)

// reply is a reply without its frame. The body aliases the loop's buffer until the actor returns.
type reply struct {
	zxid int64
	code wire.Code
	body []byte
}

// event is a watch event; path aliases the loop's buffer until the actor returns.
type event struct {
	zxid int64
	kind wire.EventType
	path []byte
}

// actor decides what a client asks. All its methods are called on the client's loop and must not block.
type actor interface {
	opened(c *client, again bool)              // a session was opened, or re-attached; c.ready tells that the run may begin
	begin(c *client)                           // all connections are ready
	issue(c *client, startNs int64)            // one request of an open loop
	reply(c *client, w request, p *reply)      // in the order of the requests
	event(c *client, e *event)                 //
	lost(c *client, unanswered int, err error) // the connection is gone
	poke(c *client, tag int32)                 // what loop.after or loop.post asked for
	idle(c *client) bool                       // whether nothing is under way
}

// watchData queues getData with a watch.
func (c *client) watchData(path []byte, kind uint8, arg uint32) {
	b := wire.AppendBuffer(c.begin(wire.OpGetData), path)
	c.end(wire.AppendBool(b, true), kind, arg, 0)
}

// quiet is an actor that does nothing; others embed it.
type quiet struct{}

func (quiet) opened(c *client, again bool) {
	if !again {
		c.ready()
	}
}
func (quiet) begin(*client)                  {}
func (quiet) issue(*client, int64)           {}
func (quiet) reply(*client, request, *reply) {}
func (quiet) event(*client, *event)          {}
func (quiet) poke(*client, int32)            {}
func (quiet) idle(c *client) bool            { return c.waiting.empty() }

// lost counts the connection as an error, once until there is another, and opens one: load goes on.
func (quiet) lost(c *client, unanswered int, err error) {
	if c.failures == 1 {
		c.fault(FaultError, fmt.Sprintf("connection lost: %v", err), 1)
	}
	if unanswered > 0 {
		c.fault(FaultError, "no reply: connection lost", int64(unanswered))
	}
	c.reconnect(reconnectDelayNs)
}

// ready tells the run that the connection has done what must come before the load. Only the first time counts.
func (c *client) ready() {
	if !c.told {
		c.told = true
		c.loop.run.clientReady(nil)
	}
}

func (c *client) fault(f Fault, what string, n int64) { c.loop.tally.fault(f, what, n) }

// measure records the latency of a request that was answered now.
func (c *client) measure(s int, startNs int64) { c.loop.tally.record(s, startNs, c.loop.now) }

// begin starts a request and returns the buffer to append its body to; end takes it back.
func (c *client) begin(op wire.Op) []byte {
	c.begun = len(c.out)
	if c.sent == math.MaxInt32 {
		c.sent = 0
	}
	c.sent++
	return wire.AppendRequestHeader(wire.BeginFrame(c.out), c.sent, op)
}

// end closes the request that begin started. It leaves with the next flush; startNs 0 is now.
func (c *client) end(b []byte, kind uint8, arg uint32, startNs int64) {
	wire.EndFrame(b, c.begun)
	c.out = b
	if startNs == 0 {
		startNs = c.loop.now
	}
	c.waiting.push(request{startNs: startNs, kind: kind, arg: arg})
	c.soil()
}

// soil puts the client on the list of those with output.
func (c *client) soil() {
	if !c.dirty {
		c.dirty = true
		c.loop.dirty = append(c.loop.dirty, c)
	}
}

// flush writes what there is to write.
func (c *client) flush() {
	if c.outAt == len(c.out) || c.state < clientGreeting || c.writing {
		return
	}
	c.sentNs = c.loop.now
	n, err := transmit(c.fd, c.out[c.outAt:])
	if err != nil {
		c.fail(err)
		return
	}
	if c.outAt += n; c.outAt == len(c.out) {
		c.out, c.outAt = c.out[:0], 0
		return
	}
	c.writing = true
	_ = c.loop.poll.watch(c.fd, c.slot, c.generation, false, true)
}

// connect begins a connection to the next server.
func (c *client) connect() {
	servers := c.loop.run.addresses
	to := servers[(c.number+c.attempts)%len(servers)]
	c.attempts++
	c.generation++
	c.dialNs, c.heldNs = c.loop.now, c.loop.now
	fd, err := dial(to)
	if err == nil {
		err = c.loop.poll.watch(fd, c.slot, c.generation, true, true)
	}
	c.fd, c.state, c.writing = fd, clientConnecting, true
	if err != nil {
		c.fail(err)
	}
}

// reconnect asks for a new connection after a while. The session is re-attached if there is one.
func (c *client) reconnect(delayNs int64) {
	if c.state != clientClosed || c.loop.phase >= phaseLeave {
		return
	}
	c.keep = true
	c.state = clientQueued
	c.loop.after(delayNs, c, tagConnect)
}

// drop ends the connection from our side; the session stays until it expires or is re-attached.
func (c *client) drop(abrupt bool) {
	if c.state >= clientConnecting && c.fd >= 0 {
		hangUp(c.fd, abrupt)
	}
	if c.state == clientConnecting || c.state == clientGreeting {
		c.loop.connected()
	}
	c.state, c.fd, c.writing = clientClosed, -1, false
	c.generation++
	c.waiting.clear()
	c.out, c.outAt, c.in = c.out[:0], 0, c.in[:0]
	c.sent, c.answered, c.pingNs = 0, 0, 0
}

// fail ends the connection because of an error and lets the actor decide what follows.
func (c *client) fail(err error) {
	leaving := c.state == clientLeaving
	c.failures++
	unanswered := c.waiting.len()
	c.drop(false)
	if leaving || c.loop.phase >= phaseLeave {
		return
	}
	if c.loop.phase == phaseOpen && c.session == 0 {
		c.loop.run.clientReady(fmt.Errorf("connection %d: %w", c.number, err)) // nothing has worked yet: tell, do not try for ever
		return
	}
	c.actor.lost(c, unanswered, err)
}

// writable is called when the socket takes output again, or the connection is made.
func (c *client) writable() {
	if c.state == clientConnecting {
		if err := dialed(c.fd); err != nil {
			c.fail(err)
			return
		}
		c.state = clientGreeting
		c.greet()
	}
	c.writing = false
	_ = c.loop.poll.watch(c.fd, c.slot, c.generation, false, false)
	c.flush()
}

// greet asks for a session: a new one, or the one there was.
func (c *client) greet() {
	if !c.keep {
		c.session, c.password, c.zxid = 0, [wire.PasswordBytes]byte{}, 0
	}
	q := wire.ConnectRequest{
		TimeoutMs: int32(c.loop.run.cfg.SessionTimeout.Milliseconds()), LastZxidSeen: c.zxid,
		SessionID: c.session, Password: c.password[:], HasReadOnly: true,
	}
	c.out = q.Append(wire.BeginFrame(c.out[:0]))
	wire.EndFrame(c.out, 0)
}

func (c *client) greeted(frame []byte) {
	var (
		p wire.ConnectReply
		r = wire.NewReader(frame)
	)
	if !p.Parse(&r) {
		c.fail(errFrame)
		return
	}
	c.loop.connected()
	c.state = clientOpen // connected has been told
	again := c.session != 0
	if p.SessionID == 0 {
		c.keep, c.session = false, 0
		c.fail(errExpired)
		return
	}
	c.session, c.timeoutNs = p.SessionID, int64(p.TimeoutMs)*1e6
	copy(c.password[:], p.Password)
	c.failures = 0
	c.actor.opened(c, again)
}

// leave closes the session in order; the connection ends with the reply.
func (c *client) leave() {
	c.end(c.begin(wire.OpCloseSession), kindLeave, 0, 0)
	c.state = clientLeaving
}

// ping keeps the session alive.
func (c *client) ping() {
	if c.pingNs == 0 {
		c.pingNs = c.loop.now
	}
	start := len(c.out)
	c.out = wire.AppendRequestHeader(wire.BeginFrame(c.out), wire.XidPing, wire.OpPing)
	wire.EndFrame(c.out, start)
	c.soil()
}

// look is called now and then: it pings where nothing was sent, and gives up where nothing comes back.
func (c *client) look() {
	now := c.loop.now
	switch c.state {
	case clientConnecting, clientGreeting:
		if now-c.dialNs > c.loop.run.cfg.SessionTimeout.Nanoseconds() {
			c.fail(errSilent)
		}
	case clientOpen:
		// Not all after the same time: sessions that were opened together need not ping together.
		if spread := int64(c.number%64) * c.timeoutNs / 1024; now-c.sentNs > c.timeoutNs/3-spread {
			c.ping()
		}
		if now-c.heldNs > c.timeoutNs*2/3 && (c.pingNs != 0 && now-c.pingNs > c.timeoutNs/4) {
			c.fail(errSilent)
		}
	}
}

// readable reads what has come and acts on every whole frame.
func (c *client) readable() {
	l := c.loop
	have := copy(l.in, c.in)
	n, err := receive(c.fd, l.in[have:])
	l.now = clock()
	if err != nil {
		c.fail(err)
		return
	}
	c.heldNs = l.now
	generation := c.generation
	b := l.in[:have+n]
	for len(b) >= wire.FrameHeaderBytes {
		size := int(int32(binary.BigEndian.Uint32(b)))
		if size < 0 || size > frameBytesMax {
			c.fail(errFrame)
			return
		}
		end := wire.FrameHeaderBytes + size
		if len(b) < end {
			l.need(end)
			break
		}
		frame := b[wire.FrameHeaderBytes:end]
		b = b[end:]
		c.frame(frame)
		if c.generation != generation {
			return // closed meanwhile, and perhaps opened anew
		}
	}
	c.in = append(c.in[:0], b...)
	c.flush()
}

// frame acts on one frame from the server.
func (c *client) frame(frame []byte) {
	if c.state == clientGreeting {
		c.greeted(frame)
		return
	}
	if len(frame) < wire.ReplyHeaderBytes {
		c.fail(errFrame)
		return
	}
	xid := wire.Xid(binary.BigEndian.Uint32(frame))
	p := &c.loop.reply
	p.zxid = int64(binary.BigEndian.Uint64(frame[4:]))
	p.code = wire.Code(binary.BigEndian.Uint32(frame[12:]))
	p.body = frame[wire.ReplyHeaderBytes:]
	switch {
	case xid > 0:
		c.reply(xid, p)
	case xid == wire.XidEvent:
		c.event(p)
	case xid == wire.XidPing:
		c.loop.tally.ping(c.pingNs, c.loop.now)
		c.pingNs = 0
	case xid == wire.XidSetWatches:
		c.actor.reply(c, request{kind: kindSetWatches}, p)
	default:
		c.fault(FaultOrder, fmt.Sprintf("a reply with xid %d", xid), 1)
	}
}

func (c *client) reply(xid wire.Xid, p *reply) {
	w, ok := c.waiting.pop()
	if c.answered == math.MaxInt32 {
		c.answered = 0
	}
	c.answered++
	if !ok || xid != c.answered {
		c.fault(FaultOrder, fmt.Sprintf("reply to xid %d where %d was due", xid, c.answered), 1)
		c.fail(errOrder)
		return
	}
	if p.zxid > 0 {
		if p.zxid < c.zxid {
			c.fault(FaultOrder, "zxid of replies went back", 1)
		}
		c.zxid = max(c.zxid, p.zxid)
	}
	if w.kind == kindLeave {
		c.session, c.keep = 0, false
		c.drop(true)
		c.loop.left(c, w)
		return
	}
	c.actor.reply(c, w, p)
}

func (c *client) event(p *reply) {
	var (
		e wire.WatcherEvent
		r = wire.NewReader(p.body)
	)
	if !e.Parse(&r) {
		c.fail(errFrame)
		return
	}
	c.loop.event = event{zxid: p.zxid, kind: e.Type, path: e.Path}
	c.actor.event(c, &c.loop.event)
}

// expect counts a reply with another code than OK as an error, and says whether it was OK.
func (c *client) expect(p *reply, what string) bool {
	if p.code == wire.CodeOK {
		return true
	}
	c.fault(FaultError, fmt.Sprintf("%s: %s", what, codeName(p.code)), 1)
	return false
}
