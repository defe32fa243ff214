package tree

import (
	"math/bits"

	"github.com/cespare/xxhash/v2"
)

// The state digest is the sum, modulo 2^64, of one hash per znode and one per
// session, so that a change costs what it touches and the order of changes
// leaves no trace. A znode counts with two terms: its own content, and what a
// create or delete below it changes, so that a create does not hash the
// parent's data. Both bind the path. This finds members that went apart by a
// bug or a bad memory cell; it is no defence against somebody who forges
// collisions.

// Odd constants without structure: primes of xxHash.
const (
	prime1 = 11400714785074694791
	prime2 = 14029467366897019727
	prime3 = 1609587929392839161
	prime4 = 9650029242287828579
)

func fold(h, v uint64) uint64 {
	h ^= bits.RotateLeft64(v*prime2, 31) * prime1
	return bits.RotateLeft64(h, 27)*prime1 + prime4
}

func avalanche(h uint64) uint64 {
	h = (h ^ h>>33) * prime2
	h = (h ^ h>>29) * prime3
	return h ^ h>>32
}

// pathSum is the same in every process, unlike PathHash. "" is "/".
func pathSum(path []byte) uint64 {
	if len(path) == 0 {
		return xxhash.Sum64String("/")
	}
	return xxhash.Sum64(path)
}

// contentSum is the term of what is the znode's own.
func contentSum(path uint64, z *znode) uint64 {
	h := fold(path, uint64(z.czxid))
	h = fold(h, uint64(z.mzxid()))
	h = fold(h, uint64(z.ctime))
	h = fold(h, uint64(z.mtime()))
	h = fold(h, uint64(uint32(z.version()))<<32|uint64(uint32(z.aversion())))
	h = fold(h, uint64(z.owner()))
	if l := z.acl(); l != nil {
		h = fold(h, l.sum)
	}
	data := z.data()
	if data == nil {
		return avalanche(h + prime3)
	}
	return avalanche(fold(h, xxhash.Sum64(data)))
}

// dirSum is the term of what its children's coming and going changes.
func dirSum(path uint64, pzxid Zxid, creates int32) uint64 {
	return avalanche(fold(fold(path^prime4, uint64(pzxid)), uint64(uint32(creates))))
}

// znodeSum is all that the znode at path adds to the digest.
func znodeSum(path []byte, z *znode) uint64 {
	p := pathSum(path)
	return contentSum(p, z) + dirSum(p, z.pzxid(), z.creates())
}

// sessionSum is all that a session adds to the digest.
func sessionSum(s *Session) uint64 {
	h := fold(prime3, uint64(s.ID))
	h = fold(h, uint64(uint32(s.TimeoutMs)))
	h = fold(h, xxhash.Sum64(s.Password[:]))
	h = fold(h, uint64(s.Owner.Process)<<16|uint64(s.Owner.Loop))
	return avalanche(fold(h, s.Owner.Conn))
}

// Digest covers the whole state: members with equal state have equal digests,
// and with different state different ones but for an accident of 2^-64. Compare
// it at the same log index, not at the same zxid: attaching a session changes
// the state and consumes none.
func (r *Root) Digest() uint64 {
	h := r.sum
	if r.members != nil {
		h = fold(h, r.members.sum)
	}
	return avalanche(fold(h, uint64(r.zxid)))
}
