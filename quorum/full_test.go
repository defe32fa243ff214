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

// logDisk is a disk that, while it is full, has no room for another file of the log, or for an image.
type logDisk struct {
	vfs.FS
	full atomic.Bool
}

func (d *logDisk) GetDiskUsage(path string) (vfs.DiskUsage, error) {
	if d.full.Load() {
		return vfs.DiskUsage{TotalBytes: 1 << 30}, nil
	}
	return d.FS.GetDiskUsage(path)
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

// A member that is sent the leader's state and has no room for it does not fill up the others' disks: their logs are cut though it
// takes the state over much later. Found with cmd/chaos: in the end nobody accepted writes.
func TestFullMemberDoesNotFillTheOthers(t *testing.T) {
	disks := map[uint64]*logDisk{1: {FS: vfs.NewMem()}, 2: {FS: vfs.NewMem()}, 3: {FS: vfs.NewMem()}}
	e := newEnsembleOn(t, map[uint64]vfs.FS{1: disks[1], 2: disks[2], 3: disks[3]}, lines(t, 1, 2, 3), nil)
	leader := e.leader()
	log := e.members[leader].cfg.Log
	away := e.follower()
	parted := func(parted bool) {
		for id := range disks {
			if id != away {
				e.net.part(away, id, parted)
			}
		}
	}
	parted(true)
	c := e.session(leader, 1)
	c.header.Op = tree.OpSetData
	value := make([]byte, 16<<10)
	write := func(bytes int) {
		for range bytes / len(value) {
			set := tree.AppendSetData(nil, &c.header, &tree.SetData{Path: []byte("/"), Data: value, Version: -1})
			if err := c.q.Propose(c.q.Epoch(), set); err != nil {
				t.Fatal(err)
			}
			if txn := c.next(t); txn.Code != tree.OK {
				t.Fatal(txn.Code)
			}
		}
	}
	at := log.LastIndex()
	write(4 << 20)
	eventually(t, "the log is cut", func() bool { return log.FirstIndex() > at+1 })
	disks[away].full.Store(true)
	parted(false)
	eventually(t, "the member says that it has no room", func() bool { return e.members[away].Status().Full })
	write(4 << 20)
	// Of 8 MiB twice CheckpointBytes must be kept, in segments of 256 KiB, and checkpoints may lag behind by a few.
	eventually(t, "the log of the leader is cut", func() bool { return log.LiveBytes() < 2<<20 })
	disks[away].full.Store(false)
	e.converge()
}
