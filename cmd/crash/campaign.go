package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
)

const (
	recoveryKillEvery = 7  // rounds between kills of a server that is still recovering
	expiryEvery       = 20 // rounds between waits for abandoned sessions to expire
	tidyEvery         = 10 // rounds between deletions, so that verification stays quick
)

// campaign is one run over many rounds.
type campaign struct {
	server    server
	random    *rand.Rand
	model     *model
	workers   []*worker
	abandoned []string  // ephemerals of sessions that nobody keeps alive
	started   time.Time // of the server that runs now
	counts    counts
	rounds    int
	loadMs    int
}

func (c *campaign) round() error {
	c.rounds++
	if err := c.startServer(); err != nil {
		return err
	}
	if err := c.attach(); err != nil {
		return err
	}
	if err := c.verify(); err != nil {
		return err
	}
	if c.rounds%expiryEvery == 0 {
		if err := c.expire(); err != nil {
			return err
		}
	}
	if c.rounds%tidyEvery == 0 {
		if err := c.tidy(); err != nil {
			return err
		}
	}
	if err := c.sessions(); err != nil {
		return err
	}
	c.load()
	return nil
}

// startServer starts the server, now and then after killing it while it recovers.
func (c *campaign) startServer() error {
	if c.rounds%recoveryKillEvery == 0 {
		if err := c.server.start(); err != nil {
			return err
		}
		time.Sleep(time.Duration(c.random.IntN(120)) * time.Millisecond)
		c.server.kill()
		c.counts.RecoveryKills++
	}
	c.started = time.Now()
	if err := c.server.start(); err != nil {
		return err
	}
	return c.server.ready()
}

// mayExpire takes note that abandoned sessions have been silent for so long in the life of this server that they may
// be gone. Before that they must be there: each start gives every session its full timeout.
func (c *campaign) mayExpire() {
	if time.Since(c.started) < abandonTimeout-200*time.Millisecond {
		return
	}
	for _, path := range c.abandoned {
		c.model.maybe(path, absent)
	}
}

// attach waits until every worker has its session back, the same one as before.
func (c *campaign) attach() error {
	if len(c.workers) == 0 {
		return c.hire()
	}
	for _, w := range c.workers {
		if err := w.attached(); err != nil {
			return err
		}
		if id := w.conn.SessionID(); id != w.id {
			return fmt.Errorf("session 0x%x is gone (the client was given 0x%x), though it was never silent for its timeout", w.id, id)
		}
		c.counts.Sessions++
	}
	return nil
}

func (c *campaign) hire() error {
	for i := range workersN {
		client, err := dial(c.server.addr, sessionTimeout)
		if err != nil {
			return err
		}
		w := &worker{
			client: client, dir: fmt.Sprintf("%s/w%d", root, i), id: client.conn.SessionID(), model: c.model,
			random: rand.New(rand.NewPCG(c.random.Uint64(), uint64(i))),
		}
		if i == 0 {
			w.create(root, "", 0)
			w.create(root+"/sessions", "", 0)
		}
		for _, path := range []string{"", "/n", "/s", "/e", "/counter", "/pair"} {
			if !w.create(w.dir+path, "", 0) {
				return fmt.Errorf("creating %s failed", w.dir+path)
			}
		}
		c.workers = append(c.workers, w)
	}
	return nil
}

// verify holds the model against the server.
func (c *campaign) verify() error {
	conn := c.workers[0].conn
	c.mayExpire()
	n, err := c.model.verify(conn)
	if err != nil {
		return err
	}
	c.counts.Verified += n
	for _, w := range c.workers {
		for _, dir := range []string{"/n", "/s", "/e"} {
			if err := c.model.unexpected(conn, w.dir+dir); err != nil {
				return err
			}
		}
		if err := c.owned(w); err != nil {
			return err
		}
	}
	return c.model.unexpected(conn, root+"/sessions")
}

// owned checks that the worker's ephemerals still belong to its session.
func (c *campaign) owned(w *worker) error {
	names, _, err := w.conn.Children(w.dir + "/e")
	if err != nil {
		return err
	}
	for _, name := range names {
		_, stat, err := w.conn.Exists(w.dir + "/e/" + name)
		if err != nil {
			return err
		}
		if stat.EphemeralOwner != w.id {
			return fmt.Errorf("%s/e/%s belongs to 0x%x, must be 0x%x", w.dir, name, stat.EphemeralOwner, w.id)
		}
		c.counts.Ephemerals++
	}
	return nil
}

// sessions opens one session that is closed and one that is abandoned, each with ephemerals.
func (c *campaign) sessions() error {
	for _, end := range []string{"closed", "abandoned"} {
		s, err := dial(c.server.addr, abandonTimeout)
		if err != nil {
			return err
		}
		var paths []string
		for i := range 3 {
			path := fmt.Sprintf("%s/sessions/%s-%06d-%d", root, end, c.rounds, i)
			if _, err := s.conn.Create(path, nil, zk.FlagEphemeral, open); err != nil {
				return err
			}
			paths = append(paths, path)
		}
		if end == "abandoned" {
			s.abandon()
			c.abandoned = append(c.abandoned, paths...)
			for _, p := range paths {
				c.model.sure(p, "") // every restart gives the session a full timeout
			}
			continue
		}
		s.conn.Close()
		for _, p := range paths {
			if _, _, err := c.workers[0].conn.Get(p); !errors.Is(err, zk.ErrNoNode) {
				return fmt.Errorf("%s outlived the closing of its session: %w", p, err)
			}
		}
		c.counts.Closed++
	}
	return nil
}

// expire lets the abandoned sessions run out and checks that their ephemerals are gone.
func (c *campaign) expire() error {
	time.Sleep(abandonTimeout + expirySlack)
	for _, path := range c.abandoned {
		if value, err := read(c.workers[0].conn, path); err != nil || value != absent {
			return fmt.Errorf("%s of a session that fell silent %v ago is still there (%q): %w", path, abandonTimeout+expirySlack, value, err)
		}
		c.model.sure(path, absent)
	}
	c.counts.Abandoned += len(c.abandoned) / 3
	c.abandoned = nil
	return nil
}

// tidy deletes most of what the workers made.
func (c *campaign) tidy() error {
	for _, w := range c.workers {
		for _, dir := range []string{"/n/", "/s/", "/e/"} {
			for {
				path, ok := w.model.any(w.dir+dir, w.random)
				if !ok {
					break
				}
				if err := w.conn.Delete(path, -1); err != nil {
					return fmt.Errorf("deleting %s, which exists: %w", path, err)
				}
				w.model.sure(path, absent)
			}
		}
	}
	return nil
}

// load lets the workers write for a random time and kills the server in the middle of it.
func (c *campaign) load() {
	var (
		stop atomic.Bool
		wait sync.WaitGroup
	)
	for _, w := range c.workers {
		wait.Go(func() { w.run(&stop) })
	}
	time.Sleep(time.Duration(10+c.random.IntN(c.loadMs)) * time.Millisecond)
	c.mayExpire()
	c.server.kill()
	stop.Store(true)
	wait.Wait()
	for _, w := range c.workers {
		c.counts.Acknowledged += w.counts.Acknowledged
		c.counts.Unknown += w.counts.Unknown
		c.counts.Multis += w.counts.Multis
		w.counts = counts{}
	}
}
