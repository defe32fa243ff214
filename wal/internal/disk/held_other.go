//go:build !linux

package disk

import "github.com/cockroachdb/pebble/v2/vfs"

// Held syncs files; on Linux its user keeps the processor meanwhile.
type Held struct{}

// NewHeld returns nil: the kernel does not offer it.
func NewHeld() *Held { return nil }

// Close does nothing.
func (h *Held) Close() {}

// SyncData does what f.SyncData does.
func (h *Held) SyncData(f vfs.File) error { return f.SyncData() }
