package tree

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"
)

// DigestID makes the id that ZooKeeper's digest scheme stores for
// "user:password": user, a colon, base64 of SHA-1 over the whole
// (DigestAuthenticationProvider.generateDigest).
func DigestID(userPassword []byte) string {
	sum := sha1.Sum(userPassword)
	return digestID(userPassword, sum[:])
}

// DigestIDFunc is DigestID for another algorithm, named as in
// DigestAuthenticationProvider.digestAlg.
func DigestIDFunc(algorithm string) (func(userPassword []byte) string, error) {
	name := strings.ToUpper(algorithm)
	if name == "" || name == "SHA1" || name == "SHA-1" || name == "SHA" {
		return DigestID, nil
	}
	newHash := digestHashes[name]
	if newHash == nil {
		return nil, fmt.Errorf("digest algorithm %q is not known; there are SHA1, %s", algorithm, strings.Join(slices.Sorted(maps.Keys(digestHashes)), ", "))
	}
	return func(b []byte) string {
		h := newHash()
		h.Write(b)
		return digestID(b, h.Sum(nil))
	}, nil
}

// digestHashes are the algorithms besides SHA-1 that Java's MessageDigest has,
// by its names.
var digestHashes = map[string]func() hash.Hash{
	"MD5":     md5.New,
	"SHA-224": sha256.New224, "SHA-256": sha256.New,
	"SHA-384": sha512.New384, "SHA-512": sha512.New, "SHA-512/224": sha512.New512_224, "SHA-512/256": sha512.New512_256,
	"SHA3-224": func() hash.Hash { return sha3.New224() }, "SHA3-256": func() hash.Hash { return sha3.New256() },
	"SHA3-384": func() hash.Hash { return sha3.New384() }, "SHA3-512": func() hash.Hash { return sha3.New512() },
}

func digestID(userPassword, sum []byte) string {
	user, _, _ := strings.Cut(string(userPassword), ":")
	return user + ":" + base64.StdEncoding.EncodeToString(sum)
}
