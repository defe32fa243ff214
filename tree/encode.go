package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The stored form of a Root: keys and values for a sorted store such as wal/checkpoint. Its format has a version of its
// own, in the value of "m".
//
//	key                              value
//	"m"                              version u8 │ zxid u64 │ digest u64 │ from version 2 on: cluster id u64 │ ensemble │ pending
//	"n" path, '/' as 0x00            a znode; "n" alone is "/", "n" 00 "a" 00 "b" is /a/b
//	"s" id, 8 bytes big-endian       a session
//
// With a byte below all that names are made of as separator, byte order is preorder: a znode comes right before
// its children, and its children before its next sibling. All numbers in values are little-endian.
//
//	znode    0       1       9       17   mod 24                             dir 12           owner 8  acl      rest
//	         ┌───────┬───────┬───────┬ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ┬ ─ ─ ─ ─ ─ ─ ─ ┬ ─ ─ ─ ┬ ─ ─ ─ ┬──────┐
//	         │ parts │ czxid │ ctime │ mzxid mtime version u32 aversion u32 │pzxid creates u32│ owner │len acl │ data │
//	         └───────┴───────┴───────┴ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ┴ ─ ─ ─ ─ ─ ─ ─ ┴ ─ ─ ─ ┴ ─ ─ ─ ┴──────┘
//	session  timeout ms u32 │ password 16 │ owner: process u32, loop u16, conn u64
//
// The numbers of children and descendants are not stored, nor is any index: the Loader counts. Version 1 of "m" is what a
// server writes that has no cluster id, and what Holt wrote before there were ensembles; an ensemble is uvarint(length+1)
// and its text, 0 for none; a pending reconfig follows or does not (newMembership).
const (
	storedVersion      = 2
	storedVersionAlone = 1

	keyMeta    = 'm'
	keyZnode   = 'n'
	keySession = 's'

	storedMod   = 1 << 0
	storedDir   = 1 << 1
	storedOwner = 1 << 2
	storedACL   = 1 << 3 // not world:anyone ALL
	storedNull  = 1 << 4 // data is null
	storedEnd   = 1 << 5

	storedZnodeMin     = 17
	storedMetaBytes    = 17
	storedSessionBytes = 34
)

// ErrCorrupt is wrapped by the errors of a Loader that was given an image which no Root has.
var ErrCorrupt = errors.New("corrupt image of the tree")

func corruptf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

// AppendKey writes the key of the znode at path; "" and "/" are the root.
func AppendKey(dst, path []byte) []byte {
	dst = append(dst, keyZnode)
	if len(path) <= 1 {
		return dst
	}
	start := len(dst)
	dst = append(dst, path...)
	for i, b := range dst[start:] {
		if b == '/' {
			dst[start+i] = 0
		}
	}
	return dst
}

// AppendPath writes the path of the znode whose key it is, the opposite of AppendKey; the root's is "".
func AppendPath(dst, key []byte) []byte {
	start := len(dst)
	dst = append(dst, key[1:]...)
	for i, b := range dst[start:] {
		if b == 0 {
			dst[start+i] = '/'
		}
	}
	return dst
}

// appendZnodeValue writes the value of z.
func appendZnodeValue(dst []byte, z *znode) []byte {
	parts := byte(0)
	at := len(dst)
	dst = append(dst, 0)
	le := binary.LittleEndian
	dst = le.AppendUint64(dst, uint64(z.czxid))
	dst = le.AppendUint64(dst, uint64(z.ctime))
	if m := z.mod(); m != nil {
		parts |= storedMod
		dst = le.AppendUint64(dst, uint64(m.mzxid))
		dst = le.AppendUint64(dst, uint64(m.mtime))
		dst = le.AppendUint32(dst, uint32(m.version))
		dst = le.AppendUint32(dst, uint32(m.aversion))
	}
	if d := z.dir(); d != nil {
		parts |= storedDir
		dst = le.AppendUint64(dst, uint64(d.pzxid))
		dst = le.AppendUint32(dst, uint32(d.creates))
	}
	if o := z.owner(); o != 0 {
		parts |= storedOwner
		dst = le.AppendUint64(dst, uint64(o))
	}
	if l := z.acl(); l != nil {
		parts |= storedACL
		acl := encodedACL(l)
		dst = binary.AppendUvarint(dst, uint64(len(acl)))
		dst = append(dst, acl...)
	}
	data := z.data()
	if data == nil {
		parts |= storedNull
	}
	dst[at] = parts
	return append(dst, data...)
}

// parseZnodeValue reads a value into f, whose data aliases it.
func parseZnodeValue(b []byte, f *fields, acls *aclCache) error {
	if len(b) < storedZnodeMin || b[0] >= storedEnd {
		return corruptf("znode value of %d bytes", len(b))
	}
	parts := b[0]
	le := binary.LittleEndian
	f.created(Zxid(le.Uint64(b[1:])), int64(le.Uint64(b[9:])))
	b = b[storedZnodeMin:]
	if need := storedPartBytes(parts); len(b) < need {
		return corruptf("znode value ends in its stat")
	}
	if parts&storedMod != 0 {
		f.mzxid, f.mtime = Zxid(le.Uint64(b)), int64(le.Uint64(b[8:]))
		f.version, f.aversion = int32(le.Uint32(b[16:])), int32(le.Uint32(b[20:]))
		b = b[24:]
	}
	if parts&storedDir != 0 {
		f.pzxid, f.creates = Zxid(le.Uint64(b)), int32(le.Uint32(b[8:]))
		b = b[12:]
	}
	if parts&storedOwner != 0 {
		f.owner = int64(le.Uint64(b))
		b = b[8:]
	}
	if parts&storedACL != 0 {
		n, k := binary.Uvarint(b)
		if k <= 0 || n > uint64(len(b)-k) {
			return corruptf("znode value ends in its ACL")
		}
		var err error
		if f.acl, err = acls.get(b[k : k+int(n)]); err != nil {
			return err
		}
		b = b[k+int(n):]
	}
	f.data = b
	if parts&storedNull != 0 {
		f.data = nil
		if len(b) > 0 {
			return corruptf("null data of %d bytes", len(b))
		}
	}
	return nil
}

func storedPartBytes(parts byte) (n int) {
	if parts&storedMod != 0 {
		n += 24
	}
	if parts&storedDir != 0 {
		n += 12
	}
	if parts&storedOwner != 0 {
		n += 8
	}
	return n
}

func appendMetaValue(dst []byte, r *Root) []byte {
	version := byte(storedVersion)
	if r.members == nil {
		version = storedVersionAlone
	}
	dst = append(dst, version)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.zxid))
	dst = binary.LittleEndian.AppendUint64(dst, r.Digest())
	if r.members != nil {
		dst = append(dst, r.members.stored...)
	}
	return dst
}

// parseMetaValue reads into r what is stored beside znodes and sessions.
func parseMetaValue(b []byte, r *Root) (digest uint64, err error) {
	if len(b) > 0 && b[0] > storedVersion {
		return 0, fmt.Errorf("image version %d, this build reads up to %d; start the newer version again: %w", b[0], storedVersion, ErrNewerFormat)
	}
	if len(b) < storedMetaBytes || b[0] < storedVersionAlone || b[0] == storedVersionAlone && len(b) > storedMetaBytes {
		return 0, corruptf("%d bytes for zxid and digest", len(b))
	}
	r.zxid, digest = Zxid(binary.LittleEndian.Uint64(b[1:])), binary.LittleEndian.Uint64(b[9:])
	if b[0] >= storedVersion {
		r.members, err = parseMembership(b[storedMetaBytes:])
	}
	return digest, err
}

func appendSessionValue(dst []byte, s *Session) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, uint32(s.TimeoutMs))
	dst = append(dst, s.Password[:]...)
	return appendOrigin(dst, s.Owner)
}

func parseSessionValue(id, b []byte) (s Session, err error) {
	if len(id) != 8 || len(b) != storedSessionBytes {
		return s, corruptf("session with an id of %d and a value of %d bytes", len(id), len(b))
	}
	le := binary.LittleEndian
	s.ID = SessionID(binary.BigEndian.Uint64(id))
	s.TimeoutMs = int32(le.Uint32(b))
	copy(s.Password[:], b[4:])
	s.Owner = parseOrigin(b[20:])
	return s, nil
}

// aclCache finds the list of a stored ACL without the lock of the table of all lists; an image has few, often runs of one.
type aclCache struct {
	last  string
	list  *ACLList
	lists map[string]*ACLList
}

func (c *aclCache) get(encoded []byte) (*ACLList, error) {
	if c.list != nil && string(encoded) == c.last {
		return c.list, nil
	}
	l, seen := c.lists[string(encoded)]
	if !seen {
		if _, err := parseACL(encoded); err != nil {
			return nil, corruptf("ACL: %v", err)
		}
		l = internACL(encoded)
		if c.lists == nil {
			c.lists = make(map[string]*ACLList)
		}
		c.lists[string(encoded)] = l
	}
	c.last, c.list = string(encoded), l
	return l, nil
}
