package zkdata

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/adler32"

	"holt/netloop/wire"
	"holt/tree"
)

const (
	logPrefix      = "log"
	logMagic       = 0x5a4b4c47 // "ZKLG"
	logHeaderBytes = 16
	recordBytes    = 12  // before a record
	recordEnd      = 'B' // after it
)

// header is a transaction's (TxnHeader).
type header struct {
	session int64
	zxid    int64
	timeMs  int64
	op      wire.Op
}

// replay hands the transactions of a file of the log to visit (FileTxnLog):
//
//	magic i32 │ version i32 │ dbid i64
//	{ Adler-32 of the record i64 │ its length i32 │ record │ 'B' }   up to the end of the file, or a length of 0 where it was made longer
//	record: session i64 │ cxid i32 │ zxid i64 │ time i64 │ type i32 │ the transaction │ digest: version i32, i64 (from 3.6 on)
//
// Space that nothing was written to is zeros. A record whose end is not there was not acknowledged: that is where ZooKeeper stops reading, and
// cut says so if it might be damage as well. What visit gets is valid during the call.
func (f *file) replay(visit func(h *header, r *wire.Reader) error) (cut string, err error) {
	b, err := f.read()
	if err != nil {
		return "", err
	}
	if len(b) == 0 {
		return "", nil // the server stopped between making it and writing to it
	}
	be := binary.BigEndian
	if len(b) < logHeaderBytes || be.Uint32(b) != logMagic || be.Uint32(b[4:]) != formatVersion {
		return "", f.damaged(0, "this is no log of version %d", formatVersion)
	}
	for at := logHeaderBytes; ; {
		if len(b)-at < recordBytes || be.Uint32(b[at+8:]) == 0 {
			if len(bytes.Trim(b[at:], "\x00")) > 0 {
				cut = fmt.Sprintf("something that is no record at offset %d", at)
			}
			return cut, nil
		}
		length, record := int(int32(be.Uint32(b[at+8:]))), b[at+recordBytes:]
		switch {
		case length < 0:
			return "", f.damaged(at, "a record of %d bytes", length)
		case length >= len(record):
			return fmt.Sprintf("it ends within a record at offset %d", at), nil
		case record[length] != recordEnd && len(bytes.Trim(record[length:], "\x00")) == 0:
			return "", nil // written in part
		case record[length] != recordEnd:
			return "", f.damaged(at, "a record without an end, and more behind it")
		case be.Uint64(b[at:]) != uint64(adler32.Checksum(record[:length])):
			return "", f.damaged(at, "the checksum of a record does not fit")
		}
		r := wire.NewReader(record[:length])
		h := header{session: r.Int64()}
		r.Int32() // cxid
		h.zxid, h.timeMs, h.op = r.Int64(), r.Int64(), wire.Op(r.Int32())
		if err := visit(&h, &r); err != nil {
			return "", f.damaged(at, "transaction %#x: %v", uint64(h.zxid), err)
		}
		at += recordBytes + length + 1
	}
}

// txnDigestBytes is the length of the digest at the end of a record.
const txnDigestBytes = 12

// digestBehind reads the digest that follows a transaction.
func digestBehind(zxid int64, rest []byte) digestAt {
	if len(rest) < txnDigestBytes {
		return digestAt{}
	}
	be := binary.BigEndian
	return digestAt{zxid, int32(be.Uint32(rest)), be.Uint64(rest[4:])}
}

// parseCloseSession reads the ephemerals that a session's end removes. Before 3.6, or with closeSessionTxn.enabled=false, the
// transaction is empty, and what follows is the digest or nothing.
func parseCloseSession(r *wire.Reader) wire.Strings {
	rest := r.Rest()
	if len(rest) == 0 || len(rest) == txnDigestBytes && binary.BigEndian.Uint32(rest) == digestVersion {
		return wire.Strings{}
	}
	return r.Strings()
}

// parseCreate reads CreateTxn, CreateContainerTxn and CreateTTLTxn.
func parseCreate(h *header, r *wire.Reader) (c created) {
	c.path, c.data, c.acl = r.String(), bytes.Clone(r.Buffer()), r.ACLs()
	switch h.op {
	case wire.OpCreateContainer:
		c.owner = tree.ContainerOwner
	case wire.OpCreateTTL:
	default:
		if r.Bool() {
			c.owner = h.session
		}
	}
	c.creates = r.Int32()
	if h.op == wire.OpCreateTTL {
		c.owner = tree.TTLOwner(r.Int64())
	}
	return c
}
