package wire

// The vector types are views: the bytes of the elements where they were received. Reading one walks it once, so that
// iteration afterwards cannot fail. A count of -1 is null; ZooKeeper takes any other negative count as no elements
// (BinaryInputArchive.BinaryIndex.done), so the views do too. A count beyond the record is noticed on the first
// element that is missing: nothing is ever reserved for it.
//
// The zero value of each is an empty vector, not a null one.

// Strings is a vector<ustring>.
type Strings struct {
	count int32
	raw   []byte
}

// NullStrings is the null vector, length -1 on the wire.
var NullStrings = Strings{count: nullLength}

// Null says whether the vector was sent as null.
func (v Strings) Null() bool { return v.count == nullLength }

// Len is the number of elements left.
func (v Strings) Len() int { return max(int(v.count), 0) }

// Next returns the first element, nil for a null one, and drops it from v. ok is false when none is left. To iterate,
// copy the view: for it := v; ; { s, ok := it.Next() ... }.
func (v *Strings) Next() (s []byte, ok bool) {
	if v.count <= 0 {
		return nil, false
	}
	r := Reader{b: v.raw}
	s = r.String()
	v.count--
	v.raw = r.b
	return s, true
}

// Append encodes the vector.
func (v Strings) Append(dst []byte) []byte {
	return append(AppendInt32(dst, v.count), v.raw...)
}

// MakeStrings builds a view over freshly encoded elements. It is for clients and tests; it allocates.
func MakeStrings(elements ...string) Strings {
	v := Strings{count: int32(len(elements))}
	for _, s := range elements {
		v.raw = AppendString(v.raw, s)
	}
	return v
}

// ACL is one entry of an access control list.
type ACL struct {
	Perms  int32
	Scheme []byte
	ID     []byte
}

// ACLs is a vector<ACL>.
type ACLs struct {
	count int32
	raw   []byte
}

// NullACLs is the null vector, length -1 on the wire.
var NullACLs = ACLs{count: nullLength}

// OpenACL is world:anyone with all permissions, what most clients send.
var OpenACL = MakeACLs(ACL{Perms: PermAll, Scheme: []byte("world"), ID: []byte("anyone")})

// Null says whether the vector was sent as null.
func (v ACLs) Null() bool { return v.count == nullLength }

// Len is the number of entries left.
func (v ACLs) Len() int { return max(int(v.count), 0) }

// Next returns the first entry and drops it from v. ok is false when none is left.
func (v *ACLs) Next() (a ACL, ok bool) {
	if v.count <= 0 {
		return ACL{}, false
	}
	r := Reader{b: v.raw}
	a = ACL{Perms: r.Int32(), Scheme: r.String(), ID: r.String()}
	v.count--
	v.raw = r.b
	return a, true
}

// Append encodes the vector.
func (v ACLs) Append(dst []byte) []byte {
	return append(AppendInt32(dst, v.count), v.raw...)
}

// Raw is the encoded entries without their count: equal lists of the same client have equal bytes, which is enough
// to recognise the common ones.
func (v ACLs) Raw() []byte { return v.raw }

// MakeACLs builds a view over freshly encoded entries. It is for clients and tests; it allocates.
func MakeACLs(entries ...ACL) ACLs {
	v := ACLs{count: int32(len(entries))}
	for _, a := range entries {
		v.raw = AppendACL(v.raw, a.Perms, a.Scheme, a.ID)
	}
	return v
}

// ClientInfo is one identity of a connection, as whoAmI tells it.
type ClientInfo struct {
	AuthScheme []byte
	User       []byte
}

// ClientInfos is a vector<ClientInfo>.
type ClientInfos struct {
	count int32
	raw   []byte
}

// Null says whether the vector was sent as null.
func (v ClientInfos) Null() bool { return v.count == nullLength }

// Len is the number of elements left.
func (v ClientInfos) Len() int { return max(int(v.count), 0) }

// Next returns the first element and drops it from v. ok is false when none is left.
func (v *ClientInfos) Next() (c ClientInfo, ok bool) {
	if v.count <= 0 {
		return ClientInfo{}, false
	}
	r := Reader{b: v.raw}
	c = ClientInfo{AuthScheme: r.String(), User: r.String()}
	v.count--
	v.raw = r.b
	return c, true
}

// Append encodes the vector.
func (v ClientInfos) Append(dst []byte) []byte {
	return append(AppendInt32(dst, v.count), v.raw...)
}
