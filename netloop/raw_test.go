package netloop

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"holt/netloop/wire"
)

// rawClient speaks the protocol byte by byte, so that a test decides what is pipelined and in which segments.
type rawClient struct {
	t       *testing.T
	conn    net.Conn
	out     []byte // requests not sent yet
	session wire.ConnectReply
}

// reply is one frame from the server.
type reply struct {
	wire.ReplyHeader
	body []byte
}

func dialRaw(t *testing.T, addr string) *rawClient {
	t.Helper()
	c, err := tryDialRaw(t, addr)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// tryDialRaw is dialRaw where the server may refuse.
func tryDialRaw(t *testing.T, addr string) (*rawClient, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { c.Close() })
	return &rawClient{t: t, conn: c}, nil
}

// openRaw dials and opens a session.
func openRaw(t *testing.T, addr string) *rawClient {
	t.Helper()
	c := dialRaw(t, addr)
	c.connect(wire.ConnectRequest{TimeoutMs: 4000, Password: make([]byte, 16)})
	return c
}

// connect sends a ConnectRequest and reads the answer.
func (c *rawClient) connect(q wire.ConnectRequest) {
	c.t.Helper()
	c.out = appendFrame(c.out, q.Append)
	c.send()
	b := c.frame()
	r := wire.NewReader(b)
	if !c.session.Parse(&r) {
		c.t.Fatalf("ConnectReply % x", b)
	}
	c.session.Password = append([]byte(nil), c.session.Password...)
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

func (c *rawClient) frame() []byte {
	c.t.Helper()
	b, err := c.maybeFrame()
	if err != nil {
		c.t.Fatal(err)
	}
	return b
}

func (c *rawClient) maybeFrame() ([]byte, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
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

func (c *rawClient) reply() reply {
	c.t.Helper()
	b := c.frame()
	var p reply
	r := wire.NewReader(b)
	if !p.Parse(&r) {
		c.t.Fatalf("reply % x", b)
	}
	p.body = r.Rest()
	return p
}

// call sends one request and returns its reply.
func (c *rawClient) call(xid int, op wire.Op, body func([]byte) []byte) reply {
	c.t.Helper()
	c.add(xid, op, body)
	c.send()
	return c.reply()
}

// ended fails the test unless the server closes the connection with nothing more to say.
func (c *rawClient) ended() {
	c.t.Helper()
	b, err := c.maybeFrame()
	var ne net.Error
	if err == nil || errors.As(err, &ne) && ne.Timeout() {
		c.t.Fatalf("connection is still open: % x, %v", b, err)
	}
}

func createBody(path, data string, flags int32) func([]byte) []byte {
	q := wire.CreateRequest{Path: []byte(path), Data: []byte(data), ACL: wire.OpenACL, Flags: flags}
	return q.Append
}

func setBody(path, data string) func([]byte) []byte {
	q := wire.SetDataRequest{Path: []byte(path), Data: []byte(data), Version: -1}
	return q.Append
}

func deleteBody(path string) func([]byte) []byte {
	q := wire.VersionRequest{Path: []byte(path), Version: -1}
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

// text renders a reply without what differs from run to run.
func (p reply) text(op wire.Op) string {
	if p.Xid == wire.XidEvent {
		var e wire.WatcherEvent
		r := wire.NewReader(p.body)
		e.Parse(&r)
		return fmt.Sprintf("event %d %s", e.Type, e.Path)
	}
	s := fmt.Sprintf("%d %v", p.Xid, p.Err)
	if p.Err != 0 {
		return s
	}
	r := wire.NewReader(p.body)
	switch op {
	case wire.OpGetData:
		var d wire.DataReply
		d.Parse(&r)
		return fmt.Sprintf("%s %q v%d c%d", s, d.Data, d.Stat.Version, d.Stat.NumChildren)
	case wire.OpSetData, wire.OpExists:
		st := r.Stat()
		return fmt.Sprintf("%s v%d cv%d", s, st.Version, st.Cversion)
	case wire.OpCreate, wire.OpSync:
		return fmt.Sprintf("%s %s", s, r.Buffer())
	case wire.OpGetChildren:
		v := r.Strings()
		for {
			n, ok := v.Next()
			if !ok {
				return s
			}
			s += " " + string(n)
		}
	}
	return s
}
