package tree

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
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
	switch strings.ToUpper(algorithm) {
	case "", "SHA1", "SHA-1", "SHA":
		return DigestID, nil
	case "MD5":
		return func(b []byte) string { s := md5.Sum(b); return digestID(b, s[:]) }, nil
	case "SHA-256":
		return func(b []byte) string { s := sha256.Sum256(b); return digestID(b, s[:]) }, nil
	case "SHA-512":
		return func(b []byte) string { s := sha512.Sum512(b); return digestID(b, s[:]) }, nil
	case "SHA3-256":
		return func(b []byte) string { s := sha3.Sum256(b); return digestID(b, s[:]) }, nil
	case "SHA3-512":
		return func(b []byte) string { s := sha3.Sum512(b); return digestID(b, s[:]) }, nil
	}
	return nil, fmt.Errorf("digest algorithm %q is not known; use SHA1, SHA-256, SHA-512, SHA3-256, SHA3-512 or MD5", algorithm)
}

func digestID(userPassword, sum []byte) string {
	user, _, _ := strings.Cut(string(userPassword), ":")
	return user + ":" + base64.StdEncoding.EncodeToString(sum)
}
