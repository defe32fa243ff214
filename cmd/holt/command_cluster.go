package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"holt/tree"
)

const clusterUsage = `usage: holt cluster [flags]

Runs an ensemble on this machine, each member a process of its own with its own directory, to try things on. Ctrl-C stops all of
them; started again they go on with what they had. A member that dies is started again.

  -n 3                  members
  -observers 0          further members without a vote
  -dir ./data/cluster   one directory per member: zoo.cfg (written anew at each start), myid, data, holt.log
  -client-port 2181     of the first member; each further one has the next
  -peer-port 2888       the same, for the members themselves
  -admin-port 8080      the same, for the admin servers; 0 for none
  -restart 3s           how long a member that died stays away; 0: for good
  -set key=value        a line for every zoo.cfg; may be repeated
`

// clusterMax keeps the ports for peers and for elections, a thousand apart, from meeting.
const clusterMax = 100

// cluster is an ensemble of child processes.
type cluster struct {
	dir                             string
	participants, observers         int
	clientPort, peerPort, adminPort int
	restart                         time.Duration
	settings                        []string
	out                             io.Writer
	program                         string

	mu      sync.Mutex
	members []*clusterMember
}

// clusterMember is one of them.
type clusterMember struct {
	tree.Member
	admin string // "" when there is none
	dir   string
	line  string // the last thing printed about its role
}

func clusterCommand(args []string, std stdio) int {
	c := &cluster{out: std.out}
	flags := flag.NewFlagSet("holt cluster", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.IntVar(&c.participants, "n", 3, "")
	flags.IntVar(&c.observers, "observers", 0, "")
	flags.StringVar(&c.dir, "dir", "./data/cluster", "")
	flags.IntVar(&c.clientPort, "client-port", 2181, "")
	flags.IntVar(&c.peerPort, "peer-port", 2888, "")
	flags.IntVar(&c.adminPort, "admin-port", 8080, "")
	flags.DurationVar(&c.restart, "restart", 3*time.Second, "")
	flags.Func("set", "", func(line string) error {
		if !strings.Contains(line, "=") {
			return errors.New("it takes key=value")
		}
		c.settings = append(c.settings, line)
		return nil
	})
	err := flags.Parse(args)
	switch n := c.participants + c.observers; {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(std.out, clusterUsage)
		return exitOK
	case err != nil:
	case flags.NArg() > 0:
		err = fmt.Errorf("%q is too much", flags.Arg(0))
	case c.participants < 1 || c.observers < 0 || n > clusterMax:
		err = fmt.Errorf("an ensemble of 1 to %d members can be run on one machine", clusterMax)
	}
	if err != nil {
		fmt.Fprintf(std.err, "holt cluster: %v\nholt cluster --help lists the flags.\n", err)
		return exitUsage
	}
	if err := c.run(); err != nil {
		fmt.Fprintf(std.err, "holt cluster: %v\n", err)
		return exitError
	}
	return exitOK
}

// run starts the members and stays until a signal, which it hands on to them.
func (c *cluster) run() error {
	var err error
	if c.program, err = os.Executable(); err != nil {
		return err
	}
	if err := c.prepare(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	hard, kill := context.WithCancel(context.Background())
	defer kill()
	context.AfterFunc(ctx, func() {
		stop() // a second signal ends this process
		c.say("stopping")
		time.AfterFunc(clusterPatience, kill)
	})
	var members sync.WaitGroup
	for _, m := range c.members {
		members.Go(func() { c.keep(ctx, hard, m) })
	}
	members.Go(func() { c.watch(ctx) })
	members.Wait()
	c.say("all members have ended; their data is in %s", c.dir)
	return nil
}

// clusterPatience is how long members may take to stop before they are killed.
const clusterPatience = 20 * time.Second

// prepare lays out the directories and says where everything is.
func (c *cluster) prepare() error {
	var clients []string
	for i := range c.participants + c.observers {
		id := i + 1
		m := &clusterMember{dir: filepath.Join(c.dir, strconv.Itoa(id)), Member: tree.Member{
			ID: uint8(id), Host: "127.0.0.1", PeerPort: c.peerPort + i, ElectionPort: c.peerPort + 1000 + i,
			Observer: i >= c.participants, ClientAddr: net.JoinHostPort("127.0.0.1", strconv.Itoa(c.clientPort+i)),
		}}
		if c.adminPort != 0 {
			m.admin = net.JoinHostPort("127.0.0.1", strconv.Itoa(c.adminPort+i))
		}
		c.members = append(c.members, m)
		clients = append(clients, m.ClientAddr)
	}
	if extra := filepath.Join(c.dir, strconv.Itoa(len(c.members)+1)); exists(extra) {
		return fmt.Errorf("%s was made with more than %d members, and an ensemble remembers its members; give the same -n and -observers, or another -dir",
			c.dir, len(c.members))
	}
	if last := c.members[len(c.members)-1]; exists(c.members[0].dir) && !exists(last.dir) {
		return fmt.Errorf("%s was made with fewer than %d members, and an ensemble remembers its members; give the same -n and -observers, or another -dir",
			c.dir, len(c.members))
	}
	if err := c.portsFree(); err != nil {
		return err
	}
	c.say("an ensemble of %d in %s", len(c.members), c.dir)
	for _, m := range c.members {
		if err := c.write(m); err != nil {
			return err
		}
		c.say("server.%d  clients %s  peers %s  admin %s  log %s", m.ID, m.ClientAddr, m.PeerAddr(), orNone(m.admin), m.logFile())
	}
	c.say("clients connect to %s", strings.Join(clients, ","))
	return nil
}

// portsFree refuses to start where another cluster runs: its members would answer for these.
func (c *cluster) portsFree() error {
	for _, m := range c.members {
		for _, addr := range []string{m.ClientAddr, m.PeerAddr(), m.admin} {
			if addr == "" {
				continue
			}
			l, err := net.Listen("tcp", addr)
			if err != nil {
				return fmt.Errorf("server.%d cannot have %s: %w; does another cluster run? Stop it, or choose others with -client-port, -peer-port and -admin-port",
					m.ID, addr, err)
			}
			_ = l.Close()
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return "http://" + s
}

func (m *clusterMember) logFile() string { return filepath.Join(m.dir, "holt.log") }
func (m *clusterMember) cfgFile() string { return filepath.Join(m.dir, "zoo.cfg") }

// write makes a member's directory, with a zoo.cfg by which it can be started by hand too.
func (c *cluster) write(m *clusterMember) error {
	dir, err := filepath.Abs(filepath.Join(m.dir, "data"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Written by holt cluster at each start.\ndataDir=%s\ntickTime=2000\ninitLimit=10\nsyncLimit=5\n", dir)
	host, port, _ := net.SplitHostPort(m.ClientAddr)
	fmt.Fprintf(&b, "clientPort=%s\nclientPortAddress=%s\n", port, host)
	if m.admin == "" {
		b.WriteString("admin.enableServer=false\n")
	} else {
		fmt.Fprintf(&b, "holt.adminAddr=%s\n", m.admin)
	}
	if c.participants == 1 {
		b.WriteString("standaloneEnabled=false\n")
	}
	for _, line := range c.settings {
		b.WriteString(line + "\n")
	}
	for _, other := range c.members {
		b.WriteString(other.String() + "\n")
	}
	if err := os.WriteFile(filepath.Join(dir, "myid"), fmt.Appendf(nil, "%d\n", m.ID), 0o644); err != nil {
		return err
	}
	return os.WriteFile(m.cfgFile(), []byte(b.String()), 0o644)
}

// keep runs one member until ctx ends, and starts it again when it dies; hard kills it.
func (c *cluster) keep(ctx, hard context.Context, m *clusterMember) {
	for {
		err := c.once(ctx, hard, m)
		if ctx.Err() != nil {
			return
		}
		if c.restart <= 0 {
			c.say("server.%d has ended: %v; it stays away (%s)", m.ID, err, m.logFile())
			return
		}
		c.say("server.%d has ended: %v; it is started again in %s (%s)", m.ID, err, c.restart, m.logFile())
		select {
		case <-ctx.Done():
			return
		case <-time.After(c.restart):
		}
	}
}

// once runs one member's process to its end.
func (c *cluster) once(ctx, hard context.Context, m *clusterMember) error {
	log, err := os.OpenFile(m.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(hard, c.program, "server", m.cfgFile())
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C in the terminal is for this process, which tells them
	if err := cmd.Start(); err != nil {
		return err
	}
	c.say("server.%d runs as process %d", m.ID, cmd.Process.Pid)
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })()
	if err := cmd.Wait(); err != nil {
		return err
	}
	return errors.New("it stopped by itself")
}

// watch tells of changes of role, as a client port's srvr shows them.
func (c *cluster) watch(ctx context.Context) {
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, m := range c.members {
			line := ""
			for l := range strings.Lines(fourLetters(m.ClientAddr, "srvr")) {
				if mode, ok := strings.CutPrefix(l, "Mode: "); ok {
					line = strings.TrimSpace(mode)
				}
			}
			if line != "" && line != m.line {
				c.say("server.%d is %s", m.ID, line)
			}
			m.line = line
		}
	}
}

// fourLetters asks a four-letter word; "" without an answer.
func fourLetters(addr, word string) string {
	conn, err := net.DialTimeout("tcp", addr, 200*time.Millisecond)
	if err != nil {
		return ""
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := io.WriteString(conn, word); err != nil {
		return ""
	}
	text, _ := io.ReadAll(io.LimitReader(conn, 1<<20)) // what came before an error is as good as nothing
	return string(text)
}

func (c *cluster) say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(c.out, time.Now().Format("15:04:05.000 ")+format+"\n", args...)
}
