package admin

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"holt/perf"
	"holt/tree"
)

// The state of the ZooKeeper that testdata was captured from: one session, its ephemeral, a connection with two watched paths and a
// connection that asks for a four-letter word.
const (
	testSession  = tree.SessionID(0x100001e92880000)
	testExpiryMs = 1795367470000
)

type fakeState struct {
	root    *tree.Root
	mode    Mode
	serving bool
	others  *Ensemble
}

func (f *fakeState) Root() *tree.Root { return f.root }
func (f *fakeState) Mode() Mode       { return f.mode }
func (f *fakeState) Serving() bool    { return f.serving }

func (f *fakeState) Ensemble() *Ensemble { return f.others }

type fakeClients struct {
	conns    []Connection
	paths    map[string][]tree.SessionID
	expiries map[int64][]tree.SessionID
	reset    int
}

func (f *fakeClients) Connections() []Connection                 { return f.conns }
func (f *fakeClients) ResetConnections()                         { f.reset++ }
func (f *fakeClients) WatchedPaths() map[string][]tree.SessionID { return f.paths }
func (f *fakeClients) Expiries() map[int64][]tree.SessionID      { return f.expiries }
func (f *fakeClients) WatchCounts() WatchCounts {
	return WatchCounts{Conns: 1, Paths: int64(len(f.paths)), Watches: int64(len(f.paths))}
}

func testRoot(t testing.TB) *tree.Root {
	t.Helper()
	h := tree.CommandHeader{Origin: tree.Origin{Process: 1, Conn: 1}, Session: testSession}
	batch := tree.AppendBatchHeader(nil, tree.BatchHeader{TimeMs: 1})
	batch = tree.AppendOpenSession(batch, &tree.CommandHeader{Origin: h.Origin}, &tree.OpenSession{ID: testSession, TimeoutMs: 30000})
	h.Op = tree.OpCreate
	acl := tree.AppendACL(nil, 31, []byte("world"), []byte("anyone"))
	batch = tree.AppendCreate(batch, &h, &tree.Create{Path: []byte("/e1"), Data: []byte("hello"), ACL: acl, Flags: 1})
	applied, err := tree.New().Apply(tree.Batch{Data: batch, Local: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, txn := range applied.Txns {
		if txn.Code != tree.OK {
			t.Fatalf("transaction %x answers %d", txn.Zxid, txn.Code)
		}
	}
	return applied.Root
}

func testSource(t testing.TB) (*Source, *fakeClients, *fakeState) {
	clients := &fakeClients{
		conns: []Connection{{
			Remote: "127.0.0.1:49970", Reading: true, Received: 4, Sent: 4, Session: testSession, LastOp: 106, EstablishedMs: 1795367438422,
			TimeoutMs: 30000, LastXid: 3, LastZxid: 2, LastReplyMs: 2032278, LastLatencyMs: 10, AvgLatencyMs: 8, MaxLatencyMs: 12,
			ExpiresMs: testExpiryMs + 6000,
		}, {Remote: "127.0.0.1:50002", Received: 1, LastXid: -1, LastZxid: -1, ExpiresMs: testExpiryMs - 14000}},
		paths:    map[string][]tree.SessionID{"/zookeeper": {testSession}, "/e1": {testSession}},
		expiries: map[int64][]tree.SessionID{testExpiryMs: {testSession}},
	}
	state := &fakeState{root: testRoot(t), mode: Standalone, serving: true}
	m := perf.New(perf.Config{Loops: 1})
	l := m.Loop(0)
	l.Begin(0)
	l.Answered(perf.OpCreate, 0, 12e6)
	l.Answered(perf.OpConnect, 0, 9e6)
	l.Answered(perf.OpExists, 0, 1e6)
	l.Answered(perf.OpAddWatch, 0, 10e6)
	l.Received(5, 166)
	l.Sent(4, 136)
	l.Gauges.Conns, l.Gauges.Watches = 2, 3
	l.End(0)
	m.SetSources(perf.Sources{
		Znodes: state.root.NodeCount, DataBytes: state.root.DataBytes, Ephemerals: state.root.EphemeralCount,
		Sessions: func() int64 { return int64(state.root.SessionCount()) }, QuorumSize: func() int64 { return 1 },
	})
	all, unknown := ParseWhitelist("*")
	if len(unknown) > 0 {
		t.Fatal(unknown)
	}
	return &Source{
		Version:   Version{ZooKeeper: "3.9.5", Build: "0.1.0", Built: time.Date(2026, 2, 11, 20, 18, 0, 0, time.UTC)},
		Whitelist: all, Metrics: m, Clients: clients, State: state,
		Config: Config{
			ClientPort: 24001, SecureClientPort: -1, DataDir: "/var/lib/zookeeper/data/version-2", DataLogDir: "/var/lib/zookeeper/data/version-2",
			TickMs: 2000, MaxClientConns: 60, MinSessionTimeoutMs: 4000, MaxSessionTimeoutMs: 40000, ListenBacklog: -1,
			Text: "tickTime=2000\n", Properties: map[string]string{"dataDir": "/data", "ssl.keyStore.password": "geheim"},
		},
		Dirs: func() (int64, int64) { return 67109358, 67109358 },
	}, clients, state
}

// reference is what ZooKeeper answered.
func reference(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "zookeeper-3.9.5", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var (
	versionText = regexp.MustCompile(`3\.9\.5-[-.0-9a-z]+, built on [-/0-9]+ [0-9:]+ UTC`)
	dateText    = regexp.MustCompile(`[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d [A-Z]+ \d{4}`)
	portText    = regexp.MustCompile(`127\.0\.0\.1:\d+`)
)

// comparable leaves out of an answer what is different on every machine and at every moment.
func comparable(text string) string {
	text = versionText.ReplaceAllString(text, "VERSION")
	text = dateText.ReplaceAllString(text, "DATE")
	return portText.ReplaceAllString(text, "ADDRESS")
}

func sortedLines(text string) []string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return lines
}
