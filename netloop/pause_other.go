//go:build !linux || poll_opt

package netloop

// findEpoll finds nothing: reading cannot be paused here.
func findEpoll(int) int { return -1 }

func pollFor(int, int, bool, bool) bool { return false }
