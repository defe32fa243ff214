package netloop

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"holt/netloop/wire"
	"holt/quorum"
	"holt/tree"
)

// eventually polls until what says "".
func eventually(t *testing.T, what func() string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		s := what()
		if s == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(s)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func TestBadBytes(t *testing.T) {
	s, addr := startServer(t, newFakeQuorum(t), func(c *Config) { c.SessionlessTimeoutMs = 300 })
	healthy := openRaw(t, addr)
	for name, b := range map[string][]byte{
		"negative length":        {0xff, 0xff, 0xff, 0xf0, 1, 2, 3},
		"oversize length":        {0x7f, 0, 0, 0, 1},
		"empty ConnectRequest":   {0, 0, 0, 0},
		"short ConnectRequest":   {0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0},
		"garbage":                bytes.Repeat([]byte{0xa5, 0x5a}, 4000),
		"silence":                nil,
		"half of ConnectRequest": {0, 0, 0, 45, 0, 0, 0, 0, 0},
		"half of a length":       {0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := dialRaw(t, addr)
			c.out = b
			c.send()
			c.ended()
		})
	}
	for name, b := range map[string][]byte{
		"negative length in a session": {0x80, 0, 0, 0},
		"oversize length in a session": {0, 0x20, 0, 0},
		"word in a session":            []byte("ruok"),
		"header cut short":             {0, 0, 0, 4, 0, 0, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c := openRaw(t, addr)
			c.out = b
			c.send()
			c.ended()
		})
	}
	if p := healthy.call(1, wire.OpExists, watchBody("/", false)); p.Err != 0 {
		t.Errorf("a healthy client got %v", p.Err)
	}
	eventually(t, func() string {
		if n := s.connections(); n != 1 {
			return fmt.Sprintf("%d connections are left, want 1", n)
		}
		return ""
	})
}

func TestMalformedAndUnknownRequests(t *testing.T) {
	_, addr := startServer(t, newFakeQuorum(t), nil)
	c := openRaw(t, addr)
	before := c.call(1, wire.OpPing, nil).Zxid
	if p := c.call(2, wire.OpGetData, nil); p.Err != wire.CodeMarshallingError {
		t.Errorf("malformed read: %v", p.Err)
	}
	if p := c.call(3, wire.OpCreate, pathBody("/x")); p.Err != wire.CodeMarshallingError || p.Zxid != before {
		t.Errorf("malformed write: %v, zxid %d after %d", p.Err, p.Zxid, before)
	}
	null := wire.VersionRequest{}
	if p := c.call(3, wire.OpDelete, null.Append); p.Err != wire.CodeMarshallingError || p.Zxid != before+1 {
		t.Errorf("write with a null path: %v, zxid %d after %d", p.Err, p.Zxid, before)
	}
	if p := c.call(4, wire.OpGetData, watchBody("/", false)); p.Err != 0 {
		t.Errorf("the connection did not survive: %v", p.Err)
	}
	// The unknown request is answered in its turn, and nothing after it is.
	c.add(5, wire.OpSetData, setBody("/", "x"))
	c.add(6, wire.Op(4242), nil)
	c.add(7, wire.OpPing, nil)
	c.send()
	if p := c.reply(); p.Xid != 5 || p.Err != 0 {
		t.Errorf("reply %+v", p)
	}
	if p := c.reply(); p.Xid != 6 || p.Err != wire.CodeUnimplemented || p.Zxid != -1 {
		t.Errorf("reply %+v", p)
	}
	c.ended()
	again := dialRaw(t, addr)
	again.connect(wire.ConnectRequest{TimeoutMs: 4000, SessionID: c.session.SessionID, Password: c.session.Password})
	if again.session.SessionID != c.session.SessionID {
		t.Error("the session did not survive an unknown request")
	}
}

func TestConnect(t *testing.T) {
	_, addr := startServer(t, newFakeQuorum(t), nil)
	c := openRaw(t, addr)
	if c.session.HasReadOnly || c.session.TimeoutMs != 4000 || c.session.SessionID>>56 != 1 {
		t.Errorf("reply %+v", c.session)
	}
	ro := dialRaw(t, addr)
	ro.connect(wire.ConnectRequest{TimeoutMs: 1, Password: make([]byte, 16), HasReadOnly: true})
	if !ro.session.HasReadOnly || ro.session.ReadOnly || ro.session.TimeoutMs != 400 {
		t.Errorf("reply %+v", ro.session)
	}
	ahead := dialRaw(t, addr)
	q := wire.ConnectRequest{TimeoutMs: 4000, LastZxidSeen: 1 << 50, Password: make([]byte, 16)}
	ahead.out = appendFrame(nil, q.Append)
	ahead.send()
	ahead.ended()

	c.call(1, wire.OpCreate, createBody("/e", "", 1))
	for name, password := range map[string][]byte{"wrong": make([]byte, 16), "short": {1}, "null": nil} {
		wrong := dialRaw(t, addr)
		wrong.connect(wire.ConnectRequest{TimeoutMs: 4000, SessionID: c.session.SessionID, Password: password})
		if s := wrong.session; s.TimeoutMs != 0 || s.SessionID != 0 || !bytes.Equal(s.Password, make([]byte, 16)) {
			t.Errorf("%s password: reply %+v", name, s)
		}
		wrong.ended()
	}
	if p := c.call(2, wire.OpExists, watchBody("/e", false)); p.Err != 0 {
		t.Errorf("a wrong password dropped the healthy connection: %v", p.Err)
	}

	second := dialRaw(t, addr)
	second.connect(wire.ConnectRequest{TimeoutMs: 2000, SessionID: c.session.SessionID, Password: c.session.Password})
	if second.session.SessionID != c.session.SessionID || second.session.TimeoutMs != 2000 {
		t.Errorf("attach: reply %+v", second.session)
	}
	c.ended()
	if p := second.call(1, wire.OpExists, watchBody("/e", false)); p.Err != 0 {
		t.Errorf("the ephemeral is gone after a move: %v", p.Err)
	}
	if p := second.call(2, wire.OpCloseSession, nil); p.Err != 0 {
		t.Errorf("closeSession: %v", p.Err)
	}
	second.ended()
	if p := ro.call(1, wire.OpExists, watchBody("/e", false)); p.Err != wire.CodeNoNode {
		t.Errorf("the ephemeral of a closed session: %v", p.Err)
	}
	gone := dialRaw(t, addr)
	gone.connect(wire.ConnectRequest{TimeoutMs: 4000, SessionID: c.session.SessionID, Password: c.session.Password})
	if gone.session.SessionID != 0 {
		t.Errorf("attach to a closed session: %+v", gone.session)
	}
}

// TestPipelinedConnect: ConnectRequest and first requests in one segment, or byte by byte.
func TestPipelinedConnect(t *testing.T) {
	_, addr := startServer(t, newFakeQuorum(t), nil)
	for _, step := range []int{1, 3, 1000} {
		c := dialRaw(t, addr)
		q := wire.ConnectRequest{TimeoutMs: 4000, Password: make([]byte, 16)}
		c.out = appendFrame(nil, q.Append)
		c.add(1, wire.OpExists, watchBody("/", false))
		c.add(2, wire.OpCreate, createBody(fmt.Sprintf("/c%d", step), "", 0))
		for b := c.out; len(b) > 0; {
			n := min(step, len(b))
			if _, err := c.conn.Write(b[:n]); err != nil {
				t.Fatal(err)
			}
			b = b[n:]
		}
		c.frame()
		for xid := wire.Xid(1); xid <= 2; xid++ {
			if p := c.reply(); p.Xid != xid || p.Err != 0 {
				t.Errorf("step %d: reply %+v", step, p)
			}
		}
	}
}

func TestConnectionLimits(t *testing.T) {
	_, addr := startServer(t, newFakeQuorum(t), func(c *Config) { c.MaxClientConns = 3 })
	var open []*rawClient
	for range 3 {
		open = append(open, openRaw(t, addr))
	}
	if c, err := tryDialRaw(t, addr); err == nil { // a refusal may come before the handshake was looked at
		c.ended()
	} else if !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
	open[0].conn.Close()
	eventually(t, func() string {
		c, err := tryDialRaw(t, addr)
		if err != nil {
			return err.Error()
		}
		q := wire.ConnectRequest{TimeoutMs: 4000, Password: make([]byte, 16)}
		c.out = appendFrame(nil, q.Append)
		if _, err := c.conn.Write(c.out); err != nil {
			return err.Error()
		}
		if _, err := c.maybeFrame(); err != nil {
			return "the place of a closed connection is not given back: " + err.Error()
		}
		return ""
	})
}

// TestOutOfFileDescriptors: accept fails for a while; the server lives and goes on.
func TestOutOfFileDescriptors(t *testing.T) {
	s, addr := startServer(t, newFakeQuorum(t), nil)
	port := s.acceptor.listener.Addr().(*net.TCPAddr).Port
	before := openRaw(t, addr)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	// The lowest free descriptor decides whether accept succeeds.
	low := syscall.Rlimit{Cur: 3, Max: old.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	restored := false
	restore := func() {
		if !restored {
			restored = true
			if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
				t.Error(err)
			}
		}
	}
	defer restore()
	to := &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
	if err := syscall.Connect(fd, to); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if s.acceptor.failures.Load() < 3 {
			return "accept did not fail"
		}
		return ""
	})
	if p := before.call(1, wire.OpPing, nil); p.Err != 0 {
		t.Errorf("a connected client got %v", p.Err)
	}
	restore()
	if p := openRaw(t, addr).call(1, wire.OpPing, nil); p.Err != 0 {
		t.Errorf("a new client got %v", p.Err)
	}
}

// TestN6_ReaderThatDoesNotRead: its requests wait while it does not read, and all are answered when it does.
func TestN6_ReaderThatDoesNotRead(t *testing.T) {
	s, addr := startServer(t, newFakeQuorum(t), nil)
	c := openRaw(t, addr)
	const size, n = 500_000, 200
	c.call(1, wire.OpCreate, createBody("/big", string(make([]byte, size)), 0))
	for i := range n {
		c.add(i+2, wire.OpGetData, watchBody("/big", false))
	}
	c.send()
	most := int64(0)
	for range 100 {
		time.Sleep(time.Millisecond)
		s.loops[0].do(func() {
			if k := s.loops[0].conns[0]; k != nil {
				most = max(most, int64(k.link.Outbound()+len(k.out)))
			}
		})
	}
	for i := range n {
		if p := c.reply(); int(p.Xid) != i+2 || p.Err != 0 {
			t.Fatalf("reply %+v", p.ReplyHeader)
		}
	}
	done := make(chan struct{})
	s.loops[0].do(func() { close(done) })
	<-done
	if limit := int64(outboundBytesSoft + turnBytesMax + 2*size); most > limit || most == 0 {
		t.Errorf("%d bytes waited to be sent, at most %d may", most, limit)
	}
}

// TestN6_WatcherThatDoesNotRead: events cannot be held back, so it is closed.
func TestN6_WatcherThatDoesNotRead(t *testing.T) {
	s, addr := startServer(t, newFakeQuorum(t), func(c *Config) { c.OutboundBytesMax = 2 * outboundBytesSoft })
	deaf := openRaw(t, addr)
	q := wire.AddWatchRequest{Path: []byte("/"), Mode: wire.AddWatchPersistentRecursive}
	deaf.call(1, wire.OpAddWatch, q.Append)
	c := openRaw(t, addr)
	path := "/" + string(bytes.Repeat([]byte{'x'}, 4000))
	c.call(1, wire.OpCreate, createBody(path, "", 0))
	eventually(t, func() string {
		for i := range 200 {
			c.add(i, wire.OpSetData, setBody(path, ""))
		}
		c.send()
		for range 200 {
			c.reply()
		}
		if s.cfg.Metrics.ConnsSlow.Value() == 0 {
			return "the watcher was not closed"
		}
		return ""
	})
	if _, err := io.Copy(io.Discard, deaf.conn); err != nil {
		t.Log(err)
	}
}

// TestN6_ClientThatSendsTooMuch: while writes are not answered the socket is not read.
func TestN6_ClientThatSendsTooMuch(t *testing.T) {
	q := newFakeQuorum(t)
	s, addr := startServer(t, q, nil)
	c := openRaw(t, addr)
	c.call(1, wire.OpCreate, createBody("/n", "", 0))
	var held atomic.Bool
	held.Store(true)
	q.set(func() {
		q.pace = func() {
			for held.Load() {
				time.Sleep(time.Millisecond)
			}
		}
	})
	const n = 64
	data := string(make([]byte, 500_000))
	sent := make(chan int, 1)
	go func() {
		var b []byte
		total := 0
		for i := range n {
			b = appendFrame(b[:0], func(b []byte) []byte {
				return setBody("/n", data)(wire.AppendRequestHeader(b, wire.Xid(i+2), wire.OpSetData))
			})
			for range 40 {
				b = appendFrame(b, func(b []byte) []byte { return wire.AppendRequestHeader(b, wire.XidPing, wire.OpPing) })
			}
			if _, err := c.conn.Write(b); err != nil {
				break
			}
			total++
		}
		sent <- total
	}()
	time.Sleep(300 * time.Millisecond)
	held.Store(false)
	for i := range n {
		if p := c.reply(); int(p.Xid) != i+2 {
			t.Fatalf("reply %+v", p.ReplyHeader)
		}
		for range 40 {
			if p := c.reply(); p.Xid != wire.XidPing {
				t.Fatalf("reply %+v", p.ReplyHeader)
			}
		}
	}
	if <-sent != n {
		t.Error("the client was cut off")
	}
	if out := s.outstanding.Load(); out != 0 {
		t.Errorf("%d writes are counted as outstanding", out)
	}
	if in := s.inboundAll.Load(); in != 0 {
		t.Errorf("%d bytes are counted as unread", in)
	}
}

func TestN6_OutstandingLimit(t *testing.T) {
	q := newFakeQuorum(t)
	s, addr := startServer(t, q, func(c *Config) { c.OutstandingMax = 10; c.OutstandingPerConn = 50 })
	c := openRaw(t, addr)
	c.call(1, wire.OpCreate, createBody("/n", "", 0))
	var held atomic.Bool
	held.Store(true)
	q.set(func() {
		q.pace = func() {
			for held.Load() {
				time.Sleep(time.Millisecond)
			}
		}
	})
	const n = 2000
	for i := range n {
		c.add(i+2, wire.OpSetData, setBody("/n", "x"))
	}
	go c.conn.Write(c.out)
	time.Sleep(50 * time.Millisecond)
	if out := s.outstanding.Load(); out > 11 {
		t.Errorf("N6: %d writes are outstanding, 10 may be", out)
	}
	held.Store(false)
	for i := range n {
		if p := c.reply(); int(p.Xid) != i+2 || p.Err != 0 {
			t.Fatalf("reply %+v", p.ReplyHeader)
		}
	}
}

// TestBusyAndUnavailable: a full proposal queue delays, a full log refuses; order is kept, reads go on.
func TestBusyAndUnavailable(t *testing.T) {
	q := newFakeQuorum(t)
	s, addr := startServer(t, q, nil)
	a, b := openRaw(t, addr), openRaw(t, addr)
	a.call(1, wire.OpCreate, createBody("/n", "", 0))

	q.set(func() { q.refuse = quorum.ErrBusy })
	for i, c := range []*rawClient{a, b} {
		for j := range 10 {
			c.add(10+2*j, wire.OpSetData, setBody("/n", fmt.Sprint(i, j)))
			c.add(11+2*j, wire.OpGetData, watchBody("/n", false))
		}
		c.send()
		time.Sleep(20 * time.Millisecond)
	}
	if p := openOnly(t, addr); p != nil {
		t.Errorf("a session was opened while the queue was full: %v", p)
	}
	q.set(func() { q.refuse = nil })
	s.Drained()
	for _, c := range []*rawClient{a, b} {
		for j := range 20 {
			if p := c.reply(); int(p.Xid) != 10+j || p.Err != 0 {
				t.Fatalf("reply %+v", p.ReplyHeader)
			}
		}
	}

	q.set(func() { q.refuse = quorum.ErrUnavailable })
	a.add(40, wire.OpSetData, setBody("/n", "no"))
	a.add(41, wire.OpGetData, watchBody("/n", false))
	a.add(42, wire.OpSync, pathBody("/n"))
	a.add(43, wire.OpExists, watchBody("/n", false))
	a.send()
	for i, want := range []wire.Code{wire.CodeSystemError, 0, wire.CodeSystemError, 0} {
		if p := a.reply(); int(p.Xid) != 40+i || p.Err != want {
			t.Errorf("reply %+v, want %d with %v", p.ReplyHeader, 40+i, want)
		}
	}
	q.set(func() { q.refuse, q.status.Alone, q.status.Voters = quorum.ErrUnavailable, false, 3 })
	b.add(60, wire.OpSetData, setBody("/n", "elsewhere"))
	b.send()
	b.ended() // a member of several: its client finds another one
	q.set(func() { q.refuse, q.status.Alone = nil, true })
	if p := a.call(50, wire.OpSetData, setBody("/n", "yes")); p.Err != 0 {
		t.Errorf("after the log has space again: %v", p.Err)
	}
	if out := s.outstanding.Load(); out != 0 {
		t.Errorf("%d writes are counted as outstanding", out)
	}
}

// openOnly sends a ConnectRequest and returns what arrives within a moment.
func openOnly(t *testing.T, addr string) []byte {
	c := dialRaw(t, addr)
	q := wire.ConnectRequest{TimeoutMs: 4000, Password: make([]byte, 16)}
	c.out = appendFrame(nil, q.Append)
	c.send()
	c.conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	b := make([]byte, 100)
	n, _ := c.conn.Read(b)
	if n == 0 {
		return nil
	}
	return b[:n]
}

// TestN5_LargeListing: a listing in many pieces is exact, later requests and events come after it, and others are
// served meanwhile.
func TestN5_LargeListing(t *testing.T) {
	q := newFakeQuorum(t)
	_, addr := startServer(t, q, nil)
	c := openRaw(t, addr)
	c.call(1, wire.OpCreate, createBody("/dir", "", 0))
	const n = 30_000
	for i := 0; i < n; i += 500 {
		for j := range 500 {
			c.add(i+j+2, wire.OpCreate, createBody(fmt.Sprintf("/dir/child-number-%06d", i+j), "", 0))
		}
		c.send()
		for range 500 {
			c.reply()
		}
	}
	other := openRaw(t, addr) // only now: silent for long it would expire
	for _, op := range []wire.Op{wire.OpGetChildren, wire.OpGetChildren2} {
		c.add(1, wire.OpExists, watchBody("/dir", false))
		c.add(2, op, watchBody("/dir", true))
		c.add(3, wire.OpPing, nil)
		c.add(4, op, watchBody("/dir", false))
		c.send()
		if p := c.reply(); p.Xid != 1 {
			t.Fatalf("reply %+v", p.ReplyHeader)
		}
		other.call(5, wire.OpCreate, createBody(fmt.Sprintf("/dir/late%d", op), "", 0))
		p := c.reply()
		told := false
		count := listed(t, p, 2, op)
		if count < n || count > n+2 {
			t.Errorf("%d children, want %d or a few more", count, n)
		}
		for _, want := range []wire.Xid{wire.XidPing, 4} {
			p := c.reply()
			if p.Xid == wire.XidEvent {
				told = true
				p = c.reply()
			}
			if p.Xid != want {
				t.Fatalf("reply %+v, want %d", p.ReplyHeader, want)
			}
			if want == 4 {
				// Whether the other client's create came in between is up to chance; the event tells.
				shows := listed(t, p, 4, op) == count+1
				if shows && !told {
					t.Error("N3: the event did not come before the listing that shows its change")
				}
				if told && !shows {
					t.Error("N2: the listing does not show a change that was told before it")
				}
			}
		}
		if !told && c.reply().Xid != wire.XidEvent {
			t.Error("N4: the event is missing")
		}
	}
}

// TestN11_ListingAmongWrites: a listing shows the children that there were when it began, whatever is written and forgotten
// between two pieces of it.
func TestN11_ListingAmongWrites(t *testing.T) {
	out := &framed{}
	l, writer := quietLoop(t, &quiet{})
	reader := l.attach(out, "b", "127.0.0.1")
	out.loop, out.conn = l, reader
	req := wire.ConnectRequest{TimeoutMs: 10000, Password: make([]byte, 16)}
	l.receive(reader, appendFrame(nil, req.Append))
	child := func(i int) string { return fmt.Sprintf("/dir/child-number-%06d", i) }
	write := func(op wire.Op, body func([]byte) []byte) {
		l.receive(writer, frames(1, op, body))
		l.turn()
	}
	write(wire.OpCreate, createBody("/dir", "", 0))
	const n = 30_000
	for i := range n {
		write(wire.OpCreate, createBody(child(i), "", 0))
	}
	l.turn()
	out.out = nil
	l.receive(reader, frames(1, wire.OpGetChildren2, watchBody("/dir", false)))
	between := 0
	for dice := rand.New(rand.NewPCG(1, 1)); len(reader.parts) > 0 && between < n; between++ {
		var b []byte
		for range 50 {
			b = append(b, frames(1, wire.OpDelete, deleteBody(child(dice.IntN(n))))...)
			b = append(b, frames(1, wire.OpCreate, createBody(fmt.Sprintf("/dir/other%06d", dice.IntN(n)), "", 0))...)
		}
		l.receive(writer, b)
	}
	r := wire.NewReader(out.out[wire.FrameHeaderBytes:])
	var h wire.ReplyHeader
	h.Parse(&r)
	names := r.Strings()
	if between < 4 || h.Err != 0 || names.Len() != n {
		t.Fatalf("%+v, %d children, %d times something was written meanwhile", h, names.Len(), between)
	}
	for i := range n {
		if name, _ := names.Next(); "/dir/"+string(name) != child(i) {
			t.Fatalf("child %d is %q", i, name)
		}
	}
	if st := r.Stat(); st.NumChildren != n || r.Bad() {
		t.Errorf("%+v", st)
	}
}

// TestN11_TurnBeginsAmongWrites: what a loop looks at from the start of a turn on stays as it is, whatever is committed before it
// has walked the commits.
func TestN11_TurnBeginsAmongWrites(t *testing.T) {
	l, c := quietLoop(t, &quiet{})
	l.receive(c, frames(1, wire.OpCreate, createBody("/a", "the first", 0)))
	l.receive(c, frames(1, wire.OpSetData, setBody("/a", "as it was")))
	l.turn()
	l.start()
	n, _ := l.root.Lookup([]byte("/a"))
	for range 10 {
		h := tree.CommandHeader{Op: tree.OpSetData, Origin: c.origin(), Session: c.session}
		if err := l.quorum.Propose(0, tree.AppendSetData(nil, &h, &tree.SetData{Path: []byte("/a"), Data: []byte("overdone!"), Version: -1})); err != nil {
			t.Fatal(err)
		}
	}
	if now, _ := l.quorum.Tail().Root.Lookup([]byte("/a")); string(now.Data()) != "overdone!" {
		t.Fatalf("the znode holds %q", now.Data())
	}
	if string(n.Data()) != "as it was" {
		t.Errorf("the znode became %q", n.Data())
	}
	l.advance()
	l.finish()
}

// TestN11_ListingLetsGo: what a listing kept is used again when it has ended, and when its connection goes in the middle of it.
func TestN11_ListingLetsGo(t *testing.T) {
	// Leaves with an ACL of their own are no plain ones, whose slabs may go when they are empty.
	own := wire.MakeACLs(wire.ACL{Perms: wire.PermAll &^ wire.PermAdmin, Scheme: []byte("world"), ID: []byte("anyone")})
	for _, ends := range []string{"all is sent", "the connection goes"} {
		l, c := quietLoop(t, &quiet{})
		const n = 3 * sliceChildrenMax
		path := func(i int) string { return fmt.Sprintf("/d/n%04d", i) }
		var creates, sets []byte
		for i := range n {
			creates = append(creates, frames(1, wire.OpCreate, (&wire.CreateRequest{Path: []byte(path(i)), ACL: own}).Append)...)
			sets = append(sets, frames(1, wire.OpSetData, setBody(path(i), "as many bytes each time"))...)
		}
		write := func() { // all of them in one batch, and then one more batch
			l.receive(c, sets)
			l.receive(c, frames(1, wire.OpSetData, setBody(path(0), "as many bytes each time")))
		}
		l.receive(c, frames(1, wire.OpCreate, createBody("/d", "", 0)))
		l.receive(c, creates)
		write()
		l.turn()
		place := func(i int) *byte {
			z, _ := l.root.Lookup([]byte(path(i)))
			return unsafe.SliceData(z.Data())
		}
		kept := map[*byte]bool{} // which keeps the collector from giving their memory to somebody else
		for i := range n {
			kept[place(i)] = true
		}
		reader := l.attach(&quiet{}, "b", "127.0.0.1")
		req := wire.ConnectRequest{TimeoutMs: 10000, Password: make([]byte, 16)}
		l.receive(reader, appendFrame(nil, req.Append))
		l.turn()
		l.receive(reader, frames(1, wire.OpGetChildren, watchBody("/d", false)))
		if len(reader.parts) == 0 {
			t.Fatal("the listing was sent at once")
		}
		l.receive(c, sets)
		if ends == "all is sent" {
			for range 100 {
				l.turn()
			}
		} else if len(reader.parts) == 0 {
			t.Fatal("the listing was sent too soon")
		} else {
			l.forget(reader)
		}
		if len(reader.parts) > 0 {
			t.Fatalf("%s: %d parts are left", ends, len(reader.parts))
		}
		again := 0
		for range 3 {
			write()
			l.turn()
			for i := range n {
				if kept[place(i)] {
					again++
				}
			}
		}
		if again < n/4 {
			t.Errorf("%s: only %d of what it kept was used again", ends, again)
		}
	}
}

func listed(t *testing.T, p reply, xid wire.Xid, op wire.Op) int {
	t.Helper()
	if p.Xid != xid || p.Err != 0 {
		t.Fatalf("reply %+v, want %d", p.ReplyHeader, xid)
	}
	r := wire.NewReader(p.body)
	names := r.Strings()
	n := names.Len()
	if op == wire.OpGetChildren2 {
		if st := r.Stat(); int(st.NumChildren) != n {
			t.Fatalf("stat says %d children, %d are listed", st.NumChildren, n)
		}
	}
	if r.Bad() || len(r.Rest()) > 0 {
		t.Fatalf("%d bytes follow the listing", len(r.Rest()))
	}
	last := []byte(nil)
	for {
		name, ok := names.Next()
		if !ok {
			return n
		}
		if last != nil && bytes.Compare(name, last) <= 0 {
			t.Fatalf("%q after %q", name, last)
		}
		last = name
	}
}

func TestN7_SessionsExpire(t *testing.T) {
	q := newFakeQuorum(t)
	_, addr := startServer(t, q, func(c *Config) { c.TickMs = 100; c.MinSessionTimeoutMs = 100 })
	watcher := openRaw(t, addr)
	silent := dialRaw(t, addr)
	silent.connect(wire.ConnectRequest{TimeoutMs: 600, Password: make([]byte, 16)})
	silent.call(1, wire.OpCreate, createBody("/gone", "", 1))
	start := time.Now()
	lively := dialRaw(t, addr)
	lively.connect(wire.ConnectRequest{TimeoutMs: 600, Password: make([]byte, 16)})
	lively.call(1, wire.OpCreate, createBody("/stays", "", 1))
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
				lively.add(-2, wire.OpPing, nil)
				lively.send()
				lively.reply()
				watcher.add(-2, wire.OpPing, nil)
			}
		}
	}()
	watcher.call(1, wire.OpExists, watchBody("/gone", true))
	p := watcher.reply()
	if p.Xid != wire.XidEvent {
		t.Errorf("reply %+v", p.ReplyHeader)
	}
	if took := time.Since(start); took < 600*time.Millisecond || took > 3*time.Second {
		t.Errorf("N7: a session of 600 ms expired after %v", took)
	}
	close(stop)
	<-done
	silent.ended()
	if p := watcher.call(2, wire.OpExists, watchBody("/stays", false)); p.Err != 0 {
		t.Errorf("the ephemeral of a live session: %v", p.Err)
	}
}

func TestSessionIDs(t *testing.T) {
	var s sessionIDs
	s.begin(200, 1_700_000_000_000)
	a, b := s.next(), s.next()
	if uint64(a)>>56 != 200 || b != a+1 {
		t.Errorf("ids %x, %x", uint64(a), uint64(b))
	}
	s.last.Store(-1)
	if id := s.next(); id == 0 || id == tree.SessionID(-1<<63) {
		t.Errorf("id %x", uint64(id))
	}
}

func TestFrameNeed(t *testing.T) {
	b := binary.BigEndian.AppendUint32(nil, 1000)
	if n := frameNeed(b[:3]); n != 4 {
		t.Errorf("need %d bytes, want 4", n)
	}
	if n := frameNeed(b); n != 1004 {
		t.Errorf("need %d bytes, want 1004", n)
	}
}

// TestMove: a reconfig may give a member another client port; connections stay. From ZooKeeper's ReconfigTest.testPortChange.
func TestMove(t *testing.T) {
	s, addr := startServer(t, newFakeQuorum(t), nil)
	before := openRaw(t, addr)
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Move(other.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("moving to where another listens: %v", err)
	}
	if p := openRaw(t, addr).call(1, wire.OpPing, nil); p.Err != 0 {
		t.Errorf("after a move that failed a new client got %v", p.Err)
	}
	other.Close()
	if err := s.Move(other.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("the old port is open")
	}
	for _, moved := range []string{other.Addr().String(), ":" + strconv.Itoa(s.Addr().(*net.TCPAddr).Port)} {
		if err := s.Move(moved); err != nil {
			t.Fatal(err)
		}
		if p := openRaw(t, other.Addr().String()).call(1, wire.OpPing, nil); p.Err != 0 {
			t.Errorf("a client of %s got %v", moved, p.Err)
		}
	}
	if p := before.call(1, wire.OpPing, nil); p.Err != 0 {
		t.Errorf("the client that was there got %v", p.Err)
	}
}

// TestLastReplies: a connection that is to be closed stays until its client has read what it is owed, or has read nothing for
// lingerMax: gnet drops what a Close finds unsent.
func TestLastReplies(t *testing.T) {
	for _, reads := range []bool{true, false} {
		k := &quiet{}
		l, c := quietLoop(t, k)
		nowNs := int64(1)
		l.cfg.NowNs = func() int64 { return nowNs }
		k.unsent = 100_000
		l.receive(c, frames(1, wire.OpCloseSession, nil))
		for range 100 {
			nowNs += int64(lingerMax) / 90
			l.turn()
			if reads && k.unsent > 0 {
				k.unsent -= 1000
			}
			if reads && k.unsent > 0 && k.closed > 0 && nowNs < int64(lingerMax) {
				t.Fatalf("closed with %d bytes unsent", k.unsent)
			}
		}
		if k.closed == 0 {
			t.Errorf("not closed; client reads: %t, unsent %d", reads, k.unsent)
		}
	}
}
