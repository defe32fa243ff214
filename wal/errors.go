package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var (
	// ErrLocked: another process has the directory open.
	ErrLocked = errors.New("in use by another process")
	// ErrNewerFormat: the directory was written by a newer version of Holt.
	ErrNewerFormat = errors.New("written by a newer version of Holt; start that version, or restore a backup made before the upgrade")
	// ErrFull: the disk has no space for this append. Nothing of it was kept, and the log goes on by itself when space
	// returns.
	ErrFull = errors.New("no space left for the log")
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
		"restore this member's data directory from a backup, or empty it and let the member copy the state from the others",
		e.File, e.Offset, e.Reason)
}

// isNoSpace tells a full disk (or an exhausted quota) from a broken one.
func isNoSpace(err error) bool {
	return vfs.IsNoSpaceError(err) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, ErrFull)
}

// openError says what an operator can do about a directory that cannot be used.
func openError(dir string, err error) error {
	switch {
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("log directory %s is on a read-only file system; remount it writable or choose another data directory: %w", dir, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("log directory %s may not be written by this user; change its owner or start as the user it belongs to: %w", dir, err)
	case isNoSpace(err):
		return fmt.Errorf("log directory %s has no space left; free some and start again: %w", dir, err)
	}
	return fmt.Errorf("log directory %s: %w", dir, err)
}

// lockError tells a directory that is in use from one that cannot be locked. fcntl answers a bare errno for the
// former; what opening the file answers is an *fs.PathError.
func lockError(dir string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return openError(dir, err)
	}
	return fmt.Errorf("log directory %s is %w; stop it, or give this server another data directory (%v)", dir, ErrLocked, err)
}
