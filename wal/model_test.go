package wal

import (
	"bytes"
	"fmt"
	"math/rand/v2"
)

// model is the slow twin of a Log: a slice.
type model struct {
	cut, cutTerm uint64
	entries      []Entry // cut+1, cut+2, ...
	hard         HardState
}

func (m model) last() uint64 { return m.cut + uint64(len(m.entries)) }

func (m model) term(i uint64) uint64 {
	if i == m.cut {
		return m.cutTerm
	}
	return m.entries[i-m.cut-1].Term
}

// with returns the model after r; m stays what it is.
func (m model) with(r request) model {
	switch r.kind {
	case kindCut:
		if r.index > m.cut {
			m.cutTerm = m.term(r.index)
			m.entries = m.entries[r.index-m.cut:]
			m.cut = r.index
		}
		return m
	case kindReset:
		m.cut, m.cutTerm, m.entries = r.index, r.term, nil
		return m
	}
	if len(r.Entries) > 0 {
		keep := r.Entries[0].Index - m.cut - 1
		m.entries = append(m.entries[:keep:keep], r.Entries...)
	}
	if r.HardState != nil {
		m.hard = *r.HardState
	}
	return m
}

// differs says how the log differs from the model, or nothing.
func (m model) differs(l *Log) error {
	if first, last := l.FirstIndex(), l.LastIndex(); first != m.cut+1 || last != m.last() {
		return fmt.Errorf("log holds %d..%d, want %d..%d", first, last, m.cut+1, m.last())
	}
	if got := l.HardState(); got != m.hard {
		return fmt.Errorf("hard state %v, want %v", got, m.hard)
	}
	for i := m.cut; i <= m.last(); i++ {
		if term, err := l.Term(i); err != nil || term != m.term(i) {
			return fmt.Errorf("Term(%d) = %d, %v, want %d", i, term, err, m.term(i))
		}
	}
	entries, err := l.Entries(m.cut+1, m.last()+1, 1<<40)
	if err != nil {
		return err
	}
	for i, e := range entries {
		want := m.entries[i]
		if e.Index != want.Index || e.Term != want.Term || e.Type != want.Type || !bytes.Equal(e.Data, want.Data) {
			return fmt.Errorf("entry %d of term %d (%d bytes), want %d of term %d (%d bytes)",
				e.Index, e.Term, len(e.Data), want.Index, want.Term, len(want.Data))
		}
	}
	return nil
}

// script makes random requests that are valid after the ones before.
type script struct {
	rng  *rand.Rand
	term uint64
}

func (s *script) next(m model) request {
	switch p := s.rng.IntN(100); {
	case p < 8 && len(m.entries) > 0:
		return request{kind: kindCut, index: m.cut + 1 + s.rng.Uint64N(uint64(len(m.entries)))}
	case p < 10:
		s.term++
		return request{kind: kindReset, index: max(m.cut, m.last()-min(m.last(), 3)) + s.rng.Uint64N(10), term: s.term}
	case p < 20 && len(m.entries) > 0:
		s.term++
		return s.entries(m.last()-s.rng.Uint64N(min(uint64(len(m.entries)), 20)), m)
	case p < 30:
		return request{Append: Append{HardState: s.hard(m.cut)}}
	}
	return s.entries(m.last()+1, m)
}

func (s *script) entries(first uint64, m model) request {
	var r request
	for i := range 1 + s.rng.Uint64N(4) {
		data := make([]byte, s.size())
		for k := range data {
			data[k] = byte(s.rng.Uint32())
		}
		r.Entries = append(r.Entries, Entry{Index: first + i, Term: max(s.term, 1), Type: uint8(s.rng.IntN(3)), Data: data})
	}
	if s.rng.IntN(3) == 0 {
		r.HardState = s.hard(m.cut)
	}
	return r
}

func (s *script) hard(commit uint64) *HardState {
	return &HardState{Term: s.term, Vote: s.rng.Uint64N(5), Commit: commit}
}

func (s *script) size() int {
	switch p := s.rng.IntN(100); {
	case p < 70:
		return s.rng.IntN(300)
	case p < 97:
		return s.rng.IntN(3000)
	}
	return s.rng.IntN(2 * segmentBytesMin)
}
