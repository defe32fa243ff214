package bench

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"holt/netloop/wire"
)

// Fault is something that must not happen. A run with any is a failed run.
type Fault int

// The faults that are counted.
const (
	FaultError   Fault = iota // a reply with an error, a lost connection, a request without a reply
	FaultOrder                // a reply out of order, or a zxid that went back
	FaultLost                 // a watch event that did not come
	FaultDoubled              // a watch event that came twice, or that nobody had asked for
	FaultLock                 // two holders of one lock, two leaders, a queue's message taken twice or lost
	faultCount
)

// Faults counts by kind.
type Faults [faultCount]int64

// FaultNames are the words for them, in tables and in JSON.
var FaultNames = [faultCount]string{"errors", "order_violations", "lost_events", "doubled_events", "lock_violations"}

// Total is how many there are.
func (f Faults) Total() (n int64) {
	for _, v := range f {
		n += v
	}
	return n
}

func (f *Faults) add(g Faults) {
	for i, v := range g {
		f[i] += v
	}
}

// series is one kind of latency that a workload records.
type series struct {
	name   string
	counts bool // its number is part of the run's operations
}

// Latencies are kept in nanoseconds, from 1 us to 10 minutes, to three digits.
const (
	latencyNsMin  = 1_000
	latencyNsMax  = int64(10 * time.Minute)
	latencyDigits = 3
)

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(latencyNsMin, latencyNsMax, latencyDigits)
}

// interval is what one loop measured in one second. It is handed to the collector for good, and comes back emptied.
type interval struct {
	loop   int
	second int
	last   bool
	series []*hdrhistogram.Histogram
	faults Faults // since the start of the run
}

// tally counts for one loop, which owns it.
type tally struct {
	run       *run
	number    int // of the loop
	measuring bool
	beginNs   int64 // of the measured time
	endNs     int64 // 0 while it is not known
	current   *interval
	faults    Faults
	what      map[string]int64 // faults by their text
	pings     int              // the series that takes pings, -1 for none

	// A burst of replies that were sent at once and came at once is recorded once.
	burst struct {
		series         int
		startNs, nowNs int64
		n              int64
	}
}

func (t *tally) init(r *run, number int) {
	t.run, t.number, t.what, t.pings = r, number, map[string]int64{}, -1
	for i, s := range r.series {
		if s.name == seriesPing {
			t.pings = i
		}
	}
	t.current = r.freshInterval()
}

func (t *tally) begin(ns int64) { t.measuring, t.beginNs = true, ns }

// end stops measuring. In an open loop requests that were due before still count when their replies come (B4).
func (t *tally) end(ns int64) {
	t.endNs = ns
	if t.run.cfg.Rate == 0 {
		t.flush()
		t.measuring = false
	}
}

// record counts one request of a series, sent at startNs and answered at nowNs.
func (t *tally) record(s int, startNs, nowNs int64) {
	b := &t.burst
	if startNs == b.startNs && nowNs == b.nowNs && s == b.series {
		b.n++
		return
	}
	t.flush()
	b.series, b.startNs, b.nowNs, b.n = s, startNs, nowNs, 1
}

func (t *tally) flush() {
	b := &t.burst
	if b.n > 0 && t.wanted(b.startNs) {
		ns := min(max(b.nowNs-b.startNs, latencyNsMin), latencyNsMax)
		_ = t.current.series[b.series].RecordValues(ns, b.n) // it is within the bounds
	}
	b.n = 0
}

func (t *tally) wanted(startNs int64) bool {
	if !t.measuring {
		return false
	}
	return t.run.cfg.Rate == 0 || startNs >= t.beginNs && (t.endNs == 0 || startNs < t.endNs)
}

func (t *tally) ping(sentNs, nowNs int64) {
	if t.pings >= 0 && sentNs > 0 {
		t.record(t.pings, sentNs, nowNs)
	}
}

func (t *tally) fault(f Fault, what string, n int64) {
	t.faults[f] += n
	if _, known := t.what[what]; known || len(t.what) < 100 {
		t.what[what] += n
	}
}

// roll hands over the second that has ended.
func (t *tally) roll(nowNs int64) {
	if !t.measuring || t.endNs != 0 || nowNs < t.beginNs+int64(t.current.second+1)*int64(time.Second) {
		return
	}
	t.flush()
	second := t.current.second
	t.hand(false)
	t.current.second = max(second+1, int((nowNs-t.beginNs)/int64(time.Second)))
}

// finish hands over what is left.
func (t *tally) finish() {
	t.flush()
	t.measuring = false
	t.hand(true)
}

func (t *tally) hand(last bool) {
	t.current.loop, t.current.faults, t.current.last = t.number, t.faults, last
	t.run.intervals <- t.current
	t.current = t.run.freshInterval()
	t.current.second = 0
}

var codeNames = map[wire.Code]string{
	wire.CodeSystemError: "SystemError", wire.CodeMarshallingError: "MarshallingError", wire.CodeUnimplemented: "Unimplemented",
	wire.CodeOperationTimeout: "OperationTimeout", wire.CodeBadArguments: "BadArguments", wire.CodeNoNode: "NoNode", wire.CodeNoAuth: "NoAuth",
	wire.CodeBadVersion: "BadVersion", wire.CodeNodeExists: "NodeExists", wire.CodeNotEmpty: "NotEmpty", wire.CodeConnectionLoss: "ConnectionLoss",
	wire.CodeSessionExpired: "SessionExpired", wire.CodeSessionMoved: "SessionMoved", wire.CodeQuotaExceeded: "QuotaExceeded",
	wire.CodeThrottledOp: "ThrottledOp",
}

func codeName(c wire.Code) string {
	if name := codeNames[c]; name != "" {
		return name
	}
	return fmt.Sprintf("error %d", c)
}
