//go:build !linux

package peers

import (
	"net"
	"time"
)

// setUserTimeout is Linux's; elsewhere keepalive and raft's own timeouts have to do.
func setUserTimeout(*net.TCPConn, time.Duration) error { return nil }
