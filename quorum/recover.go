package quorum

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/raft/v3/raftpb"

	"holt/tree"
	"holt/wal"
)

// Survivor is what a member has on its disk, whose ensemble has lost its quorum for good. Found makes a new ensemble of
// it. The member must not run meanwhile; log and image stay the caller's.
type Survivor struct {
	Last      uint64   // the last entry of the log
	Committed uint64   // the last one that this member knows to have been committed
	Voters    []uint64 // of the ensemble that is lost, as far as this member knows

	id    uint64
	log   *wal.Log
	image *image
	state *tree.State
}

// readBytesMax is how much of the log is read at once.
const readBytesMax = 8 << 20

// OpenSurvivor reads image and log. All entries of the log count: one that this member was sent may have been
// acknowledged, whether or not it has heard so.
func OpenSurvivor(id uint64, log *wal.Log, store Image) (*Survivor, error) {
	s := &Survivor{id: id, log: log, image: &image{store: store, log: log}}
	state, at, conf, err := s.image.load()
	if err != nil {
		return nil, err
	}
	s.state, s.Voters = state, conf.GetVoters()
	s.Last, s.Committed = max(log.LastIndex(), at.index), max(log.HardState().Commit, at.index)
	for next := at.index + 1; next <= s.Last; {
		entries, err := log.Entries(next, s.Last+1, readBytesMax)
		if err != nil {
			return nil, fmt.Errorf("quorum: reading the log from entry %d: %w", next, err)
		}
		for _, e := range entries {
			if pb.EntryType(e.Type) == pb.EntryNormal && len(e.Data) > 0 {
				if _, err := state.Apply(tree.Batch{Term: e.Term, Data: e.Data}); err != nil {
					return nil, fmt.Errorf("quorum: entry %d: %w", e.Index, err)
				}
			}
			next = e.Index + 1
		}
	}
	return s, nil
}

// AwaitState makes a member that was emptied wait for the state of its ensemble, also when it meets so many others that
// were emptied that together they would take themselves for a new one. It writes that into the member's image, which must
// be fresh and stays the caller's.
func AwaitState(store Image) error {
	fresh, at, err := store.Load()
	if err != nil {
		return fmt.Errorf("quorum: loading the checkpoint: %w", err)
	}
	if at.Index > 0 {
		return fmt.Errorf("quorum: the checkpoint holds a state, of entry %d of the log, and the log is not there", at.Index)
	}
	nobody := &pb.ConfState{AutoLeave: proto.Bool(false)} // a field that is there, or nothing at all would be written
	if err := (&image{store: store}).put(nil, point{root: fresh.Root(), conf: nobody}); err != nil {
		return fmt.Errorf("quorum: writing down that the state is awaited: %w", err)
	}
	return nil
}

// Root is the state after the last entry.
func (s *Survivor) Root() *tree.Root { return s.state.Root() }

// Found makes the member the only voter of an ensemble with a new id, which brings in the other members of e once they
// appear, empty. It is done when it returns nil; done in part it leaves a member that works like before, or that its
// former peers refuse, and can be done again.
func (s *Survivor) Found(e *tree.Ensemble, cluster uint64, nowMs int64) error {
	if m, ok := e.Member(s.id); !ok || m.Observer {
		return fmt.Errorf("quorum: member %d is no participant of the new ensemble", s.id)
	}
	term, index := s.log.HardState().Term+1, s.Last+1
	data := foundingBatch(&tree.Bootstrap{ClusterID: cluster, Ensemble: e}, nowMs)
	entry := wal.Entry{Index: index, Term: term, Type: uint8(pb.EntryNormal), Data: data}
	if err := appendNow(s.log, wal.Append{Entries: []wal.Entry{entry}, HardState: &wal.HardState{Term: term, Commit: index}}); err != nil {
		return err
	}
	applied, err := s.state.Apply(tree.Batch{Term: term, Data: data})
	if err != nil {
		return fmt.Errorf("quorum: %w", err)
	}
	p := point{root: applied.Root, mark: mark{index, term}, conf: &pb.ConfState{Voters: []uint64{s.id}}}
	if err := s.image.put(s.image.last, p); err != nil {
		return fmt.Errorf("quorum: %w", err)
	}
	s.Last, s.Committed, s.Voters = index, index, []uint64{s.id}
	return nil
}

func foundingBatch(b *tree.Bootstrap, nowMs int64) []byte {
	return tree.AppendRecover(tree.AppendBatchHeader(nil, tree.BatchHeader{TimeMs: nowMs}), &tree.CommandHeader{}, b)
}

// appendNow appends and waits until it is durable.
func appendNow(log *wal.Log, a wal.Append) error {
	done := make(chan error, 1)
	a.Done = func(err error) { done <- err }
	log.Append(a)
	if err := <-done; err != nil {
		return fmt.Errorf("quorum: appending to the log: %w", err)
	}
	return nil
}

// Beginning is a state that comes from elsewhere, for a member to begin with.
type Beginning struct {
	ID       uint64 // of the member
	State    *tree.State
	Term     uint64          // its zxids come after all that are in State
	Identity *tree.Bootstrap // of an ensemble of which the member is the first; nil: it stands alone
	NowMs    int64
}

// Begin writes b into a log and an image, which must be fresh and stay the caller's. The other members of an ensemble are
// brought in once they appear, empty (AwaitState). Done in part it leaves a member that does not start, or starts with nothing.
func Begin(b *Beginning, log *wal.Log, store Image) error {
	root := b.State.Root()
	if b.Identity != nil {
		if m, ok := b.Identity.Ensemble.Member(b.ID); !ok || m.Observer {
			return fmt.Errorf("quorum: member %d is no participant of the ensemble", b.ID)
		}
		applied, err := b.State.Apply(tree.Batch{Term: b.Term, Data: foundingBatch(b.Identity, b.NowMs)})
		if err != nil {
			return fmt.Errorf("quorum: %w", err)
		}
		root = applied.Root
	}
	if err := appendNow(log, wal.Append{HardState: &wal.HardState{Term: b.Term}}); err != nil {
		return err
	}
	const index = 1 // one entry stands for all that happened before
	p := point{root: root, mark: mark{index, b.Term}, conf: &pb.ConfState{Voters: []uint64{b.ID}}}
	if err := (&image{store: store}).put(nil, p); err != nil {
		return fmt.Errorf("quorum: %w", err)
	}
	if err := log.Reset(index, b.Term); err != nil {
		return fmt.Errorf("quorum: %w", err)
	}
	return nil
}
