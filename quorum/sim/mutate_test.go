package sim

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// mutationsFile has a line for each mutation: the seed that finds it, the check that does, its name. When the simulator changes,
// seeds mean something else: `make sim-hunt` looks for new ones.
const mutationsFile = "testdata/mutations"

type foundBy struct {
	seed  uint64
	check string
}

func readMutations(t *testing.T) map[string]foundBy {
	t.Helper()
	b, err := os.ReadFile(mutationsFile)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]foundBy{}
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSpace(line), "\t", 3)
		seed, err := strconv.ParseUint(f[0], 10, 64)
		if err != nil || len(f) != 3 {
			t.Fatalf("%s: %q: want seed, check and name with tabs between", mutationsFile, line)
		}
		found[f[2]] = foundBy{seed, f[1]}
	}
	return found
}

// seedsAgain are tried when the seed that is written down no longer finds its mutation: a change of the product or of the
// simulator has made another run of it, which says nothing against either.
const seedsAgain = 40

// Every bug that other systems had is found when it is put in.
func TestMutationsAreFound(t *testing.T) {
	if raceDetector {
		t.Skip("one goroutine, nothing to race with: make sim runs this")
	}
	found := readMutations(t)
	for _, m := range Mutations {
		by, ok := found[m.Name]
		if !ok {
			t.Errorf("no seed is known that finds %q; make sim-hunt", m.Name)
			continue
		}
		_, v := Run(Options{Seed: by.seed, Mutation: m.Name})
		for seed := uint64(1); v == nil && seed <= seedsAgain; seed++ {
			_, v = Run(Options{Seed: seed, Mutation: m.Name})
		}
		switch {
		case v == nil:
			t.Errorf("neither seed %d nor 1 to %d find %q any more; make sim-hunt", by.seed, seedsAgain, m.Name)
		case v.Seed != by.seed:
			t.Logf("%q is found by seed %d (%s), not by %d any more; make sim-hunt", m.Name, v.Seed, v.Check, by.seed)
		}
	}
}

// TestHunt looks for a seed that finds each mutation, and is fine without it.
func TestHunt(t *testing.T) {
	if *huntFlag == "" {
		t.Skip("-sim.hunt=1-500 looks for seeds that find the mutations")
	}
	lines := ""
	for _, m := range Mutations {
		if *mutationFlag != "" && *mutationFlag != m.Name {
			continue
		}
		began, found := time.Now(), false
		for _, seed := range parseSeeds(t, *huntFlag) {
			_, v := Run(Options{Seed: seed, Mutation: m.Name})
			if v == nil {
				continue
			}
			if _, without := Run(Options{Seed: seed}); without != nil {
				t.Errorf("seed %d fails without any mutation: %v", seed, without)
				continue
			}
			fmt.Printf("%-50q seed %d after %v: %.200v\n", m.Name, seed, time.Since(began).Round(time.Millisecond), v)
			lines += fmt.Sprintf("%d\t%s\t%s\n", seed, v.Check, m.Name)
			found = true
			break
		}
		if !found {
			t.Errorf("%q: not found in %v", m.Name, time.Since(began).Round(time.Millisecond))
		}
	}
	if *rewriteFlag && *mutationFlag == "" {
		if err := os.WriteFile(mutationsFile, []byte(lines), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
