package peers

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/s2"
)

// samples are frames of sizes around every bound, that compress and that do not.
func samples() [][]byte {
	rnd := rand.New(rand.NewPCG(1, 1))
	var out [][]byte
	for _, n := range []int{
		0, 1, 7, 8, 9, copyBytesMax - 1, copyBytesMax, copyBytesMax + 1, compressBytesMin, intakeBytes - 9, intakeBytes - 8,
		intakeBytes - 1, intakeBytes, intakeBytes + 1, growBytes - 1, growBytes, growBytes + 1, 3*growBytes + 17,
	} {
		noise := make([]byte, n)
		for i := range noise {
			noise[i] = byte(rnd.Uint32())
		}
		out = append(out, noise, bytes.Repeat([]byte("holt "), n/5), append(noise[:n/2:n/2], make([]byte, n/2)...))
	}
	return out
}

func TestP1_EncodeAndCut(t *testing.T) {
	frames := samples()
	var b batch
	var wire []byte
	for range 3 { // the second time with a used arena
		wire = nil
		b.reset()
		for i, f := range frames {
			b.add(f)
			if i%7 == 6 {
				wire = append(wire, bytes.Join(b.chunks(), nil)...)
				b.reset()
			}
		}
		wire = append(wire, bytes.Join(b.chunks(), nil)...)
	}
	rnd := rand.New(rand.NewPCG(2, 2))
	for _, lends := range []bool{false, true} {
		for name, src := range map[string]io.Reader{
			"whole": bytes.NewReader(wire), "halves": iotest.HalfReader(bytes.NewReader(wire)),
			"pieces": readerFunc(func() func(p []byte) (int, error) {
				r := bytes.NewReader(wire)
				return func(p []byte) (int, error) { return r.Read(p[:1+rnd.IntN(min(len(p), 50_000))]) }
			}()),
			"data with EOF": iotest.DataErrReader(bytes.NewReader(wire)),
		} {
			in := newIntake(src, make([]byte, intakeBytes), frameBytesMax)
			in.lends = lends
			for i, want := range frames {
				got, err := in.next()
				if err != nil {
					t.Fatalf("%s: frame %d: %v", name, i, err)
				}
				if !bytes.Equal(got, want) {
					t.Fatalf("%s: frame %d of %d bytes differs", name, i, len(want))
				}
				if !lends && cap(got) > len(got)+len(got)/4+64 {
					t.Errorf("%s: frame %d of %d bytes keeps %d", name, i, len(got), cap(got))
				}
			}
			if _, err := in.next(); !errors.Is(err, io.EOF) {
				t.Fatalf("%s: %v at the end", name, err)
			}
		}
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Each bit of a small stream is changed, and the stream is cut at each byte: nothing but a prefix comes out.
func TestP1_EveryBitAndCut(t *testing.T) {
	frames := [][]byte{[]byte("first"), bytes.Repeat([]byte("squeezed"), 700), {}, []byte("last")}
	var b batch
	for _, f := range frames {
		b.add(f)
	}
	wire := bytes.Join(b.chunks(), nil)
	check := func(what string, stream []byte) {
		in := newIntake(bytes.NewReader(stream), make([]byte, intakeBytes), frameBytesMax)
		in.lends = len(stream)%2 == 0
		for i := 0; ; i++ {
			got, err := in.next()
			if err != nil {
				return
			}
			if i >= len(frames) || !bytes.Equal(got, frames[i]) {
				t.Fatalf("%s: frame %d came out changed", what, i)
			}
		}
	}
	for i := range wire {
		check(fmt.Sprint("cut at ", i), wire[:i])
		for bit := range 8 {
			damaged := bytes.Clone(wire)
			damaged[i] ^= 1 << bit
			in := newIntake(bytes.NewReader(damaged), make([]byte, intakeBytes), frameBytesMax)
			in.lends = bit%2 == 0
			n := 0
			var err error
			for ; err == nil; n++ {
				_, err = in.next()
			}
			if n > len(frames) {
				t.Fatalf("bit %d of byte %d: nobody noticed", bit, i)
			}
			check(fmt.Sprintf("bit %d of byte %d", bit, i), damaged)
		}
	}
}

// FuzzIntake reads arbitrary bytes as a stream. What comes out encodes to what can be read again, and a length that
// promises much costs little.
func FuzzIntake(f *testing.F) {
	var b batch
	for _, s := range samples() {
		if len(s) < 3000 {
			b.add(s)
		}
	}
	f.Add(bytes.Join(b.chunks(), nil), true, true)
	f.Add([]byte{255, 255, 255, 15, 1, 2, 3, 4, 5}, false, false)
	f.Add(append([]byte{20, 0, 0, 128, 0, 0, 0, 0}, s2.Encode(nil, make([]byte, 5000))...), true, false)
	const fuzzed = 1 << 20 // s2 lets few bytes stand for many
	f.Fuzz(func(t *testing.T, stream []byte, mend, lends bool) {
		var buf [intakeBytes]byte
		if mend {
			stream = mendSums(bytes.Clone(stream))
		}
		in := newIntake(bytes.NewReader(stream), buf[:], fuzzed)
		in.lends = lends
		var again batch
		var got [][]byte
		for len(got) < 10 {
			frame, err := in.next()
			if err != nil {
				break
			}
			got = append(got, bytes.Clone(frame))
			again.add(frame)
		}
		in = newIntake(bytes.NewReader(bytes.Join(again.chunks(), nil)), buf[:], fuzzed)
		in.lends = lends
		for i, want := range got {
			if frame, err := in.next(); err != nil || !bytes.Equal(frame, want) {
				t.Fatalf("frame %d: %v", i, err)
			}
		}
	})
}

// mendSums puts right checksums into what looks like frames, so that fuzzing gets past them.
func mendSums(b []byte) []byte {
	for rest := b; len(rest) >= frameHeader; {
		n := int(binary.LittleEndian.Uint32(rest) &^ frameCompressed)
		if n > len(rest)-frameHeader {
			break
		}
		binary.LittleEndian.PutUint32(rest[4:], frameSum(rest, rest[frameHeader:frameHeader+n]))
		rest = rest[frameHeader+n:]
	}
	return b
}
