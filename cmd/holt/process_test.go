package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// builtHolt is holt as users run it, built once per run of the tests.
var builtHolt = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "holt-test-")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // some tests run it as another user
		return "", err
	}
	path := filepath.Join(dir, "holt")
	build := exec.Command("go", "build", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building holt: %w\n%s", err, out)
	}
	builtIn = dir
	return path, nil
})

var builtIn string // where builtHolt put it

func TestMain(m *testing.M) {
	code := m.Run()
	if builtIn != "" {
		_ = os.RemoveAll(builtIn)
	}
	os.Exit(code)
}

func holtBinary(t *testing.T) string {
	t.Helper()
	path, err := builtHolt()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// process is a Holt in a process of its own.
type process struct {
	t           *testing.T
	addr, admin string
	cmd         *exec.Cmd
	said        output
	ended       chan struct{} // closed when the process has gone
	err         error         // of waiting for it, once ended is closed
}

// output gathers what a process prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// smallLog keeps starting cheap: a segment is written whole before it is used.
var smallLog = []string{"HOLT_PRE_ALLOC_SIZE=1024"}

// launch starts "holt server" with the data in dir and does not wait for anything.
func launch(t *testing.T, as *syscall.Credential, dir string, args ...string) *process {
	t.Helper()
	p := &process{t: t, admin: freeAddr(t), ended: make(chan struct{})}
	p.cmd = exec.Command(holtBinary(t), append([]string{"server", "--data-dir", dir, "--client-addr", "127.0.0.1:0", "--admin-addr", p.admin}, args...)...)
	p.cmd.Env = append(os.Environ(), smallLog...)
	p.cmd.Stdout, p.cmd.Stderr = &p.said, &p.said
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: as}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("the server said:\n%s", lastBytes(p.said.String(), 6000))
		}
	})
	return p
}

func lastBytes(s string, n int) string { return s[max(0, len(s)-n):] }

// startProcess starts a server and waits until it takes connections.
func startProcess(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	p := launch(t, nil, dir, args...)
	p.ready()
	return p
}

var servingAddr = regexp.MustCompile(`msg="serving clients" addr=(\S+)`)

// ready waits for the line that names the client port.
func (p *process) ready() {
	p.t.Helper()
	eventually(p.t, 30*time.Second, func() string {
		if m := servingAddr.FindStringSubmatch(p.said.String()); m != nil {
			p.addr = m[1]
			return ""
		}
		select {
		case <-p.ended:
			p.t.Fatalf("the server ended: %v", p.err)
		default:
		}
		return "the server does not serve"
	})
}

// fails waits for the process to end by itself and checks that it said all of want. It must not take long.
func (p *process) fails(want ...string) {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		p.t.Fatalf("the server did not fail")
	}
	if code := p.cmd.ProcessState.ExitCode(); code != exitError && code != exitUsage {
		p.t.Errorf("exit code %d", code)
	}
	for _, w := range want {
		if !strings.Contains(p.said.String(), w) {
			p.t.Errorf("no %q in what the server said", w)
		}
	}
	if strings.Contains(p.said.String(), "goroutine ") {
		p.t.Error("the server panicked")
	}
}

// kill is kill -9.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// stop sends SIGTERM and checks that the server ends in order within limit.
func (p *process) stop(limit time.Duration) {
	p.t.Helper()
	begin := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	select {
	case <-p.ended:
	case <-time.After(limit):
		p.t.Fatalf("still there %v after SIGTERM", limit)
	}
	if p.err != nil {
		p.t.Errorf("after SIGTERM: %v", p.err)
	}
	p.t.Logf("stopped within %v", time.Since(begin).Round(time.Millisecond))
}

// alive fails the test if the process has ended.
func (p *process) alive() {
	p.t.Helper()
	select {
	case <-p.ended:
		p.t.Fatalf("the server ended: %v", p.err)
	default:
	}
}

// memory is the process's resident bytes.
func (p *process) memory() int64 {
	p.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// page fetches a page of the admin server.
func (p *process) page(path string) (status int, text string) {
	p.t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	r, err := client.Get("http://" + p.admin + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

// metric reads one value from /metrics.
func (p *process) metric(name string) float64 {
	p.t.Helper()
	_, text := p.page("/metrics")
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				p.t.Fatal(err)
			}
			return v
		}
	}
	p.t.Fatalf("no metric %s", name)
	return 0
}

// eventually polls until what says "".
func eventually(t *testing.T, limit time.Duration, what func() string) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		s := what()
		if s == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(s)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestProcess_SecondOnSamePortOrDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := startProcess(t, dir)
	for _, signal := range []os.Signal{syscall.SIGSTOP, syscall.SIGCONT} { // a server that stands still is one, too
		if err := first.cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		launch(t, nil, dir).fails(dir, "in use by another process", "another data directory")
	}
	launch(t, nil, t.TempDir(), "--client-addr", first.addr).fails(first.addr, "address already in use", "--client-addr")
	launch(t, nil, t.TempDir(), "--admin-addr", first.addr).fails(first.addr, "address already in use", "--admin-addr")
	if c := openRaw(t, first.addr); c.call(1, opPing, nil).Err != 0 {
		t.Error("the first server suffers")
	}
}

func TestProcess_DataDirectoryOfSomebodyElse(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can run a server as somebody else")
	}
	nobody := &syscall.Credential{Uid: 65534, Gid: 65534}
	mine := openDir(t)
	if err := os.Mkdir(filepath.Join(mine, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	mine = filepath.Join(mine, "data")
	p := startProcess(t, mine)
	openRaw(t, p.addr).must(createReq("/kept", "data"))
	p.stop(10 * time.Second)
	launch(t, nobody, mine).fails(mine, "may not be written by this user", "change its owner")
	if err := os.Chmod(mine, 0o755); err != nil { // may be listed, still not written
		t.Fatal(err)
	}
	launch(t, nobody, mine).fails(mine, "may not be written by this user", "change its owner")
	p = startProcess(t, mine)
	if got := openRaw(t, p.addr).data("/kept"); got != "data" {
		t.Errorf("after the attempts of others: %q", got)
	}
}

// openDir is a temporary directory that every user may reach.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "holt-open-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestProcess_ReadOnlyFileSystem(t *testing.T) {
	t.Parallel()
	dir := mountTmpfs(t, "16m")
	p := startProcess(t, dir)
	openRaw(t, p.addr).must(createReq("/kept", "data"))
	p.stop(10 * time.Second)
	remount := func(flags uintptr) {
		t.Helper()
		if err := syscall.Mount("holt-test", dir, "tmpfs", syscall.MS_REMOUNT|flags, "size=16m"); err != nil {
			t.Fatal(err)
		}
	}
	remount(syscall.MS_RDONLY)
	launch(t, nil, dir).fails(dir, "read-only file system", "remount it writable")
	remount(0)
	p = startProcess(t, dir)
	if got := openRaw(t, p.addr).data("/kept"); got != "data" {
		t.Errorf("after being read-only: %q", got)
	}
}

// mountTmpfs mounts a small file system of its own.
func mountTmpfs(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	err := syscall.Mount("holt-test", dir, "tmpfs", 0, "size="+size)
	if errors.Is(err, syscall.EPERM) {
		t.Skip("only root can mount a small file system")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestProcess_NewerFormat(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startProcess(t, dir)
	openRaw(t, p.addr).must(createReq("/kept", "data"))
	p.kill()
	segments, err := filepath.Glob(filepath.Join(dir, "log", "*.wal"))
	if err != nil || len(segments) == 0 {
		t.Fatal(segments, err)
	}
	was, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	newer := newerSegment(t, was)
	if err := os.WriteFile(segments[0], newer, 0o644); err != nil {
		t.Fatal(err)
	}
	launch(t, nil, dir).fails(segments[0], "written by a newer version of Holt")
	if now, _ := os.ReadFile(segments[0]); !bytes.Equal(now, newer) {
		t.Error("the newer file was changed")
	}
	if err := os.WriteFile(segments[0], was, 0o644); err != nil {
		t.Fatal(err)
	}
	p = startProcess(t, dir)
	if got := openRaw(t, p.addr).data("/kept"); got != "data" {
		t.Errorf("back in the old version: %q", got)
	}
}

// newerSegment is a log segment of the next version of the format: wal/format.go promises where the version stands.
func newerSegment(t *testing.T, b []byte) []byte {
	t.Helper()
	b = bytes.Clone(b)
	version := binary.LittleEndian.Uint32(b[8:])
	binary.LittleEndian.PutUint32(b[8:], version+1)
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	binary.LittleEndian.PutUint32(b[12:], crc32.Update(crc32.Checksum(b[:12], castagnoli), castagnoli, b[16:64]))
	return b
}

func TestProcess_DamagedLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startProcess(t, dir)
	c := openRaw(t, p.addr)
	for i := range 20 {
		c.must(createReq(fmt.Sprintf("/n%d", i), strings.Repeat("x", 500)))
	}
	p.kill()
	segments, _ := filepath.Glob(filepath.Join(dir, "log", "*.wal"))
	was, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(was)
	at := bytes.Index(bad, []byte("/n5")) // in the middle of what is durable
	bad[at] ^= 1
	if err := os.WriteFile(segments[0], bad, 0o644); err != nil {
		t.Fatal(err)
	}
	launch(t, nil, dir).fails(segments[0], "is damaged at offset", "restore")
}

func TestProcess_WrongArgumentsEndAtOnce(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "zoo.cfg")
	if err := os.WriteFile(file, []byte("tickTime=2000\nmaxClientCnxns=-3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	launch(t, nil, t.TempDir(), file).fails(file+":2", "maxClientCnxns=-3")
	launch(t, nil, t.TempDir(), "--nonsense").fails("flag provided but not defined: -nonsense")
	launch(t, nil, t.TempDir(), "--min-session-timeout", "9000", "--max-session-timeout", "8000").fails("essionTimeout")
	launch(t, nil, t.TempDir(), "--client-addr", "127.0.0.1:99999").fails("clientAddr")
	launch(t, nil, t.TempDir(), "--client-addr", "192.0.2.1:0").fails("not an address of this machine")
	launch(t, nil, filepath.Join(file, "below"), "--client-addr", "127.0.0.1:0").fails(file, "not a directory")
}

// TestProcess_TermUnderLoad: SIGTERM in the middle of writes ends the server soon and in order, and what was
// acknowledged is there afterwards; so it is after kill -9.
func TestProcess_TermUnderLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for round, end := range []func(p *process){
		func(p *process) { p.stop(8 * time.Second) },
		(*process).kill,
		func(p *process) { p.stop(8 * time.Second) },
	} {
		p := startProcess(t, dir)
		deaf := openRaw(t, p.addr) // does not hinder the end
		deaf.must(createReq(fmt.Sprintf("/big%d", round), strings.Repeat("b", 1_000_000)))
		for i := range 50 {
			deaf.add(i+2, opGetData, watchBody(fmt.Sprintf("/big%d", round), false))
		}
		deaf.send()
		var load [4]*writer
		for i := range load {
			load[i] = startWriter(t, p.addr, fmt.Sprintf("/load-%d-%d", round, i))
		}
		eventually(t, 20*time.Second, func() string {
			if load[0].acked.Load() < 300 {
				return "too few writes"
			}
			return ""
		})
		end(p)
		for _, w := range load {
			w.wait()
		}
		p = startProcess(t, dir)
		c := openRaw(t, p.addr)
		for _, w := range load {
			if err := w.verify(c); err != nil {
				t.Errorf("round %d: %v", round, err)
			}
		}
		p.stop(8 * time.Second)
	}
}
