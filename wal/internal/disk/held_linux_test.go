package disk

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// counted counts the syncs that went past Held.
type counted struct {
	vfs.File
	syncs int
}

func (c *counted) SyncData() error {
	c.syncs++
	return c.File.SyncData()
}

func newFile(t *testing.T, fs vfs.FS) *counted {
	t.Helper()
	f, err := fs.Create(filepath.Join(t.TempDir(), "f"), "test")
	if err != nil {
		if f, err = fs.Create("f", "test"); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = f.Close() })
	return &counted{File: f}
}

func TestHeld_TheKernelSyncs(t *testing.T) {
	h := NewHeld()
	if h == nil {
		t.Fatal("this kernel has no asynchronous I/O")
	}
	defer h.Close()
	f := newFile(t, vfs.Default)
	for i := range 20 {
		if _, err := f.WriteAt(make([]byte, 1<<i), 0); err != nil {
			t.Fatal(err)
		}
		h.slow = 0 // however slow this disk is
		h.event.result = -int64(syscall.EIO)
		if err := h.SyncData(f); err != nil {
			t.Fatal(err)
		}
	}
	if f.syncs != 0 {
		t.Errorf("%d of 20 syncs were not the kernel's", f.syncs)
	}
}

func TestHeld_WhatTheKernelDoesNotSyncIsSynced(t *testing.T) {
	var none *Held
	defer none.Close()
	h := NewHeld()
	defer h.Close()
	slow := NewHeld()
	defer slow.Close()
	for range slowMax {
		slow.tooSlow()
	}
	for name, c := range map[string]struct {
		held *Held
		fs   vfs.FS
	}{
		"no asynchronous I/O":  {none, vfs.Default},
		"a file in memory":     {h, vfs.NewMem()},
		"after too many waits": {slow, vfs.Default},
	} {
		f := newFile(t, c.fs)
		if err := c.held.SyncData(f); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if f.syncs != 1 {
			t.Errorf("%s: synced %d times", name, f.syncs)
		}
	}
	if slow.skip != slowSkip-1 {
		t.Errorf("%d more syncs are left alone, want %d", slow.skip, slowSkip-1)
	}
}

func TestHeld_FailuresAreReported(t *testing.T) {
	h := NewHeld()
	defer h.Close()
	f := newFile(t, vfs.Default)
	closed := &counted{File: f.File}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := h.SyncData(closed); err == nil {
		t.Error("a closed file was synced")
	}
	if err := (&completion{result: -int64(syscall.EIO)}).err(); !errors.Is(err, syscall.EIO) {
		t.Errorf("a completion with EIO is %v", err)
	}
}
