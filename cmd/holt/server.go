package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"holt/cmd/holt/config"
	"holt/netloop"
	"holt/netloop/admin"
	"holt/perf"
	"holt/quorum"
	"holt/quorum/peers"
	"holt/tree"
	"holt/wal"
	"holt/wal/checkpoint"
)

// drainMax is how long a graceful stop waits for requests to be answered and clients to be told.
const drainMax = 5 * time.Second

// server is a running Holt: the parts in the order in which they are opened. They are closed in the opposite one.
type server struct {
	cfg     *config.Config
	logger  *slog.Logger
	metrics *perf.Metrics
	process uint32

	log    *wal.Log
	image  *checkpoint.Store
	quorum *quorum.Quorum
	client *netloop.Server
	admin  []*admin.Server
	nowMs  func() int64 // wall clock; nil: the system's

	loops      int         // event loops
	few        bool        // this process may use one or two processors
	onOne      atomic.Bool // one of two processors is enough for now
	processors int         // that this process may use, while it spares some; else 0

	background    sync.WaitGroup                // follow, catchUp, saveProcessors, paceCollector
	endBackground func()                        // nil: they do not run
	trims         atomic.Pointer[quorum.Quorum] // once it is open: for paceCollector
	streams       *peers.Network                // nil: a server that stands alone

	lastCheckpoint atomic.Pointer[checkpointed]
}

// run serves until ctx ends or a part fails.
func run(ctx context.Context, cfg *config.Config, logger *slog.Logger) error {
	s := &server{cfg: cfg, logger: logger, process: rand.Uint32() | 1}
	return s.run(ctx)
}

func (s *server) run(ctx context.Context) error {
	checkpoints := make(chan os.Signal, 1)
	signal.Notify(checkpoints, syscall.SIGUSR1) // before anything takes long: unhandled it ends the process
	defer signal.Stop(checkpoints)
	if err := s.open(ctx); err != nil {
		if ctx.Err() != nil && errors.Is(err, quorum.ErrClosed) {
			s.logger.Info("stopping before anything was served")
			err = nil
		}
		return errors.Join(err, s.close())
	}
	for {
		select {
		case <-checkpoints:
			s.quorum.CheckpointNow()
		case <-ctx.Done():
			s.logger.Info("stopping")
			s.prepareStop()
			return s.close()
		}
	}
}

// open opens the parts. Waiting for space on a full disk ends with ctx.
func (s *server) open(ctx context.Context) error {
	background, end := context.WithCancel(ctx)
	s.endBackground = end
	s.background.Go(func() { paceCollector(background, s.trim, s.slabBytes) })
	s.loops = loops(s.cfg.Client.Loops)
	s.few = runtime.GOMAXPROCS(0) <= 2
	s.metrics = perf.New(perf.Config{Loops: s.loops, SlowOp: time.Second, Logger: s.logger})
	if s.cfg.Ensemble != nil {
		s.spareProcessors()
	}
	if err := s.openDisk(); err != nil {
		return err
	}
	begin := time.Now()
	network, err := s.network()
	if err != nil {
		return err
	}
	s.quorum, err = quorum.Open(quorum.Config{
		ID: tree.NodeOf(s.cfg.ID), Process: s.process, Log: s.log, Image: s.image, Rules: rules(s.cfg),
		CheckpointBytes: s.cfg.Checkpoint.LogBytes, Fatal: s.fatal, Drained: s.drained, Metrics: s.metrics, Logger: s.logger,
		NowMs: s.nowMs, Cancel: ctx.Done(), Checkpoint: s.checkpointed,
		Ensemble: s.cfg.Ensemble, LocalAddresses: !s.cfg.Tree.ReconfigEnabled, Network: network,
	})
	if err != nil {
		return err
	}
	s.trims.Store(s.quorum)
	root := s.quorum.Tail().Root
	s.logger.Info("recovered", "znodes", root.NodeCount(), "sessions", root.SessionCount(), "zxid", fmt.Sprintf("%#x", root.Zxid()),
		"took", time.Since(begin).Round(time.Millisecond))
	if err := s.checkAlone(); err != nil {
		return err
	}
	if err := s.listen(); err != nil {
		return err
	}
	if s.cfg.Ensemble != nil {
		s.background.Go(func() { s.follow(background) })
		s.background.Go(func() { s.catchUp(background) })
	} else {
		s.background.Go(func() { s.saveProcessors(background) })
	}
	return nil
}

// logConfig is the log's configuration. Only a server that stands alone holds its processor: with asynchronous I/O the kernel takes 33 ms
// longer to close a dead process's sockets, and so long the others would not know that their leader is gone.
func (s *server) logConfig() wal.Config {
	c := wal.Config{
		Dir: logDir(s.cfg), SegmentBytes: s.cfg.WAL.SegmentBytes, NoSync: !s.cfg.WAL.Sync,
		Fatal: s.fatal, Flushed: s.flushed, Logger: s.logger,
	}
	if s.cfg.Ensemble == nil {
		c.TailBytes = tailAlone
		c.Hold = s.holdProcessor
	}
	return c
}

// trim has the tree give up memory that it has for later writes, and returns how many bytes that are.
func (s *server) trim() int {
	if q := s.trims.Load(); q != nil {
		return q.Trim()
	}
	return 0
}

// slabBytes is how much of the heap is nothing for the collector to look into.
func (s *server) slabBytes() uint64 {
	if q := s.trims.Load(); q != nil {
		return uint64(q.Tail().Root.SlabBytes())
	}
	return 0
}

// tailAlone is what a server that stands alone keeps of the log in memory: entries that are on their way to be applied, as there is
// nobody to send them to.
const tailAlone = 4 << 20

// openDisk opens log and checkpoint, which lock their directories.
func (s *server) openDisk() error {
	data := s.cfg.Data
	for _, dir := range []string{data.Dir, data.LogDir} {
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) && !data.AutoCreate {
			return fmt.Errorf("directory %s does not exist and datadir.autocreate is off; create it, or turn that on", dir)
		}
	}
	if err := s.mindZooKeeper(); err != nil {
		return err
	}
	var err error
	s.log, err = wal.Open(s.logConfig())
	if err != nil {
		return err
	}
	s.image, err = checkpoint.Open(checkpoint.Config{Dir: imageDir(s.cfg), Fatal: s.fatal, Logger: s.logger})
	if err != nil {
		return err
	}
	return noteID(s.cfg)
}

// listen opens the ports, the clients' last: whoever can connect is served.
func (s *server) listen() error {
	c := s.cfg
	source := s.adminSource()
	digestID, err := tree.DigestIDFunc(c.Auth.DigestAlgorithm)
	if err != nil {
		return err
	}
	s.client, err = netloop.New(netloop.Config{
		Addr: c.Client.Addr(), Loops: s.loops, Process: s.process, Logger: s.logger, Metrics: s.metrics,
		ServerID: c.ID, TickMs: c.Sessions.TickMs,
		MinSessionTimeoutMs: c.Sessions.TimeoutMsMin, MaxSessionTimeoutMs: c.Sessions.TimeoutMsMax,
		MaxClientConns: noLimit(c.Limits.ConnsPerAddress), MaxConns: c.Limits.Conns, FrameBytesMax: s.frameBytes(),
		OutstandingPerConn: c.Limits.OutstandingPerConn, OutstandingMax: c.Limits.Outstanding,
		OutboundBytesMax: c.Limits.OutboundBytes, InboundBytesMax: c.Limits.InboundBytes,
		SessionlessTimeoutMs: c.Sessions.SilentMs,
		Yield:                s.few,
		ReadOnly:             c.Admin.ReadOnlyMode, LinearizableReads: c.Reads.Linearizable, LinearizablePaths: c.Reads.Paths(),
		SkipACL: c.Tree.SkipACL, DigestDisabled: !c.Auth.DigestEnabled, SuperDigest: c.Auth.SuperDigest, DigestID: digestID,
		AuthSchemes: c.Auth.Required(), EnsembleAuth: c.Auth.EnsembleScheme, EnsembleNames: c.Auth.Ensembles(),
		FourLetter:               func(c net.Conn, word string, read []byte) { admin.ServeFourLetter(c, word, read, source) },
		ContainerCheckIntervalMs: c.Tree.ContainerCheckMs, ContainerMaxPerMinute: c.Tree.ContainersPerMinute,
		ContainerNeverUsedMs: c.Tree.ContainerUnusedMs, NowMs: s.nowMs,
	})
	if err != nil {
		return err
	}
	source.Clients = s.client
	s.metrics.SetSources(s.sources())
	for _, port := range []struct {
		addr   string
		listen func(string, *admin.Source) (*admin.Server, error)
	}{{c.Admin.Addr(), admin.Listen}, {c.Admin.MetricsAddr(), admin.ListenMetrics}} {
		if port.addr == "" {
			continue
		}
		a, err := port.listen(port.addr, source)
		if err != nil {
			return err
		}
		s.admin = append(s.admin, a)
		s.logger.Info("serving operators", "addr", a.Addr())
	}
	_, err = s.client.Start(s.quorum)
	return err
}

// close stops what was opened: first those who ask, then those who answer.
func (s *server) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainMax)
	defer cancel()
	var errs []error
	if s.endBackground != nil {
		s.endBackground()
		s.background.Wait()
	}
	s.useProcessors()
	if s.quorum != nil {
		s.handover(ctx) // again, if it leads again or never served
	}
	for _, a := range s.admin {
		errs = append(errs, a.Close(ctx))
	}
	if s.client != nil {
		errs = append(errs, s.client.Stop(ctx))
	}
	if s.quorum != nil {
		return errors.Join(append(errs, s.quorum.Close())...)
	}
	if s.image != nil {
		errs = append(errs, s.image.Close())
	}
	if s.log != nil {
		errs = append(errs, s.log.Close())
	}
	return errors.Join(errs...)
}

// checkpointMax bounds how long a stop waits for the checkpoint before it. What is not in the image by then is in the log.
const checkpointMax = 5 * time.Second

// prepareStop does what can be done while clients are still served: a leader hands over, and what has changed is written
// down, so that the next start has hardly anything to replay.
func (s *server) prepareStop() {
	ctx, cancel := context.WithTimeout(context.Background(), checkpointMax)
	defer cancel()
	s.handover(ctx)
	s.image.Hurry()
	if err := s.quorum.Checkpoint(ctx); err != nil {
		s.logger.Warn("stopping without a checkpoint; the next start replays the log", "err", err)
	}
}

// handoverMax bounds how long a leader waits for another to take over before it stops all the same.
const handoverMax = 2 * time.Second

// handover gives leadership away while clients are still served, so that they wait for it and not for an election.
func (s *server) handover(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, handoverMax)
	defer cancel()
	if err := s.quorum.Handover(ctx); err != nil {
		s.logger.Warn("leadership was not handed over; the other members will elect a leader", "err", err)
	}
}

// fatal ends the process: a part found that it cannot keep its promises, and nothing it still holds is worth more than
// what is on the disk.
func (s *server) fatal(err error) {
	s.logger.Error("cannot go on; what was acknowledged is on the disk, start again when the cause is mended", "err", err)
	os.Exit(exitError)
}

func (s *server) drained() {
	if s.client != nil {
		s.client.Drained()
	}
}

// flushed counts one write of the log.
func (s *server) flushed(f wal.Flush) {
	s.metrics.Fsync.Observe(f.SyncNs)
	s.metrics.BatchRecords.Observe(int64(f.Records))
	s.metrics.BatchBytes.Observe(int64(f.Bytes))
	if limit := s.cfg.WAL.SlowSync; limit > 0 && f.SyncNs > int64(limit) {
		s.metrics.FsyncSlow.Inc()
		s.logger.Warn("slow fsync of the log; writes wait for it", "took", time.Duration(f.SyncNs), "bytes", f.Bytes)
	}
}

// rules are the settings that travel with each batch.
func rules(c *config.Config) tree.Rules {
	var r tree.Rules
	for _, set := range []struct {
		on   bool
		rule tree.Rules
	}{
		{c.Tree.SkipACL, tree.RuleSkipACL},
		{c.Tree.EnforceQuota, tree.RuleEnforceQuota},
		{c.Tree.TTLNodes, tree.RuleTTL},
		{c.Tree.ReconfigEnabled, tree.RuleReconfigEnabled},
		{!c.Peers.StandaloneEnabled, tree.RuleStandaloneDisabled},
		{!c.Auth.DigestEnabled, tree.RuleNoDigest},
		{c.Tree.SASLScheme, tree.RuleSASL},
		{c.Tree.X509Scheme, tree.RuleX509},
	} {
		if set.on {
			r |= set.rule
		}
	}
	return r
}

// frameBytesMax bounds jute.maxbuffer: a request becomes one entry of the log, and is held in memory several times over on
// its way there.
const frameBytesMax = 128 << 20

func (s *server) frameBytes() int {
	n := s.cfg.Limits.FrameBytes
	if n > frameBytesMax {
		s.logger.Warn("jute.maxbuffer is more than Holt takes; larger requests are refused", "jute.maxbuffer", n, "max", frameBytesMax)
	}
	return min(n, frameBytesMax)
}

// noLimit translates ZooKeeper's 0 to what netloop takes for no limit.
func noLimit(n int) int {
	if n == 0 {
		return -1
	}
	return n
}
