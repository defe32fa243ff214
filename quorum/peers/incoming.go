package peers

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"holt/quorum"
)

// inLane is one incoming lane of a peer. Its streams form a queue: a newer one ends the one before and waits until its
// goroutine has told Ended, so that nothing of the older is seen behind Opened of the newer.
type inLane struct {
	tail *inStream // newest; guarded by Network.mu

	open, stopped atomic.Bool
	frames, bytes atomic.Uint64
	wire, opens   atomic.Uint64
}

// inStream is one accepted connection after its handshake, owned by one goroutine.
type inStream struct {
	net   *Network
	peer  *peer
	lane  quorum.Lane
	conn  net.Conn // wrapped
	raw   net.Conn
	hello quorum.Hello

	before <-chan struct{} // closed when the stream before has told its end; nil: none
	gone   chan struct{}   // closed when this one has
	resume chan struct{}   // holds a token when Resume was called
	stop   chan struct{}   // closed by end
	once   sync.Once
	why    error // set before stop is closed
}

// end has the stream's goroutine finish. It does not wait for it.
func (s *inStream) end(why error) {
	s.once.Do(func() {
		s.why = why
		close(s.stop)
		var said refusal
		if errors.As(why, &said) {
			s.farewell(string(said))
		}
		_ = s.raw.Close()
	})
}

// farewell tells the other side why its stream ends. The message is small and the first in its direction since the
// handshake, so that it does not wait; it is lost when the other side's frames are still unread.
func (s *inStream) farewell(why string) {
	_ = s.conn.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
	_, _ = s.conn.Write(appendReply(nil, &reply{refused: true, id: s.net.cfg.ID, process: s.net.cfg.Process, reason: why}))
}

func (s *inStream) ended() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// resumed leaves a token for a reader that has stopped, or is about to.
func (s *inStream) resumed() {
	select {
	case s.resume <- struct{}{}:
	default:
	}
}

// endIncomingLocked ends the incoming streams of all runs of the peer but one.
func (p *peer) endIncomingLocked(why error, except uint32) {
	for lane := range p.in {
		if s := p.in[lane].tail; s != nil && (except == 0 || s.hello.Process != except) {
			s.end(why)
		}
	}
}

// run is the goroutine of a stream: it answers the handshake, tells what arrives, and tells the end.
func (s *inStream) run(answer *reply) {
	defer close(s.gone)
	defer s.forget()
	defer s.raw.Close()
	if s.before != nil {
		<-s.before
		s.before = nil
	}
	if s.ended() {
		return
	}
	if _, err := s.conn.Write(appendReply(nil, answer)); err != nil {
		return
	}
	in := &s.peer.in[s.lane]
	s.net.receiver.Greeted(s.peer.id, s.hello)
	s.net.receiver.Opened(s.peer.id, s.lane)
	in.open.Store(true)
	in.opens.Add(1)
	s.net.complain.forget()
	s.peer.lives(s.hello.Process)

	err := s.read(in)
	s.end(err)
	in.open.Store(false)
	in.stopped.Store(false)
	if s.net.closing() {
		return
	}
	s.net.receiver.Ended(s.peer.id, s.lane)
	s.report(s.why)
}

// forget takes the stream off its lane, unless a newer one is there.
func (s *inStream) forget() {
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	if in := &s.peer.in[s.lane]; in.tail == s {
		in.tail = nil
	}
}

func (s *inStream) report(err error) {
	log := s.net.log.With("from", s.peer.id, "stream", laneNames[s.lane], "err", err)
	switch {
	case errors.Is(err, errDamaged), errors.Is(err, errFrameBytes):
		log.Error("a stream from a member was ended: its bytes were changed on their way; if this comes again, check the network hardware between the two")
	case s.lane == quorum.LaneRaft:
		log.Info("the stream from a member ended")
	default:
		log.Debug("the stream from a member ended")
	}
}

// read hands frames over until the stream ends, and says why it did.
func (s *inStream) read(in *inLane) error {
	buf := intakeBufs.Get().(*[]byte)
	defer intakeBufs.Put(buf)
	cut := newIntake(s.conn, *buf, frameBytesMax)
	cut.lends = s.lane == quorum.LaneRaft
	for {
		frame, err := cut.next()
		if s.ended() {
			return s.why
		}
		if errors.Is(err, io.EOF) {
			return errors.New("closed by the other side")
		}
		if err != nil {
			return err
		}
		in.frames.Add(1)
		in.bytes.Add(uint64(len(frame)))
		in.wire.Add(cut.taken)
		cut.taken = 0
		select {
		case <-s.resume: // left over from before: it does not answer what Receive says next
		default:
		}
		if s.net.receiver.Receive(s.peer.id, s.lane, frame) {
			continue
		}
		in.stopped.Store(true)
		select {
		case <-s.resume:
			in.stopped.Store(false)
		case <-s.stop:
			return s.why
		}
	}
}
