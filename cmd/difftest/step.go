package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"holt/netloop/wire"
)

// request is one request of a burst, the same for both servers but for a zxid.
type request struct {
	op       wire.Op
	xid      wire.Xid
	body     []byte
	zxidHere bool // the body starts with a distance that must become the server's own zxid (setWatches)
}

// appendFrame encodes the request for a server with these zxids.
func (q *request) appendFrame(dst []byte, x *zxids) []byte {
	start := len(dst)
	dst = wire.BeginFrame(dst)
	dst = wire.AppendRequestHeader(dst, q.xid, q.op)
	at := len(dst)
	dst = append(dst, q.body...)
	if q.zxidHere && len(q.body) >= 8 {
		distance := int64(binary.BigEndian.Uint64(q.body))
		binary.BigEndian.PutUint64(dst[at:], uint64(x.at(distance)))
	}
	wire.EndFrame(dst, start)
	return dst
}

// stepKind is what a step does.
type stepKind string

const (
	stepBurst   stepKind = "burst"   // pipelined requests on the slot's connection
	stepConnect stepKind = "connect" // a new connection and a ConnectRequest
	stepDrop    stepKind = "drop"    // the client closes the connection, the session lives on
	stepRaw     stepKind = "raw"     // bytes that are no frame; the connection must end
	stepRestart stepKind = "restart" // both servers are killed and started again on their data (modes restart and import)
	stepBarrier stepKind = "barrier" // every session pings: all events are read
	stepCounts  stepKind = "counts"  // what the servers count: znodes, watches, sessions
	stepAwait   stepKind = "await"   // wait until a path is gone on both servers (mode time)
)

// passwordKind is the password of a ConnectRequest.
type passwordKind string

const (
	passwordNew   passwordKind = "new"   // session id 0: opens a session
	passwordRight passwordKind = "right" // the slot's own
	passwordWrong passwordKind = "wrong"
	passwordNull  passwordKind = "null"
	passwordShort passwordKind = "short"
)

// connect says what a ConnectRequest carries.
type connect struct {
	password    passwordKind
	timeoutMs   int32
	protocol    int32
	zxidAhead   int64 // lastZxidSeen, as distance from the last one seen by the run; at most 0 is admissible
	noReadOnly  bool
	readOnly    bool
	unknownID   bool // a session id that nobody has
	truncatedTo int  // bytes of the request to send, 0 for all
}

// step is one step of a run. Everything in it holds for both servers.
type step struct {
	kind     stepKind
	slot     int
	requests []request
	pieces   int // in how many writes the requests are sent; 0 is one
	connect  connect
	raw      []byte
	path     string // await
}

func (s *step) ops() int { return max(len(s.requests), 1) }

// String shows the step so that it can be repeated by hand.
func (s *step) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "slot %d: %s", s.slot, s.kind)
	switch s.kind {
	case stepConnect:
		fmt.Fprintf(&b, " %+v", s.connect)
	case stepRaw:
		fmt.Fprintf(&b, " %s", shortHex(s.raw))
	case stepAwait:
		fmt.Fprintf(&b, " %s", s.path)
	}
	for i := range s.requests {
		fmt.Fprintf(&b, "\n    %s", s.requests[i].String())
	}
	return b.String()
}

func shortHex(b []byte) string {
	if len(b) > 120 {
		return fmt.Sprintf("%s... (%d bytes)", hex.EncodeToString(b[:120]), len(b))
	}
	return hex.EncodeToString(b)
}
