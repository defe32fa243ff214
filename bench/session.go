package bench

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"holt/netloop/wire"
)

// Conn is one session with the server for what is not measured: preparing, checking, removing. It belongs to one goroutine and
// blocks. Requests are queued with Begin and End and leave with Flush; replies come with Next, in order.
type Conn struct {
	sock    net.Conn
	session int64
	xid     wire.Xid
	out     []byte
	in      []byte
	from    int // unread bytes are in[from:to]
	to      int
}

// Reply is a reply without its frame. Body aliases the Conn's buffer until the next call of Next.
type Reply struct {
	wire.ReplyHeader
	Body []byte
}

// dialTimeout bounds the wait for a connection, and the least wait for a session.
const dialTimeout = 5 * time.Second

// Dial opens a connection and a session with the given timeout. A server that accepts connections and does not answer within that
// time is an error: ZooKeeper can forget one that comes while it starts.
func Dial(addr string, timeout time.Duration) (*Conn, error) {
	sock, err := net.DialTimeout("tcp", addr, dialTimeout)
	if err != nil {
		return nil, err
	}
	c := &Conn{sock: sock, in: make([]byte, inputBytes)}
	err = sock.SetDeadline(time.Now().Add(max(timeout, dialTimeout)))
	if err == nil {
		err = c.open(timeout)
	}
	if err == nil {
		err = sock.SetDeadline(time.Time{})
	}
	if err != nil {
		_ = sock.Close()
		return nil, fmt.Errorf("opening a session with %s: %w", addr, err)
	}
	return c, nil
}

func (c *Conn) open(timeout time.Duration) error {
	q := wire.ConnectRequest{TimeoutMs: int32(timeout.Milliseconds()), Password: make([]byte, 16), HasReadOnly: true}
	c.out = wire.BeginFrame(c.out[:0])
	c.out = q.Append(c.out)
	wire.EndFrame(c.out, 0)
	if err := c.Flush(); err != nil {
		return err
	}
	payload, err := c.frame()
	if err != nil {
		return err
	}
	var (
		p wire.ConnectReply
		r = wire.NewReader(payload)
	)
	if !p.Parse(&r) || p.SessionID == 0 {
		return errors.New("refused")
	}
	c.session = p.SessionID
	return nil
}

// Begin starts a request with the next xid and returns the buffer to append its body to; End takes it back.
func (c *Conn) Begin(op wire.Op) (body []byte, start int) {
	start = len(c.out)
	c.xid++
	return wire.AppendRequestHeader(wire.BeginFrame(c.out), c.xid, op), start
}

// End closes the request that Begin started.
func (c *Conn) End(b []byte, start int) {
	wire.EndFrame(b, start)
	c.out = b
}

// Raw queues bytes as they are: whole frames that the caller encoded, the last with the given xid.
func (c *Conn) Raw(frames []byte, last wire.Xid) {
	c.out = append(c.out, frames...)
	c.xid = last
}

// Flush writes all queued requests with one call.
func (c *Conn) Flush() error {
	_, err := c.sock.Write(c.out)
	c.out = c.out[:0]
	return err
}

// Next returns the next reply or event.
func (c *Conn) Next() (Reply, error) {
	payload, err := c.frame()
	if err != nil {
		return Reply{}, err
	}
	var (
		p Reply
		r = wire.NewReader(payload)
	)
	if !p.ReplyHeader.Parse(&r) {
		return Reply{}, errors.New("a reply without a header")
	}
	p.Body = r.Rest()
	return p, nil
}

// frame returns the next payload, reading more when it must.
func (c *Conn) frame() ([]byte, error) {
	for {
		payload, size, err := wire.Frame(c.in[c.from:c.to], frameBytesMax)
		if err != nil {
			return nil, err
		}
		if size > 0 {
			c.from += size
			return payload, nil
		}
		c.makeRoom()
		n, err := c.sock.Read(c.in[c.to:])
		if n == 0 && err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		c.to += n
	}
}

// makeRoom moves what is unread to the front, and grows the buffer when a frame fills it.
func (c *Conn) makeRoom() {
	copy(c.in, c.in[c.from:c.to])
	c.to -= c.from
	c.from = 0
	if c.to == len(c.in) {
		c.in = append(c.in, make([]byte, len(c.in))...)
	}
}

// Sync waits until this server has all that was written before, on whichever server.
func (c *Conn) Sync() error {
	b, start := c.Begin(wire.OpSync)
	c.End(wire.AppendString(b, "/"), start)
	if err := c.Flush(); err != nil {
		return err
	}
	p, err := c.Next()
	if err == nil && p.Err != wire.CodeOK {
		err = fmt.Errorf("sync: %s", codeName(p.Err))
	}
	return err
}

// Leave closes the session in order.
func (c *Conn) Leave() error {
	c.End(c.Begin(wire.OpCloseSession))
	if err := c.Flush(); err != nil {
		return err
	}
	_, err := c.Next()
	return err
}

// Close drops the connection; the session is left to expire.
func (c *Conn) Close() error { return c.sock.Close() }
