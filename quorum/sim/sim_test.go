package sim

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	seedsFlag    = flag.String("sim.seeds", "", "seeds to run: 17, or 1-500, or 1-500,900 (default: a few for go test)")
	logFlag      = flag.Bool("sim.log", false, "print everything that happens")
	messagesFlag = flag.Bool("sim.messages", false, "with -sim.log: the messages between members too")
	mutationFlag = flag.String("sim.mutation", "", "put this bug in")
	huntFlag     = flag.String("sim.hunt", "", "seeds to look for mutations with")
	eachFlag     = flag.Bool("sim.each", false, "print a line for each seed")
)

// TestSeeds runs whole clusters.
func TestSeeds(t *testing.T) {
	which := *seedsFlag
	if which == "" {
		which = "1-40"
	}
	began := time.Now()
	var sum Result
	n := 0
	for _, seed := range parseSeeds(t, which) {
		r, v := Run(options(seed))
		if *eachFlag {
			fmt.Printf("seed %d trace %016x steps %d time %v entries %d terms %d answers %d writes %d expired %d images %d\n",
				seed, r.Trace, r.Steps, r.Time, r.Entries, r.Terms, r.Answers, r.Writes, r.Expired, r.Images)
		}
		if v != nil {
			fmt.Printf("VIOLATION (mutation %q) %v\n", *mutationFlag, v)
			t.Errorf("the last events:\n  %s\ntrace %016x\nVIOLATION %v", strings.Join(v.Recent, "\n  "), r.Trace, v)
			if t.Failed() && which == "1-40" {
				return
			}
		}
		n++
		sum.Steps, sum.Time, sum.Entries = sum.Steps+r.Steps, sum.Time+r.Time, sum.Entries+r.Entries
		sum.Terms, sum.Answers, sum.Writes, sum.Expired, sum.Images = sum.Terms+r.Terms, sum.Answers+r.Answers, sum.Writes+r.Writes, sum.Expired+r.Expired, sum.Images+r.Images
	}
	t.Logf("%d seeds in %v: %v simulated, %d events, %d entries, %d terms, %d answers, %d writes, %d sessions expired, %d images",
		n, time.Since(began).Round(time.Millisecond), sum.Time, sum.Steps, sum.Entries, sum.Terms, sum.Answers, sum.Writes, sum.Expired, sum.Images)
}

func options(seed uint64) Options {
	o := Options{Seed: seed}
	o.Mutation = *mutationFlag
	if *logFlag {
		o.Messages = *messagesFlag
		o.Log = func(line string) { fmt.Fprintln(os.Stderr, line) }
	}
	return o
}

func parseSeeds(t *testing.T, list string) (seeds []uint64) {
	for _, part := range strings.Split(list, ",") {
		from, to, ranged := strings.Cut(part, "-")
		a, err := strconv.ParseUint(from, 10, 64)
		b := a
		if err == nil && ranged {
			b, err = strconv.ParseUint(to, 10, 64)
		}
		if err != nil {
			t.Fatalf("-sim.seeds=%s: %v", list, err)
		}
		for ; a <= b; a++ {
			seeds = append(seeds, a)
		}
	}
	return seeds
}

// TestHunt looks for the first seed that finds each mutation.
func TestHunt(t *testing.T) {
	if *huntFlag == "" {
		t.Skip("-sim.hunt=1-500 looks for seeds that find the mutations")
	}
	for _, m := range Mutations {
		if *mutationFlag != "" && *mutationFlag != m.Name {
			continue
		}
		began, found := time.Now(), false
		for _, seed := range parseSeeds(t, *huntFlag) {
			o := options(seed)
			o.Mutation = m.Name
			if _, v := Run(o); v != nil {
				t.Logf("%-50q seed %d after %v: %.150v", m.Name, seed, time.Since(began).Round(time.Millisecond), v)
				found = true
				break
			}
		}
		if !found {
			t.Errorf("%q: not found in %v", m.Name, time.Since(began).Round(time.Millisecond))
		}
	}
}
