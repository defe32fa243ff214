package checkpoint

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"holt/tree"
	"holt/wal/internal/disk"
)

var (
	// ErrLocked: another process has the directory open.
	ErrLocked = disk.ErrLocked
	// ErrNewerFormat: the image was written by a newer version of Holt.
	ErrNewerFormat = disk.ErrNewerFormat
	// ErrFull: the disk has no space for this Write, and nothing of it was kept.
	ErrFull = disk.ErrFull
)

const (
	formatVersion = 1
	// storeFormat is fixed, so that a newer Pebble does not change the files of an old image behind Holt's back.
	storeFormat = pebble.FormatVirtualSSTables

	busyPercentDefault = 10
	tableBytesDefault  = 8 << 20
	cacheBytes         = 4 << 20
	memtableBytes      = 256 << 10
	openFilesMax       = 500
	blockBytes         = 32 << 10
	bytesPerSync       = 512 << 10
	// unfoldedTables is how many Writes lie on top of each other before a compaction folds them: each spans the whole tree, so
	// a compaction rewrites much of it, while a scan merges eight about as fast as one.
	unfoldedTables = 8
	// freeBytesMin is what the disk must have left before an ingestion: Pebble writes its manifest then, and a manifest that
	// cannot be written ends the process.
	freeBytesMin = 4 << 20
	markBytesMin = 16
	buildingDir  = "building"
)

// The keys of a store. Those of the tree begin with 'm', 'n' or 's'.
var (
	keyFormat = []byte("\x00format")
	keyMark   = []byte("\x00mark")
	keyFirst  = []byte{0}
	treeFirst = []byte{'m'}
	treeEnd   = []byte{'t'}
)

// Config of a Store. Zero values mean the defaults given here; only Dir is needed.
type Config struct {
	FS          vfs.FS       // nil: the operating system's file system
	Dir         string       // the image's own directory; made if it is not there
	BusyPercent int          // 10: how much of a core a Write or a compaction may take; 100: no pauses
	TableBytes  int64        // 8 MiB: about the size of a table
	Fatal       func(error)  // nil: panic; told of an error after which the image on disk is not known
	Logger      *slog.Logger // nil: silent; Pebble's own messages go to its debug level
}

func (c *Config) validate() error {
	if c.Dir == "" {
		return errors.New("checkpoint: Config.Dir is empty")
	}
	if c.BusyPercent < 0 || c.BusyPercent > 100 {
		return fmt.Errorf("checkpoint: BusyPercent %d is not between 1 and 100", c.BusyPercent)
	}
	if c.TableBytes < 0 {
		return fmt.Errorf("checkpoint: TableBytes %d is negative", c.TableBytes)
	}
	if c.FS == nil {
		c.FS = vfs.Default
	}
	if c.BusyPercent == 0 {
		c.BusyPercent = busyPercentDefault
	}
	if c.TableBytes == 0 {
		c.TableBytes = tableBytesDefault
	}
	if c.Fatal == nil {
		c.Fatal = func(err error) { panic(err) }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Store is an open image. See the package's Ownership for who may call what.
type Store struct {
	cfg   Config
	fs    *pacedFS
	cache *pebble.Cache
	lock  *pebble.Lock
	db    *pebble.DB
	opts  *pebble.Options
	fold  folding

	fresh bool // nothing was ever written
	held  held
	known bool // held is what the image holds: it was loaded or written here

	loaded atomic.Bool // nobody but Fatal hears of damage from here on; compactions begin
}

// held names a Root without keeping it alive.
type held struct {
	zxid   tree.Zxid
	digest uint64
}

func heldOf(r *tree.Root) held { return held{r.Zxid(), r.Digest()} }

// Open opens the image in cfg.Dir, or makes an empty one. The error wraps ErrLocked or ErrNewerFormat if it is that.
func Open(cfg Config) (*Store, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg, fs: newPacedFS(cfg.FS, cfg.BusyPercent)}
	if err := disk.MakeDir(cfg.FS, cfg.Dir); err != nil {
		return nil, fmt.Errorf("checkpoint: %w", disk.Explain(cfg.Dir, err))
	}
	lock, err := pebble.LockDirectory(cfg.Dir, cfg.FS)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", disk.LockError(cfg.Dir, err))
	}
	s.lock = lock
	if err := s.open(); err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	return s, nil
}

func (s *Store) open() error {
	building := s.building()
	if err := s.cfg.FS.RemoveAll(building); err != nil {
		return disk.Explain(s.cfg.Dir, err)
	}
	if err := disk.MakeDir(s.cfg.FS, building); err != nil {
		return disk.Explain(s.cfg.Dir, err)
	}
	if err := s.room(); err != nil { // Pebble would call Fatalf
		return disk.Explain(s.cfg.Dir, err)
	}
	s.cache = pebble.NewCache(cacheBytes)
	s.opts = s.options()
	db, err := pebble.Open(s.cfg.Dir, s.opts)
	if err != nil {
		return openError(s.cfg.Dir, err)
	}
	s.db = db
	return s.checkFormat()
}

func (s *Store) building() string { return s.cfg.FS.PathJoin(s.cfg.Dir, buildingDir) }

// openError recognises a store that a newer Pebble wrote, for which Pebble has no error value.
func openError(dir string, err error) error {
	if text := err.Error(); strings.Contains(text, "format") && strings.Contains(text, "version") {
		return fmt.Errorf("image in %s was %w (%v)", dir, ErrNewerFormat, err)
	}
	return disk.Explain(dir, err)
}

func (s *Store) options() *pebble.Options {
	opts := &pebble.Options{
		FS:                         s.fs,
		Lock:                       s.lock,
		Logger:                     storeLog{s.cfg.Logger, s.cfg.Fatal},
		Cache:                      s.cache,
		DisableWAL:                 true, // C3
		FormatMajorVersion:         storeFormat,
		MemTableSize:               memtableBytes,
		MaxOpenFiles:               openFilesMax,
		BytesPerSync:               bytesPerSync,
		CompactionConcurrencyRange: func() (int, int) { return 1, 1 },
	}
	opts.EventListener = &pebble.EventListener{DataCorruption: s.foundDamage}
	opts.Experimental.CompactionScheduler = &s.fold
	opts.Experimental.ReadSamplingMultiplier = -1 // scans at a start are no reason to compact
	for i := range opts.Levels {
		opts.TargetFileSizes[i] = s.cfg.TableBytes
		opts.Levels[i].BlockSize = blockBytes
	}
	opts.L0CompactionThreshold = unfoldedTables
	opts.EnsureDefaults()
	return opts
}

// foundDamage is told of a damaged table. Open and Load return that as an error; what a compaction finds later no caller
// would hear of.
func (s *Store) foundDamage(d pebble.DataCorruptionInfo) {
	if s.loaded.Load() {
		s.cfg.Fatal(fmt.Errorf("checkpoint: image in %s is damaged: %v; restore this member's data directory from a backup, "+
			"or have it filled by the other members (holt refill)", s.cfg.Dir, d))
	}
}

// checkFormat refuses an image that a newer version wrote.
func (s *Store) checkFormat() error {
	b, err := s.get(keyFormat)
	switch {
	case err != nil:
		return fmt.Errorf("reading the format of the image in %s: %w", s.cfg.Dir, err)
	case b == nil:
		s.fresh, s.known = true, true
		return nil
	case len(b) != 4:
		return fmt.Errorf("image in %s: format of %d bytes", s.cfg.Dir, len(b))
	}
	if v := binary.LittleEndian.Uint32(b); v > formatVersion {
		return fmt.Errorf("image in %s has format %d, this binary knows up to %d: %w", s.cfg.Dir, v, formatVersion, ErrNewerFormat)
	}
	return nil
}

// get returns a copy of the value of key, nil if there is none.
func (s *Store) get(key []byte) ([]byte, error) {
	b, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return append([]byte{}, b...), closer.Close()
}

// Load builds the state that the image holds. A fresh store gives tree.New() and the zero Mark.
func (s *Store) Load() (*tree.State, Mark, error) {
	if s.fresh {
		return tree.New(), Mark{}, nil
	}
	state, m, err := s.load()
	if err != nil {
		return nil, Mark{}, fmt.Errorf("checkpoint: loading the image in %s: %w; restore this member's data directory from a backup, "+
			"or have it filled by the other members (holt refill)", s.cfg.Dir, err)
	}
	s.held, s.known = heldOf(state.Root()), true
	s.begin()
	return state, m, nil
}

// begin is called when the store holds what the caller does.
func (s *Store) begin() {
	if !s.loaded.Swap(true) {
		s.fold.begin()
	}
}

func (s *Store) load() (state *tree.State, m Mark, err error) {
	b, err := s.get(keyMark)
	if err != nil {
		return nil, m, err
	}
	if m, err = parseMark(b); err != nil {
		return nil, m, err
	}
	var loader tree.Loader
	if err := s.scan(loader.Add); err != nil {
		return nil, m, err
	}
	state, err = loader.Finish()
	return state, m, err
}

// Write makes the image hold to, with mark m: both are durable when it returns nil, and on an error the image is as it
// was. from is of the root that the image holds: that of the state that Load returned, or the one written last; Write writes only
// what tree.Diff finds changed since. A nil from replaces whatever the image holds by all of to, without pauses. ErrFull if there is no
// space.
func (s *Store) Write(from *tree.Base, to *tree.Root, m Mark) error {
	if from == nil { // a state from elsewhere, which a server waits for
		s.fs.hurry()
		defer s.fs.calm()
	}
	replace := from == nil && !s.fresh
	if s.fresh {
		from = nil
	}
	if from != nil && (!s.known || s.held != held{from.Zxid(), from.Digest()}) {
		return fmt.Errorf("checkpoint: C2: write from zxid %#x, but the image holds zxid %#x (known: %v)", int64(from.Zxid()), int64(s.held.zxid), s.known)
	}
	if err := s.write(from, to, m, replace); err != nil {
		if disk.IsFull(err) {
			return fmt.Errorf("checkpoint: image of zxid %#x in %s: %w (%v)", int64(to.Zxid()), s.cfg.Dir, ErrFull, err)
		}
		return fmt.Errorf("checkpoint: image of zxid %#x in %s: %w", int64(to.Zxid()), s.cfg.Dir, err)
	}
	s.fresh, s.known, s.held = false, true, heldOf(to)
	s.begin()
	return nil
}

func (s *Store) write(from *tree.Base, to *tree.Root, m Mark, replace bool) error {
	t := newTables(s)
	defer t.discard()
	if err := t.Put(keyFormat, binary.LittleEndian.AppendUint32(nil, formatVersion)); err != nil {
		return err
	}
	if err := t.Put(keyMark, appendMark(nil, m)); err != nil {
		return err
	}
	if err := tree.Diff(from, to, t); err != nil {
		return err
	}
	if err := t.finish(); err != nil {
		return err
	}
	if err := s.room(); err != nil {
		return err
	}
	if !replace {
		return s.db.Ingest(context.Background(), t.paths)
	}
	_, err := s.db.IngestAndExcise(context.Background(), t.paths, nil, nil, pebble.KeyRange{Start: keyFirst, End: treeEnd})
	return err
}

// room refuses what Pebble cannot take back on a full disk.
func (s *Store) room() error {
	if usage, err := s.cfg.FS.GetDiskUsage(s.cfg.Dir); err == nil && usage.AvailBytes < freeBytesMin {
		return fmt.Errorf("%d bytes left on the disk, %d are needed to go on: %w", usage.AvailBytes, freeBytesMin, ErrFull)
	}
	return nil
}

// Hurry ends the pauses for good, also of a Write that is under way: the process is to stop. Anyone may call it.
func (s *Store) Hurry() { s.fs.hurry() }

// Backup makes dir, which must not exist, a copy of the image as of now: hard links where the file system has them. It
// can be opened in place of Config.Dir.
func (s *Store) Backup(dir string) error {
	if err := s.db.Checkpoint(dir); err != nil {
		return fmt.Errorf("checkpoint: backup of %s to %s: %w", s.cfg.Dir, dir, err)
	}
	return nil
}

// DiskBytes is what the image takes on the disk, tables that are about to be removed included.
func (s *Store) DiskBytes() int64 { return int64(s.db.Metrics().DiskSpaceUsage()) }

// Close ends compactions and gives the directory back.
func (s *Store) Close() error {
	s.fs.hurry()
	var errs [2]error
	if s.db != nil {
		// For want of space nothing is lost: the memtable is empty (C3), and what was written is durable.
		if err := s.db.Close(); err != nil && disk.IsFull(err) {
			s.cfg.Logger.Warn("no space left while closing the image, which is complete", "dir", s.cfg.Dir, "err", err)
		} else {
			errs[0] = err
		}
	}
	if s.cache != nil {
		s.cache.Unref()
	}
	errs[1] = s.lock.Close()
	return disk.FirstError(errs[:]...)
}

// storeLog is Pebble's log.
type storeLog struct {
	logger *slog.Logger
	fatal  func(error)
}

func (l storeLog) Infof(format string, args ...any) {
	if l.logger.Enabled(context.Background(), slog.LevelDebug) {
		l.logger.Debug("image store: " + fmt.Sprintf(format, args...))
	}
}

func (l storeLog) Errorf(format string, args ...any) {
	l.logger.Debug("image store: "+fmt.Sprintf(format, args...), "severity", "error")
}

// Fatalf must not return.
func (l storeLog) Fatalf(format string, args ...any) {
	err := fmt.Errorf("checkpoint: image store: "+format, args...)
	l.fatal(err)
	panic(err)
}
