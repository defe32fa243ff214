package bench

import (
	"context"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// collector merges what the loops measure, second by second, beside what the servers cost. It belongs to the run's
// goroutine.
type collector struct {
	r        *run
	tell     func(Point)
	total    []*hdrhistogram.Histogram
	seconds  map[int]*second
	points   []Point
	faults   []Faults // of each loop, so far
	last     int      // loops that have handed over their last interval
	servers  *sampler
	own      usage
	overall  *hdrhistogram.Histogram // scratch
	elapsed  time.Duration
	beginsAt time.Time
}

// second is a second that not all loops have handed over yet.
type second struct {
	loops  int
	series []*hdrhistogram.Histogram
}

func newCollector(r *run, tell func(Point)) *collector {
	c := &collector{r: r, tell: tell, seconds: map[int]*second{}, servers: newSampler(r.cfg.PIDs), overall: newHistogram()}
	c.faults = make([]Faults, len(r.loops))
	for range r.series {
		c.total = append(c.total, newHistogram())
	}
	return c
}

func (c *collector) begin() {
	c.beginsAt = time.Now()
	c.own = ownUsage()
	c.servers.begin()
}

// opened says whether the measured part was reached.
func (c *collector) opened() bool { return !c.beginsAt.IsZero() }

func (c *collector) end() {
	c.elapsed = time.Since(c.beginsAt)
	c.servers.end()
	c.own = ownUsage().minus(c.own)
}

// collect takes intervals until the time is over.
func (c *collector) collect(ctx context.Context, d time.Duration) error {
	over := time.After(d)
	for {
		select {
		case i := <-c.r.intervals:
			c.take(i)
		case err := <-c.r.refused:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-over:
			return nil
		}
	}
}

// takeLast takes what is left when the load has ended.
func (c *collector) takeLast() {
	for c.last < len(c.r.loops) {
		c.take(<-c.r.intervals)
	}
	for n := range c.seconds {
		c.finish(n)
	}
}

// take merges one interval and gives it back emptied.
func (c *collector) take(i *interval) {
	s := c.seconds[i.second]
	if s == nil {
		s = &second{}
		for range c.r.series {
			s.series = append(s.series, newHistogram())
		}
		c.seconds[i.second] = s
	}
	for n, h := range i.series {
		if h.TotalCount() > 0 {
			c.total[n].Merge(h)
			s.series[n].Merge(h)
			h.Reset()
		}
	}
	s.loops++
	c.faults[i.loop] = i.faults
	if i.last {
		c.last++
	}
	if s.loops == len(c.r.loops) {
		c.finish(i.second)
	}
	i.last = false
	select {
	case c.r.spare <- i:
	default:
	}
}

// finish makes a point of a second that is complete. A last second of which little was measured is merged into the total only.
func (c *collector) finish(n int) {
	s := c.seconds[n]
	delete(c.seconds, n)
	p := Point{Second: n}
	c.overall.Reset()
	for i, h := range s.series {
		if c.r.series[i].counts {
			p.Ops += h.TotalCount()
			c.overall.Merge(h)
		}
	}
	p.P50, p.P99, p.Max = c.overall.ValueAtQuantile(50), c.overall.ValueAtQuantile(99), c.overall.Max()
	for _, f := range c.faults {
		p.Faults += f.Total()
	}
	p.ServerCPU, p.ServerRSS = c.servers.sample()
	if time.Duration(n)*time.Second >= c.r.cfg.Duration {
		return
	}
	c.points = append(c.points, p)
	if c.tell != nil {
		c.tell(p)
	}
}
