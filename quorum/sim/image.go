package sim

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sort"

	"holt/tree"
	"holt/wal/checkpoint"
)

// image is a member's durable image of the tree, kept as the sorted keys and values that Diff yields. It outlives
// crashes: a Write is on the disk as a whole or not at all. It implements quorum.Image; the real one, over Pebble, has
// crash tests of its own and is too slow to be run ten thousand times.
type image struct {
	member *member
	pairs  []pair
	mark   checkpoint.Mark

	full    bool // Write fails for lack of space
	rotten  bool // a bit of it has flipped: Load says so
	dieIn   int  // Writes until the member dies: before anything changed, or after all did
	dieLate bool
	spoil   func(from *tree.Base, to *tree.Root, m *checkpoint.Mark, pairs *[]pair) (skip bool) // mutation
	writes  int
}

type pair struct{ key, value []byte }

var errRotten = errors.New("simulated image: checksum mismatch")

// Load implements quorum.Image.
func (i *image) Load() (*tree.State, checkpoint.Mark, error) {
	if i.rotten {
		return nil, checkpoint.Mark{}, errRotten
	}
	if i.pairs == nil {
		return tree.New(), checkpoint.Mark{}, nil
	}
	i.member.disk.op() // a crash while it is read
	var l tree.Loader
	for _, p := range i.pairs {
		if err := l.Add(p.key, p.value); err != nil {
			return nil, checkpoint.Mark{}, err
		}
	}
	s, err := l.Finish()
	return s, i.mark, err
}

// Write implements quorum.Image.
func (i *image) Write(from *tree.Base, to *tree.Root, m checkpoint.Mark) error {
	i.writes++
	i.member.truth.growTo(i.member, m.Index, to) // entries without commands are not published, and the log is cut next
	if i.full {
		return fmt.Errorf("simulated image: %w", &errFull{})
	}
	if i.dieIn > 0 {
		if i.dieIn--; i.dieIn == 0 && !i.dieLate {
			panic(errDied)
		}
	}
	if i.pairs == nil {
		from = nil // nothing is stored of a fresh tree
	}
	d := &patch{}
	if from != nil {
		d.old = i.pairs
	}
	if err := tree.Diff(from, to, d); err != nil {
		return err
	}
	pairs := d.finish()
	if i.spoil != nil && i.spoil(from, to, &m, &pairs) {
		return nil
	}
	i.pairs, i.mark = pairs, m
	if i.dieLate && i.dieIn == 0 {
		i.dieLate = false
		panic(errDied)
	}
	return nil
}

// Close implements quorum.Image.
func (i *image) Close() error { return nil }

// patch merges what Diff tells, in ascending order of keys, into the pairs that were stored.
type patch struct {
	old []pair
	new []pair
}

// upTo keeps what is stored before key.
func (p *patch) upTo(key []byte) {
	n := sort.Search(len(p.old), func(i int) bool { return bytes.Compare(p.old[i].key, key) >= 0 })
	p.new = append(p.new, p.old[:n]...)
	p.old = p.old[n:]
}

// Put implements tree.DiffVisitor.
func (p *patch) Put(key, value []byte) error {
	p.upTo(key)
	if len(p.old) > 0 && bytes.Equal(p.old[0].key, key) {
		p.old = p.old[1:]
	}
	p.new = append(p.new, pair{bytes.Clone(key), bytes.Clone(value)})
	return nil
}

// Delete implements tree.DiffVisitor.
func (p *patch) Delete(key []byte) error {
	p.upTo(key)
	if len(p.old) > 0 && bytes.Equal(p.old[0].key, key) {
		p.old = p.old[1:]
	}
	return nil
}

func (p *patch) finish() []pair {
	return slices.Clip(append(p.new, p.old...))
}
