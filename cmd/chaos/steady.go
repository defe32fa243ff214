package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"holt/netloop/wire"
)

// steady is a client that asks one thing after another over one session and comes back at once when its connection breaks:
// what it cannot do, no client can. It writes a znode of its own, or only reads.
type steady struct {
	number  int
	writes  bool
	servers []string
	timeout time.Duration // of the session
	home    atomic.Int32  // the server to be at
	path    string

	sock     net.Conn
	in       []byte
	at       int // which server it is connected to
	session  int64
	password []byte
	zxid     int64
	xid      wire.Xid

	mu     sync.Mutex // guards what follows: told to whoever measures
	acks   []int64    // ends of answered requests since the last forget, CLOCK_MONOTONIC
	breaks []cut
	lost   int // sessions that expired
	err    error
}

// cut is a broken connection.
type cut struct {
	at         int64
	server     int
	unanswered bool // a write was under way
}

// Patience of a steady client. Less than of any client in use, so that servers, not clients, make the gap.
const (
	dialPatience   = 500 * time.Millisecond
	greetPatience  = time.Second
	answerPatience = 10 * time.Second // two thirds of the session, as clients do
	retryPause     = 5 * time.Millisecond
	writePause     = 2 * time.Millisecond
	readPause      = 20 * time.Millisecond
)

var errExpired = errors.New("the session has expired")

// run works until stop is closed.
func (s *steady) run(stop <-chan struct{}) {
	pause := readPause
	if s.writes {
		pause = writePause
	}
	for {
		select {
		case <-stop:
			s.drop()
			return
		case <-time.After(pause):
		}
		switch {
		case s.sock == nil:
			s.connect()
		case int(s.home.Load()) != s.at && s.home.Load() >= 0:
			s.drop()
			s.at = int(s.home.Load())
			s.connect()
			s.home.Store(-1)
		default:
			s.ask()
		}
	}
}

// connect tries servers, from the one it was at, until one takes the session.
func (s *steady) connect() {
	err := s.attach()
	if err == nil {
		return
	}
	s.drop()
	if errors.Is(err, errExpired) {
		s.mu.Lock()
		s.lost++
		s.mu.Unlock()
		s.session, s.password, s.zxid = 0, nil, 0
	}
	s.at = (s.at + 1) % len(s.servers)
	time.Sleep(retryPause)
}

func (s *steady) attach() error {
	sock, err := net.DialTimeout("tcp", s.servers[s.at], dialPatience)
	if err != nil {
		return err
	}
	s.sock = sock
	_ = sock.SetDeadline(time.Now().Add(greetPatience))
	q := wire.ConnectRequest{
		TimeoutMs: int32(s.timeout.Milliseconds()), SessionID: s.session, Password: s.password, LastZxidSeen: s.zxid, HasReadOnly: true,
	}
	if q.Password == nil {
		q.Password = make([]byte, wire.PasswordBytes)
	}
	frame := q.Append(wire.BeginFrame(nil))
	wire.EndFrame(frame, 0)
	if _, err := sock.Write(frame); err != nil {
		return err
	}
	payload, err := s.frame()
	if err != nil {
		return err
	}
	var p wire.ConnectReply
	r := wire.NewReader(payload)
	if !p.Parse(&r) || p.SessionID == 0 {
		return errExpired
	}
	if s.session == 0 {
		s.session, s.password, s.xid = p.SessionID, append([]byte(nil), p.Password...), 0
		return s.plant()
	}
	return nil
}

// plant makes the client's znode, which goes with its session.
func (s *steady) plant() error {
	s.path = fmt.Sprintf("/gap-%d-%x", s.number, s.session)
	body := (&wire.CreateRequest{Path: []byte(s.path), ACL: worldACL(), Flags: 1}).Append(nil)
	_, err := s.call(wire.OpCreate, body, answerPatience)
	return err
}

func worldACL() wire.ACLs {
	b := wire.AppendInt32(nil, 1)
	b = wire.AppendACL(b, 31, []byte("world"), []byte("anyone"))
	r := wire.NewReader(b)
	return r.ACLs()
}

// ask does one operation and notes when its answer came, or that the connection broke.
func (s *steady) ask() {
	op, body := wire.OpGetData, (&wire.WatchRequest{Path: []byte(s.path)}).Append(nil)
	if s.writes {
		op, body = wire.OpSetData, (&wire.SetDataRequest{Path: []byte(s.path), Data: make([]byte, 100), Version: -1}).Append(nil)
	}
	code, err := s.call(op, body, answerPatience)
	t := now()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		s.breaks = append(s.breaks, cut{t, s.at, s.writes})
		s.drop()
		s.at = (s.at + 1) % len(s.servers)
	case code != wire.CodeOK:
		s.err = fmt.Errorf("client %d: %s: error %d", s.number, s.path, code)
	default:
		s.acks = append(s.acks, t)
	}
}

// call sends a request and waits for its reply.
func (s *steady) call(op wire.Op, body []byte, patience time.Duration) (wire.Code, error) {
	s.xid++
	frame := append(wire.AppendRequestHeader(wire.BeginFrame(nil), s.xid, op), body...)
	wire.EndFrame(frame, 0)
	_ = s.sock.SetDeadline(time.Now().Add(patience))
	if _, err := s.sock.Write(frame); err != nil {
		return 0, err
	}
	payload, err := s.frame()
	if err != nil {
		return 0, err
	}
	var h wire.ReplyHeader
	r := wire.NewReader(payload)
	if !h.Parse(&r) || h.Xid != s.xid {
		return 0, fmt.Errorf("the reply to xid %d is %x", s.xid, payload)
	}
	s.zxid = max(s.zxid, h.Zxid)
	return h.Err, nil
}

// frame reads one payload.
func (s *steady) frame() ([]byte, error) {
	var head [wire.FrameHeaderBytes]byte
	if _, err := io.ReadFull(s.sock, head[:]); err != nil {
		return nil, err
	}
	n := int(head[0])<<24 | int(head[1])<<16 | int(head[2])<<8 | int(head[3])
	if n > 1<<20 {
		return nil, fmt.Errorf("a frame of %d bytes", n)
	}
	if cap(s.in) < n {
		s.in = make([]byte, n)
	}
	_, err := io.ReadFull(s.sock, s.in[:n])
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("no answer within %v: %w", answerPatience, err)
	}
	return s.in[:n], err
}

func (s *steady) drop() {
	if s.sock != nil {
		s.sock.Close()
		s.sock = nil
	}
}

// goHome makes the client move to a server, with its session, and forget what it has noted.
func (s *steady) goHome(server int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.home.Store(int32(server))
	s.acks, s.breaks, s.lost = s.acks[:0], nil, 0
}

// noted is what the client noted since it was told to go home.
type noted struct {
	breaks []cut
	lost   int
	prev   int64 // the last answer before t, 0 if none
	next   int64 // the first answer after t, 0 if none
	err    error
}

func (s *steady) around(t int64) noted {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := noted{breaks: append([]cut(nil), s.breaks...), lost: s.lost, err: s.err}
	for _, a := range s.acks {
		if a <= t {
			n.prev = a
		} else if n.next == 0 {
			n.next = a
		}
	}
	return n
}
