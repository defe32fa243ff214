package peers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"github.com/klauspost/compress/s2"
)

// A stream is frames back to back.
//
//	0        4        8
//	| length | crc32c | body ... |
//
// length counts the body as it is on the wire, little-endian; its highest bit says that the body is an s2 block. The
// checksum covers the length and the body as they are on the wire, so that nothing unchecked is ever decompressed.
const (
	frameHeader      = 8
	frameBytesMax    = 256 << 20 // of a frame, before and after compression
	frameCompressed  = 1 << 31
	compressBytesMin = 4 << 10 // smaller frames travel as they are
	compressGain     = 16      // compressed only when that saves a 16th: else decompressing costs more than it gives

	copyBytesMax  = 4 << 10  // smaller bodies are copied behind their header, larger ones are an iovec of their own
	batchBytesMax = 1 << 20  // of frames that go out with one system call; a single frame may be larger
	arenaBytesMax = 2 << 20  // what a writer keeps for the next batch
	growBytes     = 1 << 20  // of a larger frame is allocated only what has arrived, twice
	intakeBytes   = 64 << 10 // read with one system call
	peekBytes     = 512      // read for the header of a frame that is likely to be large
)

// The length of every frame leaves the flag free, and a batch fits the arena that is kept.
const (
	_ = uint(frameCompressed - 1 - frameBytesMax)
	_ = uint(arenaBytesMax - batchBytesMax - batchBytesMax/2)
)

var errFrameBytes = errors.New("length of a frame is out of bounds: the other side is broken or no Holt member")

// batch is what goes to the socket with one system call: small and compressed bodies lie behind their headers in the
// arena; large ones that do not compress stay where they are.
type batch struct {
	arena  []byte
	sealed int      // of the arena, already in vec
	vec    [][]byte // empty: the arena is all there is
}

func (b *batch) reset() {
	if cap(b.arena) > arenaBytesMax {
		b.arena = nil
	}
	clear(b.vec)
	b.arena, b.vec, b.sealed = b.arena[:0], b.vec[:0], 0
}

// add encodes a frame. One that is not copied has to stay unchanged until the batch is written.
func (b *batch) add(frame []byte) {
	if len(frame) >= compressBytesMin && b.compress(frame) {
		return
	}
	at := len(b.arena)
	b.arena = append(b.arena, make([]byte, frameHeader)...)
	putHeader(b.arena[at:], uint32(len(frame)), frame)
	if len(frame) <= copyBytesMax {
		b.arena = append(b.arena, frame...)
		return
	}
	b.vec = append(b.vec, b.arena[b.sealed:], frame)
	b.sealed = len(b.arena)
}

// compress adds the frame as an s2 block, if that is worth it.
func (b *batch) compress(frame []byte) bool {
	at := len(b.arena)
	need := at + frameHeader + s2.MaxEncodedLen(len(frame))
	if cap(b.arena) < need {
		b.arena = append(make([]byte, 0, max(need, 2*cap(b.arena))), b.arena...)
	}
	room := b.arena[at+frameHeader : need]
	body := s2.Encode(room, frame)
	if len(body) > len(frame)-len(frame)/compressGain {
		return false
	}
	b.arena = b.arena[:at+frameHeader+len(body)]
	putHeader(b.arena[at:], uint32(len(body))|frameCompressed, body)
	return true
}

// chunks lists the encoded bytes in order.
func (b *batch) chunks() [][]byte {
	if b.sealed < len(b.arena) {
		b.vec = append(b.vec, b.arena[b.sealed:])
		b.sealed = len(b.arena)
	}
	return b.vec
}

func putHeader(dst []byte, length uint32, body []byte) {
	binary.LittleEndian.PutUint32(dst, length)
	binary.LittleEndian.PutUint32(dst[4:], frameSum(dst, body))
}

func frameSum(header, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(header[:4], castagnoli), castagnoli, body)
}

// intake cuts frames from a stream. Each is one allocation of exactly its size, which belongs to whoever takes it, unless it is only
// lent until the next is asked for.
type intake struct {
	src     io.Reader
	max     int    // bytes of a frame
	lends   bool   // set before the first is asked for
	lent    []byte // memory for frames that are lent and not in buf
	header  [frameHeader]byte
	buf     []byte // of intakeBytes
	r, w    int    // what is read and not yet taken: buf[r:w]
	scratch []byte // a compressed body larger than buf
	large   bool   // the last body went past buf: what comes next likely shall
	taken   uint64 // bytes of the stream, without what waits in buf
}

var intakeBufs = sync.Pool{New: func() any { b := make([]byte, intakeBytes); return &b }}

func newIntake(src io.Reader, buf []byte, frameBytesMax int) *intake {
	return &intake{src: src, buf: buf, max: frameBytesMax}
}

// need has n bytes wait in buf, n at most intakeBytes. It reads no more than fits the first upTo bytes of buf.
func (in *intake) need(n, upTo int) error {
	if in.w-in.r >= n {
		return nil
	}
	if in.r > 0 {
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	}
	for in.w < n {
		m, err := in.src.Read(in.buf[in.w:max(n, upTo)])
		in.w += m
		if err != nil && in.w < n {
			if errors.Is(err, io.EOF) && in.w > 0 {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// next returns the next frame. io.EOF: the stream ended between two frames.
func (in *intake) next() ([]byte, error) {
	upTo := len(in.buf)
	if in.large {
		upTo = peekBytes
	}
	if err := in.need(frameHeader, upTo); err != nil {
		return nil, err
	}
	header := in.header[:]
	in.r += copy(header, in.buf[in.r:])
	length := binary.LittleEndian.Uint32(header)
	compressed, n := length&frameCompressed != 0, int(length&^frameCompressed)
	if n > in.max {
		return nil, fmt.Errorf("%w: %d", errFrameBytes, n)
	}
	in.taken += uint64(frameHeader + n)
	body, owned, err := in.body(n, compressed)
	if err != nil {
		return nil, err
	}
	if frameSum(header, body) != binary.LittleEndian.Uint32(header[4:]) {
		return nil, errDamaged
	}
	switch {
	case compressed:
		return in.inflate(body)
	case owned || in.lends:
		return body, nil
	}
	frame := make([]byte, len(body)) // with the copy one step, that clears nothing
	copy(frame, body)
	return frame, nil
}

// body returns the n bytes behind a header: as a view that is valid until the next read, or in memory of their own.
// A large body is read to where it stays, without a copy.
func (in *intake) body(n int, compressed bool) (body []byte, owned bool, err error) {
	whole := in.w-in.r >= n
	in.large = !whole && n >= intakeBytes/2
	if whole || n <= copyBytesMax || compressed && n <= len(in.buf) {
		if err := in.need(n, len(in.buf)); err != nil {
			return nil, false, unexpected(err)
		}
		body = in.buf[in.r : in.r+n]
		in.r += n
		return body, false, nil
	}
	var kept *[]byte
	switch {
	case compressed:
		kept = &in.scratch
	case in.lends:
		kept = &in.lent
	default:
		kept = new([]byte)
	}
	body, err = in.direct(*kept, n)
	*kept = nil
	if cap(body) <= growBytes {
		*kept = body
	}
	return body, true, err
}

// direct reads n bytes, of which buf holds some, into memory that grows with what arrives: a wrong length costs no more
// than was really sent.
func (in *intake) direct(into []byte, n int) ([]byte, error) {
	if cap(into) < min(n, growBytes) {
		into = make([]byte, min(n, growBytes))
	}
	into = into[:min(n, cap(into))]
	have := copy(into, in.buf[in.r:in.w])
	in.r += have
	for {
		if _, err := io.ReadFull(in.src, into[have:]); err != nil {
			return nil, unexpected(err)
		}
		if have = len(into); have == n {
			return into, nil
		}
		into = append(make([]byte, 0, min(n, 2*have)), into...)
		into = into[:cap(into)]
		if len(into) > n {
			into = into[:n]
		}
	}
}

func (in *intake) inflate(body []byte) ([]byte, error) {
	n, err := s2.DecodedLen(body)
	if err != nil {
		return nil, fmt.Errorf("decompress a frame: %w", err)
	}
	if n > in.max {
		return nil, fmt.Errorf("%w: %d decompressed", errFrameBytes, n)
	}
	into := in.lent[:cap(in.lent)]
	if len(into) < n {
		into = make([]byte, n)
	}
	if in.lends && cap(into) <= growBytes {
		in.lent = into
	}
	frame, err := s2.Decode(into, body)
	if err != nil {
		return nil, fmt.Errorf("decompress a frame: %w", err)
	}
	return frame, nil
}

// unexpected names the end of a stream within a frame.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
