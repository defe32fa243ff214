package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"time"

	"holt/netloop/wire"
)

// patience is how long a server may take for an answer before it counts as silent.
const patience = 15 * time.Second

// replyBytesMax bounds a frame that a server sends: far above what it should.
const replyBytesMax = 64 << 20

// A server is one of the two sides of the comparison, with what its values look like.
type server struct {
	name     string
	addr     string
	zxids    zxids
	sessions map[int64]int // session id to the session's number in this run
	received int           // frames so far
	patience time.Duration // how long to wait for an answer; 0 for the constant
	flipAt   int           // the received frame in which to flip a bit, 0 for none: proves that the comparison sees
}

// become takes note that s has the zxids and the sessions of another server from now on.
func (s *server) become(other *server) {
	s.zxids.bases, s.sessions = slices.Clone(other.zxids.bases), maps.Clone(other.sessions)
}

// conn is one connection to one server.
type conn struct {
	server *server
	nc     net.Conn
	in     *bufio.Reader
}

func (s *server) waits() time.Duration {
	if s.patience > 0 {
		return s.patience
	}
	return patience
}

func (s *server) dial() (*conn, error) {
	nc, err := net.DialTimeout("tcp", s.addr, 5*time.Second)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", s.name, err)
	}
	return &conn{server: s, nc: nc, in: bufio.NewReaderSize(nc, 64<<10)}, nil
}

// ending is how reading a connection stopped.
type ending string

const (
	stillOpen ending = "open"
	closed    ending = "closed"
	silent    ending = "silent"
)

// send writes b. An error is not reported here: reading shows that the connection has ended.
func (c *conn) send(b []byte) {
	_ = c.nc.SetWriteDeadline(time.Now().Add(c.server.waits()))
	_, _ = c.nc.Write(b)
}

// sendPieces sends b in several writes, so that the server gets it cut anywhere.
func (c *conn) sendPieces(b []byte, pieces int) {
	for ; pieces > 1; pieces-- {
		n := len(b) / pieces
		c.send(b[:n])
		b = b[n:]
	}
	c.send(b)
}

// recv reads one frame's payload.
func (c *conn) recv(timeout time.Duration) ([]byte, ending) {
	_ = c.nc.SetReadDeadline(time.Now().Add(timeout))
	var head [4]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return nil, endingOf(err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > replyBytesMax {
		return nil, closed
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(c.in, payload); err != nil {
		return nil, endingOf(err)
	}
	c.server.received++
	if c.server.received == c.server.flipAt && n > 0 {
		payload[int(n)/2] ^= 1
	}
	return payload, stillOpen
}

func endingOf(err error) ending {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return silent
	}
	return closed
}

// recvReplies reads frames up to the n-th reply; events do not count. wantEnd asks it to go on until the connection ends.
func (c *conn) recvReplies(n int, wantEnd bool) (frames [][]byte, end ending) {
	for replies := 0; replies < n || wantEnd; {
		f, end := c.recv(c.server.waits())
		if end != stillOpen {
			return frames, end
		}
		frames = append(frames, f)
		if !isEvent(f) {
			replies++
		}
		if !wantEnd && replies == n && closesConnection(f) {
			wantEnd = true
		}
	}
	return frames, stillOpen
}

func isEvent(frame []byte) bool {
	return len(frame) >= 4 && int32(binary.BigEndian.Uint32(frame)) == int32(wire.XidEvent)
}

// closesConnection says whether a reply is one after which a server must close.
func closesConnection(frame []byte) bool {
	var h wire.ReplyHeader
	r := wire.NewReader(frame)
	if !h.Parse(&r) {
		return false
	}
	switch h.Err {
	case wire.CodeUnimplemented:
		return h.Zxid == -1
	case wire.CodeAuthFailed, wire.CodeSessionExpired, wire.CodeSessionClosedNeedSASL:
		return true
	}
	return false
}

func (c *conn) close() {
	if c != nil {
		c.nc.Close()
	}
}
