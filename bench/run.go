package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// run is one load from the first connection to the last.
type run struct {
	cfg       Config
	load      workload
	root      string
	addresses []address
	series    []series
	loops     []*loop
	clients   []*client

	phase   atomic.Int32
	beginNs atomic.Int64 // of clock: when the measured part began
	endNs   atomic.Int64

	readyCount   atomic.Int64
	allReady     chan struct{}
	refused      chan error // a connection that could not be made; a loop that failed
	drainedCount atomic.Int64
	allDrained   chan struct{}
	leaving      atomic.Int64

	rssBefore, rssReady int64 // of the servers: before the first connection, and when all are ready

	intervals chan *interval
	spare     chan *interval

	// What is found outside of the loops: by prepare, check and the run itself.
	faults Faults
	what   map[string]int64
}

// workload is a kind of load: its data, and what each connection does.
type workload interface {
	series() []series               // the latencies that it records
	prepare(r *run, s *Conn) error  // data that must be there before
	actor(r *run, number int) actor // of one connection
	check(r *run, s *Conn) error    // what can be verified only when all has been answered; sessions are still open
	figures(r *run, report *Report) // what it has to say beyond latencies
}

// plainWorkload gives a workload what it does not need of its own.
type plainWorkload struct{}

func (plainWorkload) prepare(*run, *Conn) error { return nil }
func (plainWorkload) check(*run, *Conn) error   { return nil }
func (plainWorkload) figures(*run, *Report)     {}

// spareFiles is what a run needs beside its connections.
const spareFiles = 64

// Point is what a run measured in one second, or so far in all.
type Point struct {
	Second    int     `json:"second"`
	Ops       int64   `json:"ops"`
	P50       int64   `json:"p50_ns"`
	P99       int64   `json:"p99_ns"`
	Max       int64   `json:"max_ns"`
	Faults    int64   `json:"faults"` // so far
	ServerCPU float64 `json:"server_cpu_s"`
	ServerRSS int64   `json:"server_rss_bytes"`
}

// Run carries out one load and returns what it measured. tell, if not nil, is called after every measured second. A report comes back with an
// error that ended the run early, if anything was measured. Faults are no error: the report counts them.
func Run(ctx context.Context, cfg Config, tell func(Point)) (*Report, error) {
	kind, ok := Find(cfg.Workload)
	if !ok {
		return nil, fmt.Errorf("no workload %q", cfg.Workload)
	}
	if kind.adjust != nil {
		kind.adjust(&cfg)
	}
	cfg = cfg.WithDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Rate > 0 && !kind.Open {
		return nil, fmt.Errorf("--rate: %s is a closed loop by its nature", cfg.Workload)
	}
	if limit := FileLimit(); limit < cfg.Conns+spareFiles {
		return nil, fmt.Errorf("--conns %d: this process may have %d open files (ulimit -n)", cfg.Conns, limit)
	}
	r := &run{
		cfg: cfg, root: cfg.Root, allReady: make(chan struct{}), refused: make(chan error, 1), allDrained: make(chan struct{}, 1),
		intervals: make(chan *interval, 4*cfg.Threads), spare: make(chan *interval, 4*cfg.Threads), what: map[string]int64{},
	}
	if r.root == "" {
		r.root = fmt.Sprintf("/bench/r%08x%04x", uint32(time.Now().UnixNano()/1000), uint16(os.Getpid()))
	}
	for _, s := range cfg.Servers {
		a, err := resolve(s)
		if err != nil {
			return nil, err
		}
		r.addresses = append(r.addresses, a)
	}
	var err error
	if r.load, err = kind.make(r); err != nil {
		return nil, err
	}
	r.series = r.load.series()
	return r.carryOut(ctx, tell)
}

func (r *run) carryOut(ctx context.Context, tell func(Point)) (*Report, error) {
	if err := r.prepare(); err != nil {
		return nil, fmt.Errorf("preparing: %w", err)
	}
	report, err := r.drive(ctx, tell)
	if report != nil {
		r.sumUp(report)
	}
	if !r.cfg.Keep {
		if e := r.control(func(s *Conn) error { return removeTree(s, r.root, r.cfg.Root == "") }); e != nil && err == nil {
			err = fmt.Errorf("removing %s: %w", r.root, e)
		}
	}
	return report, err
}

// control opens a session beside the load for what is not measured, on the first server that has one. It sees all that
// was written before.
func (r *run) control(do func(s *Conn) error) error {
	var first error
	for i := range r.cfg.Servers {
		s, err := Dial(r.cfg.Servers[i], controlTimeout)
		if err == nil {
			err = s.Sync()
		}
		if err != nil {
			first = cmp.Or(first, err)
			continue
		}
		defer s.Close()
		if err := do(s); err != nil {
			return err
		}
		return s.Leave()
	}
	return first
}

// controlTimeout is the session timeout of what is done beside the load.
const controlTimeout = 40 * time.Second

func (r *run) prepare() error {
	err := r.control(func(s *Conn) error {
		if err := MakePath(s, r.root); err != nil {
			return err
		}
		return r.load.prepare(r, s)
	})
	if err != nil || len(r.cfg.Servers) == 1 {
		return err
	}
	// The others may be behind. One that does not answer is left to the load, which may be there to find that out.
	for _, server := range r.cfg.Servers {
		if s, err := Dial(server, controlTimeout); err == nil {
			_ = s.Sync()
			_ = s.Leave()
			_ = s.Close()
		}
	}
	return nil
}

// sumUp adds to the report what is known only when all loops have ended.
func (r *run) sumUp(report *Report) {
	r.load.figures(r, report)
	for _, l := range r.loops {
		r.faults.add(l.tally.faults)
		for what, n := range l.tally.what {
			r.what[what] += n
		}
	}
	report.setFaults(r.faults, r.what)
}

// fault counts one that was found outside of the loops. Only the run's own goroutine may call it.
func (r *run) fault(f Fault, what string, n int64) {
	r.faults[f] += n
	r.what[what] += n
}

// drive runs the loops through the phases and collects what they measure.
func (r *run) drive(ctx context.Context, tell func(Point)) (*Report, error) {
	if err := r.build(); err != nil {
		return nil, err
	}
	r.rssBefore, _ = r.serverRSS()
	var wait sync.WaitGroup
	for _, l := range r.loops {
		wait.Go(l.serve)
	}
	c := newCollector(r, tell)
	err := r.open(ctx)
	if err == nil {
		r.rssReady, _ = r.serverRSS()
		r.enter(phaseWarm)
		err = r.rest(ctx, max(0, r.cfg.Warmup))
	}
	measured := err == nil
	if measured {
		err = r.measure(ctx, c)
	}
	r.leave(c)
	wait.Wait()
	if !measured {
		return nil, err
	}
	return c.report(), err
}

// build makes loops and clients; nothing connects yet.
func (r *run) build() error {
	for i := range r.cfg.Threads {
		l, err := newLoop(r, i)
		if err != nil {
			return err
		}
		r.loops = append(r.loops, l)
	}
	for i := range r.cfg.Conns {
		l := r.loops[i%len(r.loops)]
		c := &client{loop: l, number: i, slot: int32(len(l.clients)), fd: -1}
		c.actor = r.load.actor(r, i)
		l.clients = append(l.clients, c)
		r.clients = append(r.clients, c)
	}
	for _, l := range r.loops {
		if r.cfg.Rate > 0 {
			l.schedule.everyNs = 1e9 * float64(r.cfg.Conns) / (r.cfg.Rate * float64(len(l.clients)))
			l.schedule.poisson = r.cfg.Poisson
		}
	}
	return nil
}

func (r *run) serverRSS() (int64, error) {
	u, err := usageOf(r.cfg.PIDs)
	return u.RSS, err
}

func (r *run) enter(p phase) {
	r.phase.Store(int32(p))
	for _, l := range r.loops {
		l.poll.wake()
	}
}

// open waits until all connections are ready.
func (r *run) open(ctx context.Context) error {
	limit := time.Minute + time.Duration(r.cfg.Conns)*5*time.Millisecond + time.Duration(r.cfg.Watches)*100*time.Microsecond
	select {
	case <-r.allReady:
		return nil
	case err := <-r.refused:
		return r.explain(err)
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(limit):
		return fmt.Errorf("after %v only %d of %d connections are ready", limit, r.readyCount.Load(), r.cfg.Conns)
	}
}

// explain adds to an error what the reader can do about it.
func (r *run) explain(err error) error {
	hungUp := errors.Is(err, errServerClosed) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	if hungUp && r.cfg.Conns/len(r.cfg.Servers) >= 60 {
		return fmt.Errorf("%w (ZooKeeper takes 60 connections from one address unless maxClientCnxns says otherwise; 0 means any number)", err)
	}
	return err
}

// rest lets the load run for a while.
func (r *run) rest(ctx context.Context, d time.Duration) error {
	select {
	case err := <-r.refused:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func (r *run) tell(p Phase) {
	if r.cfg.Events != nil {
		r.cfg.Events(p)
	}
}

func (r *run) measure(ctx context.Context, c *collector) error {
	r.tell(Measuring)
	c.begin()
	r.beginNs.Store(clock())
	r.enter(phaseMeasure)
	err := c.collect(ctx, r.cfg.Duration)
	r.endNs.Store(clock())
	r.enter(phaseDrain)
	c.end()
	r.tell(Measured)
	return err
}

// leave lets what is under way end, takes the last intervals and closes the sessions.
func (r *run) leave(c *collector) {
	r.enter(phaseDrain)
	select {
	case <-r.allDrained:
	case <-time.After(r.cfg.DrainTime):
		r.fault(FaultError, fmt.Sprintf("requests without an answer %v after the end", r.cfg.DrainTime), 1)
	}
	if c.opened() {
		if err := r.control(func(s *Conn) error { return r.load.check(r, s) }); err != nil {
			r.fault(FaultError, "checking afterwards: "+err.Error(), 1)
		}
	}
	r.drainedCount.Store(0)
	r.enter(phaseLeave)
	c.takeLast()
	<-r.allDrained // every loop has begun to leave
	for deadline := clock() + int64(10*time.Second); r.leaving.Load() > 0 && clock() < deadline; {
		time.Sleep(time.Millisecond)
	}
	r.enter(phaseEnd)
}

// clientReady counts a connection that is ready for load, or tells that one is not.
func (r *run) clientReady(err error) {
	if err != nil {
		r.refuse(err)
		return
	}
	if r.readyCount.Add(1) == int64(r.cfg.Conns) {
		close(r.allReady)
	}
}

func (r *run) refuse(err error) {
	select {
	case r.refused <- err:
	default:
	}
}

func (r *run) loopDrained() {
	if r.drainedCount.Add(1) == int64(len(r.loops)) {
		r.allDrained <- struct{}{}
	}
}

func (r *run) freshInterval() *interval {
	select {
	case i := <-r.spare:
		return i
	default:
	}
	i := &interval{}
	for range r.series {
		i.series = append(i.series, newHistogram())
	}
	return i
}
