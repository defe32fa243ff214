package admin

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

func answer(t *testing.T, s *Source, word string) string {
	t.Helper()
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	writeAnswer(w, word, &question{s, s.Clients})
	_ = w.Flush()
	return b.String()
}

// TestTextsAreZooKeepers renders the captured server's state and wants its texts, byte for byte but for version, dates and ports.
func TestTextsAreZooKeepers(t *testing.T) {
	for _, word := range []string{"conf", "cons", "crst", "dirs", "dump", "gtmk", "isro", "ruok", "srst", "wchs"} {
		s, _, _ := testSource(t)
		got, want := comparable(answer(t, s, word)), comparable(reference(t, word+".txt"))
		if got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", word, got, want)
		}
	}
	// The reference lists in the order of its hash maps; here order is the path's.
	for _, word := range []string{"wchc", "wchp"} {
		s, _, _ := testSource(t)
		if got, want := sortedLines(answer(t, s, word)), sortedLines(reference(t, word+".txt")); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", word, got, want)
		}
	}
}

// TestConsWithoutAnswer: a session that was just reset, or only pinged, has no xid to show.
func TestConsWithoutAnswer(t *testing.T) {
	s, clients, _ := testSource(t)
	clients.conns = []Connection{{Remote: "[::1]:9", Session: 16, LastXid: -1, LastZxid: -1, EstablishedMs: 5, TimeoutMs: 6}}
	want := " /[::1]:9[0](queued=0,recved=0,sent=0,sid=0x10,lop=NA,est=5,to=6,lzxid=0xffffffffffffffff,lresp=0,llat=0,minlat=0,avglat=0,maxlat=0)\n\n"
	if got := answer(t, s, "cons"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

var digits = regexp.MustCompile(`\d+`)

// TestServerTexts: srvr and stat, whose counters depend on when they were asked.
func TestServerTexts(t *testing.T) {
	for _, word := range []string{"srvr", "stat"} {
		s, _, _ := testSource(t)
		got := digits.ReplaceAllString(comparable(answer(t, s, word)), "0")
		if want := digits.ReplaceAllString(comparable(reference(t, word+".txt")), "0"); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", word, got, want)
		}
	}
	s, _, state := testSource(t)
	want := "Zookeeper version: 3.9.5-holt-0.1.0, built on 02/11/2026 20:18 UTC\n" +
		"Latency min/avg/max: 1/8.0/12\nReceived: 5\nSent: 4\nConnections: 2\nOutstanding: 0\nZxid: 0x2\nMode: standalone\nNode count: 6\n"
	if got := answer(t, s, "srvr"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	state.mode = Leader
	s.Metrics.ProposalBytes.Set(48)
	if got := answer(t, s, "srvr"); !strings.HasSuffix(got, "Mode: leader\nNode count: 6\nProposal sizes last/min/max: 48/48/48\n") {
		t.Errorf("a leader says\n%s", got)
	}
	state.mode = ReadOnly
	if got := answer(t, s, "srvr"); !strings.Contains(got, "UTC\nREAD-ONLY mode; serving only read-only clients\nLatency") {
		t.Errorf("in read-only mode:\n%s", got)
	}
}

// TestMntrKeys: every key is one of ZooKeeper's, with a number of the same form, except for those that newer versions or ensembles
// have; and what monitors rely on is there.
func TestMntrKeys(t *testing.T) {
	parse := func(text string) map[string]string {
		m := map[string]string{}
		for line := range strings.Lines(text) {
			key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			if !ok || m[key] != "" {
				t.Errorf("line %q", line)
			}
			m[key] = value
		}
		return m
	}
	s, _, _ := testSource(t)
	got, want := parse(answer(t, s, "mntr")), parse(reference(t, "mntr.txt"))
	for key, value := range got {
		if strings.HasPrefix(key, "zk_op_count_") || strings.HasPrefix(key, "zk_ttl_node_") || key == "zk_quorum_size" {
			continue
		}
		ref, ok := want[key]
		if !ok {
			t.Errorf("ZooKeeper 3.9 has no %s", key)
		}
		if strings.Contains(value, ".") != strings.Contains(ref, ".") {
			t.Errorf("%s is %s, in ZooKeeper %s", key, value, ref)
		}
	}
	for key, value := range map[string]string{
		"zk_server_state": "standalone", "zk_avg_latency": "8.0", "zk_max_latency": "12", "zk_min_latency": "1",
		"zk_packets_received": "5", "zk_packets_sent": "4", "zk_num_alive_connections": "2", "zk_outstanding_requests": "0",
		"zk_znode_count": "6", "zk_watch_count": "3", "zk_ephemerals_count": "1", "zk_approximate_data_size": "52",
		"zk_global_sessions": "1", "zk_cnt_updatelatency": "2", "zk_avg_updatelatency": "10.5", "zk_avg_readlatency": "5.5",
	} {
		if got[key] != value {
			t.Errorf("%s is %q, want %q", key, got[key], value)
		}
	}
	for _, key := range []string{"zk_version", "zk_open_file_descriptor_count", "zk_max_file_descriptor_count", "zk_uptime"} {
		if got[key] == "" {
			t.Errorf("%s is missing", key)
		}
	}
}

func TestNotServing(t *testing.T) {
	s, _, state := testSource(t)
	state.serving = false
	for _, word := range words {
		if word == "stmk" {
			continue
		}
		want := notServing + "\n"
		switch word {
		case "ruok":
			want = "imok"
		case "isro":
			want = "null"
		case "gtmk":
			want = "306"
		case "envi":
			want = "Environment:\nzookeeper.version=" + s.Version.String() + "\n"
		}
		if got := answer(t, s, word); got != want && (word != "envi" || !strings.HasPrefix(got, want)) {
			t.Errorf("%s: got %q, want %q", word, got, want)
		}
	}
}

// serve answers connections on a port of its own until the test ends; it reads four bytes as netloop does.
func serve(t *testing.T, s *Source) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				var b [64]byte
				n, _ := io.ReadAtLeast(c, b[:], 4)
				if n < 4 || !IsFourLetterWord(b[:4]) {
					c.Close()
					return
				}
				ServeFourLetter(c, string(b[:4]), b[4:n], s)
			})
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln.Addr().String()
}

func ask(t *testing.T, addr, send string, half bool) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, send); err != nil {
		t.Fatal(err)
	}
	if half {
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
	}
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("A4: reading the answer to %q: %v", send, err)
	}
	return string(b)
}

// TestA4_ProbesGetTheirAnswer is echo ruok | nc, which fails now and then against ZooKeeper: a newline that nobody reads, and half a
// close.
func TestA4_ProbesGetTheirAnswer(t *testing.T) {
	s, _, _ := testSource(t)
	addr := serve(t, s)
	if got := ask(t, addr, "srvr", false); !strings.Contains(got, "\nConnections: 3\n") {
		t.Errorf("ZooKeeper counts the connection that asks, too; got\n%s", got)
	}
	asking := regexp.MustCompile(`(?m)^ /127\.0\.0\.1:\d+\[0\]\(queued=0,recved=1,sent=0\)$`)
	for _, word := range []string{"cons", "stat"} {
		if got := ask(t, addr, word, false); len(asking.FindAllString(got, -1)) != 2 { // one more than the source's
			t.Errorf("ZooKeeper's %s lists the connection that asks, too; got\n%s", word, got)
		}
	}
	for i := range 200 {
		for _, send := range []string{"ruok", "ruok\n", "ruok" + strings.Repeat("x", 500)} {
			if got := ask(t, addr, send, i%2 == 0); got != "imok" {
				t.Fatalf("%.8q, round %d: got %q", send, i, got)
			}
		}
	}
	if n := s.Metrics.Stats().PacketsReceived - 3; n != 5+600 {
		t.Errorf("%d packets, want 605: ZooKeeper counts four-letter words", n)
	}
}

func TestTraceMask(t *testing.T) {
	s, _, _ := testSource(t)
	addr := serve(t, s)
	mask := string(binary.BigEndian.AppendUint64(nil, 306))
	if got, want := ask(t, addr, "stmk"+mask, true), reference(t, "stmk.txt"); got != want {
		t.Errorf("stmk: got %q, want %q", got, want)
	}
	ask(t, addr, "stmk"+string(binary.BigEndian.AppendUint64(nil, 5)), false)
	if got := ask(t, addr, "gtmk", false); got != "5" {
		t.Errorf("gtmk: got %q", got)
	}
	if got := ask(t, addr, "stmk123", true); got != "" {
		t.Errorf("half a mask: got %q", got)
	}
}

func TestA1_Whitelist(t *testing.T) {
	s, clients, _ := testSource(t)
	s.Whitelist, _ = ParseWhitelist(DefaultWhitelist)
	addr := serve(t, s)
	for _, word := range words {
		got := ask(t, addr, word, false)
		refused := got == word+" is not executed because it is not in the whitelist.\n"
		if allowed := slices.Contains([]string{"ruok", "srvr", "mntr", "isro"}, word); allowed == refused {
			t.Errorf("%s: got %q", word, got)
		}
	}
	if clients.reset != 0 {
		t.Error("a refused crst has reset")
	}
	if got := ask(t, addr, telnetInterrupt, false); got != "" {
		t.Errorf("telnet's interrupt: got %q", got)
	}
	w, unknown := ParseWhitelist(" stat ,lsnp,, ruok")
	if !w.Allows("stat") || !w.Allows("ruok") || !w.Allows("srvr") || w.Allows("isro") || !slices.Equal(unknown, []string{"lsnp"}) {
		t.Errorf("got %v, unknown %v", w, unknown)
	}
	if IsFourLetterWord([]byte("icfg")) || IsFourLetterWord([]byte{0, 0, 0, 44}) {
		t.Error("taken for a word")
	}
}

// TestGoZookeeperParses runs the client library's own parser, a regular expression over the whole text of srvr.
func TestGoZookeeperParses(t *testing.T) {
	s, clients, _ := testSource(t)
	s.Version.Build = "1.0 (unknown commit)"
	clients.conns = clients.conns[:1] // it has no expression for a connection without a session
	addr := serve(t, s)
	stats, ok := zk.FLWSrvr([]string{addr}, 5*time.Second)
	if !ok || stats[0].Error != nil {
		t.Fatalf("got %+v", stats[0])
	}
	if got := stats[0]; got.NodeCount != 6 || got.Mode != zk.ModeStandalone || got.AvgLatency != 8 || got.Counter != 2 || got.BuildTime.Year() != 2026 {
		t.Errorf("got %+v", got)
	}
	if ok := zk.FLWRuok([]string{addr}, 5*time.Second); !ok[0] {
		t.Error("ruok")
	}
	cons, _ := zk.FLWCons([]string{addr}, 5*time.Second) // false for what it has no expression for: the connection that asks
	if cons[0].Error != nil || len(cons[0].Clients) != 1 || cons[0].Clients[0].SessionID != int64(testSession) {
		t.Errorf("cons: %+v", cons[0])
	}
}
