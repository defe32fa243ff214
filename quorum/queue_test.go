package quorum

import (
	"bytes"
	"errors"
	"testing"

	"holt/tree"
)

func TestQueueKeepsRunsTogether(t *testing.T) {
	var q queue
	run := bytes.Repeat([]byte{1}, chunkBytesMax/2+1)
	for i := range 3 {
		first, err := q.put(run)
		if err != nil || first != (i == 0) {
			t.Fatalf("put %d: first %v, err %v", i, first, err)
		}
	}
	for i := range 3 {
		chunk, _ := q.takeChunk()
		if got := len(chunk) - tree.BatchHeaderBytes; got != len(run) {
			t.Errorf("chunk %d holds %d bytes of commands, want one run of %d", i, got, len(run))
		}
	}
	if chunk, _ := q.takeChunk(); chunk != nil || q.waiting() != 0 {
		t.Errorf("after taking all: a chunk of %d bytes, %d waiting", len(chunk), q.waiting())
	}
}

func TestQueueSharesAChunk(t *testing.T) {
	var q queue
	for range 100 {
		if _, err := q.put([]byte("command")); err != nil {
			t.Fatal(err)
		}
	}
	chunk, _ := q.takeChunk()
	if got, want := len(chunk), tree.BatchHeaderBytes+700; got != want {
		t.Errorf("chunk of %d bytes, want all 100 runs in one of %d", got, want)
	}
}

func TestQueueIsBounded(t *testing.T) {
	var q queue
	run := make([]byte, chunkBytesMax)
	for range queueBytesMax / len(run) {
		if _, err := q.put(run); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := q.put(run); !errors.Is(err, ErrBusy) {
		t.Fatalf("a full queue answers %v, want ErrBusy", err)
	}
	drains := 0
	for range queueBytesMax / len(run) {
		if _, drained := q.takeChunk(); drained {
			drains++
		}
	}
	if drains != 1 {
		t.Errorf("sources were told %d times that there is room, want once", drains)
	}
	q.close()
	if _, err := q.put(run); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed queue answers %v, want ErrClosed", err)
	}
}

// A run larger than the whole queue is still accepted when nothing waits: refusing it for ever would help nobody.
func TestQueueAcceptsAGiantAlone(t *testing.T) {
	var q queue
	if _, err := q.put(make([]byte, queueBytesMax+1)); err != nil {
		t.Error(err)
	}
}
