package peers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"holt/quorum"
)

// A handshake is one message each way. The dialler says who it is and whom it wants; the answer accepts with the
// version to speak, or refuses with a reason. Afterwards frames flow one way; the accepting side sends at most one more
// message: a refusal that says why it ends the stream.
//
//	0        8        10
//	| magic  | length | body ... | crc32c |        integers are little-endian
//
// Bodies may grow at their end: what is longer than known is ignored, so that members of two adjacent releases
// understand each other's handshake.
const (
	helloMagic = "HOLTpeer"
	replyMagic = "HOLTback"

	messageHeader   = 10
	messageBodyMax  = 1024
	helloBytes      = 42
	replyBytes      = 26
	reasonBytesMax  = messageBodyMax - replyBytes
	versionSpoken   = 1
	versionAccepted = 1
)

// The longest reason still fits a message.
const _ = uint(messageBodyMax - replyBytes - reasonBytesMax)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errNotPeer = errors.New("what came is no handshake of a Holt member")
	errDamaged = errors.New("checksum mismatch: the bytes were changed on their way")
)

// refusal is the reason why a member ends or does not accept a stream, as the member itself words it.
type refusal string

func (r refusal) Error() string { return "refused: " + string(r) }

// hello is what a dialler says.
//
//	0     2     4      5          6         14     22   30        34         42
//	| min | max | lane | promised | cluster | from | to | process | ensemble |
type hello struct {
	versionMin, versionMax uint16 // of the protocol, that the dialler speaks
	lane                   quorum.Lane
	promised               bool   // see quorum.Hello
	cluster                uint64 // 0: fresh, or the name is not known yet
	from, to               uint64 // members
	process                uint32
	ensemble               uint64 // hash of the initial member list; 0: not known
}

// reply is the answer to a hello.
//
//	0         2         3          4         12   20        24       26
//	| version | refused | promised | cluster | id | process | length | reason ... |
type reply struct {
	version  uint16
	refused  bool
	promised bool
	cluster  uint64
	id       uint64
	process  uint32
	reason   string
}

func appendHello(dst []byte, h *hello) []byte {
	start := len(dst)
	dst = append(dst, helloMagic...)
	dst = binary.LittleEndian.AppendUint16(dst, helloBytes)
	dst = binary.LittleEndian.AppendUint16(dst, h.versionMin)
	dst = binary.LittleEndian.AppendUint16(dst, h.versionMax)
	dst = append(dst, byte(h.lane), flag(h.promised))
	dst = binary.LittleEndian.AppendUint64(dst, h.cluster)
	dst = binary.LittleEndian.AppendUint64(dst, h.from)
	dst = binary.LittleEndian.AppendUint64(dst, h.to)
	dst = binary.LittleEndian.AppendUint32(dst, h.process)
	dst = binary.LittleEndian.AppendUint64(dst, h.ensemble)
	return appendSum(dst, start)
}

func appendReply(dst []byte, r *reply) []byte {
	reason := r.reason[:min(len(r.reason), reasonBytesMax)]
	start := len(dst)
	dst = append(dst, replyMagic...)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(replyBytes+len(reason)))
	dst = binary.LittleEndian.AppendUint16(dst, r.version)
	dst = append(dst, flag(r.refused), flag(r.promised))
	dst = binary.LittleEndian.AppendUint64(dst, r.cluster)
	dst = binary.LittleEndian.AppendUint64(dst, r.id)
	dst = binary.LittleEndian.AppendUint32(dst, r.process)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(reason)))
	dst = append(dst, reason...)
	return appendSum(dst, start)
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

func appendSum(dst []byte, start int) []byte {
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// readMessage reads one message of a handshake and not a byte more, and returns its body.
func readMessage(r io.Reader, magic string) ([]byte, error) {
	b := make([]byte, messageHeader, messageHeader+messageBodyMax+4)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	n := int(binary.LittleEndian.Uint16(b[8:]))
	if string(b[:8]) != magic || n > messageBodyMax {
		return nil, errNotPeer
	}
	b = b[:messageHeader+n+4]
	if _, err := io.ReadFull(r, b[messageHeader:]); err != nil {
		return nil, err
	}
	end := messageHeader + n
	if binary.LittleEndian.Uint32(b[end:]) != crc32.Checksum(b[:end], castagnoli) {
		return nil, errDamaged
	}
	return b[messageHeader:end], nil
}

func readHello(r io.Reader) (h hello, err error) {
	b, err := readMessage(r, helloMagic)
	if err != nil {
		return h, err
	}
	if len(b) < helloBytes {
		return h, errNotPeer
	}
	le := binary.LittleEndian
	return hello{
		versionMin: le.Uint16(b), versionMax: le.Uint16(b[2:]), lane: quorum.Lane(b[4]), promised: b[5] != 0,
		cluster: le.Uint64(b[6:]), from: le.Uint64(b[14:]), to: le.Uint64(b[22:]),
		process: le.Uint32(b[30:]), ensemble: le.Uint64(b[34:]),
	}, nil
}

func readReply(r io.Reader) (a reply, err error) {
	b, err := readMessage(r, replyMagic)
	if err != nil {
		return a, err
	}
	if len(b) < replyBytes {
		return a, errNotPeer
	}
	le := binary.LittleEndian
	a = reply{
		version: le.Uint16(b), refused: b[2] != 0, promised: b[3] != 0,
		cluster: le.Uint64(b[4:]), id: le.Uint64(b[12:]), process: le.Uint32(b[20:]),
	}
	n := int(le.Uint16(b[24:]))
	if n > len(b)-replyBytes {
		return a, errNotPeer
	}
	a.reason = string(b[replyBytes : replyBytes+n])
	return a, nil
}

// stance is what a member holds a handshake against.
type stance struct {
	id, cluster, ensemble  uint64
	process                uint32
	versionMin, versionMax uint16
	promised               bool
}

// judge says which version a stream that begins with h speaks, or why it is refused. Reasons are read at the other
// member: they name both sides.
func (s *stance) judge(h *hello) (version uint16, why string) {
	version = min(s.versionMax, h.versionMax)
	switch {
	case version < max(s.versionMin, h.versionMin):
		return 0, fmt.Sprintf("member %d speaks protocol versions %d to %d, member %d speaks %d to %d: upgrade one release at a time",
			s.id, s.versionMin, s.versionMax, h.from, h.versionMin, h.versionMax)
	case h.to != s.id:
		return 0, fmt.Sprintf("this is member %d, not member %d: check the address of member %d", s.id, h.to, h.to)
	case h.from == s.id:
		return 0, fmt.Sprintf("both are member %d: two servers have the same id", s.id)
	case h.lane >= quorum.LanesMax:
		return 0, fmt.Sprintf("member %d does not know streams of kind %d", s.id, h.lane)
	}
	return version, s.quarrel(h.cluster, h.ensemble, h.from)
}

// quarrel says why this member and another do not belong together; empty when they may.
func (s *stance) quarrel(cluster, ensemble, from uint64) string {
	switch {
	case cluster != s.cluster && cluster != 0 && s.cluster != 0:
		return fmt.Sprintf("member %d belongs to ensemble %016x, member %d to ensemble %016x: one of them has another's data directory or address",
			s.id, s.cluster, from, cluster)
	case cluster == 0 && s.cluster == 0 && ensemble != s.ensemble && ensemble != 0 && s.ensemble != 0:
		return fmt.Sprintf("the configured members of member %d and member %d differ, and both are fresh: compare their server.N lines", s.id, from)
	}
	return ""
}

// accept says why an accepting answer of member to is not good enough; nil when it is.
func (s *stance) accept(r *reply, to uint64) error {
	switch {
	case r.refused:
		return refusal(r.reason)
	case r.id != to:
		return fmt.Errorf("member %d answered where member %d was meant to be: check its address", r.id, to)
	case r.version < s.versionMin || r.version > s.versionMax:
		return fmt.Errorf("member %d chose protocol version %d, which this member does not speak (%d to %d)", to, r.version, s.versionMin, s.versionMax)
	}
	if why := s.quarrel(r.cluster, 0, to); why != "" {
		return errors.New(why)
	}
	return nil
}
