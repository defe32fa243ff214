package quorum

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	pb "go.etcd.io/raft/v3/raftpb"

	"holt/tree"
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
		{"a fresh one, and nothing of the third", []event{greeted(2, Hello{})}, false, false},
		{"two fresh ones", []event{greeted(2, Hello{}), greeted(1, Hello{})}, true, false},
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

// Members 2 and 3 are empty, and member 1 goes on without them as the only voter of a new ensemble, when the three are
// started. CI found it: 2 and 3 had met before 3 heard from 1, and 3 formed an ensemble with 2.
func TestForm_GivesTheOthersTime(t *testing.T) {
	q := fresh(t)
	two := []event{greeted(2, Hello{})}
	for range q.cfg.ElectionTicks {
		if err := q.form(two); err != nil || q.core != nil {
			t.Fatalf("after %d ticks: formed an ensemble %v, %v", q.ticks, q.core != nil, err)
		}
		two = nil
		q.tick()
	}
	if err := q.form(nil); err != nil || q.core == nil || q.joining() {
		t.Fatalf("nothing of the third for an election timeout, and no ensemble was formed: %v", err)
	}
}

// A member that was emptied while its ensemble lives never forms another one, however many are as empty.
func TestAwaitState(t *testing.T) {
	log, image := emptyDisk(t)
	if err := AwaitState(image); err != nil {
		t.Fatal(err)
	}
	q := third(t, log, image, newMemNet().node(3, 1))
	if q.core == nil || !q.joining() {
		t.Error("it does not wait for the state")
	}
	if !q.members.promised {
		t.Error("the others may take it for a fresh one")
	}
}

func greeted(from uint64, h Hello) event { return event{kind: eventGreeted, from: from, hello: h} }

func message(from uint64, kind pb.MessageType) event {
	return event{kind: eventMessage, from: from, message: &pb.Message{Type: kind.Enum()}}
}

// fresh is member 3 of three, stepped, with an empty disk and nobody to talk to.
func fresh(t *testing.T) *Quorum {
	log, image := emptyDisk(t)
	return third(t, log, image, newMemNet().node(3, 1))
}

func emptyDisk(t *testing.T) (*wal.Log, *checkpoint.Store) {
	fs := vfs.NewMem()
	log, err := wal.Open(wal.Config{FS: fs, Dir: "log", Stepped: true})
	if err != nil {
		t.Fatal(err)
	}
	image, err := checkpoint.Open(checkpoint.Config{FS: fs, Dir: "image"})
	if err != nil {
		t.Fatal(err)
	}
	return log, image
}

// third is member 3 of three, stepped.
func third(t *testing.T, log *wal.Log, image Image, net Network) *Quorum {
	q, err := Open(Config{ID: 3, Process: 1, Log: log, Image: image, Ensemble: lines(t, 1, 2, 3), Network: net, Stepped: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	return q
}

// thirdOf is a stepped member 3 that has been among these voters before.
func thirdOf(t *testing.T, net Network, voters ...uint64) *Quorum {
	log, store := emptyDisk(t)
	state := tree.New()
	data := tree.AppendBatchHeader(nil, tree.BatchHeader{TimeMs: 1})
	data = tree.AppendBootstrap(data, &tree.CommandHeader{}, &tree.Bootstrap{ClusterID: 7, Ensemble: lines(t, voters...)})
	if _, err := state.Apply(tree.Batch{Term: 1, Data: data}); err != nil {
		t.Fatal(err)
	}
	if err := log.Reset(5, 1); err != nil {
		t.Fatal(err)
	}
	stored := point{root: state.Root(), mark: mark{5, 1}, conf: &pb.ConfState{Voters: voters}}
	if err := (&image{store: store}).put(nil, stored); err != nil {
		t.Fatal(err)
	}
	return third(t, log, store, net)
}

// Member 1 was removed and admitted again, and leads now, while member 3 was away: what 3 knows of the members does not have
// it. quorum/sim found (seed 2332) that 3 let it in no more, and that nobody else could tell 3 of it.
func TestAstray(t *testing.T) {
	node := newMemNet().node(3, 1)
	q := thirdOf(t, node, 2, 3)
	heartbeat := func(from, term uint64) {
		to := uint64(3)
		m := &pb.Message{Type: pb.MsgHeartbeat.Enum(), From: &from, To: &to, Term: &term}
		if err := q.core.step([]*pb.Message{m}); err != nil {
			t.Fatal(err)
		}
		q.setPeers()
	}
	heartbeat(2, 1)
	if node.peers[1] || !node.peers[2] {
		t.Errorf("a leader that is known: peers %v", node.peers)
	}
	for range 3 * q.cfg.ElectionTicks {
		q.tick()
	}
	if !node.peers[1] || !node.peers[2] {
		t.Errorf("no leader: peers %v", node.peers)
	}
	heartbeat(1, 9)
	if !node.peers[1] {
		t.Errorf("a leader that was admitted since: peers %v", node.peers)
	}
	heartbeat(2, 10)
	if node.peers[1] {
		t.Errorf("a leader that is known again: peers %v", node.peers)
	}
}
