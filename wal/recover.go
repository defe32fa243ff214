package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sort"

	"github.com/cockroachdb/pebble/v2/vfs"

	"holt/wal/internal/disk"
)

// recover finds the end of the log and everything durable before it.
//
// The newest segment that holds a frame says what the older ones must hold: which is the oldest still needed, and up to
// where entries were cut. From the oldest to the newest every segment must be there and whole: each was sealed, durably,
// before the next was written. Only the newest may end in a torn frame. A frame is written after everything before it
// was synced, so a torn frame with another one behind it was not torn by a crash: it was damaged later (W2).
func (l *Log) recover() error {
	ids, err := l.tidy()
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		return l.begin()
	}
	newest, scan, err := l.findNewest(ids)
	if err != nil {
		return err
	}
	if newest == 0 {
		if ids[0] != 1 {
			return &CorruptError{File: l.path(ids[0]), Offset: headerBytes, Reason: "nothing was written here, and the segments before it are missing"}
		}
		return l.goOn(1, headerBytes, ids)
	}
	end, sealed, err := l.replay(scan, newest)
	if err != nil {
		return err
	}
	if sealed {
		newest, end = newest+1, headerBytes
	}
	return l.goOn(newest, end, ids)
}

func (l *Log) path(id uint64) string { return l.cfg.FS.PathJoin(l.cfg.Dir, segmentName(id)) }

// tidy lists the directory, removes what an interrupted preparation left, and makes names durable that a killed process
// had not synced. It returns the segments, rising.
func (l *Log) tidy() ([]uint64, error) {
	names, err := l.cfg.FS.List(l.cfg.Dir)
	if err != nil {
		return nil, err
	}
	var ids []uint64
	for _, name := range names {
		if id, ok := parseSegmentName(name); ok {
			ids = append(ids, id)
		} else if id, ok := parseSpareName(name); ok {
			if err := l.keepSpare(name, id); err != nil {
				return nil, err
			}
		} else if name == fillName {
			if err := l.cfg.FS.Remove(l.cfg.FS.PathJoin(l.cfg.Dir, name)); err != nil {
				return nil, err
			}
		}
	}
	sort.Slice(ids, func(i, k int) bool { return ids[i] < ids[k] })
	l.keeper.ids = append([]uint64(nil), ids...)
	return ids, disk.SyncDir(l.cfg.FS, l.cfg.Dir)
}

func (l *Log) keepSpare(name string, id uint64) error {
	path := l.cfg.FS.PathJoin(l.cfg.Dir, name)
	size, err := fileSize(l.cfg.FS, path)
	if err != nil {
		return err
	}
	if size != l.cfg.SegmentBytes || len(l.keeper.spares) >= l.keeper.sparesMax {
		return l.cfg.FS.Remove(path)
	}
	l.keeper.spares = append(l.keeper.spares, id)
	return nil
}

// begin starts a new log.
func (l *Log) begin() (err error) {
	l.open, err = l.keeper.make(1, min(l.cfg.SegmentBytes, firstSegmentBytes))
	l.off, l.openBytes = headerBytes, headerBytes
	return err
}

// goOn opens segment id for writing at off, and the one after it if it is prepared. What recovery read is made durable
// first: a killed process may have left it in the page cache only (W2).
func (l *Log) goOn(id uint64, off int64, ids []uint64) error {
	k := sort.Search(len(ids), func(i int) bool { return ids[i] >= id })
	if k == len(ids) || ids[k] != id {
		return &CorruptError{File: l.path(id), Reason: "the file is missing, but the segment before it says that the log goes on there"}
	}
	if off == headerBytes && id > 1 {
		if err := l.checkUnstarted(id); err != nil {
			return err
		}
		if err := l.syncSegment(id - 1); err != nil {
			return err
		}
	}
	var err error
	if l.open, err = openSegment(l.cfg.FS, l.path(id), id); err != nil {
		return err
	}
	if err := l.open.file.SyncData(); err != nil {
		return err
	}
	l.off, l.openBytes = off, off
	for _, id := range ids[k+1:] {
		if err := l.checkUnstarted(id); err != nil {
			return err
		}
	}
	if k+1 < len(ids) && ids[k+1] == id+1 {
		if l.next, err = openSegment(l.cfg.FS, l.path(id+1), id+1); err != nil {
			return err
		}
		k++
	}
	for _, id := range ids[k+1:] {
		return &CorruptError{File: l.path(id), Reason: fmt.Sprintf("segment %d has no business here: the log ends in segment %d", id, l.open.id)}
	}
	return nil
}

func (l *Log) syncSegment(id uint64) error {
	f, err := l.cfg.FS.OpenReadWrite(l.path(id), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	return disk.FirstError(f.SyncData(), f.Close())
}

// checkUnstarted makes sure that a segment without a first frame never had one.
func (l *Log) checkUnstarted(id uint64) error {
	r, err := l.reader(id)
	if err != nil {
		return err
	}
	defer r.file.Close()
	r.seq = l.seq
	if _, err := r.next(); err == nil {
		return nil
	}
	return l.checkTorn(r, errNoFrame)
}

func (l *Log) reader(id uint64) (*frameReader, error) {
	path := l.path(id)
	size, err := fileSize(l.cfg.FS, path)
	if err != nil {
		return nil, err
	}
	f, err := l.cfg.FS.Open(path, vfs.SequentialReadsOption)
	if err != nil {
		return nil, err
	}
	s, err := checkHeader(f, path, id, size)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &frameReader{file: f, path: path, seed: s.seed, size: size, off: headerBytes}, nil
}

// cutState is what the newest segment says of the older ones.
type cutState struct{ oldest, cut, cutTerm uint64 }

// findNewest returns the highest segment that holds a frame (0: none), and its last word on what was cut.
func (l *Log) findNewest(ids []uint64) (newest uint64, state cutState, err error) {
	for i := len(ids) - 1; i >= 0; i-- {
		r, err := l.reader(ids[i])
		if err != nil {
			return 0, state, err
		}
		state, err = r.readCutState()
		_ = r.file.Close()
		if err != nil {
			return 0, state, err
		}
		if r.off > headerBytes {
			return ids[i], state, nil
		}
	}
	return 0, state, nil
}

func (r *frameReader) readCutState() (state cutState, err error) {
	for {
		data, err := r.next()
		var read *readError
		if errors.As(err, &read) {
			return state, err
		}
		if err != nil {
			return state, nil
		}
		for len(data) > 0 {
			var rec record
			if rec, data, err = parseRecord(data); err != nil {
				return state, r.corrupt(err)
			}
			switch rec.kind {
			case kindState, kindCut, kindReset:
				state = cutState{rec.oldest, rec.cut, rec.cutTerm}
			}
		}
	}
}

// replay reads the live segments in order. It returns where the newest ends, and whether it is sealed.
func (l *Log) replay(state cutState, newest uint64) (end int64, sealed bool, err error) {
	if state.oldest > newest || state.oldest == 0 {
		return 0, false, &CorruptError{File: l.path(newest), Offset: headerBytes, Reason: fmt.Sprintf("it says that the oldest segment is %d", state.oldest)}
	}
	for id := state.oldest; id <= newest; id++ {
		end, sealed, err = l.replaySegment(id, state, id == newest)
		if err != nil {
			return 0, false, err
		}
		l.sealed = append(l.sealed, sealedSegment{id, end})
	}
	if err := l.index.whole(); err != nil {
		return 0, false, &CorruptError{File: l.path(newest), Offset: end, Reason: err.Error()}
	}
	if !sealed {
		l.sealed = l.sealed[:len(l.sealed)-1]
	}
	// What the newest segment says is durable. Entries may have been taken back since, so that older segments hold none
	// that live; but no record says so yet, and the next recovery will ask for them (W6).
	l.keeper.below = state.oldest
	// A commit index beyond the last entry tells of entries that were refused for want of space, or torn off.
	l.hard.Commit = min(l.hard.Commit, l.index.last)
	return end, sealed, nil
}

func (l *Log) replaySegment(id uint64, state cutState, newest bool) (end int64, sealed bool, err error) {
	r, err := l.reader(id)
	if err != nil {
		if l.missing(id) {
			err = &CorruptError{File: l.path(id), Reason: "the file is missing, but entries in it are not in a checkpoint yet"}
		}
		return 0, false, err
	}
	defer r.file.Close()
	r.seq = l.seq
	for !sealed {
		data, err := r.next()
		if err == nil {
			sealed, err = l.replayFrame(r, data, id, state)
		}
		var read *readError
		switch {
		case err == nil:
			l.seq = r.seq
			continue
		case errors.As(err, &read), r.off > r.at:
			return 0, false, r.corrupt(err)
		case !newest:
			return 0, false, r.corrupt(fmt.Errorf("%w, and the segment is not sealed", err))
		}
		if err := l.checkTorn(r, err); err != nil {
			return 0, false, err
		}
		if !errors.Is(err, errNoFrame) {
			l.cfg.Logger.Info("cut a torn write at the end of the log; it was never acknowledged",
				"file", r.path, "offset", r.at, "reason", err)
		}
		return r.at, false, nil
	}
	return r.off, true, nil
}

func (l *Log) missing(id uint64) bool {
	_, err := l.cfg.FS.Stat(l.path(id))
	return err != nil
}

// replayFrame applies the records of one good frame at r.at. An error means that the frame is wrong although its
// checksum is right.
func (l *Log) replayFrame(r *frameReader, data []byte, id uint64, state cutState) (sealed bool, err error) {
	x := &l.index
	var first uint64
	for n := 0; len(data) > 0; n++ {
		var rec record
		if rec, data, err = parseRecord(data); err != nil {
			return false, err
		}
		if start := r.at == headerBytes && n == 0; start != (rec.kind == kindState) {
			return false, fmt.Errorf("record of kind %d in the wrong place", rec.kind)
		}
		switch rec.kind {
		case kindState:
			if id == state.oldest {
				*x = index{cut: state.cut, cutTerm: state.cutTerm, last: rec.last, lastTerm: rec.lastTerm}
			} else if x.last != rec.last || x.lastTerm != rec.lastTerm {
				return false, fmt.Errorf("it continues entry %d of term %d, but the segment before it ends with entry %d of term %d",
					rec.last, rec.lastTerm, x.last, x.lastTerm)
			}
		case kindHardState:
			l.hard = rec.hard
		case kindReset:
			x.reset(rec.cut, rec.cutTerm)
			x.cut, x.cutTerm = state.cut, state.cutTerm
		case kindEntry:
			if err := x.replayEntry(rec.entry, &first); err != nil {
				return false, err
			}
		case kindSeal:
			sealed = true
		}
	}
	if first != 0 {
		x.add(id, r.at, first, x.last)
	}
	return sealed, nil
}

// replayEntry appends one entry as commit did; first becomes the first live index of the frame.
func (x *index) replayEntry(e Entry, first *uint64) error {
	if e.Index == 0 || e.Index > x.last+1 {
		return fmt.Errorf("entry %d follows entry %d", e.Index, x.last)
	}
	if e.Index <= x.last {
		if *first != 0 {
			return fmt.Errorf("entry %d follows entry %d in one write", e.Index, x.last)
		}
		x.truncate(e.Index)
	}
	if e.Index <= x.cut {
		x.last, x.lastTerm = e.Index, e.Term
		return nil
	}
	x.addTerm(e.Index, e.Term)
	if *first == 0 {
		*first = e.Index
	}
	return nil
}

// checkTorn decides whether the bad frame at r.at is what a crash left of the last write, or damage: any later frame
// was written only after this one was durable. It looks at every place where a frame could start. A log that does not sync
// may have lost a frame and kept later ones: they are lost with it, and what is written from now on takes higher sequence
// numbers, so that none of them can follow it.
func (l *Log) checkTorn(r *frameReader, reason error) error {
	at := r.at
	for off := at + frameAlign; off+frameHeadBytes <= r.size; {
		b, err := r.window(off, int(min(r.size-off, readBytes)))
		if err != nil {
			return err
		}
		i, last := r.findFrame(b, off)
		if i >= 0 {
			return &CorruptError{File: r.path, Offset: at, Reason: fmt.Sprintf(
				"%v, but a later write at offset %d proves that it was durable", reason, off+int64(i))}
		}
		l.seq = max(l.seq, last)
		off += int64(len(b)-frameHeadBytes)/frameAlign*frameAlign + frameAlign
	}
	return nil
}

// findFrame returns where in b, which lies at off in the file, a synced frame begins that was written after r.seq, -1 if none does,
// and the highest sequence number of frames before it that were not synced.
func (r *frameReader) findFrame(b []byte, off int64) (at int, last uint64) {
	next := r.seq + 1
	for s := b[16:]; len(s) >= 8; s = s[frameAlign:] {
		// The cheap test first: a frame that could follow has a sequence number a little higher.
		if binary.LittleEndian.Uint64(s)-next >= seqWindow {
			continue
		}
		i := len(b) - 16 - len(s)
		f, err := parseFrame(b[i:i+frameHeadBytes], r.seed, off+int64(i))
		if err != nil {
			continue
		}
		if f.flags&flagUnsynced == 0 {
			return i, last
		}
		last = max(last, f.seq)
	}
	return -1, last
}
