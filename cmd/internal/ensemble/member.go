package ensemble

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Member is one server: a directory, and a process while it runs.
type Member struct {
	ID   int    // 1..N, the server's number in server.N
	Dir  string // zoo.cfg, data/, log
	Nice int    // niceness of the process that is started next
	Idle bool   // it runs only while nobody else wants a processor
	addr string
	host *Host
	argv []string
	env  []string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// stopPatience is how long a server may take to end after SIGTERM.
const stopPatience = 20 * time.Second

// ErrRunning is the answer to starting a member that runs.
var ErrRunning = errors.New("the member runs already")

// Addr is the client address, host:port.
func (m *Member) Addr() string { return m.addr }

// Config is the path of the member's zoo.cfg.
func (m *Member) Config() string { return filepath.Join(m.Dir, "zoo.cfg") }

// Data is the member's dataDir.
func (m *Member) Data() string { return filepath.Join(m.Dir, "data") }

// PID is the server's process, 0 when it does not run.
func (m *Member) PID() int {
	if m.cmd == nil {
		return 0
	}
	return m.cmd.Process.Pid
}

// Start starts the process on what the last one left. It does not wait until it serves: see Serves.
func (m *Member) Start() error {
	if m.cmd != nil && !m.hasEnded() {
		return ErrRunning
	}
	log, err := os.OpenFile(m.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	argv := append([]string{"nice", "-n", strconv.Itoa(m.Nice)}, m.argv...)
	if m.Idle {
		argv = append([]string{"chrt", "--idle", "0"}, argv...)
	}
	argv = m.host.enter(argv)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Dir = append(os.Environ(), m.env...), m.Dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = DiesWithParent() // N2
	fmt.Fprintf(log, "=== %s started\n", time.Now().Format("15:04:05.000"))
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting member %d: %w", m.ID, err)
	}
	done := make(chan struct{})
	m.cmd, m.done = cmd, done
	go func() { // ends with the process, which Kill and Stop wait for
		_ = cmd.Wait()
		close(done)
	}()
	return nil
}

// DiesWithParent makes a process end when the one that starts it does, however that ends.
func DiesWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// Ended is closed when the process that runs now has ended, by itself or not. It is nil before the first Start.
func (m *Member) Ended() <-chan struct{} { return m.done }

func (m *Member) hasEnded() bool {
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

// Kill ends the process with SIGKILL and returns when it has gone.
func (m *Member) Kill() { m.end(syscall.SIGKILL) }

// Stop ends the process with SIGTERM, after 20 seconds with SIGKILL, and returns when it has gone.
func (m *Member) Stop() { m.end(syscall.SIGTERM) }

func (m *Member) end(signal syscall.Signal) {
	if m.cmd == nil {
		return
	}
	m.note("gets " + signal.String())
	_ = m.cmd.Process.Signal(signal)
	_ = m.cmd.Process.Signal(syscall.SIGCONT) // a frozen process hears SIGTERM only then
	select {
	case <-m.done:
	case <-time.After(stopPatience):
		_ = m.cmd.Process.Kill()
		<-m.done
	}
	m.cmd = nil
}

// Freeze stops the process with SIGSTOP: its connections stay open and nothing answers.
func (m *Member) Freeze() { m.signal(syscall.SIGSTOP, "is frozen") }

// Thaw lets a frozen process go on.
func (m *Member) Thaw() { m.signal(syscall.SIGCONT, "is thawed") }

func (m *Member) signal(signal syscall.Signal, what string) {
	if m.cmd == nil {
		return
	}
	m.note(what)
	_ = m.cmd.Process.Signal(signal)
}

// note writes a line of our own into the member's log.
func (m *Member) note(what string) {
	log, err := os.OpenFile(m.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return // the log is for people; the run does not hang from it
	}
	defer log.Close()
	fmt.Fprintf(log, "=== %s %s\n", time.Now().Format("15:04:05.000"), what)
}

// wordPatience is how long a server may take to answer a four-letter word.
const wordPatience = 2 * time.Second

// Word is the answer to a four-letter word (zookeeper.md 5).
func (m *Member) Word(word string) (string, error) {
	c, err := net.DialTimeout("tcp", m.addr, wordPatience)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(wordPatience))
	if _, err := io.WriteString(c, word); err != nil {
		return "", err
	}
	b, err := io.ReadAll(c)
	return string(b), err
}

// Mode is what srvr says the member is: standalone, leader, follower, observer, read-only. A member that does not serve is an
// error.
func (m *Member) Mode() (string, error) {
	text, err := m.Word("srvr")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(text) {
		if mode, ok := strings.CutPrefix(line, "Mode: "); ok {
			return strings.TrimSpace(mode), nil
		}
	}
	return "", fmt.Errorf("member %d: srvr says %q", m.ID, firstLine(text))
}

// Serves waits until the member tells a Mode.
func (m *Member) Serves(patience time.Duration) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		_, err := m.Mode()
		if err == nil {
			return nil
		}
		if m.cmd == nil || m.hasEnded() {
			return fmt.Errorf("member %d has ended by itself\n%s", m.ID, m.LastLines(20))
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("member %d does not serve on %s after %v: %w\n%s", m.ID, m.addr, patience, err, m.LastLines(20))
		}
	}
}

func (m *Member) logFile() string { return filepath.Join(m.Dir, "log") }

// LogSize is the length of the member's log; what it says from now on is behind it.
func (m *Member) LogSize() int64 {
	stat, err := os.Stat(m.logFile())
	if err != nil {
		return 0
	}
	return stat.Size()
}

// Said says whether the member's log has a text at or behind an offset.
func (m *Member) Said(text string, offset int64) bool {
	b, err := os.ReadFile(m.logFile())
	return err == nil && offset <= int64(len(b)) && bytes.Contains(b[offset:], []byte(text))
}

// LastLines is the end of the member's log.
func (m *Member) LastLines(n int) string {
	b, _ := os.ReadFile(m.logFile())
	return lastLines(string(b), n)
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
