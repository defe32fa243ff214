package wire

import "unicode/utf8"

const replacement = "\uFFFD"

// repairUTF8 decodes b as Java does and encodes it again: each malformed part becomes one U+FFFD. What counts as one part
// is Java's choice (String.decodeUTF8): the longest start of a sequence that could have been right; but of an encoded
// surrogate all three bytes are one part, where Go sees three.
func repairUTF8(b []byte) []byte {
	out := make([]byte, 0, len(b)+8)
	for len(b) > 0 {
		if r, n := utf8.DecodeRune(b); r != utf8.RuneError || n > 1 {
			out, b = append(out, b[:n]...), b[n:]
			continue
		}
		out = append(out, replacement...)
		b = b[malformedBytes(b):]
	}
	return out
}

// malformedBytes is the length of the malformed part at the start of b.
func malformedBytes(b []byte) int {
	first := b[0]
	want := 0
	low, high := byte(0x80), byte(0xbf) // of the second byte
	switch {
	case first >= 0xc2 && first <= 0xdf:
		want = 2
	case first >= 0xe0 && first <= 0xef:
		want = 3
		if first == 0xe0 {
			low = 0xa0
		}
	case first >= 0xf0 && first <= 0xf4:
		want = 4
		if first == 0xf0 {
			low = 0x90
		} else if first == 0xf4 {
			high = 0x8f
		}
	}
	n := 1
	for n < want && n < len(b) && b[n] >= low && b[n] <= high {
		n++
		low, high = 0x80, 0xbf
	}
	return n
}
