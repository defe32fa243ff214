package quorum

import (
	"encoding/binary"
	"errors"
	"slices"

	"go.etcd.io/raft/v3"

	"holt/tree"
)

// Commands reach the leader in chunks. A member keeps each chunk until it sees it applied, so that it can send it again:
// on the same stream when that broke, and to the next leader when this one is gone. Once an entry of the new leader's
// term is applied, what is not applied by then never will be: entries of earlier terms all come before. So a chunk is
// applied exactly once, chunks of a member are applied in order, and no client notices a change of leader but by waiting.
//
// A chunk ends with a mark, a command without effect that names it; it is one part of one entry, so mark and commands
// are applied together. A leader takes the chunks of a member and a term in their order, each once.

// chunkSent is a chunk that is not known to be applied.
type chunkSent struct {
	number uint64 // in this process
	seq    uint64 // on the path; 0: not sent on it yet
	bytes  int    // as the queue counts them
	memory []byte // of the chunk: room for the batch header, then commands
}

// path is where chunks go: a leader in its term.
type path struct{ leader, term uint64 }

// line is what this member proposed and has not seen applied, in order. It belongs to the quorum goroutine.
type line struct {
	path   path
	seq    uint64 // last one given on the path
	number uint64 // last one given
	chunks []chunkSent
	next   int // the first chunk that has to be sent on this path
}

// lead points the line at a leader. All that is not applied has to be sent again.
func (l *line) lead(p path) {
	if p == l.path {
		return
	}
	l.path, l.seq, l.next = p, 0, 0
	for i := range l.chunks {
		l.chunks[i].seq = 0
	}
}

// again has everything sent again on the same path: the stream broke.
func (l *line) again() { l.next = 0 }

// commands are what is in the chunk, the mark included.
func (c *chunkSent) commands() []byte { return c.memory[tree.BatchHeaderBytes:] }

// applied forgets chunks up to number and returns their bytes, and memory of theirs that may be used again.
func (l *line) applied(number uint64) (bytes int, memory []byte) {
	n := 0
	for n < len(l.chunks) && l.chunks[n].number <= number {
		bytes += l.chunks[n].bytes
		memory = l.chunks[n].memory
		l.chunks[n] = chunkSent{}
		n++
	}
	if l.chunks = l.chunks[n:]; len(l.chunks) == 0 {
		l.chunks = nil
	}
	l.next = max(l.next-n, 0)
	return bytes, memory
}

// push adds the chunk that was marked last.
func (l *line) push(memory []byte, bytes int) {
	l.chunks = append(l.chunks, chunkSent{number: l.number, bytes: bytes, memory: memory})
}

// due returns the chunk to send next, nil if all have been.
func (l *line) due() *chunkSent {
	if l.next == len(l.chunks) {
		return nil
	}
	c := &l.chunks[l.next]
	if c.seq == 0 {
		l.seq++
		c.seq = l.seq
	}
	return c
}

// markLoop is in the Origin of marks: no event loop has that number.
const markLoop = 0xffff

// markBytesMax is more than a mark takes.
const markBytesMax = 256

// mark appends the mark that ends the next chunk.
func (q *Quorum) mark(commands []byte) []byte {
	q.line.number++
	h := tree.CommandHeader{Op: tree.OpError, Origin: tree.Origin{Process: q.cfg.Process, Loop: markLoop, Conn: q.line.number}}
	return tree.AppendFailed(commands, &h, tree.OK)
}

// A frame on LaneForward: term u64, process u32, seq u64, commands.
const forwardHeaderBytes = 20

// forwarded is a chunk of another member.
type forwarded struct {
	from     uint64
	term     uint64
	process  uint32
	seq      uint64
	commands []byte
}

func parseForward(from uint64, frame []byte) (forwarded, error) {
	if len(frame) < forwardHeaderBytes {
		return forwarded{}, errors.New("a forwarded chunk is cut off")
	}
	return forwarded{
		from: from, term: binary.LittleEndian.Uint64(frame), process: binary.LittleEndian.Uint32(frame[8:]),
		seq: binary.LittleEndian.Uint64(frame[12:]), commands: frame[forwardHeaderBytes:],
	}, nil
}

func appendForward(dst []byte, term uint64, process uint32, c *chunkSent) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, term)
	dst = binary.LittleEndian.AppendUint32(dst, process)
	dst = binary.LittleEndian.AppendUint64(dst, c.seq)
	return append(dst, c.commands()...)
}

// taken is how far a leader has taken the chunks of a member.
type taken struct {
	term    uint64
	process uint32
	seq     uint64
}

// accept says whether a chunk is the next one of its member.
func (t *taken) accept(f *forwarded) bool {
	if t.term != f.term || t.process != f.process {
		*t = taken{term: f.term, process: f.process}
	}
	if f.seq != t.seq+1 {
		return false // sent again though it had arrived
	}
	t.seq++
	return true
}

// open says whether the way to the leader is open: there is one, and an entry of its term has been applied here.
func (q *Quorum) open() bool {
	lead, term := q.core.leader()
	if lead == raft.None {
		return false
	}
	q.line.lead(path{lead, term})
	return q.seen.term >= term
}

// askReads has syncs answered, this member's and, on a leader, those of the others. A leader that is the only voter
// answers them from what it knows to be committed, without a round that would tell it more; so they wait until an entry
// of its term is applied, which comes after everything that was acknowledged before.
func (q *Quorum) askReads() error {
	q.core.askReads()
	reads := q.reads
	q.reads = nil
	if !q.core.leads() {
		return nil // who asked believed that this member leads, and will ask again
	}
	return q.core.step(reads)
}

// forward sends chunks to the leader as far as the lane takes them.
func (q *Quorum) forward() {
	for {
		c := q.line.due()
		if c == nil {
			if !q.takeChunk() {
				return
			}
			continue
		}
		frame := appendForward(q.cfg.Network.Frame(forwardHeaderBytes+len(c.commands())), q.line.path.term, q.cfg.Process, c)
		if !q.cfg.Network.Send(q.line.path.leader, LaneForward, frame) {
			return
		}
		q.line.next++
	}
}

// keepOpen has the lanes open on which commands would go if another member led: after a change of leader they go at once.
// A frame without content is a word to nobody. The leader's own lane is left to forward, which must see what it refuses.
func (q *Quorum) keepOpen() {
	lead, _ := q.core.leader()
	for _, id := range q.members.voters {
		if id != q.cfg.ID && id != lead && q.cfg.Network != nil {
			q.cfg.Network.Send(id, LaneForward, nil)
		}
	}
}

// takeChunk moves the oldest waiting chunk to the line; false if none waits.
func (q *Quorum) takeChunk() bool {
	c := q.queue.takeChunk()
	if c.commands == nil {
		return false
	}
	q.cfg.Metrics.StageQueue.Observe(q.cfg.NowNs() - c.bornNs)
	q.line.push(q.mark(c.commands), len(c.commands)-tree.BatchHeaderBytes)
	return true
}

// propose makes entries of what waits: this member's own chunk, those that others forwarded, and what the leader itself
// has to say. It reports whether there was anything.
func (q *Quorum) propose() bool {
	entry := q.held
	if entry == nil {
		if entry = q.entry(); entry == nil {
			return false
		}
	}
	tree.AppendBatchHeader(entry[:0], tree.BatchHeader{TimeMs: q.cfg.NowMs(), Rules: q.cfg.Rules})
	if q.core.node.Propose(entry) != nil {
		q.held = entry // raft has as much uncommitted as it may, or leadership is being handed over: again on the next turn
		return false
	}
	q.held = nil
	q.queue.reuse(q.chunk)
	q.chunk = nil
	q.cfg.Metrics.Proposals.Inc()
	q.cfg.Metrics.ProposalBytes.Set(int64(len(entry)))
	return true
}

// entry gathers one raft entry, with room for its header; nil if nothing waits.
func (q *Quorum) entry() []byte {
	var entry []byte
	if q.line.next < len(q.line.chunks) { // sent to an earlier leader
		c := q.line.due()
		q.line.next++
		entry = slices.Clone(c.memory)
	} else if c := q.queue.takeChunk(); c.commands != nil {
		q.cfg.Metrics.StageQueue.Observe(q.cfg.NowNs() - c.bornNs)
		entry = c.commands
		if q.cfg.Network != nil {
			entry = q.mark(entry)
			q.line.push(entry, len(c.commands)-tree.BatchHeaderBytes)
			q.line.next++
		} else {
			q.chunk = c.commands
			q.release(len(c.commands) - tree.BatchHeaderBytes)
		}
	}
	joined := false
	join := func(commands []byte) {
		if !joined { // raft copies what is proposed to it: the same memory serves for every entry
			var header [tree.BatchHeaderBytes]byte
			q.gathered = append(append(q.gathered[:0], header[:]...), entry[min(len(header), len(entry)):]...)
			joined = true
		}
		q.gathered = append(q.gathered, commands...)
		entry = q.gathered
	}
	for len(q.others) > 0 && len(entry)+len(q.others[0].commands) <= 2*chunkBytesMax {
		join(q.others[0].commands)
		q.took(q.others[0].from, len(q.others[0].commands))
		q.others[0] = forwarded{}
		q.others = q.others[1:]
	}
	if own := q.queue.takeOwn(q.line.path.term); len(own) > 0 {
		join(own)
	}
	return entry
}

// chunkBytesNew is the capacity of a chunk about whose size nothing is known.
const chunkBytesNew = 512

// release gives back room in the queue.
func (q *Quorum) release(bytes int) {
	if q.queue.release(bytes) && q.cfg.Drained != nil {
		q.cfg.Drained()
	}
}

// admit takes a chunk that another member sent to this leader, if it is for it.
func (q *Quorum) admit(f *forwarded) {
	_, term := q.core.leader()
	if t := q.taken[f.from]; q.core.leads() && f.term == term {
		if t == nil {
			t = &taken{}
			q.taken[f.from] = t
		}
		if t.accept(f) {
			q.others = append(q.others, *f)
			return
		}
	}
	q.took(f.from, len(f.commands)) // its member sends it again to whoever leads now
}

// stepDown drops what only a leader may propose.
func (q *Quorum) stepDown() {
	for i := range q.others {
		q.took(q.others[i].from, len(q.others[i].commands))
	}
	q.held, q.others = nil, nil
	clear(q.taken)
	q.members.fresh = nil // who still asks asks the next leader
}
