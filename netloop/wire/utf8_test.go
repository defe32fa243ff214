package wire

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"
)

// TestRepairAsJava compares with what java.lang.String makes of random bytes: testdata/java-utf8 has them and the UTF-8
// of the decoded string.
func TestRepairAsJava(t *testing.T) {
	text, err := os.ReadFile("testdata/java-utf8")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		in, want, ok := strings.Cut(line, " ")
		b, err1 := hex.DecodeString(in)
		w, err2 := hex.DecodeString(want)
		if !ok || err1 != nil || err2 != nil {
			t.Fatalf("line %q", line)
		}
		r := NewReader(AppendBuffer(nil, b))
		if got := r.String(); !bytes.Equal(got, w) {
			t.Errorf("%x read as %x, Java %x", b, got, w)
		}
	}
}
