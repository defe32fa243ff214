package perf

import (
	"math"
	"math/bits"
	"sync/atomic"
)

// bounds are the upper bounds of a histogram's buckets, six to a decade: 1 2 3 5 7 10 15 20 30 50 70 100 ... up to 10^12. In
// nanoseconds that is 1 ns to 17 minutes, as a count it is anything. One fixed table for every histogram, so that a value's
// bucket is found without the histogram and parts of several loops add up bucket by bucket.
const (
	decades     = 12
	boundsLen   = 6*decades + 1
	bucketsLen  = boundsLen + 1 // the last one is for what is larger
	boundsMax   = 1e12
	mantissaLen = 6
)

var bounds = makeBounds()

func makeBounds() (b [boundsLen]uint64) {
	n, unit := 0, uint64(1)
	for range decades {
		for _, m := range [mantissaLen]uint64{10, 15, 20, 30, 50, 70} {
			b[n] = unit * m / 10 // 1.5 is 1 in the first decade: that bucket stays empty
			n++
		}
		unit *= 10
	}
	b[n] = unit
	return b
}

// bucketFrom[n] is the first bucket that can hold a value of n bits.
var bucketFrom = func() (from [65]uint8) {
	for n := range from {
		low := uint64(0)
		if n > 0 {
			low = 1 << (n - 1)
		}
		i := 0
		for i < boundsLen && bounds[i] < low {
			i++
		}
		from[n] = uint8(i)
	}
	return from
}()

// bucketOf returns the bucket of a value: the first whose bound is not smaller.
func bucketOf(v uint64) int {
	i := int(bucketFrom[bits.Len64(v)])
	for i < boundsLen && bounds[i] < v {
		i++
	}
	return i
}

// Histogram counts values in fixed buckets. Any goroutine may observe; an observation is two or three uncontended atomic adds.
// The zero value is empty and ready.
type Histogram struct {
	counts [bucketsLen]atomic.Uint64
	sum    atomic.Uint64
	low    atomic.Uint64 // smallest value since the last reset, +1; 0 = none
	high   atomic.Uint64
}

// Observe counts one value; negative ones, which a clock that stepped can produce, count as zero.
func (h *Histogram) Observe(v int64) { h.ObserveN(v, 1) }

// ObserveN counts a value n times.
func (h *Histogram) ObserveN(v int64, n uint64) {
	u := uint64(max(v, 0))
	h.counts[bucketOf(u)].Add(n)
	h.sum.Add(u * n)
	if low := h.low.Load(); low == 0 || u+1 < low {
		lower(&h.low, u+1)
	}
	if u > h.high.Load() {
		raise(&h.high, u)
	}
}

func lower(a *atomic.Uint64, v uint64) {
	for old := a.Load(); old == 0 || v < old; old = a.Load() {
		if a.CompareAndSwap(old, v) {
			return
		}
	}
}

func raise(a *atomic.Uint64, v uint64) {
	for old := a.Load(); v > old; old = a.Load() {
		if a.CompareAndSwap(old, v) {
			return
		}
	}
}

// resetRange forgets the smallest and the largest value; counts go on, as Prometheus wants them.
func (h *Histogram) resetRange() {
	h.low.Store(0)
	h.high.Store(0)
}

// Snapshot is a histogram at one moment, or the difference or sum of some.
type Snapshot struct {
	Counts [bucketsLen]uint64
	N, Sum uint64
	Max    uint64 // 0 if there was no value
	low    uint64 // smallest + 1, 0 if there was none
}

// Min is the smallest value, 0 if there was none.
func (s *Snapshot) Min() uint64 { return max(s.low, 1) - 1 }

// AddTo adds the histogram to a snapshot.
func (h *Histogram) AddTo(s *Snapshot) {
	for i := range h.counts {
		n := h.counts[i].Load()
		s.Counts[i] += n
		s.N += n
	}
	s.Sum += h.sum.Load()
	if low := h.low.Load(); low > 0 && (s.low == 0 || low < s.low) {
		s.low = low
	}
	s.Max = max(s.Max, h.high.Load())
}

// Snapshot returns the histogram as it is now.
func (h *Histogram) Snapshot() (s Snapshot) {
	h.AddTo(&s)
	return s
}

// Since returns what came after an earlier snapshot; smallest and largest stay.
func (s Snapshot) Since(earlier *Snapshot) Snapshot {
	for i := range s.Counts {
		s.Counts[i] -= earlier.Counts[i]
	}
	s.N -= earlier.N
	s.Sum -= earlier.Sum
	return s
}

// Mean of the values, 0 if there are none.
func (s *Snapshot) Mean() float64 {
	if s.N == 0 {
		return 0
	}
	return float64(s.Sum) / float64(s.N)
}

// Quantile estimates the value below which a share q of the values lies, by interpolation in its bucket; 0 if there are none. The
// error is at most the width of a bucket (50 %).
func (s *Snapshot) Quantile(q float64) float64 {
	rank := q * float64(s.N)
	below := 0.0
	for i, n := range s.Counts {
		if n == 0 || below+float64(n) < rank {
			below += float64(n)
			continue
		}
		lo, hi := 0.0, float64(boundsMax)
		if i > 0 {
			lo = float64(bounds[i-1])
		}
		if i < boundsLen {
			hi = float64(bounds[i])
		}
		v := lo + (hi-lo)*(rank-below)/float64(n)
		if s.Max > 0 {
			v = math.Min(v, float64(s.Max))
		}
		return math.Max(v, float64(s.Min()))
	}
	return 0
}
