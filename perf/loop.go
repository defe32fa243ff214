package perf

import (
	"math/bits"
	"sync/atomic"
)

// Loop is what one event loop counts. Its owner works on plain fields during a turn; End publishes what changed in atomics, which
// the exporter reads. So a request costs one plain increment, and the stores that other goroutines can see cost once per turn.
//
// A read that is answered in the turn that brought it took at most as long as the turn: End counts it with that time, which
// needs no clock per request. What waits (writes, reads behind them) is counted by Answered with its own time.
//
//	Begin(now) .. Received, Inline, Answered, Sent .. End(now)
type Loop struct {
	// Plain, of the running turn: the owner's.
	begun    int64
	inline   [opsLen]uint32
	touched  uint32 // bit per Op in inline
	received turnCount
	sent     turnCount
	// Gauges are set by the owner at any time within a turn; End publishes those that changed.
	Gauges LoopGauges
	told   LoopGauges

	// Published.
	packetsReceived, packetsSent atomic.Uint64
	bytesReceived, bytesSent     atomic.Uint64
	gauges                       [gaugesLen]atomic.Int64
	latency                      [opsLen]Histogram
	turn                         Histogram
	lag                          Histogram
	fanout                       [4]Histogram
	slowNs                       int64
}

type turnCount struct{ packets, bytes uint64 }

// LoopGauges are levels that a loop knows.
type LoopGauges struct {
	Conns            int64 // connections, those without a session too
	Outstanding      int64 // requests taken and not answered
	Watches          int64 // as ZooKeeper counts watch_count
	WatchBytes       int64 // memory of the watch table, estimated
	BufferBytes      int64 // memory of buffers: unparsed input and unsent output
	CommitsBehind    int64 // commits published and not yet walked at the start of the turn
	RecursiveWatches int64
	Syncs            int64 // of Outstanding
}

// Positions in Loop.gauges, in the order of LoopGauges.values.
const (
	gaugeConns = iota
	gaugeOutstanding
	gaugeWatches
	gaugeWatchBytes
	gaugeBufferBytes
	gaugeBehind
	gaugeRecursive
	gaugeSyncs
	gaugesLen
)

func (g *LoopGauges) values() [gaugesLen]int64 {
	return [gaugesLen]int64{g.Conns, g.Outstanding, g.Watches, g.WatchBytes, g.BufferBytes, g.CommitsBehind, g.RecursiveWatches, g.Syncs}
}

// Begin starts a turn. nowNs is Now().
func (l *Loop) Begin(nowNs int64) { l.begun = nowNs }

// Inline counts a request that is answered in this turn.
func (l *Loop) Inline(op Op) {
	l.inline[op]++
	l.touched |= 1 << op
}

// Answered counts a request that was taken in an earlier turn (or waits for nothing but this one's end), arrivedNs being the
// start of that turn. It says whether the request was slow: then the caller writes to the slow-operation log.
func (l *Loop) Answered(op Op, arrivedNs, nowNs int64) (slow bool) {
	ns := nowNs - arrivedNs
	l.latency[op].Observe(ns)
	return ns >= l.slowNs
}

// Received counts packets (requests) and bytes that came in.
func (l *Loop) Received(packets, bytes int) {
	l.received.packets += uint64(packets)
	l.received.bytes += uint64(bytes)
}

// Sent counts packets (replies and events) and bytes that went out.
func (l *Loop) Sent(packets, bytes int) {
	l.sent.packets += uint64(packets)
	l.sent.bytes += uint64(bytes)
}

// Fired counts one change that told n connections; kind is the event type on the wire, 1 to 4.
func (l *Loop) Fired(kind, n int) { l.fanout[kind-1].Observe(int64(n)) }

// Lag counts how long a wake waited before this loop ran it.
func (l *Loop) Lag(ns int64) { l.lag.Observe(ns) }

// End finishes a turn and publishes it. It says whether the turn itself was slow.
func (l *Loop) End(nowNs int64) (slow bool) {
	ns := nowNs - l.begun
	l.turn.Observe(ns)
	for t := l.touched; t != 0; t &= t - 1 {
		op := bits.TrailingZeros32(t)
		l.latency[op].ObserveN(ns, uint64(l.inline[op]))
		l.inline[op] = 0
	}
	l.touched = 0
	publish(&l.packetsReceived, &l.bytesReceived, &l.received)
	publish(&l.packetsSent, &l.bytesSent, &l.sent)
	if l.Gauges != l.told {
		l.told = l.Gauges
		for i, v := range l.Gauges.values() {
			l.gauges[i].Store(v)
		}
	}
	return ns >= l.slowNs
}

func publish(packets, bytes *atomic.Uint64, c *turnCount) {
	if c.bytes|c.packets == 0 {
		return
	}
	packets.Add(c.packets)
	bytes.Add(c.bytes)
	*c = turnCount{}
}
