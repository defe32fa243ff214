package netloop

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"time"

	"holt/perf"
	"holt/quorum"
	"holt/tree"
)

// Bounds of a connection and of a loop. Those that an operator may want to move are in Config.
const (
	fourLetterConnsMax  = 64        // four-letter words being answered at once
	keptBytesMax        = 1 << 20   // requests of one connection that wait behind its own write, beyond which it is not read
	turnBytesMax        = 256 << 10 // replies of one turn of one connection, beyond which they are written before going on
	outboundBytesSoft   = 1 << 20   // unsent bytes at which a connection's requests have to wait
	sliceChildrenMax    = 4096      // children visited before other connections have their turn
	sliceBytesMax       = 128 << 10 // bytes of a listing written before other connections have their turn
	flushConnsMax       = 512       // connections written to in one turn before others are read again
	inboundBytesStalled = 4 << 20   // unread bytes of a stalled connection where reading cannot be paused
	bufferBytesNew      = 512       // capacity of a new buffer
	bufferBytesKept     = 64 << 10  // a buffer larger than this is left to the collector instead of being kept for reuse
	buffersBytesMax     = 8 << 20   // capacity of all buffers that a loop keeps for reuse
	inboundBytesSmall   = 16 << 10  // of incomplete requests that a connection may have however many the others have
	idsMax              = 128       // identities of one connection; each of its writes carries them
	idsBytesMax         = 64 << 10  // their bytes
)

// A reply that fits one slice never has to be cut.
const _ = uint(outboundBytesSoft - sliceBytesMax)

// Config says what a Server serves and within which bounds. Zero values mean the default.
type Config struct {
	Addr    string // where clients connect, host:port
	Loops   int    // event loops; default one less than the machine has cores, at least 1, at most quorum.LoopsMax
	Process uint32 // names this run of the process in Origins, the same as quorum.Config.Process; not zero
	Logger  *slog.Logger

	ServerID            uint8 // top byte of the session ids made here
	TickMs              int   // ZooKeeper's tickTime; default 3000
	MinSessionTimeoutMs int   // default 2 ticks
	MaxSessionTimeoutMs int   // default 20 ticks

	MaxClientConns       int // per address; default 60, negative: no limit
	MaxConns             int // in all; default as many as file descriptors allow
	FrameBytesMax        int // jute.maxbuffer; default 1048575
	OutstandingPerConn   int // unanswered requests of one connection; default 1000
	OutstandingMax       int // unanswered writes in all beyond which connections with such are not read; default 10000
	OutboundBytesMax     int // unsent bytes at which a connection is closed; default 16 MiB, raised to hold large frames
	InboundBytesMax      int // incomplete requests of all connections together; default 256 MiB, raised to hold large frames
	SessionlessTimeoutMs int // for a ConnectRequest to arrive; default 10000
	LeaderWaitMs         int // that a ConnectRequest, or a client with an unanswered request, waits for a leader; default 2000

	Yield bool // while a quarter of the requests or more write, have the quorum go on after each round of reading; for one or two processors

	ReadOnly          bool     // readonlymode.enabled: without a leader, reads are served to clients that ask for no more
	LinearizableReads bool     // reads see all that was acknowledged anywhere before; false: as ZooKeeper's
	LinearizablePaths [][]byte // reads at or below these do, whatever LinearizableReads says; "" is all

	SkipACL        bool                             // zookeeper.skipACL
	DigestDisabled bool                             // DigestAuthenticationProvider.enabled=false
	DigestID       func(userPassword []byte) string // the id of the digest scheme; default tree.DigestID
	SuperDigest    string                           // the super user's id in the digest scheme; empty: none
	AuthSchemes    []string                         // enforce.auth.schemes: who has no id of one of these may only authenticate; nil: all may all
	EnsembleAuth   bool                             // the ensemble scheme is understood
	EnsembleNames  []string                         // ensembleAuthName: with it a client may name one of these only; nil: any

	// FourLetter answers a four-letter word and closes the connection; read is what the client sent after it. It is
	// called on a goroutine of its own (admin.ServeFourLetter). nil: words are not understood.
	FourLetter func(conn net.Conn, word string, read []byte)

	ContainerCheckIntervalMs int // between two looks for containers and TTL nodes to remove; default 60000
	ContainerMaxPerMinute    int // of them removed per minute; default 10000
	ContainerNeverUsedMs     int // age at which a container that never had a child goes; 0: never

	Metrics *perf.Metrics // for at least so many loops; default: fresh ones
	NowNs   func() int64  // monotonic, the same clock as quorum.Config.NowNs; default perf.Now
	NowMs   func() int64  // wall clock, ms since 1970, as quorum.Config.NowMs; default the system's
}

// Quorum is what a Server needs of a *quorum.Quorum.
type Quorum interface {
	Tail() *quorum.Commit
	Readers() *tree.Readers
	Epoch() uint64
	Propose(epoch uint64, commands []byte) error
	ProposeAsLeader(term uint64, commands []byte) error
	Sync(o tree.Origin, tag uint64) error
	Status() quorum.Status
	OnPublished(f func(*quorum.Commit))
	OnLost(f func())
	OnTouched(f func(ids []tree.SessionID))
	Touch(ids []tree.SessionID)
}

// replyBytesMax is the largest reply that is made in one piece. Whatever may precede it, it does not take a client that
// reads to OutboundBytesMax.
func (c *Config) replyBytesMax() int { return c.OutboundBytesMax - outboundBytesSoft - turnBytesMax }

var errConfig = errors.New("netloop: configuration")

// setDefaults fills in zero values and refuses nonsense.
func (c *Config) setDefaults() error {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&c.Loops, min(max(1, runtime.NumCPU()-1), quorum.LoopsMax))
	def(&c.TickMs, 3000)
	def(&c.MinSessionTimeoutMs, 2*c.TickMs)
	def(&c.MaxSessionTimeoutMs, 20*c.TickMs)
	def(&c.MaxClientConns, 60)
	def(&c.FrameBytesMax, 0xfffff)
	def(&c.OutstandingPerConn, 1000)
	def(&c.OutstandingMax, 10000)
	def(&c.OutboundBytesMax, 16<<20)
	def(&c.InboundBytesMax, 256<<20)
	c.OutboundBytesMax = max(c.OutboundBytesMax, 2*c.FrameBytesMax+4*outboundBytesSoft)
	c.InboundBytesMax = max(c.InboundBytesMax, 4*c.FrameBytesMax)
	def(&c.SessionlessTimeoutMs, 10000)
	def(&c.LeaderWaitMs, 2000)
	def(&c.ContainerCheckIntervalMs, 60000)
	def(&c.ContainerMaxPerMinute, 10000)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.DigestID == nil {
		c.DigestID = tree.DigestID
	}
	if c.NowNs == nil {
		c.NowNs = perf.Now
	}
	if c.NowMs == nil {
		c.NowMs = func() int64 { return time.Now().UnixMilli() }
	}
	if c.Metrics == nil {
		c.Metrics = perf.New(perf.Config{Loops: c.Loops})
	}
	return c.validate()
}

func (c *Config) validate() error {
	switch {
	case c.Process == 0:
		return fmt.Errorf("%w: Process must not be zero", errConfig)
	case c.Loops < 1 || c.Loops > quorum.LoopsMax:
		return fmt.Errorf("%w: %d loops; 1 to %d are possible", errConfig, c.Loops, quorum.LoopsMax)
	case c.TickMs < 1:
		return fmt.Errorf("%w: a tick of %d ms; at least 1 is needed", errConfig, c.TickMs)
	case c.MinSessionTimeoutMs < 1 || c.MaxSessionTimeoutMs < c.MinSessionTimeoutMs:
		return fmt.Errorf("%w: session timeouts from %d to %d ms; the smallest must be positive and not above the largest",
			errConfig, c.MinSessionTimeoutMs, c.MaxSessionTimeoutMs)
	case c.FrameBytesMax < 64 || c.FrameBytesMax > 1<<30:
		return fmt.Errorf("%w: frames of %d bytes; 64 to %d are possible", errConfig, c.FrameBytesMax, 1<<30)
	case c.OutstandingPerConn < 1 || c.OutstandingMax < 1:
		return fmt.Errorf("%w: %d unanswered requests per connection and %d in all; both must be positive",
			errConfig, c.OutstandingPerConn, c.OutstandingMax)
	}
	return nil
}
