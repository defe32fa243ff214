package quorum

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	pb "go.etcd.io/raft/v3/raftpb"

	"holt/wal"
	"holt/wal/checkpoint"
)

// A member without data forms an ensemble only with members that promised nothing. quorum/sim found (seed 30): members 1 and
// 3 had committed the first entries when 3 lost its data, and member 2, which had voted but not yet applied the entry that names the
// ensemble, was taken for a fresh one: 2 and 3 began a second history.
func TestQ8_PromisesMakeAMemberUnfresh(t *testing.T) {
	for _, tc := range []struct {
		name   string
		events []event
		forms  bool // with others, as a member that votes
		joins  bool // waits for the state of a leader
	}{
		{"alone", nil, false, false},
		{"a fresh one", []event{greeted(2, Hello{})}, true, false},
		{"one that promised", []event{greeted(2, Hello{Promised: true})}, false, false},
		{"one that promised, one fresh", []event{greeted(2, Hello{Promised: true}), greeted(1, Hello{})}, true, false},
		{"one that knows the ensemble", []event{greeted(2, Hello{Promised: true}), greeted(1, Hello{Cluster: 7, Promised: true})}, false, true},
		{"a vote is asked for", []event{greeted(2, Hello{Promised: true}), message(2, pb.MsgPreVote)}, false, false},
		{"a leader speaks", []event{greeted(2, Hello{Promised: true}), message(2, pb.MsgHeartbeat)}, false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := fresh(t)
			if err := q.form(tc.events); err != nil {
				t.Fatal(err)
			}
			forms := q.core != nil && len(q.core.store.conf.GetVoters()) == 3
			joins := q.core != nil && q.joining()
			if forms != tc.forms || joins != tc.joins {
				t.Errorf("forms an ensemble: %v, want %v; joins one: %v, want %v", forms, tc.forms, joins, tc.joins)
			}
		})
	}
}

func greeted(from uint64, h Hello) event { return event{kind: eventGreeted, from: from, hello: h} }

func message(from uint64, kind pb.MessageType) event {
	return event{kind: eventMessage, from: from, message: &pb.Message{Type: kind.Enum()}}
}

// fresh is member 3 of three, stepped, with an empty disk and nobody to talk to.
func fresh(t *testing.T) *Quorum {
	fs := vfs.NewMem()
	log, err := wal.Open(wal.Config{FS: fs, Dir: "log", Stepped: true})
	if err != nil {
		t.Fatal(err)
	}
	image, err := checkpoint.Open(checkpoint.Config{FS: fs, Dir: "image"})
	if err != nil {
		t.Fatal(err)
	}
	q, err := Open(Config{
		ID: 3, Process: 1, Log: log, Image: image, Ensemble: lines(t, 1, 2, 3), Network: newMemNet().node(3, 1), Stepped: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	return q
}
