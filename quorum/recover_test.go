package quorum

import (
	"strings"
	"testing"

	"holt/tree"
	"holt/wal"
	"holt/wal/checkpoint"
)

// A state from elsewhere is what the member has from then on, in the term that it was given; and it is not given up for one that is
// awaited.
func TestBegin(t *testing.T) {
	logDir, imageDir := t.TempDir(), t.TempDir()
	open := func() (*wal.Log, *checkpoint.Store) {
		log, err := wal.Open(wal.Config{Dir: logDir, SegmentBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		store, err := checkpoint.Open(checkpoint.Config{Dir: imageDir})
		if err != nil {
			t.Fatal(err)
		}
		return log, store
	}
	closeBoth := func(log *wal.Log, store *checkpoint.Store) {
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	members := []tree.Member{{ID: 1, Host: "127.0.0.1", PeerPort: 1, ElectionPort: 2}, {ID: 2, Host: "127.0.0.1", PeerPort: 3, ElectionPort: 4, Observer: true}}
	e, err := tree.NewEnsemble(members, 0)
	if err != nil {
		t.Fatal(err)
	}
	log, store := open()
	b := &Beginning{ID: tree.NodeOf(2), State: tree.New(), Term: 7, Identity: &tree.Bootstrap{ClusterID: 5, Ensemble: e}, NowMs: 1000}
	if err := Begin(b, log, store); err == nil || !strings.Contains(err.Error(), "no participant") {
		t.Errorf("an observer begins: %v", err)
	}
	b.ID = tree.NodeOf(1)
	if err := Begin(b, log, store); err != nil {
		t.Fatal(err)
	}
	closeBoth(log, store)

	log, store = open()
	defer closeBoth(log, store)
	s, err := OpenSurvivor(tree.NodeOf(1), log, store)
	if err != nil {
		t.Fatal(err)
	}
	if r := s.Root(); r.ClusterID() != 5 || r.Zxid() != 7<<32 || len(r.Ensemble().Members) != 2 || s.Last != 1 || len(s.Voters) != 1 || log.HardState().Term != 7 {
		t.Errorf("cluster %d, zxid %#x, log to entry %d of term %d, voters %v", r.ClusterID(), uint64(r.Zxid()), s.Last, log.HardState().Term, s.Voters)
	}
	if err := AwaitState(store); err == nil || !strings.Contains(err.Error(), "holds a state") {
		t.Errorf("a member with a state awaits another: %v", err)
	}
}
