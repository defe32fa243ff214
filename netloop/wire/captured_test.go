package wire

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A capturedConn follows one connection of a transcript: what was asked and is not yet answered.
type capturedConn struct {
	requests, replies int
	pending           []RequestHeader
}

// TestW1_CapturedFrames decodes every frame that real clients and a real server exchanged, encodes it again, and wants
// the same bytes; and every reply has the xid of the request it answers. testdata/README.md says how they were made.
func TestW1_CapturedFrames(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			ops := map[Op]int{}
			conns := map[int]*capturedConn{}
			for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
				var id int
				var direction, payload string
				if _, err := fmt.Sscan(line, &id, &direction, &payload); err != nil {
					t.Fatalf("line %d: %v", i+1, err)
				}
				frame, err := hex.DecodeString(payload)
				if err != nil {
					t.Fatalf("line %d: %v", i+1, err)
				}
				if conns[id] == nil {
					conns[id] = &capturedConn{}
				}
				var got []byte
				if direction == ">" {
					got, err = conns[id].request(frame, ops)
				} else {
					got, err = conns[id].reply(frame)
				}
				if err != nil {
					t.Fatalf("line %d: %v\n%s", i+1, err, line)
				}
				if !bytes.Equal(got, frame) {
					t.Errorf("line %d: recoded\n%x\nas\n%x", i+1, frame, got)
				}
			}
			if len(ops) < 15 {
				t.Errorf("only %d kinds of requests: %v", len(ops), ops)
			}
		})
	}
}

func recodeAll(name string, dst []byte, r *Reader) ([]byte, error) {
	for _, c := range codecs {
		if c.name != name {
			continue
		}
		dst, ok := c.recode(dst, r)
		if !ok {
			return nil, fmt.Errorf("%s: malformed", name)
		}
		if len(r.Rest()) != 0 {
			return nil, fmt.Errorf("%s: %d bytes left over", name, len(r.Rest()))
		}
		return dst, nil
	}
	return nil, fmt.Errorf("no codec %q", name)
}

var requestLayouts = map[Op]string{
	OpCreate: "CreateRequest", OpCreate2: "CreateRequest", OpCreateContainer: "CreateRequest", OpCreateTTL: "CreateTTLRequest",
	OpDelete: "VersionRequest", OpExists: "WatchRequest", OpGetData: "WatchRequest", OpGetChildren: "WatchRequest",
	OpGetChildren2: "WatchRequest", OpSetData: "SetDataRequest", OpGetACL: "PathRequest", OpSetACL: "SetACLRequest",
	OpSync: "PathRequest", OpReconfig: "ReconfigRequest", OpCheckWatches: "WatchTypeRequest",
	OpRemoveWatches: "WatchTypeRequest", OpAuth: "AuthRequest", OpSetWatches: "SetWatchesRequest",
	OpSetWatches2: "SetWatches2Request", OpSASL: "SASLToken", OpGetEphemerals: "PathRequest",
	OpGetAllChildrenNumber: "PathRequest", OpAddWatch: "AddWatchRequest", OpMulti: "Multi", OpMultiRead: "MultiRead",
}

var replyLayouts = map[Op]string{
	OpCreate: "PathRequest", OpCreate2: "PathStatReply", OpCreateContainer: "PathStatReply", OpCreateTTL: "PathStatReply",
	OpExists: "Stat", OpGetData: "DataReply", OpGetChildren: "StringsReply", OpGetChildren2: "ChildrenReply",
	OpSetData: "Stat", OpGetACL: "ACLReply", OpSetACL: "Stat", OpSync: "PathRequest", OpReconfig: "DataReply",
	OpSASL: "SASLToken", OpGetEphemerals: "StringsReply", OpGetAllChildrenNumber: "IntReply", OpAddWatch: "IntReply",
	OpWhoAmI: "WhoAmIReply", OpMulti: "MultiResults", OpMultiRead: "MultiResults",
}

func (c *capturedConn) request(frame []byte, ops map[Op]int) ([]byte, error) {
	c.requests++
	r := NewReader(frame)
	if c.requests == 1 {
		return recodeAll("ConnectRequest", nil, &r)
	}
	var h RequestHeader
	if !h.Parse(&r) {
		return nil, fmt.Errorf("no request header")
	}
	ops[h.Op]++
	c.pending = append(c.pending, h)
	out := h.Append(nil)
	if len(r.Rest()) == 0 {
		return out, nil
	}
	name, ok := requestLayouts[h.Op]
	if !ok {
		return nil, fmt.Errorf("%v has an unexpected body", h.Op)
	}
	return recodeAll(name, out, &r)
}

func (c *capturedConn) reply(frame []byte) ([]byte, error) {
	c.replies++
	r := NewReader(frame)
	if c.replies == 1 {
		return recodeAll("ConnectReply", nil, &r)
	}
	var h ReplyHeader
	if !h.Parse(&r) {
		return nil, fmt.Errorf("no reply header")
	}
	out := h.Append(nil)
	if h.Xid == XidEvent {
		return recodeAll("WatcherEvent", out, &r)
	}
	if len(c.pending) == 0 {
		return nil, fmt.Errorf("a reply to nothing")
	}
	q := c.pending[0]
	c.pending = c.pending[1:]
	if q.Xid != h.Xid {
		return nil, fmt.Errorf("reply has xid %d, request %d", h.Xid, q.Xid)
	}
	if len(r.Rest()) == 0 {
		return out, nil
	}
	if h.Err != CodeOK {
		return nil, fmt.Errorf("%v failed with %d and has a body", q.Op, h.Err)
	}
	name, ok := replyLayouts[q.Op]
	if !ok {
		return nil, fmt.Errorf("%v: unexpected body in the reply", q.Op)
	}
	return recodeAll(name, out, &r)
}
