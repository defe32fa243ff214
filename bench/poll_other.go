//go:build !linux

package bench

import (
	"errors"
	"time"
)

// Elsewhere than on Linux the load generator says that it does not run; the rest of Holt builds.

var errNotLinux = errors.New("the load generator needs Linux: it is built on epoll")

type (
	poller    struct{}
	address   struct{}
	readiness struct {
		slot, generation int32
		read, write      bool
	}
)

func newPoller(bool) (*poller, error)                       { return nil, errNotLinux }
func (*poller) close()                                      {}
func (*poller) wake()                                       {}
func (*poller) watch(int, int32, int32, bool, bool) error   { return errNotLinux }
func (*poller) wait(time.Duration, []readiness) []readiness { return nil }

func resolve(string) (address, error)   { return address{}, errNotLinux }
func dial(address) (int, error)         { return -1, errNotLinux }
func dialed(int) error                  { return errNotLinux }
func receive(int, []byte) (int, error)  { return 0, errNotLinux }
func transmit(int, []byte) (int, error) { return 0, errNotLinux }
func hangUp(int, bool)                  {}

// FileLimit is how many files this process may have.
func FileLimit() int { return 1024 }
