package zkdata

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/snappy/xerial"
)

// Errors of Read.
var (
	ErrNothing = errors.New("no ZooKeeper data")
	ErrDamaged = errors.New("damaged ZooKeeper data")
)

// versionDir is the directory that ZooKeeper makes in dataDir and dataLogDir.
const versionDir = "version-2"

// file is a snapshot or a file of the log.
type file struct {
	path string
	zxid int64 // in its name: the last one a snapshot is sure to hold, the first one of a file of the log
}

// files lists the files in dir whose names are prefix.zxid, and what follows for compressed ones, in ascending order of zxids.
func files(dir, prefix string) ([]file, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []file
	for _, e := range entries {
		parts := strings.Split(e.Name(), ".")
		known := len(parts) == 2 || prefix == snapshotPrefix && len(parts) == 3 && (parts[2] == "gz" || parts[2] == "snappy")
		if parts[0] != prefix || !known || e.IsDir() {
			continue
		}
		if zxid, err := strconv.ParseUint(parts[1], 16, 64); err == nil {
			list = append(list, file{filepath.Join(dir, e.Name()), int64(zxid)})
		}
	}
	slices.SortFunc(list, func(a, b file) int { return cmp.Compare(a.zxid, b.zxid) })
	return list, nil
}

// In is where ZooKeeper's files are, given the directory that its configuration names or that they lie in.
func In(dir string) string {
	if sub := filepath.Join(dir, versionDir); isDir(sub) {
		return sub
	}
	return dir
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// Exists says whether a ZooKeeper server has left something in dataDir, its data directory, or dataLogDir, that of its log. A
// directory that may not be entered has nothing.
func Exists(dataDir, dataLogDir string) (bool, error) {
	for _, in := range []struct{ dir, prefix string }{{dataDir, snapshotPrefix}, {dataLogDir, logPrefix}} {
		dir := filepath.Join(in.dir, versionDir)
		if !isDir(dir) {
			continue
		}
		if list, err := files(dir, in.prefix); err != nil || len(list) > 0 {
			return len(list) > 0, err
		}
	}
	return false, nil
}

// read returns the content of a file, decompressed if its name says that it is compressed (SnapStream).
func (f *file) read() ([]byte, error) {
	b, err := os.ReadFile(f.path)
	if err != nil {
		return nil, err
	}
	switch filepath.Ext(f.path) {
	case ".gz":
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, f.damaged(0, "%v", err)
		}
		if b, err = io.ReadAll(z); err != nil {
			return nil, f.damaged(0, "%v", err)
		}
	case ".snappy":
		if b, err = xerial.Decode(b); err != nil {
			return nil, f.damaged(0, "%v", err)
		}
	}
	return b, nil
}

func (f *file) damaged(offset int, format string, args ...any) error {
	return fmt.Errorf("%w: %s at offset %d: %s", ErrDamaged, f.path, offset, fmt.Sprintf(format, args...))
}

// epochOf reads version-2/currentEpoch; 0 if there is none, as on a server that stands alone.
func epochOf(dir string) (int64, error) {
	b, err := os.ReadFile(filepath.Join(dir, "currentEpoch"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	epoch, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil || epoch < 0 || epoch > epochMax {
		return 0, fmt.Errorf("%w: %s is no epoch: %q", ErrDamaged, filepath.Join(dir, "currentEpoch"), b)
	}
	return epoch, nil
}
