package shell

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"holt/netloop/wire"
)

const (
	replyBytesMax  = 1 << 30                // a listing can be large; the server bounds what it sends
	connectTime    = 5 * time.Second        // per host
	retryPause     = 200 * time.Millisecond // after all hosts failed
	retryPauseMost = 3 * time.Second
)

// errExpired ends run: the server does not know the session any more.
var errExpired = errors.New("session expired")

// run connects, serves the connection until it is lost, and starts over.
func (c *client) run(ctx context.Context) {
	pause := retryPause
	for ctx.Err() == nil && !c.isClosing() {
		served, err := c.tryHosts(ctx)
		if errors.Is(err, errExpired) {
			c.mu.Lock()
			c.setState(stateExpired)
			c.mu.Unlock()
			c.report(event{State: "Expired", Type: "None", Zxid: -1})
			return
		}
		if served {
			pause = retryPause
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
			pause = min(2*pause, retryPauseMost)
		}
	}
}

func (c *client) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// tryHosts goes through the hosts once. served says that one of them answered.
func (c *client) tryHosts(ctx context.Context) (served bool, err error) {
	for _, host := range c.cfg.hosts {
		var conn net.Conn
		if conn, err = c.connect(ctx, host); err == nil {
			err = c.serve(conn)
			return true, err
		}
		if errors.Is(err, errExpired) || ctx.Err() != nil {
			return false, err
		}
	}
	c.mu.Lock()
	c.failure = err
	c.setState(stateConnecting)
	c.mu.Unlock()
	return false, err
}

// connect opens a connection and the session on it.
func (c *client) connect(ctx context.Context, host string) (net.Conn, error) {
	c.mu.Lock()
	c.host = host
	request := wire.ConnectRequest{
		LastZxidSeen: c.zxid, TimeoutMs: int32(c.cfg.timeoutMs), SessionID: c.sessionID, Password: c.password,
		ReadOnly: c.cfg.readOnly, HasReadOnly: true,
	}
	c.mu.Unlock()
	dialer := net.Dialer{Timeout: connectTime}
	conn, err := dialer.DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", host, err)
	}
	conn.SetDeadline(time.Now().Add(connectTime))
	frame := request.Append(wire.BeginFrame(nil))
	wire.EndFrame(frame, 0)
	if _, err = conn.Write(frame); err == nil {
		err = c.readSession(conn)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	conn.SetDeadline(time.Time{})
	return conn, nil
}

// readSession reads the answer to a ConnectRequest.
func (c *client) readSession(conn net.Conn) error {
	payload, err := readFrame(conn)
	if err != nil {
		return fmt.Errorf("%s closed the connection instead of opening a session "+
			"(not serving, at its limit of connections, or not a ZooKeeper server): %w", conn.RemoteAddr(), err)
	}
	r := wire.NewReader(payload)
	var reply wire.ConnectReply
	if !reply.Parse(&r) {
		return fmt.Errorf("%s does not speak ZooKeeper's protocol", conn.RemoteAddr())
	}
	if reply.SessionID == 0 || reply.TimeoutMs <= 0 {
		return errExpired
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sessionID, c.timeoutMs = reply.SessionID, int(reply.TimeoutMs)
	c.password = append([]byte(nil), reply.Password...)
	c.conn, c.failure = conn, nil
	c.restore()
	if reply.ReadOnly {
		c.setState(stateReadOnly)
	} else {
		c.setState(stateConnected)
	}
	return nil
}

// restore repeats credentials and watches on a fresh connection; the caller holds mu. Answers come first in order.
func (c *client) restore() {
	c.pending = nil
	for _, a := range c.auths {
		c.pending = append(c.pending, &call{op: wire.OpAuth, xid: wire.XidAuth, done: make(chan struct{})})
		c.send(wire.XidAuth, wire.OpAuth, (&wire.AuthRequest{Scheme: []byte(a.scheme), Auth: []byte(a.data)}).Append)
	}
	if request, any := c.watches.request(c.zxid, c.path); any {
		c.pending = append(c.pending, &call{op: wire.OpSetWatches2, xid: wire.XidSetWatches, done: make(chan struct{})})
		c.send(wire.XidSetWatches, wire.OpSetWatches2, request.Append2)
	}
}

// serve reads a connection to its end, pinging meanwhile, and fails the calls that it leaves unanswered.
func (c *client) serve(conn net.Conn) error {
	name := "SyncConnected"
	if _, s := c.status(); s == stateReadOnly {
		name = "ConnectedReadOnly"
	}
	c.report(event{State: name, Type: "None", Zxid: -1})
	stop := make(chan struct{})
	pinging := make(chan struct{})
	go func() {
		defer close(pinging)
		c.ping(conn, stop)
	}()
	err := c.read(conn)
	close(stop)
	conn.Close()
	<-pinging

	c.mu.Lock()
	c.conn = nil
	lost := c.pending
	c.pending = nil
	closed := c.closing
	if !closed {
		c.setState(stateConnecting)
	}
	c.mu.Unlock()
	for _, q := range lost {
		if q.op == wire.OpCloseSession {
			q.finish(nil, nil)
		} else {
			q.finish(nil, errConnectionLoss)
		}
	}
	if !closed {
		c.report(event{State: "Disconnected", Type: "None", Zxid: -1})
	}
	return err
}

// ping keeps the session alive: a third of its timeout, as ZooKeeper's clients do.
func (c *client) ping(conn net.Conn, stop <-chan struct{}) {
	ticker := time.NewTicker(time.Duration(max(c.timeoutMs/3, 1)) * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			c.mu.Lock()
			if c.conn == conn {
				c.send(wire.XidPing, wire.OpPing, nil)
			}
			c.mu.Unlock()
		}
	}
}

// read hands every frame to where it belongs. Silence of two thirds of the session's timeout ends it.
func (c *client) read(conn net.Conn) error {
	silence := time.Duration(c.timeoutMs) * time.Millisecond * 2 / 3
	buffered := bufio.NewReaderSize(conn, 64<<10)
	for {
		conn.SetReadDeadline(time.Now().Add(silence))
		payload, err := readFrame(buffered)
		if err != nil {
			return err
		}
		r := wire.NewReader(payload)
		var header wire.ReplyHeader
		if !header.Parse(&r) {
			return fmt.Errorf("a reply of %d bytes without a header", len(payload))
		}
		c.sawZxid(header.Zxid)
		switch header.Xid {
		case wire.XidPing:
		case wire.XidEvent:
			c.watchEvent(header.Zxid, &r)
		default:
			if err := c.answer(header, r.Rest()); err != nil {
				return err
			}
		}
	}
}

func (c *client) sawZxid(zxid int64) {
	if zxid <= 0 {
		return
	}
	c.mu.Lock()
	c.zxid = max(c.zxid, zxid)
	c.mu.Unlock()
}

// answer finishes the oldest call, which must be the one that the reply names.
func (c *client) answer(header wire.ReplyHeader, body []byte) error {
	c.mu.Lock()
	if len(c.pending) == 0 || c.pending[0].xid != header.Xid {
		c.mu.Unlock()
		return fmt.Errorf("reply to request %d out of order", header.Xid)
	}
	q := c.pending[0]
	c.pending = c.pending[1:]
	c.mu.Unlock()
	if header.Err != wire.CodeOK {
		q.finish(nil, codeError(header.Err))
		return nil
	}
	q.finish(body, nil)
	return nil
}

func (c *client) watchEvent(zxid int64, r *wire.Reader) {
	var e wire.WatcherEvent
	if !e.Parse(r) {
		return
	}
	path := c.unroot(string(e.Path))
	c.mu.Lock()
	c.watches.fired(e.Type, path)
	c.mu.Unlock()
	c.report(event{State: "SyncConnected", Type: eventNames[e.Type], Path: path, Zxid: zxid})
}

func (c *client) report(e event) {
	if c.cfg.event != nil {
		c.cfg.event(e)
	}
}

var eventNames = map[wire.EventType]string{
	wire.EventNodeCreated: "NodeCreated", wire.EventNodeDeleted: "NodeDeleted",
	wire.EventNodeDataChanged: "NodeDataChanged", wire.EventNodeChildrenChanged: "NodeChildrenChanged",
}

// readFrame reads one length-prefixed payload.
func readFrame(r io.Reader) ([]byte, error) {
	var length [wire.FrameHeaderBytes]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := int32(binary.BigEndian.Uint32(length[:]))
	if n < 0 || n > replyBytesMax {
		return nil, wire.ErrFrameLength
	}
	payload := make([]byte, n)
	_, err := io.ReadFull(r, payload)
	return payload, err
}
