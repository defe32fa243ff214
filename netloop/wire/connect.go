package wire

// PasswordBytes is the size of a session password. The C client cannot read any other size.
const PasswordBytes = 16

// ConnectRequest is the first frame of a connection; it has no header. Clients up to 3.3 and several others leave the last
// byte out, and then the reply must not have it either.
//
//	0        4          12       16         24   28        len+28
//	version  last zxid  timeout  sessionId  len  password  [readOnly]
type ConnectRequest struct {
	ProtocolVersion int32
	LastZxidSeen    int64
	TimeoutMs       int32
	SessionID       int64
	Password        []byte
	ReadOnly        bool
	HasReadOnly     bool // the readOnly byte was sent
}

// Parse reads the request.
func (c *ConnectRequest) Parse(r *Reader) bool {
	c.ProtocolVersion = r.Int32()
	c.LastZxidSeen = r.Int64()
	c.TimeoutMs = r.Int32()
	c.SessionID = r.Int64()
	c.Password = r.Buffer()
	c.HasReadOnly = !r.bad && len(r.b) > 0
	c.ReadOnly = c.HasReadOnly && r.Bool()
	return !r.bad
}

// Append encodes the request.
func (c *ConnectRequest) Append(dst []byte) []byte {
	dst = AppendInt32(dst, c.ProtocolVersion)
	dst = AppendInt64(dst, c.LastZxidSeen)
	dst = AppendInt32(dst, c.TimeoutMs)
	dst = AppendInt64(dst, c.SessionID)
	dst = AppendBuffer(dst, c.Password)
	if c.HasReadOnly {
		dst = AppendBool(dst, c.ReadOnly)
	}
	return dst
}

// ConnectReply answers a ConnectRequest; it has no header. A refused session has TimeoutMs 0, SessionID 0 and 16 zero
// bytes, and the connection closes.
//
//	0        4        8          16   20        36
//	version  timeout  sessionId  len  password  [readOnly]
type ConnectReply struct {
	ProtocolVersion int32
	TimeoutMs       int32
	SessionID       int64
	Password        []byte
	ReadOnly        bool // the server is in read-only mode
	HasReadOnly     bool // send the byte: the request had it
}

// Parse reads the reply.
func (c *ConnectReply) Parse(r *Reader) bool {
	c.ProtocolVersion = r.Int32()
	c.TimeoutMs = r.Int32()
	c.SessionID = r.Int64()
	c.Password = r.Buffer()
	c.HasReadOnly = !r.bad && len(r.b) > 0
	c.ReadOnly = c.HasReadOnly && r.Bool()
	return !r.bad
}

// Append encodes the reply.
func (c *ConnectReply) Append(dst []byte) []byte {
	dst = AppendInt32(dst, c.ProtocolVersion)
	dst = AppendInt32(dst, c.TimeoutMs)
	dst = AppendInt64(dst, c.SessionID)
	dst = AppendBuffer(dst, c.Password)
	if c.HasReadOnly {
		dst = AppendBool(dst, c.ReadOnly)
	}
	return dst
}
