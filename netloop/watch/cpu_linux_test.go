package watch

import (
	"runtime"
	"syscall"
	"testing"
)

const rusageThread = 1

// onCPU reports the processor time that one operation takes, which on a busy machine says more than the clock. The returned
// function is called around what does not belong to the operation: stop(true) before and stop(false) after it.
func onCPU(b *testing.B) (stop func(bool)) {
	runtime.LockOSThread()
	b.Cleanup(runtime.UnlockOSThread)
	now := func() int64 {
		var r syscall.Rusage
		_ = syscall.Getrusage(rusageThread, &r)
		return r.Utime.Nano() + r.Stime.Nano()
	}
	begun, taken := now(), int64(0)
	b.Cleanup(func() { b.ReportMetric(float64(taken+now()-begun)/float64(b.N), "cpu-ns/op") })
	return func(stopped bool) {
		if stopped {
			taken += now() - begun
			b.StopTimer()
			return
		}
		b.StartTimer()
		begun = now()
	}
}
