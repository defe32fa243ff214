package bench

import (
	"fmt"
	"html/template"
	"io"
	"math"
	"os"
	"strings"
)

// WritePage writes one self-contained HTML page with plots of one run, or of several beside each other. It
// loads nothing and runs no script.
func WritePage(w io.Writer, reports ...*Report) error {
	page := struct {
		Title   string
		Reports []*Report
		Tables  []string
		Plots   []template.HTML
		Pairs   []Comparison
	}{Reports: reports}
	var names []string
	for _, r := range reports {
		names = append(names, r.Name)
		var table strings.Builder
		r.WriteTable(&table)
		page.Tables = append(page.Tables, table.String())
	}
	page.Title = "holt bench: " + strings.Join(names, ", ")
	for _, p := range []plot{throughputPlot(reports), overTimePlot(reports), distributionPlot(reports), cpuPlot(reports), memoryPlot(reports)} {
		if svg := p.svg(); svg != "" {
			page.Plots = append(page.Plots, template.HTML(svg)) // plot escapes what it did not make itself
		}
	}
	if len(reports) == 2 {
		page.Pairs = Compare(reports[0], reports[1])
	}
	return pageTemplate.Execute(w, page)
}

// WritePageFile writes the page to a file.
func WritePageFile(file string, reports ...*Report) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := WritePage(f, reports...); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

func seconds(v float64) string { return fmt.Sprintf("%g s", v) }

// over makes lines of what points say over time.
func over(reports []*Report, suffix string, dashed bool, value func(p Point) float64) (lines []plotLine) {
	for i, r := range reports {
		l := plotLine{name: strings.TrimSpace(r.Name + " " + suffix), color: i, dashed: dashed}
		for _, p := range r.Points {
			l.points = append(l.points, [2]float64{float64(p.Second + 1), value(p)})
		}
		if len(l.points) > 0 {
			lines = append(lines, l)
		}
	}
	return lines
}

func throughputPlot(reports []*Report) plot {
	return plot{
		title: "operations per second", xText: seconds, yText: Thousands,
		lines: over(reports, "", false, func(p Point) float64 { return float64(p.Ops) }),
	}
}

func overTimePlot(reports []*Report) plot {
	p := plot{title: "latency by second: p50, and p99 dashed", xText: seconds, yText: func(v float64) string { return Short(int64(v)) }, yLog: true}
	p.lines = append(over(reports, "p50", false, func(p Point) float64 { return float64(p.P50) }),
		over(reports, "p99", true, func(p Point) float64 { return float64(p.P99) })...)
	return p
}

func cpuPlot(reports []*Report) plot {
	return plot{
		title: "processor seconds of the servers, by second", xText: seconds, yText: Thousands,
		lines: over(withServer(reports), "", false, func(p Point) float64 { return p.ServerCPU }),
	}
}

func memoryPlot(reports []*Report) plot {
	return plot{
		title: "memory of the servers", xText: seconds, yText: Bytes,
		lines: over(withServer(reports), "", false, func(p Point) float64 { return float64(p.ServerRSS) }),
	}
}

func withServer(reports []*Report) (list []*Report) {
	for _, r := range reports {
		if r.Server != nil {
			list = append(list, r)
		}
	}
	return list
}

// distributionPlot shows the latency that each share of the requests stays below. The shares stand at equal distances per
// nine, so that the tail is seen.
func distributionPlot(reports []*Report) plot {
	p := plot{
		title: "latency distribution", yLog: true, yText: func(v float64) string { return Short(int64(v)) },
		xAt: []float64{0, 1, 2, 3, 4, 5, 6},
		xText: func(v float64) string {
			if v == 0 {
				return "0 %"
			}
			return fmt.Sprintf("%.6g %%", 100*(1-math.Pow(10, -v)))
		},
	}
	for i, r := range reports {
		for j, s := range r.Series {
			if s.Count == 0 {
				continue
			}
			l := plotLine{name: r.Name + " " + s.Name, color: i, dashed: j > 0}
			if len(reports) == 1 {
				l.color, l.dashed = j, false
			}
			below := int64(0)
			for _, bar := range s.Histogram {
				below += bar[1]
				left := max(float64(s.Count-below), 0.5) / float64(s.Count)
				l.points = append(l.points, [2]float64{-math.Log10(left), float64(bar[0])})
			}
			p.lines = append(p.lines, l)
		}
	}
	return p
}

var pageTemplate = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{.Title}}</title>
<style>
:root { color-scheme: light dark; --ink: #222; --grid: #ddd; --paper: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #ddd; --grid: #444; --paper: #161616; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1340px; margin: 2em auto; padding: 0 1em; }
pre { overflow-x: auto; font-size: 13px; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(480px, 1fr)); gap: 1em; }
figure { margin: 0; } figcaption { font-weight: 600; }
svg { width: 100%; } svg text { font-size: 12px; fill: var(--ink); }
.grid { stroke: var(--grid); } .line { fill: none; stroke: currentColor; stroke-width: 2; }
.line.dashed { stroke-dasharray: 5 4; } .legend span { margin-right: 1.5em; } .legend .dashed { text-decoration: underline dashed; }
.c0 { color: #1f77b4; } .c1 { color: #d95f02; } .c2 { color: #2a9d4a; } .c3 { color: #a64ca6; } .c4 { color: #b8860b; } .c5 { color: #888; }
table { border-collapse: collapse; } td, th { padding: .2em .8em; text-align: right; border-bottom: 1px solid var(--grid); } td:first-child { text-align: left; }
</style></head><body>
<h1>{{.Title}}</h1>
{{range $i, $r := .Reports}}<p><b class="c{{$i}}">{{$r.Name}}</b>, {{$r.Began.Format "2006-01-02 15:04:05"}}, {{$r.Machine}}</p>
<pre>{{index $.Tables $i}}</pre>
{{end}}<div class="plots">
{{range .Plots}}{{.}}{{end}}</div>
{{with .Pairs}}<h2>Side by side</h2>
<table><tr><th></th><th>A: {{(index $.Reports 0).Name}}</th><th>B: {{(index $.Reports 1).Name}}</th><th>B/A</th><th>B is</th></tr>
{{range .}}<tr><td>{{.Name}}</td><td>{{call .Format .A}}</td><td>{{call .Format .B}}</td><td>{{printf "%.2f" .Ratio}}</td><td>{{.Verdict}}</td></tr>
{{end}}</table>{{end}}
</body></html>
`))
