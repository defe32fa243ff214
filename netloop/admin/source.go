package admin

import (
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"holt/perf"
	"holt/tree"
)

// Source is everything that an operator may ask about. Whoever wires the server fills it in; fields that are nil are answered
// as a server that does not have the thing. It is safe for use by many goroutines if its parts are.
type Source struct {
	Version   Version
	Config    Config
	Whitelist Whitelist
	Metrics   *perf.Metrics // required
	Clients   Clients       // required
	State     State         // required
	Logger    *slog.Logger  // nil: silent

	// Dirs returns the bytes on disk of the checkpoint and of the log.
	Dirs func() (dataBytes, logBytes int64)
	// LastCheckpoint returns the zxid and the time of the newest durable checkpoint.
	LastCheckpoint func() (zxid tree.Zxid, at time.Time, ok bool)

	traceMask atomic.Int64
	traceSet  atomic.Bool
}

// Clients is what netloop knows. The methods may wait for a turn of each event loop; none is called on a loop.
type Clients interface {
	// Connections returns all client connections, those without a session too.
	Connections() []Connection
	// ResetConnections is crst: the counters of each connection start again.
	ResetConnections()
	// WatchCounts sums up the watches of the loops.
	WatchCounts() WatchCounts
	// WatchedPaths returns the sessions that have a watch in the data table, by path.
	WatchedPaths() map[string][]tree.SessionID
	// Expiries returns which sessions end when (Unix ms) if they are not heard of again; nil if this server does not expire
	// sessions because it does not lead.
	Expiries() map[int64][]tree.SessionID
}

// WatchCounts are watch.Counts of all loops. A path counts once per loop that watches it.
type WatchCounts struct{ Conns, Paths, Watches int64 }

// State is the replicated state and this server's place in it.
type State interface {
	Root() *tree.Root // newest published
	Mode() Mode
	// Serving says whether requests are answered: not without a quorum, unless in read-only mode.
	Serving() bool
	// Ensemble is what this server knows of the others; nil if it stands alone.
	Ensemble() *Ensemble
}

// Ensemble is a member's view of its ensemble. Who the members are is in the tree (tree.Root.Ensemble), and not known before the
// first leader has written it down.
type Ensemble struct {
	ID     uint64
	Leader uint64 // 0: nobody is known to lead
	Peers  []Peer // of a leader: the other members, by id
}

// Peer is what a leader knows of another member.
type Peer struct {
	ID       uint64
	Observer bool
	Active   bool   // heard of lately
	Syncing  bool   // far behind: it is being sent the whole tree
	Lag      uint64 // entries of the log that it is not known to have
}

// synced says whether the member gets and acknowledges what is committed.
func (p *Peer) synced() bool { return p.Active && !p.Syncing }

// Mode is the role in srvr's words.
type Mode string

// The modes.
const (
	Standalone Mode = "standalone"
	Leader     Mode = "leader"
	Follower   Mode = "follower"
	Observer   Mode = "observer"
	ReadOnly   Mode = "read-only"
)

// Connection is one client connection as cons shows it. Latencies are ms.
type Connection struct {
	Remote        string // ip:port
	Secure        bool
	Reading       bool // its requests are being read (interest op 1)
	Queued        int64
	Received      int64
	Sent          int64
	Session       tree.SessionID // 0 = none yet
	LastOp        int32          // opcode of the last answer; 0 = none
	EstablishedMs int64          // Unix
	TimeoutMs     int32
	LastXid       int32 // -1 = none
	LastZxid      int64 // -1 = none
	LastReplyMs   int64 // monotonic clock
	ExpiresMs     int64 // Unix; when it is closed if it stays silent; 0 = unknown

	LastLatencyMs, MinLatencyMs, AvgLatencyMs, MaxLatencyMs int64
}

// Config is what conf and configuration show.
type Config struct {
	ClientPort, SecureClientPort             int // -1 = none
	DataDir, DataLogDir                      string
	TickMs, MaxClientConns                   int
	MinSessionTimeoutMs, MaxSessionTimeoutMs int
	ListenBacklog                            int // -1 = the system's
	ServerID                                 int64
	Quorum                                   *QuorumConfig // nil if standalone
	Text                                     string        // the configuration file as it was read
	Properties                               map[string]string
}

// QuorumConfig is what conf adds in an ensemble.
type QuorumConfig struct {
	InitLimit, SyncLimit, ElectionAlg, ElectionPort, QuorumPort int
	Observer                                                    bool
	Membership                                                  string // the server lines, as long as the ensemble has not agreed on any
}

// Version says which ZooKeeper this server is compatible with and which build it is.
type Version struct {
	ZooKeeper string // 3.9.5
	Build     string // of Holt; what is no letter, digit or dot shows as -
	Built     time.Time
}

// String is in the form "3.9.5-holt-1.0, built on 02/11/2026 20:18 UTC". The date has the form of ZooKeeper up to 3.5, as the
// regular expression of go-zookeeper insists on it; nobody insists on the newer one.
func (v Version) String() string {
	return fmt.Sprintf("%s-holt-%s, built on %s", v.ZooKeeper, strings.Map(versionRune, v.Build), v.Built.UTC().Format("01/02/2006 15:04 MST"))
}

// versionRune keeps what the same regular expression takes for part of a version.
func versionRune(r rune) rune {
	switch {
	case r >= '0' && r <= '9', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r == '.', r == '-':
		return r
	}
	return '-'
}

// defaultTraceMask is what a fresh ZooKeeper answers to gtmk. Holt has no tracing by mask; it keeps the number.
const defaultTraceMask = 306

func (s *Source) mask() int64 {
	if !s.traceSet.Load() {
		return defaultTraceMask
	}
	return s.traceMask.Load()
}

func (s *Source) setMask(v int64) {
	s.traceMask.Store(v)
	s.traceSet.Store(true)
}

func (s *Source) dirs() (data, log int64) {
	if s.Dirs == nil {
		return 0, 0
	}
	return s.Dirs()
}

func (s *Source) logger() *slog.Logger {
	if s.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Logger
}

// lopNames are the codes of cons's lop, as FinalRequestProcessor sets them.
var lopNames = map[int32]string{
	11: "PING", -10: "SESS", -11: "CLOS", 1: "CREA", 15: "CREA", 19: "CREA", 21: "CREA", 2: "DELE", 20: "DELE", 5: "SETD", 7: "SETA",
	3: "EXIS", 4: "GETD", 6: "GETA", 8: "GETC", 12: "GETC", 104: "GETACN", 103: "GETE", 14: "MULT", 22: "MLTR", 16: "RECO", 9: "SYNC",
	13: "CHEC", 101: "SETW", 105: "STW2", 106: "ADDW", 17: "CHKW", 18: "REMW", 107: "HOMI",
}

func (c *Connection) lop() string {
	if name, ok := lopNames[c.LastOp]; ok {
		return name
	}
	return "NA"
}

func (c *Connection) interestOps() int {
	if c.Reading {
		return 1
	}
	return 0
}
