package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
)

const (
	workersN        = 8
	sessionTimeout  = 9 * time.Second // of workers: longer than any outage, so an expiry is a fault
	abandonTimeout  = 5 * time.Second // of sessions that are left to expire
	expirySlack     = 4 * time.Second // bucket, tick, and a machine that is busy with other things
	reconnectLimit  = 15 * time.Second
	root            = "/crash"
	unlimitedACLNum = 31
)

var open = zk.WorldACL(unlimitedACLNum)

// client is one session that survives the server's deaths.
type client struct {
	conn *zk.Conn
	cut  atomic.Bool // dial no more, drop what is there
	mu   sync.Mutex
	sock net.Conn
}

func dial(addr string, timeout time.Duration) (*client, error) {
	c := &client{}
	conn, _, err := zk.Connect([]string{addr}, timeout, zk.WithLogger(silent{}), zk.WithDialer(c.dial))
	if err != nil {
		return nil, err
	}
	c.conn = conn
	return c, c.attached()
}

func (c *client) dial(network, addr string, timeout time.Duration) (net.Conn, error) {
	if c.cut.Load() {
		return nil, errors.New("cut")
	}
	s, err := net.DialTimeout(network, addr, timeout)
	if err == nil {
		c.mu.Lock()
		c.sock = s
		c.mu.Unlock()
	}
	return s, err
}

// attached waits until the session is established on the server.
func (c *client) attached() error {
	deadline := time.Now().Add(reconnectLimit)
	for time.Now().Before(deadline) {
		if c.conn.State() == zk.StateHasSession {
			return nil
		}
		time.Sleep(2 * time.Millisecond)
	}
	return fmt.Errorf("session 0x%x is not attached after %v", c.conn.SessionID(), reconnectLimit)
}

// abandon drops the connection without closing the session: what the library sends to close it finds no connection.
func (c *client) abandon() {
	c.cut.Store(true)
	c.mu.Lock()
	_ = c.sock.Close()
	c.mu.Unlock()
	c.conn.Close()
}

type silent struct{}

func (silent) Printf(string, ...any) {}

// worker writes in its own directory, one request at a time, until told to stop or cut off.
type worker struct {
	*client
	dir    string
	id     int64
	n      int
	random *rand.Rand
	model  *model
	counts counts
}

// run writes until stop is set or the server is gone.
func (w *worker) run(stop *atomic.Bool) {
	for !stop.Load() {
		w.n++
		if !w.step() {
			return
		}
	}
}

// step makes one random write; false says that its outcome is unknown, which ends the worker's round.
func (w *worker) step() bool {
	value := fmt.Sprintf("%d", w.n)
	switch w.random.IntN(10) {
	case 0, 1:
		return w.set(w.dir+"/counter", value)
	case 2, 3:
		return w.create(fmt.Sprintf("%s/n/%06d", w.dir, w.n), value, 0)
	case 4:
		return w.sequential(value)
	case 5:
		return w.create(fmt.Sprintf("%s/e/%06d", w.dir, w.n), value, zk.FlagEphemeral)
	case 6:
		return w.remove()
	default:
		return w.multi(value)
	}
}

func (w *worker) acknowledged(err error, sure, maybe func()) bool {
	if err == nil {
		sure()
		w.counts.Acknowledged++
		return true
	}
	maybe()
	w.counts.Unknown++
	return false
}

func (w *worker) set(path, value string) bool {
	_, err := w.conn.Set(path, []byte(value), -1)
	return w.acknowledged(err, func() { w.model.sure(path, value) }, func() { w.model.maybe(path, value) })
}

func (w *worker) create(path, value string, flags int32) bool {
	_, err := w.conn.Create(path, []byte(value), flags, open)
	return w.acknowledged(err, func() { w.model.sure(path, value) }, func() { w.model.maybe(path, value) })
}

func (w *worker) sequential(value string) bool {
	tag := fmt.Sprintf("%s seq %s", w.dir, value)
	path, err := w.conn.Create(w.dir+"/s/x-", []byte(tag), zk.FlagSequence, open)
	return w.acknowledged(err, func() { w.model.sure(path, tag) }, func() { w.model.maybeSomewhere(tag) })
}

// remove deletes a znode that is known to exist.
func (w *worker) remove() bool {
	path, ok := w.model.any(w.dir+"/n/", w.random)
	if !ok {
		return true
	}
	err := w.conn.Delete(path, -1)
	return w.acknowledged(err, func() { w.model.sure(path, absent) }, func() { w.model.maybe(path, absent) })
}

// multi moves a counter and makes two znodes in one transaction.
func (w *worker) multi(value string) bool {
	g := group{
		w.dir + "/pair": value,
		fmt.Sprintf("%s/n/%06d-left", w.dir, w.n):  value,
		fmt.Sprintf("%s/n/%06d-right", w.dir, w.n): value,
	}
	_, err := w.conn.Multi(
		&zk.CreateRequest{Path: fmt.Sprintf("%s/n/%06d-left", w.dir, w.n), Data: []byte(value), Acl: open},
		&zk.SetDataRequest{Path: w.dir + "/pair", Data: []byte(value), Version: -1},
		&zk.CreateRequest{Path: fmt.Sprintf("%s/n/%06d-right", w.dir, w.n), Data: []byte(value), Acl: open},
	)
	w.counts.Multis++
	return w.acknowledged(err, func() {
		for path, v := range g {
			w.model.sure(path, v)
		}
	}, func() { w.model.maybeAll(g) })
}
