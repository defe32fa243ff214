package bare

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/panjf2000/gnet/v2"
	"github.com/panjf2000/gnet/v2/pkg/logging"

	"holt/netloop/wire"
)

// Mode is which server.
type Mode string

// The servers.
const (
	Reads  Mode = "reads"
	Commit Mode = "commit"
	Fanout Mode = "fanout"
)

// Modes are all of them.
var Modes = []Mode{Reads, Commit, Fanout}

const (
	frameBytesMax = 1 << 20
	valueBytes    = 100
)

// EventPath is the path in Fanout's events: the only znode that bench.Fill makes below Root.
const (
	Root      = "/bare"
	EventPath = Root + "/d000000/n0000000000"
)

// server is a gnet event handler; one loop calls it.
type server struct {
	gnet.BuiltinEventEngine
	mode    Mode
	connect []byte // a whole frame, as are the others
	reply   []byte
	event   []byte
	out     []byte
	conns   map[gnet.Conn]bool // Fanout: true once connected
	commit  *committer
}

// Serve serves on addr until the process is killed. Commit writes to the file.
func Serve(mode Mode, addr, file string) error {
	if !slices.Contains(Modes, mode) {
		return fmt.Errorf("no bare server %q; there are %v", mode, Modes)
	}
	s := &server{mode: mode, conns: map[gnet.Conn]bool{}}
	c := wire.ConnectReply{TimeoutMs: 30000, SessionID: 1, Password: make([]byte, wire.PasswordBytes), HasReadOnly: true}
	s.connect = frame(c.Append)
	s.reply = frame(func(dst []byte) []byte {
		dst = wire.AppendReplyHeader(dst, 0, 1, wire.CodeOK)
		if mode == Reads {
			d := wire.DataReply{Data: make([]byte, valueBytes)}
			return d.Append(dst)
		}
		var stat wire.Stat
		return stat.Append(dst)
	})
	s.event = wire.AppendEvent(nil, 1, wire.EventNodeDataChanged, EventPath)
	if mode == Commit {
		var err error
		if s.commit, err = newCommitter(s, file); err != nil {
			return err
		}
	}
	return gnet.Run(s, "tcp://"+addr, gnet.WithReuseAddr(true), gnet.WithNumEventLoop(1), gnet.WithLogLevel(logging.ErrorLevel))
}

func frame(body func(dst []byte) []byte) []byte {
	b := body(wire.BeginFrame(nil))
	wire.EndFrame(b, 0)
	return b
}

// OnOpen makes the connection known.
func (s *server) OnOpen(c gnet.Conn) ([]byte, gnet.Action) {
	c.SetContext(false) // its ConnectRequest has not come
	return nil, gnet.None
}

// OnClose forgets it.
func (s *server) OnClose(c gnet.Conn, _ error) gnet.Action {
	delete(s.conns, c)
	return gnet.None
}

// OnTraffic answers every whole frame with one write.
func (s *server) OnTraffic(c gnet.Conn) gnet.Action {
	in, err := c.Peek(-1)
	if err != nil {
		return gnet.Close
	}
	out, used, waits := s.out[:0], 0, false
	for {
		payload, size, err := wire.Frame(in[used:], frameBytesMax)
		if err != nil {
			return gnet.Close
		}
		if size == 0 {
			break
		}
		used += size
		switch {
		case c.Context() == false:
			c.SetContext(true)
			s.conns[c] = true
			out = append(out, s.connect...)
		case s.mode == Commit:
			waits = true
		default:
			if s.mode == Fanout && wire.Op(binary.BigEndian.Uint32(payload[4:])) == wire.OpSetData {
				s.tell(c)
			}
			out = s.appendReply(out, payload)
		}
	}
	if waits {
		s.commit.add(c, in[:used])
	}
	_, _ = c.Discard(used)
	s.out = out
	if len(out) > 0 {
		_, _ = c.Write(out)
	}
	return gnet.None
}

func (s *server) appendReply(out, payload []byte) []byte {
	at := len(out)
	out = append(out, s.reply...)
	copy(out[at+wire.FrameHeaderBytes:], payload[:4])
	return out
}

// tell sends the event to all but the writer.
func (s *server) tell(writer gnet.Conn) {
	for c := range s.conns {
		if c != writer {
			_, _ = c.Write(s.event)
		}
	}
}
