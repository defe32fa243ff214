package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"holt/bench"
)

// process is a server under measurement.
type process struct {
	*exec.Cmd
	addr    string
	started time.Time
}

// startHolt starts a server on dir with extra environment settings, and waits until it serves.
func startHolt(binary, addr, dir string, env ...string) (*process, error) {
	cmd := exec.Command(binary, "server", "--client-addr", addr, "--data-dir", filepath.Join(dir, "data"))
	cmd.Env = append(append(os.Environ(), "HOLT_MAX_CLIENT_CNXNS=0", "HOLT_ADMIN_ADDR=off"), env...)
	log, err := os.OpenFile(filepath.Join(dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	return start(cmd, addr)
}

// startBare starts the ceiling server from this binary.
func startBare(addr string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(exec.Command(self, "bare", "-addr", addr), addr)
}

func start(cmd *exec.Cmd, addr string) (*process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p := &process{Cmd: cmd, addr: addr, started: time.Now()}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for time.Since(p.started) < time.Minute {
		c, err := bench.Dial(addr, time.Second)
		if err == nil {
			_ = c.Close()
			return p, nil
		}
		time.Sleep(2 * time.Millisecond)
	}
	p.stop()
	return nil, fmt.Errorf("%s does not serve on %s after a minute", cmd.Path, addr)
}

// cpu returns the processor time used so far.
func (p *process) cpu() time.Duration {
	t, err := bench.CPUTime(p.Process.Pid)
	if err != nil {
		panic(err) // the process is ours and running
	}
	return t
}

// stop ends the process and waits for it.
func (p *process) stop() {
	_ = p.Process.Signal(syscall.SIGTERM)
	ended := make(chan struct{})
	go func() {
		_ = p.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		_ = p.Process.Kill()
		<-ended
	}
}
