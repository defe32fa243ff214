package ensemble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// isolated marks the run of a program that has namespaces of its own.
const isolated = "HOLT_ISOLATED"

// Isolate runs this program again in a network and mount namespace of its own and ends with its exit status; in that second
// run it returns at once. Call it before anything else that has an effect. Needs root.
func Isolate() error {
	if os.Getenv(isolated) != "" {
		return run(context.Background(), "ip", "link", "set", "lo", "up")
	}
	err := InstallPackages(context.Background(), slog.Default(), [2]string{"iproute2", "ip -V"}, [2]string{"nftables", "nft -v"}, [2]string{"util-linux", "nsenter -V"})
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), isolated+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err = cmd.Run()
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended):
		os.Exit(max(1, ended.ExitCode()))
	case err != nil:
		return fmt.Errorf("making namespaces, which needs root: %w", err)
	}
	os.Exit(0)
	return nil
}

// Host is a network namespace with one address. The zero of a pointer, nil, is the hub: the namespace of this program.
type Host struct {
	IP     string
	holder *exec.Cmd // keeps the namespace while nobody else is in it
}

const (
	hubIP      = "10.203.0.254" // in namespaces of our own; the machine has no route to it
	hostIPs    = "10.203.0.%d"
	bridge     = "hub"
	cutsPerRun = "table inet holt { set cut { type ipv4_addr; }\n chain in { type filter hook input priority 0; policy accept; ip saddr @cut drop; }\n}"
)

// NewHosts makes n hosts and the bridge between them, inside the namespaces that Isolate made.
func NewHosts(n int) ([]*Host, error) {
	if os.Getenv(isolated) == "" {
		return nil, errors.New("ensemble.NewHosts without ensemble.Isolate: it would change the machine's network")
	}
	var hub *Host
	err := errors.Join(
		hub.do("", "ip", "link", "add", bridge, "type", "bridge"),
		hub.do("", "ip", "addr", "add", hubIP+"/24", "dev", bridge),
		hub.do("", "ip", "link", "set", bridge, "up"),
		hub.do(cutsPerRun, "nft", "-f", "-"))
	if err != nil {
		return nil, err
	}
	var hosts []*Host
	for i := 1; i <= n; i++ {
		h, err := newHost(i)
		if err != nil {
			return nil, fmt.Errorf("making host %d: %w", i, err)
		}
		hosts = append(hosts, h)
	}
	return hosts, nil
}

func newHost(i int) (*Host, error) {
	h := &Host{IP: fmt.Sprintf(hostIPs, i), holder: exec.Command("sleep", "infinity")}
	// Unshared before the command runs, so the namespace is there when Start returns.
	h.holder.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := h.holder.Start(); err != nil {
		return nil, err
	}
	var hub *Host
	veth := "host" + strconv.Itoa(i)
	return h, errors.Join(
		hub.do("", "ip", "link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", strconv.Itoa(h.holder.Process.Pid)),
		hub.do("", "ip", "link", "set", veth, "master", bridge, "up"),
		h.do("", "ip", "link", "set", "lo", "up"),
		h.do("", "ip", "addr", "add", h.IP+"/24", "dev", "eth0"),
		h.do("", "ip", "link", "set", "eth0", "up"),
		h.do(cutsPerRun, "nft", "-f", "-"))
}

// enter is argv as it has to be run to run on the host.
func (h *Host) enter(argv []string) []string {
	if h == nil {
		return argv
	}
	return append([]string{"nsenter", "--net=/proc/" + strconv.Itoa(h.holder.Process.Pid) + "/ns/net"}, argv...)
}

// do runs a command on the host.
func (h *Host) do(input string, argv ...string) error {
	argv = h.enter(argv)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(input)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(said.String()))
	}
	return nil
}

func (h *Host) ip() string {
	if h == nil {
		return hubIP
	}
	return h.IP
}

// Cut drops every packet from one host to another, the way back stays. nil is the hub.
func Cut(from, to *Host) error {
	return to.do("", "nft", "add", "element", "inet", "holt", "cut", "{ "+from.ip()+" }")
}

// Heal ends all cuts of what arrives at a host. nil is the hub.
func (h *Host) Heal() error { return h.do("", "nft", "flush", "set", "inet", "holt", "cut") }

// LimitDisk puts the member's data on a file system of so many bytes in memory. The member must not have been started.
// It needs the mount namespace that Isolate makes.
func (m *Member) LimitDisk(bytes int64) error {
	if os.Getenv(isolated) == "" {
		return errors.New("a member's disk is limited without ensemble.Isolate: it would change the machine's mounts")
	}
	myid, err := os.ReadFile(m.Data() + "/myid")
	if err != nil {
		return err
	}
	if err := syscall.Mount("tmpfs", m.Data(), "tmpfs", 0, "size="+strconv.FormatInt(bytes, 10)); err != nil {
		return fmt.Errorf("mounting a disk of %d bytes for member %d: %w", bytes, m.ID, err)
	}
	return os.WriteFile(m.Data()+"/myid", myid, 0o644)
}

// ReleaseDisk undoes LimitDisk: what was on that disk is gone. The member must have ended.
func (m *Member) ReleaseDisk() error {
	if err := syscall.Unmount(m.Data(), 0); err != nil {
		return fmt.Errorf("unmounting the disk of member %d: %w", m.ID, err)
	}
	return nil
}

// ballast is the file that FillDisk makes.
const ballast = "/ballast"

// FillDisk fills the member's disk to the last byte, again if the member has freed some; FreeDisk undoes it.
func (m *Member) FillDisk() error {
	f, err := os.OpenFile(m.Data()+ballast, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	filled := 0
	for size := len(block); size > 0; {
		n, err := f.Write(block[:size])
		filled += n
		switch {
		case errors.Is(err, syscall.ENOSPC):
			size /= 2
		case err != nil:
			return err
		}
	}
	if filled > 0 {
		m.note(fmt.Sprintf("has a full disk: %d bytes were left", filled))
	}
	return nil
}

// FreeDisk gives the space back that FillDisk took, however often.
func (m *Member) FreeDisk() error {
	m.note("has space again")
	if err := os.Remove(m.Data() + ballast); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
