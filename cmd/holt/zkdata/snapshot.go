package zkdata

import (
	"hash/adler32"

	"holt/netloop/wire"
	"holt/tree"
)

const (
	snapshotPrefix = "snapshot"
	snapshotMagic  = 0x5a4b534e // "ZKSN"
	formatVersion  = 2
)

// digestAt is the digest of ZooKeeper's tree after a transaction (DataTree.ZxidDigest, TxnDigest). Only version 2 is known.
type digestAt struct {
	zxid    int64
	version int32
	digest  uint64
}

// parseSnapshot reads a snapshot into db (FileSnap.deserialize, DataTree.deserialize):
//
//	magic i32 │ version i32 │ dbid i64
//	sessions i32 × { id i64 │ timeout ms i32 }
//	lists i32    × { number i64 │ vector<ACL> }
//	               { path │ data │ number of the ACL i64 │ stat }       and the path "/" at the end
//	seal │ zxid i64, version i32, digest i64 │ seal │ zxid i64 │ seal    after the first seal as the version has it
//
// The lists were written first, so a znode may have one that is not among them; the log then says which.
// A seal is the Adler-32 of all before it as an i64, and the string "/". The data of znodes aliases b. latest is the digest
// when the snapshot was done, with a zxid of 0 if it has none.
func (f *file) parseSnapshot(b []byte, db *database) (latest digestAt, err error) {
	r := wire.NewReader(b)
	at := func() int { return len(b) - len(r.Rest()) }
	if magic, version, _ := r.Int32(), r.Int32(), r.Int64(); r.Bad() || magic != snapshotMagic || version != formatVersion {
		return latest, f.damaged(0, "this is no snapshot of version %d", formatVersion)
	}
	for n := r.Int32(); n > 0 && !r.Bad(); n-- {
		id := r.Int64()
		db.sessions[id] = r.Int32()
	}
	acls := map[int64][]byte{openACL: nil}
	for n := r.Int32(); n > 0 && !r.Bad(); n-- {
		number := r.Int64()
		acls[number] = db.acl(r.ACLs())
	}
	for {
		start := at()
		path := r.String()
		if r.Bad() || string(path) == "/" {
			break
		}
		z, number := parseZnode(&r)
		acl, known := acls[number]
		z.ACL = acl
		if err := db.load(path, z, known); err != nil && !r.Bad() {
			return latest, f.damaged(start, "%v", err)
		}
	}
	for part := 0; ; part++ {
		sum, end := int64(adler32.Checksum(b[:at()])), at()
		if seal := r.Int64(); string(r.String()) != "/" || r.Bad() || seal != sum {
			return latest, f.damaged(end, "the checksum does not fit")
		}
		switch {
		case len(r.Rest()) == 0:
			return latest, nil
		case part == 0:
			if latest = parseDigest(&r); latest.zxid < f.zxid { // of no use to ZooKeeper either (DataTree.deserializeZxidDigest)
				latest = digestAt{}
			}
		default:
			r.Int64() // the zxid when it was done
		}
	}
}

// openACL is the number of world:anyone ALL, which is in no list (ReferenceCountedACLCache).
const openACL = -1

func parseZnode(r *wire.Reader) (z *tree.Imported, acl int64) {
	z = &tree.Imported{Data: r.Buffer()}
	acl = r.Int64()
	z.Czxid, z.Mzxid = tree.Zxid(r.Int64()), tree.Zxid(r.Int64())
	z.Ctime, z.Mtime = r.Int64(), r.Int64()
	z.Version, z.Creates, z.Aversion = r.Int32(), r.Int32(), r.Int32()
	z.Owner, z.Pzxid = r.Int64(), tree.Zxid(r.Int64())
	return z, acl
}

func parseDigest(r *wire.Reader) (d digestAt) {
	d.zxid, d.version = r.Int64(), r.Int32()
	if d.version < digestVersion {
		r.Buffer() // it was hexadecimal text then
		return digestAt{}
	}
	if d.digest = uint64(r.Int64()); d.zxid == 0 {
		return digestAt{} // nothing had happened yet
	}
	return d
}
