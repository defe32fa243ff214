package netloop

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"holt/netloop/wire"
	"holt/quorum"
)

// TestClosingASessionWhileWritesAreRefused: the answer is an error, and the end of the connection is as the client
// expects it after closeSession.
func TestClosingASessionWhileWritesAreRefused(t *testing.T) {
	q := newFakeQuorum(t)
	_, addr := startServer(t, q, nil)
	c := openRaw(t, addr)
	q.set(func() { q.refuse = quorum.ErrUnavailable })
	if p := c.call(1, wire.OpCloseSession, nil); p.Err != wire.CodeSystemError {
		t.Errorf("reply %+v", p.ReplyHeader)
	}
	c.ended()
}

// TestN7_StuckWrites: a write that was on its way when the log ran out of space costs its connection, soon; one that
// waits for other reasons does not.
func TestN7_StuckWrites(t *testing.T) {
	q := newFakeQuorum(t)
	s, addr := startServer(t, q, nil)
	idle, c := openRaw(t, addr), openRaw(t, addr)
	free := make(chan struct{})
	q.set(func() { q.pace = func() { <-free } })
	c.add(1, wire.OpSetData, setBody("/", "x"))
	c.send()
	eventually(t, func() string {
		if s.outstanding.Load() == 0 {
			return "the write has not arrived"
		}
		return ""
	})
	look := func() {
		done := make(chan struct{})
		s.loops[0].do(func() {
			s.loops[0].nowNs += int64(stuckMax) + int64(time.Second)
			s.loops[0].dropStuck()
			close(done)
		})
		<-done
	}
	look()
	if n := s.connections(); n != 2 {
		t.Errorf("%d connections while the log has space, want 2", n)
	}
	q.mu.Lock()
	q.status.Full = true
	q.mu.Unlock()
	look()
	c.ended()
	if p := idle.call(1, wire.OpExists, watchBody("/", false)); p.Err != 0 {
		t.Errorf("a connection without writes: %v", p.Err)
	}
	if n := s.outstanding.Load(); n != 0 {
		t.Errorf("%d writes are counted as outstanding", n)
	}
	close(free)
}

func TestIdentitiesAreBounded(t *testing.T) {
	_, addr := startServer(t, newFakeQuorum(t), nil)
	for name, user := range map[string]string{"many": "u", "large": strings.Repeat("u", 20_000)} {
		c := openRaw(t, addr)
		n := 0
		for ; n <= idsMax; n++ {
			a := wire.AuthRequest{Scheme: []byte("digest"), Auth: fmt.Appendf(nil, "%s%d:p", user, n)}
			if p := c.call(-4, wire.OpAuth, a.Append); p.Err == wire.CodeAuthFailed {
				c.ended()
				break
			} else if p.Err != 0 {
				t.Fatalf("%s: reply %+v", name, p.ReplyHeader)
			}
			again := c.call(-4, wire.OpAuth, a.Append) // costs nothing
			if again.Err != 0 {
				t.Fatalf("%s: reply %+v", name, again.ReplyHeader)
			}
		}
		if n >= idsMax || n*len(user) > idsBytesMax {
			t.Errorf("%s: %d identities of %d bytes were taken", name, n, len(user))
		}
	}
}

// TestReplyThatCannotBeSent: a multiRead that asks for more than the bound on unsent bytes allows to be sent.
func TestReplyThatCannotBeSent(t *testing.T) {
	s, addr := startServer(t, newFakeQuorum(t), nil)
	c := openRaw(t, addr)
	c.call(1, wire.OpCreate, createBody("/big", strings.Repeat("b", 1_000_000), 0))
	ask := func(n int) reply {
		return c.call(2, wire.OpMultiRead, func(b []byte) []byte {
			for range n {
				b = (&wire.MultiOp{Op: wire.OpGetData, Path: []byte("/big")}).Append(b)
			}
			return wire.AppendMultiEnd(b)
		})
	}
	most := s.cfg.replyBytesMax() / 1_000_100
	if p := ask(most); p.Err != 0 || len(p.body) < most*1_000_000 {
		t.Errorf("%d MB: reply %+v with %d bytes", most, p.ReplyHeader, len(p.body))
	}
	if p := ask(most + 2); p.Err != wire.CodeMarshallingError || len(p.body) != 0 {
		t.Errorf("%d MB: reply %+v with %d bytes", most+2, p.ReplyHeader, len(p.body))
	}
	if p := c.call(3, wire.OpExists, watchBody("/big", false)); p.Err != 0 {
		t.Errorf("afterwards: %v", p.Err)
	}
}
