//go:build !linux

package watch

import "testing"

// onCPU reports nothing here; see cpu_linux_test.go.
func onCPU(b *testing.B) (stop func(bool)) {
	return func(stopped bool) {
		if stopped {
			b.StopTimer()
		} else {
			b.StartTimer()
		}
	}
}
