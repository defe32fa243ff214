package peers

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"holt/quorum"
)

func TestTwoMembersTalk(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	join(a, b)
	a.awaitKind(t, 1, "writable", 2, quorum.LaneRaft)
	b.awaitKind(t, 1, "opened", 1, quorum.LaneRaft)
	a.awaitKind(t, 1, "opened", 2, quorum.LaneRaft)
	if a.Send(2, quorum.LaneForward, []byte("early")) {
		t.Fatal("Send answers true before there is a stream")
	}
	a.awaitKind(t, 1, "writable", 2, quorum.LaneForward)
	rnd := rand.New(rand.NewPCG(1, 2))
	for lane := range quorum.LaneImage {
		var want [][]byte
		for i := range 300 {
			f := make([]byte, rnd.IntN(200_000)>>rnd.IntN(18))
			if i%2 == 0 {
				for j := range f {
					f[j] = byte(rnd.Uint32())
				}
			}
			if len(f) > 8 {
				binary.LittleEndian.PutUint64(f, uint64(i))
			}
			want = append(want, f)
			a.mustSend(t, 2, lane, bytes.Clone(f))
		}
		b.awaitKind(t, len(want), "receive", 1, lane)
		for i, f := range b.frames(1, lane) {
			if !bytes.Equal(f, want[i]) {
				t.Fatalf("lane %d, frame %d differs: %d bytes, want %d", lane, i, len(f), len(want[i]))
			}
		}
	}
	t.Logf("%+v", a.Stats())
}
