package quorum

import (
	"sync"
	"sync/atomic"
)

// memNet connects members in memory: a frame is delivered in the call that sends it.
type memNet struct {
	mu    sync.Mutex
	nodes map[uint64]*memNode
	cut   map[[2]uint64]bool // from, to
}

type memNode struct {
	net     *memNet
	id      uint64
	process uint32
	in      Receiver
	cluster atomic.Uint64
	promise atomic.Bool
	peers   map[uint64]bool
	halted  map[[2]uint64]chan struct{} // from, lane
}

func newMemNet() *memNet {
	return &memNet{nodes: map[uint64]*memNode{}, cut: map[[2]uint64]bool{}}
}

func (m *memNet) node(id uint64, process uint32) *memNode {
	return &memNode{net: m, id: id, process: process, peers: map[uint64]bool{}, halted: map[[2]uint64]chan struct{}{}}
}

// reach returns the receiver behind a way that is open.
func (m *memNet) reach(from, to uint64) Receiver {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, b := m.nodes[from], m.nodes[to]
	if a == nil || b == nil || b.in == nil || m.cut[[2]uint64{from, to}] || !a.peers[to] || !b.peers[from] {
		return nil
	}
	return b.in
}

// greet tells both ends of every open way of each other.
func (m *memNet) greet(id uint64) {
	m.mu.Lock()
	type pair struct{ a, b *memNode }
	var pairs []pair
	for _, n := range m.nodes {
		if n.id != id {
			pairs = append(pairs, pair{m.nodes[id], n})
		}
	}
	m.mu.Unlock()
	for _, p := range pairs {
		if p.a == nil || m.reach(p.a.id, p.b.id) == nil || m.reach(p.b.id, p.a.id) == nil {
			continue
		}
		p.a.in.Greeted(p.b.id, p.b.hello())
		p.b.in.Greeted(p.a.id, p.a.hello())
		for lane := range LanesMax {
			p.a.in.Opened(p.b.id, lane)
			p.b.in.Opened(p.a.id, lane)
			p.a.in.Writable(p.b.id, lane)
			p.b.in.Writable(p.a.id, lane)
		}
	}
}

// part opens or closes the ways between two members.
func (m *memNet) part(a, b uint64, parted bool) {
	m.mu.Lock()
	m.cut[[2]uint64{a, b}], m.cut[[2]uint64{b, a}] = parted, parted
	na, nb := m.nodes[a], m.nodes[b]
	m.mu.Unlock()
	if !parted {
		m.greet(a)
		return
	}
	for lane := range LanesMax {
		na.in.Broken(b, lane)
		nb.in.Broken(a, lane)
		na.in.Ended(b, lane)
		nb.in.Ended(a, lane)
	}
}

// Start implements Network.
func (n *memNode) Start(r Receiver) error {
	n.net.mu.Lock()
	n.in = r
	n.net.nodes[n.id] = n
	n.net.mu.Unlock()
	n.net.greet(n.id)
	return nil
}

// SetPeers implements Network.
func (n *memNode) SetPeers(peers []Peer) {
	n.net.mu.Lock()
	n.peers = map[uint64]bool{}
	for _, p := range peers {
		n.peers[p.ID] = true
	}
	running := n.in != nil
	n.net.mu.Unlock()
	if running {
		go n.net.greet(n.id)
	}
}

// SetCluster implements Network.
func (n *memNode) SetCluster(id uint64) { n.cluster.Store(id) }

// SetPromised implements Network.
func (n *memNode) SetPromised() { n.promise.Store(true) }

func (n *memNode) hello() Hello {
	return Hello{Cluster: n.cluster.Load(), Process: n.process, Promised: n.promise.Load()}
}

// Frame implements Network.
func (n *memNode) Frame(size int) []byte { return make([]byte, 0, size) }

// Send implements Network.
func (n *memNode) Send(to uint64, lane Lane, frame []byte) bool {
	in := n.net.reach(n.id, to)
	if in == nil {
		return false
	}
	in.Receive(n.id, lane, frame)
	if lane == LaneRaft {
		clear(frame) // it was lent
	}
	return true
}

// Reset implements Network.
func (n *memNode) Reset(to uint64, lane Lane) {
	if in := n.net.reach(n.id, to); in != nil {
		in.Ended(n.id, lane)
	}
}

// Resume implements Network.
func (n *memNode) Resume(uint64, Lane) {}

// Close implements Network.
func (n *memNode) Close() error {
	n.net.mu.Lock()
	delete(n.net.nodes, n.id)
	var others []*memNode
	for _, o := range n.net.nodes {
		if o.peers[n.id] {
			others = append(others, o)
		}
	}
	n.net.mu.Unlock()
	for _, o := range others {
		for lane := range LanesMax {
			o.in.Broken(n.id, lane)
			o.in.Ended(n.id, lane)
		}
	}
	return nil
}
