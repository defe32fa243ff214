package wire

// Replies. A server appends them with the Append functions of their parts (AppendBuffer, AppendStat, AppendInt32 for a count);
// the records here are for those who read replies: clients, the load generator, tests.
//
//	create, sync                  PathRequest
//	create2, createContainer, createTTL  PathStatReply
//	exists, setData, setACL       Stat
//	getData, reconfig             DataReply
//	getACL                        ACLReply
//	getChildren, getEphemerals    StringsReply
//	getChildren2                  ChildrenReply
//	getAllChildrenNumber, addWatch  IntReply
//	whoAmI                        WhoAmIReply
//	sasl                          SASLToken
//	multi, multiRead              MultiResults

// Parse reads the Stat.
func (s *Stat) Parse(r *Reader) bool {
	*s = r.Stat()
	return !r.bad
}

// Append encodes the Stat.
func (s *Stat) Append(dst []byte) []byte { return AppendStat(dst, s) }

// PathStatReply answers create2, createContainer and createTTL.
type PathStatReply struct {
	Path []byte
	Stat Stat
}

// Parse reads the reply.
func (p *PathStatReply) Parse(r *Reader) bool {
	p.Path = r.String()
	p.Stat = r.Stat()
	return !r.bad
}

// Append encodes the reply.
func (p *PathStatReply) Append(dst []byte) []byte {
	return AppendStat(AppendBuffer(dst, p.Path), &p.Stat)
}

// DataReply answers getData and reconfig.
type DataReply struct {
	Data []byte
	Stat Stat
}

// Parse reads the reply.
func (p *DataReply) Parse(r *Reader) bool {
	p.Data = r.Buffer()
	p.Stat = r.Stat()
	return !r.bad
}

// Append encodes the reply.
func (p *DataReply) Append(dst []byte) []byte {
	return AppendStat(AppendBuffer(dst, p.Data), &p.Stat)
}

// ACLReply answers getACL.
type ACLReply struct {
	ACL  ACLs
	Stat Stat
}

// Parse reads the reply.
func (p *ACLReply) Parse(r *Reader) bool {
	p.ACL = r.ACLs()
	p.Stat = r.Stat()
	return !r.bad
}

// Append encodes the reply.
func (p *ACLReply) Append(dst []byte) []byte {
	return AppendStat(p.ACL.Append(dst), &p.Stat)
}

// StringsReply answers getChildren and getEphemerals.
type StringsReply struct {
	Strings Strings
}

// Parse reads the reply.
func (p *StringsReply) Parse(r *Reader) bool {
	p.Strings = r.Strings()
	return !r.bad
}

// Append encodes the reply.
func (p *StringsReply) Append(dst []byte) []byte { return p.Strings.Append(dst) }

// ChildrenReply answers getChildren2.
type ChildrenReply struct {
	Children Strings
	Stat     Stat
}

// Parse reads the reply.
func (p *ChildrenReply) Parse(r *Reader) bool {
	p.Children = r.Strings()
	p.Stat = r.Stat()
	return !r.bad
}

// Append encodes the reply.
func (p *ChildrenReply) Append(dst []byte) []byte {
	return AppendStat(p.Children.Append(dst), &p.Stat)
}

// IntReply answers getAllChildrenNumber (a count) and addWatch (an error code, always 0).
type IntReply struct {
	Value int32
}

// Parse reads the reply.
func (p *IntReply) Parse(r *Reader) bool {
	p.Value = r.Int32()
	return !r.bad
}

// Append encodes the reply.
func (p *IntReply) Append(dst []byte) []byte { return AppendInt32(dst, p.Value) }

// WhoAmIReply answers whoAmI.
type WhoAmIReply struct {
	ClientInfos ClientInfos
}

// Parse reads the reply.
func (p *WhoAmIReply) Parse(r *Reader) bool {
	p.ClientInfos = r.ClientInfos()
	return !r.bad
}

// Append encodes the reply.
func (p *WhoAmIReply) Append(dst []byte) []byte { return p.ClientInfos.Append(dst) }

// AppendClientInfo encodes one element of a whoAmI reply, without the count of the vector it is in.
func AppendClientInfo(dst, scheme, user []byte) []byte {
	return AppendBuffer(AppendBuffer(dst, scheme), user)
}
