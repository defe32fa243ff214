package quorum

import (
	"errors"
	"sync"

	"holt/tree"
)

var (
	// ErrBusy says that the proposal queue is full; Config.Drained is called when it has room again.
	ErrBusy = errors.New("quorum: proposal queue is full")
	// ErrUnavailable says that no write can be accepted now: no leader is known, or the log has no space left.
	ErrUnavailable = errors.New("quorum: writes are not available")
	// ErrLost says that the epoch is over in which the caller spoke: what it proposed and has no answer to may be lost.
	ErrLost = errors.New("quorum: the path to the leader has changed")
	// ErrClosed says that the quorum has been closed.
	ErrClosed = errors.New("quorum: closed")
)

const (
	chunkBytesMax = 1 << 20  // a chunk is closed when the next run of commands would take it beyond this
	queueBytesMax = 64 << 20 // what may wait in all before sources are told ErrBusy
	spareBytesMax = 256 << 10
	sparesMax     = 4
)

// A relation the queue depends on: a full queue still holds several chunks.
const _ = uint(queueBytesMax - 4*chunkBytesMax)

// queue gathers framed commands from the event loops until the quorum goroutine takes them. Each chunk becomes one
// raft entry, so everything that arrives while the log is busy shares one entry, one record and one fdatasync.
// Commands of one call to put are never split over chunks or reordered.
type queue struct {
	mu      sync.Mutex
	chunks  []chunk // the last one is open
	bytes   int
	own     []byte // what only a leader may propose
	ownTerm uint64 // in which it was decided
	syncs   []Synced
	last    int      // bytes of the chunk taken last, a guess at the next one's
	spare   [][]byte // memory of chunks that are done
	busy    bool     // some source was told ErrBusy
	closed  bool
	epoch   uint64 // see Quorum.Epoch
}

// chunk is what will be one raft entry: room for the batch header, then framed commands.
type chunk struct {
	commands []byte
	bornNs   int64 // when the first command came
}

// put copies commands (whole frames) into the open chunk. It reports whether the queue was empty before, in which case
// the quorum goroutine has to be woken. nowNs is asked for the time only when a chunk begins.
func (q *queue) put(epoch uint64, commands []byte, nowNs func() int64) (first bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false, ErrClosed
	}
	if epoch != q.epoch {
		return false, ErrLost
	}
	if q.bytes > 0 && q.bytes+len(commands) > queueBytesMax {
		q.busy = true
		return false, ErrBusy
	}
	first = len(q.chunks) == 0 && len(q.syncs) == 0
	n := len(q.chunks)
	if n == 0 || len(q.chunks[n-1].commands)+len(commands) > chunkBytesMax {
		q.chunks = append(q.chunks, chunk{q.room(len(commands)), nowNs()})
		n++
	}
	q.chunks[n-1].commands = append(q.chunks[n-1].commands, commands...)
	q.bytes += len(commands)
	return first, nil
}

// room is for a chunk that begins with so many bytes of commands.
func (q *queue) room(bytes int) []byte {
	n := len(q.spare)
	if n == 0 {
		return make([]byte, tree.BatchHeaderBytes, tree.BatchHeaderBytes+max(bytes, q.last, chunkBytesNew)+markBytesMax)
	}
	room := q.spare[n-1]
	q.spare = q.spare[:n-1]
	return room[:tree.BatchHeaderBytes]
}

// reuse takes back the memory of a chunk that nobody looks at any more.
func (q *queue) reuse(memory []byte) {
	if cap(memory) == 0 || cap(memory) > spareBytesMax {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.spare) < sparesMax {
		q.spare = append(q.spare, memory)
	}
}

// putSync adds a sync to those that share the next ReadIndex.
func (q *queue) putSync(o tree.Origin, tag uint64) (first bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false, ErrClosed
	}
	first = len(q.chunks) == 0 && len(q.syncs) == 0
	q.syncs = append(q.syncs, Synced{Origin: o, Tag: tag})
	return first, nil
}

// takeSyncs hands over the syncs that wait.
func (q *queue) takeSyncs() []Synced {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.syncs
	q.syncs = nil
	return s
}

// takeChunk hands over the oldest chunk, or the zero chunk. Its bytes count until they are released.
func (q *queue) takeChunk() (c chunk) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.chunks) == 0 {
		return chunk{}
	}
	c = q.chunks[0]
	q.last = len(c.commands) - tree.BatchHeaderBytes
	q.chunks[0] = chunk{}
	q.chunks = q.chunks[1:]
	if len(q.chunks) == 0 {
		q.chunks = nil
	}
	return c
}

// release gives back the room that commands took. drained says that sources which were told ErrBusy may come again.
func (q *queue) release(bytes int) (drained bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.bytes = max(q.bytes-bytes, 0)
	if q.busy && q.bytes <= queueBytesMax/2 {
		q.busy, drained = false, true
	}
	return drained
}

// putOwn queues commands that only a leader may propose.
func (q *queue) putOwn(term uint64, commands []byte) (first bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false, ErrClosed
	}
	if q.ownTerm != term {
		q.own, q.ownTerm = nil, term
	}
	first = len(q.own) == 0
	q.own = append(q.own, commands...)
	return first, nil
}

// takeOwn hands over what was decided in term. What was decided in another one is forgotten.
func (q *queue) takeOwn(term uint64) []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	own := q.own
	q.own = nil
	if q.ownTerm != term {
		return nil
	}
	return own
}

// turnOver begins a new epoch with an empty queue.
func (q *queue) turnOver() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.epoch++
	q.chunks, q.bytes, q.own = nil, 0, nil
}

// crowded says whether sources wait for room, or soon will.
func (q *queue) crowded() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.busy || q.bytes > queueBytesMax/4
}

// waiting returns the bytes of commands that wait.
func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes
}

// close refuses everything from now on.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

func (q *queue) currentEpoch() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.epoch
}
