package perf

import (
	"log/slog"
	"sync/atomic"
	"time"
)

// slowLog writes a line per slow request, at most so many a second; what was dropped is told with the next line.
type slowLog struct {
	logger    *slog.Logger
	perSecond int64
	second    atomic.Int64
	lines     atomic.Int64
	dropped   atomic.Int64
	total     Counter
}

const slowLogsPerSecondDefault = 10

func newSlowLog(c Config) slowLog {
	n := int64(c.SlowLogsPerSecond)
	if n <= 0 {
		n = slowLogsPerSecondDefault
	}
	return slowLog{logger: c.Logger, perSecond: n}
}

// SlowOp tells of a request for which Answered said that it was slow. path may be a view; it is copied if it is logged.
func (m *Metrics) SlowOp(op Op, session int64, path []byte, arrivedNs, nowNs int64) {
	s := &m.slow
	s.total.Inc()
	if s.logger == nil || !s.allow(nowNs) {
		return
	}
	s.logger.Warn("slow request: the disk, the quorum or this loop is behind (see holt_stage_seconds)",
		"op", op.String(), "path", string(path), "session", hex(session),
		"took", time.Duration(nowNs-arrivedNs), "dropped", s.dropped.Swap(0))
}

// SlowTurn tells of a turn for which End said that it was slow.
func (m *Metrics) SlowTurn(loop int, beganNs, nowNs int64) {
	s := &m.slow
	s.total.Inc()
	if s.logger == nil || !s.allow(nowNs) {
		return
	}
	s.logger.Warn("slow turn: one event loop was busy, its clients waited", "loop", loop,
		"took", time.Duration(nowNs-beganNs), "dropped", s.dropped.Swap(0))
}

func (s *slowLog) allow(nowNs int64) bool {
	second := nowNs / int64(time.Second)
	if old := s.second.Load(); old != second && s.second.CompareAndSwap(old, second) {
		s.lines.Store(0)
	}
	if s.lines.Add(1) > s.perSecond {
		s.dropped.Add(1)
		return false
	}
	return true
}
