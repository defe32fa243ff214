package wire

import (
	"bytes"
	"testing"
)

// sameButBools compares what was read with its new encoding: equal, but that a boolean byte above 1 became 1 (W1).
func sameButBools(read, encoded []byte) bool {
	if len(read) != len(encoded) {
		return false
	}
	for i := range read {
		if read[i] != encoded[i] && !(read[i] > 1 && encoded[i] == 1) {
			return false
		}
	}
	return true
}

// fuzzRecord checks W1 and W3 for one layout: what is accepted encodes to what was read.
func fuzzRecord(f *testing.F, name string) {
	for _, c := range codecs {
		if c.name != name {
			continue
		}
		f.Add(c.sample)
		f.Add(c.sample[:len(c.sample)/2])
		f.Fuzz(func(t *testing.T, b []byte) {
			r := NewReader(b)
			got, ok := c.recode(nil, &r)
			if !ok {
				return
			}
			read := b[:len(b)-len(r.Rest())]
			if !bytes.Contains(got, []byte(replacement)) && !sameButBools(read, got) {
				t.Errorf("%x recoded to %x", read, got)
			}
			r = NewReader(got)
			if again, ok := c.recode(nil, &r); !ok || !bytes.Equal(got, again) {
				t.Errorf("%x recoded to %x, then to %x (whole: %v)", b, got, again, ok)
			}
		})
		return
	}
	f.Fatalf("no codec %q", name)
}

// fuzzMulti is fuzzRecord for layouts in which a header has fields without a meaning: encoding what was read must reach a fixed
// point after one step.
func fuzzMulti(f *testing.F, name string) {
	for _, c := range codecs {
		if c.name != name {
			continue
		}
		f.Add(c.sample)
		f.Fuzz(func(t *testing.T, b []byte) {
			r := NewReader(b)
			once, ok := c.recode(nil, &r)
			if !ok {
				return
			}
			if read := len(b) - len(r.Rest()); read != len(once) && !bytes.Contains(once, []byte(replacement)) {
				t.Errorf("read %d bytes, encoded %d", read, len(once))
			}
			r = NewReader(once)
			twice, ok := c.recode(nil, &r)
			if !ok || !bytes.Equal(once, twice) {
				t.Errorf("%x recoded to %x, then to %x (whole: %v)", b, once, twice, ok)
			}
		})
		return
	}
	f.Fatalf("no codec %q", name)
}

func FuzzRequestHeader(f *testing.F)  { fuzzRecord(f, "RequestHeader") }
func FuzzReplyHeader(f *testing.F)    { fuzzRecord(f, "ReplyHeader") }
func FuzzConnectRequest(f *testing.F) { fuzzRecord(f, "ConnectRequest") }
func FuzzConnectReply(f *testing.F)   { fuzzRecord(f, "ConnectReply") }
func FuzzWatcherEvent(f *testing.F)   { fuzzRecord(f, "WatcherEvent") }
func FuzzCreate(f *testing.F)         { fuzzRecord(f, "CreateRequest") }
func FuzzCreateTTL(f *testing.F)      { fuzzRecord(f, "CreateTTLRequest") }
func FuzzVersion(f *testing.F)        { fuzzRecord(f, "VersionRequest") }
func FuzzWatch(f *testing.F)          { fuzzRecord(f, "WatchRequest") }
func FuzzPath(f *testing.F)           { fuzzRecord(f, "PathRequest") }
func FuzzSetData(f *testing.F)        { fuzzRecord(f, "SetDataRequest") }
func FuzzSetACL(f *testing.F)         { fuzzRecord(f, "SetACLRequest") }
func FuzzReconfig(f *testing.F)       { fuzzRecord(f, "ReconfigRequest") }
func FuzzWatchType(f *testing.F)      { fuzzRecord(f, "WatchTypeRequest") }
func FuzzAddWatch(f *testing.F)       { fuzzRecord(f, "AddWatchRequest") }
func FuzzAuth(f *testing.F)           { fuzzRecord(f, "AuthRequest") }
func FuzzSetWatches(f *testing.F)     { fuzzRecord(f, "SetWatchesRequest") }
func FuzzSetWatches2(f *testing.F)    { fuzzRecord(f, "SetWatches2Request") }
func FuzzSASL(f *testing.F)           { fuzzRecord(f, "SASLToken") }
func FuzzStat(f *testing.F)           { fuzzRecord(f, "Stat") }
func FuzzIntReply(f *testing.F)       { fuzzRecord(f, "IntReply") }
func FuzzPathStat(f *testing.F)       { fuzzRecord(f, "PathStatReply") }
func FuzzDataReply(f *testing.F)      { fuzzRecord(f, "DataReply") }
func FuzzACLReply(f *testing.F)       { fuzzRecord(f, "ACLReply") }
func FuzzStringsReply(f *testing.F)   { fuzzRecord(f, "StringsReply") }
func FuzzChildrenReply(f *testing.F)  { fuzzRecord(f, "ChildrenReply") }
func FuzzWhoAmI(f *testing.F)         { fuzzRecord(f, "WhoAmIReply") }
func FuzzMulti(f *testing.F)          { fuzzMulti(f, "Multi") }
func FuzzMultiRead(f *testing.F)      { fuzzMulti(f, "MultiRead") }
func FuzzMultiResults(f *testing.F)   { fuzzMulti(f, "MultiResults") }

// FuzzFrames cuts arbitrary bytes into frames: each frame lies where it was, and nothing is skipped.
func FuzzFrames(f *testing.F) {
	f.Add(AppendErrorReply(AppendEvent(nil, 1, EventNodeCreated, "/a"), 1, 2, CodeNoNode))
	f.Fuzz(func(t *testing.T, b []byte) {
		for rest := b; ; {
			payload, size, err := Frame(rest, 1<<20)
			if err != nil || size == 0 {
				break
			}
			if len(payload) != size-FrameHeaderBytes || !bytes.Equal(payload, rest[FrameHeaderBytes:size]) {
				t.Fatalf("frame of %d bytes has payload of %d", size, len(payload))
			}
			rest = rest[size:]
		}
	})
}

// FuzzW4_Vectors iterates over vectors of arbitrary bytes: there are as many elements as Len says, and they are the
// vector.
func FuzzW4_Vectors(f *testing.F) {
	f.Add(MakeStrings("a", "", "\xff").Append(nil))
	f.Add(sampleACL.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(b)
		if v := r.Strings(); !r.Bad() {
			again, n := AppendInt32(nil, int32(v.Len())), v.Len()
			for it := v; ; n-- {
				s, ok := it.Next()
				if !ok {
					break
				}
				again = AppendBuffer(again, s)
			}
			if n != 0 {
				t.Errorf("%x: %d strings more than there are", b, n)
			}
			if v.Len() > 0 && !bytes.Contains(again, []byte(replacement)) && !bytes.Equal(again, v.Append(nil)) {
				t.Errorf("%x iterates as %x", b, again)
			}
		}
		r = NewReader(b)
		if v := r.ACLs(); !r.Bad() {
			n := v.Len()
			for it := v; ; n-- {
				if _, ok := it.Next(); !ok {
					break
				}
			}
			if n != 0 {
				t.Errorf("%x: %d ACL entries more than there are", b, n)
			}
		}
	})
}
