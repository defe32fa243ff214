package perf

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/VictoriaMetrics/metrics"
)

// export is how a histogram is shown: which of the fixed bounds (1, 2 and 5 of each decade between low and high) and in what unit.
type export struct {
	low, high uint64
	scale     float64
}

var (
	seconds = export{1e3, 1e10, 1e-9} // 1 us to 10 s, counted in ns
	counts  = export{1, 1e6, 1}
	sizes   = export{100, 1e9, 1}
)

// WritePrometheus writes everything in Prometheus's text format: ZooKeeper's names bare, Holt's with holt_, the process's own.
func (m *Metrics) WritePrometheus(w io.Writer) {
	m.set.WritePrometheus(w)
	metrics.WriteProcessMetrics(w)
}

// Set is where other parts may register metrics of their own, prefixed holt_.
func (m *Metrics) Set() *metrics.Set { return m.set }

func (m *Metrics) register() {
	m.set.RegisterMetricsWriter(m.writeZooKeeper)
	m.set.RegisterMetricsWriter(m.writeRequests)
	m.set.RegisterMetricsWriter(m.writeLoops)
	m.set.RegisterMetricsWriter(m.writeParts)
	m.set.RegisterMetricsWriter(m.writeLevels)
}

func (m *Metrics) writeZooKeeper(w io.Writer) {
	src := m.sources.Load()
	for _, g := range zkGauges {
		if v, ok := g.value(m, src); ok {
			fmt.Fprintf(w, "# TYPE %s gauge\n%s %s\n", g.name, g.name, number(v))
		}
	}
	for _, c := range zkCounters {
		fmt.Fprintf(w, "# TYPE %s counter\n%s %d\n", c.name, c.name, c.value(m))
	}
	for _, c := range zkCounterSets {
		fmt.Fprintf(w, "# TYPE %s counter\n", c.name)
		c.value(m).visit(func(key string, n uint64) {
			fmt.Fprintf(w, "%s{key=\"%s\"} %d\n", c.name, labelEscapes.Replace(key), n)
		})
	}
	for _, s := range zkSummaries {
		m.writeSummary(w, s)
	}
}

// labelEscapes is what Prometheus's text format asks of a label's value.
var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func (m *Metrics) writeSummary(w io.Writer, s zkSummary) {
	all := s.value(m)
	recent := m.recent(s.name, all)
	fmt.Fprintf(w, "# TYPE %s summary\n", s.name)
	quantiles := []float64{0.5}
	if s.advanced {
		quantiles = []float64{0.5, 0.9, 0.95, 0.99}
	}
	for _, q := range quantiles {
		v := "NaN"
		if recent.N > 0 {
			v = number(recent.Quantile(q) * s.scale)
		}
		fmt.Fprintf(w, "%s{quantile=%q} %s\n", s.name, number(q), v)
	}
	fmt.Fprintf(w, "%s_count %d\n%s_sum %s\n", s.name, all.N, s.name, number(float64(all.Sum)*s.scale))
}

func (m *Metrics) writeRequests(w io.Writer) {
	const name = "holt_request_seconds"
	fmt.Fprintf(w, "# TYPE %s histogram\n", name)
	for op := range opsLen {
		s := m.latency(func(o Op) bool { return o == op })
		if s.N > 0 {
			writeHistogram(w, name, `op="`+op.String()+`"`, seconds, &s)
		}
	}
}

func (m *Metrics) writeLoops(w io.Writer) {
	each := func(name, kind string, value func(l *Loop) uint64) {
		fmt.Fprintf(w, "# TYPE %s %s\n", name, kind)
		for i, l := range m.loops {
			fmt.Fprintf(w, "%s{loop=\"%d\"} %d\n", name, i, value(l))
		}
	}
	gauge := func(name string, i int) {
		each(name, "gauge", func(l *Loop) uint64 { return uint64(l.gauges[i].Load()) })
	}
	gauge("holt_loop_connections", gaugeConns)
	gauge("holt_loop_outstanding_requests", gaugeOutstanding)
	gauge("holt_loop_watches", gaugeWatches)
	gauge("holt_loop_recursive_watches", gaugeRecursive)
	gauge("holt_loop_commits_behind", gaugeBehind)
	each("holt_loop_packets_received_total", "counter", func(l *Loop) uint64 { return l.packetsReceived.Load() })
	each("holt_loop_packets_sent_total", "counter", func(l *Loop) uint64 { return l.packetsSent.Load() })
	for _, h := range []struct {
		name string
		get  func(l *Loop) *Histogram
	}{
		{"holt_loop_turn_seconds", func(l *Loop) *Histogram { return &l.turn }},
		{"holt_loop_lag_seconds", func(l *Loop) *Histogram { return &l.lag }},
	} {
		fmt.Fprintf(w, "# TYPE %s histogram\n", h.name)
		for i, l := range m.loops {
			s := h.get(l).Snapshot()
			writeHistogram(w, h.name, `loop="`+strconv.Itoa(i)+`"`, seconds, &s)
		}
	}
}

func (m *Metrics) writeParts(w io.Writer) {
	for _, h := range []struct {
		name, label string
		how         export
		from        *Histogram
	}{
		{"holt_fsync_seconds", "", seconds, &m.Fsync},
		{"holt_log_batch_records", "", counts, &m.BatchRecords},
		{"holt_log_batch_bytes", "", sizes, &m.BatchBytes},
		{"holt_entry_commands", "", counts, &m.EntryCommands},
		{"holt_checkpoint_seconds", "", seconds, &m.Checkpoint},
		{"holt_election_seconds", "", seconds, &m.ElectionTime},
		{"holt_stage_seconds", `stage="queue"`, seconds, &m.StageQueue},
		{"holt_stage_seconds", `stage="durable"`, seconds, &m.StageDurable},
		{"holt_stage_seconds", `stage="quorum"`, seconds, &m.StageQuorum},
		{"holt_stage_seconds", `stage="apply"`, seconds, &m.StageApply},
		{"holt_stage_seconds", `stage="deliver"`, seconds, &m.StageDeliver},
	} {
		if h.label == "" || h.label == `stage="queue"` {
			fmt.Fprintf(w, "# TYPE %s histogram\n", h.name)
		}
		s := h.from.Snapshot()
		writeHistogram(w, h.name, h.label, h.how, &s)
	}
	for _, c := range []struct {
		name string
		from *Counter
	}{
		{"holt_elections_won_total", &m.Elections},
		{"holt_leader_changes_total", &m.LeaderChanges},
		{"holt_connections_closed_slow_total", &m.ConnsSlow},
		{"holt_connections_closed_unsure_total", &m.ConnsUnsure},
		{"holt_connections_closed_leaderless_total", &m.ConnsLeaderless},
		{"holt_large_replies_total", &m.LargeReplies},
		{"holt_events_denied_total", &m.EventsDenied},
		{"holt_quota_exceeded_total", &m.QuotaExceeded},
		{"holt_fsync_slow_total", &m.FsyncSlow},
		{"holt_slow_operations_total", &m.slow.total},
	} {
		fmt.Fprintf(w, "# TYPE %s counter\n%s %d\n", c.name, c.name, c.from.Value())
	}
}

// writeLevels writes memory per part and what the sources know beyond ZooKeeper's names.
func (m *Metrics) writeLevels(w io.Writer) {
	src := m.sources.Load()
	fmt.Fprintf(w, "# TYPE holt_memory_bytes gauge\n")
	if src.TreeBytes != nil {
		fmt.Fprintf(w, "holt_memory_bytes{part=\"tree\"} %d\n", src.TreeBytes())
	}
	fmt.Fprintf(w, "holt_memory_bytes{part=\"watches\"} %d\n", m.loopGauge(gaugeWatchBytes))
	fmt.Fprintf(w, "holt_memory_bytes{part=\"buffers\"} %d\n", m.loopGauge(gaugeBufferBytes))
	for _, g := range []struct {
		name string
		get  func() int64
	}{
		{"holt_log_full", m.LogFull.Value},
		{"holt_checkpoint_disk_bytes", m.CheckpointDisk.Value},
		{"holt_log_bytes", src.LogBytes},
		{"holt_last_zxid", src.LastZxid},
		{"holt_raft_term", src.Term},
		{"holt_raft_applied_index", src.AppliedIndex},
		{"holt_raft_commit_index", src.CommitIndex},
		{"holt_queued_proposals", src.QueuedProposals},
	} {
		if g.get != nil {
			fmt.Fprintf(w, "# TYPE %s gauge\n%s %d\n", g.name, g.name, g.get())
		}
	}
	writeEnsemble(w, src)
}

// writeEnsemble writes a member's place in its ensemble: how long ago it was in contact with the leader, and as leader how far
// the others are.
func writeEnsemble(w io.Writer, src *Sources) {
	flag := func(name, label string, on bool) {
		v := 0
		if on {
			v = 1
		}
		fmt.Fprintf(w, "%s%s %d\n", name, label, v)
	}
	for _, f := range []struct {
		name string
		get  func() bool
	}{{"holt_leader", src.Leader}, {"holt_read_only", src.ReadOnly}} {
		if f.get != nil {
			fmt.Fprintf(w, "# TYPE %s gauge\n", f.name)
			flag(f.name, "", f.get())
		}
	}
	if src.ContactNs != nil {
		fmt.Fprintf(w, "# TYPE holt_leader_contact_seconds gauge\nholt_leader_contact_seconds %s\n", number(float64(src.ContactNs())*1e-9))
	}
	if src.Peers == nil {
		return
	}
	peers := src.Peers()
	if len(peers) == 0 {
		return
	}
	label := func(p *Peer) string { return fmt.Sprintf("{peer=\"%d\"}", p.ID) }
	fmt.Fprintf(w, "# TYPE holt_peer_lag_entries gauge\n")
	for i := range peers {
		fmt.Fprintf(w, "holt_peer_lag_entries%s %d\n", label(&peers[i]), peers[i].LagEntries)
	}
	fmt.Fprintf(w, "# TYPE holt_peer_active gauge\n")
	for i := range peers {
		flag("holt_peer_active", label(&peers[i]), peers[i].Active)
	}
	fmt.Fprintf(w, "# TYPE holt_peer_syncing gauge\n")
	for i := range peers {
		flag("holt_peer_syncing", label(&peers[i]), peers[i].Syncing)
	}
}

// writeHistogram writes cumulative le buckets.
func writeHistogram(w io.Writer, name, label string, how export, s *Snapshot) {
	sep := ""
	if label != "" {
		sep = ","
	}
	below := uint64(0)
	for i, n := range s.Counts[:boundsLen] {
		below += n
		if b := bounds[i]; b >= how.low && b <= how.high && isShown(i) {
			fmt.Fprintf(w, "%s_bucket{%s%sle=%q} %d\n", name, label, sep, number(float64(b)*how.scale), below)
		}
	}
	fmt.Fprintf(w, "%s_bucket{%s%sle=\"+Inf\"} %d\n", name, label, sep, s.N)
	if label != "" {
		label = "{" + label + "}"
	}
	fmt.Fprintf(w, "%s_sum%s %s\n%s_count%s %d\n", name, label, number(float64(s.Sum)*how.scale), name, label, s.N)
}

// isShown says whether bound i is a 1, 2 or 5.
func isShown(i int) bool {
	m := i % mantissaLen
	return m == 0 || m == 2 || m == 4
}

// number prints a value as short as it can be read back; scaling leaves no trail of nines.
func number(v float64) string { return strconv.FormatFloat(v, 'g', 12, 64) }
