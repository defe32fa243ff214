package bench

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestWorkerTimes(t *testing.T) {
	if name, _ := os.ReadFile("/proc/2/comm"); strings.TrimSpace(string(name)) != "kthreadd" {
		if n := len(workerTimes()); n != 0 {
			t.Errorf("%d worker threads where the kernel's threads cannot be seen", n)
		}
		return
	}
	times, sum := workerTimes(), time.Duration(0)
	for pid, d := range times {
		if d < 0 || pid <= 2 {
			t.Errorf("thread %d has used %v", pid, d)
		}
		sum += d
	}
	if sum == 0 {
		t.Errorf("the kernel's %d worker threads have never worked", len(times))
	}
	s := newSampler([]int{os.Getpid()})
	s.begin()
	s.workersAt = nil // as if all of it had been meanwhile
	s.end()
	if s.workers < sum/2 { // some may have ended
		t.Errorf("counted %v of %v", s.workers, sum)
	}
}
