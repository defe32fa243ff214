package bench

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"holt/netloop/wire"
)

// fake is a small server that speaks the protocol from one map under one lock, and can be told to do wrong. It is what
// shows that the load generator notices: a real server does not do wrong when asked.
type fake struct {
	listener net.Listener
	wrong    string // what to do wrong; "" nothing

	mu       sync.Mutex
	zxid     int64
	nodes    map[string]*fakeNode
	sessions map[int64]*fakeConn
	next     int64
	gets     int // requests, and
	events   int // so that some of them can go wrong
}

type fakeNode struct {
	data       []byte
	owner      int64
	mzxid      int64
	pzxid      int64
	sequence   int
	children   map[string]bool
	data1      map[*fakeConn]bool // one-shot data watches
	child1     map[*fakeConn]bool
	persistent map[*fakeConn]bool
	recursive  map[*fakeConn]bool
}

type fakeConn struct {
	net.Conn
	session int64
	out     []byte // of the request in hand: events and then the reply
	write   sync.Mutex
}

func newFake(t *testing.T, wrong string) *fake {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{listener: l, wrong: wrong, nodes: map[string]*fakeNode{}, sessions: map[int64]*fakeConn{}}
	f.nodes["/"] = newFakeNode(nil, 0)
	go func() {
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if n > 60 && (wrong == "hangs up" || wrong == "resets") {
				if wrong == "resets" {
					_ = c.(*net.TCPConn).SetLinger(0)
				} else {
					_, _ = c.Read(make([]byte, 100)) // what is unread would make it a reset
				}
				_ = c.Close()
				continue
			}
			go f.serve(&fakeConn{Conn: c})
		}
	}()
	t.Cleanup(func() { l.Close() })
	return f
}

func newFakeNode(data []byte, owner int64) *fakeNode {
	set := func() map[*fakeConn]bool { return map[*fakeConn]bool{} }
	return &fakeNode{data: data, owner: owner, children: map[string]bool{}, data1: set(), child1: set(), persistent: set(), recursive: set()}
}

func (f *fake) serve(c *fakeConn) {
	defer c.Close()
	buf, have := make([]byte, 1<<20), 0
	for {
		n, err := c.Read(buf[have:])
		if err != nil {
			f.mu.Lock()
			for _, node := range f.nodes {
				delete(node.data1, c)
				delete(node.child1, c)
				delete(node.persistent, c)
				delete(node.recursive, c)
			}
			f.mu.Unlock()
			return
		}
		have += n
		b := buf[:have]
		f.mu.Lock()
		for {
			payload, size, err := wire.Frame(b, 1<<20)
			if err != nil || size == 0 {
				break
			}
			b = b[size:]
			err = f.request(c, bytes.Clone(payload))
			if err != nil {
				f.mu.Unlock()
				f.send(c)
				return
			}
		}
		f.mu.Unlock()
		have = copy(buf, b)
		f.send(c)
	}
}

// send writes what is queued for the connection. Events for it may be queued by others.
func (f *fake) send(c *fakeConn) {
	c.write.Lock()
	defer c.write.Unlock()
	f.mu.Lock()
	out := c.out
	c.out = nil
	f.mu.Unlock()
	_, _ = c.Write(out)
}

var errClose = errors.New("close")

func (f *fake) request(c *fakeConn, payload []byte) error {
	r := wire.NewReader(payload)
	if c.session == 0 {
		f.connect(c, &r)
		return nil
	}
	var h wire.RequestHeader
	h.Parse(&r)
	struck := false // what prepares and removes is left alone
	if h.Op == wire.OpGetData {
		f.gets++
		struck = f.gets%1000 == 999
	}
	switch {
	case struck && f.wrong == "hang up":
		return io.EOF
	case struck && f.wrong == "swallow":
		return nil
	}
	if h.Op == wire.OpPing {
		c.out = wire.AppendErrorReply(c.out, wire.XidPing, f.zxid, wire.CodeOK)
		return nil
	}
	code, body := f.apply(c, h.Op, &r)
	if struck && f.wrong == "error" {
		code, body = wire.CodeSystemError, nil
	}
	zxid := f.zxid
	if struck && f.wrong == "zxid" {
		zxid = 1
	}
	start := len(c.out)
	c.out = append(wire.AppendReplyHeader(wire.BeginFrame(c.out), h.Xid, zxid, code), body...)
	wire.EndFrame(c.out, start)
	if h.Op == wire.OpCloseSession {
		return errClose
	}
	return nil
}

func (f *fake) connect(c *fakeConn, r *wire.Reader) {
	var q wire.ConnectRequest
	q.Parse(r)
	if c.session = q.SessionID; c.session == 0 {
		f.next++
		c.session = f.next
	}
	f.sessions[c.session] = c
	p := wire.ConnectReply{TimeoutMs: q.TimeoutMs, SessionID: c.session, Password: make([]byte, wire.PasswordBytes), HasReadOnly: true}
	start := len(c.out)
	c.out = p.Append(wire.BeginFrame(c.out))
	wire.EndFrame(c.out, start)
}

func (f *fake) apply(c *fakeConn, op wire.Op, r *wire.Reader) (wire.Code, []byte) {
	switch op {
	case wire.OpCreate:
		var q wire.CreateRequest
		q.Parse(r)
		return f.create(c, string(q.Path), q.Data, q.Flags)
	case wire.OpDelete:
		var q wire.VersionRequest
		q.Parse(r)
		return f.remove(string(q.Path)), nil
	case wire.OpSetData:
		var q wire.SetDataRequest
		q.Parse(r)
		return f.set(string(q.Path), q.Data)
	case wire.OpMulti:
		m := wire.NewMultiReader(op, r.Rest())
		var o wire.MultiOp
		for m.Next(&o) {
			f.set(string(o.Path), o.Data)
		}
		return wire.CodeOK, nil
	case wire.OpGetData, wire.OpExists, wire.OpGetChildren, wire.OpGetChildren2, wire.OpSync:
		var q wire.WatchRequest
		q.Parse(r)
		return f.read(c, op, string(q.Path), q.Watch)
	case wire.OpAddWatch:
		var q wire.AddWatchRequest
		q.Parse(r)
		n := f.nodes[string(q.Path)]
		if n == nil {
			return wire.CodeNoNode, nil
		}
		if q.Mode == wire.AddWatchPersistentRecursive {
			n.recursive[c] = true
		} else {
			n.persistent[c] = true
		}
		return wire.CodeOK, wire.AppendInt32(nil, 0)
	case wire.OpSetWatches:
		var q wire.SetWatchesRequest
		q.Parse(r)
		f.setWatches(c, &q)
	case wire.OpCloseSession:
		for path, n := range f.nodes {
			if n.owner == c.session {
				f.remove(path)
			}
		}
	}
	return wire.CodeOK, nil
}

func parent(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}

func (f *fake) create(c *fakeConn, path string, data []byte, flags int32) (wire.Code, []byte) {
	above := f.nodes[parent(path)]
	if above == nil {
		return wire.CodeNoNode, nil
	}
	if flags&2 != 0 {
		path += string(appendDigits(nil, uint32(above.sequence), 10))
		above.sequence++
	}
	if f.nodes[path] != nil {
		return wire.CodeNodeExists, nil
	}
	owner := int64(0)
	if flags&1 != 0 {
		owner = c.session
	}
	f.zxid++
	n := newFakeNode(data, owner)
	n.mzxid = f.zxid
	f.nodes[path], above.pzxid = n, f.zxid
	above.children[path[strings.LastIndexByte(path, '/')+1:]] = true
	f.fire(parent(path), wire.EventNodeChildrenChanged, above.child1)
	return wire.CodeOK, wire.AppendString(nil, path)
}

func (f *fake) remove(path string) wire.Code {
	n := f.nodes[path]
	if n == nil {
		return wire.CodeNoNode
	}
	if len(n.children) > 0 {
		return wire.CodeNotEmpty
	}
	f.zxid++
	delete(f.nodes, path)
	above := f.nodes[parent(path)]
	above.pzxid = f.zxid
	delete(above.children, path[strings.LastIndexByte(path, '/')+1:])
	f.fire(path, wire.EventNodeDeleted, n.data1)
	f.fire(parent(path), wire.EventNodeChildrenChanged, above.child1)
	return wire.CodeOK
}

func (f *fake) set(path string, data []byte) (wire.Code, []byte) {
	n := f.nodes[path]
	if n == nil {
		return wire.CodeNoNode, nil
	}
	f.zxid++
	n.data, n.mzxid = data, f.zxid
	f.fire(path, wire.EventNodeDataChanged, n.data1)
	for c := range n.persistent {
		f.tell(c, path, wire.EventNodeDataChanged)
	}
	for above := path; above != "/"; above = parent(above) {
		if n := f.nodes[above]; n != nil {
			for c := range n.recursive {
				f.tell(c, path, wire.EventNodeDataChanged)
			}
		}
	}
	var s wire.Stat
	return wire.CodeOK, s.Append(nil)
}

// fire tells the holders of one-shot watches.
func (f *fake) fire(path string, kind wire.EventType, watchers map[*fakeConn]bool) {
	for c := range watchers {
		f.tell(c, path, kind)
	}
	clear(watchers)
}

// tell queues an event; another goroutine's write brings it out.
func (f *fake) tell(c *fakeConn, path string, kind wire.EventType) {
	f.events++
	times := 1
	if f.wrong == "lose events" && f.events%100 == 99 {
		times = 0
	}
	if f.wrong == "double events" && f.events%100 == 99 {
		times = 2
	}
	for range times {
		c.out = wire.AppendEvent(c.out, f.zxid, kind, path)
	}
	go f.send(c)
}

func (f *fake) read(c *fakeConn, op wire.Op, path string, watch bool) (wire.Code, []byte) {
	n := f.nodes[path]
	if n == nil {
		return wire.CodeNoNode, nil
	}
	if watch && (op == wire.OpGetChildren || op == wire.OpGetChildren2) {
		n.child1[c] = true
	} else if watch {
		n.data1[c] = true
	}
	stat := wire.Stat{Mzxid: n.mzxid, Pzxid: n.pzxid}
	switch op {
	case wire.OpGetData:
		p := wire.DataReply{Data: n.data, Stat: stat}
		return wire.CodeOK, p.Append(nil)
	case wire.OpGetChildren, wire.OpGetChildren2:
		var names []string
		for name := range n.children {
			names = append(names, name)
		}
		slices.Sort(names)
		if f.wrong == "two holders" && len(names) > 2 {
			for _, name := range names {
				if child := f.nodes[path+"/"+name]; child != nil && child.owner == c.session {
					names = []string{name} // everybody is the first
				}
			}
		}
		body := wire.MakeStrings(names...).Append(nil)
		if op == wire.OpGetChildren2 {
			body = stat.Append(body)
		}
		return wire.CodeOK, body
	case wire.OpSync:
		return wire.CodeOK, wire.AppendString(nil, path)
	}
	return wire.CodeOK, stat.Append(nil)
}

func (f *fake) setWatches(c *fakeConn, q *wire.SetWatchesRequest) {
	for path, ok := q.Data.Next(); ok; path, ok = q.Data.Next() {
		n := f.nodes[string(path)]
		switch {
		case n == nil:
		case n.mzxid > q.RelativeZxid:
			f.tell(c, string(path), wire.EventNodeDataChanged)
		default:
			n.data1[c] = true
		}
	}
}
