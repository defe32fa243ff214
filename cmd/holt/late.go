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

// spareProcessors begins that.
func (s *server) spareProcessors() {
	s.processors = runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(max(1, s.processors/2))
}

// catchUp ends it when this member has applied what was acknowledged before it came, or with ctx.
func (s *server) catchUp(ctx context.Context) {
	began := time.Now()
	err := s.quorum.CaughtUp(ctx)
	s.useProcessors()
	if err == nil {
		s.logger.Info("caught up with the ensemble", "took", time.Since(began).Round(time.Millisecond))
	}
}

// useProcessors undoes spareProcessors.
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
