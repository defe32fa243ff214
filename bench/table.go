package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteTable prints the report for people.
func (r *Report) WriteTable(w io.Writer) {
	fmt.Fprintf(w, "%s: %s\n", r.Name, r.Headline())
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tcount\t/s\tp50\tp90\tp99\tp99.9\tmax\t")
	for _, s := range r.Series {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", s.Name, Thousands(float64(s.Count)), Thousands(float64(s.Count)/r.Seconds),
			Short(s.P50), Short(s.P90), Short(s.P99), Short(s.P999), Short(s.Max))
	}
	_ = t.Flush()
	for _, f := range r.Figures {
		fmt.Fprintf(w, "%s: %s\n", f.Name, f.Format())
	}
	if s := r.Server; s != nil {
		fmt.Fprintf(w, "server: %.2f CPU-seconds (the kernel's workers %.2f), %s operations per CPU-second; memory %s at the end, %s at most\n",
			s.CPU, s.WorkersCPU, Thousands(s.OpsPerCPU), Bytes(float64(s.RSS)), Bytes(float64(s.RSSMax)))
	}
	if s := r.Server; s != nil && r.Workload == "soak" {
		fmt.Fprintf(w, "server memory over the second half: %s per minute\n", Bytes(s.RSSPerMinute))
	}
	fmt.Fprintf(w, "client: %.2f CPU-seconds in %.1f s\n", r.ClientCPU, r.Seconds)
	r.writeFaults(w)
}

// Headline says in a line what was run.
func (r *Report) Headline() string {
	c := r.Config
	loop := fmt.Sprintf("%d connections x %d", c.Conns, c.Pipeline)
	if c.Rate > 0 {
		loop = fmt.Sprintf("%d connections, %s/s from outside", c.Conns, Thousands(c.Rate))
	}
	return fmt.Sprintf("%s, %d znodes of %v B, keys %v, %d threads, against %s",
		loop, c.Nodes, c.Value, c.Keys, c.Threads, strings.Join(c.Servers, " "))
}

func (r *Report) writeFaults(w io.Writer) {
	var words []string
	for _, name := range FaultNames {
		words = append(words, fmt.Sprintf("%s %d", strings.ReplaceAll(name, "_", " "), r.Faults[name]))
	}
	fmt.Fprintln(w, strings.Join(words, ", "))
	causes := make([]string, 0, len(r.Causes))
	for cause, n := range r.Causes {
		causes = append(causes, fmt.Sprintf("  %8d  %s", n, cause))
	}
	slices.Sort(causes)
	slices.Reverse(causes)
	for _, line := range causes {
		fmt.Fprintln(w, line)
	}
}

// WriteProgress prints one second of a run that goes on.
func (p Point) WriteProgress(w io.Writer) {
	fmt.Fprintf(w, "%4d s  %12s/s  p50 %8s  p99 %8s  max %8s  faults %d", p.Second+1, Thousands(float64(p.Ops)), Short(p.P50), Short(p.P99), Short(p.Max), p.Faults)
	if p.ServerRSS > 0 {
		fmt.Fprintf(w, "  server %.2f CPU, %s", p.ServerCPU, Bytes(float64(p.ServerRSS)))
	}
}

// Format writes the value with its unit.
func (f Figure) Format() string {
	switch f.Unit {
	case "ns":
		return Short(int64(f.Value))
	case "bytes":
		return Bytes(f.Value)
	}
	return strings.TrimSpace(Thousands(f.Value) + " " + f.Unit)
}

// Short writes a time with three digits.
func Short(ns int64) string {
	d := time.Duration(ns)
	switch {
	case d >= 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= 100*time.Millisecond:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	case d >= 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1e3)
	case d >= time.Millisecond:
		return fmt.Sprintf("%.2f ms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%d us", d.Microseconds())
}

// Bytes writes a number of bytes with a unit.
func Bytes(v float64) string {
	for _, unit := range []string{"B", "KiB", "MiB"} {
		if v < 1024 && v > -1024 {
			return fmt.Sprintf("%.4g %s", v, unit)
		}
		v /= 1024
	}
	return fmt.Sprintf("%.3g GiB", v)
}

// Thousands writes a number with separators, and decimals where it is small.
func Thousands(v float64) string {
	if v < 0 {
		return "-" + Thousands(-v)
	}
	if v < 100 && v != float64(int64(v)) {
		return fmt.Sprintf("%.3g", v)
	}
	digits := fmt.Sprintf("%.0f", v)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}
