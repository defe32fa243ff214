package wal

import (
	"errors"
	"fmt"
	"time"

	"holt/wal/internal/disk"
)

// flush writes the first requests of reqs as one frame, syncs, publishes and answers them. It returns how many.
func (l *Log) flush(reqs []request) int {
	n, size := l.plan(reqs)
	reqs = reqs[:n]
	if reqs[0].kind == kindCut && reqs[0].index <= l.index.cut {
		reqs[0].done(nil)
		return n
	}
	err := l.admit(&reqs[0])
	if err == nil && size == 0 { // requests that only want their turn
		for i := range reqs {
			reqs[i].done(nil)
		}
		return n
	}
	if err == nil {
		err = l.room(size, reqs[0].kind != 0)
	}
	at := l.off
	if err == nil {
		err = l.write(reqs)
	}
	switch {
	case err == nil:
		l.commit(reqs, at)
	case disk.IsFull(err):
		err = l.refuse(reqs, err)
	default:
		err = l.die(err)
	}
	for i := range reqs {
		reqs[i].done(err)
	}
	if err == nil && reqs[0].kind != 0 {
		l.recycle()
	}
	return n
}

// plan says how many requests go into the next frame, and how many bytes their records take. A request whose entries
// do not continue the ones before it starts a frame of its own, so that indexes within a frame rise one by one.
func (l *Log) plan(reqs []request) (n, size int) {
	next := l.index.last + 1
	for n < len(reqs) {
		r := &reqs[n]
		if r.kind != 0 {
			if n == 0 {
				return 1, cutBytes
			}
			break
		}
		if len(r.Entries) > 0 {
			if r.Entries[0].Index != next && n > 0 {
				break
			}
			next = r.Entries[len(r.Entries)-1].Index + 1
		}
		bytes := r.bytes()
		if n > 0 && size+bytes > l.cfg.BatchBytesMax {
			break
		}
		n++
		size += bytes
	}
	return n, size
}

func (r *request) bytes() int {
	bytes := 0
	for i := range r.Entries {
		bytes += entryHeadBytes + len(r.Entries[i].Data)
	}
	if r.HardState != nil {
		bytes += hardStateBytes
	}
	return bytes
}

// admit refuses what cannot be written, and panics on what must not be asked (W4, W5).
func (l *Log) admit(r *request) error {
	if l.dead != nil {
		return l.dead
	}
	if r.kind == kindCut && r.index > l.index.last {
		panic(fmt.Sprintf("W4: cut at %d, but the last entry is %d", r.index, l.index.last))
	}
	if r.kind == kindReset && r.index < l.index.cut {
		panic(fmt.Sprintf("W4: reset to %d, but all up to %d is in a checkpoint", r.index, l.index.cut))
	}
	if r.kind != 0 {
		return nil
	}
	if l.full.Load() {
		return ErrFull
	}
	if len(r.Entries) == 0 {
		return nil
	}
	first, last := r.Entries[0].Index, r.Entries[len(r.Entries)-1].Index
	switch {
	case last-first != uint64(len(r.Entries)-1):
		panic(fmt.Sprintf("W4: %d entries from %d to %d", len(r.Entries), first, last))
	case first <= l.index.cut:
		panic(fmt.Sprintf("W4: append at %d, but all up to %d is in a checkpoint", first, l.index.cut))
	case first > l.index.last+1 && first > l.refusedTo+1:
		panic(fmt.Sprintf("W4: append at %d leaves a gap after %d", first, l.index.last))
	case first > l.index.last+1:
		return fmt.Errorf("entry %d follows entries that were refused: %w", first, ErrFull)
	}
	return nil
}

// room makes sure that the open segment takes records of size bytes, or changes to the next one. A control record may use
// the reserve, which the file has even where it grew: a log without space can still be cut.
func (l *Log) room(size int, control bool) error {
	need := frameSize(int64(size))
	if need > frameDataMax/2 {
		panic(fmt.Sprintf("W4: a request of %d bytes is more than a frame holds", size))
	}
	if control && l.off+need+frameSize(sealBytes) <= l.open.size {
		return nil
	}
	need += controlReserve
	for l.off+need > l.open.capacity {
		if l.off == headerBytes {
			return nil // more than a whole segment: this one grows
		}
		if l.next == nil {
			l.pollNext()
		}
		switch {
		case l.dead != nil:
			return l.dead
		case l.next != nil:
			if err := l.rotate(); err != nil {
				return err
			}
		case l.nextErr != nil:
			return l.nextErr
		case l.off+need <= growthFactor*max(l.open.capacity, l.cfg.SegmentBytes):
			return nil // the next segment is on its way: grow rather than wait
		default:
			l.keeper.hurry.Store(true)
			l.takePrepared(<-l.keeper.prepared)
			l.keeper.hurry.Store(false)
		}
	}
	return nil
}

// rotate seals the open segment and goes on in the next one. The seal is durable before anything is written there, so a
// sealed segment proves that the next file was there (W3).
func (l *Log) rotate() error {
	l.buf = append(l.buf[:0], make([]byte, frameHeadBytes)...)
	l.buf = appendControlRecord(l.buf, kindSeal, l.next.id)
	if err := l.writeFrame(true, 0, 0); err != nil {
		return err
	}
	sealed := sealedSegment{l.open.id, l.off}
	if err := l.open.file.Close(); err != nil {
		return fmt.Errorf("closing log segment %d in %s: %w", sealed.id, l.cfg.Dir, err)
	}
	l.open, l.next, l.off = l.next, nil, headerBytes
	l.view.Lock()
	l.sealed = append(l.sealed, sealed)
	l.openBytes = l.off
	l.view.Unlock()
	l.askNext()
	return nil
}

// write encodes reqs into one frame and makes it durable.
func (l *Log) write(reqs []request) error {
	l.buf = append(l.buf[:0], make([]byte, frameHeadBytes)...)
	if l.off == headerBytes {
		x := &l.index
		l.buf = appendControlRecord(l.buf, kindState, x.oldest(l.open.id), x.cut, x.cutTerm, x.last, x.lastTerm)
		l.buf = appendHardStateRecord(l.buf, l.hard)
	}
	records, reserve := 0, controlReserve
	for i := range reqs {
		r := &reqs[i]
		if r.kind != 0 {
			l.appendCut(r)
			reserve = 0
		}
		for k := range r.Entries {
			l.buf = appendEntryRecord(l.buf, &r.Entries[k])
		}
		if r.HardState != nil {
			l.buf = appendHardStateRecord(l.buf, *r.HardState)
			records++
		}
		records += len(r.Entries)
	}
	// A cut is synced in any case: files are recycled on its word (W6).
	err := l.writeFrame(!l.cfg.NoSync || reqs[0].kind != 0, records, reserve)
	if cap(l.buf) > bufferBytesRetained {
		l.buf = nil
	}
	return err
}

// appendCut encodes a cut or a reset, and resolves what commit needs: the term at a cut, the oldest segment after it.
func (l *Log) appendCut(r *request) {
	after := l.index
	if r.kind == kindReset {
		after.reset(r.index, r.term)
	} else {
		r.term, _ = l.index.term(r.index)
		after.extents = append([]extent(nil), after.extents...)
		after.terms = append([]termSpan(nil), after.terms...)
		after.cutTo(r.index, r.term)
	}
	l.buf = appendControlRecord(l.buf, r.kind, after.oldest(l.open.id), r.index, r.term)
}

// writeFrame completes the frame in l.buf and writes it at l.off, so that the file has reserve bytes behind it. An error
// for want of space left no frame there; after any other the log is dead.
func (l *Log) writeFrame(sync bool, records, reserve int) error {
	l.seq++
	flags := uint32(0)
	if l.cfg.NoSync { // even if this frame is synced, those before it were not when it was written
		flags = flagUnsynced
	}
	l.buf = sealFrame(l.buf, l.open.seed, l.off, l.seq, flags)
	end := l.off + int64(len(l.buf))
	if short := end + int64(reserve) - l.open.size; short > 0 {
		l.buf = append(l.buf, make([]byte, min(short, int64(reserve)))...)
	}
	start := time.Now()
	if n, err := l.open.file.WriteAt(l.buf, l.off); err != nil {
		err = fmt.Errorf("writing log segment %d in %s at offset %d: %w", l.open.id, l.cfg.Dir, l.off, err)
		if !disk.IsFull(err) {
			return err
		}
		return l.scrub(n, err)
	}
	written := time.Now()
	if sync {
		if err := l.sync(); err != nil {
			return syncError{fmt.Errorf("syncing log segment %d in %s: %w", l.open.id, l.cfg.Dir, err)}
		}
	}
	if l.cfg.Flushed != nil && records > 0 {
		l.cfg.Flushed(Flush{
			Records: records, Bytes: len(l.buf),
			WriteNs: written.Sub(start).Nanoseconds(), SyncNs: time.Since(written).Nanoseconds(),
		})
	}
	l.open.size = max(l.open.size, l.off+int64(len(l.buf)))
	l.off = end
	return nil
}

// heldBytesMin is the frame for which many wait, so that their number counts for more than the time of each.
const heldBytesMin = 1 << 10

// sync makes the open segment durable.
func (l *Log) sync() error {
	if len(l.buf) >= heldBytesMin && l.cfg.Hold != nil && l.cfg.Hold() {
		return l.held.SyncData(l.open.file)
	}
	return l.open.file.SyncData()
}

// syncError is a failed sync. It is fatal whatever its cause, for want of space too: what the kernel did with the pages
// is unknown, and a second sync may report success for pages it dropped.
type syncError struct{ error }

func (e syncError) Unwrap() error { return nil }

// scrub takes back a frame that was written in part, n bytes of it, before space ran out with cause: without a header
// it cannot come back at recovery (W5). If even that finds no space, an incomplete frame still fails its checksum.
func (l *Log) scrub(n int, cause error) error {
	var zeros [frameHeadBytes]byte
	_, err := l.open.file.WriteAt(zeros[:], l.off)
	if err != nil && (!disk.IsFull(err) || n >= len(l.buf)) {
		return syncError{fmt.Errorf("taking back a partial write in log segment %d in %s: %w", l.open.id, l.cfg.Dir, err)}
	}
	if err := l.open.file.SyncData(); err != nil {
		return syncError{fmt.Errorf("syncing log segment %d in %s: %w", l.open.id, l.cfg.Dir, err)}
	}
	return cause
}

// commit publishes what became durable in the frame at offset at.
func (l *Log) commit(reqs []request, at int64) {
	l.view.Lock()
	defer l.view.Unlock()
	l.openBytes = l.off
	var first, last uint64
	for i := range reqs {
		r := &reqs[i]
		switch r.kind {
		case kindCut:
			l.index.cutTo(r.index, r.term)
			l.tail.cutTo(r.index)
		case kindReset:
			l.index.reset(r.index, r.term)
			l.tail.truncate(0)
			l.refusedTo = 0
		}
		if r.HardState != nil {
			l.hard = *r.HardState
		}
		if len(r.Entries) == 0 {
			continue
		}
		if first == 0 {
			first = r.Entries[0].Index
			l.index.truncate(first)
			l.tail.truncate(first)
		}
		for k := range r.Entries {
			l.index.addTerm(r.Entries[k].Index, r.Entries[k].Term)
			l.tail.push(r.Entries[k])
		}
		last = l.index.last
	}
	if first != 0 {
		l.index.add(l.open.id, at, first, last)
	}
}

// refuse answers requests for which there is no space.
func (l *Log) refuse(reqs []request, err error) error {
	for i := range reqs {
		if n := len(reqs[i].Entries); n > 0 {
			l.refusedTo = max(l.refusedTo, reqs[i].Entries[n-1].Index)
		}
	}
	if errors.Is(err, ErrFull) {
		return err
	}
	l.starved = true
	if !l.full.Swap(true) {
		l.cfg.Logger.Error("log has no space left: writes are refused until there is some; "+
			"free space on the disk or enlarge it, no restart is needed", "dir", l.cfg.Dir, "err", err)
	}
	return fmt.Errorf("%w: %v", ErrFull, err)
}

// die makes err the answer to everything from here on, and tells cfg.Fatal once.
func (l *Log) die(err error) error {
	if l.dead != nil {
		return l.dead
	}
	l.dead = fmt.Errorf("wal: %w", err)
	l.cfg.Fatal(l.dead)
	return l.dead
}

// probe looks whether there is space again. It is called at a bounded rate, and when a cut has freed some.
func (l *Log) probe() {
	if l.next == nil {
		l.nextErr = nil
		l.askNext()
		l.pollNext()
	}
	if l.next == nil {
		return // takePrepared goes on from here
	}
	l.recovered()
}

// recovered ends the refusals. What it does not know, whether the next write finds space, that write will tell.
func (l *Log) recovered() {
	l.starved = false
	if l.full.Swap(false) {
		l.cfg.Logger.Info("log has space again: writes are accepted", "dir", l.cfg.Dir)
	}
}

// askNext has the keeper make the segment after the open one.
func (l *Log) askNext() {
	if l.next != nil || l.asked {
		return
	}
	l.asked = true
	l.keeper.ask(0, l.open.id+1)
}

// pollNext takes the next segment if it is ready; in stepped mode it makes it.
func (l *Log) pollNext() {
	if l.cfg.Stepped {
		l.stepKeeper()
		return
	}
	select {
	case p := <-l.keeper.prepared:
		l.takePrepared(p)
	default:
	}
}

func (l *Log) stepKeeper() {
	if err := l.keeper.recycle(); err != nil {
		_ = l.die(err)
		return
	}
	if p, ok := l.keeper.prepare(); ok {
		l.takePrepared(p)
	}
}

func (l *Log) takePrepared(p prepared) {
	l.asked = false
	switch {
	case p.err == nil:
		l.next, l.nextErr = p.segment, nil
		l.recovered()
	case disk.IsFull(p.err):
		if !l.starved {
			l.cfg.Logger.Warn("no space for the next log segment; writes go on until the open one is used up",
				"dir", l.cfg.Dir, "err", p.err)
		}
		l.nextErr, l.starved = p.err, true
	default:
		_ = l.die(p.err)
	}
}

// recycle hands the segments below the oldest live one to the keeper; the cut that freed them is durable.
func (l *Log) recycle() {
	oldest := l.index.oldest(l.open.id)
	l.view.Lock()
	drop := 0
	for drop < len(l.sealed) && l.sealed[drop].id < oldest {
		drop++
	}
	l.sealed = append(l.sealed[:0], l.sealed[drop:]...)
	l.view.Unlock()
	l.keeper.ask(oldest, 0)
	if l.starved {
		l.probe()
	}
}
