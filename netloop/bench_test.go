package netloop

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"

	"holt/netloop/wire"
)

// cpuNs is the processor time of this process, which on a busy machine says more than the clock.
func cpuNs() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return syscall.TimevalToNsec(u.Utime) + syscall.TimevalToNsec(u.Stime)
}

// BenchmarkRead reads znodes of 100 B at random out of dirs directories of a thousand, in bursts, without sockets.
func BenchmarkRead(b *testing.B) {
	for _, op := range []struct {
		name string
		op   wire.Op
	}{{"getData", wire.OpGetData}, {"exists", wire.OpExists}} {
		for _, dirs := range []int{1, 10, 100} {
			for _, pipe := range []int{1, 32} {
				b.Run(fmt.Sprintf("%s/dirs=%d/pipe=%d", op.name, dirs, pipe), func(b *testing.B) { benchmarkRead(b, op.op, dirs, pipe) })
			}
		}
	}
}

func benchmarkRead(b *testing.B, op wire.Op, dirs, pipe int) {
	const perDir, bursts = 1000, 512
	l, c := quietLoop(b, &quiet{})
	create := func(path string, data []byte) {
		l.receive(c, frames(1, wire.OpCreate, createBody(path, string(data), 0)))
	}
	path := func(n int) string { return fmt.Sprintf("/measure/d%05d/instance-%010d", n/perDir, n) }
	create("/measure", nil)
	for n := range dirs * perDir {
		if n%perDir == 0 {
			create(fmt.Sprintf("/measure/d%05d", n/perDir), nil)
		}
		create(path(n), make([]byte, 100))
	}
	l.turn()
	random := rand.New(rand.NewPCG(1, 2))
	requests := make([][]byte, bursts)
	for i := range requests {
		for range pipe {
			requests[i] = append(requests[i], frames(1, op, watchBody(path(random.IntN(dirs*perDir)), false))...)
		}
	}
	runtime.GC()
	b.ReportAllocs()
	b.ResetTimer()
	begin := cpuNs()
	for n := range b.N {
		l.receive(c, requests[n%bursts])
	}
	b.ReportMetric(float64(cpuNs()-begin)/float64(b.N*pipe), "cpu-ns/request")
}
