package watch

import (
	"encoding/binary"
	"math"
	"unsafe"
)

// arena holds records of changing length: the name of a path (or directory) and, for a path with few watchers, the watchers.
//
//	 0        4       5             5+v          5+v+name
//	| owner  | slots | name length | name bytes | slots x 4 bytes |
//	| u32 LE | u8    | uvarint (v) |            | u32 LE each     |
//
// Records are appended to the newest chunk and never reused in place. A record is live if its owner points at it, so a chunk
// whose live bytes fall under half is emptied by walking it once and moving what is live: memory follows what is in use (W5).
// Free lists per size lost: after a mass removal they pin every page that holds one survivor.
type arena struct {
	chunks  []chunk
	current uint32   // the chunk being filled
	free    []uint32 // numbers of chunks without memory
	held    int64    // bytes of all chunks
	sparse  []uint32 // chunks to be emptied by tidy
	ref     func(owner uint32) *ref
}

// ref addresses a record: chunk number and offset in it.
type ref uint32

type chunk struct {
	buf   []byte
	live  int  // bytes of records that have an owner
	noted bool // is in sparse
}

const (
	chunkShift = 16
	chunkBytes = 1 << chunkShift
	chunksMax  = math.MaxUint32 >> chunkShift // the last number is never used, so refNone names no record
	// recordBytesShared is the longest record that shares a chunk; a longer one gets a chunk of its own.
	recordBytesShared = chunkBytes / 8

	recordOwner = 0
	recordSlots = 4
	recordName  = 5

	// slotsCrowd as a record's slot count says that its one slot is the number of a crowd.
	slotsCrowd = 255
)

const refNone = ref(math.MaxUint32)

// record is the parsed view of one record. It is valid until the next alloc, free or tidy.
type record struct {
	buf   []byte // from the first byte of the record to its end
	name  []byte
	slots []byte
}

func (a *arena) record(r ref) record {
	buf := a.chunks[r>>chunkShift].buf[r&(chunkBytes-1):]
	n, v := binary.Uvarint(buf[recordName:])
	name := recordName + v
	slots := name + int(n)
	end := slots + 4*int(recordSlotCount(buf[recordSlots]))
	return record{buf: buf[:end], name: buf[name:slots], slots: buf[slots:end:end]}
}

func (r record) slot(i uint32) uint32       { return binary.LittleEndian.Uint32(r.slots[4*i:]) }
func (r record) setSlot(i uint32, v uint32) { binary.LittleEndian.PutUint32(r.slots[4*i:], v) }
func (r record) slotsMax() uint32           { return recordSlotCount(r.buf[recordSlots]) }
func (r record) isCrowd() bool              { return r.buf[recordSlots] == slotsCrowd }

func recordSlotCount(b byte) uint32 {
	if b == slotsCrowd {
		return 1
	}
	return uint32(b)
}

func recordBytes(name, slots int) int {
	v := 1
	for n := name; n >= 0x80; n >>= 7 {
		v++
	}
	return recordName + v + name + 4*slots
}

// fits says whether a record of n bytes can be stored: the bound on chunk numbers, one of which is kept for tidy.
func (a *arena) fits(n int) bool {
	return len(a.free) > 0 || len(a.chunks) < chunksMax-1 || (n <= recordBytesShared && a.room(n))
}

func (a *arena) room(n int) bool {
	return len(a.chunks) > 0 && len(a.chunks[a.current].buf)+n <= cap(a.chunks[a.current].buf)
}

// alloc writes a record with zero slots and returns where it is. The caller has asked fits.
func (a *arena) alloc(owner uint32, name string, slots int) ref {
	r, buf := a.place(recordBytes(len(name), slots))
	binary.LittleEndian.PutUint32(buf[recordOwner:], owner)
	buf[recordSlots] = byte(slots)
	v := binary.PutUvarint(buf[recordName:], uint64(len(name)))
	copy(buf[recordName+v:], name)
	return r
}

// place reserves n zero bytes.
func (a *arena) place(n int) (ref, []byte) {
	i := a.current
	switch {
	case n > recordBytesShared:
		i = a.newChunk(n)
	case !a.room(n):
		full := a.current
		i = a.newChunk(chunkBytes)
		a.current = i
		if len(a.chunks) > 1 {
			a.noteSparse(full)
		}
	}
	c := &a.chunks[i]
	at := len(c.buf)
	c.buf = c.buf[:at+n]
	c.live += n
	return ref(i<<chunkShift) | ref(at), c.buf[at : at+n]
}

func (a *arena) newChunk(n int) uint32 {
	a.held += int64(n)
	if last := len(a.free) - 1; last >= 0 {
		i := a.free[last]
		a.free = a.free[:last]
		a.chunks[i].buf = make([]byte, 0, n)
		return i
	}
	if len(a.chunks) == chunksMax {
		panic("watch: arena is full, and its owner did not ask fits")
	}
	a.chunks = append(a.chunks, chunk{buf: make([]byte, 0, n)})
	return uint32(len(a.chunks) - 1)
}

// drop says that the record at r has no owner any more.
func (a *arena) drop(r ref) {
	i := uint32(r >> chunkShift)
	a.chunks[i].live -= len(a.record(r).buf)
	a.noteSparse(i)
}

// noteSparse remembers a chunk whose live bytes have fallen under half, once.
func (a *arena) noteSparse(i uint32) {
	c := &a.chunks[i]
	if i == a.current || c.noted || 2*c.live >= len(c.buf) {
		return
	}
	c.noted = true
	a.sparse = append(a.sparse, i)
}

// tidy empties the chunks noted as sparse. It moves at most half a chunk for each chunk of records dropped.
func (a *arena) tidy() {
	for len(a.sparse) > 0 {
		last := len(a.sparse) - 1
		i := a.sparse[last]
		a.sparse = a.sparse[:last]
		a.empty(i)
	}
}

func (a *arena) empty(i uint32) {
	used := len(a.chunks[i].buf)
	for at := 0; at < used; {
		from := ref(i<<chunkShift) | ref(at)
		rec := a.record(from)
		at += len(rec.buf)
		owner := a.ref(binary.LittleEndian.Uint32(rec.buf[recordOwner:]))
		if owner == nil || *owner != from {
			continue
		}
		to, buf := a.place(len(rec.buf))
		copy(buf, rec.buf)
		*owner = to
	}
	a.held -= int64(cap(a.chunks[i].buf))
	a.chunks[i] = chunk{}
	a.free = append(a.free, i)
}

func (a *arena) bytes() int64 { return a.held + int64(cap(a.chunks))*int64(unsafe.Sizeof(chunk{})) }
