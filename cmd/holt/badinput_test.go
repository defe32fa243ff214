package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"holt/netloop/wire"
)

// What clients send that no client should. Each gets ZooKeeper's answer or the end of its connection; a writer beside it
// must not notice.

func TestBadInput_Frames(t *testing.T) {
	t.Parallel()
	p := startProcess(t, t.TempDir(), "--nio-sessionless-cnxn-timeout", "1500")
	other := startWriter(t, p.addr, "/other")
	random := rand.New(rand.NewPCG(1, 2))
	garbage := make([]byte, 70_000)
	for i := range garbage {
		garbage[i] = byte(random.Uint32())
	}
	connect := wire.ConnectRequest{TimeoutMs: 4000, Password: make([]byte, 16)}
	whole := appendFrame(nil, connect.Append)
	longPassword := wire.ConnectRequest{TimeoutMs: 4000, SessionID: 7, Password: make([]byte, 100_000)}

	fresh := map[string][]byte{
		"silence":                 nil,
		"half of a length":        {0, 0},
		"half a ConnectRequest":   whole[:20],
		"all but its last byte":   whole[:len(whole)-1],
		"negative length":         {0xff, 0xff, 0xff, 0xff},
		"smallest length":         {0x80, 0, 0, 0},
		"oversize length":         {0x7f, 0xff, 0xff, 0xff, 1, 2, 3},
		"one byte above the most": binary.BigEndian.AppendUint32(nil, 0xfffff+1),
		"empty frame":             {0, 0, 0, 0},
		"truncated record":        {0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0},
		"negative password":       append(appendFrame(nil, func(b []byte) []byte { return append(b, whole[4:28]...) })[:28], 0xff, 0xff, 0xff, 0xfe),
		"garbage":                 garbage,
		"HTTP":                    []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"TLS":                     {0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3},
		"unknown word":            []byte("what"),
	}
	for name, b := range fresh {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := dialRaw(t, p.addr)
			c.out = b
			c.send()
			c.ended(8 * time.Second)
		})
	}
	t.Run("unknown session with a long password", func(t *testing.T) {
		t.Parallel()
		c := dialRaw(t, p.addr)
		if err := c.connect(longPassword); err != nil || c.session.SessionID != 0 || c.session.TimeoutMs != 0 {
			t.Errorf("%+v, %v", c.session, err)
		}
		c.ended(8 * time.Second)
	})
	inSession := map[string][]byte{
		"negative length in a session": {0x80, 0, 0, 0},
		"oversize length in a session": {0, 0x20, 0, 0},
		"word in a session":            []byte("ruok"),
		"empty frame in a session":     {0, 0, 0, 0},
		"half a header":                {0, 0, 0, 4, 0, 0, 0, 1},
		"garbage in a session":         garbage,
	}
	for name, b := range inSession {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := openRaw(t, p.addr)
			c.out = b
			c.send()
			c.ended(8 * time.Second)
		})
	}
	t.Run("half a request and silence", func(t *testing.T) {
		t.Parallel()
		c := openFor(t, p.addr, 6000) // goes with its session
		c.add(1, wire.OpCreate, createBody("/half", strings.Repeat("x", 1000), 0))
		c.out = c.out[:500]
		c.send()
		c.ended(15 * time.Second)
	})
	t.Run("all at once", func(t *testing.T) { // runs before the parallel ones go on
		p.alive()
	})
	t.Cleanup(func() {
		p.alive()
		other.unharmed()
	})
}

// TestBadInput_Bodies: requests whose frames are sound and whose records are not. The connection survives all of them.
func TestBadInput_Bodies(t *testing.T) {
	t.Parallel()
	p := startProcess(t, t.TempDir())
	other := startWriter(t, p.addr, "/other")
	c := openRaw(t, p.addr)
	random := rand.New(rand.NewPCG(3, 4))
	good := map[wire.Op][]byte{
		wire.OpCreate:               createBody("/a", "data", 0)(nil),
		wire.OpCreate2:              createBody("/a", "data", 1)(nil),
		wire.OpCreateContainer:      createBody("/a", "data", 4)(nil),
		wire.OpCreateTTL:            append(createBody("/a", "data", 5)(nil), 0, 0, 0, 0, 0, 0, 0, 9),
		wire.OpDelete:               append(pathBody("/a")(nil), 0xff, 0xff, 0xff, 0xff),
		wire.OpExists:               watchBody("/a", true)(nil),
		wire.OpGetData:              watchBody("/a", true)(nil),
		wire.OpSetData:              setReq("/a", "x").body(nil),
		wire.OpGetACL:               pathBody("/a")(nil),
		wire.OpSetACL:               append(append(pathBody("/a")(nil), createBody("", "", 0)(nil)[8:]...), 0, 0, 0, 0),
		wire.OpGetChildren:          watchBody("/", true)(nil),
		wire.OpSync:                 pathBody("/")(nil),
		wire.OpGetChildren2:         watchBody("/", true)(nil),
		wire.OpMulti:                multiOf(3, func(int) wire.MultiOp { return wire.MultiOp{Op: wire.OpDelete, Path: []byte("/a"), Version: -1} })(nil),
		wire.OpMultiRead:            multiOf(3, func(int) wire.MultiOp { return wire.MultiOp{Op: wire.OpGetData, Path: []byte("/")} })(nil),
		wire.OpReconfig:             {0, 0, 0, 1, 'a', 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0},
		wire.OpCheckWatches:         append(pathBody("/a")(nil), 0, 0, 0, 3),
		wire.OpRemoveWatches:        append(pathBody("/a")(nil), 0, 0, 0, 3),
		wire.OpDeleteContainer:      pathBody("/a")(nil),
		wire.OpSetWatches:           {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, '/', 0, 0, 0, 0, 0, 0, 0, 0},
		wire.OpGetEphemerals:        pathBody("/")(nil),
		wire.OpGetAllChildrenNumber: pathBody("/")(nil),
		wire.OpAddWatch:             append(pathBody("/a")(nil), 0, 0, 0, 1),
		wire.OpWhoAmI:               nil,
	}
	for op, body := range good {
		for range 60 {
			b := bytes.Clone(body)
			for range random.IntN(3) {
				if len(b) > 0 {
					b[random.IntN(len(b))] = byte(random.Uint32())
				}
			}
			b = b[:random.IntN(len(b)+1)]
			if q, err := c.try(request{op, func(dst []byte) []byte { return append(dst, b...) }}); err != nil {
				t.Fatalf("op %v with % x: %v", op, b, err)
			} else if q.Xid == wire.XidEvent {
				if _, err := c.maybeReply(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	p.alive()
	other.unharmed()
}

// multiOf is the body of a multi of n operations.
func multiOf(n int, op func(i int) wire.MultiOp) func([]byte) []byte {
	return func(dst []byte) []byte {
		for i := range n {
			o := op(i)
			dst = o.Append(dst)
		}
		return wire.AppendMultiEnd(dst)
	}
}

// silentConns is how many connections say nothing in TestBadInput_SilentConnections. make crowd asks for 10,000.
func silentConns(t *testing.T) int {
	t.Helper()
	s := os.Getenv("HOLT_TEST_SILENT_CONNS")
	if s == "" {
		return 2000
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestBadInput_SilentConnections: a crowd that says nothing, or half a word, from many addresses. Others are served
// meanwhile, the limits hold, and the crowd is gone when its time is up.
func TestBadInput_SilentConnections(t *testing.T) {
	t.Parallel()
	n := silentConns(t)
	const perAddress = 60
	p := startProcess(t, t.TempDir(), "--nio-sessionless-cnxn-timeout", "10000", "--max-cnxns", strconv.Itoa(n+20))
	other := startWriter(t, p.addr, "/other")
	before := p.memory()
	connect := wire.ConnectRequest{TimeoutMs: 4000, Password: make([]byte, 16)}
	half := appendFrame(nil, connect.Append)[:25]
	begin := time.Now()
	crowd := make([]net.Conn, 0, n)
	t.Cleanup(func() {
		for _, c := range crowd {
			c.Close()
		}
	})
	for i := range n {
		from := 1 + i/perAddress // 127.0.0.1 is left to the others
		c, err := dialFrom(p.addr, fmt.Sprintf("127.1.%d.%d", from/250, from%250+1))
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		crowd = append(crowd, c)
		if i%3 > 0 {
			_, _ = c.Write(half[:(i%3)*12])
		}
	}
	connected := time.Since(begin)
	eventually(t, 10*time.Second, func() string {
		if open := p.metric("num_alive_connections"); int(open) < n {
			return fmt.Sprintf("%v connections are open, want %d", open, n)
		}
		return ""
	})
	if left := time.Until(begin.Add(10 * time.Second)); left < time.Second {
		t.Logf("connecting took %v; the first have been dropped by now", connected)
	}
	if extra, err := dialFrom(p.addr, "127.1.0.2"); err == nil { // the reset may be faster than connect
		defer extra.Close()
		refused(t, extra, "one more from an address that has its 60")
	}
	if got := openRaw(t, p.addr).data("/other"); got == "" {
		t.Error("a new client reads nothing")
	}
	grown := p.memory() - before
	t.Logf("%d connections within %v, %d bytes each", n, connected.Round(time.Millisecond), grown/int64(n))
	if grown > int64(n)*10_000+20<<20 {
		t.Errorf("%d bytes for %d silent connections", grown, n)
	}
	eventually(t, 30*time.Second, func() string {
		if open := p.metric("num_alive_connections"); open > 10 {
			return fmt.Sprintf("%v connections are open after their time", open)
		}
		return ""
	})
	refused(t, crowd[0], "the first of the crowd")
	refused(t, crowd[n-1], "the last of the crowd")
	other.unharmed()
}

// refused fails the test unless the server ends the connection soon.
func refused(t *testing.T, c net.Conn, who string) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, err := c.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("%s is not disconnected: %d, %v", who, n, err)
	}
}

// TestBadInput_TotalLimit: beyond maxCnxns nobody gets in, and a place that becomes free is given away again.
func TestBadInput_TotalLimit(t *testing.T) {
	t.Parallel()
	p := startProcess(t, t.TempDir(), "--max-cnxns", "5")
	other := startWriter(t, p.addr, "/other")
	var held []net.Conn
	for i := range 4 {
		c, err := dialFrom(p.addr, fmt.Sprintf("127.0.0.%d", i+2))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		held = append(held, c)
	}
	if sixth, err := dialFrom(p.addr, ""); err == nil {
		defer sixth.Close()
		refused(t, sixth, "the sixth")
	}
	held[0].Close()
	eventually(t, 10*time.Second, func() string {
		c, err := dialFrom(p.addr, "")
		if err != nil {
			return err.Error()
		}
		defer c.Close()
		r := rawClient{t: t, conn: c}
		if err := r.connect(wire.ConnectRequest{TimeoutMs: 4000, Password: make([]byte, 16)}); err != nil {
			return "no place after one became free: " + err.Error()
		}
		return ""
	})
	other.unharmed()
}

// TestBadInput_WordsThatHang: clients that ask for four-letter words and then neither read nor leave.
func TestBadInput_WordsThatHang(t *testing.T) {
	t.Parallel()
	p := startProcess(t, t.TempDir(), "--4lw-commands-whitelist", "*", "--max-client-cnxns", "300")
	other := startWriter(t, p.addr, "/other")
	for i := range 200 {
		c := dialRaw(t, p.addr)
		c.out = []byte([]string{"mntr", "stmk", "ruok\n\n\n\n", "cons"}[i%4])
		c.send()
	}
	eventually(t, 20*time.Second, func() string {
		c := dialRaw(t, p.addr)
		c.out = []byte("ruok")
		c.send()
		_ = c.conn.SetReadDeadline(time.Now().Add(time.Second))
		if b, _ := io.ReadAll(c.conn); string(b) != "imok" {
			return fmt.Sprintf("ruok is answered %q", b)
		}
		return ""
	})
	other.unharmed()
}

// TestBadInput_DeafClients never read what they are told: replies they asked for, events, one huge reply. The server's
// memory stays bounded and they are disconnected.
func TestBadInput_DeafClients(t *testing.T) {
	t.Parallel()
	p := startProcess(t, t.TempDir(), "--tick-time", "500", "--max-session-timeout", "20000", "--outbound-bytes", "4194304")
	other := startWriter(t, p.addr, "/other")
	c := openRaw(t, p.addr)
	c.must(createReq("/big", strings.Repeat("b", 1_000_000)))
	long := "/" + strings.Repeat("l", 4000)
	c.must(createReq(long, ""))
	runtimeSettles := p.memory()

	for range 5 {
		d := openFor(t, p.addr, 3000)
		_ = d.conn.(*net.TCPConn).SetReadBuffer(4096)
		for i := range 2000 {
			d.add(i+1, wire.OpGetData, watchBody("/big", false))
		}
		d.send()
	}
	watcher := openRaw(t, p.addr)
	_ = watcher.conn.(*net.TCPConn).SetReadBuffer(4096)
	q := wire.AddWatchRequest{Path: []byte("/"), Mode: wire.AddWatchPersistentRecursive}
	watcher.must(request{wire.OpAddWatch, q.Append})
	begin := time.Now()
	eventually(t, 40*time.Second, func() string {
		for i := range 100 {
			c.add(i+1, wire.OpSetData, setReq(long, "").body)
		}
		c.send()
		for range 100 {
			c.reply()
		}
		if p.metric("holt_connections_closed_slow_total") == 0 {
			return "the deaf watcher is not disconnected"
		}
		return ""
	})
	eventually(t, 20*time.Second, func() string {
		if open := p.metric("num_alive_connections"); open > 2 {
			return fmt.Sprintf("%v connections are open, two should", open)
		}
		return ""
	})
	t.Logf("deaf clients were gone after %v", time.Since(begin).Round(time.Millisecond))
	if grown := p.memory() - runtimeSettles; grown > 150<<20 {
		t.Errorf("%d MiB more memory for deaf clients", grown>>20)
	}
	other.unharmed()
}

// TestBadInput_RepliesThatMultiply: small requests with huge replies. Each costs no more than a bounded reply would.
func TestBadInput_RepliesThatMultiply(t *testing.T) {
	t.Parallel()
	p := startProcess(t, t.TempDir())
	other := startWriter(t, p.addr, "/other")
	c := openRaw(t, p.addr)
	c.must(createReq("/big", strings.Repeat("b", 1_000_000)))
	c.must(request{wire.OpMultiRead, multiOf(3, func(int) wire.MultiOp { return wire.MultiOp{Op: wire.OpGetData, Path: []byte("/big")} })})
	before := p.memory()
	q, err := c.try(request{wire.OpMultiRead, multiOf(40_000, func(int) wire.MultiOp { return wire.MultiOp{Op: wire.OpGetData, Path: []byte("/big")} })})
	if err != nil || q.Err == 0 || len(q.body) > 100 {
		t.Errorf("40 GB asked for: %v with %d bytes, %v", q.Err, len(q.body), err)
	}
	if grown := p.memory() - before; grown > 200<<20 {
		t.Errorf("%d MiB more memory for one request", grown>>20)
	}
	p.alive()
	c.must(setReq("/big", "small"))
	other.unharmed()
}

// TestBadInput_ManyIdentities: a connection collects identities without end, and uses them in an ACL.
func TestBadInput_ManyIdentities(t *testing.T) {
	t.Parallel()
	p := startProcess(t, t.TempDir())
	other := startWriter(t, p.addr, "/other")
	before := p.memory()
	c := openRaw(t, p.addr)
	added, closed := 0, false
	for i := 0; i < 20_000 && !closed; i++ {
		a := wire.AuthRequest{Scheme: []byte("digest"), Auth: fmt.Appendf(nil, "user%d:%s", i, strings.Repeat("p", 500))}
		c.add(-4, wire.OpAuth, a.Append)
		c.send()
		q, err := c.maybeReply()
		if closed = err != nil || q.Err != 0; !closed {
			added++
		}
	}
	if !closed {
		t.Errorf("%d identities of one connection were taken", added)
	}
	t.Logf("%d identities were taken", added)

	c = openRaw(t, p.addr)
	for i := range 200 {
		a := wire.AuthRequest{Scheme: []byte("digest"), Auth: fmt.Appendf(nil, "%s%d:p", strings.Repeat("u", 200), i)}
		if q, err := c.try(request{wire.OpAuth, a.Append}); err != nil || q.Err != 0 {
			break
		}
	}
	acl := make([]wire.ACL, 40_000)
	for i := range acl {
		acl[i] = wire.ACL{Perms: int32(i), Scheme: []byte("auth")}
	}
	create := wire.CreateRequest{Path: []byte("/multiplied"), ACL: wire.MakeACLs(acl...)}
	if q, err := c.try(request{wire.OpCreate, create.Append}); err == nil && q.Err == 0 {
		t.Error("an ACL of millions of entries was taken")
	}
	if grown := p.memory() - before; grown > 200<<20 {
		t.Errorf("%d MiB more memory for identities", grown>>20)
	}
	p.alive()
	other.unharmed()
}

// TestBadInput_HoardOfHalfRequests: many clients send most of a large request and stop. They are bounded together, and
// those who send whole requests do not pay for it.
func TestBadInput_HoardOfHalfRequests(t *testing.T) {
	t.Parallel()
	p := startProcess(t, t.TempDir(), "--inbound-bytes", "16777216")
	other := startWriter(t, p.addr, "/other")
	before := p.memory()
	for i := range 80 {
		from := fmt.Sprintf("127.2.0.%d", 1+i/20)
		conn, err := dialFrom(p.addr, from)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		c := rawClient{t: t, conn: conn}
		if i%2 == 0 {
			if err := c.connect(wire.ConnectRequest{TimeoutMs: 20_000, Password: make([]byte, 16)}); err != nil {
				t.Fatal(err)
			}
		}
		b := append([]byte{0, 0x0f, 0xff, 0}, make([]byte, 1_000_000)...)
		_, _ = conn.Write(b) // may be cut off
	}
	c := openRaw(t, p.addr)
	c.must(createReq("/pieces", ""))
	for range 20 { // a sound request that arrives in two pieces
		c.add(1, wire.OpSetData, setReq("/pieces", strings.Repeat("x", 3000)).body)
		if _, err := c.conn.Write(c.out[:1000]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
		if _, err := c.conn.Write(c.out[1000:]); err != nil {
			t.Fatalf("a sound request is cut off: %v", err)
		}
		c.out = c.out[:0]
		if q, err := c.maybeReply(); err != nil || q.Err != 0 {
			t.Fatalf("a sound request: %v, %v", q.Err, err)
		}
	}
	if grown := p.memory() - before; grown > 150<<20 {
		t.Errorf("%d MiB more memory for half requests", grown>>20)
	}
	other.unharmed()
}
