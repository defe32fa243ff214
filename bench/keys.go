package bench

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Ways to choose a znode.
const (
	KeysUniform = "uniform" // every znode as often
	KeysZipfian = "zipfian" // the n-th most wanted znode 1/n^theta as often as the first
	KeysHot     = "hot"     // a small part of the znodes gets a large part of the requests
)

// Keys says which znode a request is for.
type Keys struct {
	Kind  string
	Theta float64 // zipfian: the exponent
	Part  float64 // hot: the part of the znodes that is
	Share float64 // hot: the share of the requests that they get
}

// ParseKeys reads "uniform", "zipfian", "zipfian:0.99", "hot", "hot:0.01:0.9".
func ParseKeys(s string) (Keys, error) {
	words := strings.Split(s, ":")
	k := Keys{Kind: words[0], Theta: 0.99, Part: 0.01, Share: 0.9}
	numbers := []*float64{}
	switch k.Kind {
	case KeysZipfian:
		numbers = append(numbers, &k.Theta)
	case KeysHot:
		numbers = append(numbers, &k.Part, &k.Share)
	}
	if len(words)-1 > len(numbers) {
		return k, fmt.Errorf("%q: %q is too much", s, words[len(numbers)+1])
	}
	for i, word := range words[1:] {
		v, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return k, fmt.Errorf("%q: %q is not a number", s, word)
		}
		*numbers[i] = v
	}
	return k, k.validate()
}

func (k Keys) validate() error {
	switch {
	case k.Kind == KeysUniform,
		k.Kind == KeysZipfian && k.Theta > 0 && k.Theta < 10,
		k.Kind == KeysHot && k.Part > 0 && k.Part <= 1 && k.Share >= 0 && k.Share <= 1:
		return nil
	}
	return fmt.Errorf("keys %v: uniform, zipfian[:theta] with theta from 0 to 10, or hot[:part:share] with both from 0 to 1", k)
}

func (k Keys) String() string {
	switch k.Kind {
	case KeysZipfian:
		return fmt.Sprintf("%s:%g", k.Kind, k.Theta)
	case KeysHot:
		return fmt.Sprintf("%s:%g:%g", k.Kind, k.Part, k.Share)
	}
	return k.Kind
}

// chooser chooses znodes from 0 to n-1. Other than even choices are drawn beforehand, so that a choice costs the same
// whatever its distribution.
type chooser struct {
	n     uint32
	drawn []uint32 // nil: evenly
}

const drawnCount = 1 << 18

func newChooser(k Keys, n int, random *rand.Rand) chooser {
	c := chooser{n: uint32(n)}
	switch k.Kind {
	case KeysZipfian:
		c.drawn = make([]uint32, drawnCount)
		cumulative := zipf(n, k.Theta)
		for i := range c.drawn {
			c.drawn[i] = scatter(rank(cumulative, random.Float64()), n)
		}
	case KeysHot:
		c.drawn = make([]uint32, drawnCount)
		hot := max(1, int(float64(n)*k.Part))
		for i := range c.drawn {
			among := n
			if random.Float64() < k.Share {
				among = hot
			}
			c.drawn[i] = scatter(random.IntN(among), n)
		}
	}
	return c
}

// pick chooses one. cursor is the caller's own and walks over what was drawn.
func (c *chooser) pick(random *rand.Rand, cursor *uint32) uint32 {
	if c.drawn == nil {
		return random.Uint32N(c.n)
	}
	*cursor++
	return c.drawn[*cursor&(drawnCount-1)]
}

// zipf is the cumulative distribution over ranks.
func zipf(n int, theta float64) []float64 {
	cumulative := make([]float64, n)
	sum := 0.0
	for i := range cumulative {
		sum += math.Pow(float64(i+1), -theta)
		cumulative[i] = sum
	}
	for i := range cumulative {
		cumulative[i] /= sum
	}
	return cumulative
}

// rank is the first whose cumulative share reaches p.
func rank(cumulative []float64, p float64) int {
	low, high := 0, len(cumulative)-1
	for low < high {
		if middle := (low + high) / 2; cumulative[middle] < p {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

// scatter gives each rank a place of its own among the znodes, so that wanted ones are not neighbours.
func scatter(rank, n int) uint32 {
	step := 2_654_435_761 % n
	for step < 1 || gcd(step, n) != 1 {
		step++
	}
	return uint32(uint64(rank) * uint64(step) % uint64(n))
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
