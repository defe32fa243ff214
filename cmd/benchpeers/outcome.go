package main

import (
	"errors"
	"fmt"
	"html"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"holt/bench"
	"holt/cmd/internal/ensemble"
)

// outcome is everything that was measured.
type outcome struct {
	began    time.Time
	took     time.Duration
	options  *options
	commit   string
	tables   []tableResult
	absolute []*absoluteResult
}

type tableResult struct {
	name    string
	results []*result
}

// The part of BENCHMARKS.md that this command owns, and the picture in it.
const (
	markBegin = "<!-- written by make bench-peers -->\n"
	markEnd   = "<!-- end of what make bench-peers writes -->\n"
	pageFile  = "BENCHMARKS.md"
	plotFile  = "docs/peers.svg"
)

// tell prints the tables, and writes them if it was asked to.
func (a *outcome) tell(root string) error {
	text := a.markdown()
	fmt.Print(text)
	var errs []error
	if a.options.write {
		errs = append(errs, replacePart(filepath.Join(root, pageFile), text), os.WriteFile(filepath.Join(root, plotFile), []byte(a.svg()), 0o644))
	}
	for _, t := range a.tables {
		for _, r := range t.results {
			for _, why := range r.Failed {
				errs = append(errs, fmt.Errorf("%s: %s", r.Case, why))
			}
		}
	}
	return errors.Join(errs...)
}

// replacePart writes the text between the markers, which are added at the end of a page that has none (P4).
func replacePart(file, text string) error {
	b, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	page := string(b)
	before, rest, ok := strings.Cut(page, markBegin)
	if !ok {
		before, rest = page+"\n", markEnd
	}
	_, after, ok := strings.Cut(rest, markEnd)
	if !ok {
		return fmt.Errorf("%s has %q without %q", file, markBegin, markEnd)
	}
	return os.WriteFile(file, []byte(before+markBegin+text+markEnd+after), 0o644)
}

func (a *outcome) markdown() string {
	var b strings.Builder
	o := a.options
	fmt.Fprintf(&b, "## Beside Apache ZooKeeper\n\n")
	fmt.Fprintf(&b, "`make bench-peers ROUNDS=%d`, %s, commit %s, %s; took %v. Apache ZooKeeper %s on Java with %s, warmed up %v; both with the same zoo.cfg, every write synced. "+
		"%d interleaved rounds, %v measured after %v of load for every case and server; load generator and servers share the machine. "+
		"Ratio: Holt by the other, taken round by round; the median is judged, and all rounds are given. Figures are medians over the rounds. Processor time is that of the servers and of the kernel's worker threads, which sync for them (etcd's without the latter). "+
		"*aim* and *must* say which goal is reached. The ceiling is a server that does nothing: fixed replies, or one sync for all that waits, or events to all.%s\n\n",
		o.rounds, a.began.UTC().Format("2006-01-02 15:04 UTC"), a.commit, machineLine(), a.took.Round(time.Second), ensemble.ZooKeeperVersion,
		strings.Join(jvm, " "), o.warmJVM, o.rounds, o.each, o.warmup, etcdLine(o))
	if o.write {
		fmt.Fprintf(&b, "![ratios to ZooKeeper](%s)\n\n", plotFile)
	}
	for _, t := range a.tables {
		a.writeTable(&b, t)
	}
	a.writeAbsolute(&b)
	a.writeFaults(&b)
	a.writeWorse(&b)
	return b.String()
}

func etcdLine(o *options) string {
	if !o.etcd {
		return ""
	}
	return " etcd is 3.7 embedded, one member, loaded by its own Go client over gRPC (cmd/benchpeers/etcd), reads serializable."
}

func machineLine() string {
	kernel := ""
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel = ", Linux " + strings.TrimSpace(string(b))
	}
	return fmt.Sprintf("%s%s, %s", bench.Machine(), kernel, runtime.Version())
}

func (a *outcome) writeTable(b *strings.Builder, t tableResult) {
	fmt.Fprintf(b, "### %s\n\n| case | figure | Holt | other | ratio | rounds | must | aim | |\n|---|---|---|---|---|---|---|---|---|\n", strings.ToUpper(t.name[:1])+t.name[1:])
	for _, r := range t.results {
		for i, g := range r.goals {
			name := r.Case
			if i > 0 {
				name = ""
			}
			ratios := r.ratios(g)
			m := median(ratios)
			fmt.Fprintf(b, "| %s | %s | %s | %s: %s | **%s** | %s | %s | %s | %s |\n", name, g.name, g.format(r.medianOf(holt, g.figure)),
				g.against, g.format(r.medianOf(g.against, g.figure)), ratioText(m), ratioList(ratios), limit(g, g.must), limit(g, g.aim), g.verdict(m))
		}
	}
	b.WriteString("\n")
	for _, r := range t.results {
		for _, why := range r.Failed {
			fmt.Fprintf(b, "Failed: %s, %s\n\n", r.Case, why)
		}
	}
}

func limit(g goal, v float64) string {
	if v == 0 {
		return "-"
	}
	if g.less {
		return fmt.Sprintf("≤ %.2g", v)
	}
	return fmt.Sprintf("≥ %.2g", v)
}

func ratioText(v float64) string {
	if v >= 10 {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func ratioList(list []float64) string {
	var words []string
	for _, v := range list {
		words = append(words, ratioText(v))
	}
	return strings.Join(words, " ")
}

// writeFaults says how many runs there were, and how many counted what must not happen.
func (a *outcome) writeFaults(b *strings.Builder) {
	runs, failed := 0, 0
	for _, t := range a.tables {
		for _, r := range t.results {
			failed += len(r.Failed)
			for _, reports := range r.Reports {
				runs += len(reports)
			}
		}
	}
	fmt.Fprintf(b, "%d runs; every reply's order, every watch event and every lock's holder was checked: %d runs failed or counted a fault.\n\n", runs, failed)
}

// writeWorse lists every goal that was missed, and every figure in which Holt is worse than ZooKeeper.
func (a *outcome) writeWorse(b *strings.Builder) {
	var worse, missed []string
	for _, t := range a.tables {
		for _, r := range t.results {
			for _, g := range r.goals {
				m := median(r.ratios(g))
				line := fmt.Sprintf("- %s, %s: %s of %s", r.Case, g.name, ratioText(m), g.against)
				if g.against == zookeeper && m > 0 && (m < 1) != g.less && m != 1 {
					worse = append(worse, line)
				} else if g.verdict(m) == "**missed**" {
					missed = append(missed, line+", goal "+limit(g, g.must))
				}
			}
		}
	}
	for _, r := range a.absolute {
		if r.verdict() == "**missed**" {
			missed = append(missed, fmt.Sprintf("- %s: %s, goal %s", r.name, r.format(r.value()), r.format(r.must)))
		}
	}
	b.WriteString("### What Holt is worse at\n\n")
	if len(worse) == 0 {
		b.WriteString("Worse than ZooKeeper in no figure above.\n\n")
	} else {
		fmt.Fprintf(b, "Worse than ZooKeeper:\n\n%s\n\n", strings.Join(worse, "\n"))
	}
	if len(missed) > 0 {
		fmt.Fprintf(b, "Better than ZooKeeper or the like, but short of its goal:\n\n%s\n\n", strings.Join(missed, "\n"))
	}
}

// svg draws the ratios to ZooKeeper as bars on a logarithmic scale, with marks for must and aim.
func (a *outcome) svg() string {
	type bar struct {
		name             string
		ratio, must, aim float64
	}
	var bars []bar
	for _, t := range a.tables {
		for _, r := range t.results {
			i := slices.IndexFunc(r.goals, func(g goal) bool { return g.against == zookeeper && !g.less })
			if i < 0 {
				continue
			}
			if g := r.goals[i]; median(r.ratios(g)) > 0 {
				bars = append(bars, bar{r.Case + ", " + g.name, median(r.ratios(g)), g.must, g.aim})
			}
		}
	}
	const left, width, line = 330, 420, 18
	x := func(ratio float64) float64 { return left + width*math.Log(max(ratio, 0.5)/0.5)/math.Log(100/0.5) }
	var b strings.Builder
	height := line*len(bars) + 40
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11"><rect width="100%%" height="100%%" fill="#fff"/>`, left+width+60, height)
	for _, v := range []float64{0.5, 1, 2, 5, 10, 20, 50, 100} {
		fmt.Fprintf(&b, `<line x1="%.0f" x2="%.0f" y1="20" y2="%d" stroke="#ddd"/><text x="%.0f" y="14" text-anchor="middle">%gx</text>`, x(v), x(v), height-10, x(v), v)
	}
	for i, r := range bars {
		y := 24 + i*line
		color := "#2a9d4a"
		if r.ratio < r.must {
			color = "#d95f02"
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%.1f" y="%d" width="%.1f" height="12" fill="%s"/>`,
			left-6, y+10, html.EscapeString(r.name), min(x(1), x(r.ratio)), y, max(1, x(max(r.ratio, 1))-x(min(r.ratio, 1))), color)
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#000"/><line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#000" stroke-dasharray="2 2"/>`,
			x(r.must), x(r.must), y-1, y+13, x(r.aim), x(r.aim), y-1, y+13)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d">%s</text>`, max(x(r.ratio), x(1))+4, y+10, ratioText(r.ratio))
	}
	b.WriteString("</svg>\n")
	return b.String()
}
