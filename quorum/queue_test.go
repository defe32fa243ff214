package quorum

import (
	"bytes"
	"errors"
	"testing"

	"holt/tree"
)

func noClock() int64 { return 0 }

func TestQueueKeepsRunsTogether(t *testing.T) {
	var q queue
	run := bytes.Repeat([]byte{1}, chunkBytesMax/2+1)
	for i := range 3 {
		first, err := q.put(0, run, noClock)
		if err != nil || first != (i == 0) {
			t.Fatalf("put %d: first %v, err %v", i, first, err)
		}
	}
	for i := range 3 {
		c := q.takeChunk()
		if got := len(c.commands) - tree.BatchHeaderBytes; got != len(run) {
			t.Errorf("chunk %d holds %d bytes of commands, want one run of %d", i, got, len(run))
		}
	}
	if c := q.takeChunk(); c.commands != nil {
		t.Errorf("after taking all: a chunk of %d bytes", len(c.commands))
	}
}

func TestQueueSharesAChunk(t *testing.T) {
	var q queue
	for range 100 {
		if _, err := q.put(0, []byte("command"), noClock); err != nil {
			t.Fatal(err)
		}
	}
	c := q.takeChunk()
	if got, want := len(c.commands), tree.BatchHeaderBytes+700; got != want {
		t.Errorf("chunk of %d bytes, want all 100 runs in one of %d", got, want)
	}
}

func TestQueueIsBounded(t *testing.T) {
	var q queue
	run := make([]byte, chunkBytesMax)
	for range queueBytesMax / len(run) {
		if _, err := q.put(0, run, noClock); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := q.put(0, run, noClock); !errors.Is(err, ErrBusy) {
		t.Fatalf("a full queue answers %v, want ErrBusy", err)
	}
	drains := 0
	for range queueBytesMax / len(run) {
		c := q.takeChunk()
		if q.release(len(c.commands) - tree.BatchHeaderBytes) {
			drains++
		}
	}
	if drains != 1 {
		t.Errorf("sources were told %d times that there is room, want once", drains)
	}
	q.close()
	if _, err := q.put(0, run, noClock); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed queue answers %v, want ErrClosed", err)
	}
}

// A run larger than the whole queue is still accepted when nothing waits: refusing it for ever would help nobody.
func TestQueueAcceptsAGiantAlone(t *testing.T) {
	var q queue
	if _, err := q.put(0, make([]byte, queueBytesMax+1), noClock); err != nil {
		t.Error(err)
	}
}

func TestQueueUsesMemoryAgain(t *testing.T) {
	var q queue
	fill := func(bytes int) []byte {
		if _, err := q.put(0, make([]byte, bytes), noClock); err != nil {
			t.Fatal(err)
		}
		return q.takeChunk().commands
	}
	first := fill(1000)
	q.reuse(first)
	if again := fill(500); &again[0] != &first[0] || len(again) != tree.BatchHeaderBytes+500 {
		t.Errorf("the second chunk has %d bytes, and memory of its own", len(again))
	}
	if other := fill(500); &other[0] == &first[0] {
		t.Error("two chunks have the same memory")
	}
	q.reuse(first)
	if larger := fill(10_000); len(larger) != tree.BatchHeaderBytes+10_000 {
		t.Errorf("a chunk larger than the memory that there is has %d bytes", len(larger))
	}
	large := fill(2 * spareBytesMax)
	q.reuse(large)
	if next := fill(10); &next[0] == &large[0] {
		t.Error("memory of a very large chunk is kept")
	}
	for range 2 * sparesMax {
		q.reuse(first)
	}
	if n := len(q.spare); n != sparesMax {
		t.Errorf("memory of %d chunks is spare, want %d", n, sparesMax)
	}
}
