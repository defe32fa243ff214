package quorum

import (
	"encoding/binary"
	"fmt"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"

	"holt/tree"
	"holt/wal"
)

// overwriter is a stepped quorum of one with some znodes, and a caller who writes them again and again.
type overwriter struct {
	*caller
	t   *testing.T
	log *wal.Log
	n   int
}

func newOverwriter(t *testing.T, znodes int) *overwriter {
	q, log := openStepped(t)
	q.Tick()
	settle(t, q, log)
	o := &overwriter{newStepped(t, q), t, log, znodes}
	settle(t, q, log)
	for i := range znodes {
		if err := o.create(o.path(i)); err != nil {
			t.Fatal(err)
		}
		settle(t, q, log)
	}
	o.write(2 * znodes)
	return o
}

func (o *overwriter) path(i int) string { return fmt.Sprintf("/n%04d", i%o.n) }

// write does n writes, everything but images and transfers.
func (o *overwriter) write(n int) {
	o.t.Helper()
	for i := range n {
		o.header.Tag++
		o.header.Op = tree.OpSetData
		set := tree.SetData{Path: []byte(o.path(7 * i)), Data: fmt.Appendf(nil, "%08d", o.header.Tag), Version: -1}
		if err := o.q.Propose(0, tree.AppendSetData(nil, &o.header, &set)); err != nil {
			o.t.Fatal(err)
		}
		for before := o.q.Tail(); o.q.Tail() == before; {
			o.turn()
			o.log.Step()
			o.q.apply.step()
		}
	}
}

func (o *overwriter) turn() {
	o.t.Helper()
	select {
	case <-o.q.wake:
	default:
	}
	if err := o.q.turn(); err != nil {
		o.t.Fatal(err)
	}
}

func TestQ12_ImageAmongWrites(t *testing.T) {
	o := newOverwriter(t, 200)
	o.q.CheckpointNow()
	o.turn()
	want := o.q.Tail().Root.Digest()
	o.write(600)
	if !o.q.image.step() {
		t.Fatal("no image was begun")
	}
	state, _, err := o.q.image.store.Load()
	if err != nil {
		t.Fatal(err)
	}
	if got := state.Root().Digest(); got != want {
		t.Errorf("digest %x, want %x", got, want)
	}
}

// frameTaker takes what a sender sends.
type frameTaker struct {
	Network
	take func([]byte)
}

func (f *frameTaker) Send(_ uint64, _ Lane, frame []byte) bool { f.take(frame); return true }

func TestQ12_TransferAmongWrites(t *testing.T) {
	o := newOverwriter(t, 20000)
	var loader tree.Loader
	frames := 0
	o.turn()
	p := o.q.core.store.point
	want := p.root.Digest()
	s, err := newSender(2, p, o.q.readers.Hold(p.root), &pb.Message{}, &frameTaker{take: func(frame []byte) {
		frames++
		if frame[0] != frameChunk {
			return
		}
		for b := frame[1:]; len(b) > 0; {
			key, value := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
			b = b[8:]
			if err := loader.Add(b[:key], b[key:key+value]); err != nil {
				t.Fatal(err)
			}
			b = b[key+value:]
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for done := false; !done; _, done = s.step() {
		o.write(200)
	}
	state, err := loader.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if got := state.Root().Digest(); got != want || frames < 5 {
		t.Errorf("digest %x after %d frames, want %x", got, frames, want)
	}
}

// The state that the quorum goroutine knows of stays as it is until it hears of a newer one.
func TestQ12_NewestKnownStateAmongWrites(t *testing.T) {
	o := newOverwriter(t, 10)
	o.turn()
	path := []byte(o.path(3))
	n, _ := o.q.core.store.point.root.Lookup(path)
	want := string(n.Data())
	for range 10 {
		batch := tree.AppendBatchHeader(nil, tree.BatchHeader{TimeMs: 1})
		batch = tree.AppendSetData(batch, &o.header, &tree.SetData{Path: path, Data: []byte("overdone"), Version: -1})
		if _, err := o.q.apply.state.Apply(tree.Batch{Term: 1, Data: batch}); err != nil {
			t.Fatal(err)
		}
	}
	if now, _ := o.q.apply.state.Root().Lookup(path); string(now.Data()) != "overdone" {
		t.Fatalf("the znode holds %q", now.Data())
	}
	if got := string(n.Data()); got != want {
		t.Errorf("%q became %q in the state before", want, got)
	}
}

func TestTrim(t *testing.T) {
	o := newOverwriter(t, 50)
	trim := func() int {
		bytes := make(chan int)
		go func() { bytes <- o.q.Trim() }()
		for {
			o.q.apply.step()
			select {
			case n := <-bytes:
				return n
			default:
			}
		}
	}
	if got := trim(); got == 0 {
		t.Error("after writes nothing was given up")
	}
	if got := trim(); got != 0 {
		t.Errorf("%d bytes were given up a second time", got)
	}
	o.write(100)
	if err := o.q.Close(); err != nil {
		t.Fatal(err)
	}
	if got := o.q.Trim(); got != 0 {
		t.Errorf("a closed quorum gives up %d bytes", got)
	}
}

func TestChunksUseMemoryAgain(t *testing.T) {
	o := newOverwriter(t, 5)
	if n := len(o.q.queue.spare); n != 1 {
		t.Fatalf("after writes %d chunks of memory are spare, want 1", n)
	}
	spare := &o.q.queue.spare[0][0]
	o.write(3)
	if len(o.q.queue.spare) != 1 || &o.q.queue.spare[0][0] != spare {
		t.Error("the next chunks had memory of their own")
	}
}
