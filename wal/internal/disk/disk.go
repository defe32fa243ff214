package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var (
	// ErrLocked: another process has the directory open.
	ErrLocked = errors.New("in use by another process")
	// ErrNewerFormat: the directory was written by a newer version of Holt.
	ErrNewerFormat = errors.New("written by a newer version of Holt; start that version, or restore a backup made before the upgrade")
	// ErrFull: the disk has no space for what was asked, and nothing of it was kept.
	ErrFull = errors.New("no space left on the disk")
)

const lockName = "LOCK"

// IsFull tells a full disk (or an exhausted quota) from a broken one.
func IsFull(err error) bool {
	return vfs.IsNoSpaceError(err) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, ErrFull)
}

// MakeDir makes the directory and everything above it, each durably named in its parent.
func MakeDir(fs vfs.FS, dir string) error {
	var missing []string
	for at := dir; ; at = fs.PathDir(at) {
		if _, err := fs.Stat(at); err == nil || at == fs.PathDir(at) {
			break
		}
		missing = append(missing, at)
	}
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, d := range missing {
		if err := SyncDir(fs, fs.PathDir(d)); err != nil {
			return err
		}
	}
	return nil
}

// SyncDir makes the names in a directory durable.
func SyncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return FirstError(d.Sync(), d.Close())
}

// Lock takes the directory for this process. The error wraps ErrLocked if another one has it.
func Lock(fs vfs.FS, dir string) (io.Closer, error) {
	lock, err := fs.Lock(fs.PathJoin(dir, lockName))
	if err != nil {
		return nil, LockError(dir, err)
	}
	return lock, nil
}

// LockError tells a directory that is in use from one that cannot be locked. fcntl answers a bare errno for the
// former; what opening the file answers is an *fs.PathError.
func LockError(dir string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return Explain(dir, err)
	}
	return fmt.Errorf("directory %s is %w; stop it, or give this server another data directory (%v)", dir, ErrLocked, err)
}

// Explain says what an operator can do about a directory that cannot be used.
func Explain(dir string, err error) error {
	switch {
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("directory %s is on a read-only file system; remount it writable or choose another data directory: %w", dir, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("directory %s may not be written by this user; change its owner or start as the user it belongs to: %w", dir, err)
	case IsFull(err):
		return fmt.Errorf("directory %s has no space left; free some and start again: %w", dir, err)
	}
	return fmt.Errorf("directory %s: %w", dir, err)
}

// FirstError is the first of errs that is one.
func FirstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
