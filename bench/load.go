package bench

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"holt/netloop/wire"
)

// Load is a closed loop over many connections.
type Load struct {
	Addr     string
	Conns    int           // connections, one session each
	Pipeline int           // requests in flight on each
	Warmup   time.Duration // not measured
	Duration time.Duration // measured
	Seed     uint64
	Request  Request
}

// Request appends the body of one request to dst and says its opcode. It is called by the goroutine of one connection
// with that connection's number and random source, and must not allocate.
type Request func(dst []byte, conn int, random *rand.Rand) ([]byte, wire.Op)

// Result is what a Load measured.
type Result struct {
	Requests int64
	Elapsed  time.Duration
	Latency  *hdrhistogram.Histogram // of bursts, microseconds
}

// PerSecond is the rate of requests.
func (r Result) PerSecond() float64 { return float64(r.Requests) / r.Elapsed.Seconds() }

const (
	latencyUsMax   = 60_000_000
	latencyDigits  = 3
	sessionTimeout = 30 * time.Second
	phaseWarmup    = 0
	phaseMeasure   = 1
	phaseStop      = 2
)

// Run opens the connections, warms up, measures and closes. measured, if not nil, is called when the measured part begins
// and again when it ends, so that the caller can sample the server.
func (l Load) Run(measured func(begin bool)) (Result, error) {
	if measured == nil {
		measured = func(bool) {}
	}
	conns := make([]*driver, l.Conns)
	for i := range conns {
		c, err := Dial(l.Addr, sessionTimeout)
		if err != nil {
			return Result{}, fmt.Errorf("connection %d: %w", i, err)
		}
		defer c.Close()
		conns[i] = &driver{
			Conn: c, load: &l, number: i, random: rand.New(rand.NewPCG(l.Seed, uint64(i))),
			latency: hdrhistogram.New(1, latencyUsMax, latencyDigits),
		}
	}
	var (
		phase atomic.Int32
		wait  sync.WaitGroup
		fault = make(chan error, len(conns))
	)
	for _, d := range conns {
		wait.Go(func() {
			if err := d.run(&phase); err != nil {
				fault <- fmt.Errorf("connection %d: %w", d.number, err)
			}
		})
	}
	sleepOr(l.Warmup, fault)
	measured(true)
	begin := time.Now()
	phase.Store(phaseMeasure)
	sleepOr(l.Duration, fault)
	phase.Store(phaseStop)
	r := Result{Elapsed: time.Since(begin), Latency: hdrhistogram.New(1, latencyUsMax, latencyDigits)}
	measured(false)
	wait.Wait()
	for _, d := range conns {
		r.Requests += d.requests
		r.Latency.Merge(d.latency)
	}
	select {
	case err := <-fault:
		return r, err
	default:
		return r, nil
	}
}

// sleepOr waits for d, or less when a fault makes waiting pointless.
func sleepOr(d time.Duration, fault chan error) {
	select {
	case err := <-fault:
		fault <- err
	case <-time.After(d):
	}
}

// driver is one connection under load.
type driver struct {
	*Conn
	load     *Load
	number   int
	random   *rand.Rand
	requests int64
	latency  *hdrhistogram.Histogram
}

func (d *driver) run(phase *atomic.Int32) error {
	for {
		now := phase.Load()
		if now == phaseStop {
			return nil
		}
		begin := time.Now()
		if err := d.burst(); err != nil {
			return err
		}
		if now == phaseMeasure {
			d.requests += int64(d.load.Pipeline)
			_ = d.latency.RecordValue(max(1, time.Since(begin).Microseconds()))
		}
	}
}

// burst sends Pipeline requests with one write and takes their replies.
func (d *driver) burst() error {
	first := d.xid + 1
	for range d.load.Pipeline {
		b, start := d.Begin(0)
		b, op := d.load.Request(b, d.number, d.random)
		setOp(b, start, op)
		d.End(b, start)
	}
	if err := d.Flush(); err != nil {
		return err
	}
	for i := range d.load.Pipeline {
		p, err := d.Next()
		if err != nil {
			return err
		}
		if want := first + wire.Xid(i); p.Xid != want || p.Err != wire.CodeOK {
			return fmt.Errorf("reply to xid %d: xid %d, error %d", want, p.Xid, p.Err)
		}
	}
	return nil
}

// setOp fills in the opcode, which the workload knows only after it has chosen the request.
func setOp(b []byte, start int, op wire.Op) {
	wire.AppendInt32(b[:start+wire.FrameHeaderBytes+4], int32(op))
}
