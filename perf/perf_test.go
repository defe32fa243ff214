package perf

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestBucketOf(t *testing.T) {
	slow := func(v uint64) int {
		i := 0
		for i < boundsLen && bounds[i] < v {
			i++
		}
		return i
	}
	rng := rand.New(rand.NewPCG(1, 1))
	values := []uint64{0, 1, 2, 3, 4, math.MaxUint64, boundsMax, boundsMax + 1}
	for _, b := range bounds {
		values = append(values, b-1, b, b+1)
	}
	for range 10000 {
		values = append(values, rng.Uint64()>>rng.IntN(64))
	}
	for _, v := range values {
		if got, want := bucketOf(v), slow(v); got != want {
			t.Fatalf("%d: got bucket %d, want %d", v, got, want)
		}
	}
}

// TestQuantile compares with the sorted values.
func TestQuantile(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var h Histogram
	var all []int64
	for range 20000 {
		v := int64(math.Exp(rng.NormFloat64()*2 + 12))
		h.Observe(v)
		all = append(all, v)
	}
	slices.Sort(all)
	s := h.Snapshot()
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		want := float64(all[min(len(all)-1, int(q*float64(len(all))))])
		if got := s.Quantile(q); got < want*0.7 || got > want*1.5 {
			t.Errorf("quantile %v: got %v, want %v", q, got, want)
		}
	}
	if s.N != 20000 || s.Min() != uint64(all[0]) || s.Max != uint64(all[len(all)-1]) {
		t.Errorf("got n=%d min=%d max=%d, want %d %d %d", s.N, s.Min(), s.Max, len(all), all[0], all[len(all)-1])
	}
	if (&Snapshot{}).Quantile(0.5) != 0 {
		t.Error("an empty histogram has a median")
	}
}

func TestWindowForgets(t *testing.T) {
	var w window
	var h Histogram
	h.Observe(1000)
	at := windowNs + 1
	if got := w.recent(h.Snapshot(), at); got.N != 1 {
		t.Errorf("first look: %d values", got.N)
	}
	h.Observe(5)
	at += windowNs + 1
	if got := w.recent(h.Snapshot(), at); got.N != 1 {
		t.Errorf("a minute later: %d values, want the new one", got.N)
	}
	at += windowNs + 1
	if got := w.recent(h.Snapshot(), at); got.N != 0 || got.Min() != 0 {
		t.Errorf("two minutes later: %d values, want none", got.N)
	}
}

// busy is metrics in which something of each kind happened.
func busy(loops int) *Metrics {
	m := New(Config{Loops: loops, SlowOp: time.Second})
	one := func(v int64) func() int64 { return func() int64 { return v } }
	m.SetSources(Sources{
		Znodes: one(5), DataBytes: one(44), Ephemerals: one(1), Sessions: one(2), LastZxid: one(9), TreeBytes: one(1 << 20),
		QuorumSize: one(3), Leader: func() bool { return true }, Learners: one(2), SyncedFollowers: one(2),
	})
	for i := range loops {
		l := m.Loop(i)
		l.Begin(0)
		l.Received(3, 300)
		l.Inline(OpGetData)
		l.Inline(OpGetData)
		l.Inline(OpPing)
		l.Answered(OpCreate, 0, 7e6)
		l.Sent(4, 400)
		l.Fired(3, 10)
		l.Gauges.Conns, l.Gauges.Watches = 2, 5
		l.End(2e6)
	}
	m.Fsync.Observe(3e6)
	m.Checkpoint.Observe(40e6)
	m.ElectionTime.Observe(1e6)
	return m
}

func TestStatsAndReset(t *testing.T) {
	m := busy(2)
	s := m.Stats()
	if s.PacketsReceived != 6 || s.PacketsSent != 8 || s.LatencyMinMs != 2 || s.LatencyMaxMs != 7 || s.Conns != 4 || s.Watches != 10 {
		t.Errorf("got %+v", s)
	}
	if want := (3*2 + 7) / 4.0; s.LatencyAvgMs != want {
		t.Errorf("average %v, want %v", s.LatencyAvgMs, want)
	}
	m.ResetStats()
	if s := m.Stats(); s.PacketsReceived != 0 || s.LatencyMaxMs != 0 || s.LatencyAvgMs != 0 || s.Conns != 4 {
		t.Errorf("after a reset: %+v", s)
	}
	if s := m.latency(isRead); s.N != 4 {
		t.Errorf("P2: a reset took %d reads from the histograms", 4-s.N)
	}
}

var sample = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-zA-Z_]+="[^"]*"(, ?[a-zA-Z_]+="[^"]*")*\})? (NaN|[-+0-9.e]+)$`)

// TestDashboard wants every series that the community's dashboard (Grafana 10465) and alert rules read, and a text that parses.
func TestDashboard(t *testing.T) {
	var out bytes.Buffer
	busy(2).WritePrometheus(&out)
	seen := map[string]string{}
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "# ") {
			continue
		}
		match := sample.FindStringSubmatch(line)
		if match == nil {
			t.Errorf("not a sample: %q", line)
			continue
		}
		if _, twice := seen[match[1]+match[2]]; twice {
			t.Errorf("%s%s is written twice", match[1], match[2])
		}
		seen[match[1]+match[2]] = match[4]
	}
	for _, name := range []string{
		"znode_count", "num_alive_connections", "approximate_data_size", "watch_count", "ephemerals_count", "outstanding_requests",
		"election_time_count", "open_file_descriptor_count", "max_file_descriptor_count", "fsynctime_sum", "fsynctime_count",
		`fsynctime{quantile="0.5"}`, "snapshottime_sum", "avg_latency", `readlatency{quantile="0.5"}`, `readlatency{quantile="0.99"}`,
		`updatelatency{quantile="0.5"}`, "readlatency_sum", "updatelatency_count", "global_sessions", "synced_followers", "pending_syncs",
		"learners", "quorum_size",
	} {
		if _, ok := seen[name]; !ok {
			t.Errorf("%s is missing", name)
		}
	}
	for name, want := range map[string]string{
		"fsynctime_sum": "3", "snapshottime_sum": "40", "updatelatency_sum": "14", "readlatency_count": "4", "readlatency_sum": "8",
		"avg_latency": "3.25", "watch_count": "10", "op_count_get_data": "4", "node_changed_watch_count_sum": "20",
		`holt_request_seconds_bucket{op="create",le="0.005"}`: "0", `holt_request_seconds_bucket{op="create",le="0.01"}`: "2",
		`holt_request_seconds_sum{op="create"}`: "0.014", `holt_memory_bytes{part="tree"}`: "1048576",
	} {
		if seen[name] != want {
			t.Errorf("%s is %q, want %q", name, seen[name], want)
		}
	}
	for name := range seen {
		if strings.HasPrefix(name, "jvm_") {
			t.Errorf("%s: there is no JVM", name)
		}
	}
}

func TestVisitZooKeeper(t *testing.T) {
	got := map[string]string{}
	busy(1).VisitZooKeeper(func(name, value string) {
		if _, err := strconv.ParseFloat(value, 64); err != nil {
			t.Errorf("%s: %q is not a number", name, value)
		}
		got[name] = value
	})
	for name, want := range map[string]string{
		"avg_latency": "3.25", "max_latency": "7", "packets_received": "3", "znode_count": "5", "avg_fsynctime": "3.0", "cnt_readlatency": "2",
		"p99_updatelatency": "7", "synced_followers": "2", "last_proposal_size": "-1", "local_sessions": "0",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}

// TestCounterSet: by key in mntr and as a label, and only so many keys.
func TestCounterSet(t *testing.T) {
	m := New(Config{})
	for _, key := range []string{"b", "a", "b", `q"\`} {
		m.QuotaExceededBy.Inc(key)
	}
	var mntr []string
	m.VisitZooKeeper(func(name, value string) {
		if strings.HasSuffix(name, "_quota_exceeded_error_per_namespace") {
			mntr = append(mntr, name+" "+value)
		}
	})
	const name = "quota_exceeded_error_per_namespace"
	if want := []string{"a_" + name + " 1", "b_" + name + " 2", `q"\_` + name + " 1"}; !slices.Equal(mntr, want) {
		t.Errorf("mntr has %q, want %q", mntr, want)
	}
	var out bytes.Buffer
	m.WritePrometheus(&out)
	want := name + "{key=\"a\"} 1\n" + name + "{key=\"b\"} 2\n" + name + `{key="q\"\\"} 1` + "\n"
	if !strings.Contains(out.String(), want) {
		t.Errorf("no %q in /metrics", want)
	}
	for i := range 2 * setKeysMax {
		m.QuotaExceededBy.Inc(strconv.Itoa(i))
	}
	n := 0
	m.QuotaExceededBy.visit(func(string, uint64) { n++ })
	if n != setKeysMax {
		t.Errorf("%d keys are kept, want %d", n, setKeysMax)
	}
}

func TestOpOf(t *testing.T) {
	for code, want := range map[int32]Op{4: OpGetData, 15: OpCreate, 106: OpAddWatch, -10: OpConnect, -11: OpClose, 0: OpOther, 999: OpOther, -5: OpOther} {
		if got := OpOf(code); got != want {
			t.Errorf("opcode %d is %v, want %v", code, got, want)
		}
	}
	for op := range opsLen {
		if opName[op] == "" {
			t.Errorf("kind %d has no name", op)
		}
	}
	if opsLen > 32 {
		t.Error("more kinds than bits in Loop.touched")
	}
}

func TestSlowLog(t *testing.T) {
	var out bytes.Buffer
	m := New(Config{SlowOp: time.Millisecond, SlowLogsPerSecond: 2, Logger: slog.New(slog.NewTextHandler(&out, nil))})
	l := m.Loop(0)
	for range 5 {
		if !l.Answered(OpCreate, 0, 2e6) {
			t.Fatal("2 ms is not slow")
		}
		m.SlowOp(OpCreate, 0x10, []byte("/a"), 0, 2e6)
	}
	if l.Answered(OpCreate, 0, 1000) {
		t.Error("1 us is slow")
	}
	m.SlowTurn(0, 0, 3e9)
	text := out.String()
	if n := strings.Count(text, "\n"); n != 3 {
		t.Errorf("%d lines, want 2 in the first second and 1 later:\n%s", n, text)
	}
	if !strings.Contains(text, "path=/a") || !strings.Contains(text, "session=0x10") || !strings.Contains(text, "dropped=3") {
		t.Errorf("got %s", text)
	}
}

// TestP1_ScrapeWhileCounting is for the race detector.
func TestP1_ScrapeWhileCounting(t *testing.T) {
	m := busy(2)
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			l := m.Loop(i)
			for now := range int64(2000) {
				l.Begin(now)
				l.Inline(OpExists)
				l.Received(1, 10)
				l.Gauges.Watches = now
				l.End(now + 10)
			}
		})
	}
	for range 20 {
		m.WritePrometheus(new(bytes.Buffer))
		m.Stats()
		m.ResetStats()
	}
	wg.Wait()
	if s := m.latency(func(o Op) bool { return o == OpExists }); s.N != 4000 {
		t.Errorf("%d requests, want 4000", s.N)
	}
}

func TestTurnDoesNotAllocate(t *testing.T) {
	l := New(Config{}).Loop(0)
	if got := testing.AllocsPerRun(100, func() { turn(l, 32) }); got != 0 {
		t.Errorf("%v allocations per turn", got)
	}
}

// turn is what a loop counts for n reads that came in one piece.
func turn(l *Loop, n int) {
	now := Now()
	l.Begin(now)
	for range n {
		l.Inline(OpGetData)
	}
	l.Received(n, n*50)
	l.Sent(n, n*100)
	l.End(Now())
}

// BenchmarkTurn is a turn of a loop that takes n reads in one piece, with its counting and without: both stamp the time at the
// turn's begin and end, which a loop does anyway. The difference is what counting costs; a read costs 330 to 450 ns of
// processor time in all when 32 come in one piece, and some 7,000 ns when it comes alone.
func BenchmarkTurn(b *testing.B) {
	for _, pipeline := range []int{1, 32} {
		for _, counting := range []bool{false, true} {
			b.Run(fmt.Sprintf("pipeline=%d/counting=%v", pipeline, counting), func(b *testing.B) {
				l := New(Config{}).Loop(0)
				sum := int64(0)
				for b.Loop() {
					if counting {
						turn(l, pipeline)
					} else {
						sum += Now()
						sum -= Now()
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(pipeline), "ns/request")
			})
		}
	}
}

func BenchmarkAnswered(b *testing.B) {
	l := New(Config{}).Loop(0)
	for b.Loop() {
		l.Answered(OpCreate, 1000, 900_000)
	}
}

func BenchmarkScrape(b *testing.B) {
	m := busy(4)
	var out bytes.Buffer
	for b.Loop() {
		out.Reset()
		m.WritePrometheus(&out)
	}
	b.ReportMetric(float64(out.Len()), "B")
}
