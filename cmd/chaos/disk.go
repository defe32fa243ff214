package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"holt/cmd/internal/ensemble"
)

// A log of segments that were allocated long ago does not notice a full disk for long. So while a disk is full large values
// are written until the member says that it has felt it; and a little of that all the time has logs cut.
const (
	bulkNodes  = 16
	bulkBytes  = 8 << 10
	bulkPause  = 20 * time.Millisecond
	floodBytes = 128 << 10
	floodPause = time.Millisecond

	feltPatience = 20 * time.Second
	feltHolt     = `msg="space for the log" full=true`
)

func bulkNode(i int) string { return fmt.Sprintf("%s/%d", bulkPath, i) }

// flood is one session that writes values that nobody reads, whatever becomes of them.
type flood struct {
	conn    *zk.Conn
	stop    chan struct{}
	running sync.WaitGroup
}

func startFlood(servers []string, bytes int, pause time.Duration) (*flood, error) {
	conn, _, err := zk.Connect(servers, 10*time.Second, zk.WithLogger(quiet{}))
	if err != nil {
		return nil, err
	}
	f := &flood{conn: conn, stop: make(chan struct{})}
	f.running.Go(func() { f.run(make([]byte, bytes), pause) })
	return f, nil
}

func (f *flood) run(value []byte, pause time.Duration) {
	next := time.NewTicker(pause)
	defer next.Stop()
	for i := 0; ; i++ {
		select {
		case <-f.stop:
			return
		case <-next.C:
			_, _ = f.conn.Set(bulkNode(i%bulkNodes), value, -1) // refused or not: see fill
		}
	}
}

func (f *flood) end() {
	close(f.stop)
	f.conn.Close() // what waits for an answer fails
	f.running.Wait()
}

func (c *campaign) fillLeader(h *hit) error { return c.fill(h, h.leader) }
func (c *campaign) fillOther(h *hit) error  { return c.fill(h, h.others[0]) }

// fill fills a member's disk, and its log until it feels that: other faults at the same time may keep it from it. What a
// checkpoint frees meanwhile is filled too: with it, a member can go on for long. A ZooKeeper ends by itself.
func (c *campaign) fill(h *hit, one *ensemble.Member) (err error) {
	h.one = one
	said := one.LogSize()
	if err := one.FillDisk(); err != nil {
		return err
	}
	var servers []string
	for _, m := range c.members.Others(one) {
		servers = append(servers, m.Addr())
	}
	if h.flood, err = startFlood(servers, floodBytes, floodPause); err != nil || h.several || c.kind != string(ensemble.Holt) {
		return err
	}
	for deadline := time.Now().Add(feltPatience); !one.Said(feltHolt, said); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.flood.end()
			return fmt.Errorf("member %d has not felt for %v that its disk is full: the fault was none", one.ID, feltPatience)
		}
		if err := one.FillDisk(); err != nil {
			h.flood.end()
			return err
		}
	}
	return nil
}

func (c *campaign) freeDisk(h *hit) error {
	h.flood.end()
	return h.one.FreeDisk()
}
