package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"holt/netloop/wire"
)

const (
	opPing    = wire.OpPing
	opGetData = wire.OpGetData
)

// rawClient speaks the protocol byte by byte.
type rawClient struct {
	t       *testing.T
	conn    net.Conn
	out     []byte // requests not sent yet
	xid     int
	session wire.ConnectReply
}

// reply is one frame from the server.
type reply struct {
	wire.ReplyHeader
	body []byte
}

// request is what call sends.
type request struct {
	op   wire.Op
	body func([]byte) []byte
}

const rawTimeout = 20 * time.Second

func dialRaw(t *testing.T, addr string) *rawClient {
	t.Helper()
	c, err := dialFrom(addr, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &rawClient{t: t, conn: c}
}

// dialFrom connects from another of the machine's loopback addresses.
func dialFrom(addr, from string) (net.Conn, error) {
	d := net.Dialer{Timeout: rawTimeout}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	return d.Dial("tcp", addr)
}

func openRaw(t *testing.T, addr string) *rawClient {
	t.Helper()
	return openFor(t, addr, 20_000)
}

func openFor(t *testing.T, addr string, timeoutMs int32) *rawClient {
	t.Helper()
	c := dialRaw(t, addr)
	if err := c.connect(wire.ConnectRequest{TimeoutMs: timeoutMs, Password: make([]byte, 16)}); err != nil {
		t.Fatal(err)
	}
	return c
}

// connect sends a ConnectRequest and reads the answer.
func (c *rawClient) connect(q wire.ConnectRequest) error {
	if _, err := c.conn.Write(appendFrame(nil, q.Append)); err != nil {
		return err
	}
	b, err := c.maybeFrame()
	if err != nil {
		return err
	}
	r := wire.NewReader(b)
	if !c.session.Parse(&r) {
		return fmt.Errorf("ConnectReply % x", b)
	}
	return nil
}

func appendFrame(dst []byte, body func([]byte) []byte) []byte {
	start := len(dst)
	dst = body(wire.BeginFrame(dst))
	wire.EndFrame(dst, start)
	return dst
}

// add appends a request to what send will send.
func (c *rawClient) add(xid int, op wire.Op, body func([]byte) []byte) {
	c.out = appendFrame(c.out, func(b []byte) []byte {
		b = wire.AppendRequestHeader(b, wire.Xid(xid), op)
		if body != nil {
			b = body(b)
		}
		return b
	})
}

func (c *rawClient) send() {
	c.t.Helper()
	if _, err := c.conn.Write(c.out); err != nil {
		c.t.Fatal(err)
	}
	c.out = c.out[:0]
}

func (c *rawClient) maybeFrame() ([]byte, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(rawTimeout)); err != nil {
		return nil, err
	}
	var head [4]byte
	if _, err := io.ReadFull(c.conn, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(c.conn, b)
	return b, err
}

func (c *rawClient) maybeReply() (p reply, err error) {
	b, err := c.maybeFrame()
	if err != nil {
		return p, err
	}
	r := wire.NewReader(b)
	if !p.Parse(&r) {
		return p, fmt.Errorf("reply % x", b)
	}
	p.body = r.Rest()
	return p, nil
}

func (c *rawClient) reply() reply {
	c.t.Helper()
	p, err := c.maybeReply()
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}

// call sends one request and returns its reply.
func (c *rawClient) call(xid int, op wire.Op, body func([]byte) []byte) reply {
	c.t.Helper()
	c.add(xid, op, body)
	c.send()
	return c.reply()
}

// try sends a request and returns the reply, or why there is none.
func (c *rawClient) try(q request) (reply, error) {
	c.xid++
	c.add(c.xid, q.op, q.body)
	_, err := c.conn.Write(c.out)
	c.out = c.out[:0]
	if err != nil {
		return reply{}, err
	}
	return c.maybeReply()
}

// must sends a request that has to succeed.
func (c *rawClient) must(q request) reply {
	c.t.Helper()
	p, err := c.try(q)
	if err != nil || p.Err != 0 {
		c.t.Fatalf("request %v: %v, %v", q.op, p.Err, err)
	}
	return p
}

// data reads a znode.
func (c *rawClient) data(path string) string {
	c.t.Helper()
	p := c.must(request{wire.OpGetData, watchBody(path, false)})
	var d wire.DataReply
	r := wire.NewReader(p.body)
	if !d.Parse(&r) {
		c.t.Fatalf("DataReply % x", p.body)
	}
	return string(d.Data)
}

// ended fails the test unless the server closes the connection within limit with nothing more to say.
func (c *rawClient) ended(limit time.Duration) {
	c.t.Helper()
	if err := c.conn.SetReadDeadline(time.Now().Add(limit)); err != nil {
		c.t.Fatal(err)
	}
	var b [64]byte
	n, err := c.conn.Read(b[:])
	var ne net.Error
	if err == nil || errors.As(err, &ne) && ne.Timeout() {
		c.t.Fatalf("connection is still open: % x, %v", b[:n], err)
	}
}

func createReq(path, data string) request {
	return request{wire.OpCreate, createBody(path, data, 0)}
}

func setReq(path, data string) request {
	q := wire.SetDataRequest{Path: []byte(path), Data: []byte(data), Version: -1}
	return request{wire.OpSetData, q.Append}
}

func createBody(path, data string, flags int32) func([]byte) []byte {
	q := wire.CreateRequest{Path: []byte(path), Data: []byte(data), ACL: wire.OpenACL, Flags: flags}
	return q.Append
}

func watchBody(path string, watch bool) func([]byte) []byte {
	q := wire.WatchRequest{Path: []byte(path), Watch: watch}
	return q.Append
}

func pathBody(path string) func([]byte) []byte {
	q := wire.PathRequest{Path: []byte(path)}
	return q.Append
}

// writer writes numbers to one znode, each after the one before was acknowledged, until its connection ends. It reads
// as well, and keeps account of how long it had to wait.
type writer struct {
	t       *testing.T
	c       *rawClient
	path    string
	acked   atomic.Int64
	sent    int64
	slowest time.Duration
	quit    atomic.Bool
	done    chan struct{}
	err     error
}

func startWriter(t *testing.T, addr, path string) *writer {
	t.Helper()
	w := &writer{t: t, c: openRaw(t, addr), path: path, done: make(chan struct{})}
	w.c.must(createReq(path, "0"))
	go func() {
		defer close(w.done)
		for !w.quit.Load() && w.err == nil {
			w.err = w.step()
		}
	}()
	return w
}

func (w *writer) step() error {
	begin := time.Now()
	w.sent++
	p, err := w.c.try(setReq(w.path, strconv.FormatInt(w.sent, 10)))
	switch {
	case err != nil:
		return err
	case p.Err != 0:
		return fmt.Errorf("setData: %v", p.Err)
	}
	w.acked.Store(w.sent)
	if p, err = w.c.try(request{wire.OpGetData, watchBody(w.path, false)}); err != nil {
		return err
	}
	var d wire.DataReply
	r := wire.NewReader(p.body)
	if !d.Parse(&r) || string(d.Data) != strconv.FormatInt(w.sent, 10) {
		return fmt.Errorf("read %q after writing %d", d.Data, w.sent)
	}
	w.slowest = max(w.slowest, time.Since(begin))
	return nil
}

// wait waits for the end of its connection.
func (w *writer) wait() {
	w.t.Helper()
	select {
	case <-w.done:
	case <-time.After(rawTimeout):
		w.t.Fatal("a client is not disconnected")
	}
}

// unharmed stops a writer that should have noticed nothing.
func (w *writer) unharmed() {
	w.t.Helper()
	w.quit.Store(true)
	w.wait()
	if w.err != nil {
		w.t.Errorf("another client noticed: %v", w.err)
	}
	if w.slowest > 5*time.Second {
		w.t.Errorf("another client had to wait for %v", w.slowest)
	}
	w.t.Logf("another client wrote %d times and waited for %v at most", w.acked.Load(), w.slowest.Round(time.Millisecond))
}

// verify checks that the last acknowledged write, or the one after it, is there.
func (w *writer) verify(c *rawClient) error {
	got, err := strconv.ParseInt(c.data(w.path), 10, 64)
	if acked := w.acked.Load(); err != nil || got < acked || got > acked+1 {
		return fmt.Errorf("%s is %d, %d was acknowledged (%v)", w.path, got, acked, err)
	}
	return nil
}
