package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"holt/netloop/wire"
)

// ballast takes all the space that is left in dir.
type ballast struct {
	t    *testing.T
	path string
}

func (b ballast) fill() {
	b.t.Helper()
	f, err := os.OpenFile(b.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		b.t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 64<<10); len(block) > 0; {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2]
		} else if err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b ballast) drop() {
	b.t.Helper()
	if err := os.Remove(b.path); err != nil {
		b.t.Fatal(err)
	}
}

const largeNode = 20_000

// fillLog creates znodes /n/<i> of so many bytes until the log has no space, and returns the last i that was
// acknowledged. Until the log is full nothing may fail.
func fillLog(t *testing.T, c *rawClient, bytes int) (acked int) {
	t.Helper()
	for i := 0; ; i++ {
		q, err := c.try(createReq(fmt.Sprintf("/n/%06d", i), strings.Repeat("x", bytes)))
		switch {
		case err != nil: // on its way when space ran out
			return i - 1
		case q.Err == wire.CodeSystemError:
			return i - 1
		case q.Err != 0:
			t.Fatalf("create %d: %v", i, q.Err)
		case i > 20_000:
			t.Fatal("the log does not become full")
		}
	}
}

// complete checks that all acknowledged znodes are there, and that there is at most one more.
func complete(t *testing.T, c *rawClient, acked, bytes int) {
	t.Helper()
	for i := range acked + 1 {
		if got := len(c.data(fmt.Sprintf("/n/%06d", i))); got != bytes {
			t.Fatalf("znode %d has %d bytes", i, got)
		}
	}
}

// TestFull: the disk of the log fills up. Writes are refused, everything else goes on, sessions stay, and when there is
// space again so do writes, without a restart; nothing acknowledged is lost.
func TestFull_WritesAreRefusedAndTheRestGoesOn(t *testing.T) {
	t.Parallel()
	dir := mountTmpfs(t, "16m")
	heavy := ballast{t, filepath.Join(dir, "ballast")}
	p := startProcess(t, filepath.Join(dir, "data"), "--tick-time", "500", "--min-session-timeout", "1000")
	c := openRaw(t, p.addr)
	c.must(createReq("/n", ""))
	quiet := openFor(t, p.addr, 1000) // says nothing while the log is full, and keeps its session
	quiet.must(request{wire.OpCreate, createBody("/ephemeral", "", 1)})
	reader := openRaw(t, p.addr)
	idle := openRaw(t, p.addr)
	heavy.fill()

	begin := time.Now()
	acked := fillLog(t, c, largeNode)
	t.Logf("full after %d znodes; the last request ended within %v", acked+1, time.Since(begin).Round(time.Millisecond))
	eventually(t, 5*time.Second, func() string {
		if p.metric("holt_log_full") != 1 {
			return "holt_log_full is not 1"
		}
		return ""
	})
	if status, text := p.page("/readyz"); status != 200 || !strings.Contains(text, "writes are refused") {
		t.Errorf("readyz: %d %q", status, text)
	}
	if status, _ := p.page("/healthz"); status != 200 {
		t.Errorf("healthz: %d", status)
	}
	if !strings.Contains(p.said.String(), "no space left") {
		t.Error("the log does not say why")
	}

	for range 3 { // new writes are refused at once, reads, pings and syncs go on
		begin := time.Now()
		for _, q := range []request{setReq("/n", "x"), createReq("/new", ""), {wire.OpMulti, multiOf(1, func(int) wire.MultiOp {
			return wire.MultiOp{Op: wire.OpSetData, Path: []byte("/n"), Version: -1}
		})}} {
			if r, err := reader.try(q); err != nil || r.Err != wire.CodeSystemError {
				t.Fatalf("write %v: %v, %v", q.op, r.Err, err)
			}
		}
		complete(t, reader, min(acked, 10), largeNode)
		reader.must(request{wire.OpPing, nil})
		reader.must(request{wire.OpSync, pathBody("/n")})
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("refusing and reading took %v", took)
		}
		time.Sleep(500 * time.Millisecond)
	}
	if err := dialRaw(t, p.addr).connect(wire.ConnectRequest{TimeoutMs: 4000, Password: make([]byte, 16)}); err == nil {
		t.Error("a session was opened")
	}
	closing := openedBefore{idle}
	closing.close(t)

	if err := p.cmd.Process.Signal(syscall.SIGUSR1); err != nil { // a checkpoint, for which there is no space either
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, func() string {
		if !strings.Contains(p.said.String(), "checkpoint failed") {
			return "the checkpoint did not fail"
		}
		return ""
	})
	p.alive()

	heavy.drop()
	eventually(t, 10*time.Second, func() string {
		if r, err := reader.try(setReq("/n", "back")); err != nil || r.Err != 0 {
			return fmt.Sprintf("writes after there is space: %v, %v", r.Err, err)
		}
		return ""
	})
	if p.metric("holt_log_full") != 0 {
		t.Error("holt_log_full stays 1")
	}
	quiet.must(request{wire.OpExists, watchBody("/ephemeral", false)})
	back := openRaw(t, p.addr)
	complete(t, back, acked, largeNode)
	back.must(createReq("/after", ""))
	p.kill()

	p = startProcess(t, filepath.Join(dir, "data"))
	c = openRaw(t, p.addr)
	complete(t, c, acked, largeNode)
	c.must(request{wire.OpExists, watchBody("/after", false)})
	if c.data("/n") != "back" {
		t.Error("the write that was taken first is not there")
	}
}

// openedBefore is a client that wants to close its session while the log is full.
type openedBefore struct{ *rawClient }

func (c openedBefore) close(t *testing.T) {
	t.Helper()
	if r, err := c.try(request{wire.OpCloseSession, nil}); err == nil && r.Err != wire.CodeSystemError {
		t.Errorf("closing a session: %v", r.Err)
	}
	c.ended(5 * time.Second)
}

// TestFull_InFlight: many clients write when the disk becomes full. Each is told, by an answer or by the end of its
// connection, within a few seconds; what was acknowledged survives kill -9 while the disk is full.
func TestFull_InFlightAndKilled(t *testing.T) {
	t.Parallel()
	dir := mountTmpfs(t, "16m")
	heavy := ballast{t, filepath.Join(dir, "ballast")}
	data := filepath.Join(dir, "data")
	p := startProcess(t, data)
	const n = 8
	var writers [n]*writer
	for i := range writers {
		writers[i] = startWriter(t, p.addr, fmt.Sprintf("/w%d", i))
	}
	c := openRaw(t, p.addr)
	c.must(createReq("/n", ""))
	heavy.fill()
	begin := time.Now()
	acked := fillLog(t, c, largeNode)
	for _, w := range writers {
		w.wait()
	}
	took := time.Since(begin)
	t.Logf("all writers knew after %v", took.Round(time.Millisecond))
	if took > 10*time.Second {
		t.Errorf("writers were left waiting for %v", took)
	}
	for _, w := range writers {
		t.Logf("%s: %v", w.path, w.err)
	}
	p.kill()

	launch(t, nil, data).fails(dir, "no space left", "free some") // the disk is still full
	heavy.drop()
	p = startProcess(t, data)
	c = openRaw(t, p.addr)
	complete(t, c, acked, largeNode)
	for _, w := range writers {
		if err := w.verify(c); err != nil {
			t.Error(err)
		}
	}
	c.must(createReq("/after", ""))
}

// startsOnFullDisk waits until the server serves (true) or says what it waits for.
func (p *process) startsOnFullDisk() (serves bool) {
	p.t.Helper()
	eventually(p.t, 20*time.Second, func() string {
		said := p.said.String()
		serves = strings.Contains(said, "serving clients")
		if serves || strings.Contains(said, "no space left to start with") {
			return ""
		}
		return "the server neither serves nor says that there is no space"
	})
	return serves
}

// TestFull_Term: SIGTERM is obeyed by a server that is started while the log, on a disk of its own, has no space, and has to wait.
func TestFull_Term(t *testing.T) {
	t.Parallel()
	dir, data := mountTmpfs(t, "16m"), t.TempDir()
	heavy := ballast{t, filepath.Join(dir, "ballast")}
	p := startProcess(t, data, "--data-log-dir", dir)
	c := openRaw(t, p.addr)
	c.must(createReq("/n", ""))
	heavy.fill()
	acked := fillLog(t, c, 100)
	p.kill()            // a stop would make room
	for i := 0; ; i++ { // until nothing is left of the open segment
		p = launch(t, nil, data, "--data-log-dir", dir)
		if !p.startsOnFullDisk() {
			break
		}
		if p.kill(); i == 100 {
			t.Fatal("the server never had to wait for space")
		}
	}
	p.stop(8 * time.Second)
	p = launch(t, nil, data, "--data-log-dir", dir)
	if p.startsOnFullDisk() {
		t.Fatal("a server that had no space has some now")
	}
	heavy.drop()
	p.ready()
	complete(t, openRaw(t, p.addr), acked, 100)
}

// TestFull_TermMakesRoom: the checkpoint before a stop lets the log be cut, so that the next start can write.
func TestFull_TermMakesRoom(t *testing.T) {
	t.Parallel()
	dir, data := mountTmpfs(t, "16m"), t.TempDir()
	heavy := ballast{t, filepath.Join(dir, "ballast")}
	p := startProcess(t, data, "--data-log-dir", dir)
	c := openRaw(t, p.addr)
	c.must(createReq("/n", ""))
	heavy.fill()
	acked := fillLog(t, c, largeNode)
	p.stop(8 * time.Second)
	p = startProcess(t, data, "--data-log-dir", dir)
	c = openRaw(t, p.addr)
	complete(t, c, acked, largeNode)
	c.must(createReq("/after", ""))
}

// TestFull_FromTheStart: no space for the first segment.
func TestFull_FromTheStart(t *testing.T) {
	t.Parallel()
	dir := mountTmpfs(t, "512k")
	launch(t, nil, filepath.Join(dir, "data")).fails(dir, "no space left", "free some")
}
