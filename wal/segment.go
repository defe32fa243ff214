package wal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"holt/wal/internal/disk"
)

const (
	segmentSuffix = ".wal"
	sparePrefix   = "spare-"
	fillName      = "filling"
	fillChunk     = 256 << 10
)

func segmentName(id uint64) string { return fmt.Sprintf("%016x%s", id, segmentSuffix) }
func spareName(id uint64) string   { return fmt.Sprintf("%s%016x", sparePrefix, id) }

func parseSegmentName(name string) (id uint64, ok bool) {
	if len(name) != 16+len(segmentSuffix) {
		return 0, false
	}
	_, err := fmt.Sscanf(name, "%016x"+segmentSuffix, &id)
	return id, err == nil && segmentName(id) == name
}

func parseSpareName(name string) (id uint64, ok bool) {
	if len(name) != len(sparePrefix)+16 {
		return 0, false
	}
	_, err := fmt.Sscanf(name, sparePrefix+"%016x", &id)
	return id, err == nil && spareName(id) == name
}

// segment is an open segment file. The log goroutine owns it; the keeper hands it over finished.
type segment struct {
	id   uint64
	file vfs.File
	seed seed
	size int64 // of the file

	capacity int64 // size when it was opened: past it the next segment is due
}

// openSegment opens a segment file and checks its header.
func openSegment(fs vfs.FS, path string, id uint64) (*segment, error) {
	size, err := fileSize(fs, path)
	if err != nil {
		return nil, err
	}
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	s, err := checkHeader(f, path, id, size)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return s, nil
}

// checkHeader reads the header of a file of the given size.
func checkHeader(f vfs.File, path string, id uint64, size int64) (*segment, error) {
	var b [headerUsed]byte
	if n, err := f.ReadAt(b[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	} else if n < len(b) {
		return nil, &CorruptError{File: path, Offset: int64(n), Reason: "the file is shorter than a segment header"}
	}
	h, err := parseSegmentHeader(b[:])
	if err != nil && h.version > formatVersion {
		return nil, fmt.Errorf("log segment %s: %w", path, err)
	}
	if err != nil {
		return nil, &CorruptError{File: path, Reason: err.Error()}
	}
	if h.id != id {
		return nil, &CorruptError{File: path, Reason: fmt.Sprintf("the header says segment %d, the name says %d", h.id, id)}
	}
	if size < h.size {
		return nil, &CorruptError{File: path, Offset: size, Reason: fmt.Sprintf("the file has %d bytes, but was made with %d", size, h.size)}
	}
	return &segment{id: id, file: f, seed: makeSeed(id, h.salt), size: size, capacity: size}, nil
}

func fileSize(fs vfs.FS, path string) (int64, error) {
	st, err := fs.Stat(path)
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// createSegment makes the file of segment id, size bytes of written zeros behind a header: blocks that were merely
// reserved would cost a journal commit each time one is first written. Nothing has the segment's name before all of it
// is durable. pause is called between chunks.
func createSegment(fs vfs.FS, dir string, id uint64, salt uint64, size int64, pause func() error) error {
	path := fs.PathJoin(dir, fillName)
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if err := fillSegment(f, id, salt, size, pause); err != nil {
		_ = f.Close()
		_ = fs.Remove(path) // gives the blocks of a fill that ran out of space back at once
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return publish(fs, dir, path, id)
}

func fillSegment(f vfs.File, id, salt uint64, size int64, pause func() error) error {
	// File systems that cannot reserve say so; the zeros below reserve as well.
	if err := f.Preallocate(0, size); err != nil && disk.IsFull(err) {
		return err
	}
	head := appendSegmentHeader(nil, segmentHeader{formatVersion, id, salt, size})
	if _, err := f.Write(head); err != nil {
		return err
	}
	zeros := make([]byte, fillChunk)
	for at := int64(headerBytes); at < size; at += fillChunk {
		if _, err := f.Write(zeros[:min(fillChunk, size-at)]); err != nil {
			return err
		}
		if pause == nil {
			continue
		}
		// Small syncs keep the fill from piling up dirty pages that the log's own sync would have to wait for.
		if err := f.SyncData(); err != nil {
			return err
		}
		if err := pause(); err != nil {
			return err
		}
	}
	return f.Sync()
}

// reuseSpare makes segment id out of a file that an earlier segment left: only its header is new.
func reuseSpare(fs vfs.FS, dir, spare string, id, salt uint64, size int64) error {
	path := fs.PathJoin(dir, spare)
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	head := appendSegmentHeader(nil, segmentHeader{formatVersion, id, salt, size})
	if _, err = f.WriteAt(head, 0); err == nil {
		err = f.Sync()
	}
	if err := disk.FirstError(err, f.Close()); err != nil {
		return err
	}
	return publish(fs, dir, path, id)
}

// publish gives a finished file the name of segment id.
func publish(fs vfs.FS, dir, path string, id uint64) error {
	if err := fs.Rename(path, fs.PathJoin(dir, segmentName(id))); err != nil {
		return err
	}
	return disk.SyncDir(fs, dir)
}

func randomSalt() uint64 {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(fmt.Sprintf("wal: no randomness: %v", err))
	}
	return binary.LittleEndian.Uint64(b[:])
}
