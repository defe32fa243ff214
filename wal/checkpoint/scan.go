package checkpoint

import (
	"github.com/cockroachdb/pebble/v2"
)

const (
	pageBytes = 256 << 10
	pagesMax  = 4 // read ahead
)

// page is keys and values that follow each other in the image.
type page struct {
	bytes []byte
	ends  []int // in bytes: of a key, of its value, of the next key ...
}

// scanner reads the image on a goroutine of its own, pages ahead of who takes them: finding and unpacking tables costs
// about as much as making znodes of them, so that a start on two cores takes little more than half the time.
type scanner struct {
	it    *pebble.Iterator
	pages chan *page // in order; closed at the end
	spent chan *page // for reuse
	quit  chan struct{}
	err   error // valid once pages is closed
}

// scan calls add with each key and value of the tree in ascending order. They are valid during the call.
func (s *Store) scan(add func(key, value []byte) error) error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: treeFirst, UpperBound: treeEnd})
	if err != nil {
		return err
	}
	c := &scanner{it: it, pages: make(chan *page, pagesMax), spent: make(chan *page, pagesMax+2), quit: make(chan struct{})}
	go c.read() // ends before pages is closed, which is waited for below
	err = c.deliver(add)
	close(c.quit)
	for range c.pages {
	}
	if err == nil {
		err = c.err
	}
	return err
}

// deliver calls add with what is in the pages.
func (c *scanner) deliver(add func(key, value []byte) error) error {
	for p := range c.pages {
		at := 0
		for i := 0; i < len(p.ends); i += 2 {
			key, value := p.bytes[at:p.ends[i]], p.bytes[p.ends[i]:p.ends[i+1]]
			at = p.ends[i+1]
			if err := add(key, value); err != nil {
				return err
			}
		}
		p.bytes, p.ends = p.bytes[:0], p.ends[:0]
		c.spent <- p
	}
	return nil
}

// read fills pages until the end of the image, an error or quit.
func (c *scanner) read() {
	defer close(c.pages)
	defer func() {
		if err := c.it.Close(); c.err == nil {
			c.err = err
		}
	}()
	p := &page{}
	for ok := c.it.First(); ok; ok = c.it.Next() {
		value, err := c.it.ValueAndErr()
		if err != nil {
			c.err = err
			return
		}
		p.bytes = append(p.bytes, c.it.Key()...)
		p.ends = append(p.ends, len(p.bytes))
		p.bytes = append(p.bytes, value...)
		p.ends = append(p.ends, len(p.bytes))
		if len(p.bytes) < pageBytes {
			continue
		}
		if p = c.give(p); p == nil {
			return
		}
	}
	if c.err = c.it.Error(); c.err == nil {
		c.give(p)
	}
}

// give hands a page over and returns one to fill, nil if nobody takes pages any more.
func (c *scanner) give(p *page) *page {
	select {
	case c.pages <- p:
	case <-c.quit:
		return nil
	}
	select {
	case p = <-c.spent:
		return p
	default:
		return &page{bytes: make([]byte, 0, pageBytes+pageBytes/8)}
	}
}
