package shell

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"holt/netloop/wire"
)

// server is the other end of a client under test: each connection is answered by the next function.
type server struct {
	t        *testing.T
	listener net.Listener
	done     chan struct{}
}

// serveConns listens and hands one connection after the other to the functions; more connections are refused.
func serveConns(t *testing.T, conns ...func(p *peer)) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t, listener, make(chan struct{})}
	go func() {
		defer close(s.done)
		for _, serve := range conns {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			serve(&peer{t, conn})
			conn.Close()
		}
		listener.Close()
	}()
	t.Cleanup(func() {
		listener.Close()
		<-s.done
	})
	return s
}

func (s *server) dial(events chan event) *client {
	c := dial(clientConfig{hosts: []string{s.listener.Addr().String()}, timeoutMs: 6000, event: func(e event) {
		if events != nil {
			events <- e
		}
	}})
	s.t.Cleanup(c.close)
	return c
}

// peer is one connection seen from the server.
type peer struct {
	t    *testing.T
	conn net.Conn
}

// accept opens a session and returns what the client asked for.
func (p *peer) accept(id int64) (q wire.ConnectRequest) {
	payload, err := readFrame(p.conn)
	r := wire.NewReader(payload)
	if err != nil || !q.Parse(&r) || !q.HasReadOnly {
		p.t.Errorf("connect request: %v, %x", err, payload)
	}
	timeout := int32(6000)
	if id == 0 {
		timeout = 0
	}
	reply := wire.ConnectReply{TimeoutMs: timeout, SessionID: id, Password: make([]byte, wire.PasswordBytes), HasReadOnly: true}
	frame := reply.Append(wire.BeginFrame(nil))
	wire.EndFrame(frame, 0)
	p.write(frame)
	return q
}

func (p *peer) write(frame []byte) {
	if _, err := p.conn.Write(frame); err != nil {
		p.t.Errorf("server: %v", err)
	}
}

// next reads a request; pings are not expected within a test.
func (p *peer) next() (h wire.RequestHeader, body []byte) {
	payload, err := readFrame(p.conn)
	if err != nil {
		return h, nil
	}
	r := wire.NewReader(payload)
	h.Parse(&r)
	return h, r.Rest()
}

func (p *peer) reply(xid wire.Xid, zxid int64, code wire.Code, body []byte) {
	frame := append(wire.AppendReplyHeader(wire.BeginFrame(nil), xid, zxid, code), body...)
	wire.EndFrame(frame, 0)
	p.write(frame)
}

// untilClose answers the end of a session.
func (p *peer) untilClose() {
	for {
		h, _ := p.next()
		if h.Op == 0 {
			return
		}
		p.reply(h.Xid, 1, wire.CodeOK, nil)
	}
}

func ready(t *testing.T, c *client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := c.connected(ctx, false); err != nil {
		t.Fatal(err)
	}
}

func TestS3_ReconnectRestoresSessionThenAuthThenWatches(t *testing.T) {
	second := make(chan string, 10)
	s := serveConns(t, func(p *peer) {
		p.accept(77)
		for range 3 { // auth, get with a watch, addWatch
			h, _ := p.next()
			body := (&wire.DataReply{Data: []byte("x")}).Append(nil)
			p.reply(h.Xid, 42, wire.CodeOK, body)
		}
		p.next() // this one gets no answer
	}, func(p *peer) {
		q := p.accept(77)
		second <- fmt.Sprintf("session %d after zxid %d", q.SessionID, q.LastZxidSeen)
		for range 3 {
			h, body := p.next()
			text := fmt.Sprintf("%v %d", h.Op, h.Xid)
			if h.Op == wire.OpSetWatches2 {
				r := wire.NewReader(body)
				var w wire.SetWatchesRequest
				w.Parse2(&r)
				text += fmt.Sprintf(" %d %q %q", w.RelativeZxid, stringsOf(w.Data), stringsOf(w.PersistentRecursive))
			}
			second <- text
			p.reply(h.Xid, 43, wire.CodeOK, (&wire.Stat{Version: 5}).Append(nil))
		}
		p.untilClose()
	})
	c := s.dial(nil)
	ready(t, c)
	if err := c.addAuth("digest", "u:p"); err != nil {
		t.Fatal(err)
	}
	if data, _, err := c.get("/a", true); err != nil || string(data) != "x" {
		t.Fatal(string(data), err)
	}
	if err := c.addWatch("/b", wire.AddWatchPersistentRecursive); err != nil {
		t.Fatal(err)
	}
	if _, err := c.exists("/a", false); !errors.Is(err, errConnectionLoss) {
		t.Fatalf("unanswered: %v", err)
	}
	ready(t, c)
	if stat, err := c.exists("/a", false); err != nil || stat.Version != 5 {
		t.Fatal(stat, err)
	}
	for _, want := range []string{"session 77 after zxid 42", "auth -4", `setWatches2 -8 42 ["/a"] ["/b"]`, "exists 5"} {
		if got := <-second; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestS2_ReplyOutOfOrderClosesTheConnection(t *testing.T) {
	s := serveConns(t, func(p *peer) {
		p.accept(1)
		h, _ := p.next()
		p.reply(h.Xid+1, 1, wire.CodeOK, nil)
		p.untilClose()
	})
	c := s.dial(nil)
	ready(t, c)
	if err := c.sync("/"); !errors.Is(err, errConnectionLoss) {
		t.Errorf("got %v", err)
	}
}

func TestSessionExpiry(t *testing.T) {
	events := make(chan event, 10)
	s := serveConns(t, func(p *peer) { p.accept(5) }, func(p *peer) { p.accept(0) })
	c := s.dial(events)
	var states []string
	for len(states) < 3 {
		states = append(states, (<-events).State)
	}
	if got := strings.Join(states, " "); got != "SyncConnected Disconnected Expired" {
		t.Errorf("states %s", got)
	}
	if err := c.sync("/"); !errors.Is(err, errSessionExpired) {
		t.Errorf("got %v", err)
	}
}

func TestErrorsInZkCliWords(t *testing.T) {
	for code, want := range map[wire.Code]string{
		wire.CodeNoNode: "Node does not exist: /a", wire.CodeNotEmpty: "Node not empty: /a", wire.CodeNoAuth: "Insufficient permission : /a",
		wire.CodeNoWatcher: "KeeperErrorCode = No such watcher for /a", -999: "KeeperErrorCode = -999 for /a",
	} {
		if got := about("/a", codeError(code)).Error(); got != want {
			t.Errorf("%d: got %s, want %s", code, got, want)
		}
	}
}

// oneShot runs "holt shell -server address words..." and returns what it printed and its exit code.
func oneShot(address string, words ...string) (out, errOut string, code int) {
	var o, e strings.Builder
	code = Main(append([]string{"-server", address}, words...), strings.NewReader(""), &o, &e, "test")
	return o.String(), e.String(), code
}

func TestS1_ExitCodes(t *testing.T) {
	answer := func(code wire.Code, body []byte) func(*peer) {
		return func(p *peer) {
			p.accept(9)
			h, _ := p.next()
			p.reply(h.Xid, 1, code, body)
			p.untilClose()
		}
	}
	listing := &wire.ChildrenReply{Children: wire.MakeStrings("b", "a")}
	s := serveConns(t, answer(wire.CodeOK, listing.Append(nil)), answer(wire.CodeNoNode, nil), func(p *peer) { p.accept(9); p.untilClose() })
	address := s.listener.Addr().String()
	for _, test := range []struct {
		words    string
		out, err string
		code     int
	}{
		{"ls /", "[a, b]\n", "", ExitOK},
		{"ls /x", "", "Node does not exist: /x\n", ExitError},
		{"get", "", "an argument is missing\nget [-s] [-w] [-b] [-x] path\n", ExitError},
		{"frobnicate /", "", "Command not found: frobnicate; help lists them\n", ExitUnknown},
		{"-bogus", "", "holt shell: flag provided but not defined: -bogus\n\n" + usage, ExitUsage},
		{"-timeout 0 ls /", "", "holt shell: -timeout takes milliseconds, not 0\n\n" + usage, ExitUsage},
	} {
		out, errOut, code := oneShot(address, strings.Fields(test.words)...)
		if out != test.out || errOut != test.err || code != test.code {
			t.Errorf("%s: got %q %q %d", test.words, out, errOut, code)
		}
	}
	<-s.done
	if _, errOut, code := oneShot(address, "ls", "/"); code != ExitError || !strings.Contains(errOut, "connecting to "+address) {
		t.Errorf("no server: %q %d", errOut, code)
	}
}
