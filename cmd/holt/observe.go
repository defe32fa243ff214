package main

import (
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"holt/cmd/holt/config"
	"holt/netloop/admin"
	"holt/perf"
	"holt/quorum"
	"holt/tree"
)

// compatible is the release of ZooKeeper whose protocol, words and metrics Holt answers with.
const compatible = "3.9.5"

// adminSource is what operators may ask about this server. Clients is set once the client port is served.
func (s *server) adminSource() *admin.Source {
	source := &admin.Source{
		Version: admin.Version{ZooKeeper: compatible, Build: version + "." + buildCommit(), Built: buildTime()},
		Metrics: s.metrics, State: state{s}, Logger: s.logger, Config: adminConfig(s.cfg), Dirs: s.dirs,
		LastCheckpoint: func() (tree.Zxid, time.Time, bool) {
			c := s.lastCheckpoint.Load()
			if c == nil {
				return 0, time.Time{}, false
			}
			return c.zxid, c.at, true
		},
	}
	source.Whitelist, _ = s.cfg.Admin.Whitelist()
	return source
}

// buildTime is the time of the commit that the binary was built from, or the start of the process when it is not known.
func buildTime() time.Time {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.time" {
				if t, err := time.Parse(time.RFC3339, s.Value); err == nil {
					return t
				}
			}
		}
	}
	return time.Now()
}

// adminConfig is the configuration in the words of conf.
func adminConfig(c *config.Config) admin.Config {
	var text []byte
	if c.File != "" {
		text, _ = os.ReadFile(c.File) // it has just been read; if it is gone now there is nothing to show
	}
	_, port, _ := net.SplitHostPort(c.Client.Addr())
	n, _ := strconv.Atoi(port)
	conf := admin.Config{
		ClientPort: n, SecureClientPort: -1, DataDir: c.Data.Dir, DataLogDir: c.Data.LogDir,
		TickMs: c.Sessions.TickMs, MaxClientConns: c.Limits.ConnsPerAddress,
		MinSessionTimeoutMs: c.Sessions.TimeoutMsMin, MaxSessionTimeoutMs: c.Sessions.TimeoutMsMax, Text: string(text),
		ListenBacklog: -1,
	}
	if m, ok := c.Self(); ok {
		conf.ServerID = int64(m.ID)
		conf.Quorum = &admin.QuorumConfig{
			InitLimit: c.Peers.InitLimit, SyncLimit: c.Peers.SyncLimit, ElectionAlg: 3, ElectionPort: m.ElectionPort, QuorumPort: m.PeerPort,
			Observer: m.Observer, Membership: string(c.Ensemble.Text()),
		}
	}
	return conf
}

// checkpointed is a checkpoint that is on the disk.
type checkpointed struct {
	zxid tree.Zxid
	at   time.Time
}

// checkpointed takes note of the newest checkpoint.
func (s *server) checkpointed(c quorum.Checkpoint) {
	if c.Err == nil {
		s.lastCheckpoint.Store(&checkpointed{c.Zxid, time.Now()})
		s.metrics.CheckpointDisk.Set(s.image.DiskBytes())
	}
}

// dirs returns the bytes on disk of the checkpoint and of the log.
func (s *server) dirs() (data, log int64) {
	log, _ = s.log.DiskBytes() // a directory that cannot be listed shows as empty
	return s.image.DiskBytes(), log
}

// znodeOverheadBytes is what a znode takes in memory besides its data and path, about; BENCHMARKS.md has the measured
// size. DataBytes counts whole paths of which the tree keeps the last part, so this is an upper estimate for deep trees.
const znodeOverheadBytes = 52

// sources are the levels that metrics read at a scrape.
func (s *server) sources() perf.Sources {
	root := func(f func(*tree.Root) int64) func() int64 {
		return func() int64 { return f(s.quorum.Tail().Root) }
	}
	return perf.Sources{
		Znodes:          root((*tree.Root).NodeCount),
		DataBytes:       root((*tree.Root).DataBytes),
		Ephemerals:      root((*tree.Root).EphemeralCount),
		Sessions:        root(func(r *tree.Root) int64 { return int64(r.SessionCount()) }),
		TreeBytes:       root(func(r *tree.Root) int64 { return r.DataBytes() + znodeOverheadBytes*r.NodeCount() }),
		LastZxid:        root(func(r *tree.Root) int64 { return int64(r.Zxid()) }),
		Leader:          func() bool { return s.quorum.Status().Role == quorum.Leader },
		LeaderUptimeMs:  s.client.LeaderUptimeMs,
		ContactNs:       func() int64 { return s.client.LeaderContactNs(s.quorum.Status()) },
		ReadOnly:        s.client.ReadOnly,
		QuorumSize:      func() int64 { return int64(s.quorum.Status().Voters) },
		Learners:        s.peers(func(p *quorum.PeerStatus) bool { return p.Active }),
		Followers:       s.peers(func(p *quorum.PeerStatus) bool { return p.Active && !p.Learner }),
		SyncedFollowers: s.peers(func(p *quorum.PeerStatus) bool { return p.Active && !p.Learner && !p.Snapshot }),
		SyncedObservers: s.peers(func(p *quorum.PeerStatus) bool { return p.Active && p.Learner && !p.Snapshot }),
		Peers:           s.peerLags,
		AppliedIndex:    func() int64 { return int64(s.quorum.Tail().Index) },
		Term:            func() int64 { return int64(s.quorum.Status().Term) },
		QueuedProposals: func() int64 { return int64(s.quorum.Waiting()) },
		LogBytes:        func() int64 { return s.log.LiveBytes() },
	}
}

// peers counts those that a leader knows, of a kind.
func (s *server) peers(is func(*quorum.PeerStatus) bool) func() int64 {
	return func() (n int64) {
		for _, p := range s.quorum.Peers() {
			if is(&p) {
				n++
			}
		}
		return n
	}
}

func (s *server) peerLags() (peers []perf.Peer) {
	for _, p := range s.quorum.Peers() {
		peers = append(peers, perf.Peer{ID: uint64(tree.NumberOf(p.ID)), LagEntries: p.Lag, Active: p.Active, Syncing: p.Snapshot})
	}
	return peers
}

// state shows the admin package the quorum.
type state struct{ *server }

func (s state) Root() *tree.Root { return s.quorum.Tail().Root }

// Mode: an ensemble of one has a leader.
func (s state) Mode() admin.Mode {
	st := s.quorum.Status()
	switch {
	case s.cfg.Ensemble == nil:
		return admin.Standalone
	case st.Role == quorum.Leader:
		return admin.Leader
	case s.client.ReadOnly():
		return admin.ReadOnly
	case st.Role == quorum.Observer:
		return admin.Observer
	}
	return admin.Follower
}

// Serving says whether clients are served: there is a leader, this member or another, or they have to make do with reads.
func (s state) Serving() bool {
	st := s.quorum.Status()
	return st.Role != quorum.Outside && (st.Leader != 0 || s.client.ReadOnly())
}

func (s state) Ensemble() *admin.Ensemble {
	if s.cfg.Ensemble == nil {
		return nil
	}
	st := s.quorum.Status()
	e := &admin.Ensemble{ID: st.ID, Leader: st.Leader}
	for _, p := range s.quorum.Peers() {
		e.Peers = append(e.Peers, admin.Peer{ID: p.ID, Observer: p.Learner, Active: p.Active, Syncing: p.Snapshot, Lag: p.Lag})
	}
	return e
}

// loops is the number of event loops: the configured one, or one less than there are cores, so that the goroutines
// behind the loops have one.
func loops(configured int) int {
	if configured > 0 {
		return min(configured, quorum.LoopsMax)
	}
	return min(max(1, runtime.GOMAXPROCS(0)-1), quorum.LoopsMax)
}
