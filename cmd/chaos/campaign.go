package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"holt/cmd/internal/ensemble"
)

// Bounds of a campaign.
const (
	membersN         = 3
	diskBytes        = 512 << 20
	recoveryPatience = 45 * time.Second // from the end of a fault until all members serve (C7)
	writePatience    = 30 * time.Second // from then until every client has written (C7)
	clientsPatience  = 2 * time.Minute  // from the start of clients until they have written
	calmAtLeast      = 1500 * time.Millisecond
	calmSpread       = 2 * time.Second
)

// options are the flags of chaos run.
type options struct {
	kind   string
	binary string
	seed   uint64
	length time.Duration
	short  bool
	only   string
	each   int // clients of kazoo and of the Java library
	mutate string
	dir    string
	size   int // of the ensemble
}

// campaign is one run: members, clients, faults, history.
type campaign struct {
	options
	installed
	random  *rand.Rand
	hosts   []*ensemble.Host
	members *ensemble.Ensemble
	plan    plan
	history *History
	names   []string // of the clients
	faults  []faultReport
	stop    chan struct{} // closed when clients are to end
	running sync.WaitGroup
	workers []*worker
	bulk    *flood // fills logs, so that they are cut and members that were away need a whole state
}

// faultReport says what one fault cost.
type faultReport struct {
	what string
	gap  time.Duration // from its beginning to the first answered write that began after
	back time.Duration // from its end until all members serve
}

func runCampaign(ctx context.Context, args []string) error {
	var o options
	flags := flag.NewFlagSet("chaos run", flag.ContinueOnError)
	flags.StringVar(&o.kind, "kind", string(ensemble.Holt), "holt or zookeeper")
	flags.StringVar(&o.binary, "holt", "bin/holt", "Holt's binary")
	flags.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "what faults and operations are drawn from")
	flags.DurationVar(&o.length, "for", 3*time.Minute, "how long faults are made")
	flags.BoolVar(&o.short, "short", false, "each kind of fault once")
	flags.StringVar(&o.only, "only", "", "only faults whose name contains this")
	flags.IntVar(&o.each, "clients", 2, "clients of kazoo and of the Java library each; of go-zookeeper/zk twice as many")
	flags.IntVar(&o.size, "members", membersN, "members")
	flags.StringVar(&o.mutate, "mutate", "", "forget, stale or amnesia: the checks must then fail")
	flags.StringVar(&o.dir, "dir", "", "for data, logs and the history; empty: a temporary one, removed when nothing was found")
	if err := flags.Parse(args); err != nil {
		return err
	}
	in, err := install(ctx)
	if err != nil {
		return err
	}
	if err := ensemble.Isolate(); err != nil {
		return err
	}
	keep := o.dir != ""
	if !keep {
		if o.dir, err = os.MkdirTemp("", "holt-chaos-"); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	fmt.Printf("chaos: %s, seed %d, in %s\n", o.kind, o.seed, o.dir)
	c := &campaign{options: o, installed: in, random: rand.New(rand.NewPCG(o.seed, 0)), stop: make(chan struct{})}
	if err := c.run(ctx); err != nil {
		return fmt.Errorf("seed %d: %w\nhistory and logs are in %s", o.seed, err, o.dir)
	}
	if keep {
		return nil
	}
	for _, m := range c.members.Members {
		err = errors.Join(err, m.ReleaseDisk())
	}
	return errors.Join(err, os.RemoveAll(o.dir))
}

func (c *campaign) run(ctx context.Context) (err error) {
	if c.history, err = newHistory(c.dir); err != nil {
		return err
	}
	if err := c.startMembers(ctx); err != nil {
		return err
	}
	defer c.members.Kill()
	if err := c.startClients(); err != nil {
		return errors.Join(err, c.endClients())
	}
	faultErr := c.makeFaults(ctx)
	if err := errors.Join(faultErr, c.endClients()); err != nil {
		_, _ = c.history.Close()
		return err
	}
	leftErr := c.noneLeft(ctx)
	if err := c.readAll(); err != nil {
		_, _ = c.history.Close()
		return errors.Join(leftErr, err)
	}
	entries, err := c.history.Close()
	if err != nil {
		return err
	}
	c.report(entries)
	return errors.Join(leftErr, check(entries, c.dir))
}

// startMembers starts them with the same settings, whoever they are: a log that fits the disk and is cut often, sessions as long as the clients ask.
func (c *campaign) startMembers(ctx context.Context) (err error) {
	if c.hosts, err = ensemble.NewHosts(c.size); err != nil {
		return err
	}
	c.members, err = ensemble.New(ctx, ensemble.Config{
		Kind: ensemble.Kind(c.kind), Members: c.size, Dir: c.dir, Hosts: c.hosts, Binary: c.binary, Lib: c.lib,
		JVM: []string{"-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"},
		Settings: map[string]string{
			"minSessionTimeout": "2000", "maxSessionTimeout": "60000", "preAllocSize": "1024", "snapCount": "20000", "holt.checkpointBytes": "2097152",
		},
	})
	if err != nil {
		return err
	}
	for _, m := range c.members.Members {
		if err := m.LimitDisk(diskBytes); err != nil {
			return err
		}
	}
	return c.members.Start()
}

// startClients makes the parents of what clients write, and starts the clients.
func (c *campaign) startClients() error {
	c.plan = plan{
		servers: c.members.Addrs(), timeout: 15 * time.Second, epoch: now(), pairs: 4, generated: 8 * time.Second,
		pause: 30 * time.Millisecond, sessions: 50 * time.Second, mutate: c.mutate,
	}
	if err := c.plant(); err != nil {
		return err
	}
	var err error
	if c.bulk, err = startFlood(c.plan.servers, bulkBytes, bulkPause); err != nil {
		return err
	}
	for i := range 2 * c.each {
		g := &goClient{
			name: fmt.Sprintf("go%d", i+1), plan: &c.plan, history: c.history,
			random: rand.New(rand.NewPCG(c.seed, uint64(i+1))),
		}
		c.names = append(c.names, g.name)
		c.running.Go(func() { g.run(c.stop) })
	}
	if c.each == 0 {
		return nil
	}
	for name, argv := range c.workerCommands() {
		w, err := c.startWorker(name, append(argv, c.plan.arguments(name, c.each, c.seed)...))
		if err != nil {
			return err
		}
		c.workers = append(c.workers, w)
		c.names = append(c.names, workerNames(name, c.each)...)
	}
	if err := c.allWrite(now(), clientsPatience); err != nil {
		return fmt.Errorf("before any fault: %w", err)
	}
	return nil
}

func (c *campaign) plant() error {
	conn, _, err := zk.Connect(c.plan.servers, c.plan.timeout, zk.WithLogger(quiet{}))
	if err != nil {
		return err
	}
	defer conn.Close()
	paths := []string{rootPath, registerPath, logPath, ephemeralPath, bulkPath}
	for i := range bulkNodes {
		paths = append(paths, bulkNode(i))
	}
	for _, path := range paths {
		if _, err := conn.Create(path, nil, 0, openACL); err != nil {
			return fmt.Errorf("creating %s: %w", path, err)
		}
	}
	return nil
}

// installed is what ensembles and workers run with.
type installed struct {
	clients string // directory of the workers' sources
	lib     string // ZooKeeper's jars
	python  string // an interpreter that has kazoo
}

// install brings in what is missing. It needs the network, so it comes before ensemble.Isolate.
func install(ctx context.Context) (in installed, err error) {
	root, err := ensemble.Root()
	if err != nil {
		return in, err
	}
	in.clients = filepath.Join(root, "cmd", "chaos", "clients")
	if in.lib, err = ensemble.InstallZooKeeper(ctx, root); err != nil {
		return in, err
	}
	in.python, err = ensemble.InstallPython(ctx, root, slog.Default(), "chaos", filepath.Join(in.clients, "requirements.txt"))
	return in, err
}

// workerCommands says how to run the worker processes, by name.
func (in *installed) workerCommands() map[string][]string {
	return map[string][]string{
		"kazoo": {in.python, filepath.Join(in.clients, "worker.py")},
		"java": {
			"java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlogback.configurationFile=" + filepath.Join(in.clients, "logback.xml"),
			"-cp", in.lib + "/*", filepath.Join(in.clients, "Worker.java"),
		},
	}
}

// worker is a process of clients.
type worker struct {
	name  string
	cmd   *exec.Cmd
	stdin io.Closer
	taken chan error // the end of its output
}

func (c *campaign) startWorker(name string, argv []string) (*worker, error) {
	log, err := os.Create(filepath.Join(c.dir, name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stderr = log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.SysProcAttr = ensemble.DiesWithParent()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the %s clients: %w", name, err)
	}
	w := &worker{name: name, cmd: cmd, stdin: stdin, taken: make(chan error, 1)}
	go func() { w.taken <- c.history.Take(stdout) }() // end waits for it
	return w, nil
}

// end lets the clients finish what they are at.
func (w *worker) end() error {
	_ = w.stdin.Close()
	time.AfterFunc(writePatience, func() { _ = w.cmd.Process.Kill() })
	err := <-w.taken
	if waitErr := w.cmd.Wait(); waitErr != nil {
		err = errors.Join(err, fmt.Errorf("the %s clients ended with %w", w.name, waitErr))
	}
	return err
}

func (c *campaign) endClients() error {
	close(c.stop)
	if c.bulk != nil {
		c.bulk.end()
	}
	var err error
	for _, w := range c.workers {
		err = errors.Join(err, w.end())
	}
	c.running.Wait()
	return err
}

// allWrite waits until every client has had a write answered that ended after t (C7).
func (c *campaign) allWrite(t int64, patience time.Duration) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		silent := c.history.silentSince(t, c.names)
		if len(silent) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("C7: no write of %s was answered within %v of all members serving", strings.Join(silent, ", "), patience)
		}
	}
}

// noneLeft waits until the ephemerals of all clients are gone, whose sessions are closed or silent by now (C6).
func (c *campaign) noneLeft(ctx context.Context) error {
	conn, _, err := zk.Connect(c.plan.servers, c.plan.timeout, zk.WithLogger(quiet{}))
	if err != nil {
		return err
	}
	defer conn.Close()
	for deadline := time.Now().Add(c.plan.timeout + expirySlack); ; {
		_, _ = conn.Sync(ephemeralPath)
		names, _, err := conn.Children(ephemeralPath)
		if err == nil && len(names) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("C6: ephemerals are left of sessions that ended %v ago (%v): %s", c.plan.timeout+expirySlack, err, strings.Join(names, " "))
		}
		if !sleep(ctx, 200*time.Millisecond) {
			return ctx.Err()
		}
	}
}

// readAll reads what is left through each member, as entries of their own clients: the ends of all histories.
func (c *campaign) readAll() error {
	for _, m := range c.members.Members {
		if err := c.readMember(m); err != nil {
			return fmt.Errorf("reading all of member %d at the end: %w", m.ID, err)
		}
	}
	return nil
}

func (c *campaign) readMember(m *ensemble.Member) error {
	conn, _, err := zk.Connect([]string{m.Addr()}, c.plan.timeout, zk.WithLogger(quiet{}))
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, dir := range []string{registerPath, logPath} {
		name := fmt.Sprintf("%s%d", finalClient, m.ID)
		begin := now()
		if _, err := conn.Sync(dir); err != nil {
			return err
		}
		names, _, err := conn.Children(dir)
		if err != nil {
			return err
		}
		for _, child := range names {
			path := dir + "/" + child
			e := Entry{Client: name, Session: conn.SessionID(), Op: OpRead, Path: path, Begin: now()}
			data, stat, err := conn.Get(path)
			if err != nil {
				return err
			}
			e.End, e.Result, e.Got = now(), ResultOK, string(data)
			e.stat(stat)
			c.history.Add(e)
		}
		c.history.Add(Entry{Client: name, Session: conn.SessionID(), Op: OpCensus, Path: dir, Begin: begin, End: now(), Result: ResultOK, Names: names})
	}
	return nil
}

// finalClient begins the names of the clients that read everything at the end.
const finalClient = "final"
