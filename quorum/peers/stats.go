package peers

import (
	"cmp"
	"slices"

	"holt/quorum"
)

// Stats is a picture of a Network: counts since its start, and how things stand.
type Stats struct {
	Accepted uint64 // connections to this member's port
	Refused  uint64 // of them, by a reason that was told
	Garbled  uint64 // of them, that did not say in time who they are, or not in this protocol
	Crowded  uint64 // of them, given up because too many did not say who they are
	Peers    []PeerStats
}

// PeerStats is what passed between this member and another.
type PeerStats struct {
	ID    uint64
	Addr  string // "": no member any more
	Lanes [quorum.LanesMax]LaneStats
}

// LaneStats counts one lane in both directions. Bytes are those of frames; Wire is what went over the network.
type LaneStats struct {
	Up          bool   // the outgoing stream is open
	FramesOut   uint64 // written to the socket
	BytesOut    uint64
	WireOut     uint64
	Queued      int    // bytes that wait to be written, with what their keeping costs
	Drops       uint64 // frames that Send refused
	Lost        uint64 // frames that were queued when a stream broke
	DialsFailed uint64 // also: refused by the other side
	Breaks      uint64 // of outgoing streams

	Open     bool   // there is an incoming stream
	Stopped  bool   // not read, until Resume
	Opens    uint64 // incoming streams so far
	FramesIn uint64
	BytesIn  uint64
	WireIn   uint64
}

// Stats takes the picture. Peers are in order of id.
func (n *Network) Stats() Stats {
	s := Stats{Accepted: n.accepted.Load(), Refused: n.refused.Load(), Garbled: n.garbled.Load(), Crowded: n.crowded.Load()}
	n.mu.Lock()
	defer n.mu.Unlock()
	for id, p := range n.peers {
		ps := PeerStats{ID: id, Addr: p.addr}
		for lane := range ps.Lanes {
			p.out[lane].stats(&ps.Lanes[lane])
			p.in[lane].stats(&ps.Lanes[lane])
		}
		s.Peers = append(s.Peers, ps)
	}
	slices.SortFunc(s.Peers, func(a, b PeerStats) int { return cmp.Compare(a.ID, b.ID) })
	return s
}

func (l *outLane) stats(s *LaneStats) {
	l.mu.Lock()
	s.Up, s.Queued = l.stream != nil && l.stream.why == nil, l.queued
	l.mu.Unlock()
	s.FramesOut, s.BytesOut, s.WireOut = l.frames.Load(), l.bytes.Load(), l.wire.Load()
	s.Drops, s.Lost, s.DialsFailed, s.Breaks = l.drops.Load(), l.lost.Load(), l.failed.Load(), l.breaks.Load()
}

func (in *inLane) stats(s *LaneStats) {
	s.Open, s.Stopped = in.open.Load(), in.stopped.Load()
	s.FramesIn, s.BytesIn, s.WireIn, s.Opens = in.frames.Load(), in.bytes.Load(), in.wire.Load(), in.opens.Load()
}
