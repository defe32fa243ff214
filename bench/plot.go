package bench

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// plot is a diagram of lines, drawn as SVG.
type plot struct {
	title string
	lines []plotLine
	yLog  bool
	yText func(v float64) string
	xText func(v float64) string
	xAt   []float64 // where to put ticks; nil: at round numbers
}

type plotLine struct {
	name   string
	points [][2]float64
	dashed bool
	color  int
}

// Where things are, in SVG units.
const (
	plotWidth  = 640
	plotHeight = 300
	plotLeft   = 70
	plotRight  = 12
	plotTop    = 12
	plotBottom = 28
)

// svg draws the plot; "" if there is nothing to draw.
func (p *plot) svg() string {
	xLow, xHigh, yLow, yHigh, ok := p.bounds()
	if !ok {
		return ""
	}
	x := func(v float64) float64 {
		return plotLeft + (v-xLow)/(xHigh-xLow)*(plotWidth-plotLeft-plotRight)
	}
	y := func(v float64) float64 {
		if p.yLog {
			v, low, high := math.Log(max(v, yLow)), math.Log(yLow), math.Log(yHigh)
			return plotHeight - plotBottom - (v-low)/(high-low)*(plotHeight-plotTop-plotBottom)
		}
		return plotHeight - plotBottom - (v-yLow)/(yHigh-yLow)*(plotHeight-plotTop-plotBottom)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<figure><figcaption>%s</figcaption><svg viewBox="0 0 %d %d" role="img">`, html.EscapeString(p.title), plotWidth, plotHeight)
	for _, v := range p.yTicks(yLow, yHigh) {
		fmt.Fprintf(&b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`,
			plotLeft, plotWidth-plotRight, y(v), y(v), plotLeft-6, y(v)+4, html.EscapeString(p.yText(v)))
	}
	ticks := p.xAt
	if ticks == nil {
		ticks = roundTicks(xLow, xHigh, 8)
	}
	for _, v := range ticks {
		if v >= xLow && v <= xHigh {
			fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`, x(v), plotHeight-8, html.EscapeString(p.xText(v)))
		}
	}
	for _, l := range p.lines {
		class := fmt.Sprintf("line c%d", l.color%6)
		if l.dashed {
			class += " dashed"
		}
		fmt.Fprintf(&b, `<polyline class="%s" points="`, class)
		last := ""
		for _, q := range l.points {
			if at := fmt.Sprintf("%.0f,%.0f ", x(q[0]), y(q[1])); at != last {
				b.WriteString(at)
				last = at
			}
		}
		b.WriteString(`"/>`)
	}
	b.WriteString(`</svg><p class="legend">`)
	for _, l := range p.lines {
		dash := ""
		if l.dashed {
			dash = " dashed"
		}
		fmt.Fprintf(&b, `<span class="c%d%s">%s</span>`, l.color%6, dash, html.EscapeString(l.name))
	}
	b.WriteString("</p></figure>\n")
	return b.String()
}

func (p *plot) bounds() (xLow, xHigh, yLow, yHigh float64, ok bool) {
	xLow, yLow = math.Inf(1), math.Inf(1)
	xHigh, yHigh = math.Inf(-1), math.Inf(-1)
	for _, l := range p.lines {
		for _, q := range l.points {
			xLow, xHigh = min(xLow, q[0]), max(xHigh, q[0])
			if p.yLog && q[1] <= 0 {
				continue
			}
			yLow, yHigh = min(yLow, q[1]), max(yHigh, q[1])
		}
	}
	if math.IsInf(xLow, 1) || math.IsInf(yLow, 1) {
		return 0, 0, 0, 0, false
	}
	if xLow == xHigh {
		xHigh = xLow + 1
	}
	if p.yLog {
		return xLow, xHigh, yLow / 1.2, yHigh * 1.2, true
	}
	return xLow, xHigh, 0, max(yHigh*1.05, 1e-9), true
}

func (p *plot) yTicks(low, high float64) (ticks []float64) {
	if !p.yLog {
		return roundTicks(low, high, 6)
	}
	steps := []float64{1, 2, 5}
	if high/low > 300 {
		steps = steps[:1]
	}
	for decade := math.Pow(10, math.Floor(math.Log10(low))); decade <= high; decade *= 10 {
		for _, step := range steps {
			if v := decade * step; v >= low && v <= high {
				ticks = append(ticks, v)
			}
		}
	}
	return ticks
}

// roundTicks are about n round numbers from low to high.
func roundTicks(low, high float64, n int) (ticks []float64) {
	step := math.Pow(10, math.Floor(math.Log10((high-low)/float64(n))))
	for _, factor := range []float64{1, 2, 5, 10} {
		if (high-low)/(step*factor) <= float64(n) {
			step *= factor
			break
		}
	}
	for v := math.Ceil(low/step) * step; v <= high; v += step {
		ticks = append(ticks, v)
	}
	return ticks
}
