package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

const (
	megabyte      = 1 << 20
	frameBytesMin = 64
	frameBytesMax = 1 << 30
)

// serverKey stands for server.N.
const serverKey = "server.*"

// usedKeys are those that set a field of Config, in the order of the reference page.
var usedKeys = []Key{
	// Where the state lives, and who this is.
	text("dataDir", "Directory of the tree's durable image, of `myid`, and of the log unless `dataLogDir` is set. "+
		"Relative to the working directory. One process at a time: it is locked.", "a path",
		func(c *Config) *string { return &c.Data.Dir }, notEmpty).env("ZOO_DATA_DIR"),
	text("dataLogDir", "Directory of the write-ahead log, best on a disk of its own.", "a path",
		func(c *Config) *string { return &c.Data.LogDir }, notEmpty).env("ZOO_DATA_LOG_DIR"),
	boolean("datadir.autocreate", "Make the directories if they are missing.",
		func(c *Config) *bool { return &c.Data.AutoCreate }),
	serverID,

	// The ensemble.
	{
		Name: serverKey, Takes: "`host:port:port[:participant|observer][;[clientHost:]clientPort]`; the flag takes `N=` before it",
		Doc: "Member N: its peers reach it at the first port (Holt does not use the second). One participant alone is a server that stands alone; of several, " +
			"`myid` says which this is. The ensemble remembers its members: the lines count when it is founded, later `reconfig` changes it. Of several addresses with | " +
			"between them the first one counts.",
		set:  func(*Config, string) error { return nil }, // loader.member reads it
		show: func(*Config) string { return "" },
	},
	dynamicConfigFile,
	boolean("standaloneEnabled", "One participant stands alone. `false` makes it an ensemble of one, which `reconfig` can enlarge.",
		func(c *Config) *bool { return &c.Peers.StandaloneEnabled }).env("ZOO_STANDALONE_ENABLED"),
	boolean("quorumListenOnAllIPs", "Wait for peers on all interfaces, not on the address of the own server line only.",
		func(c *Config) *bool { return &c.Peers.ListenAll }).env("ZOO_QUORUM_LISTEN_ON_ALL_IPS"),
	boolean("readonlymode.enabled", "When the quorum is lost, serve reads to clients that ask for a read-only session. The word `isro` is answered "+
		"whatever the whitelist says.",
		func(c *Config) *bool { return &c.Admin.ReadOnlyMode }),
	text("peerType", "Checked against the server line, which counts.", "participant or observer",
		func(c *Config) *string { return &c.Peers.Type }, oneOf("participant", "observer")),

	// Clients.
	clientAddr, clientPort, clientPortAddress,
	number("holt.loops", "Event loops that serve clients; 0 chooses by the number of cores.", 0, 1024,
		func(c *Config) *int { return &c.Client.Loops }),

	// What reads see.
	{
		Name: "holt.reads", Takes: "local or linearizable",
		Doc: "`local` as in ZooKeeper: a member answers from what it has, which may be behind. `linearizable`: a read sees every write that was acknowledged " +
			"anywhere before it came, as if the client had called sync first; the reads that come together share one round to the leader.",
		set: func(c *Config, value string) error {
			c.Reads.Linearizable = strings.EqualFold(value, "linearizable")
			return oneOf("local", "linearizable")(value)
		},
		show: func(c *Config) string {
			if c.Reads.Linearizable {
				return "linearizable"
			}
			return "local"
		},
	},
	text("holt.linearizablePaths", "Reads at and below these paths are linearizable whatever `holt.reads` says.", "paths with commas between",
		func(c *Config) *string { return &c.Reads.LinearizablePaths }, func(value string) error {
			for _, p := range strings.Split(value, ",") {
				if p = strings.TrimSpace(p); p != "" && (p[0] != '/' || len(p) > 1 && strings.HasSuffix(p, "/")) {
					return fmt.Errorf("%q is not a path", p)
				}
			}
			return nil
		}),

	// Sessions.
	number("tickTime", "Milliseconds; the grain of session expiry and the unit of the session timeouts' defaults.", 1, math.MaxInt32,
		func(c *Config) *int { return &c.Sessions.TickMs }).env("ZOO_TICK_TIME"),
	number("minSessionTimeout", "Milliseconds; shorter wishes are raised to it. -1 means 2 ticks.", -1, math.MaxInt32,
		func(c *Config) *int { return &c.Sessions.TimeoutMsMin }),
	number("maxSessionTimeout", "Milliseconds; longer wishes are lowered to it. -1 means 20 ticks.", -1, math.MaxInt32,
		func(c *Config) *int { return &c.Sessions.TimeoutMsMax }),
	number("nio.sessionlessCnxnTimeout", "Milliseconds after which a connection that asked for no session is closed.", 1, math.MaxInt32,
		func(c *Config) *int { return &c.Sessions.SilentMs }),

	// Limits.
	number("maxClientCnxns", "Connections from one address; 0 is no limit.", 0, math.MaxInt32,
		func(c *Config) *int { return &c.Limits.ConnsPerAddress }).env("ZOO_MAX_CLIENT_CNXNS"),
	number("maxCnxns", "Connections in all; 0 is as many as the process may open.", 0, math.MaxInt32,
		func(c *Config) *int { return &c.Limits.Conns }),
	maxBuffer,
	number("globalOutstandingLimit", "Unanswered writes in the whole server beyond which connections with some are not read.", 1, math.MaxInt32,
		func(c *Config) *int { return &c.Limits.Outstanding }),
	number("holt.outstandingPerConn", "Unanswered requests of one connection beyond which it is not read.", 1, math.MaxInt32,
		func(c *Config) *int { return &c.Limits.OutstandingPerConn }),
	number("holt.outboundBytes", "Bytes of replies that one client may leave unread; beyond that it is disconnected.", 2*megabyte, math.MaxInt32,
		func(c *Config) *int { return &c.Limits.OutboundBytes }),
	number("holt.inboundBytes", "Bytes of incomplete requests of all connections together.", megabyte, math.MaxInt32,
		func(c *Config) *int { return &c.Limits.InboundBytes }),

	// The tree's rules.
	boolean("extendedTypesEnabled", "TTL nodes. On in Holt, off in ZooKeeper.",
		func(c *Config) *bool { return &c.Tree.TTLNodes }),
	boolean("enforceQuota", "Refuse writes beyond a hard quota; otherwise quotas only warn.",
		func(c *Config) *bool { return &c.Tree.EnforceQuota }),
	boolean("skipACL", "Let everybody do everything, whatever the ACLs say.",
		func(c *Config) *bool { return &c.Tree.SkipACL }),
	boolean("reconfigEnabled", "Take `reconfig`, which needs WRITE on `/zookeeper/config` (digest super, or an ACL of your own). A server that stands alone "+
		"answers that it is unimplemented. While it is off the addresses in this file win over the ensemble's for reaching members.",
		func(c *Config) *bool { return &c.Tree.ReconfigEnabled }).env("ZOO_RECONFIG_ENABLED"),
	number("znode.container.checkIntervalMs", "Milliseconds between two looks for containers and TTL nodes to remove.", 1, math.MaxInt32,
		func(c *Config) *int { return &c.Tree.ContainerCheckMs }),
	number("znode.container.maxPerMinute", "Containers and TTL nodes removed per minute at most.", 1, math.MaxInt32,
		func(c *Config) *int { return &c.Tree.ContainersPerMinute }),
	number("znode.container.maxNeverUsedIntervalMs", "Milliseconds after which a container that never had a child is removed; 0 keeps it.", 0, math.MaxInt32,
		func(c *Config) *int { return &c.Tree.ContainerUnusedMs }),

	// Authentication.
	boolean("DigestAuthenticationProvider.enabled", "The digest scheme (`addauth digest user:password`).",
		func(c *Config) *bool { return &c.Auth.DigestEnabled }),
	digestAlgorithm,
	superDigest,
	boolean("enforce.auth.enabled", "Serve only clients that have authenticated; of others every request but authentication is answered "+
		"with -124 and the end of the connection.", func(c *Config) *bool { return &c.Auth.Enforced }),
	text("enforce.auth.schemes", "Schemes of which they need an identity. Every client has one of ip.", "digest, ip, with commas between",
		func(c *Config) *string { return &c.Auth.Schemes }, anyText),
	text("ensembleAuthName", "Names of this ensemble: clients that present another one in an auth packet of the scheme ensemble are disconnected. "+
		"Needs an authProvider.N that ends in EnsembleAuthenticationProvider.", "names with commas between",
		func(c *Config) *string { return &c.Auth.EnsembleNames }, anyText),

	// The log and the checkpoint.
	boolean("forceSync", "Acknowledge a write only once it is on the disk. `no` is faster, and loses acknowledged writes when the machine dies.",
		func(c *Config) *bool { return &c.WAL.Sync }),
	preAllocSize,
	fsyncWarning,
	checkpointBytes, snapSizeLimit,

	// Operators.
	adminAddr,
	boolean("admin.enableServer", "The admin server: AdminServer commands, /metrics, health, profiles.",
		func(c *Config) *bool { return &c.Admin.Enabled }).env("ZOO_ADMINSERVER_ENABLED"),
	text("admin.serverAddress", "Interface of the admin server. Loopback unless told otherwise; ZooKeeper's is 0.0.0.0.", "a host or an address",
		func(c *Config) *string { return &c.Admin.Host }, checkHost),
	number("admin.serverPort", "Port of the admin server.", 0, 65535,
		func(c *Config) *int { return &c.Admin.Port }),
	whitelist,
	metricsClass, metricsHost, metricsPort,

	// The server's own log.
	text("holt.logLevel", "How much the server logs, to standard error.", "debug, info, warn or error",
		func(c *Config) *string { return &c.Logging.Level }, oneOf("debug", "info", "warn", "error")),
	text("holt.logFormat", "How it logs.", "text or json",
		func(c *Config) *string { return &c.Logging.Format }, oneOf("text", "json")),
}

func notEmpty(value string) error {
	if value == "" {
		return errors.New("must not be empty")
	}
	return nil
}

var serverID = func() Key {
	k := number("holt.id", "Number of this server, the top byte of the session ids it gives out. "+
		"The file `myid` in `dataDir` says it if there are `server.N` lines. With TTL nodes 254 at most.", 0, 255, nil)
	k.set = func(c *Config, value string) error {
		n, err := parseNumber(value, 0, 255)
		if err == nil {
			c.ID = uint8(n)
		}
		return err
	}
	k.show = func(c *Config) string { return strconv.Itoa(int(c.ID)) }
	return k.env("ZOO_MY_ID")
}()

var dynamicConfigFile = Key{
	Name: "dynamicConfigFile", Takes: "a path",
	Doc:  "A file with the server lines and nothing else, which then stand only there. With `reconfigEnabled` it is replaced when the members change.",
	set:  func(c *Config, value string) error { return notEmpty(value) }, // loader.dynamicFile reads it
	show: func(c *Config) string { return c.Peers.DynamicFile },
}

var clientAddr = Key{
	Name: "holt.clientAddr", Doc: "Where ZooKeeper clients connect. Port 0 takes any free port.", Takes: "host:port, or :port for all interfaces",
	set: func(c *Config, value string) error {
		host, port, err := parseHostPort(value, 0)
		if err == nil {
			c.Client.Host, c.Client.Port, c.Client.hostGiven = host, port, true
		}
		return err
	},
	show: func(c *Config) string { return c.Client.Addr() },
}

var clientPort = Key{
	Name: "clientPort", Doc: "The port alone: on all interfaces, as in ZooKeeper, unless `clientPortAddress` is set.", Takes: "a port",
	set: func(c *Config, value string) error {
		port, err := parseNumber(value, 0, 65535)
		if err != nil || port == 0 { // ZooKeeper reads 0 as not set
			return err
		}
		c.Client.Port = port
		if !c.Client.hostGiven {
			c.Client.Host = ""
		}
		return nil
	},
	show: func(c *Config) string { return strconv.Itoa(c.Client.Port) },
}

var clientPortAddress = Key{
	Name: "clientPortAddress", Doc: "The interface alone.", Takes: "a host or an address",
	set: func(c *Config, value string) error {
		if err := checkHost(value); err != nil {
			return err
		}
		c.Client.Host, c.Client.hostGiven = strings.Trim(value, "[]"), true
		return nil
	},
	show: func(c *Config) string { return c.Client.Host },
}

var maxBuffer = func() Key {
	k := number("jute.maxbuffer", "Bytes of the largest request. Clients have a limit of their own, of the same name, on replies.",
		frameBytesMin, frameBytesMax, func(c *Config) *int { return &c.Limits.FrameBytes })
	k.Takes += ", decimal or 0x hexadecimal"
	decimal := k.set
	k.set = func(c *Config, value string) error {
		if hex, ok := strings.CutPrefix(strings.ToLower(value), "0x"); ok { // Java reads it with Integer.decode
			n, err := strconv.ParseInt(hex, 16, 64)
			if err != nil {
				return errors.New("not a whole number")
			}
			value = strconv.FormatInt(n, 10)
		}
		return decimal(c, value)
	}
	return k
}()

var preAllocSize = Key{
	Name: "preAllocSize", Doc: "Kilobytes of one segment of the log; segments are allocated whole and used again.", Takes: "a number, at least 1",
	set: func(c *Config, value string) error {
		kilobytes, err := parseNumber(value, 1, 4<<20)
		if err == nil {
			c.WAL.SegmentBytes = max(int64(kilobytes)<<10, megabyte)
		}
		return err
	},
	show: func(c *Config) string { return strconv.FormatInt(c.WAL.SegmentBytes>>10, 10) },
}

var fsyncWarning = Key{
	Name: "fsync.warningthresholdms", Doc: "Milliseconds; an fsync that takes longer is logged and counted.", Takes: "a number, at least 1",
	set: func(c *Config, value string) error {
		ms, err := parseNumber(value, 1, math.MaxInt32)
		if err == nil {
			c.WAL.SlowSync = time.Duration(ms) * time.Millisecond
		}
		return err
	},
	show: func(c *Config) string { return strconv.FormatInt(c.WAL.SlowSync.Milliseconds(), 10) },
}

var checkpointBytes = Key{
	Name: "holt.checkpointBytes", Doc: "Bytes of log between two checkpoints: what a restart has to replay at most, about.", Takes: "a number, at least 1048576",
	set: func(c *Config, value string) error {
		n, err := parseNumber(value, megabyte, math.MaxInt64)
		if err == nil {
			c.Checkpoint.LogBytes = int64(n)
		}
		return err
	},
	show: func(c *Config) string { return strconv.FormatInt(c.Checkpoint.LogBytes, 10) },
}

var snapSizeLimit = Key{
	Name: "snapSizeLimitInKb", Doc: "The same in kilobytes. 0 and below leave the default.", Takes: "a number",
	set: func(c *Config, value string) error {
		kilobytes, err := parseNumber(value, math.MinInt32, math.MaxInt32)
		if err == nil && kilobytes > 0 {
			c.Checkpoint.LogBytes = max(int64(kilobytes)<<10, megabyte)
		}
		return err
	},
	show: func(c *Config) string { return strconv.FormatInt(c.Checkpoint.LogBytes>>10, 10) },
}

var adminAddr = Key{
	Name: "holt.adminAddr", Doc: "Where operators and dashboards connect: AdminServer commands, /metrics, /healthz, /readyz, profiles.",
	Takes: "host:port, or off",
	set: func(c *Config, value string) error {
		if value == "" || strings.EqualFold(value, "off") {
			c.Admin.Enabled = false
			return nil
		}
		host, port, err := parseHostPort(value, 0)
		if err == nil {
			c.Admin.Enabled, c.Admin.Host, c.Admin.Port = true, host, port
		}
		return err
	},
	show: func(c *Config) string {
		if !c.Admin.Enabled {
			return "off"
		}
		return c.Admin.Addr()
	},
}

var whitelist = text("4lw.commands.whitelist", "Four-letter words that are answered on the client port. ZooKeeper's default is `srvr` alone.",
	"words with commas between, or *", func(c *Config) *string { return &c.Admin.FourLetterWords }, anyText).env("ZOO_4LW_COMMANDS_WHITELIST")

var metricsClass = Key{
	Name: "metricsProvider.className", Doc: "With the Prometheus provider, /metrics is served on `metricsProvider.httpPort` as well as on the admin address.",
	Takes: "a class name",
	set: func(c *Config, value string) error {
		c.Admin.metricsClass = value
		c.Admin.MetricsEnabled = strings.HasSuffix(value, "PrometheusMetricsProvider")
		return nil
	},
	show: func(c *Config) string { return c.Admin.metricsClass },
}

var metricsHost = Key{
	Name: "metricsProvider.httpHost", Doc: "Interface of that address.", Takes: "a host or an address",
	set: func(c *Config, value string) error {
		c.Admin.MetricsHost = value
		return checkHost(value)
	},
	show: func(c *Config) string { return c.Admin.MetricsHost },
}

var metricsPort = Key{
	Name: "metricsProvider.httpPort", Doc: "Port of that address.", Takes: "a port",
	set: func(c *Config, value string) error {
		port, err := parseNumber(value, 0, 65535)
		if err == nil {
			c.Admin.MetricsPort, c.Admin.metricsPortGiven = port, true
		}
		return err
	},
	show: func(c *Config) string { return strconv.Itoa(c.Admin.MetricsPort) },
}
