package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"holt/bench"
	"holt/cmd/internal/bare"
	"holt/cmd/internal/ensemble"
)

// servers are the processes that take part, by what they are.
type servers struct {
	dir   string
	peers map[target]*ensemble.Ensemble
	bares map[bare.Mode]*bareServer
	etcd  *etcdServer // nil: without
}

// Ports of loopback. Each kind of server has a range of its own.
const (
	portZooKeeper = 21100
	portHolt      = 21200
	portBare      = 21300
	portEtcd      = 21400
)

var peerPorts = map[target]int{zookeeper: portZooKeeper, holt: portHolt}

// jvm is what ZooKeeper runs with.
var jvm = []string{"-Xmx2g"}

// startPeer starts ZooKeeper or Holt, with an empty directory.
func startPeer(ctx context.Context, which target, members int, dir, binary string) (*ensemble.Ensemble, error) {
	kind := ensemble.ZooKeeper
	if which == holt {
		kind = ensemble.Holt
	}
	return ensemble.Start(ctx, ensemble.Config{
		Kind: kind, Members: members, Dir: dir, PortBase: peerPorts[which], Binary: binary, JVM: jvm,
		Settings: map[string]string{"maxSessionTimeout": "60000"},
	})
}

// start starts the peers of a table and the bare servers that its cases need, fills the key space and warms up.
func start(ctx context.Context, t table, dir string, o *options) (*servers, error) {
	s := &servers{dir: dir, peers: map[target]*ensemble.Ensemble{}, bares: map[bare.Mode]*bareServer{}}
	for _, which := range []target{zookeeper, holt} {
		e, err := startPeer(ctx, which, t.members, dir, o.binary)
		if err != nil {
			s.stop()
			return nil, err
		}
		s.peers[which] = e
	}
	for i, m := range bare.Modes {
		b, err := startBare(m, portBare+i, filepath.Join(dir, "bare.log"))
		if err != nil {
			s.stop()
			return nil, err
		}
		s.bares[m] = b
	}
	if o.etcd && t.uses(etcd) {
		var err error
		if s.etcd, err = startEtcd(ctx, filepath.Join(dir, "etcd")); err != nil {
			s.stop()
			return nil, err
		}
	}
	for which, e := range s.peers {
		if err := fill(e.Addrs()[0]); err != nil {
			s.stop()
			return nil, fmt.Errorf("filling %s: %w", which, err)
		}
	}
	return s, nil
}

func fill(addr string) error {
	c, err := bench.Dial(addr, time.Minute)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := bench.MakePath(c, bare.Root); err != nil {
		return err
	}
	if err := bench.Fill(c, bare.Root, filledNodes, bench.Range{Min: 100, Max: 100}); err != nil {
		return err
	}
	return c.Leave()
}

func (s *servers) stop() {
	for _, e := range s.peers {
		e.Kill()
	}
	for _, b := range s.bares {
		b.stop()
	}
	if s.etcd != nil {
		s.etcd.stop()
	}
}

// at is where a target's clients go, and what it costs is counted.
func (s *servers) at(which target, mode bare.Mode) (addrs []string, pids []int) {
	if which == ceiling {
		b := s.bares[mode]
		return []string{b.addr}, []int{b.cmd.Process.Pid}
	}
	e := s.peers[which]
	return e.Addrs(), pidsOf(e)
}

func pidsOf(e *ensemble.Ensemble) (pids []int) {
	for _, m := range e.Members {
		pids = append(pids, m.PID())
	}
	return pids
}

// child is a server as a process of this command.
type child struct {
	cmd  *exec.Cmd
	addr string
}

// bareServer is a bare server: this binary, called with "bare".
type bareServer struct{ *child }

func startBare(mode bare.Mode, port int, file string) (*bareServer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	c, err := startChild(addr, self, "bare", string(mode), addr, file)
	return &bareServer{c}, err
}

// startChild starts a process and waits until it listens.
func startChild(addr string, argv ...string) (*child, error) {
	c := &child{cmd: exec.Command(argv[0], argv[1:]...), addr: addr}
	c.cmd.Stderr = os.Stderr
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			return c, conn.Close()
		}
		if time.Now().After(deadline) {
			c.stop()
			return nil, fmt.Errorf("%q does not listen on %s: %w", argv, addr, err)
		}
	}
}

func (c *child) stop() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait() // it was killed
}
