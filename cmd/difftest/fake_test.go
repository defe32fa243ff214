package main

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	"holt/netloop/wire"
)

// fakeServer answers every request in a fixed way: enough of a server to prove what the comparison sees. Two of them with other
// zxids, session ids and passwords must be equal to it.
type fakeServer struct {
	t        *testing.T
	l        net.Listener
	mu       sync.Mutex
	zxid     int64
	lastID   int64
	sessions map[int64]*fakeSession
	conns    sync.WaitGroup
	open     map[net.Conn]bool
	spoil    func(frame []byte) []byte // what to make of each reply; nil leaves them
}

type fakeSession struct {
	password []byte
	nc       net.Conn
}

func startFake(t *testing.T, zxid, firstID int64) *fakeServer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeServer{t: t, l: l, zxid: zxid, lastID: firstID, sessions: map[int64]*fakeSession{}, open: map[net.Conn]bool{}}
	f.conns.Add(1)
	go func() {
		defer f.conns.Done()
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.open[nc] = true
			f.mu.Unlock()
			f.conns.Add(1)
			go f.serve(nc)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		f.mu.Lock()
		for nc := range f.open {
			nc.Close()
		}
		f.mu.Unlock()
		f.conns.Wait()
	})
	return f
}

func (f *fakeServer) serve(nc net.Conn) {
	defer f.conns.Done()
	defer nc.Close()
	in := bufio.NewReader(nc)
	frame, ok := readFrame(in)
	if !ok || !f.connect(nc, frame) {
		return
	}
	for n := 0; ; n++ {
		frame, ok := readFrame(in)
		if !ok || !f.answer(nc, frame, n) {
			return
		}
	}
}

func readFrame(in *bufio.Reader) ([]byte, bool) {
	var head [4]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, false
	}
	n := int32(binary.BigEndian.Uint32(head[:]))
	if n < 0 || n > 1<<20-1 {
		return nil, false
	}
	b := make([]byte, n)
	_, err := io.ReadFull(in, b)
	return b, err == nil
}

func (f *fakeServer) connect(nc net.Conn, frame []byte) bool {
	var q wire.ConnectRequest
	r := wire.NewReader(frame)
	f.mu.Lock()
	defer f.mu.Unlock()
	if !q.Parse(&r) || q.LastZxidSeen > f.zxid {
		return false
	}
	p := wire.ConnectReply{TimeoutMs: max(q.TimeoutMs, 1000), HasReadOnly: q.HasReadOnly, Password: make([]byte, 16)}
	s := f.sessions[q.SessionID]
	switch {
	case q.SessionID == 0:
		f.lastID++
		f.zxid++
		p.SessionID = f.lastID
		s = &fakeSession{password: wire.AppendInt64(make([]byte, 8), f.lastID*7919)}
		f.sessions[f.lastID] = s
	case s == nil || string(q.Password) != string(s.password):
		p.TimeoutMs = 0
		if s != nil {
			s.nc.Close() // as ZooKeeper does
		}
	default:
		s.nc.Close()
		p.SessionID = q.SessionID
	}
	if p.TimeoutMs > 0 {
		p.Password = s.password
		s.nc = nc
	}
	_, err := nc.Write(frameOf(p.Append(nil)))
	return err == nil && p.TimeoutMs > 0
}

// answer replies NoNode to nearly everything; every fifth write is preceded by an event.
func (f *fakeServer) answer(nc net.Conn, frame []byte, n int) bool {
	var h wire.RequestHeader
	r := wire.NewReader(frame)
	if !h.Parse(&r) {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []byte
	code, zxid, stays := wire.CodeNoNode, int64(0), true
	switch {
	case h.Op == wire.OpPing:
		h.Xid, code = wire.XidPing, wire.CodeOK
	case h.Op == wire.OpAuth:
		code, zxid, stays = f.auth(&r)
		out = frameOf(wire.AppendReplyHeader(nil, h.Xid, zxid, code))
		_, err := nc.Write(out)
		return err == nil && stays
	case h.Op == wire.OpCloseSession:
		f.zxid++
		code, stays = wire.CodeOK, false
		for id, s := range f.sessions {
			if s.nc == nc {
				delete(f.sessions, id)
			}
		}
	case h.Op.String() == "" || h.Op == wire.OpCheck || h.Op == wire.OpNotification || h.Op == wire.OpError:
		_, _ = nc.Write(frameOf(wire.AppendReplyHeader(nil, h.Xid, -1, wire.CodeUnimplemented)))
		return false
	case isWrite(h.Op) || h.Op == wire.OpSetACL:
		f.zxid++
		if n%5 == 0 {
			out = wire.AppendEvent(out, f.zxid, wire.EventNodeDataChanged, "/a")
		}
	}
	reply := frameOf(wire.AppendReplyHeader(nil, h.Xid, f.zxid, code))
	if f.spoil != nil {
		reply = f.spoil(reply)
	}
	_, err := nc.Write(append(out, reply...))
	return err == nil && stays
}

func (f *fakeServer) auth(r *wire.Reader) (wire.Code, int64, bool) {
	var q wire.AuthRequest
	if q.Parse(r) && (string(q.Scheme) == "digest" || string(q.Scheme) == "ip") {
		return wire.CodeOK, 0, true
	}
	return wire.CodeAuthFailed, 0, false
}
