package tree

import "encoding/binary"

// gone is the keys of the znodes that were deleted, in the order in which they went: what a Diff cannot see in the newer of two
// trees. It is a position in a list of chunks that leads one way. Every Root has one, and the State the last; whoever holds an
// older position reaches what came after it, and what lies before the oldest that is held is garbage.
//
//	chunk                      chunk                      chunk
//	┌─────────────────┬──┐     ┌─────────────────┬──┐     ┌─────────┬──────────┐
//	│ key key key ... │ ─┼────▶│ key key ...     │ ─┼────▶│ key key │          │
//	└─────────────────┴──┘     └────────▲────────┴──┘     └─────────▲──────────┘
//	                                 a Base                    State, last Root
//
// A key follows its length (uvarint). Only the owner of the State appends, behind all that a Root knows of; a restored State
// writes over what the abandoned one appended.
type gone struct {
	chunk *goneChunk
	n     int // bytes of it
}

type goneChunk struct {
	next *goneChunk
	used int // bytes, once there is a next one
	b    []byte
}

const goneChunkBytes = 16 << 10

func newGone() gone { return gone{chunk: &goneChunk{}} }

// add appends the key of the znode at path.
func (g *gone) add(path []byte) {
	length := len(path) + 1
	if need := binary.MaxVarintLen32 + length; len(g.chunk.b)-g.n < need {
		next := &goneChunk{b: make([]byte, max(goneChunkBytes, need))}
		g.chunk.used, g.chunk.next = g.n, next
		g.chunk, g.n = next, 0
	}
	b := binary.AppendUvarint(g.chunk.b[:g.n], uint64(length))
	g.n = len(AppendKey(b, path))
}

// until lists the keys from g on to a later position. They alias the chunks.
func (g gone) until(end gone) (keys [][]byte) {
	for at := g; at != end; {
		last := at.chunk.used
		if at.chunk == end.chunk {
			last = end.n
		}
		for at.n < last {
			length, k := binary.Uvarint(at.chunk.b[at.n:last])
			at.n += k
			keys = append(keys, at.chunk.b[at.n:at.n+int(length)])
			at.n += int(length)
		}
		if at.chunk == end.chunk {
			break
		}
		at = gone{chunk: at.chunk.next}
	}
	return keys
}
