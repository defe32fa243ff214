package wal

import "testing"

// A later frame is found wherever it begins, and only if it is a later one that was synced.
func TestFindFrame(t *testing.T) {
	const (
		seq  = 1000
		off  = 4096
		room = 1024
		last = room - frameHeadBytes
	)
	s := makeSeed(1, 2)
	for _, c := range []struct {
		name  string
		at    int
		seq   uint64
		flags uint32
		want  int
	}{
		{"first place", 0, seq + 1, 0, 0},
		{"second place", frameAlign, seq + 1, 0, frameAlign},
		{"last place", last, seq + 1, 0, last},
		{"unaligned", frameAlign + 1, seq + 1, 0, -1},
		{"the end of the window", 512, seq + seqWindow, 0, 512},
		{"behind the window", 512, seq + seqWindow + 1, 0, -1},
		{"not later", 512, seq, 0, -1},
		{"earlier", 512, seq - 1, 0, -1},
		{"not synced", 512, seq + 1, flagUnsynced, -1},
	} {
		b := make([]byte, room)
		copy(b[c.at:], sealFrame(make([]byte, frameHeadBytes), s, off+int64(c.at), c.seq, c.flags))
		r := &frameReader{seed: s, seq: seq}
		wantLast := uint64(0)
		if c.flags == flagUnsynced {
			wantLast = c.seq
		}
		if got, last := r.findFrame(b, off); got != c.want || last != wantLast {
			t.Errorf("%s: found at %d, want %d; unsynced up to %d, want %d", c.name, got, c.want, last, wantLast)
		}
	}
}
