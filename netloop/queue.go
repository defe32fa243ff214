package netloop

import (
	"holt/netloop/wire"
	"holt/tree"
)

// kind is what an unanswered request waits for.
type kind uint8

const (
	kindWrite     kind = iota // its transaction
	kindSync                  // its completion
	kindConfirmed             // the completion of the loop's sync; a read that has to be linearizable
	kindKept                  // the requests before it; it is answered from the tree then
	kindRefused               // the requests before it; the answer is an error
)

// pending is a request that has not been answered.
type pending struct {
	tag     uint64 // numbers the requests of a connection that had to wait, from 1
	startNs int64
	round   uint64 // confirmed: which sync
	at      uint64 // kept, sync, confirmed: offset of the payload in queue.kept, counted from the connection's beginning
	size    uint32 // of the payload
	xid     wire.Xid
	op      wire.Op
	code    tree.Code // refused
	kind    kind
	done    bool // sync, confirmed: the completion has come
}

// queue holds the unanswered requests of one connection in the order they came. A connection that only reads never
// uses it. Payloads of kept requests lie one behind the other in kept, so that waiting costs a copy and no allocation.
type queue struct {
	entries []pending // entries[first:] are live
	first   int
	writes  int // unanswered entries of kindWrite
	syncs   int // of kindSync
	reads   int // of kindConfirmed
	tag     uint64

	kept     []byte // kept[i] is payload byte keptBase+i
	keptBase uint64
}

func (q *queue) len() int        { return len(q.entries) - q.first }
func (q *queue) empty() bool     { return len(q.entries) == q.first }
func (q *queue) front() *pending { return &q.entries[q.first] }
func (q *queue) back() *pending  { return &q.entries[len(q.entries)-1] }

// waits says whether something between the last write and the end of the queue has to see the tree without any later
// write.
func (q *queue) waits() bool { return !q.empty() && q.back().kind != kindWrite }

// push appends an entry and returns it.
func (q *queue) push(p pending) *pending {
	q.tag++
	p.tag = q.tag
	q.count(p.kind, 1)
	q.entries = append(q.entries, p)
	return q.back()
}

// keep appends a kept request or a sync with its payload.
func (q *queue) keep(p pending, payload []byte) *pending {
	p.at, p.size = q.keptBase+uint64(len(q.kept)), uint32(len(payload))
	q.kept = append(q.kept, payload...)
	return q.push(p)
}

// payload is what keep was given, valid until the next keep or trim.
func (q *queue) payload(p *pending) []byte {
	if p.size == 0 {
		return nil
	}
	at := p.at - q.keptBase
	return q.kept[at : at+uint64(p.size)]
}

// keptBytes is the payload bytes that are held, answered ones that were not cut off yet included.
func (q *queue) keptBytes() int { return len(q.kept) }

const queueEntriesKept = 64

// pop drops the front entry. Its payload stays readable until the next keep or trim.
func (q *queue) pop() pending {
	p := q.entries[q.first]
	q.first++
	q.count(p.kind, -1)
	switch {
	case q.empty():
		q.first = 0
		q.entries = q.entries[:0]
		if cap(q.entries) > queueEntriesKept {
			q.entries = nil
		}
	case q.first >= queueEntriesKept && q.first*2 >= len(q.entries):
		q.entries = q.entries[:copy(q.entries, q.entries[q.first:])]
		q.first = 0
	}
	return p
}

// trim gives up the payloads of answered requests. Nothing that payload returned may be used any more.
func (q *queue) trim() {
	live := q.keptBase + uint64(len(q.kept))
	for i := q.first; i < len(q.entries); i++ {
		if q.entries[i].size > 0 {
			live = q.entries[i].at
			break
		}
	}
	dead := int(live - q.keptBase)
	switch {
	case dead == len(q.kept):
		q.keptBase = live
		q.kept = q.kept[:0]
		if cap(q.kept) > bufferBytesKept {
			q.kept = nil
		}
	case dead*2 >= len(q.kept):
		q.kept = q.kept[:copy(q.kept, q.kept[dead:])]
		q.keptBase = live
	}
}

// count keeps account of what waits for the quorum.
func (q *queue) count(k kind, n int) {
	switch k {
	case kindWrite:
		q.writes += n
	case kindSync:
		q.syncs += n
	case kindConfirmed:
		q.reads += n
	}
}

// unanswered is how many entries wait for the quorum.
func (q *queue) unanswered() int { return q.writes + q.syncs + q.reads }

// refuse makes an error the answer to an entry that waited for the quorum.
func (q *queue) refuse(p *pending, code tree.Code) {
	q.count(p.kind, -1)
	p.kind, p.code, p.size = kindRefused, code, 0
}

// clear drops everything and returns how many entries waited for the quorum.
func (q *queue) clear() int {
	n := q.unanswered()
	*q = queue{tag: q.tag}
	return n
}
