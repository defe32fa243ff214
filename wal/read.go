package wal

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"holt/wal/internal/disk"
)

// tail holds the newest entries in memory: a ring that drops its oldest when it holds too many bytes.
type tail struct {
	ring     []Entry // length a power of two
	head, n  int
	bytes    int64
	bytesMax int64
}

func (t *tail) at(i int) *Entry { return &t.ring[(t.head+i)&(len(t.ring)-1)] }

func (t *tail) push(e Entry) {
	t.bytes += int64(len(e.Data)) + entryHeadBytes
	if t.n == len(t.ring) && t.n < tailEntriesMax {
		t.grow()
	}
	if t.n == len(t.ring) {
		t.pop()
	}
	t.n++
	*t.at(t.n - 1) = e
	for t.bytes > t.bytesMax && t.n > 0 {
		t.pop()
	}
}

func (t *tail) grow() {
	ring := make([]Entry, max(64, 2*len(t.ring)))
	for i := range t.n {
		ring[i] = *t.at(i)
	}
	t.ring, t.head = ring, 0
}

func (t *tail) pop() {
	e := t.at(0)
	t.bytes -= int64(len(e.Data)) + entryHeadBytes
	*e = Entry{}
	t.head = (t.head + 1) & (len(t.ring) - 1)
	t.n--
}

// first is the first index held; ok is false if none is.
func (t *tail) first() (i uint64, ok bool) {
	if t.n == 0 {
		return 0, false
	}
	return t.at(0).Index, true
}

func (t *tail) truncate(first uint64) {
	for t.n > 0 && t.at(t.n-1).Index >= first {
		e := t.at(t.n - 1)
		t.bytes -= int64(len(e.Data)) + entryHeadBytes
		*e = Entry{}
		t.n--
	}
}

func (t *tail) cutTo(i uint64) {
	for t.n > 0 && t.at(0).Index <= i {
		t.pop()
	}
}

// entries copies those at lo <= position < hi, up to and including the first that exceeds maxBytes.
func (t *tail) entries(lo, hi int, maxBytes uint64) []Entry {
	end, bytes := lo, uint64(0)
	for end < hi && bytes <= maxBytes {
		bytes += uint64(len(t.at(end).Data))
		end++
	}
	out := make([]Entry, end-lo)
	for i := range out {
		out[i] = *t.at(lo + i)
	}
	return out
}

// HardState is the newest durable one.
func (l *Log) HardState() HardState {
	l.view.RLock()
	defer l.view.RUnlock()
	return l.hard
}

// FirstIndex is the index of the first entry that can be read: one past the last cut. It is LastIndex()+1 in a log
// without entries.
func (l *Log) FirstIndex() uint64 {
	l.view.RLock()
	defer l.view.RUnlock()
	return l.index.cut + 1
}

// LastIndex is the index of the last durable entry, or where the log was cut or reset if there is none.
func (l *Log) LastIndex() uint64 {
	l.view.RLock()
	defer l.view.RUnlock()
	return l.index.last
}

// Term of entry i, for FirstIndex()-1 <= i <= LastIndex(); otherwise ErrCompacted or ErrUnavailable.
func (l *Log) Term(i uint64) (uint64, error) {
	l.view.RLock()
	defer l.view.RUnlock()
	return l.index.term(i)
}

// Before returns the last entry that has at least bytes of log after it, counting what was taken back: what can be cut if so
// much is to be kept. It is where the log was cut already if there is none.
func (l *Log) Before(bytes int64) uint64 {
	l.view.RLock()
	defer l.view.RUnlock()
	return l.index.before(bytes)
}

// LiveBytes is what the entries since the last cut take in the segments, framing included: what a cut would free, and
// about what a restart has to read.
func (l *Log) LiveBytes() int64 {
	l.view.RLock()
	defer l.view.RUnlock()
	bytes := l.openBytes
	for _, s := range l.sealed {
		bytes += s.bytes
	}
	return bytes
}

// DiskBytes is the size of all files of the log, spare and prepared ones included. It lists the directory.
func (l *Log) DiskBytes() (int64, error) {
	names, err := l.cfg.FS.List(l.cfg.Dir)
	if err != nil {
		return 0, fmt.Errorf("listing log directory %s: %w", l.cfg.Dir, err)
	}
	var bytes int64
	for _, name := range names {
		// A file that the keeper renamed or removed meanwhile is counted next time.
		if size, err := fileSize(l.cfg.FS, l.cfg.FS.PathJoin(l.cfg.Dir, name)); err == nil {
			bytes += size
		}
	}
	return bytes, nil
}

// Scratch is memory for entries that are read from the disk, used again after Reset. The zero value is ready.
type Scratch struct {
	window []byte // of a segment
	data   []byte // of entries
}

// Reset says that nobody uses the entries any more that were read with s.
func (s *Scratch) Reset() {
	s.data = s.data[:0]
	if cap(s.data) > scratchBytesMax {
		s.data = nil
	}
}

// scratchBytesMax is what is kept for the next time.
const scratchBytesMax = 4 << 20

// keep copies data, into memory of its own if s is nil.
func (s *Scratch) keep(data []byte) []byte {
	if s == nil {
		return append([]byte(nil), data...)
	}
	at := len(s.data)
	s.data = append(s.data, data...)
	return s.data[at:len(s.data):len(s.data)]
}

// Entries returns the durable entries lo <= index < hi, fewer if they have more than maxBytes of data, but at least one
// if lo < hi. Their data must not be changed. ErrCompacted if lo was cut, ErrUnavailable if hi is past the end.
func (l *Log) Entries(lo, hi, maxBytes uint64) ([]Entry, error) {
	return l.EntriesIn(nil, lo, hi, maxBytes)
}

// EntriesIn is Entries; the data of those that come from the disk lies in s.
func (l *Log) EntriesIn(s *Scratch, lo, hi, maxBytes uint64) ([]Entry, error) {
	var out []Entry
	var bytes uint64
	for lo < hi {
		entries, where, err := l.lookup(lo, hi, maxBytes-min(bytes, maxBytes))
		if err != nil {
			return nil, err
		}
		if entries == nil {
			if entries, err = l.readDisk(s, where, lo, hi, maxBytes-min(bytes, maxBytes)); err != nil {
				return nil, err
			}
		}
		for i := range entries {
			bytes += uint64(len(entries[i].Data))
			if bytes > maxBytes && len(out)+i > 0 {
				return append(out, entries[:i]...), nil
			}
		}
		if out == nil {
			out = entries
		} else {
			out = append(out, entries...)
		}
		lo += uint64(len(entries))
	}
	return out, nil
}

// place is where a run of entries starts on disk.
type place struct {
	segment uint64
	off     int64
	last    uint64 // last entry of the run
}

// lookup answers from memory, or says where on disk lo is.
func (l *Log) lookup(lo, hi, maxBytes uint64) ([]Entry, place, error) {
	l.view.RLock()
	defer l.view.RUnlock()
	if lo <= l.index.cut {
		return nil, place{}, ErrCompacted
	}
	if hi > l.index.last+1 {
		return nil, place{}, ErrUnavailable
	}
	if first, ok := l.tail.first(); ok && lo >= first {
		return l.tail.entries(int(lo-first), int(hi-first), maxBytes), place{}, nil
	}
	e, off := l.index.find(lo)
	return nil, place{e.segment, off, e.last}, nil
}

// readDisk reads entries from lo on, up to hi or the end of the run, or until maxBytes are exceeded.
func (l *Log) readDisk(s *Scratch, p place, lo, hi, maxBytes uint64) ([]Entry, error) {
	out, err := l.readRun(s, p, lo, min(hi, p.last+1), maxBytes)
	if err == nil {
		return out, nil
	}
	// A cut may have recycled the file under the read, or a conflict taken the entries back.
	if lo < l.FirstIndex() {
		return nil, ErrCompacted
	}
	if p.last > l.LastIndex() {
		return nil, ErrUnavailable
	}
	return nil, err
}

func (l *Log) readRun(s *Scratch, p place, lo, hi, maxBytes uint64) ([]Entry, error) {
	path := l.cfg.FS.PathJoin(l.cfg.Dir, segmentName(p.segment))
	size, err := fileSize(l.cfg.FS, path)
	if err != nil {
		return nil, fmt.Errorf("reading entry %d: %w", lo, err)
	}
	f, err := l.cfg.FS.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading entry %d: %w", lo, err)
	}
	out, err := readEntries(s, f, path, size, p, lo, hi, maxBytes)
	return out, disk.FirstError(err, f.Close())
}

func readEntries(s *Scratch, f vfs.File, path string, size int64, p place, lo, hi, maxBytes uint64) ([]Entry, error) {
	header, err := checkHeader(f, path, p.segment, size)
	if err != nil {
		return nil, err
	}
	var out []Entry
	var bytes uint64
	r := frameReader{file: f, path: path, seed: header.seed, size: size, off: p.off}
	if s != nil {
		r.buf = s.window[:0]
		defer func() { s.window = r.buf }()
	}
	enough := func() bool { return lo >= hi || len(out) > 0 && bytes > maxBytes }
	for !enough() {
		data, err := r.next()
		if err != nil {
			return nil, r.corrupt(err)
		}
		for len(data) > 0 && !enough() {
			var rec record
			if rec, data, err = parseRecord(data); err != nil {
				return nil, r.corrupt(err)
			}
			if rec.kind != kindEntry || rec.entry.Index != lo {
				continue
			}
			rec.entry.Data = s.keep(rec.entry.Data)
			bytes += uint64(len(rec.entry.Data))
			out = append(out, rec.entry)
			lo++
		}
	}
	return out, nil
}

// frameReader walks over the frames of a segment.
type frameReader struct {
	file   vfs.File
	path   string
	seed   seed
	size   int64 // of the file
	off    int64 // of the next frame
	at     int64 // of the last frame returned, or of the one that failed
	seq    uint64
	buf    []byte
	bufOff int64
	frame  frame
}

// next returns the records of the next frame; they stay valid until the call after. The error says why there is none:
// errNoFrame if nothing was written there; the reader does not move then.
func (r *frameReader) next() ([]byte, error) {
	r.at = r.off
	head, err := r.window(r.off, frameHeadBytes)
	if err != nil {
		return nil, err
	}
	f, err := parseFrame(head, r.seed, r.off)
	switch {
	case err != nil:
		return nil, err
	case f.seq <= r.seq:
		return nil, errFrameSeq
	case r.off+f.size() > r.size:
		return nil, errFrameLen
	}
	b, err := r.window(r.off, int(f.size()))
	if err != nil {
		return nil, err
	}
	data := b[frameHeadBytes : frameHeadBytes+int(f.dataLen)]
	if err := f.checkData(data, r.seed, r.off); err != nil {
		return nil, err
	}
	r.frame, r.seq = f, f.seq
	r.off += f.size()
	return data, nil
}

func (r *frameReader) corrupt(err error) error {
	var read *readError
	if errors.As(err, &read) {
		return err
	}
	return &CorruptError{File: r.path, Offset: r.at, Reason: err.Error()}
}

// readError is a disk that does not answer, as opposed to one that answers nonsense.
type readError struct{ error }

func (e *readError) Unwrap() error { return e.error }

// window returns n bytes of the file at off, fewer at its end.
func (r *frameReader) window(off int64, n int) ([]byte, error) {
	n = int(min(int64(n), r.size-off))
	if n <= 0 {
		return nil, nil
	}
	if off >= r.bufOff && off+int64(n) <= r.bufOff+int64(len(r.buf)) {
		return r.buf[off-r.bufOff:][:n], nil
	}
	want := int(min(int64(max(n, readBytes)), r.size-off))
	if cap(r.buf) < want {
		r.buf = make([]byte, want)
	}
	r.buf = r.buf[:want]
	r.bufOff = off
	if _, err := r.file.ReadAt(r.buf, off); err != nil {
		r.buf = r.buf[:0]
		return nil, &readError{fmt.Errorf("reading %s at offset %d: %w", r.path, off, err)}
	}
	return r.buf[:n], nil
}
