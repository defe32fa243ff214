package tree

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestACLs(t *testing.T) {
	b := newBed(t)
	b.rules = RuleTTL
	alice := ID{"digest", DigestID([]byte("alice:secret"))}
	create := func(h CommandHeader, path string, acl []byte) Txn {
		h.Op = OpCreate2
		return b.one(AppendCreate(nil, &h, &Create{Path: []byte(path), ACL: acl}))
	}
	acl := func(perms Perm, scheme, id string) []byte { return AppendACL(nil, perms, []byte(scheme), []byte(id)) }
	both := func(lists ...[]byte) []byte { return bytes.Join(lists, nil) }

	b.want(create(b.h, "/x", acl(PermAll, "auth", "")), InvalidACL) // an ip proves nothing
	b.want(create(b.as(alice), "/alice", both(acl(PermAll, "auth", "ignored"), acl(PermRead, "world", "anyone"))), OK)
	n, _ := b.s.Root().Lookup([]byte("/alice"))
	if got := n.ACL().Entries(); !slices.Equal(got, []ACL{{PermAll, alice}, {PermRead, ID{"world", "anyone"}}}) {
		t.Errorf("auth became %v", got)
	}
	if got := n.ACL().Masked(); got[0].ID.ID != "alice:x" || n.ACL().Entries()[0].ID != alice {
		t.Errorf("masked %v", got)
	}
	b.want(b.set("/alice", "", -1), NoAuth)
	b.want(b.create("/alice/x", 0), NoAuth)
	b.want(b.del("/alice", -1), OK) // DELETE on the parent counts
	b.want(create(b.as(alice), "/alice", acl(PermAll, "auth", "")), OK)
	b.want(create(b.as(ID{"super", ""}), "/alice/super", OpenACL), OK)
	b.want(b.del("/alice/super", -1), NoAuth)
	b.rules |= RuleSkipACL
	b.want(b.del("/alice/super", -1), OK)
	b.rules &^= RuleSkipACL
	b.want(b.one(AppendSetACL(nil, &b.h, &SetACL{[]byte("/alice"), OpenACL, -1})), NoAuth)
	b.want(b.one(AppendSetACL(nil, &b.h, &SetACL{[]byte("/none"), nil, -1})), InvalidACL)

	for _, c := range []struct {
		acl  []byte
		want Code
	}{
		{nil, InvalidACL},
		{acl(31, "world", "me"), InvalidACL},
		{acl(31, "unknown", "x"), InvalidACL},
		{acl(31, "super", ""), InvalidACL},
		{acl(31, "sasl", "x"), InvalidACL}, // no provider configured
		{acl(31, "x509", "CN=x"), InvalidACL},
		{acl(31, "digest", "user"), InvalidACL},
		{acl(31, "digest", "user:"), InvalidACL},
		{acl(31, "digest", "a:b:c"), InvalidACL},
		{acl(31, "digest", "a:b"), OK},
		{acl(31, "ip", "1.2.3.4/32"), OK},
		{acl(31, "ip", "1.2.3.4/33"), InvalidACL},
		{acl(31, "ip", "1.2.3"), InvalidACL},
		{acl(31, "ip", "::1/128"), OK},
		{acl(0, "world", "anyone"), OK},
		{acl(-1, "world", "anyone"), OK},
		{AppendACL(nil, 31, nil, []byte("x")), InvalidACL},
		{AppendACL(nil, 31, []byte("digest"), nil), MarshallingError},
		{AppendACL(nil, 31, []byte("world"), nil), MarshallingError},
		{AppendACL(nil, 31, []byte("unknown"), nil), InvalidACL},
		{both(OpenACL, acl(31, "nobody", "x")), InvalidACL},
	} {
		b.want(create(b.h, "/c", c.acl), c.want)
		if c.want == OK {
			b.want(b.del("/c", -1), OK)
		}
	}
	b.rules |= RuleNoDigest
	b.want(create(b.as(alice), "/x", acl(31, "auth", "")), InvalidACL)
	b.want(create(b.as(alice), "/x", acl(31, "digest", "a:b")), InvalidACL)
	b.rules |= RuleX509 | RuleSASL
	b.want(create(b.as(ID{"sasl", "carol"}), "/sasl", acl(31, "auth", "")), OK)
	b.want(create(b.h, "/x509", acl(31, "x509", "CN=x,O=y")), OK)
	b.want(create(b.h, "/kerberos", acl(31, "sasl", "a/b@C@D")), InvalidACL)
}

func TestACLDuplicates(t *testing.T) {
	b := newBed(t)
	h := b.h
	h.Op = OpCreate
	for _, n := range []int{3, 1000} {
		list := slices.Clone(OpenACL)
		list = AppendACL(list, PermRead, []byte("ip"), []byte("1.2.3.4"))
		for range n {
			list = append(list, OpenACL...)
		}
		b.want(b.one(AppendCreate(nil, &h, &Create{Path: []byte("/d"), ACL: list})), OK)
		node, _ := b.s.Root().Lookup([]byte("/d"))
		if got := node.ACL().Entries(); len(got) != 2 || got[0] != openEntries[0] {
			t.Errorf("%v", got)
		}
		b.want(b.del("/d", -1), OK)
	}
}

func TestIPMatches(t *testing.T) {
	for _, c := range []struct {
		addr, entry string
		want        bool
	}{
		{"10.1.2.3", "10.1.2.3", true},
		{"10.1.2.3", "10.0.0.0/8", true},
		{"11.1.2.3", "10.0.0.0/8", false},
		{"10.1.3.255", "10.1.2.0/23", true},
		{"10.1.4.0", "10.1.2.0/23", false},
		{"1.2.3.4", "0.0.0.0/0", true},
		{"1.2.3.4", "1.2.3.4/32", true},
		{"1.2.3.5", "1.2.3.4/31", true},
		{"::1", "0.0.0.0/0", false},
		{"fe80:0:0:0:0:0:0:1", "fe80::/10", true},
		{"fec0::1", "fe80::/10", false},
		{"2001:db8::1", "2001:db8::/32", true},
		{"2001:db9::1", "2001:db8::/32", false},
		{"2001:db8:0:0:0:0:0:1", "2001:db8::1", true},
		{"::ffff:1.2.3.4", "1.2.3.4", false},
		{"1.2.3.4", "nonsense", false},
		{"host", "0.0.0.0/0", false},
		{"1::", "1:0:0:0:0:0:0:0/128", true},
		{"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", false},
		{"1:2:3:4:5:6:7:8", "::/0", true},
	} {
		if got := ipMatches(c.addr, c.entry); got != c.want {
			t.Errorf("%s in %s: %v", c.addr, c.entry, got)
		}
	}
	for _, bad := range []string{
		"", "1", "1.2.3.4.5", "256.1.1.1", "-1.1.1.1", "1.2.3.", ":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9",
		"12345::", "g::", "1:2:3:4:5:6:7::8", "1.2.3.4/", "1.2.3.4/x", "1.2.3.4/-1", "::/129", "1:", "1:2:3:4:5:6:7:8::",
	} {
		if _, _, ok := parseIPRange(bad); ok {
			t.Errorf("%q passes for an address", bad)
		}
	}
}

func TestAllows(t *testing.T) {
	open := (*ACLList)(nil)
	if !open.Allows(PermWrite, nil) || open.Allows(32, nil) || !open.Allows(32, []ID{{"super", ""}}) {
		t.Error("the open list")
	}
	l := internACL(AppendACL(nil, PermRead|PermAdmin, []byte("digest"), []byte("a:b")))
	if !l.Allows(PermRead|PermWrite, []ID{{"digest", "a:b"}}) || l.Allows(PermWrite, []ID{{"digest", "a:b"}}) ||
		l.Allows(PermRead, []ID{{"digest", "a:c"}, {"sasl", "a:b"}}) {
		t.Error("a digest entry")
	}
	if internACL(AppendACL(nil, PermRead|PermAdmin, []byte("digest"), []byte("a:b"))) != l {
		t.Error("equal lists are two pointers")
	}
	if encodedACL(nil) != string(OpenACL) || encodedACL(l) != l.encoded {
		t.Error("stored forms")
	}
}

func TestDigestID(t *testing.T) {
	// The pair of ZooKeeper's documentation of superDigest and of its tests.
	if got := DigestID([]byte("super:test")); got != "super:D/InIHSb7yEEbrWz8b9l71RjZJU=" {
		t.Errorf("%q", got)
	}
	if got := DigestID([]byte("nocolon")); !strings.HasPrefix(got, "nocolon:") {
		t.Errorf("%q", got)
	}
	sha256, err := DigestIDFunc("SHA-256")
	if err != nil {
		t.Fatal(err)
	}
	if got := sha256([]byte("super:test")); got != "super:wjySwxg860UATFtciuZ1lpzrCHrPeov6SPu/ZD56uig=" {
		t.Errorf("%q", got)
	}
	for _, alg := range []string{"", "SHA1", "sha-256", "SHA-384", "SHA-512", "SHA-512/256", "SHA3-256", "SHA3-512", "MD5"} {
		f, err := DigestIDFunc(alg)
		if err != nil || !strings.HasPrefix(f([]byte("a:b")), "a:") {
			t.Errorf("%s: %v", alg, err)
		}
	}
	if _, err := DigestIDFunc("ROT13"); err == nil {
		t.Error("ROT13 passes")
	}
}

// An ACL of auth entries becomes entries times identities: both are the client's choice, the product is bounded.
func TestAuthEntriesDoNotMultiply(t *testing.T) {
	var ids []ID
	for i := range 100 {
		ids = append(ids, ID{"digest", fmt.Sprintf("user%d:%s", i, strings.Repeat("p", 100))})
	}
	entries := func(n int) (b []byte) {
		for i := range n {
			b = AppendACL(b, Perm(i), []byte("auth"), []byte{})
		}
		return b
	}
	if l, code, err := fixACL(entries(31), AppendIDs(nil, ids), 0); err != nil || code != OK || len(l.Entries()) != 3100 {
		t.Errorf("31 entries: %v, %v", code, err)
	}
	if l, code, err := fixACL(entries(40_000), AppendIDs(nil, ids), 0); err != nil || code != InvalidACL || l != nil {
		t.Errorf("40,000 entries: %v, %v", code, err)
	}
}
