package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Report is what a run measured. Its JSON is what holt bench writes and compares; times are nanoseconds unless a name
// says otherwise.
type Report struct {
	Format   int       `json:"format"` // 1
	Name     string    `json:"name"`
	Workload string    `json:"workload"`
	Began    time.Time `json:"began"`
	Machine  string    `json:"machine"`
	Config   Config    `json:"config"`

	Seconds float64 `json:"seconds"` // measured
	Ops     int64   `json:"ops"`
	Rate    float64 `json:"ops_per_second"`

	Series  []SeriesReport   `json:"series"`
	Points  []Point          `json:"points"`
	Figures []Figure         `json:"figures,omitempty"`
	Faults  map[string]int64 `json:"faults"`
	Causes  map[string]int64 `json:"causes,omitempty"` // of the faults, in words

	Server *ServerReport `json:"server,omitempty"`
	// ClientCPU is what the load generator used itself. Near one second per second and thread, it was the limit.
	ClientCPU float64 `json:"client_cpu_s"`
}

// SeriesReport is one kind of latency.
type SeriesReport struct {
	Name   string  `json:"name"`
	Counts bool    `json:"counts"` // part of the run's operations
	Count  int64   `json:"count"`
	Mean   float64 `json:"mean_ns"`
	Min    int64   `json:"min_ns"`
	P50    int64   `json:"p50_ns"`
	P90    int64   `json:"p90_ns"`
	P99    int64   `json:"p99_ns"`
	P999   int64   `json:"p99_9_ns"`
	P9999  int64   `json:"p99_99_ns"`
	Max    int64   `json:"max_ns"`
	// Histogram is pairs of a latency and how many had it, ascending.
	Histogram [][2]int64 `json:"histogram"`
}

// Figure is something that a workload says of itself beyond latencies.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

// ServerReport is what the servers cost in the measured part.
type ServerReport struct {
	CPU          float64 `json:"cpu_s"`         // of the servers and of the kernel's worker threads
	WorkersCPU   float64 `json:"workers_cpu_s"` // of the latter, whoever had them work
	OpsPerCPU    float64 `json:"ops_per_cpu_second"`
	RSS          int64   `json:"rss_bytes"` // at the end
	RSSMax       int64   `json:"rss_max_bytes"`
	RSSPerMinute float64 `json:"rss_growth_bytes_per_minute"` // over the second half of the run
}

// Names of figures that programs look up.
const (
	FigureWatchBytes   = "server memory per watch, connections included"
	FigureSessionBytes = "server memory per session with its connection"
	FigureWriteGap     = "write gap: the longest time in which no client had a write acknowledged"
)

const reportFormat = 1

// Failed says whether anything happened that must not.
func (r *Report) Failed() bool {
	for _, n := range r.Faults {
		if n > 0 {
			return true
		}
	}
	return false
}

// OpsPerCPU is operations per second of the servers' processor time, 0 if that is not known.
func (r *Report) OpsPerCPU() float64 {
	if r.Server == nil {
		return 0
	}
	return r.Server.OpsPerCPU
}

// Latency returns the series of that name.
func (r *Report) Latency(name string) (SeriesReport, bool) {
	i := slices.IndexFunc(r.Series, func(s SeriesReport) bool { return s.Name == name })
	if i < 0 {
		return SeriesReport{}, false
	}
	return r.Series[i], true
}

// Figure returns the value of the figure of that name.
func (r *Report) Figure(name string) (float64, bool) {
	i := slices.IndexFunc(r.Figures, func(f Figure) bool { return f.Name == name })
	if i < 0 {
		return 0, false
	}
	return r.Figures[i].Value, true
}

func (r *Report) add(name string, value float64, unit string) {
	r.Figures = append(r.Figures, Figure{name, value, unit})
}

func (r *Report) setFaults(f Faults, causes map[string]int64) {
	r.Faults = map[string]int64{}
	for i, n := range f {
		r.Faults[FaultNames[i]] = n
	}
	r.Causes = causes
}

// report sums up what was collected.
func (c *collector) report() *Report {
	cfg := c.r.cfg
	r := &Report{
		Format: reportFormat, Name: cfg.Name, Workload: cfg.Workload, Began: c.beginsAt, Machine: Machine(), Config: cfg,
		Seconds: c.elapsed.Seconds(), Points: c.points, ClientCPU: c.own.CPU.Seconds(),
	}
	slices.SortFunc(r.Points, func(a, b Point) int { return a.Second - b.Second })
	for i, s := range c.r.series {
		h := c.total[i]
		if s.counts {
			r.Ops += h.TotalCount()
		}
		r.Series = append(r.Series, seriesReport(s, h))
	}
	r.Rate = float64(r.Ops) / r.Seconds
	if len(cfg.PIDs) > 0 {
		r.Server = c.serverReport(r.Ops)
	}
	return r
}

func seriesReport(s series, h *hdrhistogram.Histogram) SeriesReport {
	r := SeriesReport{
		Name: s.name, Counts: s.counts, Count: h.TotalCount(), Mean: h.Mean(), Min: h.Min(), Max: h.Max(),
		P50: h.ValueAtQuantile(50), P90: h.ValueAtQuantile(90), P99: h.ValueAtQuantile(99),
		P999: h.ValueAtQuantile(99.9), P9999: h.ValueAtQuantile(99.99), Histogram: [][2]int64{},
	}
	if r.Count == 0 {
		return SeriesReport{Name: s.name, Counts: s.counts, Histogram: [][2]int64{}}
	}
	for _, bar := range h.Distribution() {
		if bar.Count > 0 {
			r.Histogram = append(r.Histogram, [2]int64{bar.To, bar.Count})
		}
	}
	return r
}

func (c *collector) serverReport(ops int64) *ServerReport {
	workers := c.servers.workers.Seconds()
	s := &ServerReport{CPU: c.servers.used.CPU.Seconds() + workers, WorkersCPU: workers, RSS: c.servers.used.RSS, RSSMax: c.servers.rssMax}
	if s.CPU > 0 {
		s.OpsPerCPU = float64(ops) / s.CPU
	}
	s.RSSPerMinute = 60 * slope(c.points[len(c.points)/2:], func(p Point) float64 { return float64(p.ServerRSS) })
	return s
}

// slope is the change per second of a line laid through the points by least squares.
func slope(points []Point, value func(Point) float64) float64 {
	n := float64(len(points))
	if n < 2 {
		return 0
	}
	var x, y, xx, xy float64
	for _, p := range points {
		t, v := float64(p.Second), value(p)
		x, y, xx, xy = x+t, y+v, xx+t*t, xy+t*v
	}
	return (n*xy - x*y) / (n*xx - x*x)
}

// WriteJSON writes the report to a file.
func (r *Report) WriteJSON(file string) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644)
}

// ReadJSON reads what WriteJSON wrote.
func ReadJSON(file string) (*Report, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := &Report{}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("%s is not a report of holt bench: %w", file, err)
	}
	if r.Format != reportFormat {
		return nil, fmt.Errorf("%s has format %d; this holt bench reads %d", file, r.Format, reportFormat)
	}
	return r, nil
}
