//go:build !linux

package perf

func openFiles() (float64, bool) { return 0, false }
func maxFiles() (float64, bool)  { return 0, false }
