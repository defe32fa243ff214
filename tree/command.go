package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A batch is one raft entry. All integers are little-endian.
//
//	0         1         5              13
//	+---------+---------+--------------+-----------------------------
//	| version | rules   | time ms      | command, command, ...
//	+---------+---------+--------------+-----------------------------
//
// A command is framed by the length of what follows the length:
//
//	0       4     6       7   8         12     14   16     24    32        40      44
//	+-------+-----+-------+---+---------+------+----+------+-----+---------+-------+-----+------
//	| length| op  | flags | 0 | process | loop | 0  | conn | tag | session | #ids  | ids | body
//	+-------+-----+-------+---+---------+------+----+------+-----+---------+-------+-----+------
//
// In bodies a string is uvarint(length) + bytes, nullable data uvarint(length+1)
// + bytes with 0 for null, other numbers have fixed width.
const (
	batchVersion     = 1
	batchHeaderBytes = 13
	frameBytes       = 4
	commandHeadBytes = 40 // without frame and ids
)

// BatchHeaderBytes is the size of what AppendBatchHeader writes.
const BatchHeaderBytes = batchHeaderBytes

var (
	// ErrMalformed is wrapped by the errors of Apply and of the parsers: bytes
	// that no version of Holt wrote.
	ErrMalformed = errors.New("malformed command")
	// ErrNewerFormat is wrapped when a batch was written by a newer Holt.
	ErrNewerFormat = errors.New("written by a newer version")
)

// Rules are the settings of the proposer that Apply obeys, carried in each
// batch so that every member decides alike whatever its own configuration.
type Rules uint32

// Rules.
const (
	RuleSkipACL            Rules = 1 << iota // zookeeper.skipACL=yes
	RuleEnforceQuota                         // zookeeper.enforceQuota=true
	RuleTTL                                  // zookeeper.extendedTypesEnabled=true: TTL nodes allowed
	RuleReconfigEnabled                      // reconfigEnabled=true
	RuleNoDigest                             // DigestAuthenticationProvider.enabled=false: ACLs may not name digest
	RuleX509                                 // an x509 provider is configured: ACLs may name x509
	RuleSASL                                 // a SASL provider is configured: ACLs may name sasl
	RuleStandaloneDisabled                   // standaloneEnabled=false: an ensemble may have one voter
	rulesEnd
)

// BatchHeader opens a batch.
type BatchHeader struct {
	TimeMs int64 // proposer's wall clock, milliseconds since 1970
	Rules  Rules
}

// AppendBatchHeader writes the BatchHeaderBytes that open a batch; framed
// commands follow as the Append functions below write them.
func AppendBatchHeader(dst []byte, h BatchHeader) []byte {
	dst = append(dst, batchVersion)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(h.Rules))
	return binary.LittleEndian.AppendUint64(dst, uint64(h.TimeMs))
}

// ParseBatchHeader splits a batch into its header and its framed commands.
func ParseBatchHeader(b []byte) (h BatchHeader, commands []byte, err error) {
	if len(b) == 0 {
		return h, nil, fmt.Errorf("batch of 0 bytes: %w", ErrMalformed)
	}
	if b[0] > batchVersion {
		return h, nil, fmt.Errorf("batch version %d, this build reads up to %d; start the newer version again: %w", b[0], batchVersion, ErrNewerFormat)
	}
	if b[0] == 0 || len(b) < batchHeaderBytes {
		return h, nil, fmt.Errorf("batch header of version %d in %d bytes: %w", b[0], len(b), ErrMalformed)
	}
	h.Rules = Rules(binary.LittleEndian.Uint32(b[1:]))
	h.TimeMs = int64(binary.LittleEndian.Uint64(b[5:]))
	return h, b[batchHeaderBytes:], nil
}

// Flags of a command.
type Flags uint8

// KeepBefore asks for Txn.Before: reads of the caller wait behind this write
// and must see the state just before it.
const KeepBefore Flags = 1

// CommandHeader opens every command.
type CommandHeader struct {
	Op      Op // set by the Append functions; AppendCreate and AppendFailed read it
	Flags   Flags
	Origin  Origin
	Tag     uint64    // the caller's, returned in Txn.Tag
	Session SessionID // the caller's session; zero for commands of the ensemble itself
	IDs     []byte    // the caller's identities, from AppendIDs
}

// Create asks for a znode: create, create2, createContainer or createTTL.
type Create struct {
	Path  []byte
	Data  []byte // nil: null data
	ACL   []byte // entries from AppendACL; empty: refused with InvalidACL as ZooKeeper does
	Flags int32  // as the client sent it
	TTLMs int64  // OpCreateTTL only
}

// Delete asks for the removal of a znode.
type Delete struct {
	Path    []byte
	Version int32 // -1: any
}

// SetData asks for new data.
type SetData struct {
	Path    []byte
	Data    []byte // nil: null data
	Version int32  // -1: any
}

// SetACL asks for a new ACL.
type SetACL struct {
	Path    []byte
	ACL     []byte // entries from AppendACL
	Version int32  // compared with aversion; -1: any
}

// Check asks, inside a multi, whether a znode has a version.
type Check struct {
	Path    []byte
	Version int32 // -1: any
}

// Reconfig asks for a change of membership; nil is a null string.
type Reconfig struct {
	Joining, Leaving, NewMembers []byte
	ConfigID                     int64 // -1: any
}

// OpenSession makes a session owned by the command's Origin.
type OpenSession struct {
	ID        SessionID
	TimeoutMs int32 // already negotiated
	Password  [16]byte
}

// AttachSession hands a session to the command's Origin.
type AttachSession struct {
	ID        SessionID
	TimeoutMs int32 // already negotiated; replaces the session's
	Password  [16]byte
}

// CloseSession ends a session and removes its ephemerals.
type CloseSession struct {
	ID      SessionID
	IfOwner bool // refuse with SessionMoved unless the command's Origin owns the session
}

// Expire ends a session that fell silent.
type Expire struct {
	ID    SessionID
	Owner Origin // the owner the leader saw: refused with SessionMoved when the session was attached again since; zero: any owner
}

// Reap removes a container or TTL node if it still deserves it at Apply.
type Reap struct {
	Path []byte
	// NeverUsedMs > 0 also removes a container that never had a child and is
	// older than this (znode.container.maxNeverUsedIntervalMs).
	NeverUsedMs int64
}

// AppendIDs encodes the identities of a caller; a connection does it once and
// again after each successful auth.
func AppendIDs(dst []byte, ids []ID) []byte {
	for _, id := range ids {
		dst = appendString(dst, id.Scheme)
		dst = appendString(dst, id.ID)
	}
	return dst
}

// AppendACL encodes one entry; a list is its entries one after another. A nil
// scheme or id is a null string, an empty one is not.
func AppendACL(dst []byte, perms Perm, scheme, id []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(perms))
	dst = appendNullable(dst, scheme)
	return appendNullable(dst, id)
}

// AppendCreate writes one framed create; h.Op says which of the four.
func AppendCreate(dst []byte, h *CommandHeader, c *Create) []byte {
	dst, start := beginCommand(dst, h, h.Op)
	return endCommand(appendCreateBody(dst, h.Op, c), start)
}

// AppendDelete writes one framed delete.
func AppendDelete(dst []byte, h *CommandHeader, d *Delete) []byte {
	dst, start := beginCommand(dst, h, OpDelete)
	return endCommand(appendPathVersion(dst, d.Path, d.Version), start)
}

// AppendSetData writes one framed setData.
func AppendSetData(dst []byte, h *CommandHeader, s *SetData) []byte {
	dst, start := beginCommand(dst, h, OpSetData)
	return endCommand(appendSetDataBody(dst, s), start)
}

// AppendSetACL writes one framed setACL.
func AppendSetACL(dst []byte, h *CommandHeader, s *SetACL) []byte {
	dst, start := beginCommand(dst, h, OpSetACL)
	dst = appendPathVersion(dst, s.Path, s.Version)
	return endCommand(append(dst, s.ACL...), start)
}

// AppendReconfig writes one framed reconfig.
func AppendReconfig(dst []byte, h *CommandHeader, r *Reconfig) []byte {
	dst, start := beginCommand(dst, h, OpReconfig)
	dst = appendNullable(dst, r.Joining)
	dst = appendNullable(dst, r.Leaving)
	dst = appendNullable(dst, r.NewMembers)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.ConfigID))
	return endCommand(dst, start)
}

// AppendDeleteContainer writes one framed deleteContainer as a client may send it.
func AppendDeleteContainer(dst []byte, h *CommandHeader, path []byte) []byte {
	dst, start := beginCommand(dst, h, OpDeleteContainer)
	return endCommand(append(dst, path...), start)
}

// AppendFailed writes a write that fails with code whatever the state. With
// h.Op the op of the request it consumes a zxid: a multi that cannot be decoded,
// or a null path, on which ZooKeeper fails after it took one. With h.Op OpError
// it consumes none: any other body that cannot be decoded.
func AppendFailed(dst []byte, h *CommandHeader, code Code) []byte {
	dst, start := beginCommand(dst, h, OpError)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(code))
	return endCommand(binary.LittleEndian.AppendUint16(dst, uint16(h.Op)), start)
}

// AppendOpenSession writes one framed openSession.
func AppendOpenSession(dst []byte, h *CommandHeader, o *OpenSession) []byte {
	dst, start := beginCommand(dst, h, OpOpenSession)
	return endCommand(appendSessionBody(dst, o.ID, o.TimeoutMs, &o.Password), start)
}

// AppendAttachSession writes one framed attachSession.
func AppendAttachSession(dst []byte, h *CommandHeader, a *AttachSession) []byte {
	dst, start := beginCommand(dst, h, OpAttachSession)
	return endCommand(appendSessionBody(dst, a.ID, a.TimeoutMs, &a.Password), start)
}

// AppendCloseSession writes one framed closeSession.
func AppendCloseSession(dst []byte, h *CommandHeader, c *CloseSession) []byte {
	dst, start := beginCommand(dst, h, OpCloseSession)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(c.ID))
	ifOwner := byte(0)
	if c.IfOwner {
		ifOwner = 1
	}
	return endCommand(append(dst, ifOwner), start)
}

// AppendExpire writes one framed expiry.
func AppendExpire(dst []byte, h *CommandHeader, e *Expire) []byte {
	dst, start := beginCommand(dst, h, OpExpire)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(e.ID))
	return endCommand(appendOrigin(dst, e.Owner), start)
}

// AppendReap writes one framed removal of a container or TTL node.
func AppendReap(dst []byte, h *CommandHeader, r *Reap) []byte {
	dst, start := beginCommand(dst, h, OpReap)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.NeverUsedMs))
	return endCommand(append(dst, r.Path...), start)
}

// BeginMulti opens a multi. The operations follow, then EndMulti with the
// returned mark:
//
//	dst, mark := tree.BeginMulti(dst, &h)
//	dst = tree.AppendMultiCreate(dst, tree.OpCreate2, &create)
//	dst = tree.AppendMultiDelete(dst, &del)
//	dst = tree.EndMulti(dst, mark)
//
// A multi that turns out to be malformed half way is cut off with
// dst[:mark.Start()] and replaced by AppendFailed.
func BeginMulti(dst []byte, h *CommandHeader) ([]byte, Mark) {
	dst, start := beginCommand(dst, h, OpMulti)
	return dst, Mark{start}
}

// Mark remembers where an open multi began.
type Mark struct{ start int }

// Start is the length dst had before BeginMulti.
func (m Mark) Start() int { return m.start }

// AppendMultiCreate adds a create to the open multi; op says which of the four.
func AppendMultiCreate(dst []byte, op Op, c *Create) []byte {
	dst, start := beginOperation(dst, op)
	return endCommand(appendCreateBody(dst, op, c), start)
}

// AppendMultiDelete adds a delete to the open multi.
func AppendMultiDelete(dst []byte, d *Delete) []byte {
	dst, start := beginOperation(dst, OpDelete)
	return endCommand(appendPathVersion(dst, d.Path, d.Version), start)
}

// AppendMultiSetData adds a setData to the open multi.
func AppendMultiSetData(dst []byte, s *SetData) []byte {
	dst, start := beginOperation(dst, OpSetData)
	return endCommand(appendSetDataBody(dst, s), start)
}

// AppendMultiCheck adds a check to the open multi.
func AppendMultiCheck(dst []byte, c *Check) []byte {
	dst, start := beginOperation(dst, OpCheck)
	return endCommand(appendPathVersion(dst, c.Path, c.Version), start)
}

// EndMulti closes the multi that BeginMulti opened.
func EndMulti(dst []byte, m Mark) []byte { return endCommand(dst, m.start) }

// ParseCommand splits the first framed command off b. Header and body alias b.
func ParseCommand(b []byte) (h CommandHeader, body, rest []byte, err error) {
	if len(b) < frameBytes {
		return h, nil, nil, fmt.Errorf("command frame of %d bytes: %w", len(b), ErrMalformed)
	}
	n := uint64(binary.LittleEndian.Uint32(b))
	if n < commandHeadBytes || n > uint64(len(b)-frameBytes) {
		return h, nil, nil, fmt.Errorf("command length %d with %d bytes left: %w", n, len(b)-frameBytes, ErrMalformed)
	}
	c, rest := b[frameBytes:frameBytes+n:frameBytes+n], b[frameBytes+n:]
	h.Op = Op(binary.LittleEndian.Uint16(c))
	h.Flags = Flags(c[2])
	h.Origin.Process = binary.LittleEndian.Uint32(c[4:])
	h.Origin.Loop = binary.LittleEndian.Uint16(c[8:])
	h.Origin.Conn = binary.LittleEndian.Uint64(c[12:])
	h.Tag = binary.LittleEndian.Uint64(c[20:])
	h.Session = SessionID(binary.LittleEndian.Uint64(c[28:]))
	ids := uint64(binary.LittleEndian.Uint32(c[36:]))
	if ids > n-commandHeadBytes {
		return h, nil, nil, fmt.Errorf("identities of %d bytes in a command of %d: %w", ids, n, ErrMalformed)
	}
	h.IDs = c[commandHeadBytes : commandHeadBytes+ids : commandHeadBytes+ids]
	return h, c[commandHeadBytes+ids:], rest, nil
}

// CountCommands walks the frames of commands (without batch header) and
// counts them; a leader checks with it what a follower forwarded.
func CountCommands(commands []byte) (int, error) {
	n := 0
	for len(commands) > 0 {
		_, _, rest, err := ParseCommand(commands)
		if err != nil {
			return n, fmt.Errorf("command %d: %w", n, err)
		}
		commands = rest
		n++
	}
	return n, nil
}

func beginCommand(dst []byte, h *CommandHeader, op Op) ([]byte, int) {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(op))
	dst = append(dst, byte(h.Flags), 0)
	dst = binary.LittleEndian.AppendUint32(dst, h.Origin.Process)
	dst = binary.LittleEndian.AppendUint16(dst, h.Origin.Loop)
	dst = append(dst, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, h.Origin.Conn)
	dst = binary.LittleEndian.AppendUint64(dst, h.Tag)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.Session))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(h.IDs)))
	return append(dst, h.IDs...), start
}

func endCommand(dst []byte, start int) []byte {
	binary.LittleEndian.PutUint32(dst[start:], uint32(len(dst)-start-frameBytes))
	return dst
}

// An operation of a multi: u32 length of what follows, i16 op, body.
func beginOperation(dst []byte, op Op) ([]byte, int) {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	return binary.LittleEndian.AppendUint16(dst, uint16(op)), start
}

func appendCreateBody(dst []byte, op Op, c *Create) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(c.Flags))
	if op == OpCreateTTL {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(c.TTLMs))
	}
	dst = appendString(dst, c.Path)
	dst = appendNullable(dst, c.Data)
	return append(dst, c.ACL...)
}

func appendPathVersion(dst, path []byte, version int32) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(version))
	return appendString(dst, path)
}

func appendSetDataBody(dst []byte, s *SetData) []byte {
	dst = appendPathVersion(dst, s.Path, s.Version)
	return appendNullable(dst, s.Data)
}

func appendSessionBody(dst []byte, id SessionID, timeoutMs int32, password *[16]byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(id))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(timeoutMs))
	return append(dst, password[:]...)
}

func appendString[T string | []byte](dst []byte, s T) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func appendNullable(dst, b []byte) []byte {
	if b == nil {
		return append(dst, 0)
	}
	dst = binary.AppendUvarint(dst, uint64(len(b))+1)
	return append(dst, b...)
}

func parseString(b []byte) (s, rest []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil, fmt.Errorf("string in %d bytes: %w", len(b), ErrMalformed)
	}
	return b[size : size+int(n) : size+int(n)], b[size+int(n):], nil
}

// parseNullable gives nil for null and a non-nil slice for empty.
func parseNullable(b []byte) (s, rest []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size)+1 {
		return nil, nil, fmt.Errorf("data in %d bytes: %w", len(b), ErrMalformed)
	}
	if n == 0 {
		return nil, b[size:], nil
	}
	end := size + int(n-1)
	return b[size:end:end], b[end:], nil
}
