package main

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/go-zookeeper/zk"
)

// absent is the value of a path that does not exist.
const absent = "\x00absent"

// model is what the clients know of the server's state. A path has the values that it may have: one when the last
// write was acknowledged, two or more while the outcome of a write is unknown.
type model struct {
	mu     sync.Mutex
	may    map[string][]string
	groups []group         // writes of one multi whose outcome is unknown: all or none
	tags   map[string]bool // values of sequential creates of unknown outcome, whose paths nobody was told
}

// group is an unfinished multi: value by path if it happened.
type group map[string]string

func newModel() *model { return &model{may: make(map[string][]string), tags: make(map[string]bool)} }

// maybeSomewhere records that a sequential create with this value may have happened.
func (m *model) maybeSomewhere(tag string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tags[tag] = true
}

// any picks a path below prefix that surely exists.
func (m *model) any(prefix string, random *rand.Rand) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var sure []string
	for path, values := range m.may {
		if strings.HasPrefix(path, prefix) && len(values) == 1 && values[0] != absent {
			sure = append(sure, path)
		}
	}
	if len(sure) == 0 {
		return "", false
	}
	slices.Sort(sure) // the order of a map must not reach the choice
	return sure[random.IntN(len(sure))], true
}

// sure records that path has value.
func (m *model) sure(path, value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.may[path] = []string{value}
}

// maybe records that path may have got value.
func (m *model) maybe(path, value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.add(path, value)
}

func (m *model) add(path, value string) {
	if len(m.may[path]) == 0 {
		m.may[path] = []string{absent}
	}
	m.may[path] = append(m.may[path], value)
}

// maybeAll records that all of g may have happened, or none of it.
func (m *model) maybeAll(g group) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for path, value := range g {
		m.add(path, value)
	}
	m.groups = append(m.groups, g)
}

// verify compares every path with the server and settles what was unknown. It returns how many facts it checked.
func (m *model) verify(conn *zk.Conn) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	seen := make(map[string]string, len(m.may))
	paths := slices.Sorted(maps.Keys(m.may))
	for _, path := range paths {
		value, err := read(conn, path)
		if err != nil {
			return 0, err
		}
		if !slices.Contains(m.may[path], value) {
			return 0, fmt.Errorf("%s is %q, must be one of %q", path, value, m.may[path])
		}
		seen[path] = value
	}
	for _, g := range m.groups {
		if err := whole(g, seen); err != nil {
			return 0, err
		}
	}
	for path, value := range seen {
		if value == absent {
			delete(m.may, path)
		} else {
			m.may[path] = []string{value}
		}
	}
	m.groups = nil
	return len(paths), nil
}

// whole checks that a multi happened entirely or not at all.
func whole(g group, seen map[string]string) error {
	done := 0
	for path, value := range g {
		if seen[path] == value {
			done++
		}
	}
	if done != 0 && done != len(g) {
		return fmt.Errorf("half a transaction: %d of %d writes of %v are there", done, len(g), g)
	}
	return nil
}

// unexpected fails when dir has a child that the model does not know, and adopts the sequential znodes whose creation
// was not acknowledged.
func (m *model) unexpected(conn *zk.Conn, dir string) error {
	names, _, err := conn.Children(dir)
	if err != nil {
		return fmt.Errorf("listing %s: %w", dir, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range names {
		path := dir + "/" + name
		if _, known := m.may[path]; known {
			continue
		}
		value, err := read(conn, path)
		if err != nil {
			return err
		}
		if !m.tags[value] {
			return fmt.Errorf("%s exists with %q, and nobody asked for it", path, value)
		}
		delete(m.tags, value)
		m.may[path] = []string{value}
	}
	return nil
}

func read(conn *zk.Conn, path string) (string, error) {
	data, _, err := conn.Get(path)
	switch {
	case err == nil:
		return string(data), nil
	case errors.Is(err, zk.ErrNoNode):
		return absent, nil
	default:
		return "", fmt.Errorf("reading %s: %w", path, err)
	}
}
