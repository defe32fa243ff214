package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"holt/cmd/holt/config"
	"holt/netloop/wire"
)

// What clients ask of the tree that is too odd or too much, and what clocks do to it.

func TestBadInput_Paths(t *testing.T) {
	t.Parallel()
	p := startProcess(t, t.TempDir())
	other := startWriter(t, p.addr, "/other")
	c := openRaw(t, p.addr)
	c.must(createReq("/a", ""))
	bad := map[string]string{
		"NUL": "/a/x\x00y", "control": "/a/\x01", "newline": "/a/\n", "DEL": "/a/\x7f", "C1": "/a/\u0085",
		"private use": "/a/\ue000", "supplementary": "/a/\U0001f600", "specials": "/a/\ufff0", "dot": "/a/.", "dots": "/a/../b",
		"empty segment": "/a//b", "trailing slash": "/a/b/", "relative": "a/b", "empty": "",
	}
	for name, path := range bad {
		for _, q := range []request{createReq(path, ""), {wire.OpCreate2, createBody(path, "", 1)}, setReq(path, "")} {
			r, err := c.try(q)
			if err != nil {
				t.Fatalf("%s, %v: %v", name, q.op, err)
			}
			if r.Err != wire.CodeBadArguments && r.Err != wire.CodeNoNode {
				t.Errorf("%s, %v: %v", name, q.op, r.Err)
			}
		}
		r, err := c.try(request{wire.OpExists, watchBody(path, true)})
		want := wire.CodeNoNode
		switch name {
		case "NUL":
			want = wire.CodeBadArguments
		case "empty":
			want = wire.CodeOK // reads as the root
		}
		if err != nil || r.Err != want {
			t.Errorf("exists of %s: %v, want %v (%v)", name, r.Err, want, err)
		}
	}
	// Half a surrogate pair, as the Java client sends what is no character; and a null path.
	for name, raw := range map[string][]byte{"surrogate": append([]byte{0, 0, 0, 6}, "/a/\xed\xa0\x80"...), "null": {0xff, 0xff, 0xff, 0xff}} {
		r, err := c.try(request{wire.OpCreate, func(b []byte) []byte {
			b = append(b, raw...)
			return append(b, createBody("", "", 0)(nil)[4:]...)
		}})
		if err != nil || r.Err == 0 {
			t.Errorf("%s: %v, %v", name, r.Err, err)
		}
	}
	if names := c.children("/a"); len(names) != 0 {
		t.Errorf("children %q", names)
	}
	other.unharmed()
}

// children lists a directory.
func (c *rawClient) children(path string) []string {
	c.t.Helper()
	p := c.must(request{wire.OpGetChildren, watchBody(path, false)})
	r := wire.NewReader(p.body)
	v := r.Strings()
	names := make([]string, 0, v.Len())
	for name, ok := v.Next(); ok; name, ok = v.Next() {
		names = append(names, string(name))
	}
	return names
}

// TestBadInput_HugeNames: names of a megabyte are legal as long as the request is. They survive checkpoint and restart, and
// the listing of their directory, more than clients accept, is served, logged once and counted.
func TestBadInput_HugeNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startProcess(t, dir)
	other := startWriter(t, p.addr, "/other")
	c := openRaw(t, p.addr)
	c.must(createReq("/d", ""))
	var names [3]string
	for i := range names {
		names[i] = fmt.Sprintf("%d%s", i, strings.Repeat("n", 1_000_000))
		c.must(createReq("/d/"+names[i], "data"))
	}
	for range 3 {
		if got := c.children("/d"); len(got) != 3 || got[2] != names[2] {
			t.Fatalf("%d children", len(got))
		}
	}
	if n := p.metric("holt_large_replies_total"); n != 3 {
		t.Errorf("%v large replies are counted, want 3", n)
	}
	if n := strings.Count(p.said.String(), "exceeds jute.maxbuffer"); n != 1 {
		t.Errorf("large replies are logged %d times, want once", n)
	}
	over := openRaw(t, p.addr)
	over.add(1, wire.OpCreate, createBody("/d/"+strings.Repeat("n", 1_048_600), "", 0))
	_, _ = over.conn.Write(over.out) // the server may close before all of it is sent
	over.ended(5 * time.Second)

	if err := p.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, func() string {
		if !strings.Contains(p.said.String(), "checkpoint written") {
			return "no checkpoint is written"
		}
		return ""
	})
	other.unharmed()
	p.kill()
	p = startProcess(t, dir)
	c = openRaw(t, p.addr)
	if got := c.children("/d"); len(got) != 3 || got[0] != names[0] || c.data("/d/"+names[1]) != "data" {
		t.Errorf("%d children after a restart", len(got))
	}
}

// TestBadInput_HugeMulti: 100,000 operations in one request. With the usual jute.maxbuffer the frame ends the
// connection; where an operator allows it, it is one transaction, done or refused as a whole.
func TestBadInput_HugeMulti(t *testing.T) {
	t.Parallel()
	const n = 100_000
	dir := t.TempDir()
	create := func(i int) wire.MultiOp {
		return wire.MultiOp{Op: wire.OpCreate, Path: fmt.Appendf(nil, "/m/%06d", i), ACL: wire.OpenACL}
	}
	p := startProcess(t, dir)
	c := openRaw(t, p.addr)
	c.must(createReq("/m", ""))
	c.add(1, wire.OpMulti, multiOf(n, create))
	_, _ = c.conn.Write(c.out)
	c.ended(5 * time.Second)
	p.stop(8 * time.Second)

	p = startProcess(t, dir, "--jute-maxbuffer", "16777216")
	other := startWriter(t, p.addr, "/other")
	c = openRaw(t, p.addr)
	failing := func(i int) wire.MultiOp {
		if i == n-1 {
			return wire.MultiOp{Op: wire.OpCheck, Path: []byte("/none"), Version: 0}
		}
		return create(i)
	}
	r := c.must(request{wire.OpMulti, multiOf(n, failing)})
	if ok, failed := results(t, r); ok != 0 || failed != n || len(c.children("/m")) != 0 {
		t.Errorf("with a failing operation: %d done, %d failed", ok, failed)
	}
	r = c.must(request{wire.OpMulti, multiOf(n, create)})
	if ok, failed := results(t, r); ok != n || failed != 0 {
		t.Errorf("%d done, %d failed", ok, failed)
	}
	if got := len(c.children("/m")); got != n {
		t.Errorf("%d children, want %d", got, n)
	}
	if n := strings.Count(p.said.String(), "exceeds jute.maxbuffer"); n != 0 {
		t.Errorf("replies within jute.maxbuffer are logged %d times", n)
	}
	other.unharmed()
	p.kill()
	p = startProcess(t, dir)
	if got := len(openRaw(t, p.addr).children("/m")); got != n {
		t.Errorf("%d children after kill -9, want %d", got, n)
	}
}

// results counts the outcomes of a multi.
func results(t *testing.T, p reply) (ok, failed int) {
	t.Helper()
	m := wire.NewMultiResults(p.body)
	var r wire.MultiResult
	for m.Next(&r) {
		if r.Op == wire.OpError {
			failed++
		} else {
			ok++
		}
	}
	if m.Bad() {
		t.Fatal("malformed results")
	}
	return ok, failed
}

// TestBadInput_WrongPassword: a stranger who knows a session's id neither gets it nor disconnects its owner.
func TestBadInput_WrongPassword(t *testing.T) {
	t.Parallel()
	p := startProcess(t, t.TempDir())
	owner := openRaw(t, p.addr)
	owner.must(request{wire.OpCreate, createBody("/mine", "", 1)})
	zookeepers := make([]byte, 16) // the password that ZooKeeper would have given to this id
	random := uint64(owner.session.SessionID^0xB3415C00) ^ 0x5DEECE66D
	for i := 0; i < 16; i += 4 {
		random = (random*0x5DEECE66D + 0xB) & (1<<48 - 1)
		binary.LittleEndian.PutUint32(zookeepers[i:], uint32(random>>16))
	}
	for name, password := range map[string][]byte{
		"zeros": make([]byte, 16), "short": {1, 2}, "long": make([]byte, 17), "null": nil, "ZooKeeper's": zookeepers,
	} {
		thief := dialRaw(t, p.addr)
		q := wire.ConnectRequest{TimeoutMs: 4000, SessionID: owner.session.SessionID, Password: password}
		if err := thief.connect(q); err != nil || thief.session.SessionID != 0 || thief.session.TimeoutMs != 0 {
			t.Errorf("%s: %+v, %v", name, thief.session, err)
		}
		thief.ended(5 * time.Second)
		owner.must(request{wire.OpExists, watchBody("/mine", false)})
	}
	for name, a := range map[string]wire.AuthRequest{
		"unknown scheme": {Scheme: []byte("nonsense"), Auth: []byte("x")}, "world": {Scheme: []byte("world"), Auth: []byte("anyone")},
	} {
		c := openRaw(t, p.addr)
		if r := c.call(-4, wire.OpAuth, a.Append); r.Err != wire.CodeAuthFailed {
			t.Errorf("%s: %v", name, r.Err)
		}
		c.ended(5 * time.Second)
	}
	owner.must(request{wire.OpExists, watchBody("/mine", false)})
}

// startAt runs a server in this process whose wall clock stands at a certain time.
func startAt(t *testing.T, dir string, nowMs int64) (addr string, stop func()) {
	t.Helper()
	c := serverConfig(t, dir, config.Setting{Name: "preAllocSize", Value: "1024", Origin: "test"},
		config.Setting{Name: "znode.container.checkIntervalMs", Value: "100", Origin: "test"},
		config.Setting{Name: "tickTime", Value: "200", Origin: "test"}, config.Setting{Name: "minSessionTimeout", Value: "400", Origin: "test"})
	begin := time.Now()
	s := &server{cfg: c, logger: slog.New(slog.DiscardHandler), process: uint32(nowMs>>20) | 1}
	s.nowMs = func() int64 { return nowMs + time.Since(begin).Milliseconds() }
	return c.Client.Addr(), serveHere(t, s)
}

// serveHere runs a server in this process, until stop or the end of the test.
func serveHere(t *testing.T, s *server) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(stop)
	eventually(t, 20*time.Second, func() string {
		conn, err := dialFrom(s.cfg.Client.Addr(), "")
		if err != nil {
			return err.Error()
		}
		conn.Close()
		return ""
	})
	return stop
}

// TestClocks: the wall clock is wrong, and jumps from start to start. Times in stats are what it says; sessions, which live
// by the monotonic clock, do not care; TTL nodes never go early.
func TestClocks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	year := func(y int) int64 { return time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli() }
	ids := map[int64]bool{}
	var kept *rawClient
	for i, y := range []int{1970, 2100, 1960, 1970, 2262} {
		at := year(y)
		addr, stop := startAt(t, dir, at)
		if kept != nil { // the session of the run before, whenever that was
			again := dialRaw(t, addr)
			q := wire.ConnectRequest{TimeoutMs: 20_000, SessionID: kept.session.SessionID, Password: kept.session.Password}
			if err := again.connect(q); err != nil || again.session.SessionID != kept.session.SessionID {
				t.Fatalf("%d: attaching to the session of the run before: %+v, %v", y, again.session, err)
			}
			again.must(request{wire.OpExists, watchBody(fmt.Sprintf("/ephemeral%d", i-1), false)})
		}
		c := openFor(t, addr, 20_000)
		if ids[c.session.SessionID] {
			t.Errorf("%d: session id %#x is given twice", y, c.session.SessionID)
		}
		ids[c.session.SessionID] = true
		path := fmt.Sprintf("/n%d", i)
		c.must(createReq(path, ""))
		c.must(request{wire.OpCreate, createBody(fmt.Sprintf("/ephemeral%d", i), "", 1)})
		c.must(request{wire.OpCreateTTL, func(b []byte) []byte {
			return binary.BigEndian.AppendUint64(createBody(path+"-ttl", "", 5)(b), 60_000)
		}})
		p := c.must(request{wire.OpExists, watchBody(path, false)})
		r := wire.NewReader(p.body)
		if st := r.Stat(); st.Ctime < at || st.Ctime > at+60_000 || st.Mtime != st.Ctime {
			t.Errorf("%d: ctime %d, want about %d", y, st.Ctime, at)
		}
		short := openFor(t, addr, 400) // expires when it is silent, and the others stay
		eventually(t, 10*time.Second, func() string {
			_ = short.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
			if _, err := short.conn.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
				return "a silent session does not expire"
			}
			return ""
		})
		c.must(request{wire.OpExists, watchBody(path+"-ttl", false)}) // its minute has not passed
		kept = c
		stop()
	}
}

// TestProcess_NewerImage: the checkpoint was written by a newer version.
func TestProcess_NewerImage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startProcess(t, dir)
	openRaw(t, p.addr).must(createReq("/kept", "data"))
	if err := p.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, func() string {
		if !strings.Contains(p.said.String(), "checkpoint written") {
			return "no checkpoint is written"
		}
		return ""
	})
	p.stop(8 * time.Second)
	image := filepath.Join(dir, "image")
	db, err := pebble.Open(image, &pebble.Options{Logger: quietPebble{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Set([]byte("\x00format"), binary.LittleEndian.AppendUint32(nil, 99), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	launch(t, nil, dir).fails(image, "written by a newer version of Holt")
}

type quietPebble struct{}

func (quietPebble) Infof(string, ...any)         {}
func (quietPebble) Errorf(string, ...any)        {}
func (quietPebble) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }
