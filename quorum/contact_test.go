package quorum

import (
	"testing"

	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/raft/v3/raftpb"
)

// A leader's process ends. Member 2 sees that first and asks for votes while 3 still hears the leader; were the question lost, 2 would ask again
// only two ticks later. Measured with chaos gap: of 15 leaders killed the slowest then left clients waiting for 27 and 56 ms, and for 10 and 11
// with the answer a little later.
func TestPreVoteAskedALittleEarly(t *testing.T) {
	net := newMemNet()
	answers := 0
	q := thirdOf(t, &frameTaker{Network: net.node(3, 1), take: func(frame []byte) {
		m := &pb.Message{}
		if frame[0] == frameRaft && proto.Unmarshal(frame[1:], m) == nil && m.GetType() == pb.MsgPreVoteResp && m.GetTo() == 2 && !m.GetReject() {
			answers++
		}
	}}, 1, 2, 3)
	say := func(from, term uint64, kind pb.MessageType) {
		t.Helper()
		to, index, last := uint64(3), uint64(5), uint64(1)
		m := &pb.Message{Type: kind.Enum(), From: &from, To: &to, Term: &term, Index: &index, LogTerm: &last}
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		q.Receive(from, LaneRaft, append([]byte{frameRaft}, b...))
		settle(t, q, q.cfg.Log)
	}
	end := func(from uint64) {
		q.Ended(from, LaneRaft)
		settle(t, q, q.cfg.Log)
	}
	say(1, 1, pb.MsgHeartbeat)
	say(2, 2, pb.MsgPreVote)
	if answers != 0 {
		t.Error("a pre-vote was given while there was a leader")
	}
	end(2)
	if answers != 0 {
		t.Error("a pre-vote was given when another stream than the leader's ended")
	}
	end(1)
	if answers != 1 {
		t.Errorf("%d pre-votes were given when the leader's stream had ended, want 1", answers)
	}
	say(1, 1, pb.MsgHeartbeat)
	end(1)
	if answers != 1 {
		t.Error("the pre-vote was given again")
	}
	say(1, 1, pb.MsgHeartbeat)
	say(2, 2, pb.MsgPreVote)
	say(1, 3, pb.MsgHeartbeat)
	end(1)
	if answers != 1 {
		t.Error("a pre-vote was given for a term that is over")
	}
}
