package wal

import (
	"errors"
	"fmt"

	"holt/wal/internal/disk"
)

var (
	// ErrLocked: another process has the directory open.
	ErrLocked = disk.ErrLocked
	// ErrNewerFormat: the directory was written by a newer version of Holt.
	ErrNewerFormat = disk.ErrNewerFormat
	// ErrFull: the disk has no space for this append. Nothing of it was kept, and the log goes on by itself when space
	// returns.
	ErrFull = disk.ErrFull
	// ErrClosed: the log was closed.
	ErrClosed = errors.New("log is closed")
	// ErrCompacted: the entries asked for were cut from the log; the state that contains them is in a checkpoint.
	ErrCompacted = errors.New("entries are no longer in the log")
	// ErrUnavailable: the entries asked for are past the end of the log.
	ErrUnavailable = errors.New("entries are not in the log yet")
)

// CorruptError is damage that no crash explains: bytes that were durable once are not what was written. The log
// refuses to open rather than to forget what was acknowledged.
type CorruptError struct {
	File   string
	Offset int64
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("log segment %s is damaged at offset %d: %s; acknowledged writes may be there, so nothing was changed: "+
		"restore this member's data directory from a backup, or have it filled by the other members (holt refill)",
		e.File, e.Offset, e.Reason)
}
