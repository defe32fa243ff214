package checkpoint

import (
	"fmt"
	"runtime"

	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// tables writes what a Diff visits, in order of keys, as sorted tables that do not overlap. It is the tree.DiffVisitor of
// a Write.
type tables struct {
	s     *Store
	w     *sstable.Writer // nil: the next key starts a table
	paths []string
	puts  int
}

// yieldEvery is how many records are written before others may run: some tens of microseconds.
const yieldEvery = 64

func newTables(s *Store) *tables { return &tables{s: s} }

// open makes sure that there is a table to write to, a new one when the last is large enough.
func (t *tables) open() error {
	if t.w != nil && t.w.Raw().EstimatedSize() < uint64(t.s.cfg.TableBytes) {
		return nil
	}
	if err := t.finish(); err != nil {
		return err
	}
	path := t.s.fs.PathJoin(t.s.building(), fmt.Sprintf("%06d.sst", len(t.paths)))
	f, err := t.s.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	t.paths = append(t.paths, path)
	f = vfs.NewSyncingFile(f, vfs.SyncingFileOptions{BytesPerSync: bytesPerSync})
	t.w = sstable.NewWriter(objstorageprovider.NewFileWritable(f), t.s.opts.MakeWriterOptions(0, t.s.db.TableFormat()))
	return nil
}

// finish completes the open table; it is durable then.
func (t *tables) finish() error {
	if t.w == nil {
		return nil
	}
	w := t.w
	t.w = nil
	return w.Close()
}

// discard removes what was not ingested.
func (t *tables) discard() {
	_ = t.finish()
	for _, path := range t.paths {
		// Ingested tables are gone from here; what cannot be removed the next Open removes.
		_ = t.s.fs.Remove(path)
	}
}

// Put and Delete are tree.DiffVisitor's.
func (t *tables) Put(key, value []byte) error {
	if err := t.open(); err != nil {
		return err
	}
	if t.puts++; t.puts%yieldEvery == 0 {
		runtime.Gosched() // whoever waits for a core to answer a client goes first
	}
	return t.w.Set(key, value)
}

func (t *tables) Delete(key []byte) error {
	if err := t.open(); err != nil {
		return err
	}
	return t.w.Delete(key)
}
