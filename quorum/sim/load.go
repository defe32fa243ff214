package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	zk "holt/netloop/wire"
	"holt/tree"
)

// load is what one client asks for, drawn per client: some only read, some only fight over registers, some watch.
type load struct {
	timeoutMs int32
	pause     time.Duration // between two turns
	pipelined int           // unanswered requests beyond which it waits
	burst     int           // requests of one turn
	weights   [opKinds]int
	sum       int
}

// What a client may ask for.
const (
	doCreate = iota
	doEphemeral
	doSequential
	doSet
	doDelete
	doGet
	doExists
	doChildren
	doMulti
	doSync
	doWatch
	doContainer
	doClose
	opKinds
)

func (w *world) drawLoad() *load {
	d := w.clientDice
	l := &load{
		timeoutMs: int32(1200 + d.IntN(4)*800),
		pause:     []time.Duration{5, 20, 60, 200}[d.IntN(4)] * time.Millisecond,
		pipelined: []int{1, 4, 32}[d.IntN(3)],
		burst:     []int{1, 2, 8}[d.IntN(3)],
		weights:   [opKinds]int{10, 6, 4, 30, 8, 25, 10, 8, 8, 8, 2, 2, 0},
	}
	for i := range l.weights {
		switch d.IntN(4) {
		case 0:
			l.weights[i] = 0
		case 1:
			l.weights[i] *= 3
		}
	}
	if d.IntN(4) == 0 {
		l.weights[doClose] = 1
	}
	l.weights[doSet]++
	l.weights[doCreate]++
	for _, n := range l.weights {
		l.sum += n
	}
	return l
}

const (
	registers = 3
	shared    = 4
)

func (c *client) draw() int {
	n := c.dice.IntN(c.load.sum)
	for i, w := range c.load.weights {
		if n -= w; n < 0 {
			return i
		}
	}
	return doSet
}

// anyPath is a znode that others use too.
func anyPath(d *rand.Rand) string {
	switch d.IntN(8) {
	case 0:
		return "/d"
	case 1:
		return "/"
	case 2, 3:
		return fmt.Sprintf("/e%d", d.IntN(shared))
	case 4:
		return fmt.Sprintf("/d/%d", d.IntN(shared))
	}
	return fmt.Sprintf("/r%d", d.IntN(registers))
}

func (c *client) register() string { return fmt.Sprintf("/r%d", c.dice.IntN(registers)) }

// value is data that nobody else writes.
func (c *client) value() string {
	c.serial++
	if c.dice.IntN(64) == 0 {
		return fmt.Sprintf("%d-%d-%0*d", c.id, c.serial, 2000, 0)
	}
	return fmt.Sprintf("%d-%d", c.id, c.serial)
}

func (c *client) version() int32 {
	if c.dice.IntN(3) > 0 {
		return -1
	}
	return int32(c.dice.IntN(6))
}

// work sends one request.
func (c *client) work() {
	switch c.draw() {
	case doCreate:
		path := c.register()
		if c.dice.IntN(3) == 0 {
			path = []string{"/d", "/d/0", "/d/1", "/d/2"}[c.dice.IntN(4)]
		}
		c.create(path, 0)
	case doEphemeral:
		path := fmt.Sprintf("/e%d", c.dice.IntN(shared))
		if c.dice.IntN(3) == 0 {
			path = fmt.Sprintf("/d/%d", c.dice.IntN(shared))
		}
		c.create(path, tree.FlagEphemeral)
	case doSequential:
		c.create("/d/s", []int32{tree.FlagSequential, tree.FlagEphemeralSequential}[c.dice.IntN(2)])
	case doSet:
		path := c.register()
		if c.dice.IntN(4) == 0 {
			path = anyPath(c.dice)
		}
		r := &request{op: zk.OpSetData, path: path, data: c.value(), version: c.version()}
		q := zk.SetDataRequest{Path: []byte(r.path), Data: []byte(r.data), Version: r.version}
		c.send(r, q.Append)
	case doDelete:
		path := anyPath(c.dice)
		if path == "/" {
			path = c.register()
		}
		r := &request{op: zk.OpDelete, path: path, version: c.version()}
		q := zk.VersionRequest{Path: []byte(r.path), Version: r.version}
		c.send(r, q.Append)
	case doGet:
		c.look(zk.OpGetData, c.dice.IntN(2) == 0)
	case doExists:
		c.look(zk.OpExists, c.dice.IntN(2) == 0)
	case doChildren:
		c.look(zk.OpGetChildren2, c.dice.IntN(2) == 0)
	case doMulti:
		c.multi()
	case doSync:
		r := &request{op: zk.OpSync, path: "/"}
		q := zk.PathRequest{Path: []byte("/")}
		c.send(r, q.Append)
		if c.dice.IntN(2) == 0 && c.ready {
			c.look(zk.OpGetData, false)
		}
	case doWatch:
		if len(c.watches) > 12 {
			return
		}
		r := &request{op: zk.OpAddWatch, path: anyPath(c.dice), mode: zk.AddWatchMode(c.dice.IntN(2))}
		q := zk.AddWatchRequest{Path: []byte(r.path), Mode: r.mode}
		c.send(r, q.Append)
	case doContainer:
		r := &request{op: zk.OpCreateContainer, path: fmt.Sprintf("/c%d", c.dice.IntN(2)), flags: tree.FlagContainer}
		if c.dice.IntN(2) == 0 {
			r = &request{op: zk.OpCreate2, path: r.path + "/x", flags: tree.FlagEphemeral}
		}
		q := zk.CreateRequest{Path: []byte(r.path), ACL: zk.OpenACL, Flags: r.flags}
		c.send(r, q.Append)
	case doClose:
		if c.dice.IntN(20) == 0 {
			c.ending = true
			c.send(&request{op: zk.OpCloseSession}, nil)
		}
	}
}

func (c *client) create(path string, flags int32) {
	r := &request{op: zk.OpCreate2, path: path, data: c.value(), flags: flags}
	q := zk.CreateRequest{Path: []byte(path), Data: []byte(r.data), ACL: zk.OpenACL, Flags: flags}
	c.send(r, q.Append)
}

func (c *client) look(op zk.Op, watch bool) {
	r := &request{op: op, path: anyPath(c.dice), watch: watch}
	q := zk.WatchRequest{Path: []byte(r.path), Watch: watch}
	c.send(r, q.Append)
}

// multi changes several shared znodes, at times with a check that fails. It leaves the registers alone, whose histories
// would have to know of transactions.
func (c *client) multi() {
	var ops []zk.MultiOp
	for range 1 + c.dice.IntN(4) {
		path := []byte(fmt.Sprintf("/e%d", c.dice.IntN(shared)))
		switch c.dice.IntN(4) {
		case 0:
			ops = append(ops, zk.MultiOp{Op: zk.OpCreate2, Path: path, Data: []byte(c.value()), ACL: zk.OpenACL, Flags: int32(c.dice.IntN(2))})
		case 1:
			ops = append(ops, zk.MultiOp{Op: zk.OpSetData, Path: path, Data: []byte(c.value()), Version: -1})
		case 2:
			ops = append(ops, zk.MultiOp{Op: zk.OpDelete, Path: path, Version: -1})
		case 3:
			ops = append(ops, zk.MultiOp{Op: zk.OpCheck, Path: path, Version: c.version()})
		}
	}
	c.send(&request{op: zk.OpMulti, multi: ops}, func(b []byte) []byte {
		for i := range ops {
			b = ops[i].Append(b)
		}
		return zk.AppendMultiEnd(b)
	})
}
