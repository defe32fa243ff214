package admin

import (
	"fmt"
	"os"
	"os/user"
	"runtime"
	"runtime/debug"
)

type keyValue struct{ key, value string }

// environment is what envi shows. Of the Java machine's keys there are those that something can be said to: java.version, by
// which ZooKeeper's tests and some scripts recognise an answer, says that there is none.
func environment(s *Source) []keyValue {
	host, _ := os.Hostname()
	dir, _ := os.Getwd()
	list := []keyValue{
		{"zookeeper.version", s.Version.String()},
		{"host.name", host},
		{"go.version", runtime.Version()},
		{"java.version", "none (Go " + runtime.Version() + ")"},
		{"java.io.tmpdir", os.TempDir()},
		{"os.name", osName()},
		{"os.arch", runtime.GOARCH},
		{"os.version", osVersion()},
	}
	if u, err := user.Current(); err == nil {
		list = append(list, keyValue{"user.name", u.Username}, keyValue{"user.home", u.HomeDir})
	}
	list = append(list, keyValue{"user.dir", dir})
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return append(list,
		keyValue{"os.memory.free", megabytes(mem.Sys - mem.HeapInuse)},
		keyValue{"os.memory.max", megabytes(memoryMax())},
		keyValue{"os.memory.total", megabytes(mem.Sys)})
}

func megabytes(n uint64) string { return fmt.Sprintf("%dMB", n>>20) }

// memoryMax is the limit that the runtime was given (GOMEMLIMIT), else the machine's memory.
func memoryMax() uint64 {
	if limit := debug.SetMemoryLimit(-1); limit < 1<<62 {
		return uint64(limit)
	}
	return machineMemory()
}

func osName() string {
	if runtime.GOOS == "linux" {
		return "Linux"
	}
	return runtime.GOOS
}

func osVersion() string {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown"
	}
	for len(release) > 0 && release[len(release)-1] == '\n' {
		release = release[:len(release)-1]
	}
	return string(release)
}
