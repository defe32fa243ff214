package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// The bounds of the format. Frames start at headerBytes and on multiples of frameAlign.
const (
	formatVersion  = 1
	segmentMagic   = "HOLTwal\n"
	headerBytes    = 4096
	headerUsed     = 64
	frameHeadBytes = 24
	frameAlign     = 8
	frameDataMax   = 1 << 30
	entryHeadBytes = 24
	hardStateBytes = 32
	stateBytes     = 48
	cutBytes       = 32
	sealBytes      = 16
	// controlReserve stays free at the end of a segment, so that a log without space can still write
	// the cut that brings space back, and the seal.
	controlReserve = 512
)

// A frame's header and one control record fit into the reserve together, twice over.
const _ = uint(controlReserve - 2*(frameHeadBytes+stateBytes+hardStateBytes+cutBytes))

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// segmentHeader is the first block of a segment file. Its first 64 bytes keep this layout in every version of the
// format, so that an old binary can tell "newer" from "damaged".
//
//	0                8        12       16               24               32            40       64       4096
//	+----------------+--------+--------+----------------+----------------+-------------+--------+--------+
//	| "HOLTwal\n"    | version| crc32c | segment id     | salt           | size        | zero   | zero   |
//	+----------------+--------+--------+----------------+----------------+-------------+--------+--------+
//
// All integers are little-endian. The checksum covers bytes 0..12 and 16..64. The salt is random: bytes that a client
// put into an entry cannot pose as a frame, because its checksum cannot be known. size is what the file was made with:
// it may grow, and a shorter one lost its end.
type segmentHeader struct {
	version  uint32
	id, salt uint64
	size     int64
}

func appendSegmentHeader(dst []byte, h segmentHeader) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, headerBytes)...)
	b := dst[start:]
	copy(b, segmentMagic)
	binary.LittleEndian.PutUint32(b[8:], h.version)
	binary.LittleEndian.PutUint64(b[16:], h.id)
	binary.LittleEndian.PutUint64(b[24:], h.salt)
	binary.LittleEndian.PutUint64(b[32:], uint64(h.size))
	binary.LittleEndian.PutUint32(b[12:], segmentHeaderCRC(b))
	return dst
}

func segmentHeaderCRC(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:12], castagnoli), castagnoli, b[16:headerUsed])
}

// parseSegmentHeader reads the first headerUsed bytes of a segment file.
func parseSegmentHeader(b []byte) (segmentHeader, error) {
	var h segmentHeader
	if len(b) < headerUsed {
		return h, errors.New("shorter than a segment header")
	}
	if string(b[:8]) != segmentMagic {
		return h, errors.New("not a segment of a Holt log")
	}
	if got, want := binary.LittleEndian.Uint32(b[12:]), segmentHeaderCRC(b); got != want {
		return h, fmt.Errorf("header checksum %08x, computed %08x", got, want)
	}
	h.version = binary.LittleEndian.Uint32(b[8:])
	h.id = binary.LittleEndian.Uint64(b[16:])
	h.salt = binary.LittleEndian.Uint64(b[24:])
	h.size = int64(binary.LittleEndian.Uint64(b[32:]))
	if h.version > formatVersion {
		return h, fmt.Errorf("format %d, this binary knows up to %d: %w", h.version, formatVersion, ErrNewerFormat)
	}
	return h, nil
}

// frame is the unit of writing: everything that one write and one sync carried.
//
//	0        4        8        12       16               24                    24+dataLen
//	+--------+--------+--------+--------+----------------+----------------------+-------+
//	| headCRC| dataCRC| dataLen| flags  | seq            | records              | 0..7  |
//	+--------+--------+--------+--------+----------------+----------------------+-------+
//
// Both checksums are CRC32C seeded with (salt, segment id, file offset): what an earlier life of a recycled file left
// behind never validates. headCRC covers bytes 4..24, so a length can be believed before its data is read. seq counts
// frames over the life of the log and never repeats or falls.
type frame struct {
	flags, dataLen uint32
	dataCRC        uint32
	seq            uint64
}

// flagUnsynced marks a frame of a log that runs without sync: its presence proves nothing about earlier frames.
const flagUnsynced = 1

// size is the room of the frame in the file, padding included.
func (f frame) size() int64 { return frameSize(int64(f.dataLen)) }

func frameSize(dataLen int64) int64 {
	return (frameHeadBytes + dataLen + frameAlign - 1) &^ (frameAlign - 1)
}

// seed is a segment's part of every checksum in it.
type seed uint32

func makeSeed(id, salt uint64) seed {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], salt)
	binary.LittleEndian.PutUint64(b[8:], id)
	return seed(crc32.Checksum(b[:], castagnoli))
}

// at continues the checksum over the eight bytes of the offset, by hand: a slice handed to crc32 would escape.
func (s seed) at(off int64) uint32 {
	crc := ^uint32(s)
	for i := range 8 {
		crc = castagnoli[byte(crc)^byte(off>>(8*i))] ^ crc>>8
	}
	return ^crc
}

// sealFrame completes a frame in place: b holds frameHeadBytes of room and then the records. It returns b padded.
func sealFrame(b []byte, s seed, off int64, seq uint64, flags uint32) []byte {
	at := s.at(off)
	data := b[frameHeadBytes:]
	binary.LittleEndian.PutUint32(b[4:], crc32.Update(at, castagnoli, data))
	binary.LittleEndian.PutUint32(b[8:], uint32(len(data)))
	binary.LittleEndian.PutUint32(b[12:], flags)
	binary.LittleEndian.PutUint64(b[16:], seq)
	binary.LittleEndian.PutUint32(b, crc32.Update(at, castagnoli, b[4:frameHeadBytes]))
	for len(b)%frameAlign != 0 {
		b = append(b, 0)
	}
	return b
}

var (
	errNoFrame  = errors.New("no frame")
	errHeadCRC  = errors.New("frame header does not match its checksum")
	errDataCRC  = errors.New("records do not match their checksum")
	errFrameLen = errors.New("frame runs past the end of the file")
	errFrameSeq = errors.New("frame out of sequence")
)

// parseFrame reads a frame's header. errNoFrame says that nothing was ever written there.
func parseFrame(b []byte, s seed, off int64) (frame, error) {
	if len(b) < frameHeadBytes {
		return frame{}, errNoFrame
	}
	sum, rest := binary.LittleEndian.Uint32(b), b[4:frameHeadBytes]
	f := frame{
		dataCRC: binary.LittleEndian.Uint32(b[4:]),
		dataLen: binary.LittleEndian.Uint32(b[8:]),
		flags:   binary.LittleEndian.Uint32(b[12:]),
		seq:     binary.LittleEndian.Uint64(b[16:]),
	}
	if sum == 0 && f == (frame{}) {
		return frame{}, errNoFrame
	}
	if crc32.Update(s.at(off), castagnoli, rest) != sum || f.dataLen > frameDataMax {
		return frame{}, errHeadCRC
	}
	return f, nil
}

func (f frame) checkData(data []byte, s seed, off int64) error {
	if crc32.Update(s.at(off), castagnoli, data) != f.dataCRC {
		return errDataCRC
	}
	return nil
}

// The kinds of record in a frame.
const (
	kindEntry     = 1 // an entry; at or below the last index it takes back everything from that index on
	kindHardState = 2
	kindState     = 3 // first record of a segment: what the segments before it amount to
	kindCut       = 4 // entries up to index are not needed any more; files below oldest are garbage
	kindReset     = 5 // like a cut, and everything above index is dropped as well
	kindSeal      = 6 // last record of a segment: the log goes on in segment next
)

// record is one parsed record; which fields hold something depends on kind.
//
//	entry      | 1 | type | 0 0 | dataLen u32 | index | term | data |      24 bytes + data
//	hard state | 2 | 0 x 7 | term | vote | commit |                        32 bytes
//	state      | 3 | 0 x 7 | oldest | cut | cutTerm | last | lastTerm |    48 bytes
//	cut, reset | 4 or 5 | 0 x 7 | oldest | cut | cutTerm |                 32 bytes
//	seal       | 6 | 0 x 7 | next |                                        16 bytes
type record struct {
	kind           uint8
	entry          Entry // aliases the parsed bytes
	hard           HardState
	oldest         uint64
	cut, cutTerm   uint64
	last, lastTerm uint64
	next           uint64
}

func appendEntryRecord(dst []byte, e *Entry) []byte {
	dst = append(dst, kindEntry, e.Type, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(e.Data)))
	dst = binary.LittleEndian.AppendUint64(dst, e.Index)
	dst = binary.LittleEndian.AppendUint64(dst, e.Term)
	return append(dst, e.Data...)
}

func appendControlRecord(dst []byte, kind uint8, fields ...uint64) []byte {
	dst = append(dst, kind, 0, 0, 0, 0, 0, 0, 0)
	for _, v := range fields {
		dst = binary.LittleEndian.AppendUint64(dst, v)
	}
	return dst
}

func appendHardStateRecord(dst []byte, h HardState) []byte {
	return appendControlRecord(dst, kindHardState, h.Term, h.Vote, h.Commit)
}

// parseRecord reads the record at the head of b, the data of a frame whose checksum was right.
func parseRecord(b []byte) (r record, rest []byte, err error) {
	if len(b) < 8 {
		return r, nil, fmt.Errorf("%d bytes where a record should be", len(b))
	}
	r.kind = b[0]
	if r.kind == kindEntry {
		return parseEntryRecord(b)
	}
	size := controlBytes(r.kind)
	if size == 0 {
		return r, nil, fmt.Errorf("unknown kind of record %d", r.kind)
	}
	if len(b) < size {
		return r, nil, fmt.Errorf("record of kind %d has %d bytes, needs %d", r.kind, len(b), size)
	}
	at := func(i int) uint64 { return binary.LittleEndian.Uint64(b[8+8*i:]) }
	switch r.kind {
	case kindHardState:
		r.hard = HardState{Term: at(0), Vote: at(1), Commit: at(2)}
	case kindState:
		r.oldest, r.cut, r.cutTerm, r.last, r.lastTerm = at(0), at(1), at(2), at(3), at(4)
	case kindCut, kindReset:
		r.oldest, r.cut, r.cutTerm = at(0), at(1), at(2)
	case kindSeal:
		r.next = at(0)
	}
	return r, b[size:], nil
}

func parseEntryRecord(b []byte) (r record, rest []byte, err error) {
	if len(b) < entryHeadBytes {
		return r, nil, fmt.Errorf("entry of %d bytes, needs %d", len(b), entryHeadBytes)
	}
	size := entryHeadBytes + int64(binary.LittleEndian.Uint32(b[4:]))
	if int64(len(b)) < size {
		return r, nil, fmt.Errorf("entry of %d bytes in %d", size, len(b))
	}
	r.kind = kindEntry
	r.entry = Entry{
		Type:  b[1],
		Index: binary.LittleEndian.Uint64(b[8:]),
		Term:  binary.LittleEndian.Uint64(b[16:]),
		Data:  b[entryHeadBytes:size:size],
	}
	return r, b[size:], nil
}

func controlBytes(kind uint8) int {
	switch kind {
	case kindHardState:
		return hardStateBytes
	case kindState:
		return stateBytes
	case kindCut, kindReset:
		return cutBytes
	case kindSeal:
		return sealBytes
	}
	return 0
}
