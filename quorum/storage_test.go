package quorum

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	pb "go.etcd.io/raft/v3/raftpb"

	"holt/wal"
)

// What a leader reads back for others who are far behind is bounded, while what it needs itself and what is recent is not.
func TestReadBackIsBounded(t *testing.T) {
	const (
		entryBytes = 64 << 10
		entriesN   = 160
	)
	log, err := wal.Open(wal.Config{FS: vfs.NewMem(), Dir: "log", SegmentBytes: 8 << 20, Stepped: true})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for i := range uint64(entriesN) {
		log.Append(wal.Append{Entries: []wal.Entry{{Index: i + 1, Term: 1, Data: make([]byte, entryBytes)}}, Done: func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}})
		log.Step()
	}
	s, err := newStorage(log, mark{}, &pb.ConfState{})
	if err != nil {
		t.Fatal(err)
	}
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
	bytes := 0
	for range ticks {
		s.tick()
		for n := read(1, messageBytesMax); n > 0; n = read(1, messageBytesMax) {
			bytes += n * entryBytes
		}
	}
	if least, most := ticks*readBackBytes, ticks*readBackBytes+messageBytesMax; bytes < least || bytes > most {
		t.Errorf("%d bytes in %d ticks, want %d to %d", bytes, ticks, least, most)
	}
	if n := read(1, applyingBytesMax); n != entriesN {
		t.Errorf("%d entries for this member itself", n)
	}
	s.stable([]*pb.Entry{{Index: new(uint64(entriesN + 1)), Data: make([]byte, 4*messageBytesMax)}})
	s.tick()
	bytes = 0
	for n := read(1, messageBytesMax); n > 0; n = read(1, messageBytesMax) {
		bytes += n * entryBytes
	}
	if bytes < 7*messageBytesMax {
		t.Errorf("%d bytes were written, and only %d may be read back", 4*messageBytesMax, bytes)
	}
	for n := read(1, messageBytesMax); n > 0; n = read(1, messageBytesMax) { // nothing is left
	}
	if n := read(entriesN-recentBytes/entryBytes/2, messageBytesMax); n == 0 {
		t.Error("nothing of what is recent")
	}
}
