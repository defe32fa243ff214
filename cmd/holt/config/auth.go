package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"holt/tree"
)

// Auth says who may do what.
type Auth struct {
	DigestEnabled   bool
	DigestAlgorithm string // as tree.DigestIDFunc takes it
	SuperDigest     string // user:base64(digest of user:password); "" = no super user
	Enforced        bool   // enforce.auth.enabled
	Schemes         string // enforce.auth.schemes as it was written; counts if Enforced
	EnsembleScheme  bool   // authProvider.N names the provider of the ensemble scheme
	EnsembleNames   string // ensembleAuthName as it was written; counts with the scheme; "" = any name is right
}

// Required are the schemes of which a client must have proven an identity before it is served, or nil.
func (a *Auth) Required() []string {
	if !a.Enforced {
		return nil
	}
	return split(a.Schemes)
}

// Ensembles are the names that a client may give this ensemble, or nil if any.
func (a *Auth) Ensembles() []string { return split(a.EnsembleNames) }

// split reads a list with commas between; what stands between two of them may be empty, as in ZooKeeper.
func split(list string) []string {
	if list == "" {
		return nil
	}
	words := strings.Split(list, ",")
	for i := range words {
		words[i] = strings.TrimSpace(words[i])
	}
	return words
}

var digestAlgorithm = text("DigestAuthenticationProvider.digestAlg", "Algorithm of the digest scheme's ids. Ids that were made with "+
	"another one match no longer, in ACLs and as superDigest.", "SHA1, SHA-256, SHA-512, SHA3-256, ...: names of Java's MessageDigest",
	func(c *Config) *string { return &c.Auth.DigestAlgorithm }, func(value string) error {
		if err := notEmpty(value); err != nil {
			return err
		}
		_, err := tree.DigestIDFunc(value)
		return err
	})

var superDigest = func() Key {
	k := text("DigestAuthenticationProvider.superDigest", "Who may do everything: the digest id of a user who passes every ACL check.",
		"user:base64(sha1(user:password)), or of another digestAlg", func(c *Config) *string { return &c.Auth.SuperDigest }, func(value string) error {
			if value != "" && digestBytes(value) == 0 {
				return errNoDigest
			}
			return nil
		})
	k.secret = true
	return k
}()

var errNoDigest = errors.New("not user:base64(digest of user:password)")

// digestBytes is the length of the digest in a digest id, 0 if it is none.
func digestBytes(id string) int {
	user, hash, _ := strings.Cut(id, ":")
	sum, err := base64.StdEncoding.DecodeString(hash)
	if user == "" || err != nil {
		return 0
	}
	return len(sum)
}

// auth checks what the keys of authentication mean together (reference: ZooKeeper's AuthenticationHelper).
func (l *loader) auth() {
	a := &l.c.Auth
	if id, err := tree.DigestIDFunc(a.DigestAlgorithm); err == nil && a.SuperDigest != "" {
		if want := digestBytes(id([]byte("user:password"))); digestBytes(a.SuperDigest) != want {
			l.fail(l.c.origin("DigestAuthenticationProvider.superDigest"), "DigestAuthenticationProvider.superDigest: %w: the digest has %d bytes, %s has %d",
				errNoDigest, digestBytes(a.SuperDigest), a.DigestAlgorithm, want)
		}
	}
	if a.EnsembleNames != "" && !a.EnsembleScheme {
		l.warn(l.c.origin("ensembleAuthName"), "ensembleAuthName has no effect: the ensemble scheme needs "+
			"authProvider.1=org.apache.zookeeper.server.auth.EnsembleAuthenticationProvider")
	}
	if a.Enforced && a.Schemes == "" {
		l.fail(l.c.origin("enforce.auth.enabled"), "enforce.auth.enabled=true needs enforce.auth.schemes; without, nobody could be let in")
	}
	for _, scheme := range a.Required() {
		if err := a.available(scheme); err != nil {
			l.fail(l.c.origin("enforce.auth.schemes"), "enforce.auth.schemes: %w", err)
		}
	}
}

// available says whether a client can have an identity of the scheme.
func (a *Auth) available(scheme string) error {
	switch scheme {
	case "ip":
		return nil
	case "digest":
		if !a.DigestEnabled {
			return errors.New("the scheme digest is off: DigestAuthenticationProvider.enabled=false")
		}
		return nil
	case "sasl":
		return fmt.Errorf("sasl: %s", noSASL)
	case "x509":
		return fmt.Errorf("x509: %s", noTLS)
	}
	return fmt.Errorf("there are no identities of a scheme %q; there are digest and ip", scheme)
}
