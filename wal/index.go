package wal

import (
	"fmt"
	"sort"
)

// markEveryBytes is the distance in a segment between two places from which a read can start.
const markEveryBytes = 64 << 10

// index says where the live entries are. Entries are appended in file order and taken back only from the end, so the
// live log is a list of extents, each a stretch of one segment in which indexes rise one by one.
//
// Extents rather than an offset per entry: an entry is looked up on disk only for a member that lags or at a start, and
// then in long runs, while 4 to 16 bytes per entry would stay in memory for every entry between two checkpoints.
type index struct {
	extents []extent
	terms   []termSpan // of the retained entries, rising by first
	broken  bool       // the next entries do not continue the last extent, whatever their index

	cut, cutTerm   uint64 // entries up to cut are gone
	last, lastTerm uint64
}

// extent: entries first..last lie in the segment from marks[0].off on, in order; frames that hold none may lie between.
// The last of its frames begins at end.
type extent struct {
	segment     uint64
	first, last uint64
	marks       []mark
	end         int64
}

// mark: the frame at off begins with entry index, or with other records and then that entry.
type mark struct {
	index uint64
	off   int64
}

type termSpan struct{ first, term uint64 }

// add records a frame at off that holds the entries first..last. The caller took back conflicting ones before.
func (x *index) add(segment uint64, off int64, first, last uint64) {
	n := len(x.extents)
	if n == 0 || x.broken || x.extents[n-1].segment != segment {
		x.broken = false
		x.extents = append(x.extents, extent{segment: segment, first: first, marks: []mark{{first, off}}})
		n++
	}
	e := &x.extents[n-1]
	if off-e.marks[len(e.marks)-1].off >= markEveryBytes {
		e.marks = append(e.marks, mark{first, off})
	}
	e.last, e.end = last, off
}

// addTerm records that the log now ends with the entry (i, term).
func (x *index) addTerm(i, term uint64) {
	if n := len(x.terms); n == 0 || x.terms[n-1].term != term {
		x.terms = append(x.terms, termSpan{i, term})
	}
	x.last, x.lastTerm = i, term
}

// truncate takes back every entry from first on.
func (x *index) truncate(first uint64) {
	if first > x.last {
		return
	}
	x.broken = true
	for n := len(x.extents); n > 0 && x.extents[n-1].last >= first; n-- {
		e := &x.extents[n-1]
		if e.first < first {
			e.last = first - 1
			keep := sort.Search(len(e.marks), func(i int) bool { return e.marks[i].index >= first })
			e.marks = e.marks[:keep]
			break
		}
		x.extents = x.extents[:n-1]
	}
	for n := len(x.terms); n > 0 && x.terms[n-1].first >= first; n-- {
		x.terms = x.terms[:n-1]
	}
	x.last = first - 1
	x.lastTerm = x.cutTerm
	if n := len(x.terms); n > 0 {
		x.lastTerm = x.terms[n-1].term
	}
}

// cutTo forgets the entries up to i, the last of which had the given term.
func (x *index) cutTo(i, term uint64) {
	if i <= x.cut {
		return
	}
	drop := 0
	for drop < len(x.extents) && x.extents[drop].last <= i {
		drop++
	}
	x.extents = append(x.extents[:0], x.extents[drop:]...)
	spans := sort.Search(len(x.terms), func(k int) bool { return x.terms[k].first > i })
	if spans > 0 {
		spans-- // the span that holds i also holds what follows it, unless nothing does
		x.terms = append(x.terms[:0], x.terms[spans:]...)
		x.terms[0].first = max(x.terms[0].first, i+1)
		if (len(x.terms) > 1 && x.terms[1].first == i+1) || x.last <= i {
			x.terms = append(x.terms[:0], x.terms[1:]...)
		}
	}
	x.cut, x.cutTerm = i, term
	if x.last < i {
		x.last, x.lastTerm = i, term
	}
}

// reset forgets everything: the log is as if it ended with the entry (i, term) and that was cut.
func (x *index) reset(i, term uint64) {
	*x = index{cut: i, cutTerm: term, last: i, lastTerm: term}
}

// term of entry i, for cut <= i <= last.
func (x *index) term(i uint64) (uint64, error) {
	switch {
	case i < x.cut:
		return 0, ErrCompacted
	case i > x.last:
		return 0, ErrUnavailable
	case i == x.cut:
		return x.cutTerm, nil
	}
	n := sort.Search(len(x.terms), func(k int) bool { return x.terms[k].first > i })
	return x.terms[n-1].term, nil
}

// before returns the last entry that has at least bytes of log after it, counting what was taken back; the cut if none has.
func (x *index) before(bytes int64) uint64 {
	for n := len(x.extents) - 1; n >= 0; n-- {
		e := &x.extents[n]
		end := e.end
		for k := len(e.marks) - 1; k >= 0; k-- {
			if bytes -= end - e.marks[k].off; bytes <= 0 {
				return max(e.marks[k].index-1, x.cut)
			}
			end = e.marks[k].off
		}
	}
	return x.cut
}

// find returns the extent that holds entry i, and the frame offset to read from.
func (x *index) find(i uint64) (extent, int64) {
	n := sort.Search(len(x.extents), func(k int) bool { return x.extents[k].last >= i })
	e := x.extents[n]
	m := sort.Search(len(e.marks), func(k int) bool { return e.marks[k].index > i })
	return e, e.marks[m-1].off
}

// oldest is the first segment that still holds a live entry, or current if none does.
func (x *index) oldest(current uint64) uint64 {
	if len(x.extents) == 0 {
		return current
	}
	return x.extents[0].segment
}

// whole checks that the extents hold every entry from the cut to the last.
func (x *index) whole() error {
	next := x.cut + 1
	for _, e := range x.extents {
		if e.first != next {
			return fmt.Errorf("entries %d to %d are missing", next, e.first)
		}
		next = e.last + 1
	}
	if next != x.last+1 {
		return fmt.Errorf("the log should end with entry %d, but holds none after %d", x.last, next-1)
	}
	return nil
}
