package netloop

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"holt/perf"
)

// acceptor takes connections from a listener on its own goroutine and hands them to the event loops. It survives
// running out of file descriptors, and keeps the counts that limit connections.
type acceptor struct {
	listener *net.TCPListener
	enroll   func(*net.TCPConn, *arrival) error
	log      *slog.Logger
	metrics  *perf.Metrics
	perIP    int // negative: no limit
	all      int
	done     sync.WaitGroup
	stop     chan struct{}

	mu     sync.Mutex
	counts map[string]int
	total  int

	failures atomic.Int64 // of accept itself
}

const (
	acceptBackoffMin = 5 * time.Millisecond
	acceptBackoffMax = time.Second
	rejectLogEvery   = 10 * time.Second
)

func (a *acceptor) start() {
	a.stop = make(chan struct{})
	a.counts = map[string]int{}
	a.done.Add(1)
	go a.run(a.listener)
}

// move takes connections from another listener and none from the one before. The caller is the one that calls close.
func (a *acceptor) move(l *net.TCPListener) {
	_ = a.listener.Close() // its goroutine ends
	a.listener = l
	a.done.Add(1)
	go a.run(l)
}

// close stops accepting and waits for the goroutine.
func (a *acceptor) close() error {
	close(a.stop)
	err := a.listener.Close()
	a.done.Wait()
	return err
}

func (a *acceptor) run(l *net.TCPListener) {
	defer a.done.Done()
	var backoff time.Duration
	var logged time.Time
	for {
		c, err := l.AcceptTCP()
		if err == nil {
			backoff = 0
			a.admit(c, &logged)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		a.failures.Add(1)
		backoff = min(max(2*backoff, acceptBackoffMin), acceptBackoffMax)
		if backoff == acceptBackoffMin || time.Since(logged) > rejectLogEvery {
			logged = time.Now()
			a.log.Error("accepting connections failed; trying again (out of file descriptors? raise the limit or lower maxCnxns)", "err", err)
		}
		select {
		case <-time.After(backoff):
		case <-a.stop:
			return
		}
	}
}

// admit hands a connection over unless a limit forbids it; then it is reset at once, as ZooKeeper does.
func (a *acceptor) admit(c *net.TCPConn, logged *time.Time) {
	addr, ip := c.RemoteAddr().String(), ""
	if t, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		ip = t.IP.String()
	}
	why := a.count(ip)
	if why != "" {
		a.metrics.ConnsRejected.Inc()
		if time.Since(*logged) > rejectLogEvery {
			*logged = time.Now()
			a.log.Warn("refusing connections", "client", addr, "why", why)
		}
		_ = c.SetLinger(0)
		_ = c.Close()
		return
	}
	a.metrics.ConnsAccepted.Inc()
	arrived := &arrival{addr: addr, ip: ip, release: func() { a.release(ip) }}
	if err := a.enroll(c, arrived); err != nil {
		a.release(ip)
		a.failures.Add(1)
		if time.Since(*logged) > rejectLogEvery {
			*logged = time.Now()
			a.log.Error("handing a connection to an event loop failed", "client", addr, "err", err)
		}
	}
}

// count takes a place for a connection, or says why there is none.
func (a *acceptor) count(ip string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.total >= a.all {
		return "too many connections in all (maxCnxns, or the limit of file descriptors)"
	}
	if a.perIP >= 0 && a.counts[ip] >= a.perIP {
		return "too many connections from this address (maxClientCnxns)"
	}
	a.counts[ip]++
	a.total++
	return ""
}

func (a *acceptor) release(ip string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.total--
	if a.counts[ip]--; a.counts[ip] <= 0 {
		delete(a.counts, ip)
	}
}

// fileReserve descriptors are left for the log, the checkpoint and peers: a log that cannot open its next segment is
// worse than a refused client.
const fileReserve = 512

// connsMax is how many connections file descriptors allow. The Go runtime has raised the soft limit to the hard one.
func connsMax(configured int) (conns int, files uint64) {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		r.Cur = 1024
	}
	files = uint64(r.Cur)
	conns = int(min(files, 1<<24)) - int(min(fileReserve, files/4))
	if configured > 0 {
		conns = min(conns, configured)
	}
	return max(conns, 1), files
}
