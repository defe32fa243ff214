package wal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"holt/wal/internal/disk"
)

// frameAt tells where the frames of a log are.
type frameAt struct {
	path     string
	off, end int64
}

// fillLog writes entries until the log has three segments, and says where every frame is.
func fillLog(t *testing.T, fs vfs.FS) (frames []frameAt, m model) {
	t.Helper()
	l := mustOpen(t, steppedConfig(fs))
	for i := uint64(1); l.open.id < 3 || l.off < headerBytes+2000; i++ {
		e := makeEntries(i, i, 1, 500)
		if err := appendNow(l, &HardState{Term: 1, Vote: 2}, e...); err != nil {
			t.Fatal(err)
		}
		m = m.with(request{Append: Append{Entries: e, HardState: &HardState{Term: 1, Vote: 2}}})
	}
	last := l.open.id
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for id := uint64(1); id <= last; id++ {
		r, err := l.reader(id)
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := r.next(); err != nil {
				break
			}
			frames = append(frames, frameAt{r.path, r.at, r.off})
		}
		_ = r.file.Close()
	}
	return frames, m
}

func readAll(t *testing.T, fs vfs.FS, path string) []byte {
	t.Helper()
	f, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func flipBit(t *testing.T, fs vfs.FS, path string, off int64) {
	t.Helper()
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1 << (off % 8)
	if _, err := f.WriteAt(b[:], off); err != nil {
		t.Fatal(err)
	}
}

// TestW2_DamageIsRefused flips a bit in every frame. In any but the last frame of the newest segment that is damage,
// named by file and offset, and the files stay as they are; in the last one it cannot be told from a torn write.
func TestW2_DamageIsRefused(t *testing.T) {
	mem := vfs.NewMem()
	frames, m := fillLog(t, mem)
	for n, f := range frames {
		for _, at := range []int64{f.off, f.off + 9, f.off + 17, (f.off + f.end) / 2, f.off + frameHeadBytes} {
			flipBit(t, mem, f.path, at)
			l, err := Open(steppedConfig(mem))
			if n == len(frames)-1 {
				checkCut(t, l, err, m)
				return // the log is a shorter one now
			}
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) {
				t.Fatalf("frame %d of %d, bit at %s:%d flipped: Open = %v", n, len(frames), f.path, at, err)
			}
			if corrupt.File != f.path || corrupt.Offset != f.off {
				t.Fatalf("damage at %s:%d reported as %s:%d", f.path, f.off, corrupt.File, corrupt.Offset)
			}
			flipBit(t, mem, f.path, at)
		}
	}
}

func checkCut(t *testing.T, l *Log, err error, m model) {
	t.Helper()
	if err != nil {
		t.Fatalf("torn last frame: %v", err)
	}
	defer l.Close()
	m.entries = m.entries[:len(m.entries)-1]
	if err := m.differs(l); err != nil {
		t.Fatal(err)
	}
}

// TestW3_MissingOrForeignSegment removes, swaps, shortens and spoils the header of each segment.
func TestW3_MissingOrForeignSegment(t *testing.T) {
	spoil := map[string]func(t *testing.T, mem vfs.FS, path string){
		"removed": func(t *testing.T, mem vfs.FS, path string) {
			if err := mem.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
		"magic": func(t *testing.T, mem vfs.FS, path string) { flipBit(t, mem, path, 3) },
		"id":    func(t *testing.T, mem vfs.FS, path string) { flipBit(t, mem, path, 16) },
		"salt":  func(t *testing.T, mem vfs.FS, path string) { flipBit(t, mem, path, 25) },
		"swapped": func(t *testing.T, mem vfs.FS, path string) {
			other := mem.PathJoin(mem.PathDir(path), segmentName(2))
			if path == other {
				other = mem.PathJoin(mem.PathDir(path), segmentName(1))
			}
			if err := vfs.Copy(mem, other, path); err != nil {
				t.Fatal(err)
			}
		},
		"empty": func(t *testing.T, mem vfs.FS, path string) {
			f, err := mem.Create(path, vfs.WriteCategoryUnspecified)
			if err != nil {
				t.Fatal(err)
			}
			_ = f.Close()
		},
		"shortened": func(t *testing.T, mem vfs.FS, path string) {
			b := readAll(t, mem, path)
			f, err := mem.Create(path, vfs.WriteCategoryUnspecified)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = f.Write(b[:headerBytes+700])
			_ = f.Close()
		},
	}
	for name, do := range spoil {
		for id := uint64(1); id <= 3; id++ {
			t.Run(fmt.Sprintf("%s/segment=%d", name, id), func(t *testing.T) {
				mem := vfs.NewMem()
				fillLog(t, mem)
				path := mem.PathJoin("/data/log", segmentName(id))
				do(t, mem, path)
				l, err := Open(steppedConfig(mem))
				var corrupt *CorruptError
				if !errors.As(err, &corrupt) || corrupt.File != path {
					t.Fatalf("Open = %v, %v", l, err)
				}
			})
		}
	}
}

func TestNewerFormat(t *testing.T) {
	mem := vfs.NewMem()
	fillLog(t, mem)
	path := mem.PathJoin("/data/log", segmentName(3))
	h, err := parseSegmentHeader(readAll(t, mem, path)[:headerUsed])
	if err != nil {
		t.Fatal(err)
	}
	h.version++
	f, err := mem.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(appendSegmentHeader(nil, h)[:headerUsed], 0); err != nil {
		t.Fatal(err)
	}
	_, err = Open(steppedConfig(mem))
	if !errors.Is(err, ErrNewerFormat) || !strings.Contains(err.Error(), "newer version") || !strings.Contains(err.Error(), path) {
		t.Fatalf("Open = %v", err)
	}
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, Config{Dir: dir, SegmentBytes: segmentBytesMin})
	if _, err := Open(Config{Dir: dir}); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("second Open = %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := mustOpen(t, Config{Dir: dir}).Close(); err != nil {
		t.Fatal(err)
	}
}

// deniedFS fails what changes the disk with a fixed error, as a read-only or foreign directory does.
type deniedFS struct {
	*vfs.MemFS
	err error
}

func (d deniedFS) MkdirAll(dir string, perm os.FileMode) error {
	return &fs.PathError{Op: "mkdir", Path: dir, Err: d.err}
}

func (d deniedFS) Lock(name string) (io.Closer, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: d.err}
}

func TestUnusableDirectory(t *testing.T) {
	for err, want := range map[error]string{
		syscall.EROFS:  "read-only file system",
		syscall.EACCES: "may not be written by this user",
		syscall.ENOSPC: "no space left; free some",
	} {
		mem := vfs.NewMem()
		if _, got := Open(steppedConfig(deniedFS{mem, err})); got == nil || !strings.Contains(got.Error(), want) || !errors.Is(got, err) {
			t.Errorf("%v: Open = %v, want %q", err, got, want)
		}
		if lockErr := disk.LockError("/d", &fs.PathError{Op: "open", Path: "/d/LOCK", Err: err}); errors.Is(lockErr, ErrLocked) {
			t.Errorf("%v: %v claims that another process is there", err, lockErr)
		}
	}
}

// FuzzSegment puts arbitrary bytes behind a segment's header, and the checksums right in half of the cases: recovery
// must answer with a log or an error.
func FuzzSegment(f *testing.F) {
	mem := vfs.NewMem()
	l, err := Open(steppedConfig(mem))
	if err != nil {
		f.Fatal(err)
	}
	for i := range uint64(5) {
		l.Append(Append{Entries: makeEntries(i+1, i+3, 1+i, 20), HardState: &HardState{Term: i}})
		l.Step()
	}
	b, err := mem.UnsafeGetFileDataBuffer(l.path(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[headerBytes:headerBytes+400], uint8(0))
	f.Add(b[headerBytes+frameHeadBytes:headerBytes+300], uint8(1))
	f.Add(appendControlRecord(appendControlRecord(nil, kindState, 1, 5, 2, 9, 3), kindSeal, 2), uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, mode uint8) {
		mem := vfs.NewMem()
		if err := mem.MkdirAll("/data/log", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := createSegment(mem, "/data/log", 1, 1, segmentBytesMin, nil); err != nil {
			t.Fatal(err)
		}
		off := int64(headerBytes)
		if mode&1 == 1 { // a good frame around the bytes, perhaps behind another
			s := makeSeed(1, 1)
			if mode&2 == 2 {
				frame := append(make([]byte, frameHeadBytes), appendControlRecord(nil, kindState, 1, 0, 0, 0, 0)...)
				frame = sealFrame(frame, s, off, 1, 0)
				writeAt(t, mem, off, frame)
				off += int64(len(frame))
			}
			b = sealFrame(append(make([]byte, frameHeadBytes), b...), s, off, 2, 0)
		}
		writeAt(t, mem, off, b)
		l, err := Open(steppedConfig(mem))
		if err != nil {
			return
		}
		if l.LastIndex()-l.index.cut < 1000 {
			if _, err := l.Entries(l.FirstIndex(), l.LastIndex()+1, 1<<20); err != nil {
				t.Fatalf("entries %d..%d: %v", l.FirstIndex(), l.LastIndex(), err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func writeAt(t *testing.T, mem vfs.FS, off int64, b []byte) {
	t.Helper()
	f, err := mem.OpenReadWrite("/data/log/"+segmentName(1), vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(b, off); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
}
