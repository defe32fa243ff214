package netloop

import (
	"sync/atomic"

	"holt/netloop/wire"
)

// counters of one loop.
type counters struct {
	accepted, closed          atomic.Int64
	slowClosed, inboundClosed atomic.Int64
	silentClosed              atomic.Int64
	authFailed                atomic.Int64
	busy, refused             atomic.Int64
	oversized                 atomic.Int64
	sentBytes                 atomic.Int64
	events                    int64
}

func (c *counters) answer(op wire.Op, tookNs int64) {}
