package netloop

import (
	"encoding/binary"
	"testing"

	"holt/netloop/wire"
	"holt/quorum"
	"holt/tree"
)

// heldQuorum commits what was proposed when it is told to, so that requests wait behind writes.
type heldQuorum struct {
	*inlineQuorum
	waiting []byte
	syncs   []quorum.Synced
}

func (q *heldQuorum) Propose(_ uint64, commands []byte) error {
	q.waiting = append(q.waiting, commands...)
	return nil
}

func (q *heldQuorum) Sync(o tree.Origin, tag uint64) error {
	q.syncs = append(q.syncs, quorum.Synced{Origin: o, Tag: tag})
	return nil
}

func (q *heldQuorum) release() error {
	if len(q.syncs) > 0 {
		q.chain.Publish(&quorum.Commit{Root: q.chain.Tail().Root, Synced: q.syncs})
		q.syncs = nil
	}
	if len(q.waiting) == 0 {
		return nil
	}
	commands := q.waiting
	q.waiting = nil
	return q.inlineQuorum.Propose(0, commands)
}

// FuzzReceive gives a loop any bytes of two connections, cut anywhere, with commits in between: it neither panics nor
// miscounts, and every answer is a whole frame.
func FuzzReceive(f *testing.F) {
	seed := func(frames ...[]byte) {
		var b []byte
		for _, p := range frames {
			b = append(b, p...)
		}
		f.Add(b, []byte{40, 3, 200, 0, 90, 255})
	}
	watches := wire.SetWatchesRequest{Data: wire.MakeStrings("/a"), Child: wire.MakeStrings("/b"), Persistent: wire.NullStrings}
	seed(frames(2, wire.OpCreate, createBody("/a", "x", 1)), frames(2, wire.OpGetData, watchBody("/a", true)), frames(1, wire.OpSync, pathBody("/")))
	seed(frames(3, wire.OpSetData, setBody("/a", "x")), frames(1, wire.OpSetWatches2, watches.Append2), frames(1, wire.OpCloseSession, nil))
	seed(frames(1, wire.OpMulti, func(b []byte) []byte {
		op := wire.MultiOp{Op: wire.OpCreate, Path: []byte("/m"), ACL: wire.OpenACL}
		return wire.AppendMultiEnd(op.Append(b))
	}), frames(1, wire.OpMultiRead, func(b []byte) []byte {
		op := wire.MultiOp{Op: wire.OpGetData, Path: []byte("/")}
		return wire.AppendMultiEnd(op.Append(b))
	}), frames(1, wire.Op(99), nil))
	f.Fuzz(func(t *testing.T, data, cuts []byte) {
		k := [2]*framed{{}, {}}
		l, c := quietLoop(t, &quiet{})
		q := &heldQuorum{inlineQuorum: l.quorum.(*inlineQuorum)}
		l.quorum = q
		l.cfg.OutstandingPerConn, l.cfg.OutstandingMax = 8, 8
		conns := [2]*conn{c, l.attach(k[1], "b", "127.0.0.1")}
		c.link = k[0]
		for i := range k {
			k[i].loop, k[i].conn = l, conns[i]
		}
		for i := 0; len(data) > 0 && i < len(cuts); i++ {
			n := min(len(data), int(cuts[i]))
			if to := conns[i%2]; to.stage != stageGone {
				l.receive(to, data[:n])
			}
			data = data[n:]
			if cuts[i]%3 == 0 {
				if err := q.release(); err != nil {
					t.Fatal(err)
				}
				l.turn()
			}
		}
		for range 20 {
			if err := q.release(); err != nil {
				t.Fatal(err)
			}
			l.turn()
		}
		for i, c := range conns {
			if c.stage == stageOpen && !c.queue.empty() {
				t.Errorf("connection %d has %d unanswered requests after everything was committed", i, c.queue.len())
			}
			k[i].check(t)
			c.link.Close()
		}
		if n := l.outstanding.Load(); n != 0 || l.unanswered != 0 {
			t.Errorf("N6: %d and %d writes are counted as outstanding", n, l.unanswered)
		}
		if n := l.inboundAll.Load(); n != 0 {
			t.Errorf("N6: %d bytes are counted as unread", n)
		}
		if !l.watches.Empty() || l.open.Load() != 0 {
			t.Errorf("%d watches and %d connections are left", l.watches.Count(), l.open.Load())
		}
	})
}

// framed is a link that looks at what is written.
type framed struct {
	quiet
	loop *loop
	conn *conn
	out  []byte
}

func (k *framed) Write(b []byte) { k.out = append(k.out, b...) }
func (k *framed) Close()         { k.loop.forget(k.conn) }

func (k *framed) check(t *testing.T) {
	for b := k.out; len(b) > 0; {
		if len(b) < 4 || len(b)-4 < int(binary.BigEndian.Uint32(b)) {
			t.Fatalf("output ends within a frame: % x", b)
		}
		b = b[4+binary.BigEndian.Uint32(b):]
	}
}
