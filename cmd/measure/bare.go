package main

import (
	"flag"

	"github.com/panjf2000/gnet/v2"

	"holt/netloop/wire"
)

// bareServer is the ceiling for reads: a gnet server that cuts frames and answers each with the same bytes, of the size
// of Holt's answer to getData of a znode of 100 B. It decodes nothing but the xid and looks nothing up.
type bareServer struct {
	gnet.BuiltinEventEngine
	connect []byte
	reply   []byte
	out     []byte // of the only loop
}

// bare serves until it is killed.
func bare(args []string) error {
	f := flag.NewFlagSet("bare", flag.ExitOnError)
	addr := f.String("addr", "127.0.0.1:26281", "where to listen")
	_ = f.Parse(args)
	s := &bareServer{}
	c := wire.ConnectReply{TimeoutMs: 30000, SessionID: 1, Password: make([]byte, wire.PasswordBytes), HasReadOnly: true}
	s.connect = c.Append(wire.BeginFrame(nil))
	wire.EndFrame(s.connect, 0)
	s.reply = wire.AppendReplyHeader(wire.BeginFrame(nil), 0, 1, wire.CodeOK)
	d := wire.DataReply{Data: make([]byte, valueBytes)}
	s.reply = d.Append(s.reply)
	wire.EndFrame(s.reply, 0)
	return gnet.Run(s, "tcp://"+*addr, gnet.WithReuseAddr(true), gnet.WithNumEventLoop(1))
}

func (s *bareServer) OnOpen(c gnet.Conn) ([]byte, gnet.Action) {
	c.SetContext(false)
	return nil, gnet.None
}

func (s *bareServer) OnTraffic(c gnet.Conn) gnet.Action {
	in, err := c.Peek(-1)
	if err != nil {
		return gnet.Close
	}
	out, used := s.out[:0], 0
	for {
		payload, size, err := wire.Frame(in[used:], 1<<20)
		if err != nil {
			return gnet.Close
		}
		if size == 0 {
			break
		}
		used += size
		if c.Context() == false {
			c.SetContext(true)
			out = append(out, s.connect...)
			continue
		}
		at := len(out)
		out = append(out, s.reply...)
		copy(out[at+wire.FrameHeaderBytes:], payload[:4])
	}
	_, _ = c.Discard(used)
	s.out = out
	if len(out) > 0 {
		_, _ = c.Write(out)
	}
	return gnet.None
}
