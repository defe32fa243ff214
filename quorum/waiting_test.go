package quorum

import (
	"slices"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
)

// The log may refuse a job when later ones wait already. Found with the simulator (seed 1733): they changed places.
func TestRefusedAppendsKeepTheirOrder(t *testing.T) {
	var q Quorum
	for _, n := range []uint64{3, 1, 4, 2} {
		q.wait(appendJob{number: n})
	}
	var got []uint64
	for _, j := range q.waiting {
		got = append(got, j.number)
	}
	if want := []uint64{1, 2, 3, 4}; !slices.Equal(got, want) {
		t.Errorf("waiting: %v, want %v", got, want)
	}
}

// What jobs before a state promise is promised with the state, in their order: not at once, when it is not durable, and not never.
func TestSupersede(t *testing.T) {
	message := func(index uint64) []*pb.Message { return []*pb.Message{{Index: &index}} }
	c := core{appending: 3}
	j := appendJob{responses: message(3)}
	c.supersede(&j, []appendJob{{responses: message(1)}, {responses: message(2)}})
	var got []uint64
	for _, m := range j.responses {
		got = append(got, m.GetIndex())
	}
	if want := []uint64{1, 2, 3}; !slices.Equal(got, want) || c.appending != 1 || len(c.after) > 0 {
		t.Errorf("responses %v, want %v; %d jobs under way, want 1; %d messages due", got, want, c.appending, len(c.after))
	}
}
