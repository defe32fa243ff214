package checkpoint

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The pauses of a paced writer.
const (
	burst    = time.Millisecond
	pauseMax = 50 * time.Millisecond
)

// pacedFS makes whoever writes tables pause: after a millisecond of work, on the table's bytes or on finding them, as
// long as it takes to keep to the given share of a core.
//
// Pausing where bytes are written rather than where they are made covers compactions too, which offer no other place,
// and measures time rather than bytes: on a slow or busy machine it slows down by itself, where a rate of bytes would have to
// be known beforehand.
type pacedFS struct {
	vfs.FS
	busyPercent int
	hurried     atomic.Int32 // reasons not to pause
}

func newPacedFS(fs vfs.FS, busyPercent int) *pacedFS {
	return &pacedFS{FS: fs, busyPercent: busyPercent}
}

// hurry ends all pauses: for a store that closes, or whose server waits for it. calm takes that back.
func (p *pacedFS) hurry() { p.hurried.Add(1) }
func (p *pacedFS) calm()  { p.hurried.Add(-1) }

func (p *pacedFS) Unwrap() vfs.FS { return p.FS }

func (p *pacedFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := p.FS.Create(name, category)
	if err != nil || p.busyPercent == 100 || !strings.HasSuffix(name, ".sst") {
		return f, err
	}
	return &pacedFile{File: f, fs: p, since: time.Now()}, nil
}

type pacedFile struct {
	vfs.File
	fs    *pacedFS
	since time.Time // end of the last pause
}

func (f *pacedFile) Write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	if worked := time.Since(f.since); worked >= burst && f.fs.hurried.Load() == 0 {
		idle := worked * time.Duration(100-f.fs.busyPercent) / time.Duration(f.fs.busyPercent)
		time.Sleep(min(idle, pauseMax))
		f.since = time.Now()
	}
	return n, err
}
