package bench

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of the times in /proc/<pid>/stat: USER_HZ, 100 on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// CPUTime returns the processor time, user and system, that a process has used so far (Linux, proc(5)).
func CPUTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The command's name is in brackets and may contain anything; what follows the last one is regular.
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	const utime, stime = 11, 12
	if len(fields) <= stime {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	user, err := strconv.ParseInt(fields[utime], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[stime], 10, 64)
	if err != nil {
		return 0, err
	}
	return time.Duration(user+system) * clockTick, nil
}

// RSS returns the resident memory of a process in bytes (Linux, proc(5)).
func RSS(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0, fmt.Errorf("/proc/%d/statm has %d fields", pid, len(fields))
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// usage is what processes have used.
type usage struct {
	CPU time.Duration
	RSS int64
}

func (u usage) minus(v usage) usage { return usage{CPU: u.CPU - v.CPU, RSS: u.RSS} }

// ownUsage is what this process has used.
func ownUsage() usage {
	u, _ := usageOf([]int{os.Getpid()}) // no figure where there is no /proc
	return u
}

// usageOf sums up over processes. What a process that has gone used is not known: it counts as nothing.
func usageOf(pids []int) (sum usage, err error) {
	for _, pid := range pids {
		t, e := CPUTime(pid)
		m, e2 := RSS(pid)
		if e != nil || e2 != nil {
			err = fmt.Errorf("process %d cannot be looked at: %w", pid, e)
			continue
		}
		sum.CPU += t
		sum.RSS += m
	}
	return sum, err
}

// workerTimes is the processor time that each of the kernel's worker threads has used (Linux, proc(5)). They do what processes
// leave to them: syncs of files that were submitted and not waited for, blocks on their way to a disk.
func workerTimes() map[int]time.Duration {
	times := map[int]time.Duration{}
	entries, _ := os.ReadDir("/proc") // no figure where there is none
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); !strings.HasPrefix(string(name), "kworker/") {
			continue
		}
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
		if fields := strings.Fields(string(b)); len(fields) > 0 {
			ns, _ := strconv.ParseInt(fields[0], 10, 64)
			times[pid] = time.Duration(ns)
		}
	}
	return times
}

// sampler follows what the servers cost.
type sampler struct {
	pids     []int
	start    usage
	previous usage
	used     usage // between begin and end
	rssMax   int64

	workersAt map[int]time.Duration // at begin
	workers   time.Duration         // what the kernel's worker threads used between begin and end, for whomever
}

func newSampler(pids []int) *sampler { return &sampler{pids: pids} }

func (s *sampler) begin() {
	if len(s.pids) > 0 {
		s.workersAt = workerTimes()
	}
	s.start, _ = usageOf(s.pids)
	s.previous = s.start
}

func (s *sampler) end() {
	now, _ := usageOf(s.pids)
	s.used = now.minus(s.start)
	s.rssMax = max(s.rssMax, now.RSS)
	if len(s.pids) == 0 {
		return
	}
	for pid, t := range workerTimes() {
		s.workers += max(0, t-s.workersAt[pid])
	}
}

// sample returns the processor seconds since the last one, and the memory now.
func (s *sampler) sample() (cpuSeconds float64, rss int64) {
	if len(s.pids) == 0 {
		return 0, 0
	}
	now, _ := usageOf(s.pids)
	cpuSeconds = (now.CPU - s.previous.CPU).Seconds()
	s.previous = now
	s.rssMax = max(s.rssMax, now.RSS)
	return cpuSeconds, now.RSS
}

// Machine says what a run of this process is measured on.
func Machine() string {
	model := runtime.GOARCH
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%d cores, %s, %s", runtime.NumCPU(), model, runtime.GOOS)
}
