package main

// zxids tells how far a server's zxids are from the first one of the run. That distance is what two servers have in
// common. Holt's zxids jump when it is started again, as their upper half is the term of its log; so each start may add a base.
type zxids struct {
	bases []zxidBase
}

// zxidBase is what to take away from zxids from here on.
type zxidBase struct {
	from int64
	base int64
}

// add says that z, the second zxid since the server was started, is at distance d.
func (x *zxids) add(z, d int64) {
	if n := len(x.bases); n > 0 && x.bases[n-1].base == z-d {
		return
	}
	x.bases = append(x.bases, zxidBase{from: z - 1, base: z - d}) // z is the second zxid after a start: a session was opened
}

// distance is the common form of a zxid; 0 and -1 stay.
func (x *zxids) distance(z int64) int64 {
	if z <= 0 || len(x.bases) == 0 {
		return z
	}
	b := x.bases[0]
	for _, later := range x.bases[1:] {
		if z >= later.from {
			b = later
		}
	}
	return z - b.base
}

// at is the server's zxid at a distance, in terms of its last start.
func (x *zxids) at(d int64) int64 {
	if len(x.bases) == 0 {
		return d
	}
	for i := len(x.bases) - 1; i > 0; i-- {
		if z := x.bases[i].base + d; z >= x.bases[i].from {
			return z
		}
	}
	return x.bases[0].base + d
}
