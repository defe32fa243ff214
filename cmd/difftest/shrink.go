package main

import (
	"fmt"
	"os"
	"time"
)

// shrink looks for a small part of a failing run that still fails. Each try runs on freshly started servers. It first takes
// away whole stretches of steps, then single requests, and stops when the time is over.
func shrink(steps []step, limit time.Duration, try func([]step) *mismatch) ([]step, *mismatch) {
	deadline := time.Now().Add(limit)
	var found *mismatch
	fails := func(part []step) bool {
		if m := try(part); m != nil {
			found = m
			return true
		}
		return false
	}
	if !fails(steps) {
		return nil, nil
	}
	for chunk := len(steps) / 2; chunk > 0 && time.Now().Before(deadline); {
		before := len(steps)
		for at := 0; at < len(steps) && time.Now().Before(deadline); {
			end := min(at+chunk, len(steps))
			part := append(append([]step{}, steps[:at]...), steps[end:]...)
			if len(part) > 0 && fails(part) {
				steps = part
				continue
			}
			at = end
		}
		fmt.Fprintf(os.Stderr, "  made smaller: %d steps\n", len(steps))
		if chunk == 1 && len(steps) == before {
			break
		}
		chunk = max(min(chunk/2, len(steps)/2), 1)
		if len(steps) == 1 {
			break
		}
	}
	for i := range steps {
		steps = shrinkBurst(steps, i, deadline, fails)
	}
	fails(steps)
	return steps, found
}

func shrinkBurst(steps []step, i int, deadline time.Time, fails func([]step) bool) []step {
	for chunk := len(steps[i].requests) / 2; chunk > 0; chunk /= 2 {
		for at := 0; at < len(steps[i].requests) && time.Now().Before(deadline); {
			end := min(at+chunk, len(steps[i].requests))
			q := steps[i].requests
			part := append([]step{}, steps...)
			part[i].requests = append(append([]request{}, q[:at]...), q[end:]...)
			if len(part[i].requests) > 0 && fails(part) {
				steps = part
				continue
			}
			at = end
		}
	}
	return steps
}
