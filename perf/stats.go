package perf

import "strconv"

// Stats is what srvr and mntr say of requests since the start or the last reset.
type Stats struct {
	PacketsReceived, PacketsSent uint64
	LatencyMinMs, LatencyMaxMs   int64
	LatencyAvgMs                 float64
	Conns, Outstanding, Watches  int64
	FsyncSlow                    uint64
	ProposalLast, ProposalMin    int64
	ProposalMax                  int64
	AuthFailures                 uint64
}

type resetMark struct {
	received, sent uint64
	latency        Snapshot
}

// Stats sums up the loops.
func (m *Metrics) Stats() Stats {
	m.statsMu.Lock()
	mark := m.reset
	m.statsMu.Unlock()
	received, sent := m.packets()
	latency := m.latency(func(Op) bool { return true })
	latency = latency.Since(&mark.latency)
	s := Stats{
		PacketsReceived: received - mark.received,
		PacketsSent:     sent - mark.sent,
		LatencyMinMs:    int64(latency.Min() / 1e6),
		LatencyMaxMs:    int64(latency.Max / 1e6),
		LatencyAvgMs:    latency.Mean() / 1e6,
		Conns:           m.loopGauge(gaugeConns) + m.FourLetterConns.Value(),
		Outstanding:     m.loopGauge(gaugeOutstanding),
		Watches:         m.loopGauge(gaugeWatches),
		FsyncSlow:       m.FsyncSlow.Value(),
		AuthFailures:    m.AuthFailures.Value(),
	}
	s.ProposalLast, s.ProposalMin, s.ProposalMax = m.ProposalBytes.Values()
	return s
}

// ResetStats is srst: latencies, packets and proposal sizes start again. What Prometheus reads goes on.
func (m *Metrics) ResetStats() {
	m.statsMu.Lock()
	defer m.statsMu.Unlock()
	m.reset.received, m.reset.sent = m.packets()
	for _, l := range m.loops {
		for op := range l.latency {
			l.latency[op].resetRange()
		}
	}
	m.reset.latency = m.latency(func(Op) bool { return true })
	m.ProposalBytes.reset()
}

func (m *Metrics) packets() (received, sent uint64) {
	received, sent = m.FourLetterPackets.Value(), m.FourLetterPackets.Value()
	for _, l := range m.loops {
		received += l.packetsReceived.Load()
		sent += l.packetsSent.Load()
	}
	return received, sent
}

// latency sums the request latencies of all loops for the kinds that want says, in ns.
func (m *Metrics) latency(want func(Op) bool) (s Snapshot) {
	for _, l := range m.loops {
		for op := range l.latency {
			if want(Op(op)) {
				l.latency[op].AddTo(&s)
			}
		}
	}
	return s
}

func isRead(op Op) bool   { return !writes[op] && op != OpPing }
func isUpdate(op Op) bool { return writes[op] }

func (m *Metrics) loopGauge(i int) (sum int64) {
	for _, l := range m.loops {
		sum += l.gauges[i].Load()
	}
	return sum
}

// windowNs is how far back the quantiles of a summary look, at least; at most twice that if scrapes are frequent.
const windowNs = int64(60e9)

// window turns an ever growing snapshot into that of the last minute or two, rotating when it is looked at.
type window struct {
	older, newer Snapshot
	rotated      int64
}

func (w *window) recent(now Snapshot, nowNs int64) Snapshot {
	if nowNs-w.rotated > windowNs {
		w.older, w.newer, w.rotated = w.newer, now, nowNs
	}
	recent := now.Since(&w.older)
	if recent.N == 0 {
		recent.low, recent.Max = 0, 0
	}
	return recent
}

// recent is the last minute or two of a summary.
func (m *Metrics) recent(name string, now Snapshot) Snapshot {
	m.statsMu.Lock()
	defer m.statsMu.Unlock()
	w := m.windows[name]
	if w == nil {
		w = &window{rotated: Now()}
		m.windows[name] = w
	}
	return w.recent(now, Now())
}

func hex(v int64) string { return "0x" + strconv.FormatUint(uint64(v), 16) }
