package peers

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"holt/quorum"
)

// Bounds.
const (
	handshakeTimeout = 3 * time.Second
	resolveTimeout   = 10 * time.Second
	connectTimeout   = time.Second             // per address; short, so that a link that heals is noticed soon
	raftUserTimeout  = 2500 * time.Millisecond // two keepalive probes fit, so that one lost packet ends nothing
	keepAliveIdle    = time.Second             // the smallest the kernel knows
	keepAliveCount   = 3
	halfOpenMax      = 64 // connections that have not said who they are
	reasonsMax       = 16 // different reasons logged per outage
	dialPauseMin     = 50 * time.Millisecond
	dialPauseMax     = time.Second
	dialFloor        = 20 * time.Millisecond // between two attempts, whatever says that the peer lives
	steadyAfter      = time.Second           // a stream that lived as long is redialled at once
	frameOverhead    = 64                    // what a queued frame costs beside its bytes
)

var queueBytesDefault = [quorum.LanesMax]int{
	quorum.LaneRaft:    16 << 20,
	quorum.LaneForward: 4 << 20,
	quorum.LaneImage:   4 << 20,
}

// Config says who this member is. ID, Process and Listen are needed.
type Config struct {
	ID           uint64 // of this member, not zero
	Process      uint32 // names this run of the process: random, not zero
	Listen       string // host:port; port 0 takes any, see Addr
	EnsembleHash uint64 // of the initial member list; fresh members with different ones refuse each other. 0: not compared
	Logger       *slog.Logger

	QueueBytes [quorum.LanesMax]int // bound of what waits per outgoing stream; zero is 16, 4 and 4 MiB

	// Wrap puts something around a new connection before the handshake, as TLS does. peer is nil on the accepting side.
	// It has as long as ctx, and must not return before its own handshake is done.
	Wrap func(ctx context.Context, c net.Conn, peer *quorum.Peer) (net.Conn, error)
	// Dial and ListenOn replace the system's, for tests.
	Dial     func(ctx context.Context, addr string) (net.Conn, error)
	ListenOn func(ctx context.Context, addr string) (net.Listener, error)
}

func (c *Config) setDefaults() error {
	if c.ID == 0 || c.Process == 0 {
		return errors.New("peers: ID and Process must not be zero")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	for l := range c.QueueBytes {
		if c.QueueBytes[l] <= 0 {
			c.QueueBytes[l] = queueBytesDefault[l]
		}
	}
	if c.Dial == nil {
		c.Dial = dialTCP
	}
	if c.ListenOn == nil {
		c.ListenOn = listenTCP
	}
	return nil
}

// Network is quorum.Network over TCP.
type Network struct {
	cfg      Config
	log      *slog.Logger
	receiver quorum.Receiver

	ctx    context.Context // done: closed
	cancel context.CancelFunc
	done   sync.WaitGroup // every goroutine
	once   sync.Once

	byID atomic.Pointer[map[uint64]*peer] // a copy of peers, for those who send

	mu       sync.Mutex
	stance   stance
	peers    map[uint64]*peer // all that were ever members: their streams must not overtake each other
	started  bool
	closed   bool
	listener net.Listener
	halfOpen []net.Conn // oldest first
	complain reasons    // about those who call

	pool framePool

	accepted, refused, garbled, crowded atomic.Uint64
}

var _ quorum.Network = (*Network)(nil)

// peer is another member: its outgoing lanes, each with a goroutine, and its incoming streams.
type peer struct {
	id      uint64
	out     [quorum.LanesMax]*outLane
	in      [quorum.LanesMax]inLane
	reasons reasons // why it is not reached

	// Guarded by Network.mu.
	addr    string // "": no member now
	process uint32 // of its newest run that greeted
	former  uint32 // the run before
}

// New returns a network that does nothing yet.
func New(cfg Config) (*Network, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	n := &Network{
		cfg: cfg, log: cfg.Logger, peers: map[uint64]*peer{},
		stance: stance{
			id: cfg.ID, ensemble: cfg.EnsembleHash, process: cfg.Process,
			versionMin: versionAccepted, versionMax: versionSpoken,
		},
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.byID.Store(&map[uint64]*peer{})
	return n, nil
}

// Start listens and dials. An address to listen on that does not exist yet, or has no name yet, is tried again until it
// does; other failures are returned.
func (n *Network) Start(r quorum.Receiver) error {
	n.receiver = r
	l, err := n.cfg.ListenOn(n.ctx, n.cfg.Listen)
	if err != nil && !maybeLater(err) {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		if l != nil {
			_ = l.Close()
		}
		return net.ErrClosed
	}
	n.started, n.listener = true, l
	n.goLocked(func() { n.listen(l, err) })
	for _, p := range n.peers {
		n.runLocked(p)
	}
	return nil
}

// Addr is where the network listens; nil while it does not.
func (n *Network) Addr() net.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listener == nil {
		return nil
	}
	return n.listener.Addr()
}

// goLocked starts a goroutine that Close waits for. n.mu is held and n is not closed.
func (n *Network) goLocked(f func()) {
	n.done.Add(1)
	go func() {
		defer n.done.Done()
		f()
	}()
}

// runLocked starts the lanes of a peer.
func (n *Network) runLocked(p *peer) {
	for _, l := range p.out {
		n.goLocked(l.run)
	}
}

// SetPeers implements quorum.Network. A changed address ends the streams to the old one.
func (n *Network) SetPeers(peers []quorum.Peer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	addrs := map[uint64]string{}
	for _, p := range peers {
		if p.ID == n.cfg.ID || p.ID == 0 {
			continue
		}
		addrs[p.ID] = p.Addr
		if n.peers[p.ID] == nil {
			n.addLocked(p.ID)
		}
	}
	for id, p := range n.peers {
		addr := addrs[id]
		if addr != p.addr {
			p.addr = addr
			for _, l := range p.out {
				l.aim(addr)
			}
		}
		if addr == "" {
			p.endIncomingLocked(refusal("the caller is no member of this ensemble any more"), 0)
		}
	}
}

func (n *Network) addLocked(id uint64) {
	p := &peer{id: id}
	for lane := range p.out {
		p.out[lane] = newOutLane(n, p, quorum.Lane(lane))
	}
	n.peers[id] = p
	copied := make(map[uint64]*peer, len(n.peers))
	for id, p := range n.peers {
		copied[id] = p
	}
	n.byID.Store(&copied)
	if n.started {
		n.runLocked(p)
	}
}

// SetCluster implements quorum.Network. Streams whose other side named another ensemble are ended.
func (n *Network) SetCluster(id uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed || n.stance.cluster == id {
		return
	}
	n.stance.cluster = id
	for _, p := range n.peers {
		for lane := range p.in {
			if s := p.in[lane].tail; s != nil {
				if why := n.stance.quarrel(s.hello.Cluster, 0, p.id); why != "" {
					s.end(refusal(why))
				}
			}
		}
		for _, l := range p.out {
			l.recheck(&n.stance)
		}
	}
}

// SetPromised implements quorum.Network.
func (n *Network) SetPromised() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stance.promised = true
}

// Frame implements quorum.Network.
func (n *Network) Frame(size int) []byte { return n.pool.get(size)[:0] }

// Send implements quorum.Network. A frame that was refused may be sent again.
func (n *Network) Send(to uint64, lane quorum.Lane, frame []byte) bool {
	p := (*n.byID.Load())[to]
	return p != nil && p.out[lane].send(frame)
}

// Reset implements quorum.Network. A Broken that is already on its way may still come, but not after a Send that
// succeeds.
func (n *Network) Reset(to uint64, lane quorum.Lane) {
	if p := (*n.byID.Load())[to]; p != nil {
		p.out[lane].reset()
	}
}

// Resume implements quorum.Network.
func (n *Network) Resume(from uint64, lane quorum.Lane) {
	if p := (*n.byID.Load())[from]; p != nil {
		n.mu.Lock()
		s := p.in[lane].tail
		n.mu.Unlock()
		if s != nil {
			s.resumed()
		}
	}
}

// Close implements quorum.Network. It must not be called by the Receiver's methods. The Receiver is not told of the ends
// of streams that Close itself brings about.
func (n *Network) Close() error {
	n.once.Do(func() {
		n.mu.Lock()
		n.closed = true
		n.cancel()
		listener := n.listener
		for _, c := range n.halfOpen {
			_ = c.Close()
		}
		for _, p := range n.peers {
			p.endIncomingLocked(net.ErrClosed, 0)
			for _, l := range p.out {
				l.close()
			}
		}
		n.mu.Unlock()
		if listener != nil {
			_ = listener.Close()
		}
	})
	n.done.Wait()
	return nil
}

// closing says that the Receiver is told nothing any more.
func (n *Network) closing() bool { return n.ctx.Err() != nil }

// reasons remembers what was said, so that each reason is logged once until things are well again.
type reasons struct {
	mu   sync.Mutex
	said map[string]struct{}
}

// first says whether why is new.
func (r *reasons) first(why string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.said[why]; ok || len(r.said) >= reasonsMax {
		return false
	}
	if r.said == nil {
		r.said = map[string]struct{}{}
	}
	r.said[why] = struct{}{}
	return true
}

// forget starts anew and says whether there was anything to forget.
func (r *reasons) forget() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	had := len(r.said) > 0
	r.said = nil
	return had
}
