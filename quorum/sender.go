package quorum

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/raft/v3/raftpb"

	"holt/tree"
)

// sender sends one member one state. Its frames are made by whoever calls step, a goroutine of its own or a simulation.
type sender struct {
	to    uint64
	point point
	hold  *tree.Hold // of its root
	net   Network
	next  func() ([]byte, bool)
	end   func()
	frame []byte // refused by the lane
	wake  chan struct{}
	stop  chan struct{}
	sent  bool
	err   error
}

func newSender(to uint64, p point, hold *tree.Hold, m *pb.Message, n Network) (*sender, error) {
	begin, err := proto.Marshal(m)
	if err != nil {
		hold.Release()
		return nil, err
	}
	s := &sender{to: to, point: p, hold: hold, net: n, wake: make(chan struct{}, 1), stop: make(chan struct{})}
	s.next, s.end = iter.Pull(s.frames(begin))
	return s, nil
}

// frames yields the frames of the stream.
func (s *sender) frames(begin []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if !yield(append([]byte{frameBegin}, begin...)) {
			return
		}
		c := chunks{yield: yield}
		if err := tree.Diff(nil, s.point.root, &c); err != nil {
			if !errors.Is(err, errEnough) {
				s.err = err
			}
			return
		}
		if len(c.frame) > 0 && !yield(c.frame) {
			return
		}
		yield(binary.LittleEndian.AppendUint64([]byte{frameEnd}, c.records))
	}
}

var errEnough = errors.New("quorum: the transfer was ended")

// chunks packs records into frames.
type chunks struct {
	yield   func([]byte) bool
	frame   []byte
	records uint64
}

// Put implements tree.DiffVisitor.
func (c *chunks) Put(key, value []byte) error {
	if c.frame == nil {
		c.frame = append(make([]byte, 0, imageChunkBytes+len(key)+len(value)+64), frameChunk)
	}
	c.frame = binary.LittleEndian.AppendUint32(c.frame, uint32(len(key)))
	c.frame = binary.LittleEndian.AppendUint32(c.frame, uint32(len(value)))
	c.frame = append(append(c.frame, key...), value...)
	c.records++
	if len(c.frame) < imageChunkBytes {
		return nil
	}
	full := c.frame
	c.frame = nil
	if !c.yield(full) {
		return errEnough
	}
	return nil
}

// Delete implements tree.DiffVisitor: against nothing there is nothing to delete.
func (c *chunks) Delete([]byte) error { return errors.ErrUnsupported }

// step sends one frame. It reports whether it could, or whether there is nothing more to send.
func (s *sender) step() (progress, done bool) {
	if s.sent {
		return false, true
	}
	if s.frame == nil {
		frame, ok := s.next()
		if !ok {
			s.sent = true
			return false, true
		}
		s.frame = frame
	}
	if !s.net.Send(s.to, LaneImage, s.frame) {
		return false, false
	}
	s.frame = nil
	return true, false
}

// run sends until all is sent or stop is closed, with rests so that clients notice little.
func (s *sender) run(stop <-chan struct{}) {
	defer s.close()
	for {
		begin := time.Now()
		progress, done := s.step()
		if done {
			return
		}
		rest := time.NewTimer(time.Since(begin) * imageRestFactor)
		if !progress {
			rest.Reset(time.Second)
		}
		select {
		case <-rest.C:
		case <-s.wake:
			if progress {
				<-rest.C
			}
		case <-s.stop:
			return
		case <-stop:
			return
		}
		rest.Stop()
	}
}

// close gives up what the sender holds.
func (s *sender) close() {
	s.end()
	s.hold.Release()
	s.hold = nil
}

// sendImage begins to send raft's snapshot: the state at its place, which was lent to raft in the same turn.
func (q *Quorum) sendImage(m *pb.Message) {
	to, at := m.GetTo(), m.GetSnapshot().GetMetadata().GetIndex()
	q.endSender(to)
	p := q.core.store.lent
	if p.mark.index != at || q.cfg.Network == nil {
		q.core.node.ReportSnapshot(to, raft.SnapshotFailure)
		return
	}
	s, err := newSender(to, p, q.core.store.loan.Share(), m, q.cfg.Network)
	if err != nil {
		q.fail(fmt.Errorf("quorum: %w", err))
		return
	}
	q.senders[to] = s
	q.cfg.Logger.Info("sending the state to a member that is behind the log", "to", to, "index", at, "znodes", p.root.NodeCount())
	if !q.cfg.Stepped {
		q.spawn(s.run)
	}
}

// endSender ends a transfer that is under way.
func (q *Quorum) endSender(to uint64) {
	if s := q.senders[to]; s != nil {
		delete(q.senders, to)
		close(s.stop)
		if q.cfg.Stepped {
			s.close()
		}
		q.cfg.Network.Reset(to, LaneImage)
	}
}

// imageFailed has raft look again at what a member needs.
func (q *Quorum) imageFailed(to uint64) {
	if q.senders[to] != nil {
		q.endSender(to)
		q.core.node.ReportSnapshot(to, raft.SnapshotFailure)
	}
}

// sentImages ends the senders whose members have come further.
func (q *Quorum) sentImages() {
	if len(q.senders) == 0 {
		return
	}
	if !q.core.leads() {
		for _, to := range slices.Sorted(maps.Keys(q.senders)) {
			q.endSender(to)
		}
		return
	}
	var arrived []uint64
	q.core.node.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
		if s := q.senders[id]; s != nil && p.Match >= s.point.mark.index {
			arrived = append(arrived, id)
		}
	})
	for _, to := range arrived {
		q.endSender(to)
		q.core.node.ReportSnapshot(to, raft.SnapshotFinish) // if the log was cut meanwhile, raft goes on waiting for that
	}
	for _, to := range slices.Sorted(maps.Keys(q.senders)) {
		if !slices.Contains(q.core.store.conf.GetVoters(), to) && !slices.Contains(q.core.store.conf.GetLearners(), to) {
			q.endSender(to)
		}
	}
}
