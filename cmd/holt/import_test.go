package main

import (
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"holt/netloop/wire"
)

// zookeeperData is what a real ZooKeeper left (package zkdata says how): two sessions are open, whose ids and passwords these are.
const (
	zookeeperData        = "zkdata/testdata/alone"
	zookeeperLastZxid    = 0x5b
	zookeeperSession     = 0x1000197a4710000
	zookeeperPassword    = "f5a423b2de8bd2335bcdf756577a8879"
	zookeeperOther       = 0x1000197a4710001
	zookeeperOtherSecret = "08c61db27ed7b17850105f822b039d46"
)

// leaveZooKeeper puts ZooKeeper's files where its zoo.cfg has them.
func leaveZooKeeper(t *testing.T, dataDir string) {
	t.Helper()
	if err := os.CopyFS(dataDir, os.DirFS(zookeeperData)); err != nil {
		t.Fatal(err)
	}
}

// attach is a client of ZooKeeper's that comes back with its session.
func attach(t *testing.T, addr string, session int64, password string) *rawClient {
	t.Helper()
	secret, err := hex.DecodeString(password)
	if err != nil {
		t.Fatal(err)
	}
	c := dialRaw(t, addr)
	if err := c.connect(wire.ConnectRequest{TimeoutMs: 40_000, SessionID: session, Password: secret, LastZxidSeen: zookeeperLastZxid}); err != nil {
		t.Fatal(err)
	}
	return c
}

// imported checks that addr serves what ZooKeeper had, to those who had it.
func imported(t *testing.T, addr string) {
	t.Helper()
	if c := attach(t, addr, zookeeperSession, strings.Repeat("00", 16)); c.session.SessionID != 0 {
		t.Errorf("attached with a wrong password: %+v", c.session)
	}
	a := attach(t, addr, zookeeperSession, zookeeperPassword)
	if a.session.SessionID != zookeeperSession {
		t.Fatalf("attaching was answered %+v", a.session)
	}
	if got := a.data("/app"); got != "world" {
		t.Errorf("/app is %q", got)
	}
	if p := a.call(1, wire.OpCreate, createBody("/app/q-", "", 2)); p.Err != 0 || p.Zxid <= zookeeperLastZxid || !strings.HasSuffix(string(p.body), fmt.Sprintf("q-%010d", 43)) {
		t.Errorf("a sequential create was answered %+v %q", p.ReplyHeader, p.body)
	}
	const own, others = "/app/eph-0000000040", "/app/eph-0000000041"
	for _, path := range []string{own, others} {
		a.data(path)
	}
	if b := attach(t, addr, zookeeperOther, zookeeperOtherSecret); b.session.SessionID != zookeeperOther || b.call(2, wire.OpCloseSession, noBody).Err != 0 {
		t.Errorf("the other session: %+v", b.session)
	}
	if p := a.call(3, wire.OpExists, watchBody(others, false)); p.Err != -101 {
		t.Errorf("an ephemeral of the session that ended: %+v", p.ReplyHeader)
	}
	a.data(own)
}

func noBody(b []byte) []byte { return b }

func TestImport_OneServer(t *testing.T) {
	dir := t.TempDir()
	data, cfg := filepath.Join(dir, "data"), filepath.Join(dir, "zoo.cfg")
	leaveZooKeeper(t, data)
	addr := freeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	if err := os.WriteFile(cfg, []byte("tickTime=2000\ndataDir="+data+"\nclientPort="+port+"\nclientPortAddress=127.0.0.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	launch(t, nil, data, cfg).fails("holds the data of a ZooKeeper server", "holt import")

	out, errOut, code := holt(t, "import", "--check", cfg)
	for _, want := range []string{"snapshot.42 and 25 transactions", "last zxid 0x5b, 44 znodes, 2 sessions", "digest of its tree is equal"} {
		if code != exitOK || !strings.Contains(out, want) {
			t.Fatalf("import --check: %d %s %s, no %q", code, out, errOut, want)
		}
	}
	if names, _ := os.ReadDir(data); len(names) != 2 {
		t.Errorf("import --check wrote: %v", names)
	}
	taken, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, errOut, code := holt(t, "import", cfg); code != exitError || !strings.Contains(errOut, "a server answers on") {
		t.Errorf("import beside a server: %d %s", code, errOut)
	}
	taken.Close()

	if out, errOut, code := holt(t, "import", cfg); code != exitOK || !strings.Contains(out, "done") {
		t.Fatalf("import: %d %s %s", code, out, errOut)
	}
	if _, errOut, code := holt(t, "import", cfg); code != exitError || !strings.Contains(errOut, "has data of its own") {
		t.Errorf("import once more: %d %s", code, errOut)
	}
	p := startProcess(t, data, cfg)
	imported(t, p.addr)
	p.kill()
	p = startProcess(t, data, cfg)
	if c := attach(t, p.addr, zookeeperSession, zookeeperPassword); c.session.SessionID != zookeeperSession || c.data("/app/q-0000000043") != "" {
		t.Errorf("after kill -9: %+v", c.session)
	}
}

func TestImport_Doubts(t *testing.T) {
	dir := t.TempDir()
	leaveZooKeeper(t, dir)
	for _, name := range []string{"snapshot.42", "log.30"} {
		if err := os.Remove(filepath.Join(dir, "version-2", name)); err != nil {
			t.Fatal(err)
		}
	}
	to := filepath.Join(dir, "to")
	args := []string{"import", "--from", dir, "--data-dir", to, "--client-addr", freeAddr(t)}
	out, errOut, code := holt(t, args...)
	if code != exitError || !strings.Contains(out, "doubt: transactions between 0x2f and 0x44 are missing") || !strings.Contains(errOut, "--force") {
		t.Errorf("import with a gap: %d %s %s", code, out, errOut)
	}
	if exists(to) {
		t.Error("something was written")
	}
	if out, errOut, code := holt(t, append(args, "--force")...); code != exitOK {
		t.Errorf("import --force: %d %s %s", code, out, errOut)
	}
	if _, errOut, code := holt(t, "import", "--data-dir", filepath.Join(dir, "none"), "--client-addr", freeAddr(t)); code != exitError || !strings.Contains(errOut, "no ZooKeeper data") {
		t.Errorf("import of nothing: %d %s", code, errOut)
	}
}

// Every member of a ZooKeeper ensemble has data. One imports it; the others wait until then, and are filled.
func TestImport_Ensemble(t *testing.T) {
	e := layOut(t, 3)
	for _, m := range e.members {
		leaveZooKeeper(t, m.data())
		if err := os.WriteFile(filepath.Join(m.data(), "version-2", "currentEpoch"), []byte(strconv.Itoa(9)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	first, others := e.members[0], e.members[1:]
	e.start(others...)
	time.Sleep(2 * time.Second) // a majority that was empty would form an ensemble by now
	for _, m := range others {
		if mode := m.mode(); mode != "" || !strings.Contains(m.said.String(), "waits to be filled") {
			t.Errorf("server.%d, with ZooKeeper's data and none of Holt's, is %q", m.ID, mode)
		}
	}
	if out, errOut, code := holt(t, "import", first.cfg, "--client-addr", first.ClientAddr); code != exitOK || !strings.Contains(out, "done") {
		t.Fatalf("import: %d %s %s", code, out, errOut)
	}
	e.start(first)
	e.leader(e.members...)
	e.votes(first, 3, "msg=members")
	if !strings.Contains(first.said.String(), "role=leader term=11 ") {
		t.Errorf("the term does not go on from ZooKeeper's epoch")
	}
	first.kill() // the others are an ensemble without it
	e.leader(others...)
	imported(t, others[1].ClientAddr)
	c := attach(t, others[0].ClientAddr, zookeeperSession, zookeeperPassword)
	if p := c.call(9, wire.OpSetData, setReq("/app", "x").body); p.Err != 0 || p.Zxid>>32 <= 9 {
		t.Errorf("a write after the import: %+v", p.ReplyHeader)
	}
}
