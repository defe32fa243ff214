package netloop

// mix watches what a loop is asked for: does much of it wait for the quorum?
type mix struct {
	requests, writes int // of this window
	writing          bool
}

const mixWindow = 64 // requests

// next begins a window if this one is full, and says whether it did. What writes with a quarter of its requests, as the recipe of a
// lock does, is taken for writing until fewer than a sixth are writes.
func (m *mix) next() bool {
	if m.requests < mixWindow {
		return false
	}
	switch {
	case m.writes*4 >= m.requests:
		m.writing = true
	case m.writes*6 < m.requests:
		m.writing = false
	}
	m.requests, m.writes = 0, 0
	return true
}
