package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"time"
)

const (
	megabyte      = 1 << 20
	frameBytesMin = 64
	frameBytesMax = 1 << 30
)

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

	// Clients.
	clientAddr, clientPort, clientPortAddress,
	number("holt.loops", "Event loops that serve clients; 0 chooses by the number of cores.", 0, 1024,
		func(c *Config) *int { return &c.Client.Loops }),

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
	boolean("reconfigEnabled", "Whether `reconfig` is refused as disabled or, on one server, as unimplemented.",
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
		"The file `myid` in `dataDir` counts if there is a `server.N` line. With TTL nodes 254 at most.", 0, 255, nil)
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

// memberAddr checks one host:port:port of a server line and returns what follows it.
func memberAddr(value string) (host string, ports []int, rest string, err error) {
	host, rest, ok := strings.Cut(value, ":")
	if strings.HasPrefix(value, "[") {
		host, rest, ok = strings.Cut(value[1:], "]:")
	}
	if !ok || host == "" {
		return "", nil, "", errors.New("a server line is host:quorumPort:electionPort[:role][;[host:]clientPort]")
	}
	if err := checkHost(host); err != nil {
		return "", nil, "", err
	}
	for range 2 {
		var portText string
		portText, rest, _ = strings.Cut(rest, ":")
		port, err := parseNumber(portText, 1, 65535)
		if err != nil {
			return "", nil, "", fmt.Errorf("port %q: %w", portText, err)
		}
		ports = append(ports, port)
	}
	return host, ports, rest, nil
}

// Member is one server.N line.
type Member struct {
	ID           int
	Host         string
	QuorumPort   int
	ElectionPort int
	Observer     bool
	ClientAddr   string // host:port, or "" when the line has none
}

// parseMember reads the value of a server.N line (reference: ZooKeeper's QuorumPeer.QuorumServer). Several addresses
// of one member are separated by |; the first counts.
func parseMember(id int, value string) (Member, error) {
	m := Member{ID: id}
	addresses, client, _ := strings.Cut(value, ";")
	for i, address := range strings.Split(addresses, "|") {
		host, ports, role, err := memberAddr(address)
		if err != nil {
			return Member{}, err
		}
		if i == 0 {
			m.Host, m.QuorumPort, m.ElectionPort = host, ports[0], ports[1]
		}
		switch strings.ToLower(role) {
		case "", "participant":
		case "observer":
			m.Observer = true
		default:
			return Member{}, fmt.Errorf("role %q: it takes participant or observer", role)
		}
	}
	client, secure, _ := strings.Cut(client, ";")
	if secure != "" {
		return Member{}, errors.New("a secure client port: " + noTLS)
	}
	if client == "" {
		return m, nil
	}
	if !strings.Contains(client, ":") {
		client = ":" + client
	}
	host, port, err := parseHostPort(client, 1)
	m.ClientAddr = net.JoinHostPort(host, strconv.Itoa(port))
	return m, err
}
