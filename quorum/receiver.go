package quorum

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"go.etcd.io/raft/v3"
	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/raft/v3/raftpb"

	"holt/tree"
)

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
