package quorum

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"holt/tree"
	"holt/wal"
	"holt/wal/checkpoint"
)

// BenchmarkPropose is the whole path of a write without its network: queue, raft, log with fdatasync on a real disk,
// apply, publish. depth commands are in flight, as from depth connections that each wait for their answer.
func BenchmarkPropose(b *testing.B) {
	for _, depth := range []int{1, 16, 64, 1024} {
		b.Run(fmt.Sprintf("set=100B/depth=%d", depth), func(b *testing.B) { benchmarkPropose(b, depth) })
	}
}

func benchmarkPropose(b *testing.B, depth int) {
	dir := b.TempDir()
	log, err := wal.Open(wal.Config{FS: vfs.Default, Dir: dir + "/log"})
	if err != nil {
		b.Fatal(err)
	}
	image, err := checkpoint.Open(checkpoint.Config{FS: vfs.Default, Dir: dir + "/image"})
	if err != nil {
		b.Fatal(err)
	}
	q, err := Open(Config{ID: 1, Process: process, Log: log, Image: image})
	if err != nil {
		b.Fatal(err)
	}
	defer q.Close()
	answered := make(chan int, 1<<16)
	q.OnPublished(func(c *Commit) { answered <- len(c.Txns) })
	h := tree.CommandHeader{Origin: tree.Origin{Process: process, Conn: 1}, Session: 7}
	acl := tree.AppendACL(nil, tree.PermAll, []byte("world"), []byte("anyone"))
	first := tree.AppendOpenSession(nil, &h, &tree.OpenSession{ID: 7, TimeoutMs: 30000})
	h.Op = tree.OpCreate
	first = tree.AppendCreate(first, &h, &tree.Create{Path: []byte("/n"), ACL: acl})
	if err := q.Propose(0, first); err != nil {
		b.Fatal(err)
	}
	for n := 0; n < 2; n += <-answered {
	}
	set := tree.AppendSetData(nil, &h, &tree.SetData{Path: []byte("/n"), Data: make([]byte, 100), Version: -1})
	b.ReportAllocs()
	b.ResetTimer()
	flying := 0
	for sent := 0; sent < b.N; {
		for ; flying < depth && sent < b.N; flying, sent = flying+1, sent+1 {
			if err := q.Propose(0, set); err != nil {
				b.Fatal(err)
			}
		}
		flying -= <-answered
	}
	for flying > 0 {
		flying -= <-answered
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
}
