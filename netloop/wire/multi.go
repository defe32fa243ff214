package wire

// MultiHeaderBytes is the encoded size of a MultiHeader.
const MultiHeaderBytes = 9

// AppendMultiHeader encodes a MultiHeader.
//
//	0     4     5    9
//	type  done  err
//
// In requests err is -1. Before a successful result it is 0, before an error result it is the code.
func AppendMultiHeader(dst []byte, op Op, done bool, err Code) []byte {
	dst = AppendInt32(dst, int32(op))
	dst = AppendBool(dst, done)
	return AppendInt32(dst, int32(err))
}

// AppendMultiEnd encodes the header that ends the operations of a request, and the results of a reply.
func AppendMultiEnd(dst []byte) []byte { return AppendMultiHeader(dst, OpError, true, -1) }

// AppendMultiOK encodes the header of a successful result. What the operation answers follows: path for OpCreate; path and
// Stat for OpCreate2, which stands for createContainer and createTTL too; Stat for OpSetData; nothing for OpDelete
// and OpCheck; for a multiRead the ordinary reply of OpGetChildren or OpGetData.
func AppendMultiOK(dst []byte, op Op) []byte { return AppendMultiHeader(dst, op, false, CodeOK) }

// AppendMultiError encodes the whole result of a failed operation; in a failed multi that is each operation, with CodeOK
// before the one that failed and CodeRuntimeInconsistency after it.
func AppendMultiError(dst []byte, err Code) []byte {
	return AppendInt32(AppendMultiHeader(dst, OpError, false, err), int32(err))
}

// MultiOp is one operation of a multi or multiRead. Op says which fields it has.
type MultiOp struct {
	Op      Op
	Path    []byte
	Data    []byte // create*, setData
	ACL     ACLs   // create*
	Flags   int32  // create*
	TTLMs   int64  // createTTL
	Version int32  // delete, setData, check
	Watch   bool   // getChildren, getData
}

// MultiReader iterates over the operations of a multi or multiRead request.
//
//	m := wire.NewMultiReader(wire.OpMulti, body)
//	for m.Next(&op) { ... }
//	if m.Bad() { answer MarshallingError for the whole request }
//
// ZooKeeper decodes both requests alike and only then finds that the operations are of the other request's kind; that
// shows in the answer to a multiRead, and is what Foreign tells (MultiOperationRecord, FinalRequestProcessor).
type MultiReader struct {
	r       Reader
	read    bool // multiRead
	begun   bool
	done    bool
	foreign bool
}

// NewMultiReader reads the body of a request of type op: OpMulti or OpMultiRead.
func NewMultiReader(op Op, body []byte) MultiReader {
	return MultiReader{r: NewReader(body), read: op == OpMultiRead}
}

// Bad says whether iteration ended at an operation that is cut short or is not allowed in this kind of request. It is known only
// after Next returned false.
func (m *MultiReader) Bad() bool { return m.r.bad }

// Foreign says whether the request is whole but its operations, all of them, belong into the other kind of request. It is
// Bad then too.
func (m *MultiReader) Foreign() bool { return m.foreign }

// Rest is what follows the end header.
func (m *MultiReader) Rest() []byte { return m.r.b }

// Next reads the next operation into op. It returns false after the last one and when the request is malformed.
func (m *MultiReader) Next(op *MultiOp) bool {
	if m.done || m.r.bad {
		return false
	}
	if m.done = !op.parse(&m.r); m.done || m.r.bad {
		return false
	}
	if op.reads() == m.read {
		m.begun = true
		return true
	}
	// A mixture is refused; of a whole list of the other kind one wants to know that it is whole.
	for other := *op; !m.begun && !m.r.bad && !m.foreign; {
		if m.foreign = !other.parse(&m.r) && !m.r.bad; !m.foreign && other.reads() == m.read {
			m.begun = true
		}
	}
	m.r.fail()
	return false
}

// reads says whether the operation belongs into a multiRead.
func (o *MultiOp) reads() bool { return o.Op == OpGetData || o.Op == OpGetChildren }

// parse reads one operation with its header. It returns false at the header that ends the list.
func (o *MultiOp) parse(r *Reader) bool {
	*o = MultiOp{Op: Op(r.Int32())}
	done := r.Bool()
	r.Int32() // err has no meaning in a request
	if done || r.bad {
		return false
	}
	switch o.Op {
	case OpCreate, OpCreate2, OpCreateContainer, OpCreateTTL:
		o.Path = r.String()
		o.Data = r.Buffer()
		o.ACL = r.ACLs()
		o.Flags = r.Int32()
		if o.Op == OpCreateTTL {
			o.TTLMs = r.Int64()
		}
	case OpDelete, OpCheck:
		o.Path = r.String()
		o.Version = r.Int32()
	case OpSetData:
		o.Path = r.String()
		o.Data = r.Buffer()
		o.Version = r.Int32()
	case OpGetChildren, OpGetData:
		o.Path = r.String()
		o.Watch = r.Bool()
	default:
		r.fail()
	}
	return true
}

// Append encodes the operation with its header. An operation that no multi may hold is encoded as its header alone.
func (o *MultiOp) Append(dst []byte) []byte {
	dst = AppendMultiHeader(dst, o.Op, false, -1)
	switch o.Op {
	case OpCreate, OpCreate2, OpCreateContainer, OpCreateTTL:
		dst = AppendBuffer(dst, o.Path)
		dst = AppendBuffer(dst, o.Data)
		dst = o.ACL.Append(dst)
		dst = AppendInt32(dst, o.Flags)
		if o.Op == OpCreateTTL {
			dst = AppendInt64(dst, o.TTLMs)
		}
	case OpDelete, OpCheck:
		dst = AppendBuffer(dst, o.Path)
		dst = AppendInt32(dst, o.Version)
	case OpSetData:
		dst = AppendBuffer(dst, o.Path)
		dst = AppendBuffer(dst, o.Data)
		dst = AppendInt32(dst, o.Version)
	case OpGetChildren, OpGetData:
		dst = AppendBuffer(dst, o.Path)
		dst = AppendBool(dst, o.Watch)
	}
	return dst
}

// MultiResult is one result of a multi or multiRead. Op says which fields it has; OpError means that only Err has.
type MultiResult struct {
	Op       Op
	Err      Code
	Path     []byte  // create, create2
	Stat     Stat    // create2, setData, getData
	Data     []byte  // getData
	Children Strings // getChildren
}

// MultiResults iterates over the results in the reply to a multi or multiRead, in the way of MultiReader.
type MultiResults struct {
	r    Reader
	done bool
}

// NewMultiResults reads the body of a reply.
func NewMultiResults(body []byte) MultiResults { return MultiResults{r: NewReader(body)} }

// Bad says whether iteration ended at a result that is cut short or unknown.
func (m *MultiResults) Bad() bool { return m.r.bad }

// Rest is what follows the end header.
func (m *MultiResults) Rest() []byte { return m.r.b }

// Next reads the next result. It returns false after the last one and when the reply is malformed.
func (m *MultiResults) Next(res *MultiResult) bool {
	if m.done || m.r.bad {
		return false
	}
	*res = MultiResult{Op: Op(m.r.Int32())}
	m.done = m.r.Bool()
	res.Err = Code(m.r.Int32())
	if m.done || m.r.bad {
		return false
	}
	res.parse(&m.r)
	return !m.r.bad
}

func (res *MultiResult) parse(r *Reader) {
	switch res.Op {
	case OpCreate:
		res.Path = r.String()
	case OpCreate2:
		res.Path = r.String()
		res.Stat = r.Stat()
	case OpDelete, OpCheck:
	case OpSetData:
		res.Stat = r.Stat()
	case OpGetChildren:
		res.Children = r.Strings()
	case OpGetData:
		res.Data = r.Buffer()
		res.Stat = r.Stat()
	case OpError:
		res.Err = Code(r.Int32())
	default:
		r.fail()
	}
}

// Append encodes the result with its header.
func (res *MultiResult) Append(dst []byte) []byte {
	if res.Op == OpError {
		return AppendMultiError(dst, res.Err)
	}
	dst = AppendMultiOK(dst, res.Op)
	switch res.Op {
	case OpCreate:
		dst = AppendBuffer(dst, res.Path)
	case OpCreate2:
		dst = AppendStat(AppendBuffer(dst, res.Path), &res.Stat)
	case OpSetData:
		dst = AppendStat(dst, &res.Stat)
	case OpGetChildren:
		dst = res.Children.Append(dst)
	case OpGetData:
		dst = AppendStat(AppendBuffer(dst, res.Data), &res.Stat)
	}
	return dst
}
