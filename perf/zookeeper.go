package perf

import (
	"strconv"
	"strings"
)

// The metrics that bear ZooKeeper's names (ServerMetrics, ServerStats and the gauges that ZooKeeperServer and its leader
// register), as far as Holt has the thing. What Holt has no such thing for, like the queues of the reference's request
// processors, the packet cache or the JVM, is absent rather than zero.

type zkGauge struct {
	name  string
	value func(m *Metrics, s *Sources) (v float64, ok bool)
	real  bool // printed with a decimal point, as a Java double
}

type zkCounter struct {
	name  string
	value func(m *Metrics) uint64
}

// zkSummary is a distribution; scale turns its values into ZooKeeper's unit (ns to ms, or one).
type zkSummary struct {
	name     string
	scale    float64
	advanced bool // with more quantiles
	value    func(m *Metrics) Snapshot
}

const nsToMs = 1e-6

func fromSource(get func(s *Sources) func() int64) func(*Metrics, *Sources) (float64, bool) {
	return func(_ *Metrics, s *Sources) (float64, bool) {
		f := get(s)
		if f == nil {
			return 0, false
		}
		return float64(f()), true
	}
}

func fromLoops(i int) func(*Metrics, *Sources) (float64, bool) {
	return func(m *Metrics, _ *Sources) (float64, bool) { return float64(m.loopGauge(i)), true }
}

func fromStats(get func(s Stats) float64) func(*Metrics, *Sources) (float64, bool) {
	return func(m *Metrics, _ *Sources) (float64, bool) { return get(m.Stats()), true }
}

// onLeader hides what only the leader of an ensemble reports; a standalone server is none.
func onLeader(f func(*Metrics, *Sources) (float64, bool)) func(*Metrics, *Sources) (float64, bool) {
	return func(m *Metrics, s *Sources) (float64, bool) {
		if s.Leader == nil || !s.Leader() || s.QuorumSize == nil || s.QuorumSize() <= 1 {
			return 0, false
		}
		return f(m, s)
	}
}

var zkGauges = []zkGauge{
	{"avg_latency", fromStats(func(s Stats) float64 { return s.LatencyAvgMs }), true},
	{"min_latency", fromStats(func(s Stats) float64 { return float64(s.LatencyMinMs) }), false},
	{"max_latency", fromStats(func(s Stats) float64 { return float64(s.LatencyMaxMs) }), false},
	{"packets_received", fromStats(func(s Stats) float64 { return float64(s.PacketsReceived) }), false},
	{"packets_sent", fromStats(func(s Stats) float64 { return float64(s.PacketsSent) }), false},
	{"num_alive_connections", fromStats(func(s Stats) float64 { return float64(s.Conns) }), false},
	{"outstanding_requests", fromLoops(gaugeOutstanding), false},
	{"znode_count", fromSource(func(s *Sources) func() int64 { return s.Znodes }), false},
	{"watch_count", fromLoops(gaugeWatches), false},
	{"ephemerals_count", fromSource(func(s *Sources) func() int64 { return s.Ephemerals }), false},
	{"approximate_data_size", fromSource(func(s *Sources) func() int64 { return s.DataBytes }), false},
	{"global_sessions", fromSource(func(s *Sources) func() int64 { return s.Sessions }), false},
	{"local_sessions", func(*Metrics, *Sources) (float64, bool) { return 0, true }, false}, // every session is global
	{"open_file_descriptor_count", func(*Metrics, *Sources) (float64, bool) { return openFiles() }, false},
	{"max_file_descriptor_count", func(*Metrics, *Sources) (float64, bool) { return maxFiles() }, false},
	{"uptime", func(m *Metrics, _ *Sources) (float64, bool) { return float64(m.UptimeMs()), true }, false},
	{"auth_failed_count", func(m *Metrics, _ *Sources) (float64, bool) { return float64(m.AuthFailures.Value()), true }, false},
	{"outstanding_tls_handshake", fromSource(func(s *Sources) func() int64 { return s.TLSHandshakes }), false},
	{"quorum_size", fromSource(func(s *Sources) func() int64 { return s.QuorumSize }), false},
	{"learners", onLeader(fromSource(func(s *Sources) func() int64 { return s.Learners })), false},
	{"synced_followers", onLeader(fromSource(func(s *Sources) func() int64 { return s.SyncedFollowers })), false},
	{"synced_observers", onLeader(fromSource(func(s *Sources) func() int64 { return s.SyncedObservers })), false},
	{"synced_non_voting_followers", onLeader(func(*Metrics, *Sources) (float64, bool) { return 0, true }), false}, // there are none
	{"pending_syncs", onLeader(fromLoops(gaugeSyncs)), false},
	{"followers", onLeader(fromSource(func(s *Sources) func() int64 { return s.Followers })), false}, // until 3.5, and asked for still
	{"leader_uptime", onLeader(fromSource(func(s *Sources) func() int64 { return s.LeaderUptimeMs })), false},
	{"last_proposal_size", onLeader(fromStats(func(s Stats) float64 { return float64(s.ProposalLast) })), false},
	{"min_proposal_size", onLeader(fromStats(func(s Stats) float64 { return float64(s.ProposalMin) })), false},
	{"max_proposal_size", onLeader(fromStats(func(s Stats) float64 { return float64(s.ProposalMax) })), false},
}

var zkCounters = makeZkCounters()

func makeZkCounters() []zkCounter {
	list := []zkCounter{
		{"bytes_received_count", func(m *Metrics) uint64 { return m.loopSum(func(l *Loop) uint64 { return l.bytesReceived.Load() }) }},
		{"response_bytes", func(m *Metrics) uint64 { return m.loopSum(func(l *Loop) uint64 { return l.bytesSent.Load() }) }},
		{"connection_request_count", func(m *Metrics) uint64 { return m.ConnsAccepted.Value() }},
		{"connection_rejected", func(m *Metrics) uint64 { return m.ConnsRejected.Value() }},
		{"connection_revalidate_count", func(m *Metrics) uint64 { return m.ConnsAttached.Value() }},
		{"sessionless_connections_expired", func(m *Metrics) uint64 { return m.ConnsSilent.Value() }},
		{"stale_sessions_expired", func(m *Metrics) uint64 { return m.SessionsExpired.Value() }},
		{"large_requests_rejected", func(m *Metrics) uint64 { return m.LargeRequests.Value() }},
		{"unsuccessful_handshake", func(m *Metrics) uint64 { return m.HandshakesFailed.Value() }},
		{"digest_mismatches_count", func(m *Metrics) uint64 { return m.DigestMismatches.Value() }},
		{"proposal_count", func(m *Metrics) uint64 { return m.Proposals.Value() }},
		{"commit_count", func(m *Metrics) uint64 { return m.Commits.Value() }},
		{"looking_count", func(m *Metrics) uint64 { return m.Elections.Value() }},
		{"snap_count", func(m *Metrics) uint64 { s := m.Checkpoint.Snapshot(); return s.N }},
		{"ensemble_auth_success", func(m *Metrics) uint64 { return m.EnsembleAuthOK.Value() }},
		{"ensemble_auth_fail", func(m *Metrics) uint64 { return m.EnsembleAuthFailed.Value() }},
		{"ensemble_auth_skip", func(m *Metrics) uint64 { return m.EnsembleAuthSkipped.Value() }},
		{"ttl_node_created_count", func(m *Metrics) uint64 { return m.TTLCreated.Value() }},
		{"ttl_node_deleted_count", func(m *Metrics) uint64 { return m.TTLDeleted.Value() }},
		{"op_count_total", func(m *Metrics) uint64 { s := m.latency(func(Op) bool { return true }); return s.N }},
	}
	for op := OpPing; op < opsLen; op++ {
		list = append(list, zkCounter{"op_count_" + op.String(), func(m *Metrics) uint64 {
			s := m.latency(func(o Op) bool { return o == op })
			return s.N
		}})
	}
	return list
}

// zkCounterSets count by a key, which mntr puts before the name and Prometheus into a label.
var zkCounterSets = []struct {
	name  string
	value func(m *Metrics) *CounterSet
}{
	{"quota_exceeded_error_per_namespace", func(m *Metrics) *CounterSet { return &m.QuotaExceededBy }},
}

func (m *Metrics) loopSum(get func(*Loop) uint64) (sum uint64) {
	for _, l := range m.loops {
		sum += get(l)
	}
	return sum
}

func (m *Metrics) fanout(kind int) (s Snapshot) {
	for _, l := range m.loops {
		l.fanout[kind-1].AddTo(&s)
	}
	return s
}

func snapshotOf(get func(m *Metrics) *Histogram) func(*Metrics) Snapshot {
	return func(m *Metrics) Snapshot { return get(m).Snapshot() }
}

var zkSummaries = []zkSummary{
	{"fsynctime", nsToMs, false, snapshotOf(func(m *Metrics) *Histogram { return &m.Fsync })},
	{"snapshottime", nsToMs, false, snapshotOf(func(m *Metrics) *Histogram { return &m.Checkpoint })},
	{"election_time", nsToMs, false, snapshotOf(func(m *Metrics) *Histogram { return &m.ElectionTime })},
	{"startup_snap_load_time", nsToMs, false, snapshotOf(func(m *Metrics) *Histogram { return &m.StartLoad })},
	{"startup_txns_load_time", nsToMs, false, snapshotOf(func(m *Metrics) *Histogram { return &m.StartReplay })},
	{"startup_txns_loaded", 1, false, snapshotOf(func(m *Metrics) *Histogram { return &m.StartReplayed })},
	{"sync_processor_batch_size", 1, false, snapshotOf(func(m *Metrics) *Histogram { return &m.EntryCommands })},
	{"node_created_watch_count", 1, false, func(m *Metrics) Snapshot { return m.fanout(1) }},
	{"node_deleted_watch_count", 1, false, func(m *Metrics) Snapshot { return m.fanout(2) }},
	{"node_changed_watch_count", 1, false, func(m *Metrics) Snapshot { return m.fanout(3) }},
	{"node_children_watch_count", 1, false, func(m *Metrics) Snapshot { return m.fanout(4) }},
	{"readlatency", nsToMs, true, func(m *Metrics) Snapshot { return m.latency(isRead) }},
	{"updatelatency", nsToMs, true, func(m *Metrics) Snapshot { return m.latency(isUpdate) }},
	{"proposal_latency", nsToMs, true, snapshotOf(func(m *Metrics) *Histogram { return &m.StageDurable })},
	{"quorum_ack_latency", nsToMs, true, snapshotOf(func(m *Metrics) *Histogram { return &m.StageQuorum })},
	{"sync_processor_queue_time_ms", nsToMs, true, snapshotOf(func(m *Metrics) *Histogram { return &m.StageQueue })},
}

// VisitZooKeeper visits every metric with a ZooKeeper name, in the order of mntr (gauges, counters, summaries) and as it prints
// them: without the zk_ prefix, the value a decimal number that is also a JSON number.
func (m *Metrics) VisitZooKeeper(visit func(name, value string)) {
	src := m.sources.Load()
	for _, g := range zkGauges {
		v, ok := g.value(m, src)
		switch {
		case !ok:
		case g.real:
			visit(g.name, JavaDouble(v))
		default:
			visit(g.name, strconv.FormatInt(int64(v), 10))
		}
	}
	for _, c := range zkCounters {
		visit(c.name, strconv.FormatUint(c.value(m), 10))
	}
	for _, c := range zkCounterSets {
		c.value(m).visit(func(key string, n uint64) { visit(key+"_"+c.name, strconv.FormatUint(n, 10)) })
	}
	for _, s := range zkSummaries {
		m.visitSummary(s, visit)
	}
}

func (m *Metrics) visitSummary(s zkSummary, visit func(name, value string)) {
	all := s.value(m)
	whole := func(v float64) string { return strconv.FormatInt(int64(v*s.scale), 10) }
	visit("avg_"+s.name, JavaDouble(all.Mean()*s.scale))
	visit("min_"+s.name, whole(float64(all.Min())))
	visit("max_"+s.name, whole(float64(all.Max)))
	visit("cnt_"+s.name, strconv.FormatUint(all.N, 10))
	visit("sum_"+s.name, whole(float64(all.Sum)))
	if !s.advanced {
		return
	}
	recent := m.recent(s.name, all)
	for _, q := range []struct {
		name string
		q    float64
	}{{"p50_", 0.5}, {"p95_", 0.95}, {"p99_", 0.99}, {"p999_", 0.999}} {
		visit(q.name+s.name, whole(recent.Quantile(q.q)))
	}
}

// JavaDouble prints a number the way the reference prints its averages: at most four decimals, at least one.
func JavaDouble(v float64) string {
	text := strings.TrimRight(strconv.FormatFloat(v, 'f', 4, 64), "0")
	if strings.HasSuffix(text, ".") {
		return text + "0"
	}
	return text
}
