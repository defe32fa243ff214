package wire

import (
	"encoding/binary"
	"errors"
	"slices"
)

// Sizes of the fixed parts.
const (
	FrameHeaderBytes   = 4  // the length before each frame, both directions
	RequestHeaderBytes = 8  // xid, type
	ReplyHeaderBytes   = 16 // xid, zxid, err
)

// ErrFrameLength is returned for a frame length that is negative or beyond the limit. ZooKeeper closes the
// connection without a reply.
var ErrFrameLength = errors.New("wire: frame length out of range")

// Frame cuts the first frame from b. payload aliases b; size is how many bytes of b the frame takes with its length.
// size is 0 while the frame is not complete. payloadMax is jute.maxbuffer: the most that a length may say.
func Frame(b []byte, payloadMax int) (payload []byte, size int, err error) {
	if len(b) < FrameHeaderBytes {
		return nil, 0, nil
	}
	n := int32(binary.BigEndian.Uint32(b))
	if n < 0 || int(n) > payloadMax {
		return nil, 0, ErrFrameLength
	}
	size = FrameHeaderBytes + int(n)
	if len(b) < size {
		return nil, 0, nil
	}
	return b[FrameHeaderBytes:size:size], size, nil
}

// BeginFrame appends room for a frame's length. The caller keeps start = len(dst) from before and gives it to EndFrame:
//
//	start := len(dst)
//	dst = wire.BeginFrame(dst)
//	dst = wire.AppendReplyHeader(dst, xid, zxid, code)
//	wire.EndFrame(dst, start)
func BeginFrame(dst []byte) []byte { return append(dst, 0, 0, 0, 0) }

// EndFrame writes the length of the frame that BeginFrame opened at start and that ends where dst ends.
func EndFrame(dst []byte, start int) {
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-FrameHeaderBytes))
}

// RequestHeader opens every request but ConnectRequest.
type RequestHeader struct {
	Xid Xid
	Op  Op
}

// Parse reads the header; the body of the request is what r has left.
func (h *RequestHeader) Parse(r *Reader) bool {
	h.Xid = Xid(r.Int32())
	h.Op = Op(r.Int32())
	return !r.bad
}

// Append encodes the header.
func (h *RequestHeader) Append(dst []byte) []byte { return AppendRequestHeader(dst, h.Xid, h.Op) }

// AppendRequestHeader encodes a request header.
func AppendRequestHeader(dst []byte, xid Xid, op Op) []byte {
	return AppendInt32(AppendInt32(dst, int32(xid)), int32(op))
}

// ReplyHeader opens every reply and event but ConnectReply.
type ReplyHeader struct {
	Xid  Xid
	Zxid int64
	Err  Code
}

// Parse reads the header; the body of the reply is what r has left.
func (h *ReplyHeader) Parse(r *Reader) bool {
	h.Xid = Xid(r.Int32())
	h.Zxid = r.Int64()
	h.Err = Code(r.Int32())
	return !r.bad
}

// Append encodes the header.
func (h *ReplyHeader) Append(dst []byte) []byte {
	return AppendReplyHeader(dst, h.Xid, h.Zxid, h.Err)
}

// AppendReplyHeader encodes a reply header. zxid is the last one the server had applied when it answered; for a write its own.
func AppendReplyHeader(dst []byte, xid Xid, zxid int64, err Code) []byte {
	n := len(dst)
	dst = slices.Grow(dst, ReplyHeaderBytes)[:n+ReplyHeaderBytes]
	p := dst[n:]
	binary.BigEndian.PutUint32(p[0:], uint32(xid))
	binary.BigEndian.PutUint64(p[4:], uint64(zxid))
	binary.BigEndian.PutUint32(p[12:], uint32(err))
	return dst
}

// AppendErrorReply encodes a whole frame that holds a reply header and no body.
func AppendErrorReply(dst []byte, xid Xid, zxid int64, err Code) []byte {
	dst = AppendInt32(dst, ReplyHeaderBytes)
	return AppendReplyHeader(dst, xid, zxid, err)
}

// WatcherEvent is the body of a frame whose header has XidEvent. The header's zxid is the transaction's, -1 in the
// catch-up of setWatches.
type WatcherEvent struct {
	Type  EventType
	State int32
	Path  []byte
}

// Parse reads the event.
func (e *WatcherEvent) Parse(r *Reader) bool {
	e.Type = EventType(r.Int32())
	e.State = r.Int32()
	e.Path = r.String()
	return !r.bad
}

// Append encodes the event without its header.
func (e *WatcherEvent) Append(dst []byte) []byte {
	dst = AppendInt32(dst, int32(e.Type))
	dst = AppendInt32(dst, e.State)
	return AppendBuffer(dst, e.Path)
}

// AppendEvent encodes a whole frame that holds one watch event.
//
//	0    4        8     16   20    24     28   32
//	len  xid -1   zxid  err  type  state  len  path
func AppendEvent[P string | []byte](dst []byte, zxid int64, typ EventType, path P) []byte {
	dst = AppendInt32(dst, int32(ReplyHeaderBytes+12+len(path)))
	dst = AppendReplyHeader(dst, XidEvent, zxid, CodeOK)
	dst = AppendInt32(dst, int32(typ))
	dst = AppendInt32(dst, StateSyncConnected)
	dst = AppendInt32(dst, int32(len(path)))
	return append(dst, path...)
}
