package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"
)

// report is what some seeds came to, added up.
type report struct {
	Seeds      int
	Sum        Result
	CPU        time.Duration
	Real       time.Duration
	Violations []string
}

// Every seed that twiceEvery divides is run twice, and has to do the same.
const twiceEvery = 50

// kindsExpected seeds are enough for every kind of fault to happen.
const kindsExpected = 300

// run runs one seed.
func (r *report) run(seed uint64) {
	began := time.Now()
	got, v := Run(options(seed))
	r.Seeds++
	if v != nil {
		r.Violations = append(r.Violations, describe(v, got.Trace))
	} else if seed%twiceEvery == 0 {
		if again, _ := Run(options(seed)); again.Trace != got.Trace {
			r.Violations = append(r.Violations, fmt.Sprintf("seed %d did not do the same twice: traces %016x and %016x", seed, got.Trace, again.Trace))
		}
	}
	r.sum(&got)
	r.Real += time.Since(began)
}

func (r *report) sum(one *Result) {
	s := &r.Sum
	s.Steps, s.Time, s.Entries, s.Terms = s.Steps+one.Steps, s.Time+one.Time, s.Entries+one.Entries, s.Terms+one.Terms
	s.Answers, s.Writes, s.Expired, s.Images = s.Answers+one.Answers, s.Writes+one.Writes, s.Expired+one.Expired, s.Images+one.Images
	s.ReadOnly, s.Unproven = s.ReadOnly+one.ReadOnly, s.Unproven+one.Unproven
	if s.Faults == nil {
		s.Faults = map[string]int{}
	}
	for kind, n := range one.Faults {
		s.Faults[kind] += n
	}
}

// describe is what somebody needs who has to find the bug, the most important at the end.
func describe(v *Violation, trace uint64) string {
	replay := fmt.Sprintf("make sim SEED=%d", v.Seed)
	if *mutationFlag != "" {
		replay += fmt.Sprintf(" ARGS='-sim.mutation=%q'", *mutationFlag)
	}
	return fmt.Sprintf("the last events:\n  %s\ntrace %016x\nVIOLATION %v\nto replay with all that happened: %s",
		strings.Join(v.Recent[max(0, len(v.Recent)-60):], "\n  "), trace, v, replay)
}

func (r *report) summary() string {
	s := &r.Sum
	kinds := make([]string, 0, len(s.Faults))
	all := 0
	for kind, n := range s.Faults {
		kinds = append(kinds, fmt.Sprintf("%s %d", kind, n))
		all += n
	}
	sort.Strings(kinds)
	return fmt.Sprintf("%d seeds, %d violations, in %v (%v of CPU): %v simulated, %d events, %d entries, %d terms, %d answers, "+
		"%d writes acknowledged, %d sessions expired, %d images sent, %d answers in read-only mode, %d registers unproven\n%d faults of %d kinds: %s",
		r.Seeds, len(r.Violations), r.Real.Round(time.Millisecond), r.CPU.Round(time.Millisecond), s.Time.Round(time.Second), s.Steps, s.Entries, s.Terms, s.Answers,
		s.Writes, s.Expired, s.Images, s.ReadOnly, s.Unproven, all, len(kinds), strings.Join(kinds, "; "))
}

// idleKinds are the faults that did not happen although there was time for all.
func (r *report) idleKinds() (idle []string) {
	if r.Seeds < kindsExpected {
		return nil
	}
	for i := range faults {
		if r.Sum.Faults[faults[i].name] == 0 {
			idle = append(idle, faults[i].name)
		}
	}
	return idle
}

const reportMark = "report: "

func (r *report) print() {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s%s\n", reportMark, b)
}

// chunkSeeds is how many seeds a process runs: few, so that what happened is told soon.
const chunkSeeds = 25

// share has processes of this test share the seeds: one process runs one world at a time.
func share(t *testing.T, seeds []uint64) (all report) {
	began := time.Now()
	chunks := make(chan []uint64, len(seeds)/chunkSeeds+1)
	for len(seeds) > 0 {
		n := min(chunkSeeds, len(seeds))
		chunks <- seeds[:n]
		seeds = seeds[n:]
	}
	close(chunks)
	var mu sync.Mutex
	var done sync.WaitGroup
	for range *procsFlag {
		done.Go(func() {
			for c := range chunks {
				r := child(c)
				mu.Lock()
				all.add(&r)
				for _, v := range r.Violations {
					fmt.Println(v)
				}
				if all.Seeds%1000 < chunkSeeds {
					fmt.Printf("%d seeds, %d violations, after %v\n", all.Seeds, len(all.Violations), time.Since(began).Round(time.Second))
				}
				mu.Unlock()
			}
		})
	}
	done.Wait()
	all.Real = time.Since(began)
	return all
}

func (r *report) add(o *report) {
	r.Seeds += o.Seeds
	r.sum(&o.Sum)
	r.CPU += o.CPU
	r.Violations = append(r.Violations, o.Violations...)
}

// child runs seeds in another process.
func child(seeds []uint64) report {
	c := exec.Command(os.Args[0], "-test.run=^TestSeeds$", "-test.timeout=30m", "-sim.report", "-sim.seeds="+listSeeds(seeds), "-sim.mutation="+*mutationFlag)
	c.Env = append(os.Environ(), "GOGC=400") // worlds are small: less collecting for a little memory
	out, err := c.CombinedOutput()
	var r report
	_, line, ok := bytes.Cut(out, []byte(reportMark))
	if line, _, _ = bytes.Cut(line, []byte("\n")); err != nil || !ok || json.Unmarshal(line, &r) != nil {
		r.Violations = append(r.Violations, fmt.Sprintf("a process that ran seeds %s ended: %v\n%s", listSeeds(seeds), err, out))
	}
	if c.ProcessState != nil {
		r.CPU = c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	}
	return r
}
