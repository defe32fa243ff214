package quorum

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/raft/v3"
	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/raft/v3/raftpb"

	"holt/tree"
)

// Frames on LaneRaft begin with their kind.
const (
	frameRaft        byte = iota + 16 // a raft message
	frameTouch                        // number u64, session ids: heard of by a member, for the leader
	frameTouched                      // number u64: the leader has taken note
	frameDigest                       // index u64, digest u64
	frameAdmit                        // a member that came without data asks to be admitted
	frameAdmitted                     // it was, and does not vote for now
	frameImageFailed                  // the state that is being sent is of no use
)

const (
	forwardBytesMax = 8 << 20  // forwarded chunks of one member that wait, beyond which its lane is not read
	networkBytesMax = 64 << 20 // of raft messages that wait; more are dropped, as raft allows
)

// event is what the network told, in the order it did.
type event struct {
	kind    eventKind
	from    uint64
	lane    Lane
	hello   Hello
	message *pb.Message
	chunk   forwarded
	digest  digestAt
}

type eventKind uint8

const (
	eventGreeted eventKind = iota
	eventOpened
	eventEnded
	eventBroken
	eventWritable
	eventMessage
	eventChunk
	eventDigest
	eventAdmit
	eventAdmitted
	eventImageFailed
)

func (q *Quorum) tell(e event) {
	q.inbox.mu.Lock()
	q.inbox.network = append(q.inbox.network, e)
	q.inbox.mu.Unlock()
	notify(q.wake)
}

// Greeted implements Receiver.
func (q *Quorum) Greeted(from uint64, h Hello) {
	q.tell(event{kind: eventGreeted, from: from, hello: h})
}

// Opened implements Receiver.
func (q *Quorum) Opened(from uint64, lane Lane) {
	if lane == LaneImage {
		q.receiver.put(imageFrame{from: from})
	}
	q.tell(event{kind: eventOpened, from: from, lane: lane})
}

// Ended implements Receiver.
func (q *Quorum) Ended(from uint64, lane Lane) {
	if lane == LaneImage {
		q.receiver.put(imageFrame{from: from})
	}
	q.tell(event{kind: eventEnded, from: from, lane: lane})
}

// Broken implements Receiver.
func (q *Quorum) Broken(to uint64, lane Lane) { q.tell(event{kind: eventBroken, from: to, lane: lane}) }

// Writable implements Receiver.
func (q *Quorum) Writable(to uint64, lane Lane) {
	q.tell(event{kind: eventWritable, from: to, lane: lane})
}

// Receive implements Receiver. What can be decoded here is: that is not on the quorum goroutine.
func (q *Quorum) Receive(from uint64, lane Lane, frame []byte) (more bool) {
	if len(frame) == 0 {
		return true
	}
	switch lane {
	case LaneImage:
		return q.receiver.put(imageFrame{from, frame})
	case LaneForward:
		return q.receiveChunk(from, frame)
	}
	if err := q.receiveFrame(from, frame[0], frame[1:]); err != nil {
		q.cfg.Logger.Error("a frame that no version of Holt sends", "from", from, "err", err)
	}
	return true
}

func (q *Quorum) receiveFrame(from uint64, kind byte, b []byte) error {
	switch kind {
	case frameRaft:
		m := &pb.Message{}
		if err := proto.Unmarshal(b, m); err != nil {
			return err
		}
		if m.GetFrom() != from || m.GetTo() != q.cfg.ID || m.GetType() == pb.MsgSnap || raft.IsLocalMsg(m.GetType()) {
			return fmt.Errorf("message %v from %d to %d", m.GetType(), m.GetFrom(), m.GetTo())
		}
		q.tell(event{kind: eventMessage, from: from, message: m})
	case frameTouch:
		if len(b) < 8 || len(b)%8 != 0 {
			return fmt.Errorf("a report of %d bytes", len(b))
		}
		q.heardOf(from, b)
	case frameTouched:
		if len(b) != 8 {
			return fmt.Errorf("an acknowledgement of %d bytes", len(b))
		}
		q.contacts.acknowledged(binary.LittleEndian.Uint64(b))
	case frameDigest:
		if len(b) != 16 {
			return fmt.Errorf("a digest of %d bytes", len(b))
		}
		q.tell(event{kind: eventDigest, from: from, digest: digestAt{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}})
	case frameAdmit:
		q.tell(event{kind: eventAdmit, from: from})
	case frameAdmitted:
		q.tell(event{kind: eventAdmitted, from: from})
	case frameImageFailed:
		q.tell(event{kind: eventImageFailed, from: from})
	default:
		return fmt.Errorf("kind %d", kind)
	}
	return nil
}

// receiveChunk queues a forwarded chunk.
func (q *Quorum) receiveChunk(from uint64, frame []byte) (more bool) {
	f, err := parseForward(from, frame)
	if err != nil {
		q.cfg.Logger.Error("a frame that no version of Holt sends", "from", from, "err", err)
		return true
	}
	q.inbox.mu.Lock()
	defer q.inbox.mu.Unlock()
	q.inbox.network = append(q.inbox.network, event{kind: eventChunk, from: from, chunk: f})
	q.inbox.bytes[from] += len(f.commands)
	notify(q.wake)
	if q.inbox.bytes[from] > forwardBytesMax {
		q.inbox.halted[from] = true
		return false
	}
	return true
}

// took gives back the room that a member's chunks had.
func (q *Quorum) took(from uint64, bytes int) {
	q.inbox.mu.Lock()
	q.inbox.bytes[from] -= bytes
	resume := q.inbox.halted[from] && q.inbox.bytes[from] <= forwardBytesMax/2
	if resume {
		delete(q.inbox.halted, from)
	}
	q.inbox.mu.Unlock()
	if resume {
		q.cfg.Network.Resume(from, LaneForward)
	}
}

// handle takes in what the network told.
func (q *Quorum) handle(events []event) error {
	for i := range events {
		e := &events[i]
		switch e.kind {
		case eventEnded:
			if e.lane == LaneRaft {
				if err := q.suspectLeader(e.from); err != nil {
					return err
				}
			}
		case eventBroken:
			switch e.lane {
			case LaneForward:
				if e.from == q.line.path.leader {
					q.line.again()
				}
			case LaneImage:
				q.imageFailed(e.from)
			case LaneRaft:
				q.core.node.ReportUnreachable(e.from)
			}
		case eventWritable:
			if s := q.senders[e.from]; s != nil && e.lane == LaneImage {
				notify(s.wake)
			}
		case eventMessage:
			if q.joining() && (!q.members.admitted || isVote(e.message)) {
				continue // what it promised before its data was lost it does not know
			}
			switch e.message.GetType() {
			case pb.MsgApp:
				q.unconfirmed = 0 // the leader knows
			case pb.MsgReadIndex:
				q.reads = append(q.reads, e.message)
				continue
			}
			if err := q.core.step([]*pb.Message{e.message}); err != nil {
				return err
			}
			if e.message.GetType() == pb.MsgPreVote {
				q.preVoteAsked(e.message)
			}
		case eventChunk:
			q.admit(&e.chunk)
		case eventDigest:
			q.digests.heard(q, e.from, e.digest)
		case eventAdmit:
			q.asksAdmission(e.from)
		case eventAdmitted:
			q.members.admitted = true
		case eventImageFailed:
			q.imageFailed(e.from)
		}
	}
	return nil
}

// isVote says whether a message asks for a vote.
func isVote(m *pb.Message) bool { return m.GetType() == pb.MsgVote || m.GetType() == pb.MsgPreVote }

// send hands raft's messages to the network.
func (q *Quorum) send(messages []*pb.Message) {
	for _, m := range messages {
		to := m.GetTo()
		if m.GetType() == pb.MsgSnap {
			q.sendImage(m)
			continue
		}
		if q.cfg.Network == nil {
			continue
		}
		frame, err := proto.MarshalOptions{}.MarshalAppend(append(q.cfg.Network.Frame(1+proto.Size(m)), frameRaft), m)
		if err != nil {
			q.fail(fmt.Errorf("quorum: encoding a message: %w", err))
			return
		}
		if !q.cfg.Network.Send(to, LaneRaft, frame) && m.GetType() == pb.MsgApp {
			q.core.node.ReportUnreachable(to)
		}
	}
}

// Touch reports sessions that this member has heard of to the leader. It is called at regular intervals, with or without
// sessions: that the leader answers is what moves Status.ContactNs.
func (q *Quorum) Touch(ids []tree.SessionID) {
	s := q.status.Load()
	if q.cfg.Network == nil || s.Leader == 0 || s.Leader == q.cfg.ID {
		return
	}
	frame := make([]byte, 0, 9+8*len(ids))
	frame = binary.LittleEndian.AppendUint64(append(frame, frameTouch), q.contacts.begin(q.cfg.NowNs()))
	for _, id := range ids {
		frame = binary.LittleEndian.AppendUint64(frame, uint64(id))
	}
	q.cfg.Network.Send(s.Leader, LaneRaft, frame)
}

// heardOf takes note, as leader, of a member's report, and says so.
func (q *Quorum) heardOf(from uint64, b []byte) {
	if q.status.Load().Role != Leader {
		return
	}
	if f := q.touched.Load(); f != nil && len(b) > 8 {
		ids := make([]tree.SessionID, 0, len(b)/8-1)
		for i := 8; i < len(b); i += 8 {
			ids = append(ids, tree.SessionID(binary.LittleEndian.Uint64(b[i:])))
		}
		(*f)(ids)
	}
	q.cfg.Network.Send(from, LaneRaft, append([]byte{frameTouched}, b[:8]...))
}
