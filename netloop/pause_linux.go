//go:build linux && !poll_opt

package netloop

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Reading is paused by taking the read events out of the epoll set of gnet's event loop. gnet offers no way to do so;
// SO_RCVLOWAT does not have the effect. In gnet's default build the event data is the descriptor, which these calls
// keep. gnet asks for read events again whenever it begins or ends to wait for room to write; then one more buffer
// arrives and the loop pauses again.

// findEpoll returns the descriptor of the epoll set that polls fd, or -1.
func findEpoll(fd int) int {
	const dir = "/proc/self/fdinfo/"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return -1
	}
	for _, e := range entries {
		b, err := os.ReadFile(dir + e.Name())
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) >= 2 && f[0] == "tfd:" && f[1] == strconv.Itoa(fd) {
				if n, err := strconv.Atoi(e.Name()); err == nil {
					return n
				}
			}
		}
	}
	return -1
}

// pollFor sets what the epoll set waits for on fd, and says whether it could.
func pollFor(epoll, fd int, read, write bool) bool {
	if epoll < 0 {
		return false
	}
	e := syscall.EpollEvent{Fd: int32(fd)}
	if read {
		e.Events |= syscall.EPOLLIN | syscall.EPOLLPRI
	}
	if write {
		e.Events |= syscall.EPOLLOUT
	}
	return syscall.EpollCtl(epoll, syscall.EPOLL_CTL_MOD, fd, &e) == nil
}
