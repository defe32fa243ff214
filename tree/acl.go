package tree

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unsafe"
	"weak"

	"github.com/cespare/xxhash/v2"
)

// ACLList is an immutable list of ACL entries. Equal lists of one process are
// one pointer, so that a znode pays 8 bytes for its ACL. The nil list is
// world:anyone ALL.
type ACLList struct {
	entries []ACL
	encoded string // AppendACL form: the key of interning and the stored form
	sum     uint64 // of encoded, the same in every process
}

// OpenACL is the stored form of world:anyone ALL.
var OpenACL = AppendACL(nil, PermAll, []byte("world"), []byte("anyone"))

var openEntries = []ACL{{PermAll, ID{"world", "anyone"}}}

// Entries lists the entries; they must not be changed.
func (l *ACLList) Entries() []ACL {
	if l == nil {
		return openEntries
	}
	return l.entries
}

// Masked lists the entries as getACL shows them to a caller without ADMIN:
// password hashes of digest ids read "x" (CVE-2019-0201).
func (l *ACLList) Masked() []ACL {
	entries := l.Entries()
	masked := entries
	for i, e := range entries {
		user, _, found := strings.Cut(e.ID.ID, ":")
		if e.ID.Scheme != "digest" || !found {
			continue
		}
		if &masked[0] == &entries[0] {
			masked = slices.Clone(entries)
		}
		masked[i].ID.ID = user + ":x"
	}
	return masked
}

// Allows says whether a caller with these identities has one of the permission
// bits of p: ZooKeeperServer.checkACL but for skipACL, which is the caller's.
func (l *ACLList) Allows(p Perm, ids []ID) bool {
	if l == nil {
		return p&PermAll != 0 || hasSuper(ids)
	}
	if len(l.entries) == 0 || hasSuper(ids) {
		return true
	}
	for i := range l.entries {
		e := &l.entries[i]
		if e.Perms&p != 0 && e.ID.matches(ids) {
			return true
		}
	}
	return false
}

func hasSuper(ids []ID) bool {
	for i := range ids {
		if ids[i].Scheme == "super" {
			return true
		}
	}
	return false
}

// matches says whether one of ids satisfies the id of an ACL entry.
func (e *ID) matches(ids []ID) bool {
	switch e.Scheme {
	case "world":
		return e.ID == "anyone"
	case "ip":
		for i := range ids {
			if ids[i].Scheme == "ip" && ipMatches(ids[i].ID, e.ID) {
				return true
			}
		}
	case "sasl":
		// SASLAuthenticationProvider lets the principal "super" pass everywhere.
		for i := range ids {
			if ids[i].Scheme == "sasl" && (ids[i].ID == e.ID || ids[i].ID == "super") {
				return true
			}
		}
	default:
		return slices.Contains(ids, *e)
	}
	return false
}

// authBytesMax bounds what the entries of scheme auth in one ACL become: a request of a megabyte may hold tens of
// thousands of them, and its sender as many identities.
const (
	authBytesMax  = 1 << 20
	aclEntryBytes = 12 // perms and two lengths
)

// fixACL turns the ACL of a create or setACL into the one to store
// (PrepRequestProcessor.fixupACL): duplicates go, auth becomes the caller's
// authenticated ids, everything else needs a provider and a valid id.
func fixACL(encoded []byte, callerIDs []byte, rules Rules) (*ACLList, Code, error) {
	if string(encoded) == string(OpenACL) {
		return nil, OK, nil
	}
	entries, err := parseACL(encoded)
	if err != nil {
		return nil, OK, err
	}
	if len(entries) == 0 {
		return nil, InvalidACL, nil
	}
	caller, err := parseIDs(nil, callerIDs)
	if err != nil {
		return nil, OK, err
	}
	entries = removeDuplicates(entries)
	var fixed []ACL
	expanded := 0
	for _, e := range entries {
		switch {
		case e.schemeNull:
			return nil, InvalidACL, nil
		case e.ID.Scheme == "auth":
			n := len(fixed)
			for _, id := range caller {
				if rules.authenticates(id.Scheme) {
					fixed = append(fixed, ACL{e.Perms, id})
					expanded += aclEntryBytes + len(id.Scheme) + len(id.ID)
				}
			}
			if len(fixed) == n || expanded > authBytesMax {
				return nil, InvalidACL, nil
			}
		case e.idNull:
			// Only a scheme with a provider gets as far as dereferencing the null.
			if e.ID.Scheme == "world" || rules.provides(e.ID.Scheme) {
				return nil, MarshallingError, nil
			}
			return nil, InvalidACL, nil
		case !rules.validID(e.ID):
			return nil, InvalidACL, nil
		default:
			fixed = append(fixed, e.ACL)
		}
	}
	return internACL(appendACLs(nil, fixed)), OK, nil
}

// provides says whether ZooKeeper would have a provider for the scheme.
func (r Rules) provides(scheme string) bool {
	switch scheme {
	case "ip":
		return true
	case "digest":
		return r&RuleNoDigest == 0
	case "x509":
		return r&RuleX509 != 0
	case "sasl":
		return r&RuleSASL != 0
	}
	return false
}

// authenticates says whether ids of the scheme are proof of an identity, so
// that scheme auth stands for them.
func (r Rules) authenticates(scheme string) bool { return scheme != "ip" && r.provides(scheme) }

func (r Rules) validID(id ID) bool {
	if id.Scheme == "world" {
		return id.ID == "anyone"
	}
	if !r.provides(id.Scheme) {
		return false
	}
	switch id.Scheme {
	case "ip":
		_, _, ok := parseIPRange(id.ID)
		return ok
	case "digest":
		// As Java splits: empty parts at the end do not count.
		return strings.Count(strings.TrimRight(id.ID, ":"), ":") == 1
	case "x509":
		return id.ID == "" || strings.Contains(id.ID, "=")
	default:
		return validKerberosName(id.ID)
	}
}

// validKerberosName: service[/host]@realm, or a name without @.
func validKerberosName(name string) bool {
	principal, realm, found := strings.Cut(name, "@")
	if !found {
		return true
	}
	return !strings.ContainsAny(realm, "/@") && strings.Count(principal, "/") <= 1
}

type rawACL struct {
	ACL
	schemeNull, idNull bool
}

// parseACL reads entries as AppendACL wrote them. Their strings alias b.
func parseACL(b []byte) ([]rawACL, error) {
	var entries []rawACL
	for len(b) > 0 {
		if len(b) < 4 {
			return nil, fmt.Errorf("ACL entry of %d bytes: %w", len(b), ErrMalformed)
		}
		var e rawACL
		e.Perms = Perm(binary.LittleEndian.Uint32(b))
		scheme, rest, err := parseNullable(b[4:])
		if err != nil {
			return nil, fmt.Errorf("ACL scheme: %w", err)
		}
		id, rest, err := parseNullable(rest)
		if err != nil {
			return nil, fmt.Errorf("ACL id: %w", err)
		}
		e.schemeNull, e.idNull = scheme == nil, id == nil
		e.ID = ID{stringOf(scheme), stringOf(id)}
		entries = append(entries, e)
		b = rest
	}
	return entries, nil
}

// removeDuplicates keeps the first of equal entries. A long list is compared
// through a set, since a client may send a million entries.
func removeDuplicates(entries []rawACL) []rawACL {
	kept := entries[:0]
	if len(entries) <= 16 {
		for _, e := range entries {
			if !slices.Contains(kept, e) {
				kept = append(kept, e)
			}
		}
		return kept
	}
	seen := make(map[rawACL]struct{}, len(entries))
	for _, e := range entries {
		if _, dup := seen[e]; !dup {
			seen[e] = struct{}{}
			kept = append(kept, e)
		}
	}
	return kept
}

func appendACLs(dst []byte, entries []ACL) []byte {
	for _, e := range entries {
		dst = AppendACL(dst, e.Perms, []byte(e.ID.Scheme), []byte(e.ID.ID))
	}
	return dst
}

// parseIDs appends the ids that AppendIDs encoded. Their strings alias b.
func parseIDs(dst []ID, b []byte) ([]ID, error) {
	for len(b) > 0 {
		scheme, rest, err := parseString(b)
		if err != nil {
			return dst, fmt.Errorf("scheme of an identity: %w", err)
		}
		id, rest, err := parseString(rest)
		if err != nil {
			return dst, fmt.Errorf("identity: %w", err)
		}
		dst = append(dst, ID{stringOf(scheme), stringOf(id)})
		b = rest
	}
	return dst, nil
}

// interned holds every ACLList that is still reachable. It is shared by all
// trees of the process; its lock is taken only for lists other than the open one.
var interned struct {
	sync.Mutex
	lists map[string]weak.Pointer[ACLList]
}

// internACL is the list with this stored form; nil for the open one. The form
// must be valid: what fixACL stored or encodedACL gave.
func internACL(encoded []byte) *ACLList {
	if string(encoded) == string(OpenACL) {
		return nil
	}
	interned.Lock()
	defer interned.Unlock()
	if l := interned.lists[string(encoded)].Value(); l != nil {
		return l
	}
	l := &ACLList{encoded: string(encoded), sum: xxhash.Sum64(encoded)}
	raw, err := parseACL(unsafe.Slice(unsafe.StringData(l.encoded), len(l.encoded)))
	if err != nil {
		panic(fmt.Sprintf("tree: stored ACL %x does not parse: %v", encoded, err))
	}
	l.entries = make([]ACL, len(raw))
	for i := range raw {
		l.entries[i] = raw[i].ACL
	}
	if interned.lists == nil {
		interned.lists = make(map[string]weak.Pointer[ACLList])
	}
	interned.lists[l.encoded] = weak.Make(l)
	runtime.AddCleanup(l, forgetACL, l.encoded)
	return l
}

func forgetACL(encoded string) {
	interned.Lock()
	defer interned.Unlock()
	if interned.lists[encoded].Value() == nil {
		delete(interned.lists, encoded)
	}
}

// encodedACL is the stored form of a list, for checkpoints and the digest.
func encodedACL(l *ACLList) string {
	if l == nil {
		return string(OpenACL)
	}
	return l.encoded
}

// ipMatches says whether addr lies in the range addr[/bits] of an ACL entry
// (IPAuthenticationProvider.matches).
func ipMatches(addr, entry string) bool {
	network, bits, ok := parseIPRange(entry)
	if !ok {
		return false
	}
	host, ok := parseIP(addr)
	if !ok || host.n != network.n {
		return false
	}
	for i := 0; i < bits/8; i++ {
		if host.b[i] != network.b[i] {
			return false
		}
	}
	if rest := bits % 8; rest != 0 {
		return (host.b[bits/8]^network.b[bits/8])>>(8-rest) == 0
	}
	return true
}

type ipAddr struct {
	b [16]byte
	n int // 4 or 16
}

func parseIPRange(s string) (addr ipAddr, bits int, ok bool) {
	host, suffix, found := strings.Cut(s, "/")
	if addr, ok = parseIP(host); !ok {
		return addr, 0, false
	}
	if !found {
		return addr, addr.n * 8, true
	}
	bits, err := strconv.Atoi(suffix)
	return addr, bits, err == nil && bits >= 0 && bits <= addr.n*8
}

// parseIP accepts what ZooKeeper accepts: four decimal parts, or v6 without an
// embedded v4 and without a zone.
func parseIP(s string) (ipAddr, bool) {
	if strings.Contains(s, ":") {
		return parseIPv6(s)
	}
	a := ipAddr{n: 4}
	for i := range 4 {
		part, rest, found := strings.Cut(s, ".")
		if found != (i < 3) {
			return a, false
		}
		v, err := strconv.Atoi(part)
		if err != nil || v < 0 || v > 255 {
			return a, false
		}
		a.b[i] = byte(v)
		s = rest
	}
	return a, true
}

func parseIPv6(s string) (ipAddr, bool) {
	a := ipAddr{n: 16}
	head, tail, compressed := strings.Cut(s, "::")
	first, ok := parseGroups(&a, 0, head, compressed)
	if !ok || !compressed {
		return a, ok && first == 8
	}
	if strings.Contains(tail, "::") {
		return a, false
	}
	last := 0
	if tail != "" {
		last = strings.Count(tail, ":") + 1
	}
	if first+last >= 8 {
		return a, false
	}
	_, ok = parseGroups(&a, 8-last, tail, true)
	return a, ok
}

// parseGroups puts the groups of s into a from group at on and counts them.
func parseGroups(a *ipAddr, at int, s string, mayBeEmpty bool) (int, bool) {
	if s == "" {
		return 0, mayBeEmpty
	}
	for n := 0; ; n++ {
		group, rest, found := strings.Cut(s, ":")
		if at+n >= 8 || group == "" || len(group) > 4 {
			return n, false
		}
		v, err := strconv.ParseUint(group, 16, 16)
		if err != nil {
			return n, false
		}
		binary.BigEndian.PutUint16(a.b[2*(at+n):], uint16(v))
		if !found {
			return n + 1, true
		}
		s = rest
	}
}
