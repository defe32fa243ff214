package main

import (
	"bytes"
	"unicode/utf8"

	"holt/netloop/wire"
)

// The differences from ZooKeeper that are wanted. docs/differences.md tells users about them; a name here is the heading
// there. Everything else that differs is a mistake.
const (
	// ZooKeeper closes a session's connection when anybody asks to attach the session, before it looks at the
	// password. So whoever knows or guesses a session id can disturb its client. Holt looks first.
	wrongPasswordKeepsConnection = "a wrong password does not disturb the session"

	// ZooKeeper reads UTF-8 but writes each half of a character beyond U+FFFF as three bytes of its own, which is not UTF-8.
	utf8Kept = "characters beyond U+FFFF stay UTF-8"

	// A small multiRead could ask for gigabytes.
	multiReadBounded = "a multiRead is answered up to holt.outboundBytes"
)

// wantedDifference is one that shows in the answer to a request.
type wantedDifference struct {
	name    string
	applies func(ref, sub *canonical) bool
}

var wantedDifferences = []wantedDifference{{utf8Kept, wantedUTF8}, {multiReadBounded, wantedBound}}

// wantedBound is for replies near holt.outboundBytes or beyond, 16 MiB without what else may be on its way.
func wantedBound(ref, sub *canonical) bool {
	return ref != nil && sub != nil && ref.req != nil && ref.req.op == wire.OpMultiRead && ref.zxid == sub.zxid &&
		sub.code == wire.CodeMarshallingError && len(ref.frame) > 14<<20
}

// wantedUTF8 compares the text of the reply to a sync, or of an event, after joining the halves.
func wantedUTF8(ref, sub *canonical) bool {
	if ref == nil || sub == nil || ref.event != sub.event || ref.zxid != sub.zxid || ref.code != sub.code {
		return false
	}
	at := wire.ReplyHeaderBytes
	switch {
	case ref.event:
		at += 8 // type and state
	case ref.req == nil || ref.req.op != wire.OpSync:
		return false
	}
	if len(ref.frame) < at || len(sub.frame) < at {
		return false
	}
	a, b := wire.NewReader(ref.frame[at:]), wire.NewReader(sub.frame[at:])
	joined := joinSurrogates(a.Buffer())
	return !a.Bad() && bytes.Equal(joined, b.Buffer()) && len(joined) < len(ref.frame)-at-4
}

// joinSurrogates turns pairs of encoded surrogates into the characters they stand for.
func joinSurrogates(b []byte) []byte {
	var out []byte
	for len(b) > 0 {
		if len(b) >= 6 && b[0] == 0xed && b[1]&0xf0 == 0xa0 && b[3] == 0xed && b[4]&0xf0 == 0xb0 {
			high := rune(b[1]&0x0f)<<6 | rune(b[2]&0x3f)
			low := rune(b[4]&0x0f)<<6 | rune(b[5]&0x3f)
			out = utf8.AppendRune(out, 0x10000+high<<10+low)
			b = b[6:]
			continue
		}
		out, b = append(out, b[0]), b[1:]
	}
	return out
}

// wantedReply names the wanted difference between two answers, or "". Either may be nil: nothing came.
func wantedReply(ref, sub *canonical) string {
	for _, d := range wantedDifferences {
		if d.applies(ref, sub) {
			return d.name
		}
	}
	return ""
}
