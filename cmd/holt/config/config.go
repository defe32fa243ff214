package config

import (
	"net"
	"strconv"
	"strings"
	"time"

	"holt/netloop/admin"
	"holt/tree"
)

// Config is all that a server can be told. The zero value is not useful: start from Default.
type Config struct {
	File     string         // the zoo.cfg it was read from, "" if none
	ID       uint8          // myid; the top byte of session ids. 1 on a standalone server without one, as in ZooKeeper
	Members  []tree.Member  // the server lines
	Ensemble *tree.Ensemble // what they make; nil: this server stands alone

	Peers      Peers
	Data       Data
	Client     Client
	Reads      Reads
	Sessions   Sessions
	Limits     Limits
	Tree       Tree
	Auth       Auth
	Admin      Admin
	WAL        WAL
	Checkpoint Checkpoint
	Logging    Logging

	origins map[string]string // canonical key -> where its value came from; absent = default
}

// Data says where the state lives.
type Data struct {
	Dir        string // dataDir: the checkpoint, myid, and the log unless LogDir says otherwise
	LogDir     string // dataLogDir: the write-ahead log; equal to Dir by default
	AutoCreate bool   // datadir.autocreate: make missing directories
}

// Client is the address that ZooKeeper clients speak to.
type Client struct {
	Host  string // "" = all interfaces
	Port  int    // 0 = any free port (flags only)
	Loops int    // event loops; 0 = one per core

	hostGiven bool
}

// Reads says what a read may miss.
type Reads struct {
	Linearizable      bool   // holt.reads=linearizable
	LinearizablePaths string // holt.linearizablePaths as it was written
}

// Paths are those whose reads are linearizable whatever Linearizable says.
func (r *Reads) Paths() [][]byte {
	var paths [][]byte
	for _, p := range strings.Split(r.LinearizablePaths, ",") {
		if p = strings.TrimSpace(p); p == "/" {
			paths = append(paths, []byte{})
		} else if p != "" {
			paths = append(paths, []byte(p))
		}
	}
	return paths
}

// Addr is host:port in the form net.Listen takes.
func (c *Client) Addr() string { return net.JoinHostPort(c.Host, strconv.Itoa(c.Port)) }

// Sessions bounds what clients may negotiate. Times in milliseconds.
type Sessions struct {
	TickMs       int // tickTime: the grain of expiry, and the unit of the two defaults below
	TimeoutMsMin int // minSessionTimeout; 2 ticks by default
	TimeoutMsMax int // maxSessionTimeout; 20 ticks by default
	SilentMs     int // nio.sessionlessCnxnTimeout: a connection that sends no ConnectRequest is closed after that
}

// Limits bounds what can grow.
type Limits struct {
	ConnsPerAddress    int // maxClientCnxns; 0 = no limit
	Conns              int // maxCnxns; 0 = no limit
	FrameBytes         int // jute.maxbuffer: the largest request
	Outstanding        int // globalOutstandingLimit: requests in flight in the whole server
	OutstandingPerConn int // holt.outstandingPerConn
	OutboundBytes      int // holt.outboundBytes: unread replies of one connection; beyond that it is closed
	InboundBytes       int // holt.inboundBytes: incomplete requests of all connections together
}

// Tree holds the rules that commands are applied under.
type Tree struct {
	SkipACL             bool
	EnforceQuota        bool
	TTLNodes            bool // extendedTypesEnabled; on by default in Holt
	ReconfigEnabled     bool
	SASLScheme          bool // authProvider.N names a SASL provider: ACLs may name the scheme
	X509Scheme          bool // the same for x509
	ContainerCheckMs    int  // znode.container.checkIntervalMs
	ContainersPerMinute int  // znode.container.maxPerMinute
	ContainerUnusedMs   int  // znode.container.maxNeverUsedIntervalMs; 0 = an unused container stays
}

// Admin is what operators and dashboards speak to.
type Admin struct {
	Enabled          bool
	Host             string // loopback by default
	Port             int
	FourLetterWords  string // 4lw.commands.whitelist as it was written
	ReadOnlyMode     bool   // readonlymode.enabled: clients look for read-only servers with isro
	MetricsEnabled   bool   // metricsProvider.*: /metrics on an address of its own as well
	MetricsHost      string
	MetricsPort      int
	metricsPortGiven bool
	metricsClass     string
}

// Addr is host:port in the form net.Listen takes, or "" when the admin server is off.
func (a *Admin) Addr() string {
	if !a.Enabled {
		return ""
	}
	return net.JoinHostPort(a.Host, strconv.Itoa(a.Port))
}

// Whitelist is the set of four-letter words that are answered, and what was written that is none.
func (a *Admin) Whitelist() (admin.Whitelist, []string) {
	words := a.FourLetterWords
	if a.ReadOnlyMode { // FourLetterCommands.isEnabled
		words += ",isro"
	}
	return admin.ParseWhitelist(words)
}

// MetricsAddr is where /metrics is served besides Addr, or "".
func (a *Admin) MetricsAddr() string {
	if !a.MetricsEnabled {
		return ""
	}
	return net.JoinHostPort(a.MetricsHost, strconv.Itoa(a.MetricsPort))
}

// WAL is about the log.
type WAL struct {
	Sync         bool // forceSync; false loses acknowledged writes when the machine dies
	SegmentBytes int64
	SlowSync     time.Duration // fsync.warningthresholdms: an fsync that takes longer is logged
}

// Checkpoint says when the image of the tree is brought up to date and the log cut.
type Checkpoint struct {
	LogBytes int64 // snapSizeLimitInKb: log written since the last one
}

// Logging is about the server's own log.
type Logging struct {
	Level  string // debug, info, warn, error
	Format string // text, json
}

// Default is the configuration of a server that was told nothing.
func Default() *Config {
	return &Config{
		ID:    1,
		Peers: Peers{StandaloneEnabled: true, Type: "participant"},
		Data:  Data{Dir: "./data", AutoCreate: true},
		Client: Client{
			Host: "127.0.0.1", Port: 2181,
		},
		Sessions: Sessions{TickMs: 3000, TimeoutMsMin: -1, TimeoutMsMax: -1, SilentMs: 10_000},
		Limits: Limits{
			ConnsPerAddress:    60,
			FrameBytes:         0xfffff,
			Outstanding:        10000, // ZooKeeper's 1000 would halve the batches of 64 clients with 32 writes each
			OutstandingPerConn: 1000,
			OutboundBytes:      16 << 20,
			InboundBytes:       256 << 20,
		},
		Tree: Tree{TTLNodes: true, ContainerCheckMs: 60_000, ContainersPerMinute: 10_000},
		Auth: Auth{DigestEnabled: true, DigestAlgorithm: "SHA1"},
		Admin: Admin{
			Enabled: true, Host: "127.0.0.1", Port: 8080,
			FourLetterWords: admin.DefaultWhitelist, MetricsPort: 7000,
		},
		WAL:        WAL{Sync: true, SegmentBytes: 64 << 20, SlowSync: time.Second},
		Checkpoint: Checkpoint{LogBytes: 128 << 20},
		Logging:    Logging{Level: "info", Format: "text"},
		origins:    map[string]string{},
	}
}
