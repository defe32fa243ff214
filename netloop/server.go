package netloop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"holt/quorum"
	"holt/tree"
)

// Server serves ZooKeeper clients: New, Start, Stop, once each.
type Server struct {
	shared
	loops    []*loop
	reactor  *reactor
	acceptor *acceptor
	clock    *clock
	started  bool
	stopped  chan struct{} // closed when loops may not answer any more
}

// New checks the configuration; nothing is opened yet.
func New(cfg Config) (*Server, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	s := &Server{stopped: make(chan struct{})}
	s.cfg, s.log = cfg, cfg.Logger
	s.ids.begin(cfg.ServerID, cfg.NowMs())
	return s, nil
}

// Start opens the client port, starts the event loops and serves what q commits. It returns the address that clients
// reach, with the port that was chosen if the configured one is 0.
func (s *Server) Start(q Quorum) (net.Addr, error) {
	s.quorum = q
	ln, err := net.Listen("tcp", s.cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("netloop: opening the client port (is another server running?): %w", err)
	}
	s.makeLoops()
	if s.reactor, err = startReactor(s.loops, s.log); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	s.follow()
	s.clock.start()
	conns, files := connsMax(s.cfg.MaxConns)
	s.acceptor = &acceptor{listener: ln.(*net.TCPListener), enroll: s.reactor.enroll, log: s.log, metrics: s.cfg.Metrics, perIP: s.cfg.MaxClientConns, all: conns}
	s.acceptor.start()
	s.started = true
	s.log.Info("serving clients", "addr", ln.Addr().String(), "loops", len(s.loops), "connections_max", conns, "files_max", files)
	return ln.Addr(), nil
}

// Addr is where clients are served.
func (s *Server) Addr() net.Addr { return s.acceptor.listener.Addr() }

// Writing says whether a quarter or more of what is asked of an event loop, the one that looked last, has to wait for the quorum.
func (s *Server) Writing() bool { return s.writing.Load() }

// Move serves clients on another address and no more on the one before; connections stay. After an error all is as it was, unless
// both addresses have one port: then nothing is accepted until a Move succeeds. Start, Addr, Move and Stop are for one goroutine
// at a time.
func (s *Server) Move(addr string) error {
	if _, port, err := net.SplitHostPort(addr); err == nil && port == strconv.Itoa(s.Addr().(*net.TCPAddr).Port) {
		_ = s.acceptor.listener.Close()
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("netloop: opening another client port: %w", err)
	}
	s.acceptor.move(l.(*net.TCPListener))
	s.log.Info("serving clients", "addr", l.Addr().String())
	return nil
}

func (s *Server) makeLoops() {
	s.ledNs.Store(s.cfg.NowNs())
	for i := range s.cfg.Loops {
		l := newLoop(&s.shared, i)
		l.begin(s.quorum.Tail())
		s.loops = append(s.loops, l)
	}
}

// follow makes the clock and has the quorum tell clock and loops what happens.
func (s *Server) follow() {
	s.clock = newClock(&s.shared, s.loops)
	s.quorum.OnPublished(s.published)
	s.quorum.OnLost(s.lost)
	s.quorum.OnTouched(s.clock.touchedElsewhere)
}

// published wakes the loops that have something to do with a commit. It is called on the apply goroutine.
func (s *Server) published(c *quorum.Commit) {
	s.clock.published(c)
	for i, l := range s.loops {
		if c.Moved || c.Installed || c.Loops&(1<<i) != 0 || len(c.Changes) > 0 && l.hasWatches.Load() {
			l.wake()
		}
	}
}

// lost wakes the loops when an epoch has ended. It is called on the quorum goroutine.
func (s *Server) lost() {
	s.epochsLost.Add(1)
	for _, l := range s.loops {
		l.wake()
	}
}

// Drained is to be called when a quorum that said ErrBusy takes commands again. It must not be called before Start.
func (s *Server) Drained() {
	for _, l := range s.loops {
		l.wake()
	}
}

// drainInterval is how often Stop looks whether all has been answered.
const drainInterval = 5 * time.Millisecond

// Stop closes the client port, lets what was asked be answered until ctx ends, closes all connections and returns when
// every goroutine of the server has ended. The quorum has to outlive it.
func (s *Server) Stop(ctx context.Context) error {
	if !s.started {
		return nil
	}
	s.started = false
	err := s.acceptor.close()
	s.clock.close()
	for _, l := range s.loops {
		l.do(l.drainAll)
	}
	tick := time.NewTicker(drainInterval)
	defer tick.Stop()
	for s.connections() > 0 {
		select {
		case <-tick.C:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(s.stopped)
	s.words.close()
	s.quorum.OnPublished(func(*quorum.Commit) {})
	s.quorum.OnLost(func() {})
	s.quorum.OnTouched(func([]tree.SessionID) {})
	return errors.Join(err, s.reactor.stop())
}

// connections counts open connections.
func (s *Server) connections() int64 {
	var n int64
	for _, l := range s.loops {
		n += l.open.Load()
	}
	return n
}
