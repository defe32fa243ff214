package wal

import (
	"errors"
	"io"
	"math/rand/v2"
	"sort"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const sectorBytes = 512

// crashFS is a disk in memory that can lose power before any of its operations. Beyond what MemFS offers it keeps the
// writes since the last sync apart, so that a crash can keep some sectors of a write and lose others, and it lets a
// test fail any operation.
type crashFS struct {
	*vfs.MemFS
	before  func(op, path string) error // called before every operation that changes the disk; an error fails it
	torn    func(n int) int             // of a failing write of n bytes, how many reach the file
	pending map[string][]pendingWrite
}

type pendingWrite struct {
	off  int64
	data []byte
}

func newCrashFS(mem *vfs.MemFS) *crashFS {
	return &crashFS{MemFS: mem, pending: map[string][]pendingWrite{}}
}

func (c *crashFS) op(op, path string) error {
	if c.before == nil {
		return nil
	}
	return c.before(op, path)
}

// crash returns the disk as it may be found after a power cut now. percent of what was not synced survives, by block or
// by sector.
func (c *crashFS) crash(rng *rand.Rand, percent int, sectors bool) *vfs.MemFS {
	if !sectors {
		return c.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng})
	}
	clone := c.CrashClone(vfs.CrashCloneCfg{})
	paths := make([]string, 0, len(c.pending))
	for path := range c.pending {
		paths = append(paths, path)
	}
	sort.Strings(paths) // one seed, one crash
	for _, path := range paths {
		if _, err := clone.Stat(path); err != nil {
			continue
		}
		f, err := clone.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
		if err != nil {
			panic(err)
		}
		for _, w := range c.pending[path] {
			w.writeSectors(f, rng, percent)
		}
		_ = f.Sync()
		_ = f.Close()
	}
	return clone
}

func (w pendingWrite) writeSectors(f vfs.File, rng *rand.Rand, percent int) {
	for at := w.off; at < w.off+int64(len(w.data)); {
		end := min((at/sectorBytes+1)*sectorBytes, w.off+int64(len(w.data)))
		if rng.IntN(100) < percent {
			_, _ = f.WriteAt(w.data[at-w.off:end-w.off], at)
		}
		at = end
	}
}

func (c *crashFS) Create(name string, cat vfs.DiskWriteCategory) (vfs.File, error) {
	if err := c.op("create", name); err != nil {
		return nil, err
	}
	delete(c.pending, name)
	return c.wrap(c.MemFS.Create(name, cat))(name)
}

func (c *crashFS) OpenReadWrite(name string, cat vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return c.wrap(c.MemFS.OpenReadWrite(name, cat, opts...))(name)
}

func (c *crashFS) OpenDir(name string) (vfs.File, error) {
	return c.wrap(c.MemFS.OpenDir(name))(name)
}

func (c *crashFS) wrap(f vfs.File, err error) func(name string) (vfs.File, error) {
	return func(name string) (vfs.File, error) {
		if err != nil {
			return nil, err
		}
		return &crashFile{File: f, fs: c, path: name}, nil
	}
}

// Lock always succeeds: in these tests a process that died holds none.
func (c *crashFS) Lock(name string) (io.Closer, error) { return io.NopCloser(nil), nil }

func (c *crashFS) Rename(from, to string) error {
	if err := c.op("rename", to); err != nil {
		return err
	}
	c.pending[to] = c.pending[from]
	delete(c.pending, from)
	return c.MemFS.Rename(from, to)
}

func (c *crashFS) Remove(name string) error {
	if err := c.op("remove", name); err != nil {
		return err
	}
	delete(c.pending, name)
	return c.MemFS.Remove(name)
}

type crashFile struct {
	vfs.File
	fs   *crashFS
	path string
	at   int64 // of Write
}

func (f *crashFile) Write(b []byte) (int, error) {
	n, err := f.write(b, f.at, func(b []byte) (int, error) { return f.File.Write(b) })
	f.at += int64(n)
	return n, err
}

func (f *crashFile) WriteAt(b []byte, off int64) (int, error) {
	return f.write(b, off, func(b []byte) (int, error) { return f.File.WriteAt(b, off) })
}

func (f *crashFile) write(b []byte, off int64, do func([]byte) (int, error)) (int, error) {
	err := f.fs.op("write", f.path)
	if err != nil {
		if f.fs.torn == nil {
			return 0, err
		}
		b = b[:f.fs.torn(len(b))]
	}
	f.fs.pending[f.path] = append(f.fs.pending[f.path], pendingWrite{off, append([]byte(nil), b...)})
	n, werr := do(b)
	return n, errors.Join(err, werr)
}

func (f *crashFile) Sync() error {
	if err := f.fs.op("sync", f.path); err != nil {
		return err
	}
	delete(f.fs.pending, f.path)
	return f.File.Sync()
}

func (f *crashFile) SyncData() error { return f.Sync() }
