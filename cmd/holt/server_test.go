package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"holt/cmd/holt/config"
	"holt/cmd/holt/shell"
	"holt/tree"
	"holt/wal"
)

// zookeeper is the address of a fresh Apache ZooKeeper 3.9 with extendedTypesEnabled, to check the expected answers with.
var zookeeper = flag.String("zookeeper", "", "run the shell's transcripts against this server instead of Holt")

// testServer is a Holt in this process.
type testServer struct {
	addr string
	stop func() error // asks it to stop and returns what run did
}

// freeAddr is an address on which nothing listens now.
func freeAddr(t *testing.T) string {
	t.Helper()
	for {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close() // with the function: the kernel gives no port twice before
		addr := listener.Addr().String()
		if _, given := addrsGiven.LoadOrStore(addr, true); !given {
			return addr
		}
	}
}

// addrsGiven are the addresses that freeAddr has returned: the kernel may offer one again as soon as nobody listens on it.
var addrsGiven sync.Map

// serverConfig is that of a server on a free port with its data in dir.
func serverConfig(t *testing.T, dir string, extra ...config.Setting) *config.Config {
	t.Helper()
	settings := append([]config.Setting{
		{Name: "holt.clientAddr", Value: freeAddr(t), Origin: "test"},
		{Name: "holt.adminAddr", Value: "off", Origin: "test"},
		{Name: "dataDir", Value: dir, Origin: "test"},
	}, extra...)
	c, _, err := config.Load(config.Sources{Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// startServer runs a server and waits until it takes connections.
func startServer(t *testing.T, c *config.Config) testServer {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, c, slog.New(slog.DiscardHandler)) }()
	stop := sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("server: %v", err)
		}
	})
	deadline := time.Now().Add(20 * time.Second)
	for {
		conn, err := net.DialTimeout("tcp", c.Client.Addr(), time.Second)
		if err == nil {
			conn.Close()
			return testServer{c.Client.Addr(), stop}
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("server ended: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("server does not listen: %v", err)
		}
	}
}

// shellLines feeds lines to a shell on one session and returns what it prints, both streams in order.
func shellLines(addr, lines string) string {
	var out strings.Builder
	w := &lockedWriter{w: &out}
	shell.Main([]string{"-server", addr}, strings.NewReader(lines), w, w, "holt")
	return out.String()
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// volatile is what differs from run to run, or between zxids of Holt and ZooKeeper.
var volatile = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`(cZxid|mZxid|pZxid) = 0x[1-9a-f][0-9a-f]*`), "$1 = 0xZ"},
	{regexp.MustCompile(`(ctime|mtime) = .*`), "$1 = T"},
	{regexp.MustCompile(`ephemeralOwner = 0x[1-9a-f][0-9a-f]*`), "ephemeralOwner = 0xS"},
	{regexp.MustCompile(`zxid: [0-9]+`), "zxid: Z"},
	{regexp.MustCompile(`\n?WATCHER::\n\n`), ""},
	{regexp.MustCompile(`WatchedEvent state:SyncConnected type:None .*\n`), ""},
}

// TestShellTranscript runs each block of testdata/shell on a session of its own. Where events fall is certain: a session's
// own changes are told to it before their replies. The answers were ZooKeeper's:
//
//	go test ./cmd/holt -run ShellTranscript -zookeeper 127.0.0.1:2181 [-rewrite]
func TestShellTranscript(t *testing.T) {
	addr := *zookeeper
	if addr == "" {
		addr = startServer(t, serverConfig(t, t.TempDir())).addr
	}
	datadriven.RunTest(t, "testdata/shell", func(t *testing.T, d *datadriven.TestData) string {
		out := shellLines(addr, d.Input+"\n")
		for _, v := range volatile {
			out = v.pattern.ReplaceAllString(out, v.with)
		}
		return strings.ReplaceAll(out, "\n\n", "\n")
	})
}

func TestServer_DataSurvivesAnOrderlyStop(t *testing.T) {
	dir := t.TempDir()
	first := startServer(t, serverConfig(t, dir))
	if _, errOut, code := shellOnce(first.addr, "create", "/kept", "data"); code != 0 {
		t.Fatal(errOut)
	}
	if err := first.stop(); err != nil {
		t.Fatalf("stopping: %v", err)
	}
	second := startServer(t, serverConfig(t, dir))
	if out, errOut, code := shellOnce(second.addr, "get", "/kept"); code != 0 || out != "data\n" {
		t.Errorf("after a restart: %q %q %d", out, errOut, code)
	}
}

func shellOnce(addr string, words ...string) (out, errOut string, code int) {
	var o, e strings.Builder
	code = shell.Main(append([]string{"-server", addr}, words...), strings.NewReader(""), &o, &e, "holt")
	return o.String(), e.String(), code
}

func TestServer_SecondOneFailsAtOnce(t *testing.T) {
	dir := t.TempDir()
	c := serverConfig(t, dir)
	startServer(t, c)
	logger := slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()

	err := run(ctx, serverConfig(t, dir), logger)
	if !errors.Is(err, wal.ErrLocked) || !strings.Contains(explain(err), dir) || !strings.Contains(explain(err), "another data directory") {
		t.Errorf("same directory: %v", err)
	}
	samePort := serverConfig(t, t.TempDir(), config.Setting{Name: "holt.clientAddr", Value: c.Client.Addr(), Origin: "test"})
	err = run(ctx, samePort, logger)
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(explain(err), "--client-addr") || !strings.Contains(err.Error(), c.Client.Addr()) {
		t.Errorf("same port: %v", err)
	}
	adminPort := serverConfig(t, t.TempDir(), config.Setting{Name: "holt.adminAddr", Value: c.Client.Addr(), Origin: "test"})
	if err = run(ctx, adminPort, logger); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("admin on a port in use: %v", err)
	}
}

func TestServer_LargestFrames(t *testing.T) {
	for _, test := range []struct{ set, want string }{{"2000000", "2000000"}, {"0x3fffffff", "134217728"}} {
		c := serverConfig(t, t.TempDir(), config.Setting{Name: "jute.maxbuffer", Value: test.set, Origin: "test"})
		s := &server{cfg: c, logger: slog.New(slog.DiscardHandler)}
		if got := strconv.Itoa(s.frameBytes()); got != test.want {
			t.Errorf("jute.maxbuffer=%s: frames of %s bytes, want %s", test.set, got, test.want)
		}
	}
}

func TestServer_BadDataDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	if err := run(t.Context(), serverConfig(t, file), logger); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file instead of a directory: %v", err)
	}
	missing := filepath.Join(t.TempDir(), "missing")
	c := serverConfig(t, missing, config.Setting{Name: "datadir.autocreate", Value: "false", Origin: "test"})
	if err := run(t.Context(), c, logger); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("missing directory without datadir.autocreate: %v", err)
	}
}

func TestServer_MetricsAddressServesNothingElse(t *testing.T) {
	adminAddr, metricsAddr := freeAddr(t), freeAddr(t)
	_, port, err := net.SplitHostPort(metricsAddr)
	if err != nil {
		t.Fatal(err)
	}
	startServer(t, serverConfig(t, t.TempDir(),
		config.Setting{Name: "holt.adminAddr", Value: adminAddr, Origin: "test"},
		config.Setting{Name: "metricsProvider.className", Value: "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider", Origin: "test"},
		config.Setting{Name: "metricsProvider.httpHost", Value: "127.0.0.1", Origin: "test"},
		config.Setting{Name: "metricsProvider.httpPort", Value: port, Origin: "test"}))
	for url, want := range map[string]int{
		adminAddr + "/metrics": 200, adminAddr + "/commands/ruok": 200, adminAddr + "/healthz": 200, adminAddr + "/readyz": 200,
		metricsAddr + "/metrics": 200, metricsAddr + "/commands/ruok": 404, metricsAddr + "/debug/pprof/": 404,
	} {
		response, err := http.Get("http://" + url)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s: status %d, want %d", url, response.StatusCode, want)
		}
	}
}

// With asynchronous I/O the sockets of a killed leader stay open 33 ms longer (chaos gap).
func TestMembersDoNotHoldProcessors(t *testing.T) {
	s := &server{cfg: config.Default(), logger: slog.New(slog.DiscardHandler)}
	if s.logConfig().Hold == nil {
		t.Error("a server that stands alone never holds its processor")
	}
	s.cfg.Ensemble = &tree.Ensemble{}
	if s.logConfig().Hold != nil {
		t.Error("a member of an ensemble holds its processor")
	}
}
