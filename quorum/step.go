package quorum

import (
	"maps"
	"slices"
)

// Step does, in stepped mode, one round of what the goroutines do otherwise, as far as something is due. It reports
// whether anything was. The log is stepped by whoever made it.
func (q *Quorum) Step() bool {
	worked := false
	select {
	case <-q.wake:
		worked = true
		if err := q.turn(); err != nil {
			q.fail(err)
		}
	default:
	}
	worked = q.apply.step() || worked
	worked = q.image.step() || worked
	worked = q.receiver.step() || worked
	for _, to := range slices.Sorted(maps.Keys(q.senders)) {
		s := q.senders[to]
		progress, done := s.step()
		if done {
			s.close()
		}
		worked = progress || worked
	}
	return worked
}

// Tick moves raft's clock by one tick in stepped mode.
func (q *Quorum) Tick() {
	q.tick()
	notify(q.wake)
}

// Crash drops the member in stepped mode as the end of its process does: nothing is written and nobody is told.
func (q *Quorum) Crash() {
	for _, s := range q.senders {
		s.close()
	}
}
