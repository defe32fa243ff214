package quorum

import (
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"holt/tree"
)

// logDisk is a disk that has no room for another file of the log while it is full.
type logDisk struct {
	vfs.FS
	full atomic.Bool
}

func (d *logDisk) Create(name string, cat vfs.DiskWriteCategory) (vfs.File, error) {
	if d.full.Load() && strings.HasPrefix(name, "log/") {
		return nil, syscall.ENOSPC
	}
	return d.FS.Create(name, cat)
}

// A leader whose disk is full gives leadership to one that has room, who commits what the old one could not write down, and
// takes the clients of all but the old leader. Found with cmd/chaos: the whole ensemble stood still until there was space.
func TestFullLeaderHandsOver(t *testing.T) {
	disks := map[uint64]*logDisk{1: {FS: vfs.NewMem()}, 2: {FS: vfs.NewMem()}, 3: {FS: vfs.NewMem()}}
	e := newEnsembleOn(t, map[uint64]vfs.FS{1: disks[1], 2: disks[2], 3: disks[3]}, lines(t, 1, 2, 3), func(c *Config) { c.CheckpointBytes = 1 << 40 })
	full := e.leader()
	c := e.session(e.follower(), 1)
	disks[full].full.Store(true)
	sent := 0
	eventually(t, "the disk is full", func() bool {
		for range 50 {
			c.put(t, "/n", sent)
			sent++
		}
		return e.members[full].Status().Full
	})
	eventually(t, "another leads", func() bool {
		s := c.q.Status()
		return s.Leader != 0 && s.Leader != full
	})
	for i := range sent {
		if txn := c.next(t); txn.Code != tree.OK || string(txn.Path) != fmt.Sprintf("/n%06d", i) {
			t.Fatalf("answer %d: %v %q", i, txn.Code, txn.Path)
		}
	}
	disks[full].full.Store(false)
	e.converge()
}
