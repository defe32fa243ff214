package netloop

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"holt/netloop/admin"
	"holt/netloop/wire"
	"holt/tree"
)

type testState struct{ q *fakeQuorum }

func (s testState) Root() *tree.Root { return s.q.Tail().Root }
func (s testState) Mode() admin.Mode { return admin.Standalone }
func (s testState) Serving() bool    { return true }

func (s testState) Ensemble() *admin.Ensemble { return nil }

// startWithWords serves four-letter words too.
func startWithWords(t *testing.T, change func(*Config)) (*Server, string) {
	q := newFakeQuorum(t)
	src := &admin.Source{State: testState{q}, Config: admin.Config{TickMs: 200}}
	src.Whitelist, _ = admin.ParseWhitelist("*")
	s := newServer(t, func(c *Config) {
		c.FourLetter = func(conn net.Conn, word string, read []byte) { admin.ServeFourLetter(conn, word, read, src) }
		if change != nil {
			change(c)
		}
	})
	src.Metrics, src.Clients = s.cfg.Metrics, s
	return s, start(t, s, q)
}

func ask(t *testing.T, addr string, pieces ...string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, p := range pieces {
		if _, err := c.Write([]byte(p)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFourLetterWords(t *testing.T) {
	s, addr := startWithWords(t, func(c *Config) { c.Loops = 2; c.MaxClientConns = 5 })
	client := openRaw(t, addr)
	client.call(1, wire.OpExists, watchBody("/watched", true))
	for range 20 { // more often than connections are allowed at once
		if got := ask(t, addr, "ruok"); got != "imok" {
			t.Errorf("ruok: %q", got)
		}
	}
	if got := ask(t, addr, "r", "uo", "k\n"); got != "imok" {
		t.Errorf("ruok in pieces: %q", got)
	}
	if got := ask(t, addr, "stmk\x00\x00\x00\x00\x00\x00\x00\x05"); got != "5" {
		t.Errorf("stmk: %q", got)
	}
	for word, want := range map[string]string{
		"srvr": "Mode: standalone", "cons": "lop=EXIS", "wchp": "/watched\n\t0x", "wchs": "1 connections watching 1 paths",
		"dump": "0x1", "mntr": "zk_num_alive_connections\t",
	} {
		if got := ask(t, addr, word); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want something with %q", word, got, want)
		}
	}
	if p := client.call(2, wire.OpPing, nil); p.Err != 0 {
		t.Errorf("a client meanwhile: %v", p.Err)
	}
	eventually(t, func() string {
		s.acceptor.mu.Lock()
		defer s.acceptor.mu.Unlock()
		if s.acceptor.total != 1 {
			return "places of four-letter connections are not given back"
		}
		return ""
	})
}

// TestStopEndsConversations: a client that never takes its answer does not hold up Stop.
func TestStopEndsConversations(t *testing.T) {
	_, addr := startWithWords(t, nil)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("stmk")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond)
}

// TestWatchedPathsInPieces: a loop tells of its watches piece by piece, and nothing is lost between.
func TestWatchedPathsInPieces(t *testing.T) {
	q := newFakeQuorum(t)
	s, addr := startServer(t, q, func(c *Config) { c.Loops = 2 })
	const clients, paths = 3, 2 * piecePathsMax
	for range clients {
		c := openRaw(t, addr)
		for i := range paths {
			c.add(i, wire.OpExists, watchBody("/"+fmt.Sprint(i), true))
		}
		c.send()
		for range paths {
			c.reply()
		}
	}
	got := s.WatchedPaths()
	if len(got) != paths {
		t.Errorf("%d paths, want %d", len(got), paths)
	}
	for path, sessions := range got {
		if len(sessions) != clients {
			t.Fatalf("%s is watched by %d sessions, want %d", path, len(sessions), clients)
		}
	}
}
