package quorum

import (
	"fmt"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"holt/wal"
)

// storage shows raft the log as it wants to see it: everything up to the last durable entry, beginning after the mark
// of the newest checkpoint. Entries that are durable but not yet applied are kept in memory, so that applying them
// does not read them back from disk. It belongs to the quorum goroutine.
type storage struct {
	log  *wal.Log
	mark mark
	conf *pb.ConfState
	tail []*pb.Entry // contiguous, ends with the last durable entry; may be empty
}

// mark is a position in the log: the last entry that some image of the state contains.
type mark struct{ index, term uint64 }

func newStorage(log *wal.Log, m mark, conf *pb.ConfState) *storage {
	return &storage{log: log, mark: m, conf: conf}
}

// stable records entries that have just become durable. An entry replaces what was known at its index and after.
func (s *storage) stable(entries []*pb.Entry) {
	if len(entries) == 0 {
		return
	}
	first := entries[0].GetIndex()
	if n := len(s.tail); n > 0 {
		at := s.tail[0].GetIndex()
		switch {
		case first <= at:
			s.tail = nil
		case first <= at+uint64(n):
			s.tail = s.tail[: first-at : first-at]
		default:
			panic(fmt.Sprintf("Q3: entry %d is appended after %d", first, at+uint64(n)-1))
		}
	}
	s.tail = append(s.tail, entries...)
}

// applied lets go of entries up to index, which nobody here will ask for again. The array behind the tail is shared
// with messages that raft still holds, so it is left as it is.
func (s *storage) applied(index uint64) {
	n := 0
	for n < len(s.tail) && s.tail[n].GetIndex() <= index {
		n++
	}
	s.tail = s.tail[n:]
	if len(s.tail) == 0 {
		s.tail = nil
	}
}

// InitialState implements raft.Storage.
func (s *storage) InitialState() (*pb.HardState, *pb.ConfState, error) {
	h := s.log.HardState()
	if h == (wal.HardState{}) {
		return nil, s.conf, nil
	}
	return &pb.HardState{Term: &h.Term, Vote: &h.Vote, Commit: &h.Commit}, s.conf, nil
}

// FirstIndex implements raft.Storage.
func (s *storage) FirstIndex() (uint64, error) { return s.mark.index + 1, nil }

// LastIndex implements raft.Storage.
func (s *storage) LastIndex() (uint64, error) {
	if n := len(s.tail); n > 0 {
		return s.tail[n-1].GetIndex(), nil
	}
	return max(s.log.LastIndex(), s.mark.index), nil
}

// Term implements raft.Storage.
func (s *storage) Term(i uint64) (uint64, error) {
	if i == s.mark.index {
		return s.mark.term, nil
	}
	if i < s.mark.index {
		return 0, raft.ErrCompacted
	}
	if e := s.inTail(i); e != nil {
		return e.GetTerm(), nil
	}
	if i > s.log.LastIndex() {
		return 0, raft.ErrUnavailable
	}
	return s.log.Term(i)
}

func (s *storage) inTail(i uint64) *pb.Entry {
	if len(s.tail) == 0 {
		return nil
	}
	first := s.tail[0].GetIndex()
	if i < first || i >= first+uint64(len(s.tail)) {
		return nil
	}
	return s.tail[i-first]
}

// Entries implements raft.Storage.
func (s *storage) Entries(lo, hi, maxBytes uint64) ([]*pb.Entry, error) {
	if lo <= s.mark.index {
		return nil, raft.ErrCompacted
	}
	if s.inTail(lo) != nil {
		first := s.tail[0].GetIndex()
		if hi > first+uint64(len(s.tail)) {
			return nil, raft.ErrUnavailable
		}
		part := s.tail[lo-first : hi-first]
		return limit(part, maxBytes), nil
	}
	return s.fromLog(lo, hi, maxBytes)
}

func (s *storage) fromLog(lo, hi, maxBytes uint64) ([]*pb.Entry, error) {
	stored, err := s.log.Entries(lo, hi, maxBytes)
	if err != nil {
		return nil, err
	}
	if len(stored) == 0 {
		return nil, raft.ErrUnavailable
	}
	out := make([]*pb.Entry, len(stored))
	for i := range stored {
		e := &stored[i]
		out[i] = &pb.Entry{Index: &e.Index, Term: &e.Term, Type: pb.EntryType(e.Type).Enum(), Data: e.Data}
	}
	return out, nil
}

// Snapshot implements raft.Storage. A quorum of one never needs to send one.
func (s *storage) Snapshot() (*pb.Snapshot, error) {
	return nil, raft.ErrSnapshotTemporarilyUnavailable
}

// limit cuts entries to maxBytes of data, at least one entry, in a slice that may be appended to without harm.
func limit(entries []*pb.Entry, maxBytes uint64) []*pb.Entry {
	var bytes uint64
	for i, e := range entries {
		bytes += uint64(len(e.GetData())) + entryOverheadBytes
		if i > 0 && bytes > maxBytes {
			return entries[:i:i]
		}
	}
	return entries[:len(entries):len(entries)]
}

const entryOverheadBytes = 24
