package quorum

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/raft/v3/raftpb"

	"holt/tree"
	"holt/wal"
)

// A member that is too far behind for the log is sent the leader's whole state: the stored form of the tree, in key
// order, in frames on a lane of its own. The frames begin with raft's MsgSnap, which the receiver steps once everything
// has arrived: only then raft decides whether the state is wanted.
const (
	frameBegin byte = iota + 1 // MsgSnap
	frameChunk                 // records: length of key, length of value, key, value
	frameEnd                   // number of records
)

const (
	imageChunkBytes  = 128 << 10
	imageFramesMax   = 8 << 20 // bytes that have arrived and wait to be loaded, beyond which the lane is not read
	imageRestFactor  = 3       // times what a chunk took to make: the share of a core that sending takes
	imageRecordBytes = 8
)

// installed is a state that came from a peer.
type installed struct {
	point
	state *tree.State
	from  uint64
	msg   *pb.Message
}

// sender sends one member one state. Its frames are made by whoever calls step, a goroutine of its own or a simulation.
type sender struct {
	to    uint64
	point point
	net   Network
	next  func() ([]byte, bool)
	end   func()
	frame []byte // refused by the lane
	wake  chan struct{}
	stop  chan struct{}
	sent  bool
	err   error
}

func newSender(to uint64, p point, m *pb.Message, n Network) (*sender, error) {
	begin, err := proto.Marshal(m)
	if err != nil {
		return nil, err
	}
	s := &sender{to: to, point: p, net: n, wake: make(chan struct{}, 1), stop: make(chan struct{})}
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

// DeleteSubtree implements tree.DiffVisitor.
func (c *chunks) DeleteSubtree([]byte) error { return errors.ErrUnsupported }

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
	defer s.end()
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

// receiver loads states that peers send, on a goroutine of its own.
type receiver struct {
	q *Quorum

	mu     sync.Mutex
	frames []imageFrame
	bytes  int
	halted map[uint64]bool // lanes that wait to be read again
	wake   chan struct{}

	from    uint64 // whose state is being loaded
	msg     *pb.Message
	loader  *tree.Loader
	records uint64
}

// imageFrame is a frame from a peer; nil data means that its lane broke.
type imageFrame struct {
	from uint64
	data []byte
}

func newReceiver(q *Quorum) *receiver {
	return &receiver{q: q, halted: map[uint64]bool{}, wake: make(chan struct{}, 1)}
}

// put queues a frame and says whether more may come.
func (r *receiver) put(f imageFrame) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.frames = append(r.frames, f)
	r.bytes += len(f.data)
	notify(r.wake)
	if f.data != nil && r.bytes > imageFramesMax {
		r.halted[f.from] = true
		return false
	}
	return true
}

func (r *receiver) run(stop <-chan struct{}) {
	for {
		select {
		case <-r.wake:
			for r.step() {
			}
		case <-stop:
			return
		}
	}
}

// step takes one frame.
func (r *receiver) step() bool {
	r.mu.Lock()
	if len(r.frames) == 0 {
		r.mu.Unlock()
		return false
	}
	f := r.frames[0]
	r.frames = r.frames[1:]
	r.bytes -= len(f.data)
	var again []uint64
	if r.bytes <= imageFramesMax/2 {
		again = slices.Sorted(maps.Keys(r.halted))
		clear(r.halted)
	}
	r.mu.Unlock()
	for _, id := range again {
		r.q.cfg.Network.Resume(id, LaneImage)
	}
	if err := r.take(f); err != nil {
		r.q.cfg.Logger.Warn("the state that a member sends cannot be used; it will be sent again", "from", f.from, "err", err)
		r.drop()
		r.q.cfg.Network.Send(f.from, LaneRaft, []byte{frameImageFailed})
	}
	return true
}

func (r *receiver) drop() { r.from, r.msg, r.loader, r.records = 0, nil, nil, 0 }

func (r *receiver) take(f imageFrame) error {
	if f.data == nil {
		if f.from == r.from {
			r.drop()
		}
		return nil
	}
	if f.data[0] == frameBegin {
		r.drop()
		m := &pb.Message{}
		if err := proto.Unmarshal(f.data[1:], m); err != nil {
			return err
		}
		if m.GetType() != pb.MsgSnap || raft.IsEmptySnap(m.GetSnapshot()) || m.GetFrom() != f.from || m.GetTo() != r.q.cfg.ID {
			return errors.New("not a snapshot for this member")
		}
		r.from, r.msg, r.loader = f.from, m, &tree.Loader{}
		r.q.cfg.Logger.Info("taking over the state of another member", "from", f.from, "index", m.GetSnapshot().GetMetadata().GetIndex())
		return nil
	}
	if f.from != r.from { // the rest of a transfer that was given up
		if f.data[0] == frameEnd {
			return errors.New("its beginning is missing")
		}
		return nil
	}
	switch f.data[0] {
	case frameChunk:
		return r.chunk(f.data[1:])
	case frameEnd:
		return r.finish(f.data[1:])
	}
	return fmt.Errorf("frame of kind %d", f.data[0])
}

func (r *receiver) chunk(b []byte) error {
	for len(b) > 0 {
		if len(b) < imageRecordBytes {
			return errors.New("a record is cut off")
		}
		k, v := uint64(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[4:]))
		b = b[imageRecordBytes:]
		if k+v > uint64(len(b)) {
			return errors.New("a record is cut off")
		}
		if err := r.loader.Add(b[:k], b[k:k+v]); err != nil {
			return err
		}
		b = b[k+v:]
		r.records++
	}
	return nil
}

func (r *receiver) finish(b []byte) error {
	if len(b) != 8 || binary.LittleEndian.Uint64(b) != r.records {
		return fmt.Errorf("%d records have arrived, not as many as were sent", r.records)
	}
	state, err := r.loader.Finish()
	if err != nil {
		return err
	}
	m := r.msg.GetSnapshot().GetMetadata()
	r.q.imageReceived(&installed{
		point: point{root: state.Root(), mark: mark{m.GetIndex(), m.GetTerm()}, conf: m.GetConfState()},
		state: state, from: r.from, msg: r.msg,
	})
	r.drop()
	return nil
}

// installing is a state from a peer on its way to take the place of this member's own. The steps: everything appended
// before is durable; image and log are replaced on the image goroutine; the job's own entries are appended; the apply
// goroutine goes on from the new state; raft is told.
type installing struct {
	offer *installed // has arrived; raft has been asked whether it wants it
	job   *appendJob // raft's, when it does
	begun bool       // the image goroutine is at it
}

// arrived tells what became of replacing image and log.
type arrived struct {
	image *installed
	err   error
}

// imageReceived is called by the receiver when a state has arrived.
func (q *Quorum) imageReceived(i *installed) {
	q.inbox.mu.Lock()
	q.inbox.images = append(q.inbox.images, i)
	q.inbox.mu.Unlock()
	notify(q.wake)
}

// imageArrived is called by the image goroutine.
func (q *Quorum) imageArrived(i *installed, err error) {
	q.inbox.mu.Lock()
	q.inbox.arrived = append(q.inbox.arrived, arrived{i, err})
	q.inbox.mu.Unlock()
	notify(q.wake)
}

// offered asks raft whether it wants a state. If so, the next ready has a job with that snapshot.
func (q *Quorum) offered(i *installed) error {
	if q.install.job != nil {
		return nil // one at a time; it is sent again if it is still wanted
	}
	q.install.offer = i
	if err := q.core.step([]*pb.Message{i.msg}); err != nil {
		return err
	}
	q.dispatch()
	wanted := slices.ContainsFunc(q.waiting, func(j appendJob) bool { return j.snapshot != nil })
	if q.install.job == nil && !wanted {
		q.install.offer = nil
	}
	return nil
}

// beginInstall starts on raft's job as soon as everything before it is durable.
func (q *Quorum) beginInstall(j appendJob) {
	m := j.snapshot.GetMetadata()
	if i := q.install.offer; i == nil || i.mark != (mark{m.GetIndex(), m.GetTerm()}) {
		q.fail(fmt.Errorf("quorum: raft asks for a state of index %d that has not arrived", m.GetIndex()))
		return
	}
	q.install.job = &j
	q.goOnInstalling()
}

// goOnInstalling hands the state to the image goroutine once the log is at rest.
func (q *Quorum) goOnInstalling() {
	if q.install.job == nil || q.install.begun || q.core.appending > 1+len(q.waiting) {
		return
	}
	q.install.begun = true
	q.image.install(q.install.offer)
}

// installed goes on when image and log have been replaced.
func (q *Quorum) installed(a arrived) error {
	if errors.Is(a.err, wal.ErrFull) {
		q.install.begun = false // again with the next tick
		return nil
	}
	if a.err != nil {
		return fmt.Errorf("quorum: taking over the state of member %d: %w", a.image.from, a.err)
	}
	job := q.install.job
	q.install = installing{}
	q.unconfirmed = a.image.mark.index
	q.cfg.Logger.Info("took over the state of another member", "from", a.image.from, "index", a.image.mark.index, "zxid", fmt.Sprintf("%#x", int64(a.image.root.Zxid())))
	q.core.store.restore(a.image.mark, a.image.conf)
	q.core.store.point = a.image.point
	q.cutBefore, q.logBytes = a.image.mark, 0
	q.apply.give([]applyJob{{install: a.image}})
	q.appendNow(*job)
	q.appendWaiting()
	return nil
}

// confirm tells the leader again how far the state reaches that this member took over. Raft says it once, and a leader that
// missed it, because the lane broke, would wait for it for ever: it sends nothing to a member that is being sent the state.
func (q *Quorum) confirm() {
	lead, term := q.core.leader()
	if q.unconfirmed == 0 || lead == raft.None || lead == q.cfg.ID {
		return
	}
	q.send([]*pb.Message{{Type: pb.MsgAppResp.Enum(), From: &q.cfg.ID, To: &lead, Term: &term, Index: &q.unconfirmed}})
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
	s, err := newSender(to, p, m, q.cfg.Network)
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
	q.core.node.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
		if s := q.senders[id]; s != nil && p.Match >= s.point.mark.index {
			q.endSender(id)
		}
	})
	for _, to := range slices.Sorted(maps.Keys(q.senders)) {
		if !slices.Contains(q.core.store.conf.GetVoters(), to) && !slices.Contains(q.core.store.conf.GetLearners(), to) {
			q.endSender(to)
		}
	}
}
