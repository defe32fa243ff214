package perf

import (
	"os"
	"syscall"
)

// openFiles counts this process's descriptors.
func openFiles() (float64, bool) {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0, false
	}
	return float64(len(names) - 1), true // without the one that reads the directory
}

func maxFiles() (float64, bool) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, false
	}
	return float64(limit.Cur), true
}
