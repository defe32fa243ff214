package main

import (
	"context"
	"os"
	"runtime"
	"time"
)

// Nobody waits for a member that is behind, but clients of the others wait for the processors that it takes where they share a
// machine: its collector, while it works through a large tree, takes all that it may. So a member that starts leaves half of its
// processors alone until it has caught up.

// spareProcessors leaves half of the processors alone until useProcessors.
func (s *server) spareProcessors() {
	s.processors = runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(max(1, s.processors/2))
}

// catchUp uses all again when this member has applied what was acknowledged before it came, or with ctx.
func (s *server) catchUp(ctx context.Context) {
	began := time.Now()
	err := s.quorum.CaughtUp(ctx)
	s.useProcessors()
	if err == nil {
		s.logger.Info("caught up with the ensemble", "took", time.Since(began).Round(time.Millisecond))
	}
}

// useProcessors takes all processors that this process may.
func (s *server) useProcessors() {
	switch {
	case s.processors == 0:
	case os.Getenv("GOMAXPROCS") == "":
		runtime.SetDefaultGOMAXPROCS() // and follows the limits of its container again
	default:
		runtime.GOMAXPROCS(s.processors)
	}
	s.processors = 0
}
