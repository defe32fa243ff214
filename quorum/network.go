package quorum

// Lane is one of the one-way streams from a member to another. Frames of a lane arrive in order and without gaps, or
// the lane breaks.
type Lane uint8

// The lanes. Each is a stream of its own so that none holds up another: a leader that takes no commands for a while
// still hears that its messages arrived.
const (
	LaneRaft    Lane = iota // raft's messages, touched sessions, digests
	LaneForward             // commands on their way to the leader
	LaneImage               // the tree, for a member that is behind the log
	LanesMax
)

// Peer is another member and where it listens, host:port.
type Peer struct {
	ID   uint64
	Addr string
}

// Hello is what a member says of itself when a stream is opened.
type Hello struct {
	Cluster  uint64 // 0: it belongs to no ensemble yet, or has not heard its name
	Process  uint32 // of Config
	Version  uint16 // of the protocol that both speak
	Promised bool   // it has given a vote or taken entries: there is an ensemble, even if its name is not known
}

// Network carries frames between members. All methods are safe for concurrent use and none waits for a peer.
type Network interface {
	// Start begins to listen and to dial; what arrives is handed to r.
	Start(r Receiver) error
	// SetPeers says who the other members are. Streams to and from others are closed.
	SetPeers(peers []Peer)
	// SetCluster tells the id of the ensemble as soon as it is known. Members of different ensembles refuse each other.
	SetCluster(id uint64)
	// SetPromised tells that this member is about to promise something to others, so that it is no longer fresh. It returns
	// before a handshake says otherwise.
	SetPromised()
	// Frame is an empty frame with room for size bytes: the memory of one that was sent, where there is one.
	Frame(size int) []byte
	// Send queues a frame, which belongs to the network from then on. False: there is no stream or it has no room;
	// nothing was sent, and Receiver.Writable tells when it is worth trying again.
	Send(to uint64, lane Lane, frame []byte) bool
	// Reset ends an outgoing lane; a later Send opens a new one. Broken is not called for it.
	Reset(to uint64, lane Lane)
	// Resume has an incoming lane read again that Receive had stopped.
	Resume(from uint64, lane Lane)
	// Close ends all streams and returns when no call to the Receiver is under way or will come.
	Close() error
}

// Receiver takes what a Network brings. Its methods are called on the network's goroutines and do not block.
type Receiver interface {
	// Receive takes a frame. On LaneRaft it is valid during the call only, on the other lanes it belongs to the receiver. more
	// is false when nothing further is to be read from this lane until Network.Resume.
	Receive(from uint64, lane Lane, frame []byte) (more bool)
	// Greeted tells that a handshake with a peer succeeded, whoever dialled.
	Greeted(from uint64, h Hello)
	// Opened tells that an incoming lane begins anew.
	Opened(from uint64, lane Lane)
	// Ended tells that an incoming lane broke or was ended. A peer whose process is killed is noticed so at once.
	Ended(from uint64, lane Lane)
	// Broken tells that an outgoing lane broke: what was sent last may be lost.
	Broken(to uint64, lane Lane)
	// Writable tells that an outgoing lane that refused a frame takes frames again, or that its stream is open.
	Writable(to uint64, lane Lane)
}
