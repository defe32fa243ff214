package tree

// ACLList is an immutable list of ACL entries. Equal lists of one process are
// one pointer. The nil list is world:anyone ALL.
type ACLList struct {
	entries []ACL
	encoded string // AppendACL form, the key of interning
	sum     uint64 // stable hash of encoded
}

var openACL = []ACL{{PermAll, ID{"world", "anyone"}}}

// Entries lists the entries; they must not be changed.
func (l *ACLList) Entries() []ACL {
	if l == nil {
		return openACL
	}
	return l.entries
}

// Allows says whether a caller with these identities has one of the permission
// bits of p (PrepRequestProcessor.checkACL, without skipACL).
func (l *ACLList) Allows(p Perm, ids []ID) bool { panic("tree: not landed") }
