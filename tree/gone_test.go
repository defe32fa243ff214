package tree

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// Positions tell apart what came after them, through chunks that fill up, long keys and returns to an earlier position.
func TestGone(t *testing.T) {
	type version struct {
		at   gone
		keys []string // all so far
	}
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 3))
		now := version{at: newGone()}
		versions := []version{now}
		for i := range 3000 {
			path := fmt.Sprintf("/%d/%s", i, strings.Repeat("x", r.IntN(40)))
			if r.IntN(500) == 0 {
				path += strings.Repeat("y", r.IntN(3*goneChunkBytes))
			}
			now.at.add([]byte(path))
			now.keys = append(slices.Clip(now.keys), string(AppendKey(nil, []byte(path))))
			switch r.IntN(20) {
			case 0:
				versions = append(versions, now)
			case 1:
				now = versions[len(versions)-1] // what was added since is abandoned
			}
		}
		versions = append(versions, now)
		for range 200 {
			i := r.IntN(len(versions))
			j := i + r.IntN(len(versions)-i)
			var got []string
			for _, key := range versions[i].at.until(versions[j].at) {
				got = append(got, string(key))
			}
			if want := versions[j].keys[len(versions[i].keys):]; !slices.Equal(got, want) {
				t.Fatalf("seed %d: %d keys from version %d to %d, want %d", seed, len(got), i, j, len(want))
			}
		}
	}
}
