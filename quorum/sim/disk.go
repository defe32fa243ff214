package sim

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sort"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const sectorBytes = 512

// errDied is what product code is unwound with when its member crashes in the middle of something.
var errDied = errors.New("the member died")

// disk is the file system of one member: in memory, able to lose power before any operation, to run full, to fail and
// to rot. What was written since the last sync of a file is kept apart by write, so that a crash keeps some sectors and
// loses others.
type disk struct {
	*vfs.MemFS
	dice    *rand.Rand
	pending map[string][]pendingWrite

	dieIn     int                                  // operations until power is lost; 0: it stays
	full      bool                                 // nothing grows
	failSync  bool                                 // the next sync fails
	failWrite bool                                 // the next write fails
	failed    bool                                 // something has failed since the process started
	lies      func(path string, unsynced int) bool // mutation: a sync that answers and does nothing
	ops       uint64
}

type pendingWrite struct {
	off  int64
	data []byte
}

func newDisk(dice *rand.Rand) *disk {
	return &disk{MemFS: vfs.NewCrashableMem(), dice: dice, pending: map[string][]pendingWrite{}}
}

// op counts an operation that changes the disk; power may be lost before it.
func (d *disk) op() {
	d.ops++
	if d.dieIn > 0 {
		if d.dieIn--; d.dieIn == 0 {
			panic(errDied)
		}
	}
}

// loseWrites makes the disk what is found on it after a power cut, with keep per cent of the unsynced sectors, and of
// the unsynced names.
func (d *disk) loseWrites(keep int) {
	d.dieIn = 0
	clone := d.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 0, RNG: d.dice})
	if keep == 100 {
		clone = d.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: d.dice})
	}
	paths := make([]string, 0, len(d.pending))
	for path := range d.pending {
		paths = append(paths, path)
	}
	sort.Strings(paths)
	for _, path := range paths {
		if keep > 0 && keep < 100 {
			d.tear(clone, path, keep)
		}
		delete(d.pending, path)
	}
	d.MemFS = clone
}

// tear writes some of the sectors of a file that were not synced.
func (d *disk) tear(clone *vfs.MemFS, path string, keep int) {
	if _, err := clone.Stat(path); err != nil {
		return // its name was not synced
	}
	f, err := clone.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return
	}
	for _, w := range d.pending[path] {
		for at := w.off; at < w.off+int64(len(w.data)); {
			end := min((at/sectorBytes+1)*sectorBytes, w.off+int64(len(w.data)))
			if chance(d.dice, keep) {
				_, _ = f.WriteAt(w.data[at-w.off:end-w.off], at)
			}
			at = end
		}
	}
	_ = f.Sync()
	_ = f.Close()
}

// rot flips one bit among the bytes of a file that are not zero, and says where. ok is false if there is none. It spares the
// two newest files: a flip within the very last write cannot be told from a write that was torn and never acknowledged.
func (d *disk) rot(dir, suffix string) (where string, ok bool) {
	names, err := d.List(dir)
	if err != nil {
		return "", false
	}
	sort.Strings(names)
	var paths []string
	for _, n := range names {
		if strings.HasSuffix(n, suffix) {
			paths = append(paths, d.PathJoin(dir, n))
		}
	}
	if len(paths) < 3 {
		return "", false
	}
	path := paths[d.dice.IntN(len(paths)-2)]
	f, err := d.MemFS.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return "", false
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || st.Size() == 0 {
		return "", false
	}
	for range 64 {
		var b [1]byte
		at := d.dice.Int64N(st.Size())
		if _, err := f.ReadAt(b[:], at); err != nil || b[0] == 0 {
			continue
		}
		b[0] ^= 1 << d.dice.IntN(8)
		_, _ = f.WriteAt(b[:], at)
		_ = f.Sync()
		return fmt.Sprintf("%s at %d", path, at), true
	}
	return "", false
}

func (d *disk) Create(name string, cat vfs.DiskWriteCategory) (vfs.File, error) {
	d.op()
	if d.full {
		return nil, &errFull{}
	}
	delete(d.pending, name)
	return d.wrap(d.MemFS.Create(name, cat))(name)
}

func (d *disk) OpenReadWrite(name string, cat vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return d.wrap(d.MemFS.OpenReadWrite(name, cat, opts...))(name)
}

func (d *disk) OpenDir(name string) (vfs.File, error) { return d.wrap(d.MemFS.OpenDir(name))(name) }

func (d *disk) wrap(f vfs.File, err error) func(name string) (vfs.File, error) {
	return func(name string) (vfs.File, error) {
		if err != nil {
			return nil, err
		}
		w := &diskFile{File: f, disk: d, path: name}
		if st, err := f.Stat(); err == nil {
			w.size = st.Size()
		}
		return w, nil
	}
}

// Lock always succeeds: a member that died holds none, and no two run on one disk.
func (d *disk) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

func (d *disk) Rename(from, to string) error {
	d.op()
	d.pending[to] = d.pending[from]
	delete(d.pending, from)
	return d.MemFS.Rename(from, to)
}

func (d *disk) Remove(name string) error {
	d.op()
	delete(d.pending, name)
	return d.MemFS.Remove(name)
}

func (d *disk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{}, vfs.ErrUnsupported
}

// errFull is ENOSPC as the operating system says it.
type errFull struct{}

func (*errFull) Error() string { return "simulated disk: " + syscall.ENOSPC.Error() }
func (*errFull) Unwrap() error { return syscall.ENOSPC }

var errIO = fmt.Errorf("simulated disk: %w", syscall.EIO)

type diskFile struct {
	vfs.File
	disk *disk
	path string
	at   int64 // of Write
	size int64
}

func (f *diskFile) Write(b []byte) (int, error) {
	n, err := f.write(b, f.at, f.File.Write)
	f.at += int64(n)
	return n, err
}

func (f *diskFile) WriteAt(b []byte, off int64) (int, error) {
	return f.write(b, off, func(b []byte) (int, error) { return f.File.WriteAt(b, off) })
}

func (f *diskFile) write(b []byte, off int64, do func([]byte) (int, error)) (int, error) {
	d := f.disk
	end := off + int64(len(b))
	if d.full && end > f.size {
		return 0, &errFull{}
	}
	if d.failWrite {
		d.failWrite, d.failed = false, true
		return 0, errIO
	}
	if d.dieIn == 1 && len(b) > 1 {
		b = b[:d.dice.IntN(len(b))] // power is lost within the write
	}
	d.pending[f.path] = append(d.pending[f.path], pendingWrite{off, append([]byte(nil), b...)})
	n, err := do(b)
	f.size = max(f.size, end)
	d.op()
	return n, err
}

func (f *diskFile) Sync() error {
	d := f.disk
	d.op()
	if d.failSync {
		d.failSync, d.failed = false, true
		return errIO
	}
	if d.lies != nil && d.lies(f.path, unsynced(d.pending[f.path])) {
		return nil
	}
	delete(d.pending, f.path)
	return f.File.Sync()
}

func (f *diskFile) SyncData() error { return f.Sync() }

func unsynced(w []pendingWrite) int {
	n := 0
	for i := range w {
		n += len(w[i].data)
	}
	return n
}
