package watch

// index finds dense entries by a 32-bit hash: linear hashing with chains. Entry i of the index is entry i of the owner's slab.
//
// One insertion splits at most one bucket and one removal joins at most two, so no operation rehashes everything: a loop with
// millions of watches is never held up by its own growth, and the table shrinks as it empties. An open-addressing table
// lost for that reason, and because its deletions need either tombstones or the hash of every neighbour.
//
// Invariant W4: heads.n is in [1, max(1, 2*links.n)] after every removal, and links.n <= heads.n after every insertion; a bucket
// b >= size holds only hashes whose size bit is set.
type index struct {
	heads slab[uint32] // first entry of the bucket + 1, 0 = empty
	links slab[link]
	size  uint32 // the power of two in (heads.n/2, heads.n]: buckets below heads.n-size are already split
}

type link struct {
	hash uint32
	next uint32 // entry + 1, 0 = end of chain
}

// none is what first and next return at the end of a chain.
const none = ^uint32(0)

func (x *index) len() uint32 { return x.links.n }

func (x *index) bucket(hash uint32) uint32 {
	b := hash & (2*x.size - 1)
	if b >= x.heads.n {
		b &= x.size - 1
	}
	return b
}

// first returns the first entry with this hash, or none.
func (x *index) first(hash uint32) uint32 {
	if x.links.n == 0 {
		return none
	}
	return x.seek(*x.heads.at(x.bucket(hash)), hash)
}

// next returns the next entry with the same hash as entry i, or none.
func (x *index) next(i uint32) uint32 {
	l := x.links.at(i)
	return x.seek(l.next, l.hash)
}

func (x *index) seek(ref, hash uint32) uint32 {
	for ref != 0 {
		l := x.links.at(ref - 1)
		if l.hash == hash {
			return ref - 1
		}
		ref = l.next
	}
	return none
}

// insert adds an entry at the end and returns its number, which is len() before the call.
func (x *index) insert(hash uint32) uint32 {
	if x.heads.n == 0 {
		x.heads.push(0)
		x.size = 1
	}
	head := x.heads.at(x.bucket(hash))
	i := x.links.push(link{hash, *head})
	*head = i + 1
	if x.links.n > x.heads.n {
		x.split()
	}
	return i
}

// remove drops entry i; the last entry takes its number. The owner moves its own last element in the same way.
func (x *index) remove(i uint32) {
	*x.refTo(i) = x.links.at(i).next
	if last := x.links.n - 1; i != last {
		*x.refTo(last) = i + 1
		*x.links.at(i) = *x.links.at(last)
	}
	x.links.pop()
	for range 2 {
		if x.heads.n > 1 && x.heads.n > 2*x.links.n {
			x.join()
		}
	}
}

// refTo returns the place that points at entry i.
func (x *index) refTo(i uint32) *uint32 {
	ref := x.heads.at(x.bucket(x.links.at(i).hash))
	for *ref != i+1 {
		ref = &x.links.at(*ref - 1).next
	}
	return ref
}

// split adds one bucket and moves what now belongs there.
func (x *index) split() {
	bit := x.size
	from := x.heads.at(x.heads.n - bit)
	to := x.heads.at(x.heads.push(0))
	if x.heads.n == 2*x.size {
		x.size *= 2
	}
	for *from != 0 {
		l := x.links.at(*from - 1)
		if l.hash&bit == 0 {
			from = &l.next
			continue
		}
		moved := *from
		*from = l.next
		l.next = *to
		*to = moved
	}
}

// join removes the last bucket and appends its chain to the one it was split from.
func (x *index) join() {
	if x.heads.n == x.size {
		x.size /= 2
	}
	last := x.heads.n - 1
	end := x.heads.at(last - x.size)
	for *end != 0 {
		end = &x.links.at(*end - 1).next
	}
	*end = *x.heads.at(last)
	x.heads.pop()
}

func (x *index) bytes() int64 { return x.heads.bytes(4) + x.links.bytes(8) }
