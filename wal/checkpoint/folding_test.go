package checkpoint

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A start does not wait for tables to be folded, as it did for a minute when 5M znodes were to be; they are once the image
// has been read, and no more than once at a time.
func TestCompactionsWaitForLoad(t *testing.T) {
	fs := vfs.NewMem()
	s := mustOpen(t, testConfig(fs))
	s.loaded.Store(true) // so that none begins
	b := newBed(t, 1)
	root := b.state.Root()
	for i := range uint64(unfoldedTables + 2) {
		b.change(50)
		if err := s.Write(baseOf(root), b.state.Root(), Mark{Index: i + 1, Term: 1}); err != nil {
			t.Fatal(err)
		}
		root = b.state.Root()
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, testConfig(fs))
	defer s.Close()
	if m := s.db.Metrics(); m.Compact.Count != 0 || m.Compact.NumInProgress != 0 || m.Levels[0].Sublevels <= unfoldedTables {
		t.Fatalf("when the store is open: %d compactions, %d under way, %d layers of tables", m.Compact.Count, m.Compact.NumInProgress, m.Levels[0].Sublevels)
	}
	if _, _, err := s.Load(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		m := s.db.Metrics()
		if m.Compact.Count > 0 && m.Compact.NumInProgress == 0 {
			break
		}
		if m.Compact.NumInProgress > 1 {
			t.Fatalf("%d compactions at once", m.Compact.NumInProgress)
		}
		if time.Now().After(end) {
			t.Fatalf("after the image was read: %d compactions, %d under way", m.Compact.Count, m.Compact.NumInProgress)
		}
	}
	checkHolds(t, s, root, Mark{Index: unfoldedTables + 2, Term: 1})
}
