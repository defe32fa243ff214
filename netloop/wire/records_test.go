package wire

import (
	"bytes"
	"fmt"
	"testing"
)

// codec is one record layout: parse reads it and, if it was whole, appends its encoding to dst.
type codec struct {
	name   string
	recode func(dst []byte, r *Reader) ([]byte, bool)
	sample []byte
}

type record interface {
	Parse(r *Reader) bool
	Append(dst []byte) []byte
}

func recoder(fresh func() record) func([]byte, *Reader) ([]byte, bool) {
	return func(dst []byte, r *Reader) ([]byte, bool) {
		v := fresh()
		if !v.Parse(r) {
			return dst, false
		}
		return v.Append(dst), true
	}
}

func sampleOf(v record) []byte { return v.Append(nil) }

var (
	sampleACL  = MakeACLs(ACL{PermAll, []byte("world"), []byte("anyone")}, ACL{PermRead, []byte("digest"), []byte("u:h")})
	sampleStat = Stat{
		Czxid: 1, Mzxid: 2, Ctime: 3, Mtime: 4, Version: 5, Cversion: 6, Aversion: 7,
		EphemeralOwner: 8, DataLength: 9, NumChildren: 10, Pzxid: 11,
	}
	sampleOps = []MultiOp{
		{Op: OpCreate, Path: []byte("/a"), Data: []byte("x"), ACL: sampleACL, Flags: 1},
		{Op: OpCreateTTL, Path: []byte("/t"), ACL: NullACLs, Flags: 5, TTLMs: 1000},
		{Op: OpDelete, Path: []byte("/a"), Version: -1},
		{Op: OpSetData, Path: []byte("/b"), Data: []byte{}, Version: 3},
		{Op: OpCheck, Path: []byte("/c"), Version: 4},
	}
	sampleResults = []MultiResult{
		{Op: OpCreate, Path: []byte("/a")},
		{Op: OpCreate2, Path: []byte("/b"), Stat: sampleStat},
		{Op: OpDelete},
		{Op: OpSetData, Stat: sampleStat},
		{Op: OpCheck},
		{Op: OpGetChildren, Children: MakeStrings("x", "y")},
		{Op: OpGetData, Data: []byte("d"), Stat: sampleStat},
		{Op: OpError, Err: CodeNoNode},
	}
)

// The layouts of all records, with an example of each.
var codecs = []codec{
	{"RequestHeader", recoder(func() record { return &RequestHeader{} }), sampleOf(&RequestHeader{7, OpGetData})},
	{"ReplyHeader", recoder(func() record { return &ReplyHeader{} }), sampleOf(&ReplyHeader{7, 99, CodeNoNode})},
	{"ConnectRequest", recoder(func() record { return &ConnectRequest{} }), sampleOf(&ConnectRequest{TimeoutMs: 4000, Password: make([]byte, 16), HasReadOnly: true, ReadOnly: true})},
	{"ConnectReply", recoder(func() record { return &ConnectReply{} }), sampleOf(&ConnectReply{TimeoutMs: 4000, SessionID: 1, Password: make([]byte, 16)})},
	{"WatcherEvent", recoder(func() record { return &WatcherEvent{} }), sampleOf(&WatcherEvent{EventNodeDeleted, StateSyncConnected, []byte("/a")})},
	{"CreateRequest", recoder(func() record { return &CreateRequest{} }), sampleOf(&CreateRequest{Path: []byte("/a"), Data: []byte("d"), ACL: sampleACL, Flags: 3})},
	{"CreateTTLRequest", func(dst []byte, r *Reader) ([]byte, bool) {
		var q CreateRequest
		if !q.ParseTTL(r) {
			return dst, false
		}
		return q.AppendTTL(dst), true
	}, (&CreateRequest{Path: []byte("/a"), ACL: NullACLs, Flags: 5, TTLMs: 77}).AppendTTL(nil)},
	{"VersionRequest", recoder(func() record { return &VersionRequest{} }), sampleOf(&VersionRequest{[]byte("/a"), 3})},
	{"WatchRequest", recoder(func() record { return &WatchRequest{} }), sampleOf(&WatchRequest{[]byte("/a"), true})},
	{"PathRequest", recoder(func() record { return &PathRequest{} }), sampleOf(&PathRequest{[]byte("/a")})},
	{"SetDataRequest", recoder(func() record { return &SetDataRequest{} }), sampleOf(&SetDataRequest{[]byte("/a"), nil, 1})},
	{"SetACLRequest", recoder(func() record { return &SetACLRequest{} }), sampleOf(&SetACLRequest{[]byte("/a"), sampleACL, 1})},
	{"ReconfigRequest", recoder(func() record { return &ReconfigRequest{} }), sampleOf(&ReconfigRequest{[]byte("server.1=a:1:2;3"), nil, nil, -1})},
	{"WatchTypeRequest", recoder(func() record { return &WatchTypeRequest{} }), sampleOf(&WatchTypeRequest{[]byte("/a"), WatchAny})},
	{"AddWatchRequest", recoder(func() record { return &AddWatchRequest{} }), sampleOf(&AddWatchRequest{[]byte("/a"), AddWatchPersistentRecursive})},
	{"AuthRequest", recoder(func() record { return &AuthRequest{} }), sampleOf(&AuthRequest{0, []byte("digest"), []byte("u:p")})},
	{"SetWatchesRequest", recoder(func() record { return &SetWatchesRequest{} }), sampleOf(&SetWatchesRequest{RelativeZxid: 5, Data: MakeStrings("/a"), Child: NullStrings})},
	{"SetWatches2Request", func(dst []byte, r *Reader) ([]byte, bool) {
		var q SetWatchesRequest
		if !q.Parse2(r) {
			return dst, false
		}
		return q.Append2(dst), true
	}, (&SetWatchesRequest{RelativeZxid: 5, Data: MakeStrings("/a", "/b"), PersistentRecursive: MakeStrings("/c")}).Append2(nil)},
	{"SASLToken", recoder(func() record { return &SASLToken{} }), sampleOf(&SASLToken{[]byte("tok")})},
	{"Stat", recoder(func() record { return &Stat{} }), sampleOf(&sampleStat)},
	{"PathStatReply", recoder(func() record { return &PathStatReply{} }), sampleOf(&PathStatReply{[]byte("/a"), sampleStat})},
	{"DataReply", recoder(func() record { return &DataReply{} }), sampleOf(&DataReply{[]byte("data"), sampleStat})},
	{"ACLReply", recoder(func() record { return &ACLReply{} }), sampleOf(&ACLReply{sampleACL, sampleStat})},
	{"StringsReply", recoder(func() record { return &StringsReply{} }), sampleOf(&StringsReply{MakeStrings("a", "", "c")})},
	{"ChildrenReply", recoder(func() record { return &ChildrenReply{} }), sampleOf(&ChildrenReply{MakeStrings("a"), sampleStat})},
	{"IntReply", recoder(func() record { return &IntReply{} }), sampleOf(&IntReply{42})},
	{"WhoAmIReply", recoder(func() record { return &WhoAmIReply{} }), AppendClientInfo(AppendInt32(nil, 1), []byte("ip"), []byte("127.0.0.1"))},
	{"Multi", recodeMulti(OpMulti), appendOps(nil, sampleOps)},
	{"MultiRead", recodeMulti(OpMultiRead), appendOps(nil, []MultiOp{{Op: OpGetData, Path: []byte("/a"), Watch: true}, {Op: OpGetChildren, Path: []byte("/")}})},
	{"MultiResults", recodeResults, appendResults(nil, sampleResults)},
}

func appendOps(dst []byte, ops []MultiOp) []byte {
	for i := range ops {
		dst = ops[i].Append(dst)
	}
	return AppendMultiEnd(dst)
}

func appendResults(dst []byte, results []MultiResult) []byte {
	for i := range results {
		dst = results[i].Append(dst)
	}
	return AppendMultiEnd(dst)
}

func recodeMulti(kind Op) func([]byte, *Reader) ([]byte, bool) {
	return func(dst []byte, r *Reader) ([]byte, bool) {
		m := NewMultiReader(kind, r.Rest())
		var op MultiOp
		for m.Next(&op) {
			dst = op.Append(dst)
		}
		*r = NewReader(m.Rest())
		return AppendMultiEnd(dst), !m.Bad()
	}
}

func recodeResults(dst []byte, r *Reader) ([]byte, bool) {
	m := NewMultiResults(r.Rest())
	var res MultiResult
	for m.Next(&res) {
		dst = res.Append(dst)
	}
	*r = NewReader(m.Rest())
	return AppendMultiEnd(dst), !m.Bad()
}

func TestW1_RecordsRoundTrip(t *testing.T) {
	for _, c := range codecs {
		// Bytes after the record are somebody else's.
		r := NewReader(append(bytes.Clone(c.sample), "tail"...))
		got, ok := c.recode(nil, &r)
		if c.name == "ConnectRequest" || c.name == "ConnectReply" {
			r, got = NewReader([]byte("tail")), c.sample // their last byte is optional: TestConnectReadOnlyByte
		}
		if !ok || !bytes.Equal(got, c.sample) {
			t.Errorf("%s: %x recoded to %x (whole: %v)", c.name, c.sample, got, ok)
		}
		if string(r.Rest()) != "tail" {
			t.Errorf("%s: left %q, want what followed the record", c.name, r.Rest())
		}
	}
}

func TestW1_TruncatedRecordsAreRefused(t *testing.T) {
	for _, c := range codecs {
		for n := range c.sample {
			r := NewReader(c.sample[:n:n])
			got, ok := c.recode(nil, &r)
			if c.name == "ConnectRequest" && n == len(c.sample)-1 {
				if !ok || !bytes.Equal(got, c.sample[:n]) {
					t.Errorf("ConnectRequest without readOnly: got %x, %v", got, ok)
				}
				continue
			}
			if ok {
				t.Errorf("%s cut to %d of %d bytes was accepted", c.name, n, len(c.sample))
			}
		}
	}
}

func TestConnectReadOnlyByte(t *testing.T) {
	for _, with := range []bool{true, false} {
		reply := ConnectReply{TimeoutMs: 10000, SessionID: 5, Password: make([]byte, PasswordBytes), HasReadOnly: with}
		b := reply.Append(nil)
		want := 36
		if with {
			want = 37
		}
		if len(b) != want {
			t.Errorf("HasReadOnly=%v: %d bytes, want %d", with, len(b), want)
		}
		var got ConnectReply
		r := NewReader(b)
		if !got.Parse(&r) || got.HasReadOnly != with || got.SessionID != 5 {
			t.Errorf("HasReadOnly=%v: parsed %+v", with, got)
		}
	}
}

func TestW2_NullAndEmptyDiffer(t *testing.T) {
	for _, data := range [][]byte{nil, {}} {
		q := SetDataRequest{Path: []byte("/a"), Data: data, Version: -1}
		r := NewReader(q.Append(nil))
		var got SetDataRequest
		if !got.Parse(&r) || (got.Data == nil) != (data == nil) || len(got.Data) != 0 {
			t.Errorf("data %#v came back as %#v", data, got.Data)
		}
	}
	for _, v := range []Strings{NullStrings, {}, MakeStrings("a", "b")} {
		r := NewReader(v.Append(nil))
		got := r.Strings()
		if got.Null() != v.Null() || got.Len() != v.Len() {
			t.Errorf("vector null=%v len=%d came back null=%v len=%d", v.Null(), v.Len(), got.Null(), got.Len())
		}
	}
}

func TestVectorIteration(t *testing.T) {
	v := MakeStrings("a", "", "ccc")
	var got []string
	for it := v; ; {
		s, ok := it.Next()
		if !ok {
			break
		}
		got = append(got, string(s))
	}
	if fmt.Sprint(got) != fmt.Sprint([]string{"a", "", "ccc"}) || v.Len() != 3 {
		t.Errorf("got %q, view has %d left", got, v.Len())
	}

	// A null string inside a vector is an element like any other.
	b := AppendInt32(nil, 2)
	b = AppendBuffer(b, nil)
	b = AppendString(b, "x")
	r := NewReader(b)
	v = r.Strings()
	first, ok1 := v.Next()
	second, ok2 := v.Next()
	_, ok3 := v.Next()
	if first != nil || string(second) != "x" || !ok1 || !ok2 || ok3 {
		t.Errorf("got %v %v, %q %v, then %v", first, ok1, second, ok2, ok3)
	}
}

func TestW3_AbsurdLengths(t *testing.T) {
	for _, tc := range []struct {
		name  string
		count int32
		ok    bool
		null  bool
	}{
		{"null", -1, true, true},
		{"negative counts are empty", -2, true, false},
		{"most negative", -1 << 31, true, false},
		{"none", 0, true, false},
		{"beyond the record", 1, false, false},
		{"far beyond", 1<<31 - 1, false, false},
	} {
		b := AppendInt32(nil, tc.count)
		allocs := testing.AllocsPerRun(10, func() {
			r := NewReader(b)
			v := r.Strings()
			if r.Bad() == tc.ok || v.Null() != tc.null || v.Len() != 0 {
				t.Errorf("%s: bad=%v null=%v len=%d", tc.name, r.Bad(), v.Null(), v.Len())
			}
			r = NewReader(b)
			a := r.ACLs()
			if r.Bad() == tc.ok || a.Null() != tc.null || a.Len() != 0 {
				t.Errorf("%s: ACLs bad=%v null=%v len=%d", tc.name, r.Bad(), a.Null(), a.Len())
			}
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations", tc.name, allocs)
		}
	}
	for _, length := range []int32{-2, -1 << 31, 1, 1<<31 - 1} {
		r := NewReader(AppendInt32(nil, length))
		if b := r.Buffer(); b != nil || !r.Bad() {
			t.Errorf("buffer of length %d with no bytes: %v, bad=%v", length, b, r.Bad())
		}
	}
}

func TestMultiRefusesForeignOperations(t *testing.T) {
	get, del := MultiOp{Op: OpGetData, Path: []byte("/a")}, MultiOp{Op: OpDelete, Path: []byte("/a")}
	for _, tc := range []struct {
		kind        Op
		ops         []MultiOp
		ok, foreign bool
	}{
		{OpMulti, nil, true, false},
		{OpMultiRead, nil, true, false},
		{OpMulti, sampleOps, true, false},
		{OpMultiRead, []MultiOp{get, {Op: OpGetChildren, Path: []byte("/a")}}, true, false},
		{OpMulti, []MultiOp{del, get}, false, false},
		{OpMultiRead, []MultiOp{get, del}, false, false},
		{OpMultiRead, []MultiOp{del, get}, false, false},
		{OpMultiRead, []MultiOp{get, {Op: OpExists, Path: []byte("/a")}}, false, false},
		{OpMultiRead, []MultiOp{del, {Op: OpExists, Path: []byte("/a")}}, false, false},
		{OpMultiRead, []MultiOp{del}, false, true},
		{OpMultiRead, sampleOps, false, true},
		{OpMulti, []MultiOp{get, get, get}, false, true},
		{OpMulti, []MultiOp{{Op: OpSetACL}}, false, false},
	} {
		m := NewMultiReader(tc.kind, appendOps(nil, tc.ops))
		var op MultiOp
		n := 0
		for m.Next(&op) {
			n++
		}
		if m.Bad() == tc.ok || m.Foreign() != tc.foreign {
			t.Errorf("%v %+v: bad=%v foreign=%v after %d operations", tc.kind, tc.ops, m.Bad(), m.Foreign(), n)
		}
		if tc.ok && n != len(tc.ops) {
			t.Errorf("%v: %d operations, want %d", tc.kind, n, len(tc.ops))
		}
	}
	whole := appendOps(nil, []MultiOp{del, del})
	m := NewMultiReader(OpMultiRead, whole[:len(whole)-1])
	var op MultiOp
	if m.Next(&op) || !m.Bad() || m.Foreign() {
		t.Errorf("cut short: bad=%v foreign=%v", m.Bad(), m.Foreign())
	}
}

// The bytes of a failed multi as reference section 1.6 gives them.
func TestMultiErrorBytes(t *testing.T) {
	got := AppendMultiEnd(AppendMultiError(nil, CodeNoNode))
	want := []byte{
		0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0x9b, 0xff, 0xff, 0xff, 0x9b,
		0xff, 0xff, 0xff, 0xff, 1, 0xff, 0xff, 0xff, 0xff,
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestFrame(t *testing.T) {
	var b []byte
	b = BeginFrame(b)
	b = append(b, "hello"...)
	EndFrame(b, 0)
	second := len(b)
	b = AppendErrorReply(b, 3, 9, CodeNoNode)

	for n := range second {
		if p, size, err := Frame(b[:n], 100); p != nil || size != 0 || err != nil {
			t.Errorf("%d of %d bytes: %q %d %v", n, second, p, size, err)
		}
	}
	p, size, err := Frame(b, 100)
	if string(p) != "hello" || size != 9 || err != nil {
		t.Errorf("got %q %d %v", p, size, err)
	}
	p, size, err = Frame(b[size:], 100)
	if len(p) != ReplyHeaderBytes || size != 20 || err != nil {
		t.Errorf("got %d bytes, %d, %v", len(p), size, err)
	}
	if _, _, err := Frame(b, 4); err != ErrFrameLength {
		t.Errorf("a frame of 5 under a limit of 4: %v", err)
	}
	if _, _, err := Frame([]byte{0xff, 0, 0, 0}, 100); err != ErrFrameLength {
		t.Errorf("a negative length: %v", err)
	}
}

func TestAppendEvent(t *testing.T) {
	b := AppendEvent(nil, 77, EventNodeCreated, "/a/b")
	p, size, err := Frame(b, 1000)
	if err != nil || size != len(b) {
		t.Fatalf("size %d of %d: %v", size, len(b), err)
	}
	r := NewReader(p)
	var h ReplyHeader
	var e WatcherEvent
	if !h.Parse(&r) || !e.Parse(&r) || len(r.Rest()) != 0 {
		t.Fatalf("not an event: %x", p)
	}
	if h != (ReplyHeader{XidEvent, 77, CodeOK}) || e.Type != EventNodeCreated || e.State != StateSyncConnected || string(e.Path) != "/a/b" {
		t.Errorf("got %+v %+v", h, e)
	}
}

func TestNothingAllocates(t *testing.T) {
	create := (&CreateRequest{Path: []byte("/a/b"), Data: make([]byte, 100), ACL: sampleACL}).Append(nil)
	multi := appendOps(nil, sampleOps)
	watches := codecs[17].sample
	out := make([]byte, 0, 4096)
	var sum int
	allocs := testing.AllocsPerRun(100, func() {
		r := NewReader(create)
		var q CreateRequest
		q.Parse(&r)
		for it := q.ACL; ; {
			a, ok := it.Next()
			if !ok {
				break
			}
			sum += len(a.ID)
		}
		m := NewMultiReader(OpMulti, multi)
		var op MultiOp
		for m.Next(&op) {
			sum += len(op.Path)
		}
		r = NewReader(watches)
		var w SetWatchesRequest
		w.Parse2(&r)
		for it := w.Data; ; {
			s, ok := it.Next()
			if !ok {
				break
			}
			sum += len(s)
		}
		dst := BeginFrame(out[:0])
		dst = AppendReplyHeader(dst, 1, 2, CodeOK)
		dst = AppendBuffer(dst, q.Data)
		dst = AppendStat(dst, &sampleStat)
		EndFrame(dst, 0)
		dst = AppendEvent(dst, 3, EventNodeCreated, q.Path)
		dst = AppendErrorReply(dst, 4, 5, CodeNoNode)
		sum += len(dst)
	})
	if allocs != 0 || sum == 0 {
		t.Errorf("%v allocations", allocs)
	}
}
