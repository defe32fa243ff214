package quorum

import (
	"sync"
	"testing"
)

// lanesNet notes on which lanes of forwarded commands something was sent.
type lanesNet struct {
	Network
	mu   sync.Mutex
	sent map[uint64]bool
}

func (n *lanesNet) Send(to uint64, lane Lane, frame []byte) bool {
	if lane == LaneForward && len(frame) == 0 {
		n.mu.Lock()
		n.sent[to] = true
		n.mu.Unlock()
	}
	return n.Network.Send(to, lane, frame)
}

func (n *lanesNet) has(to uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sent[to]
}

// The lanes to those who may lead next are open before they do. Measured with chaos gap: opening them after a planned stop of the
// leader was most of what clients of the other members waited, 69 ms against 12.
func TestForwardLanesAreKeptOpen(t *testing.T) {
	nets := map[uint64]*lanesNet{}
	e := newEnsembleOf(t, lines(t, 1, 2, 3), func(c *Config) {
		nets[c.ID] = &lanesNet{Network: c.Network, sent: map[uint64]bool{}}
		c.Network = nets[c.ID]
	})
	leader := e.leader()
	for _, from := range []uint64{1, 2, 3} {
		for _, to := range []uint64{1, 2, 3} {
			if from == to || to == leader {
				continue
			}
			eventually(t, "the lane to a member that may lead next is open", func() bool { return nets[from].has(to) })
		}
		if nets[from].has(from) {
			t.Errorf("member %d opens a lane to itself", from)
		}
	}
}
