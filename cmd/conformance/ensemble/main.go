// Command ensemble is a launcher (cmd/internal/ensemble) that puts an ensemble where a test wants one server: it takes the
// zoo.cfg of a server that stands alone, starts members with its settings, and hands what connects to the file's client port on to a
// member in the wanted role. So the tests of clients run against a follower or a leader as they are.
//
// The environment says which: ENSEMBLE_KIND zookeeper or holt, ENSEMBLE_MEMBERS how many, ENSEMBLE_AT follower or leader. A file
// that has server lines itself, or names the file that has them, is one member's: it goes to the plain launcher.
//
// The members' data lives below the file's dataDir, so that it is kept and forgotten with it. On SIGTERM the members are stopped and
// their logs printed.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"holt/cmd/internal/ensemble"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: ensemble <zoo.cfg>")
		os.Exit(2)
	}
	if err := serve(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "ensemble:", err)
		os.Exit(1)
	}
}

func serve(file string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	kind := ensemble.Kind(os.Getenv("ENSEMBLE_KIND"))
	settings, err := readSettings(file)
	if err != nil {
		return err
	}
	root := os.Getenv("ENSEMBLE_ROOT") // the working directory is the test's
	for key := range settings {
		if strings.HasPrefix(key, "server.") || key == "dynamicConfigFile" {
			launcher := ensemble.Launcher(root, kind)
			return syscall.Exec(launcher, []string{launcher, file}, os.Environ())
		}
	}
	address := net.JoinHostPort(settings["clientPortAddress"], settings["clientPort"])
	dir := filepath.Join(settings["dataDir"], "ensemble")
	for _, key := range []string{"clientPort", "clientPortAddress", "dataDir", "dataLogDir"} {
		delete(settings, key)
	}
	size, err := strconv.Atoi(os.Getenv("ENSEMBLE_MEMBERS"))
	if err != nil {
		return fmt.Errorf("ENSEMBLE_MEMBERS: %w", err)
	}
	port, err := portBase(dir, size*ensemble.PortsPerMember)
	if err != nil {
		return err
	}
	members, err := ensemble.Start(ctx, ensemble.Config{
		Kind: kind, Members: size, Root: root, Dir: dir, PortBase: port, Settings: settings,
		Binary: os.Getenv("HOLT_BIN"), Lib: os.Getenv("ZOOKEEPER_LIB"), JVM: strings.Fields(os.Getenv("ZOOKEEPER_JVM")),
	})
	if err != nil {
		return err
	}
	defer printLogs(members)
	defer stopAll(members)
	d := &door{members: members, role: os.Getenv("ENSEMBLE_AT")}
	return d.serve(ctx, address)
}

// readSettings reads key=value lines.
func readSettings(file string) (map[string]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	settings := map[string]string{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		key, value, ok := strings.Cut(strings.TrimSpace(lines.Text()), "=")
		if ok && !strings.HasPrefix(key, "#") {
			settings[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	return settings, lines.Err()
}

// portBase is the first of n ports, the same for every start on a directory: members remember each other's.
func portBase(dir string, n int) (int, error) {
	file := filepath.Join(dir, "ports")
	if b, err := os.ReadFile(file); err == nil {
		return strconv.Atoi(string(b))
	}
	port, err := ensemble.FreePorts(n)
	if err != nil {
		return 0, err
	}
	return port, errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(file, []byte(strconv.Itoa(port)), 0o644))
}

func stopAll(members *ensemble.Ensemble) {
	var wait sync.WaitGroup
	for _, m := range members.Members {
		wait.Go(m.Stop)
	}
	wait.Wait()
}

func printLogs(members *ensemble.Ensemble) {
	const linesMax = 2000
	for _, m := range members.Members {
		fmt.Printf("=== log of member %d\n%s\n", m.ID, m.LastLines(linesMax))
	}
}

// door hands connections on to one member.
type door struct {
	members *ensemble.Ensemble
	role    string

	mu   sync.Mutex
	addr string // of the member in the role, "" when it has to be looked for
}

// serve listens once a member is in the role, until ctx ends.
func (d *door) serve(ctx context.Context, address string) error {
	first, err := d.dial()
	if err != nil {
		return err
	}
	first.Close()
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	go func() { // ends with serve: its caller's context ends first
		<-ctx.Done()
		l.Close()
	}()
	for {
		in, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		go d.hand(in.(*net.TCPConn)) // ends when either side does; the process ends with the test's server
	}
}

const rolePatience = 30 * time.Second

// dial connects to the member in the role, looking for it when the last one is not there any more.
func (d *door) dial() (*net.TCPConn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for deadline := time.Now().Add(rolePatience); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.DialTimeout("tcp", d.addr, time.Second); d.addr != "" && err == nil {
			return c.(*net.TCPConn), nil
		}
		d.addr = ""
		for _, m := range d.members.Members {
			if mode, err := m.Mode(); err == nil && mode == d.role {
				d.addr = m.Addr()
			}
		}
		if d.addr == "" && time.Now().After(deadline) {
			return nil, fmt.Errorf("no member is %s", d.role)
		}
	}
}

// hand copies both ways.
func (d *door) hand(in *net.TCPConn) {
	defer in.Close()
	out, err := d.dial()
	if err != nil {
		return
	}
	defer out.Close()
	done := make(chan struct{})
	go func() { // ends with the copy below: either side's end closes both
		defer close(done)
		_, _ = io.Copy(out, in)
		_ = out.CloseWrite()
	}()
	_, _ = io.Copy(in, out)
	in.Close() // the member has closed: so does the test's server
	<-done
}
