package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"holt/bench"
	"holt/cmd/internal/ensemble"
)

// etcdServer is etcd, and the program that loads it. Both are etcdpeer, which is a module of its own.
type etcdServer struct {
	*child
	binary string
}

// uses says whether a case has an equal on the target.
func (t table) uses(which target) bool {
	return slices.ContainsFunc(t.cases, func(c testCase) bool { return which == etcd && c.etcd != "" })
}

// startEtcd builds etcdpeer, starts the server and fills its key space.
func startEtcd(ctx context.Context, dir string) (*etcdServer, error) {
	root, err := ensemble.Root()
	if err != nil {
		return nil, err
	}
	s := &etcdServer{binary: filepath.Join(root, "bin", "etcdpeer")}
	build := exec.CommandContext(ctx, "go", "build", "-o", s.binary, ".")
	build.Dir = filepath.Join(root, "cmd", "benchpeers", "etcd")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building etcdpeer: %w\n%s", err, out)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", portEtcd)
	if s.child, err = startChild(addr, s.binary, "serve", dir, addr, fmt.Sprintf("127.0.0.1:%d", portEtcd+1)); err != nil {
		return nil, err
	}
	if out, err := s.command(ctx, "-case", "fill").CombinedOutput(); err != nil {
		s.stop()
		return nil, fmt.Errorf("filling etcd: %w\n%s", err, out)
	}
	return s, nil
}

func (s *etcdServer) command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, s.binary, append([]string{"load", "-addr", s.addr, "-pid", fmt.Sprint(s.cmd.Process.Pid)}, args...)...)
}

// load runs the case's equal.
func (s *etcdServer) load(ctx context.Context, c testCase, o *options) (*bench.Report, error) {
	conns := c.load.Conns
	if c.etcd == "watch" {
		conns++ // the writer
	}
	ctx, cancel := context.WithTimeout(ctx, o.warmup+o.each+time.Minute)
	defer cancel()
	out, err := s.command(ctx, "-case", c.etcd, "-conns", fmt.Sprint(conns), "-pipeline", fmt.Sprint(c.load.Pipeline),
		"-warmup", o.warmup.String(), "-duration", o.each.String()).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return nil, fmt.Errorf("etcdpeer: %w: %s", err, exit.Stderr)
		}
		return nil, fmt.Errorf("etcdpeer: %w", err)
	}
	r := &bench.Report{}
	return r, json.Unmarshal(out, r)
}
