package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Comparison is one figure of two runs.
type Comparison struct {
	Name   string
	A, B   float64
	Format func(v float64) string
	Less   bool // less is better
}

// Ratio is B / A, 0 when there is no A.
func (c Comparison) Ratio() float64 {
	if c.A == 0 {
		return 0
	}
	return c.B / c.A
}

// Verdict says in a word whether B is better than A by more than a twentieth.
func (c Comparison) Verdict() string {
	ratio := c.Ratio()
	if ratio == 0 || ratio > 0.95 && ratio < 1.05 {
		return ""
	}
	if (ratio < 1) == c.Less {
		return "better"
	}
	return "worse"
}

// Compare lists the figures that both reports have.
func Compare(a, b *Report) []Comparison {
	ns := func(v float64) string { return Short(int64(v)) }
	list := []Comparison{{Name: "operations/s", A: a.Rate, B: b.Rate, Format: Thousands}}
	if a.Server != nil && b.Server != nil {
		list = append(list,
			Comparison{Name: "operations per server-CPU-second", A: a.Server.OpsPerCPU, B: b.Server.OpsPerCPU, Format: Thousands},
			Comparison{Name: "server CPU-seconds per second", A: a.Server.CPU / a.Seconds, B: b.Server.CPU / b.Seconds, Format: Thousands, Less: true},
			Comparison{Name: "server memory", A: float64(a.Server.RSSMax), B: float64(b.Server.RSSMax), Format: Bytes, Less: true})
	}
	for _, s := range a.Series {
		t, ok := b.Latency(s.Name)
		if !ok || s.Count == 0 || t.Count == 0 {
			continue
		}
		list = append(list,
			Comparison{Name: s.Name + " p50", A: float64(s.P50), B: float64(t.P50), Format: ns, Less: true},
			Comparison{Name: s.Name + " p99", A: float64(s.P99), B: float64(t.P99), Format: ns, Less: true},
			Comparison{Name: s.Name + " p99.9", A: float64(s.P999), B: float64(t.P999), Format: ns, Less: true},
			Comparison{Name: s.Name + " max", A: float64(s.Max), B: float64(t.Max), Format: ns, Less: true})
	}
	for _, f := range a.Figures {
		if v, ok := b.Figure(f.Name); ok {
			format := func(v float64) string { return Figure{f.Name, v, f.Unit}.Format() }
			list = append(list, Comparison{Name: f.Name, A: f.Value, B: v, Format: format, Less: true})
		}
	}
	return list
}

// WriteComparison prints the comparison of two reports for people.
func WriteComparison(w io.Writer, a, b *Report) {
	fmt.Fprintf(w, "A  %s: %s\nB  %s: %s\n", a.Name, a.Headline(), b.Name, b.Headline())
	if a.Workload != b.Workload {
		fmt.Fprintf(w, "These are different workloads: %s and %s.\n", a.Workload, b.Workload)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tA\tB\tB/A\tB is\t")
	for _, c := range Compare(a, b) {
		fmt.Fprintf(t, "%s\t%s\t%s\t%.2f\t%s\t\n", c.Name, c.Format(c.A), c.Format(c.B), c.Ratio(), c.Verdict())
	}
	_ = t.Flush()
	for _, r := range []*Report{a, b} {
		if r.Failed() {
			fmt.Fprintf(w, "%s counted what must not happen: ", r.Name)
			r.writeFaults(w)
		}
	}
}
