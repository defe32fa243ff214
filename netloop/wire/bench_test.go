package wire

import "testing"

func BenchmarkParse(b *testing.B) {
	for _, c := range []struct {
		name string
		run  func(body []byte) bool
		body []byte
	}{
		{"getData", func(body []byte) bool {
			r := NewReader(body)
			var h RequestHeader
			var q WatchRequest
			return h.Parse(&r) && q.Parse(&r)
		}, (&WatchRequest{Path: []byte("/app/config/key-000001")}).Append(AppendRequestHeader(nil, 1, OpGetData))},
		{"create/data=100", func(body []byte) bool {
			r := NewReader(body)
			var h RequestHeader
			var q CreateRequest
			return h.Parse(&r) && q.Parse(&r)
		}, (&CreateRequest{Path: []byte("/app/config/key-000001"), Data: make([]byte, 100), ACL: OpenACL}).Append(AppendRequestHeader(nil, 1, OpCreate))},
		{"multi/ops=5", func(body []byte) bool {
			m := NewMultiReader(OpMulti, body)
			var op MultiOp
			for m.Next(&op) {
			}
			return !m.Bad()
		}, appendOps(nil, sampleOps)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(c.body)))
			for b.Loop() {
				if !c.run(c.body) {
					b.Fatal("refused")
				}
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	data := make([]byte, 100)
	out := make([]byte, 0, 4096)
	b.Run("getData/data=100", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			dst := BeginFrame(out)
			dst = AppendReplyHeader(dst, 1, 2, CodeOK)
			dst = AppendBuffer(dst, data)
			dst = AppendStat(dst, &sampleStat)
			EndFrame(dst, 0)
		}
	})
	b.Run("event", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = AppendEvent(out, 3, EventNodeDataChanged, "/app/config/key-000001")
		}
	})
}
