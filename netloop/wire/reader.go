package wire

import (
	"encoding/binary"
	"unicode/utf8"
)

// Reader walks over one record in place. It does not copy: what it returns aliases the bytes it was
// made of. The first field that does not fit makes it bad, and every later field reads as zero; so a record is
// read straight through and Bad is asked once, at the end.
//
// Returning an error per field lost: nineteen of twenty lines of the decoders would have been error checks.
type Reader struct {
	b   []byte
	bad bool
}

// NewReader reads b from its start.
func NewReader(b []byte) Reader { return Reader{b: b} }

// Bad says whether some field so far did not fit. The request then deserves MarshallingError.
func (r *Reader) Bad() bool { return r.bad }

// Rest is what has not been read. ZooKeeper ignores what follows a complete record.
func (r *Reader) Rest() []byte { return r.b }

func (r *Reader) fail() {
	r.bad = true
	r.b = nil
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if len(r.b) < 1 {
		r.fail()
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

// Bool reads a boolean: one byte, anything but zero is true.
func (r *Reader) Bool() bool { return r.Byte() != 0 }

// Int32 reads a jute int: four bytes, big-endian, two's complement.
func (r *Reader) Int32() int32 {
	if len(r.b) < 4 {
		r.fail()
		return 0
	}
	v := int32(binary.BigEndian.Uint32(r.b))
	r.b = r.b[4:]
	return v
}

// Int64 reads a jute long: eight bytes, big-endian, two's complement.
func (r *Reader) Int64() int64 {
	if len(r.b) < 8 {
		r.fail()
		return 0
	}
	v := int64(binary.BigEndian.Uint64(r.b))
	r.b = r.b[8:]
	return v
}

// Buffer reads a jute buffer; a ustring looks the same: an int length, then that many bytes. The result is nil for null
// (length -1) and empty but not nil for length 0. Any other negative length, or one beyond the record, is what
// ZooKeeper calls an unreasonable length (BinaryInputArchive.checkLength): it makes the Reader bad.
func (r *Reader) Buffer() []byte {
	n := r.Int32()
	if n == nullLength || r.bad {
		return nil
	}
	if n < 0 || int(n) > len(r.b) {
		r.fail()
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// Strings reads a vector<ustring>.
func (r *Reader) Strings() Strings {
	count := r.Int32()
	start := r.b
	for i := int32(0); i < count && !r.bad; i++ {
		r.Buffer()
	}
	if r.bad {
		return Strings{}
	}
	return Strings{count: count, raw: start[:len(start)-len(r.b)]}
}

// ACLs reads a vector<ACL>.
func (r *Reader) ACLs() ACLs {
	count := r.Int32()
	start := r.b
	for i := int32(0); i < count && !r.bad; i++ {
		r.Int32()
		r.Buffer()
		r.Buffer()
	}
	if r.bad {
		return ACLs{}
	}
	return ACLs{count: count, raw: start[:len(start)-len(r.b)]}
}

// ClientInfos reads a vector<ClientInfo>.
func (r *Reader) ClientInfos() ClientInfos {
	count := r.Int32()
	start := r.b
	for i := int32(0); i < count && !r.bad; i++ {
		r.Buffer()
		r.Buffer()
	}
	if r.bad {
		return ClientInfos{}
	}
	return ClientInfos{count: count, raw: start[:len(start)-len(r.b)]}
}

// Stat reads a Stat record.
func (r *Reader) Stat() Stat {
	if len(r.b) < StatBytes {
		r.fail()
		return Stat{}
	}
	return Stat{
		Czxid: r.Int64(), Mzxid: r.Int64(), Ctime: r.Int64(), Mtime: r.Int64(),
		Version: r.Int32(), Cversion: r.Int32(), Aversion: r.Int32(),
		EphemeralOwner: r.Int64(), DataLength: r.Int32(), NumChildren: r.Int32(), Pzxid: r.Int64(),
	}
}

// String reads a ustring. One that is not UTF-8 becomes what ZooKeeper's server makes of it, with U+FFFD for what is
// malformed, so that no reply ever carries bytes that clients cannot decode. That copy is the only allocation of this package.
func (r *Reader) String() []byte {
	b := r.Buffer()
	if utf8.Valid(b) {
		return b
	}
	return repairUTF8(b)
}
