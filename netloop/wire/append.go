package wire

import (
	"encoding/binary"
	"slices"
)

// nullLength marks a null buffer, string or vector.
const nullLength = -1

// StatBytes is the encoded size of a Stat.
const StatBytes = 68

// Stat is ZooKeeper's org.apache.zookeeper.data.Stat as a client sees it. Times in ms since 1970.
type Stat struct {
	Czxid          int64
	Mzxid          int64
	Ctime          int64
	Mtime          int64
	Version        int32
	Cversion       int32
	Aversion       int32
	EphemeralOwner int64
	DataLength     int32
	NumChildren    int32
	Pzxid          int64
}

// AppendBool encodes a boolean as one byte, 0 or 1.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// AppendInt32 encodes a jute int. It also writes the count of a vector whose elements follow.
func AppendInt32(dst []byte, v int32) []byte {
	return binary.BigEndian.AppendUint32(dst, uint32(v))
}

// AppendInt64 encodes a jute long.
func AppendInt64(dst []byte, v int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(v))
}

// AppendBuffer encodes a buffer or ustring; nil is null.
func AppendBuffer(dst, b []byte) []byte {
	if b == nil {
		return AppendInt32(dst, nullLength)
	}
	return append(AppendInt32(dst, int32(len(b))), b...)
}

// AppendString encodes a ustring that is not null.
func AppendString(dst []byte, s string) []byte {
	return append(AppendInt32(dst, int32(len(s))), s...)
}

// AppendACL encodes one ACL entry, without the count of the vector it is in.
func AppendACL(dst []byte, perms int32, scheme, id []byte) []byte {
	dst = AppendInt32(dst, perms)
	dst = AppendBuffer(dst, scheme)
	return AppendBuffer(dst, id)
}

// AppendStat encodes a Stat: 68 bytes.
//
//	0      8      16     24     32   36    40    44     52    56    60    68
//	czxid  mzxid  ctime  mtime  ver  cver  aver  owner  dlen  nchi  pzxid
func AppendStat(dst []byte, s *Stat) []byte {
	n := len(dst)
	dst = slices.Grow(dst, StatBytes)[:n+StatBytes]
	p := dst[n:]
	be := binary.BigEndian
	be.PutUint64(p[0:], uint64(s.Czxid))
	be.PutUint64(p[8:], uint64(s.Mzxid))
	be.PutUint64(p[16:], uint64(s.Ctime))
	be.PutUint64(p[24:], uint64(s.Mtime))
	be.PutUint32(p[32:], uint32(s.Version))
	be.PutUint32(p[36:], uint32(s.Cversion))
	be.PutUint32(p[40:], uint32(s.Aversion))
	be.PutUint64(p[44:], uint64(s.EphemeralOwner))
	be.PutUint32(p[52:], uint32(s.DataLength))
	be.PutUint32(p[56:], uint32(s.NumChildren))
	be.PutUint64(p[60:], uint64(s.Pzxid))
	return dst
}
