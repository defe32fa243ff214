package config

import "strings"

// Why a key changes nothing. Several keys share a reason.
const (
	noTLS      = "TLS is not served yet. Remove the key, or set it to none, and put a TLS proxy in front"
	noSASL     = "Holt cannot require SASL yet, and would let in clients that ZooKeeper refuses. Remove the key, or use digest ACLs"
	peerTLS    = "TLS between members is not there yet. Remove the key, and put members into a network of their own"
	peerSASL   = "SASL between members is not there yet. Remove the key, and put members into a network of their own"
	raftClock  = "elections go by Holt's own clock: a leader that is not heard for 0.5 to 1 s is replaced, one whose process ends at once"
	raftCopes  = "a knob of ZooKeeper's broadcast; Holt's members run raft, which has no such stage"
	catchUp    = "a member that is behind is sent what it misses, however long that takes, while the others go on"
	oneAddress = "of several addresses of a member the first one counts"
	weighted   = "hierarchical quorums are not supported: every participant has one vote. Remove group, weight and oraclePath"
	javaServer = "a knob of ZooKeeper's Java server; Holt sizes itself"
	javaNet    = "a knob of NIO or Netty; Holt's event loops need none"
	groupWrite = "Holt's log takes all that waits with every fsync, and never waits for more"
	bounded    = "nothing to purge: Holt cuts its log behind every checkpoint by itself"
	watchTable = "Holt has one watch table, which is as small as ZooKeeper's optimised one"
	pipeline   = "a knob of ZooKeeper's request pipeline; Holt's has no such stage"
	throttle   = "Holt bounds what is in flight by globalOutstandingLimit and holt.outstandingPerConn, and slows the source instead of dropping"
	noSecure   = "belongs to the TLS port, which is not served yet"
)

// acceptedKeys are those that stand in ZooKeeper's files and set nothing here.
var acceptedKeys = []Key{
	// TLS and authentication: what would be unsafe to leave out is refused.
	refused("secureClientPort", noTLS, "none", "0", ""),
	refused("secureClientPortAddress", noTLS, "none", ""),
	refused("admin.forceHttps", noTLS, "false"),
	refused("admin.needClientAuth", noTLS, "false"),
	refused("metricsProvider.httpsPort", noTLS, "none", ""),
	refused("sslQuorum", peerTLS, "false"),
	refused("sessionRequireClientSASLAuth", noSASL, "false"),
	authProvider,
	accepted("allowSaslFailedClients", "SASL is answered as by a ZooKeeper without JAAS configuration", anyBool),
	accepted("superUser*", "belongs to SASL, which is not served yet; DigestAuthenticationProvider.superDigest works", anyText),
	accepted("SASLAuthenticationProvider.superPassword", "belongs to SASL, which is not served yet", anyText),
	accepted("letAnySaslUserDoX", "belongs to SASL, which is not served yet", anyText),
	accepted("sasl.*", "belongs to SASL, which is not served yet", anyText),
	accepted("kerberos.*", "belongs to SASL, which is not served yet", anyText),
	accepted("requireKerberosConfig", "belongs to SASL, which is not served yet", anyBool),
	accepted("security.auth_to_local", "belongs to SASL, which is not served yet", anyText),
	accepted("jaasLoginRenew", "belongs to SASL, which is not served yet", anyText),
	accepted("X509AuthenticationProvider.*", noSecure, anyText),
	accepted("ssl.*", noSecure, anyText),
	accepted("client.certReload", noSecure, anyBool),
	accepted("client.portUnification", noSecure, anyBool),
	accepted("fips-mode", noSecure, anyBool),
	noted("IPAuthenticationProvider.usexforwardedfor", "the ip scheme goes by the address of the connection", anyBool, "false"),

	// Ensembles.
	shown("initLimit", catchUp, func(c *Config) *int { return &c.Peers.InitLimit }).env("ZOO_INIT_LIMIT"),
	shown("syncLimit", catchUp+"; "+raftClock, func(c *Config) *int { return &c.Peers.SyncLimit }).env("ZOO_SYNC_LIMIT"),
	accepted("connectToLearnerMasterLimit", catchUp, atLeast(0)),
	accepted("observerMasterPort", "observers get everything from the leader", atLeast(0)),
	accepted("electionAlg", raftClock, oneOf("3")),
	accepted("syncEnabled", "observers keep log and image, always", anyBool),
	refused("group.*", weighted),
	refused("weight.*", weighted),
	refused("oraclePath", weighted),
	noted("localSessionsEnabled", "all sessions are global: what local ones save, Holt's group commit makes cheap", anyBool, "false"),
	accepted("localSessionsUpgradingEnabled", "all sessions are global", anyBool),
	accepted("portUnification", peerTLS, anyBool),
	accepted("sslQuorumReloadCertFiles", peerTLS, anyBool),
	refused("quorum.auth.enableSasl", peerSASL, "false"),
	refused("quorum.auth.learnerRequireSasl", peerSASL, "false"),
	refused("quorum.auth.serverRequireSasl", peerSASL, "false"),
	accepted("quorum.*", peerSASL, anyText),
	accepted("quorumCnxnTimeoutMs", raftCopes, anyNumber),
	accepted("multiAddress.*", oneAddress, anyText),
	accepted("cnxTimeout", "peers are dialled again after 50 ms to 1 s, for as long as they are members", anyNumber),
	accepted("electionPortBindRetry", "the address for peers is tried again until it can be had", anyNumber),
	accepted("fastleader.*", raftClock, anyNumber),
	accepted("leader.*", raftCopes, anyText),
	accepted("learner.*", raftCopes, anyText),
	accepted("follower.*", raftCopes, anyText),
	accepted("observer.*", raftCopes, anyText),
	accepted("observerMaster.*", "observers get everything from the leader", anyText),
	accepted("leaderServes", "every member serves clients, the leader too", oneOf("yes", "no")),
	accepted("leaderConnectDelayDuringRetryMs", raftCopes, anyNumber),
	accepted("forward_learner_requests_to_commit_processor_disabled", raftCopes, anyBool),
	accepted("tcpKeepAlive", "connections between members have keep-alive, always", anyBool),
	accepted("enableEagerACLCheck", "ACLs are checked when a write is applied, on every member alike", anyBool),

	// Storage.
	accepted("autopurge.snapRetainCount", bounded, atLeast(0)).env("ZOO_AUTOPURGE_SNAPRETAINCOUNT"),
	accepted("autopurge.purgeInterval", bounded, anyPeriod).env("ZOO_AUTOPURGE_PURGEINTERVAL"),
	accepted("snapCount", "a checkpoint costs what changed, so it goes by bytes of log: holt.checkpointBytes", atLeast(1)),
	accepted("txnLogSizeLimitInKb", "segments of the log have one size: preAllocSize", anyNumber),
	accepted("commitLogCount", catchUp, anyNumber),
	accepted("flushDelay", groupWrite, anyNumber),
	accepted("maxWriteQueuePollTime", groupWrite, anyNumber),
	accepted("maxBatchSize", groupWrite, anyNumber),
	accepted("snapshot.compression.method", "checkpoints have a format of their own", oneOf("", "gz", "snappy")),
	accepted("snapshot.trust.empty", "checkpoint and log name each other, so that a missing one is noticed", anyBool),
	accepted("serializeLastProcessedZxid.enabled", "checkpoints have a format of their own", anyBool),
	accepted("digest.enabled", "the digest of the tree is always kept", anyBool),
	accepted("db.autocreate", "a member that starts empty joins only an ensemble that knows it, and is refilled", anyBool),
	accepted("closeSessionTxn.enabled", "closing a session removes its ephemerals in the same transaction, always", anyBool),
	accepted("snapshotSizeFactor", catchUp, anyNumber),
	accepted("forceSnapshotSync", "`holt refill` has a member take everything anew", anyBool),
	accepted("testingonly.*", "for ZooKeeper's own tests", anyText),
	noted("emulate353TTLNodes", "Holt does not read ZooKeeper's database, where this would matter", anyBool, "false"),

	// Requests and connections.
	accepted("request_throttle_max_requests", throttle, anyNumber),
	accepted("request_throttle_stall_time", throttle, anyNumber),
	accepted("request_throttle_drop_stale", throttle, anyBool),
	accepted("request_stale_latency_check", throttle, anyBool),
	accepted("request_stale_connection_check", throttle, anyBool),
	accepted("request_throttler.shutdownTimeout", throttle, anyNumber),
	accepted("throttled_op_wait_time", throttle, anyNumber),
	accepted("largeRequestMaxBytes", "what all incomplete requests may hold is holt.inboundBytes", anyNumber),
	accepted("largeRequestThreshold", "what all incomplete requests may hold is holt.inboundBytes", anyNumber),
	noted("connection_throttle_tokens", "new connections are bounded by maxCnxns and maxClientCnxns only", anyNumber, "0"),
	accepted("connection_throttle_*", "counts with connection_throttle_tokens only", anyText),
	accepted("jute.maxbuffer.extrasize", "a bound on decoding; Holt decodes in place and needs none beyond jute.maxbuffer", anyNumber),
	accepted("maxResponseCacheSize", "replies are made in the connection's buffer; there is no cache to size", anyNumber),
	accepted("maxGetChildrenResponseCacheSize", "replies are made in the connection's buffer; there is no cache to size", anyNumber),
	accepted("serverCnxnFactory", javaNet, anyText),
	accepted("nio.*", javaNet, anyNumber),
	accepted("netty.*", javaNet, anyText),
	accepted("clientTcpKeepAlive", "pings and session timeouts find dead clients", anyBool),
	accepted("intBufferStartingSizeBytes", javaNet, anyNumber),
	accepted("commitProcessor.*", pipeline, anyNumber),
	accepted("watchManagerName", watchTable, anyText),
	accepted("watcherCleanThreshold", watchTable, anyNumber),
	accepted("watcherCleanIntervalInSeconds", watchTable, anyNumber),
	accepted("watcherCleanThreadsNum", watchTable, anyNumber),
	accepted("maxInProcessingDeadWatchers", watchTable, anyNumber),
	accepted("bitHashCacheSize", watchTable, anyNumber),

	// Operators.
	accepted("clientPortListenBacklog", "the system's own limit is used", atLeast(-1)),
	noted("admin.commandURL", "the commands are under /commands", anyText, "/commands"),
	accepted("admin.snapshot.enabled", "there is no snapshot over HTTP", anyBool),
	accepted("admin.restore.enabled", "there is no restore over HTTP", anyBool),
	accepted("admin.rateLimiterIntervalInMS", "there is no snapshot or restore over HTTP", anyNumber),
	accepted("admin.idleTimeout", "idle connections are closed after two minutes", anyNumber),
	accepted("admin.httpVersion", "HTTP 1.0 and 1.1 are both answered", anyNumber),
	accepted("admin.portUnification", noSecure, anyBool),
	accepted("metricsProvider.*", "for ZooKeeper's own providers", anyText),
	noted("audit.enable", "there is no audit log yet", anyBool, "false"),
	accepted("audit.*", "there is no audit log yet", anyText),
	accepted("messageTracker.*", "for debugging ZooKeeper's quorum", anyText),
	accepted("pathStats.*", "not kept", anyText),
	accepted("jvm.*", javaServer, anyText),
	accepted("jmx.*", "there is no JMX; the admin server has the same figures", anyText),
	accepted("root.logger", "see holt.logLevel", anyText),
	accepted("log.*", "see holt.logLevel", anyText),
	accepted("console.threshold", "see holt.logLevel", anyText),
}

// Keys are all that Holt knows, the used ones first.
var Keys = append(append([]Key{}, usedKeys...), acceptedKeys...)

// authProvider lets ACLs name the scheme of a provider that ZooKeeper would load. Nobody can present such an identity yet.
var authProvider = Key{
	Name: "authProvider.*", Kind: Noted,
	Doc: "classes of the JVM cannot be loaded. world, auth, digest and ip are built in, ensemble is there if its provider stands here; " +
		"ACLs may name sasl and x509 if their providers do, and admit nobody by them yet",
	set: func(c *Config, value string) error {
		switch class := value[strings.LastIndex(value, ".")+1:]; {
		case class == "DigestAuthenticationProvider" || class == "IPAuthenticationProvider":
			return nil
		case class == "EnsembleAuthenticationProvider":
			c.Auth.EnsembleScheme = true
			return nil
		case class == "SASLAuthenticationProvider":
			c.Tree.SASLScheme = true
		case strings.HasPrefix(class, "X509"):
			c.Tree.X509Scheme = true
		}
		return noteError("nobody can be admitted by its scheme: Holt has world, auth, digest, ip and ensemble")
	},
}
