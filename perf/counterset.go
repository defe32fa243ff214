package perf

import (
	"maps"
	"slices"
	"strings"
	"sync"
)

// setKeysMax bounds the keys of a CounterSet: clients choose them.
const setKeysMax = 1000

// CounterSet counts by a key that clients choose, like the first name of a path. Keys beyond the first setKeysMax are not told
// apart and show in no set; whoever counts keeps a Counter of all besides. Any goroutine may use it.
type CounterSet struct {
	mu     sync.Mutex
	counts map[string]uint64
}

// Inc adds one to key, of which a copy is kept.
func (s *CounterSet) Inc(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.counts[key]; !ok {
		if len(s.counts) >= setKeysMax {
			return
		}
		if s.counts == nil {
			s.counts = map[string]uint64{}
		}
		key = strings.Clone(key)
	}
	s.counts[key]++
}

// visit visits the counts in the order of their keys.
func (s *CounterSet) visit(f func(key string, n uint64)) {
	s.mu.Lock()
	counts := maps.Clone(s.counts)
	s.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		f(key, counts[key])
	}
}
