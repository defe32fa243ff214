package ensemble

import (
	"fmt"
	"net"
)

// FreePorts finds n ports in a row of this machine's loopback that nobody uses.
func FreePorts(n int) (first int, err error) {
	const tries = 20
	for range tries {
		if first, err = freeRow(n); err == nil {
			return first, nil
		}
	}
	return 0, fmt.Errorf("looking for %d free ports: %w", n, err)
}

func freeRow(n int) (first int, err error) {
	port := 0 // any
	for range n {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return 0, err
		}
		defer l.Close()
		if first == 0 {
			first = l.Addr().(*net.TCPAddr).Port
			port = first
		}
		port++
	}
	return first, nil
}
