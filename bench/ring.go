package bench

// ring is a queue of requests that allocates only when it grows.
type ring struct {
	buf        []request // a power of two
	head, tail uint32    // count up for ever; tail-head are in it
}

func (r *ring) len() int    { return int(r.tail - r.head) }
func (r *ring) empty() bool { return r.tail == r.head }
func (r *ring) clear()      { r.head = r.tail }

func (r *ring) push(w request) {
	if r.len() == len(r.buf) {
		r.grow()
	}
	r.buf[r.tail&uint32(len(r.buf)-1)] = w
	r.tail++
}

func (r *ring) pop() (w request, ok bool) {
	if r.empty() {
		return request{}, false
	}
	w = r.buf[r.head&uint32(len(r.buf)-1)]
	r.head++
	return w, true
}

func (r *ring) grow() {
	bigger := make([]request, max(4, 2*len(r.buf)))
	n := 0
	for !r.empty() {
		bigger[n], _ = r.pop()
		n++
	}
	r.buf, r.head, r.tail = bigger, 0, uint32(n)
}
