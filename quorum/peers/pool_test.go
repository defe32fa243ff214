package peers

import "testing"

func TestFramePool(t *testing.T) {
	var p framePool
	for _, n := range []int{0, 1, 255, 256, 257, 4096, 1 << 20, 1<<20 + 1, 2 << 20, 2<<20 + 1} {
		a := p.get(n)
		if len(a) != n {
			t.Fatalf("%d bytes for a frame of %d", len(a), n)
		}
		for i := range a {
			a[i] = 1
		}
		p.put(a)
		if b := p.get(n); len(b) != n {
			t.Fatalf("%d bytes for another frame of %d", len(b), n)
		}
	}
	p.put(nil)
	p.put(make([]byte, 300, 384)) // not the capacity of a class
	p.put(make([]byte, 10, 512))
	for range 3 {
		if b := p.get(400); cap(b) != 512 {
			t.Fatalf("a frame of 400 bytes has a capacity of %d", cap(b))
		}
	}
	frame := p.get(1000)
	if n := testing.AllocsPerRun(100, func() { p.put(frame); frame = p.get(600) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
