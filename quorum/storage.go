package quorum

import (
	"errors"
	"fmt"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"holt/tree"
	"holt/wal"
)

// storage shows raft the log as it wants to see it: everything up to the last durable entry. Entries that are durable
// but not yet applied are kept in memory, so that applying them does not read them back from disk. It belongs to the
// quorum goroutine.
type storage struct {
	log   *wal.Log
	start mark          // what the state held when the member started, or was given by a peer since
	base  mark          // the entry before the first one that can be read
	conf  *pb.ConfState // as of the last applied change
	tail  []*pb.Entry   // contiguous, ends with the last durable entry; may be empty
	point point         // the newest state that was applied
	lent  point         // the one that Snapshot told raft of last

	readers *tree.Readers
	loan    *tree.Hold // of lent, until the end of the turn

	appended int64       // bytes of entries since the last tick
	spare    int64       // bytes that may be read back for others before the next tick
	scratch  wal.Scratch // what was read back, until it is sent
}

// What a leader reads back from its log for members that are far behind: it costs memory and processor time, and without a bound
// clients waited for a second while a member that had been away was sent its first entries. It is more than is written, so that
// who is behind comes nearer.
const (
	readBackBytes    = 256 << 10 // with each tick, besides twice what was written
	readBackBytesMax = 1 << 20   // at once, if nothing is written
	recentBytes      = 4 << 20   // who is no further behind is not far behind
)

// tick grants what may be read back until the next one.
func (s *storage) tick() {
	s.spare = min(s.spare+readBackBytes, readBackBytesMax) + 2*s.appended
	s.appended = 0
}

// mark is a position in the log: the last entry that some image of the state contains.
type mark struct{ index, term uint64 }

// point is a state at its place in the log.
type point struct {
	root *tree.Root
	mark mark
	conf *pb.ConfState
}

func newStorage(log *wal.Log, readers *tree.Readers, start mark, conf *pb.ConfState) (*storage, error) {
	s := &storage{log: log, readers: readers, start: start, base: start, conf: conf}
	if first := log.FirstIndex(); first <= start.index {
		term, err := log.Term(first - 1)
		if err != nil {
			return nil, err
		}
		s.base = mark{first - 1, term}
	}
	return s, nil
}

// cut takes note that the log begins after m now.
func (s *storage) cut(m mark) {
	if m.index > s.base.index {
		s.base = m
	}
}

// restore begins anew after a state that came from elsewhere.
func (s *storage) restore(m mark, conf *pb.ConfState) {
	s.start, s.base, s.conf, s.tail = m, m, conf, nil
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
	for _, e := range entries {
		s.appended += int64(len(e.GetData()))
	}
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
	commit := max(h.Commit, s.start.index) // an image from a peer may be ahead of what the log knew to be committed
	return &pb.HardState{Term: &h.Term, Vote: &h.Vote, Commit: &commit}, s.conf, nil
}

// FirstIndex implements raft.Storage. The very first entry is not shown to others once it is applied here: the members
// before it are written nowhere in the log, so a member that begins with nothing has to be sent a whole state.
func (s *storage) FirstIndex() (uint64, error) {
	if s.base.index == 0 && s.point.mark.index > 0 {
		return 2, nil
	}
	return s.base.index + 1, nil
}

// LastIndex implements raft.Storage.
func (s *storage) LastIndex() (uint64, error) {
	if n := len(s.tail); n > 0 {
		return s.tail[n-1].GetIndex(), nil
	}
	return max(s.log.LastIndex(), s.base.index), nil
}

// Term implements raft.Storage.
func (s *storage) Term(i uint64) (uint64, error) {
	if i == s.base.index {
		return s.base.term, nil
	}
	if i < s.base.index {
		return 0, raft.ErrCompacted
	}
	if e := s.inTail(i); e != nil {
		return e.GetTerm(), nil
	}
	if i > s.log.LastIndex() {
		return 0, raft.ErrUnavailable
	}
	term, err := s.log.Term(i)
	return term, raftError(err)
}

// raftError translates what the log says: it may have been cut on another goroutine since base was set.
func raftError(err error) error {
	switch {
	case errors.Is(err, wal.ErrCompacted):
		return raft.ErrCompacted
	case errors.Is(err, wal.ErrUnavailable):
		return raft.ErrUnavailable
	}
	return err
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

// Entries implements raft.Storage. Old entries that are to be sent to somebody may be none for now: raft asks again with the
// next entry, answer or heartbeat.
func (s *storage) Entries(lo, hi, maxBytes uint64) ([]*pb.Entry, error) {
	if first, _ := s.FirstIndex(); lo < first {
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
	readBack := maxBytes == messageBytesMax && lo <= s.log.Before(recentBytes) // nothing but a message to another member has that bound
	if !readBack {
		return s.fromLog(nil, lo, hi, maxBytes)
	}
	if s.spare <= 0 {
		return nil, nil
	}
	entries, err := s.fromLog(&s.scratch, lo, hi, maxBytes)
	for _, e := range entries {
		s.spare -= int64(len(e.GetData()))
	}
	return entries, err
}

func (s *storage) fromLog(scratch *wal.Scratch, lo, hi, maxBytes uint64) ([]*pb.Entry, error) {
	stored, err := s.log.EntriesIn(scratch, lo, hi, maxBytes)
	if err != nil {
		return nil, raftError(err)
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

// Snapshot implements raft.Storage: the newest applied state. It is not in the message, only its place is; see sender.
func (s *storage) Snapshot() (*pb.Snapshot, error) {
	p := s.point
	if p.mark.index == 0 {
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	s.takeBack()
	s.lent, s.loan = p, s.readers.Hold(p.root)
	return &pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: &p.mark.index, Term: &p.mark.term, ConfState: p.conf}}, nil
}

// takeBack ends what Snapshot has lent.
func (s *storage) takeBack() {
	s.loan.Release()
	s.lent, s.loan = point{}, nil
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
