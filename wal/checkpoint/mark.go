package checkpoint

import (
	"encoding/binary"
	"fmt"
)

// Mark says which part of the log an image contains.
type Mark struct {
	Index, Term uint64 // of the last entry that was applied to the tree in the image; zero for a fresh one
	ConfState   []byte // the members as of that entry, as raft encodes them; nil for a fresh image
}

func appendMark(dst []byte, m Mark) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, m.Index)
	dst = binary.LittleEndian.AppendUint64(dst, m.Term)
	return append(dst, m.ConfState...)
}

func parseMark(b []byte) (m Mark, err error) {
	if len(b) < markBytesMin {
		return m, fmt.Errorf("mark of %d bytes", len(b))
	}
	m.Index, m.Term = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	if len(b) > markBytesMin {
		m.ConfState = append([]byte(nil), b[markBytesMin:]...)
	}
	return m, nil
}
