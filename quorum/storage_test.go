package quorum

import (
	"bytes"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	pb "go.etcd.io/raft/v3/raftpb"

	"holt/tree"
	"holt/wal"
)

// What a leader reads back for others who are far behind is bounded, while what it needs itself and what is recent is not.
func TestReadBackIsBounded(t *testing.T) {
	const (
		entryBytes = 64 << 10
		entriesN   = 160
	)
	s := logOf(t, entriesN, entryBytes)
	read := func(from, maxBytes uint64) int {
		t.Helper()
		entries, err := s.Entries(from, entriesN+1, maxBytes)
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	if n := read(1, messageBytesMax); n != 0 {
		t.Errorf("%d entries before the first tick", n)
	}
	const ticks = 40
	total := 0
	for range ticks {
		s.tick()
		for n := read(1, messageBytesMax); n > 0; n = read(1, messageBytesMax) {
			total += n * entryBytes
		}
	}
	if least, most := ticks*readBackBytes, ticks*readBackBytes+messageBytesMax; total < least || total > most {
		t.Errorf("%d bytes in %d ticks, want %d to %d", total, ticks, least, most)
	}
	if n := read(1, applyingBytesMax); n != entriesN {
		t.Errorf("%d entries for this member itself", n)
	}
	s.stable([]*pb.Entry{{Index: new(uint64(entriesN + 1)), Data: make([]byte, 4*messageBytesMax)}})
	s.tick()
	total = 0
	for n := read(1, messageBytesMax); n > 0; n = read(1, messageBytesMax) {
		total += n * entryBytes
	}
	if total < 7*messageBytesMax {
		t.Errorf("%d bytes were written, and only %d may be read back", 4*messageBytesMax, total)
	}
	for n := read(1, messageBytesMax); n > 0; n = read(1, messageBytesMax) { // nothing is left
	}
	if n := read(entriesN-recentBytes/entryBytes/2, messageBytesMax); n == 0 {
		t.Error("nothing of what is recent")
	}
}

// What was read back stays as it is while more is: raft's messages hold it until they are sent.
func TestReadBackStays(t *testing.T) {
	const entryBytes = 64 << 10
	s := logOf(t, 160, entryBytes)
	for range 3 {
		s.spare = 4 * messageBytesMax
		var held []*pb.Entry
		for len(held) < 40 {
			more, err := s.Entries(uint64(len(held)+1), 41, messageBytesMax)
			if err != nil || len(more) == 0 {
				t.Fatal(len(more), err)
			}
			held = append(held, more...)
		}
		for i, e := range held {
			if d := e.GetData(); len(d) != entryBytes || d[0] != byte(i+1) || d[entryBytes-1] != byte(i+1) {
				t.Fatalf("entry %d is not what was appended", i+1)
			}
		}
		s.scratch.Reset()
	}
}

// logOf is the storage of a log on disk with n entries, each of its number, again and again.
func logOf(t *testing.T, n, entryBytes int) *storage {
	log, err := wal.Open(wal.Config{FS: vfs.NewMem(), Dir: "log", SegmentBytes: 8 << 20, TailBytes: -1, Stepped: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	for i := range n {
		e := wal.Entry{Index: uint64(i + 1), Term: 1, Data: bytes.Repeat([]byte{byte(i + 1)}, entryBytes)}
		log.Append(wal.Append{Entries: []wal.Entry{e}, Done: func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}})
		log.Step()
	}
	s, err := newStorage(log, &tree.Readers{}, mark{}, &pb.ConfState{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
