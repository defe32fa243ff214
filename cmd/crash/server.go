package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// server runs one Holt process at a time on one data directory.
type server struct {
	binary, addr, dir string
	process           *exec.Cmd
	log               *os.File
}

// Sizes so small that a few rounds rotate segments, cut the log and write checkpoints.
var smallSizes = []string{"HOLT_PRE_ALLOC_SIZE=256", "HOLT_CHECKPOINT_BYTES=1048576", "HOLT_TICK_TIME=500"}

func (s *server) start() error {
	log, err := os.OpenFile(filepath.Join(s.dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	s.log = log
	s.process = exec.Command(s.binary, "server", "--client-addr", s.addr, "--admin-addr", "off", "--data-dir", filepath.Join(s.dir, "data"))
	s.process.Env = append(os.Environ(), smallSizes...)
	s.process.Stdout, s.process.Stderr = log, log
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return s.process.Start()
}

// ready waits until the server answers.
func (s *server) ready() error {
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		if s.answers() {
			return nil
		}
		if err := s.process.Process.Signal(syscall.Signal(0)); err != nil {
			return fmt.Errorf("the server ended by itself: %w", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return errors.New("the server does not answer ruok within 20 s")
}

func (s *server) answers() bool {
	c, err := net.DialTimeout("tcp", s.addr, time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := io.WriteString(c, "ruok"); err != nil {
		return false
	}
	b, _ := io.ReadAll(c)
	return string(b) == "imok"
}

// kill sends SIGKILL and waits for the end of the process.
func (s *server) kill() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
	_ = s.log.Close()
	s.process = nil
}

// lastLines returns the end of the server's log.
func (s *server) lastLines(n int) string {
	b, _ := os.ReadFile(filepath.Join(s.dir, "server.log"))
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
