package peers

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"holt/quorum"
)

// outLane is one outgoing lane to a peer. Its goroutine dials, writes what is queued and tells Broken and Writable, one
// stream after the other.
type outLane struct {
	net   *Network
	peer  *peer
	lane  quorum.Lane
	limit int           // of queued
	wake  chan struct{} // holds a token when the goroutine shall look again

	mu         sync.Mutex
	addr       string     // "": no member now
	wanted     bool       // a stream is to be there
	eager      bool       // the peer lives: dial now
	stream     *outStream // nil: none is up
	queue      [][]byte   // from head on
	head       int
	queued     int  // bytes, with those being written
	refused    bool // Send said no since the last Writable
	connecting context.CancelFunc
	since      time.Time // when connecting began

	frames, bytes, wire, drops, lost, failed, breaks atomic.Uint64
}

// outStream is a dialled connection after its handshake. Its fields do not change except for why.
type outStream struct {
	conn  net.Conn // wrapped
	raw   net.Conn
	addr  string // that was dialled
	hello quorum.Hello
	stop  chan struct{} // closed when why is set

	why   error // the first cause of its end; guarded by outLane.mu
	quiet bool  // ended on request: Broken is not told
}

func newOutLane(n *Network, p *peer, lane quorum.Lane) *outLane {
	return &outLane{net: n, peer: p, lane: lane, limit: n.cfg.QueueBytes[lane], wake: make(chan struct{}, 1)}
}

func (l *outLane) notify() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// send queues a frame. One that is larger than the whole bound is taken when nothing else is queued.
func (l *outLane) send(frame []byte) bool {
	if len(frame) > frameBytesMax {
		panic("peers: a frame of more than 256 MiB")
	}
	cost := len(frame) + frameOverhead
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.stream; s == nil || s.why != nil || l.queued > 0 && l.queued+cost > l.limit {
		l.refused = true
		l.drops.Add(1)
		if !l.wanted && l.addr != "" {
			l.wanted = true
			l.notify()
		}
		return false
	}
	l.queue = append(l.queue, frame)
	l.queued += cost
	if len(l.queue)-l.head == 1 {
		l.notify()
	}
	return true
}

// endLocked ends the stream that is up, if any. Its goroutine does the rest. Streams other than raft's are not dialled
// again before Send has refused a frame: a sender that was not told yet must not go on in a new stream as if it were the
// old one.
func (l *outLane) endLocked(why error, quiet bool) {
	s := l.stream
	if s == nil || s.why != nil {
		if s != nil && quiet {
			s.quiet = true
		}
		return
	}
	s.why, s.quiet = why, quiet
	l.wanted = l.lane == quorum.LaneRaft && l.addr != ""
	close(s.stop)
	_ = s.raw.Close()
	l.notify()
}

func (l *outLane) end(s *outStream, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stream == s {
		l.endLocked(why, false)
	}
}

func (l *outLane) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endLocked(errReset, true)
	l.wanted = l.lane == quorum.LaneRaft && l.addr != ""
}

func (l *outLane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endLocked(net.ErrClosed, true)
}

// aim gives the lane another address; "" when the peer is no member any more.
func (l *outLane) aim(addr string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.addr = addr
	l.endLocked(errMoved, false)
	l.wanted = addr != "" && (l.wanted || l.lane == quorum.LaneRaft) // a dial under way goes on
	l.eager = true
	if l.connecting != nil {
		l.connecting()
	}
	l.notify()
}

// recheck ends the stream if its other side belongs elsewhere by what is known now.
func (l *outLane) recheck(st *stance) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.stream; s != nil {
		if why := st.quarrel(s.hello.Cluster, 0, l.peer.id); why != "" {
			l.endLocked(errors.New(why), false)
		}
	}
}

// lives tells the lanes that the peer was heard of, in the run process: those that wait to dial do so now, those that
// hang in a connect begin anew, those that still point to an earlier run are ended.
func (p *peer) lives(process uint32) {
	for _, l := range p.out {
		l.mu.Lock()
		switch {
		case l.stream == nil:
			l.eager = true
			if l.connecting != nil && time.Since(l.since) > 2*dialFloor {
				l.connecting()
			}
			l.notify()
		case l.stream.hello.Process != process:
			l.eager = true
			l.endLocked(errRestarted, false)
		}
		l.mu.Unlock()
	}
}

// run is the goroutine of the lane.
func (l *outLane) run() {
	var pause pause
	for l.await() {
		began := time.Now()
		s, err := l.dial()
		if err == nil {
			began = time.Now()
			err = l.serve(s)
		} else {
			l.failed.Add(1)
		}
		if l.net.closing() {
			return
		}
		l.report(s, err)
		if s != nil && (s.quiet || time.Since(began) >= steadyAfter) {
			pause.reset()
			continue
		}
		l.rest(&pause, began)
	}
}

// await waits until a stream is wanted; false: never again.
func (l *outLane) await() bool {
	for {
		l.mu.Lock()
		wanted := l.wanted && l.addr != ""
		if wanted {
			l.eager = false
		}
		l.mu.Unlock()
		if l.net.closing() {
			return false
		}
		if wanted {
			return true
		}
		select {
		case <-l.wake:
		case <-l.net.ctx.Done():
			return false
		}
	}
}

// rest waits before the next attempt: ever longer, but hardly at all when the peer is heard of.
func (l *outLane) rest(p *pause, began time.Time) {
	t := time.NewTimer(p.next())
	defer t.Stop()
	for {
		l.mu.Lock()
		eager := l.eager
		l.eager = false
		l.mu.Unlock()
		if eager {
			p.reset()
			t.Reset(max(0, dialFloor-time.Since(began)))
		}
		select {
		case <-t.C:
			return
		case <-l.wake:
		case <-l.net.ctx.Done():
			return
		}
	}
}

// report logs why there is no stream, each reason once until there is one again.
func (l *outLane) report(s *outStream, err error) {
	why := reason(err)
	log := l.net.log.With("member", l.peer.id, "stream", laneNames[l.lane], "why", why)
	switch {
	case errors.Is(err, errReset), errors.Is(err, errMoved), errors.Is(err, errHeard):
		log.Debug("a stream to a member was ended on request")
	case !l.peer.reasons.first(why):
	case s != nil:
		log.Info("a stream to a member broke, dialling again")
	case errors.As(err, new(refusal)):
		log.Error("a member refuses this one, trying on")
	default:
		log.Warn("cannot reach a member, trying on")
	}
}

// serve owns a stream from its handshake to its end and says why it ended.
func (l *outLane) serve(s *outStream) error {
	if !l.publish(s) {
		_ = s.raw.Close()
		return errMoved
	}
	var watch sync.WaitGroup
	watch.Go(func() { l.end(s, watchEnd(s.conn)) })
	r := l.net.receiver
	r.Greeted(l.peer.id, s.hello)
	r.Writable(l.peer.id, l.lane)
	l.peer.lives(s.hello.Process)

	l.write(s)
	_ = s.raw.Close()
	watch.Wait()

	l.mu.Lock()
	l.stream = nil
	l.lost.Add(uint64(len(l.queue) - l.head))
	l.queue, l.head, l.queued = nil, 0, 0
	why, quiet := s.why, s.quiet
	if !quiet {
		l.breaks.Add(1)
	}
	l.mu.Unlock()
	if l.net.closing() {
		return why
	}
	if !quiet {
		if l.lane == quorum.LaneRaft && timedOut(why) {
			l.peer.unreachable(why)
		}
		r.Broken(l.peer.id, l.lane)
	}
	return why
}

// publish makes the stream the one that Send uses, if it is still what is wanted.
func (l *outLane) publish(s *outStream) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.net.closing() || !l.wanted || l.addr != s.addr {
		return false
	}
	l.stream, l.refused = s, false
	if l.peer.reasons.forget() || l.lane == quorum.LaneRaft {
		l.net.log.Info("a stream to a member is open", "member", l.peer.id, "addr", s.addr, "stream", laneNames[l.lane])
	}
	return true
}

// unreachable ends the other streams to a peer whose raft stream timed out. Their own silence proves nothing: they have
// no timeout, because a receiver may stop reading them for long.
func (p *peer) unreachable(why error) {
	for _, l := range p.out {
		if l.lane != quorum.LaneRaft {
			l.mu.Lock()
			l.endLocked(why, false)
			l.mu.Unlock()
		}
	}
}

// watchEnd waits for the other side's end of a stream on which nothing else comes but a reason for that.
func watchEnd(c net.Conn) error {
	r, err := readReply(c)
	switch {
	case err == nil:
		return refusal(r.reason)
	case errors.Is(err, io.EOF):
		return errors.New("closed by the other side")
	}
	return err
}

// write sends what is queued, all of it with one system call, until the stream ends.
func (l *outLane) write(s *outStream) {
	var b batch
	var vec net.Buffers
	var taken [][]byte
	for {
		var cost int
		var up bool
		if taken, cost, up = l.take(s, taken[:0]); !up {
			return
		}
		if len(taken) == 0 {
			select {
			case <-l.wake:
			case <-s.stop:
			}
			continue
		}
		b.reset()
		var bytes int
		for _, f := range taken {
			b.add(f)
			bytes += len(f)
		}
		vec = b.chunks()
		wire, err := vec.WriteTo(s.conn)
		l.wire.Add(uint64(wire))
		if err != nil {
			l.lost.Add(uint64(len(taken)))
			l.end(s, err)
			return
		}
		l.frames.Add(uint64(len(taken)))
		l.bytes.Add(uint64(bytes))
		for _, f := range taken {
			l.net.pool.put(f)
		}
		clear(taken)
		l.written(cost)
	}
}

// take moves the next batch of queued frames into dst.
func (l *outLane) take(s *outStream, dst [][]byte) (taken [][]byte, cost int, up bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.why != nil {
		return dst, 0, false
	}
	for _, f := range l.queue[l.head:] {
		if cost > 0 && cost+len(f) > batchBytesMax {
			break
		}
		cost += len(f) + frameOverhead
		dst = append(dst, f)
		l.queue[l.head] = nil
		l.head++
	}
	if l.head >= len(l.queue)-l.head {
		rest := copy(l.queue, l.queue[l.head:])
		clear(l.queue[rest:])
		l.queue, l.head = l.queue[:rest], 0
	}
	return dst, cost, true
}

// written gives room back, and tells those who were refused when half of it is free.
func (l *outLane) written(cost int) {
	l.mu.Lock()
	l.queued -= cost
	tell := l.refused && l.queued <= l.limit/2
	if tell {
		l.refused = false
	}
	l.mu.Unlock()
	if tell {
		l.net.receiver.Writable(l.peer.id, l.lane)
	}
}
