package wire

// Every request record has Parse, which reads it in place and says whether it was whole, and Append, which encodes
// it. Byte slices alias what was received; nil is null.

// CreateRequest is the body of create, create2 and createContainer; createTTL adds TTL.
type CreateRequest struct {
	Path  []byte
	Data  []byte
	ACL   ACLs
	Flags int32
	TTLMs int64 // createTTL only
}

// Parse reads the body of create, create2 or createContainer.
func (q *CreateRequest) Parse(r *Reader) bool {
	q.Path = r.String()
	q.Data = r.Buffer()
	q.ACL = r.ACLs()
	q.Flags = r.Int32()
	q.TTLMs = 0
	return !r.bad
}

// Append encodes the body of create, create2 or createContainer.
func (q *CreateRequest) Append(dst []byte) []byte {
	dst = AppendBuffer(dst, q.Path)
	dst = AppendBuffer(dst, q.Data)
	dst = q.ACL.Append(dst)
	return AppendInt32(dst, q.Flags)
}

// ParseTTL reads the body of createTTL.
func (q *CreateRequest) ParseTTL(r *Reader) bool {
	q.Parse(r)
	q.TTLMs = r.Int64()
	return !r.bad
}

// AppendTTL encodes the body of createTTL.
func (q *CreateRequest) AppendTTL(dst []byte) []byte {
	return AppendInt64(q.Append(dst), q.TTLMs)
}

// VersionRequest is the body of delete, and of check in a multi.
type VersionRequest struct {
	Path    []byte
	Version int32
}

// Parse reads the body.
func (q *VersionRequest) Parse(r *Reader) bool {
	q.Path = r.String()
	q.Version = r.Int32()
	return !r.bad
}

// Append encodes the body.
func (q *VersionRequest) Append(dst []byte) []byte {
	return AppendInt32(AppendBuffer(dst, q.Path), q.Version)
}

// WatchRequest is the body of exists, getData, getChildren and getChildren2.
type WatchRequest struct {
	Path  []byte
	Watch bool
}

// Parse reads the body.
func (q *WatchRequest) Parse(r *Reader) bool {
	q.Path = r.String()
	q.Watch = r.Bool()
	return !r.bad
}

// Append encodes the body.
func (q *WatchRequest) Append(dst []byte) []byte {
	return AppendBool(AppendBuffer(dst, q.Path), q.Watch)
}

// PathRequest is the body of getACL, sync, deleteContainer, getEphemerals (a prefix) and getAllChildrenNumber, and of
// the replies to create and sync.
type PathRequest struct {
	Path []byte
}

// Parse reads the body.
func (q *PathRequest) Parse(r *Reader) bool {
	q.Path = r.String()
	return !r.bad
}

// Append encodes the body.
func (q *PathRequest) Append(dst []byte) []byte { return AppendBuffer(dst, q.Path) }

// SetDataRequest is the body of setData.
type SetDataRequest struct {
	Path    []byte
	Data    []byte
	Version int32
}

// Parse reads the body.
func (q *SetDataRequest) Parse(r *Reader) bool {
	q.Path = r.String()
	q.Data = r.Buffer()
	q.Version = r.Int32()
	return !r.bad
}

// Append encodes the body.
func (q *SetDataRequest) Append(dst []byte) []byte {
	dst = AppendBuffer(dst, q.Path)
	dst = AppendBuffer(dst, q.Data)
	return AppendInt32(dst, q.Version)
}

// SetACLRequest is the body of setACL. Version is compared with the node's aversion.
type SetACLRequest struct {
	Path    []byte
	ACL     ACLs
	Version int32
}

// Parse reads the body.
func (q *SetACLRequest) Parse(r *Reader) bool {
	q.Path = r.String()
	q.ACL = r.ACLs()
	q.Version = r.Int32()
	return !r.bad
}

// Append encodes the body.
func (q *SetACLRequest) Append(dst []byte) []byte {
	dst = AppendBuffer(dst, q.Path)
	dst = q.ACL.Append(dst)
	return AppendInt32(dst, q.Version)
}

// ReconfigRequest is the body of reconfig. The strings are null where they do not apply.
type ReconfigRequest struct {
	Joining    []byte // server.N=... lines, comma separated
	Leaving    []byte // server numbers, comma separated
	NewMembers []byte // the whole new list
	ConfigID   int64  // config version the caller expects; -1 any
}

// Parse reads the body.
func (q *ReconfigRequest) Parse(r *Reader) bool {
	q.Joining = r.String()
	q.Leaving = r.String()
	q.NewMembers = r.String()
	q.ConfigID = r.Int64()
	return !r.bad
}

// Append encodes the body.
func (q *ReconfigRequest) Append(dst []byte) []byte {
	dst = AppendBuffer(dst, q.Joining)
	dst = AppendBuffer(dst, q.Leaving)
	dst = AppendBuffer(dst, q.NewMembers)
	return AppendInt64(dst, q.ConfigID)
}

// WatchTypeRequest is the body of checkWatches and removeWatches.
type WatchTypeRequest struct {
	Path []byte
	Type WatchType
}

// Parse reads the body.
func (q *WatchTypeRequest) Parse(r *Reader) bool {
	q.Path = r.String()
	q.Type = WatchType(r.Int32())
	return !r.bad
}

// Append encodes the body.
func (q *WatchTypeRequest) Append(dst []byte) []byte {
	return AppendInt32(AppendBuffer(dst, q.Path), int32(q.Type))
}

// AddWatchRequest is the body of addWatch.
type AddWatchRequest struct {
	Path []byte
	Mode AddWatchMode
}

// Parse reads the body.
func (q *AddWatchRequest) Parse(r *Reader) bool {
	q.Path = r.String()
	q.Mode = AddWatchMode(r.Int32())
	return !r.bad
}

// Append encodes the body.
func (q *AddWatchRequest) Append(dst []byte) []byte {
	return AppendInt32(AppendBuffer(dst, q.Path), int32(q.Mode))
}

// AuthRequest is the body of an auth packet.
type AuthRequest struct {
	Type   int32 // 0
	Scheme []byte
	Auth   []byte
}

// Parse reads the body.
func (q *AuthRequest) Parse(r *Reader) bool {
	q.Type = r.Int32()
	q.Scheme = r.String()
	q.Auth = r.Buffer()
	return !r.bad
}

// Append encodes the body.
func (q *AuthRequest) Append(dst []byte) []byte {
	dst = AppendInt32(dst, q.Type)
	dst = AppendBuffer(dst, q.Scheme)
	return AppendBuffer(dst, q.Auth)
}

// SetWatchesRequest is the body of setWatches; setWatches2 adds the last two lists.
type SetWatchesRequest struct {
	RelativeZxid        int64 // the last zxid the client saw
	Data                Strings
	Exist               Strings
	Child               Strings
	Persistent          Strings
	PersistentRecursive Strings
}

// Parse reads the body of setWatches.
func (q *SetWatchesRequest) Parse(r *Reader) bool {
	q.RelativeZxid = r.Int64()
	q.Data = r.Strings()
	q.Exist = r.Strings()
	q.Child = r.Strings()
	q.Persistent, q.PersistentRecursive = Strings{}, Strings{}
	return !r.bad
}

// Append encodes the body of setWatches.
func (q *SetWatchesRequest) Append(dst []byte) []byte {
	dst = AppendInt64(dst, q.RelativeZxid)
	dst = q.Data.Append(dst)
	dst = q.Exist.Append(dst)
	return q.Child.Append(dst)
}

// Parse2 reads the body of setWatches2.
func (q *SetWatchesRequest) Parse2(r *Reader) bool {
	q.Parse(r)
	q.Persistent = r.Strings()
	q.PersistentRecursive = r.Strings()
	return !r.bad
}

// Append2 encodes the body of setWatches2.
func (q *SetWatchesRequest) Append2(dst []byte) []byte {
	dst = q.Append(dst)
	dst = q.Persistent.Append(dst)
	return q.PersistentRecursive.Append(dst)
}

// SASLToken is the body of sasl, request and reply.
type SASLToken struct {
	Token []byte
}

// Parse reads the token.
func (q *SASLToken) Parse(r *Reader) bool {
	q.Token = r.Buffer()
	return !r.bad
}

// Append encodes the token.
func (q *SASLToken) Append(dst []byte) []byte { return AppendBuffer(dst, q.Token) }
