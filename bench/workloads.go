package bench

import "slices"

// Kind is a workload as it is offered.
type Kind struct {
	Name    string
	Summary string
	Detail  string // what it does, and what its figures mean
	Example string // of a command line
	Open    bool   // it can run as an open loop (Rate)

	adjust func(c *Config)
	make   func(r *run) (workload, error)
}

const (
	workloadFailover = "failover"
	seriesPing       = "ping"
)

// Kinds are all workloads.
func Kinds() []Kind {
	return slices.Concat(plainKinds(), watchKinds(), recipeKinds(), otherKinds())
}

// Find looks a workload up by its name.
func Find(name string) (Kind, bool) {
	kinds := Kinds()
	i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		return Kind{}, false
	}
	return kinds[i], true
}

func plainKinds() []Kind {
	one := func(op string) func(r *run) (workload, error) { return newPlainLoad(Share{Op: op, Weight: 1}) }
	return []Kind{
		{
			Name: "get", Summary: "read znodes", Open: true, make: one("get"),
			Detail:  "getData of one of --nodes znodes, chosen by --keys. No watch is left.",
			Example: "holt bench get --conns 64 --pipeline 32",
		},
		{
			Name: "exists", Summary: "look whether znodes are there", Open: true, make: one("exists"),
			Detail:  "exists of one of --nodes znodes: a read whose reply has no data.",
			Example: "holt bench exists --keys zipfian:0.99",
		},
		{
			Name: "set", Summary: "write znodes", Open: true, make: one("set"),
			Detail:  "setData of --value bytes on one of --nodes znodes, whatever its version.",
			Example: "holt bench set --conns 64 --value 100",
		},
		{
			Name: "create", Summary: "create znodes", Open: true, make: one("create"),
			Detail:  "create of persistent znodes with --value bytes, in a directory of each connection. They are removed at the end; with many of them that takes a while.",
			Example: "holt bench create --conns 64 --pipeline 16 --duration 5s",
		},
		{
			Name: "create-delete", Summary: "create znodes and delete them", Open: true, make: one("create-delete"),
			Detail:  "Each znode that was created is deleted by a later request of its connection, so that the tree keeps its size. Both count as operations.",
			Example: "holt bench create-delete --conns 64",
		},
		{
			Name: "ephemeral", Summary: "the same with ephemeral znodes", Open: true, make: one("ephemeral"),
			Detail:  "create-delete with znodes that belong to the session.",
			Example: "holt bench ephemeral --conns 64",
		},
		{
			Name: "multi", Summary: "transactions of --ops writes", Open: true, make: one("multi"),
			Detail:  "multi of --ops setData on znodes chosen by --keys. A multi counts as one operation.",
			Example: "holt bench multi --ops 10",
		},
		{
			Name: "children", Summary: "list directories of --fanout children", Open: true, make: one("children"),
			Detail:  "getChildren of one of up to ten directories with --fanout children each.",
			Example: "holt bench children --fanout 1000",
		},
		{
			Name: "mixed", Summary: "several operations by weight", Open: true, make: newPlainLoad(),
			Detail:  "Each request is one of --mix at random, by weight; every operation has a latency of its own. A workload file can give operations their own sizes and keys.",
			Example: "holt bench mixed --mix get=90,set=10",
		},
	}
}

func watchKinds() []Kind {
	return []Kind{
		{
			Name: "watch", Summary: "one znode that --conns connections watch", make: newWatchLoad,
			Detail: "One connection sets a znode that --conns others watch, and sets it again when all have had the event (and, with --mode oneshot, have set their watch again). " +
				"notify is the time from the set to the event at each watcher, and its rate that of events delivered; rearm is the getData that sets a watch again; set is the write's own reply.",
			Example: "holt bench watch --conns 1000 --mode persistent",
			adjust: func(c *Config) {
				orElse(&c.Conns, 64)
				orElse(&c.Writers, 1)
				c.Nodes, c.Watches = 1, c.Conns
				c.Conns += c.Writers
				orElse(&c.Mode, ModeOneShot)
			},
		},
		{
			Name: "wide-watch", Summary: "--watches watches on --nodes znodes", make: newWatchLoad,
			Detail: "As watch, but the watches are spread over --nodes znodes, and --writers connections with --pipeline rounds each set znodes at random. " +
				"With --pid the memory that a watch costs the server is told.",
			Example: "holt bench wide-watch --conns 100 --nodes 10000 --watches 100000 --pipeline 16",
			adjust: func(c *Config) {
				orElse(&c.Conns, 100)
				orElse(&c.Writers, 1)
				orElse(&c.Nodes, 10_000)
				orElse(&c.Watches, 100_000)
				c.Conns += c.Writers
				orElse(&c.Mode, ModeOneShot)
			},
		},
		{
			Name: "recursive-watch", Summary: "recursive watches above --nodes znodes", make: newWatchLoad,
			Detail:  "Each of --conns connections has one persistent recursive watch above all znodes, so that every set is told to every connection.",
			Example: "holt bench recursive-watch --conns 64 --nodes 100 --pipeline 4",
			adjust: func(c *Config) {
				orElse(&c.Conns, 64)
				orElse(&c.Writers, 1)
				orElse(&c.Nodes, 100)
				c.Conns += c.Writers
				c.Mode = ModeRecursive
			},
		},
	}
}

func recipeKinds() []Kind {
	return []Kind{
		{
			Name: "lock", Summary: "the lock recipe: --conns clients, --locks locks", make: newLockLoad(false),
			Detail: "Each client takes its lock (ephemeral sequential znode, watch on the one before), holds it for --hold, gives it back and begins again. " +
				"acquire is the time from asking to holding, and its rate that of acquisitions; hand-over is the time from one client's request to give back until the next one knows that it holds. " +
				"Two holders at a time, and a lock that goes back in its order, are counted as lock violations.",
			Example: "holt bench lock --conns 64 --locks 16",
		},
		{
			Name: "leader", Summary: "leader election among --conns clients", make: newLockLoad(true),
			Detail: "As lock with one lock, but a leader stays in office for --hold and resigns by closing its session; then it comes back with a new one. " +
				"hand-over is how long there is no leader.",
			Example: "holt bench leader --conns 16 --hold 10ms",
		},
		{
			Name: "sessions", Summary: "sessions opened and closed", make: func(*run) (workload, error) { return sessionLoad{}, nil },
			Detail:  "--conns connections at a time connect, open a session, close it, and connect anew. open is the time from connect to the session, and its rate that of sessions; close is closeSession.",
			Example: "holt bench sessions --conns 64",
		},
		{
			Name: "idle", Summary: "sessions that only ping", make: func(*run) (workload, error) { return idleLoad{}, nil },
			Detail:  "--conns sessions ping every third of --session-timeout. With --pid the memory that a session costs the server is told.",
			Example: "holt bench idle --conns 20000 --session-timeout 30s --duration 30s",
			adjust:  func(c *Config) { orElse(&c.Conns, 1000) },
		},
	}
}

// The mix of soak unless another is given.
var soakMix = []Share{{Op: "get", Weight: 60}, {Op: "exists", Weight: 10}, {Op: "set", Weight: 15}, {Op: "create-delete", Weight: 10}, {Op: "ephemeral", Weight: 3}, {Op: "multi", Weight: 2}}

func otherKinds() []Kind {
	return []Kind{
		{
			Name: "queue", Summary: "the queue recipe: --writers producers, the others consume", make: newQueueLoad,
			Detail: "Producers create sequential znodes, consumers list, read and delete them; a child watch wakes those that find the queue empty. " +
				"take is the time from a message's making until it is taken, and its rate that of messages; put is the create. A message taken twice or lost counts as a lock violation.",
			Example: "holt bench queue --conns 32 --writers 16",
			adjust: func(c *Config) {
				orElse(&c.Conns, 32)
				orElse(&c.Writers, c.Conns/2)
			},
		},
		{
			Name: "discovery", Summary: "service discovery: register, list, watch, churn", make: newDiscoveryLoad,
			Detail: "Each of --conns connections registers an ephemeral instance of one of --services services and follows the lists of three of them with child watches. " +
				"Every instance goes and comes back, resting --hold on average. notice is the time from the last change of a service to the event at a follower; list is the getChildren that follows. " +
				"A follower whose last list is not what the server has counts as a lost event.",
			Example: "holt bench discovery --conns 200 --services 20 --hold 500ms",
			adjust:  func(c *Config) { orElse(&c.Hold, holdDefaults) },
		},
		{
			Name: "storm", Summary: "all connections lost at once, and back with their watches", make: newStormLoad,
			Detail: "--conns connections have --watches data watches on --nodes znodes in all. Every --every all are dropped, 100 znodes change, and all come back with their sessions and setWatches. " +
				"back is the time until a connection has its session, its watches and its events; all-back until the last has.",
			Example: "holt bench storm --conns 1000 --watches 100000 --every 2s",
			adjust: func(c *Config) {
				orElse(&c.Conns, 1000)
				orElse(&c.Watches, 100_000)
				c.Conns++
				c.ConnectAtOnce = max(c.ConnectAtOnce, 256)
			},
		},
		{
			Name: "failover", Summary: "the gap in writes while servers fail", make: func(r *run) (workload, error) { return &failoverLoad{run: r}, nil },
			Detail: "--conns connections write one after the other (resting --hold between writes); one that is lost goes to the next server with its session. Kill, hang or stop a server meanwhile. " +
				"The write gap is the longest time in which no client had a write acknowledged. An acknowledged write that is not there at the end counts as an order violation; a lost connection is no fault here.",
			Example: "holt bench failover --servers 127.0.0.1:2181,127.0.0.1:2182,127.0.0.1:2183 --conns 16 --hold 1ms --duration 30s",
			adjust: func(c *Config) {
				orElse(&c.Conns, 16)
				orElse(&c.SessionTimeout, 6_000_000_000)
			},
		},
		{
			Name: "soak", Summary: "a long mixed load that watches the servers' memory", Open: true, make: newPlainLoad(),
			Detail:  "As mixed, for an hour unless --duration says otherwise. With --pid the growth of the servers' memory over the second half is told.",
			Example: "holt bench soak --duration 1h --rate 5000 --pid 1234",
			adjust: func(c *Config) {
				if c.Duration == 0 {
					c.Duration = 3_600_000_000_000
				}
				if len(c.Mix) == 0 {
					c.Mix = soakMix
				}
			},
		},
	}
}
