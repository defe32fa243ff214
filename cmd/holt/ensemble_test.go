package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"holt/tree"
)

// processorsN is what a process may use; a benchmark that ran in this one has changed that.
var processorsN = runtime.GOMAXPROCS(0)

// testMember is a member of an ensemble of processes.
type testMember struct {
	*process
	tree.Member
	dir, cfg string
}

func (m *testMember) data() string { return filepath.Join(m.dir, "data") }

// testEnsemble is members on loopback, laid out as by hand: a directory with zoo.cfg and data/myid each.
type testEnsemble struct {
	t       *testing.T
	dir     string
	members []*testMember // by id - 1
	lines   []string      // of every zoo.cfg
}

// layOut makes members without starting any.
func layOut(t *testing.T, n int, settings ...string) *testEnsemble {
	t.Helper()
	e := &testEnsemble{t: t, dir: t.TempDir(), lines: settings}
	for range n {
		e.add(false)
	}
	for _, m := range e.members {
		e.configure(m, e.members)
	}
	return e
}

// add makes the directory of one more member.
func (e *testEnsemble) add(observer bool) *testMember {
	e.t.Helper()
	id := len(e.members) + 1
	m := &testMember{dir: filepath.Join(e.dir, strconv.Itoa(id))}
	m.cfg = filepath.Join(m.dir, "zoo.cfg")
	m.Member = tree.Member{
		ID: uint8(id), Host: "127.0.0.1", PeerPort: freePort(e.t), ElectionPort: freePort(e.t), Observer: observer,
		ClientAddr: freeAddr(e.t),
	}
	if err := os.MkdirAll(m.data(), 0o755); err != nil {
		e.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(m.data(), "myid"), fmt.Appendln(nil, id), 0o644); err != nil {
		e.t.Fatal(err)
	}
	e.members = append(e.members, m)
	return m
}

// configure writes a member's zoo.cfg with server lines of all.
func (e *testEnsemble) configure(m *testMember, all []*testMember) {
	e.t.Helper()
	lines := append([]string{"dataDir=" + m.data(), "tickTime=500", "maxClientCnxns=0"}, e.lines...)
	for _, o := range all {
		lines = append(lines, o.String())
	}
	if err := os.WriteFile(m.cfg, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		e.t.Fatal(err)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	_, port, _ := net.SplitHostPort(freeAddr(t))
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// start starts members that do not run and waits until their client ports are open.
func (e *testEnsemble) start(members ...*testMember) {
	e.t.Helper()
	for _, m := range members {
		m.process = launch(e.t, nil, m.data(), "--client-addr", m.ClientAddr, m.cfg)
	}
	for _, m := range members {
		m.ready()
	}
}

// mode is what a member says in srvr; "" when it does not serve.
func (m *testMember) mode() string {
	for line := range strings.Lines(fourLetters(m.ClientAddr, "srvr")) {
		if mode, ok := strings.CutPrefix(line, "Mode: "); ok {
			return strings.TrimSpace(mode)
		}
	}
	return ""
}

// leader waits for one of the members to lead and the others to know it.
func (e *testEnsemble) leader(members ...*testMember) (leader *testMember) {
	e.t.Helper()
	eventually(e.t, 20*time.Second, func() string {
		var modes []string
		leader = nil
		for _, m := range members {
			modes = append(modes, m.mode())
			if modes[len(modes)-1] == "leader" {
				leader = m
			}
		}
		if leader == nil || slices.Contains(modes, "") {
			return fmt.Sprintf("modes %q", modes)
		}
		return ""
	})
	return leader
}

// votes waits until a member has said something and knows of n votes.
func (e *testEnsemble) votes(m *testMember, n int, said string) {
	e.t.Helper()
	eventually(e.t, 20*time.Second, func() string {
		log := m.said.String()
		if got := m.metric("quorum_size"); got != float64(n) || !strings.Contains(log, said) {
			return fmt.Sprintf("server.%d knows of %v votes", m.ID, got)
		}
		// Until a change of members is complete the majority of those before it counts too.
		if i := strings.LastIndex(log, "msg=members"); i >= 0 && !strings.Contains(log[i:], "leaving=[]") {
			return fmt.Sprintf("server.%d is in the middle of a change of members", m.ID)
		}
		return ""
	})
}

func (e *testEnsemble) others(of *testMember) []*testMember {
	return slices.DeleteFunc(slices.Clone(e.members), func(m *testMember) bool { return m == of })
}

type quietZK struct{}

func (quietZK) Printf(string, ...any) {}

// dial opens a session with the members' client ports through go-zookeeper.
func (e *testEnsemble) dial(members ...*testMember) *zk.Conn {
	e.t.Helper()
	var addrs []string
	for _, m := range members {
		addrs = append(addrs, m.ClientAddr)
	}
	conn, _, err := zk.Connect(addrs, 6*time.Second, zk.WithLogger(quietZK{}), zk.WithLogInfo(false))
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(conn.Close)
	return conn
}

// appender creates numbered znodes one after the other, and remembers which were acknowledged.
type appender struct {
	conn  *zk.Conn
	path  string
	acked atomic.Int64 // all up to this one
	gap   atomic.Int64 // ns, the longest time between two of them
	quit  chan struct{}
	done  chan error
}

func startAppender(conn *zk.Conn, path string) *appender {
	a := &appender{conn: conn, path: path, quit: make(chan struct{}), done: make(chan error, 1)}
	go func() { a.done <- a.run() }()
	return a
}

func (a *appender) run() error {
	last := time.Now()
	for i := int64(1); ; i++ {
		for {
			select {
			case <-a.quit:
				return nil
			default:
			}
			_, err := a.conn.Create(fmt.Sprintf("%s-%06d", a.path, i), nil, 0, zk.WorldACL(zk.PermAll))
			if err == nil || errors.Is(err, zk.ErrNodeExists) { // exists: an attempt before, whose outcome was unknown
				break
			}
			if !errors.Is(err, zk.ErrConnectionClosed) && !errors.Is(err, zk.ErrNoServer) {
				return err
			}
			time.Sleep(time.Millisecond)
		}
		now := time.Now()
		if gap := int64(now.Sub(last)); gap > a.gap.Load() {
			a.gap.Store(gap)
		}
		last = now
		a.acked.Store(i)
	}
}

// reach waits until n more were acknowledged.
func (a *appender) reach(t *testing.T, n int64) {
	t.Helper()
	want := a.acked.Load() + n
	eventually(t, 30*time.Second, func() string {
		if len(a.done) > 0 {
			t.Fatalf("the client gave up: %v", <-a.done)
		}
		if got := a.acked.Load(); got < want {
			return fmt.Sprintf("%d writes acknowledged, waiting for %d", got, want)
		}
		return ""
	})
}

func (a *appender) stop(t *testing.T) {
	t.Helper()
	close(a.quit)
	if err := <-a.done; err != nil {
		t.Fatal(err)
	}
}

// complete checks that a member has all that was acknowledged.
func (a *appender) complete(t *testing.T, m *testMember) {
	t.Helper()
	conn, _, err := zk.Connect([]string{m.ClientAddr}, 6*time.Second, zk.WithLogger(quietZK{}), zk.WithLogInfo(false))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	acked := a.acked.Load() // now: what is acknowledged after the sync is not promised to show
	last := fmt.Sprintf("%s-%06d", a.path, acked)
	eventually(t, 20*time.Second, func() string { // a member that takes over a state, or whose leader changes, cuts connections
		if _, err := conn.Sync("/"); err != nil {
			return fmt.Sprintf("sync at server.%d: %v", m.ID, err)
		}
		names, _, err := conn.Children("/")
		if err != nil {
			return fmt.Sprintf("children at server.%d: %v", m.ID, err)
		}
		n := int64(0)
		for _, name := range names {
			if strings.HasPrefix("/"+name, a.path+"-") {
				n++
			}
		}
		if n < acked || !slices.Contains(names, last[1:]) {
			t.Fatalf("server.%d has %d of %d acknowledged writes", m.ID, n, acked)
		}
		return ""
	})
}

func TestEnsemble_LeaderKilledUnderLoad(t *testing.T) {
	e := layOut(t, 3)
	e.start(e.members...)
	leader := e.leader(e.members...)
	follower := e.others(leader)[0]
	conn := e.dial(follower)
	a := startAppender(conn, "/k")
	a.reach(t, 50)
	session := conn.SessionID()
	if status, text := leader.page("/readyz"); status != 200 {
		t.Errorf("readyz of the leader: %d %s", status, text)
	}
	leader.kill()
	a.reach(t, 50)
	t.Logf("longest wait of a client of a follower: %v", time.Duration(a.gap.Load()))
	if conn.SessionID() != session {
		t.Error("the session was lost")
	}
	if got := e.leader(e.others(leader)...); got == leader {
		t.Error("the dead member leads")
	}
	e.start(leader)
	e.leader(e.members...)
	a.reach(t, 20)
	a.stop(t)
	for _, m := range e.members {
		a.complete(t, m)
	}
}

func TestEnsemble_PlannedStopOfTheLeader(t *testing.T) {
	e := layOut(t, 3)
	e.start(e.members...)
	leader := e.leader(e.members...)
	a := startAppender(e.dial(e.others(leader)[1]), "/k")
	a.reach(t, 50)
	a.gap.Store(0)
	leader.stop(10 * time.Second)
	a.reach(t, 50)
	a.stop(t)
	t.Logf("longest wait of a client of a follower: %v", time.Duration(a.gap.Load()))
	if gap := time.Duration(a.gap.Load()); gap > time.Second {
		t.Errorf("a planned stop held writes up for %v", gap)
	}
	if !strings.Contains(leader.said.String(), "handing over leadership") {
		t.Error("leadership was not handed over")
	}
}

func TestEnsemble_AllRestarted(t *testing.T) {
	e := layOut(t, 3)
	e.start(e.members...)
	e.leader(e.members...)
	a := startAppender(e.dial(e.members...), "/k")
	a.reach(t, 50)
	for _, m := range e.members {
		m.kill()
	}
	e.start(e.members...)
	a.reach(t, 20)
	a.stop(t)
	for _, m := range e.members {
		m.stop(10 * time.Second)
	}
	e.start(e.members...)
	e.leader(e.members...)
	for _, m := range e.members {
		a.complete(t, m)
	}
}

const superSettings = "reconfigEnabled=true\nDigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU=" // super:test

func TestEnsemble_MemberAddedAndRemoved(t *testing.T) {
	e := layOut(t, 3, superSettings)
	e.start(e.members...)
	e.leader(e.members...)
	conn := e.dial(e.members[0])
	a := startAppender(conn, "/k")
	a.reach(t, 50)
	admin := e.dial(e.members[1])
	if _, err := admin.IncrementalReconfig(nil, []string{"3"}, -1); !errors.Is(err, zk.ErrNoAuth) {
		t.Errorf("reconfig of nobody in particular: %v", err)
	}
	if err := admin.AddAuth("digest", []byte("super:test")); err != nil {
		t.Fatal(err)
	}

	m := e.add(false)
	e.configure(m, e.members)
	e.start(m)
	stat, err := admin.IncrementalReconfig([]string{m.String()}, nil, -1)
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := admin.Get("/zookeeper/config")
	if err != nil || !strings.Contains(string(text), m.String()) || !strings.HasSuffix(string(text), fmt.Sprintf("version=%x", stat.Mzxid)) {
		t.Errorf("config %s, stat %+v, %v", text, stat, err)
	}
	a.reach(t, 20)
	e.leader(e.members...)
	a.complete(t, m)

	// The leader goes: it hands over before it leaves.
	leader := e.leader(e.members...)
	if leader == e.members[1] { // the client's member stays
		conn = e.dial(e.members[0])
		if err := conn.AddAuth("digest", []byte("super:test")); err != nil {
			t.Fatal(err)
		}
		admin = conn
	}
	if _, err := admin.IncrementalReconfig(nil, []string{strconv.Itoa(int(leader.ID))}, stat.Mzxid); err != nil {
		t.Fatal(err)
	}
	rest := e.others(leader)
	e.leader(rest...)
	leader.stop(10 * time.Second)
	b := startAppender(e.dial(rest[0]), "/l")
	b.reach(t, 20)
	b.stop(t)
	a.stop(t)

	// The static file points to what was agreed on.
	eventually(t, 10*time.Second, func() string {
		cfg, err := os.ReadFile(rest[0].cfg)
		if err != nil || !strings.Contains(string(cfg), "dynamicConfigFile="+rest[0].cfg+".dynamic.") || strings.Contains(string(cfg), "server.") {
			return fmt.Sprintf("zoo.cfg: %s, %v", cfg, err)
		}
		return ""
	})
	rest[0].kill()
	e.start(rest[0])
	e.leader(rest...)
}

func TestEnsemble_WipedMemberIsRefilled(t *testing.T) {
	e := layOut(t, 3)
	e.start(e.members...)
	leader := e.leader(e.members...)
	a := startAppender(e.dial(leader), "/k")
	a.reach(t, 50)
	m := e.others(leader)[0]
	if out, errOut, code := holt(t, "refill", m.cfg, "--confirm"); code == exitOK || !strings.Contains(errOut, "the member runs") {
		t.Errorf("refill of a running member: %d %s %s", code, out, errOut)
	}
	m.kill()
	if out, errOut, code := holt(t, "refill", m.cfg); code == exitOK || !strings.Contains(errOut, "nothing was changed") || !exists(filepath.Join(m.data(), "log")) {
		t.Errorf("refill without --confirm: %d %s %s", code, out, errOut)
	}
	out, errOut, code := holt(t, "refill", m.cfg, "--confirm")
	if code != exitOK || !strings.Contains(out, fmt.Sprintf("server.%d leads", leader.ID)) || exists(filepath.Join(m.data(), "log")) {
		t.Fatalf("refill: %d %s %s", code, out, errOut)
	}
	if aside, _ := filepath.Glob(filepath.Join(m.data(), "aside-*", "log")); len(aside) != 1 {
		t.Errorf("moved aside: %s", aside)
	}
	a.reach(t, 20)
	e.start(m)
	e.votes(leader, 3, `msg=members voters="[1 2 3]" leaving=[] observers=[]`)
	e.leader(e.members...)
	a.reach(t, 20)
	a.stop(t)
	a.complete(t, m)
	leader.kill() // what was filled votes
	b := startAppender(e.dial(e.others(leader)...), "/l")
	b.reach(t, 20)
	b.stop(t)
}

// A member leaves half of its processors alone until it has what the others had when it came.
func TestEnsemble_ProcessorsAreSparedUntilCaughtUp(t *testing.T) {
	e := layOut(t, 3)
	m := e.members[0]
	e.start(m)
	if n, want := int(m.metric("go_gomaxprocs")), max(1, processorsN/2); n != want {
		t.Errorf("a member without a leader takes %d of %d processors, want %d", n, processorsN, want)
	}
	e.start(e.others(m)...)
	eventually(t, 10*time.Second, func() string {
		if n := int(m.metric("go_gomaxprocs")); n != processorsN || !strings.Contains(m.said.String(), "caught up with the ensemble") {
			return fmt.Sprintf("server.%d takes %d of %d processors", m.ID, n, processorsN)
		}
		return ""
	})
}

// A member whose log is damaged in the middle does not start, says what to do, and that works.
func TestEnsemble_DamagedMemberIsRefilled(t *testing.T) {
	e := layOut(t, 3, "preAllocSize=1024")
	e.start(e.members...)
	leader := e.leader(e.members...)
	a := startAppender(e.dial(leader), "/damaged")
	a.reach(t, 50)
	m := e.others(leader)[1]
	m.kill()
	segments, _ := filepath.Glob(filepath.Join(m.data(), "log", "*.wal"))
	b, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	b[bytes.Index(b, []byte("/damaged-000007"))] ^= 1
	if err := os.WriteFile(segments[0], b, 0o644); err != nil {
		t.Fatal(err)
	}
	launch(t, nil, m.data(), "--client-addr", m.ClientAddr, m.cfg).fails(segments[0], "is damaged at offset", "holt refill")
	if _, errOut, code := holt(t, "recover", m.cfg, "--confirm"); code != exitError || !strings.Contains(errOut, "is damaged at offset") {
		t.Errorf("recover from a damaged log: %d %s", code, errOut)
	}
	if out, errOut, code := holt(t, "refill", m.cfg, "--confirm"); code != exitOK {
		t.Fatalf("refill: %d %s %s", code, out, errOut)
	}
	e.start(m)
	e.votes(leader, 3, `msg=members voters="[1 2 3]" leaving=[] observers=[]`)
	a.reach(t, 20)
	a.stop(t)
	a.complete(t, m)
}

// Without reconfig a member moves to another address by editing the files and restarting one after the other.
func TestEnsemble_MemberMoves(t *testing.T) {
	e := layOut(t, 3)
	e.start(e.members...)
	e.leader(e.members...)
	a := startAppender(e.dial(e.members[0], e.members[1]), "/k")
	a.reach(t, 50)
	m := e.members[2]
	m.stop(10 * time.Second)
	m.PeerPort = freePort(t)
	for _, o := range e.members {
		e.configure(o, e.members)
	}
	for _, o := range e.members[:2] {
		o.stop(10 * time.Second)
		e.start(o)
		e.leader(e.members[:2]...)
	}
	e.start(m)
	e.leader(e.members...)
	a.reach(t, 20)
	a.stop(t)
	a.complete(t, m)
	eventually(t, 5*time.Second, func() string {
		if !strings.Contains(m.said.String(), "this server goes by its own") {
			return "no warning of the address that the ensemble remembers"
		}
		return ""
	})
}

func TestEnsemble_RefillNeedsALeader(t *testing.T) {
	e := layOut(t, 3)
	e.start(e.members...)
	e.leader(e.members...)
	for _, m := range e.members {
		m.kill()
	}
	m := e.members[0]
	if _, errOut, code := holt(t, "refill", m.cfg, "--confirm"); code != exitError || !strings.Contains(errOut, "no other member answers srvr as leader") {
		t.Errorf("without a leader: %d %s", code, errOut)
	}
	if !exists(filepath.Join(m.data(), "log")) {
		t.Error("the log was moved all the same")
	}
	if out, errOut, code := holt(t, "refill", m.cfg, "--confirm", "--force"); code != exitOK {
		t.Errorf("forced: %d %s %s", code, out, errOut)
	}
	alone := filepath.Join(t.TempDir(), "zoo.cfg")
	if err := os.WriteFile(alone, []byte("clientPort=1\ndataDir="+t.TempDir()), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errOut, code := holt(t, "refill", alone); code != exitError || !strings.Contains(errOut, "stands alone") {
		t.Errorf("standalone: %d %s", code, errOut)
	}
}

func TestEnsemble_RecoveredFromOneMember(t *testing.T) {
	e := layOut(t, 3)
	e.start(e.members...)
	leader := e.leader(e.members...)
	a := startAppender(e.dial(leader), "/k")
	a.reach(t, 100)
	a.stop(t)
	for _, m := range e.members {
		m.stop(10 * time.Second)
	}
	m, other, third := e.members[0], e.members[1], e.members[2]
	e.start(m) // alone it has no quorum
	time.Sleep(2 * time.Second)
	if mode := m.mode(); mode != "" {
		t.Errorf("one of three is %s", mode)
	}
	if status, _ := m.page("/readyz"); status != 503 {
		t.Errorf("readyz of one of three: %d", status)
	}
	if _, errOut, code := holt(t, "recover", m.cfg, "--confirm"); code != exitError || !strings.Contains(errOut, "in use by another process") {
		t.Errorf("recover of a running member: %d %s", code, errOut)
	}
	m.kill()
	out, errOut, code := holt(t, "recover", m.cfg)
	if code != exitError || !strings.Contains(errOut, "nothing was changed") || !strings.Contains(out, "server.1, server.2, server.3") {
		t.Errorf("recover without --confirm: %d %s %s", code, out, errOut)
	}
	if _, errOut, code := holt(t, "recover", m.cfg, "--members", "2,3", "--confirm"); code != exitError || !strings.Contains(errOut, "no participant") {
		t.Errorf("recover without itself: %d %s", code, errOut)
	}
	if _, errOut, code := holt(t, "recover", m.cfg, "--members", "1,9"); code != exitError || !strings.Contains(errOut, "no server line for server.9") {
		t.Errorf("recover with a stranger: %d %s", code, errOut)
	}
	out, errOut, code = holt(t, "recover", m.cfg, "--members", "1,2,3", "--confirm")
	if code != exitOK || !strings.Contains(out, "done") {
		t.Fatalf("recover: %d %s %s", code, out, errOut)
	}
	t.Log(out)
	e.start(m)
	e.leader(m)
	a.complete(t, m)

	// A member with its old data is refused; emptied it comes in.
	e.start(third)
	eventually(t, 20*time.Second, func() string {
		if !strings.Contains(m.said.String()+third.said.String(), "belongs to ensemble") {
			return "nobody says anything about clusters"
		}
		return ""
	})
	time.Sleep(time.Second)
	if mode := third.mode(); mode != "" {
		t.Errorf("a member of the old ensemble is %s", mode)
	}
	third.kill()
	for _, o := range []*testMember{other, third} {
		if out, errOut, code := holt(t, "refill", o.cfg, "--confirm"); code != exitOK {
			t.Fatalf("refill: %d %s %s", code, out, errOut)
		}
		e.start(o)
	}
	e.leader(e.members...)
	b := startAppender(e.dial(e.members...), "/l")
	b.reach(t, 20)
	e.votes(m, 3, "")
	m.kill()
	b.reach(t, 20)
	b.stop(t)
	for _, o := range []*testMember{other, third} {
		a.complete(t, o)
		b.complete(t, o)
	}
}

// A server that stood alone becomes the first member of an ensemble when it gets server lines.
func TestEnsemble_GrownFromOneServer(t *testing.T) {
	e := layOut(t, 3)
	first := e.members[0]
	e.configure(first, nil)
	e.start(first)
	a := startAppender(e.dial(first), "/k")
	a.reach(t, 50)
	a.stop(t)
	first.stop(10 * time.Second)
	e.configure(first, e.members)
	e.start(e.members...)
	e.leader(e.members...)
	for _, m := range e.members {
		a.complete(t, m)
	}
	e.votes(first, 3, "")
	// Back without its server lines it does not serve what the others may have changed since.
	first.stop(10 * time.Second)
	e.configure(first, nil)
	p := launch(t, nil, first.data(), "--client-addr", first.ClientAddr, first.cfg)
	p.fails("holds the state of a member of an ensemble", "holt recover")
}

func TestEnsemble_Observer(t *testing.T) {
	e := layOut(t, 3)
	o := e.add(true)
	for _, m := range e.members {
		e.configure(m, e.members)
	}
	e.start(e.members...)
	e.leader(e.members...)
	a := startAppender(e.dial(o), "/k")
	a.reach(t, 50)
	if mode := o.mode(); mode != "observer" {
		t.Errorf("the observer is %s", mode)
	}
	a.stop(t)
	a.complete(t, o)
}

// Two ensembles whose members got each other's addresses do not mix.
func TestEnsemble_MembersOfAnotherAreRefused(t *testing.T) {
	e, o := layOut(t, 3), layOut(t, 3)
	e.start(e.members...)
	e.leader(e.members...)
	a := startAppender(e.dial(e.members...), "/k")
	a.reach(t, 20)
	o.start(o.members...)
	o.leader(o.members...)
	stranger := o.members[2]
	eventually(t, 5*time.Second, func() string { // it remembers its ensemble for good once that is in its image
		if !strings.Contains(stranger.said.String(), "checkpoint written") {
			return "the stranger has written no checkpoint"
		}
		return ""
	})
	for _, m := range o.members {
		m.kill()
	}
	e.configure(stranger, []*testMember{e.members[0], e.members[1], stranger})
	o.start(stranger)
	eventually(t, 20*time.Second, func() string {
		if !strings.Contains(stranger.said.String(), "belongs to ensemble") {
			return "the stranger does not say why nobody talks to it"
		}
		return ""
	})
	time.Sleep(time.Second)
	if mode := stranger.mode(); mode != "" {
		t.Errorf("the stranger is %s", mode)
	}
	a.reach(t, 20)
	a.stop(t)
}

func TestEnsemble_WrongMemberLists(t *testing.T) {
	e := layOut(t, 3)
	m := e.members[0]
	if err := os.Remove(filepath.Join(m.data(), "myid")); err != nil {
		t.Fatal(err)
	}
	launch(t, nil, m.data(), m.cfg).fails("myid: missing", "--id")
	launch(t, nil, m.data(), m.cfg, "--id", "7").fails("this server is number 7, and no line is server.7")
	launch(t, nil, e.members[1].data(), m.cfg, "--id", "1").fails("myid says 2")
	launch(t, nil, m.data(), m.cfg, "--id", "1", "--server", "2="+strings.TrimPrefix(m.String(), "server.1=")).fails("same address")
	launch(t, nil, m.data(), m.cfg, "--id", "1", "--server", "4=h:1").fails("host:port:port")
}

func TestCluster(t *testing.T) {
	out, errOut, code := holt(t, "cluster", "-n", "0")
	if code != exitUsage || !strings.Contains(errOut, "1 to 100 members") {
		t.Errorf("no members: %d %s %s", code, out, errOut)
	}
	if out, _, code = holt(t, "cluster", "--help"); code != exitOK || !strings.Contains(out, "-observers") {
		t.Errorf("help: %d %s", code, out)
	}
}
