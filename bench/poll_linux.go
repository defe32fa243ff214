package bench

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poller is one epoll instance and the eventfd that interrupts it. It belongs to one loop; only wake may be called by
// others.
//
// The net package would give a goroutine per connection: a wake-up of the scheduler per reply, which is more than
// a reply costs. gnet's client would give loops, but no say over when a request's clock starts and when bytes leave.
type poller struct {
	epoll   int
	wakeup  int
	events  [256]unix.EpollEvent
	precise bool // timers to the microsecond, at the price of a thread of our own
	locked  bool
	noWait2 bool // the kernel has no epoll_pwait2
}

// readiness is what wait reports of one connection.
type readiness struct {
	slot       int32 // the loop's number of the connection
	generation int32 // which of the sockets that it has had
	read       bool
	write      bool
}

func newPoller(precise bool) (*poller, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	wakeup, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		_ = unix.Close(epoll)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	p := &poller{epoll: epoll, wakeup: wakeup, precise: precise}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: -1}
	return p, unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, wakeup, &event)
}

func (p *poller) close() {
	_ = unix.Close(p.wakeup)
	_ = unix.Close(p.epoll)
	if p.locked {
		runtime.UnlockOSThread()
	}
}

// wake makes wait return. Any goroutine may call it.
func (p *poller) wake() {
	one := [8]byte{7: 1}
	_, _ = unix.Write(p.wakeup, one[:]) // full means that a wake is under way
}

// watch says what of a socket wait shall report.
func (p *poller) watch(fd int, slot, generation int32, add, write bool) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP, Fd: slot, Pad: generation}
	if write {
		event.Events |= unix.EPOLLOUT
	}
	op := unix.EPOLL_CTL_MOD
	if add {
		op = unix.EPOLL_CTL_ADD
	}
	return unix.EpollCtl(p.epoll, op, fd, &event)
}

// wait blocks until something is ready, wake is called or the time is over; negative is for ever.
func (p *poller) wait(timeout time.Duration, ready []readiness) []readiness {
	n, err := p.sleep(timeout)
	if err != nil {
		panic(fmt.Sprintf("bench: waiting on epoll %d: %v", p.epoll, err)) // only a wrong argument makes it fail
	}
	ready = ready[:0]
	for i := range p.events[:n] {
		e := &p.events[i]
		if e.Fd < 0 {
			var count [8]byte
			_, _ = unix.Read(p.wakeup, count[:])
			continue
		}
		ready = append(ready, readiness{
			slot: e.Fd, generation: e.Pad,
			read:  e.Events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0,
			write: e.Events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0,
		})
	}
	return ready
}

func (p *poller) sleep(timeout time.Duration) (int, error) {
	if p.precise && !p.locked {
		// The kernel rounds a thread's timers by 50 us unless it is told otherwise.
		runtime.LockOSThread()
		p.locked = true
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	}
	var n int
	var err error
	if timeout > 0 && timeout < time.Second && !p.noWait2 {
		n, err = p.pwait2(timeout)
		if errors.Is(err, unix.ENOSYS) {
			p.noWait2 = true
		}
	}
	if timeout <= 0 || timeout >= time.Second || p.noWait2 {
		ms := int((timeout + time.Millisecond - 1) / time.Millisecond)
		n, err = unix.EpollWait(p.epoll, p.events[:], max(ms, -1))
	}
	if errors.Is(err, unix.EINTR) {
		return 0, nil
	}
	return n, err
}

// pwait2 is epoll_pwait2(2), which x/sys has only the number of.
func (p *poller) pwait2(timeout time.Duration) (int, error) {
	ts := unix.NsecToTimespec(int64(timeout))
	n, _, code := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.epoll), uintptr(unsafe.Pointer(&p.events[0])),
		uintptr(len(p.events)), uintptr(unsafe.Pointer(&ts)), 0, 0)
	if code != 0 {
		return 0, code
	}
	return int(n), nil
}

// address is a server, resolved.
type address struct{ *net.TCPAddr }

func resolve(server string) (address, error) {
	a, err := net.ResolveTCPAddr("tcp", server)
	if err == nil && len(a.IP) == 0 {
		a.IP = net.IPv4(127, 0, 0, 1)
	}
	return address{a}, err
}

// socket is the address as the kernel wants it. Each call makes one of its own: connecting writes into it.
func (a address) socket() (family int, to unix.Sockaddr) {
	if v4 := a.IP.To4(); v4 != nil {
		return unix.AF_INET, &unix.SockaddrInet4{Port: a.Port, Addr: [4]byte(v4)}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Port: a.Port, Addr: [16]byte(a.IP.To16())}
}

// dial begins to connect; the socket becomes writable when that has succeeded or failed (dialed tells).
func dial(a address) (fd int, err error) {
	family, to := a.socket()
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if err := unix.Connect(fd, to); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("connect: %w", err)
	}
	return fd, nil
}

func dialed(fd int) error {
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = unix.Errno(code)
	}
	return err
}

// receive reads what there is. n is 0 without an error when there is nothing now.
func receive(fd int, b []byte) (n int, err error) {
	n, err = unix.Read(fd, b)
	switch {
	case err == nil && n == 0:
		return 0, errServerClosed
	case err == nil:
		return n, nil
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return 0, nil
	}
	return 0, err
}

// transmit writes what the socket takes.
func transmit(fd int, b []byte) (n int, err error) {
	n, err = unix.Write(fd, b)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return 0, nil
	}
	return max(n, 0), err
}

// hangUp closes the socket. abrupt resets the connection, so that its port is free for the next one at once.
func hangUp(fd int, abrupt bool) {
	if abrupt {
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	_ = unix.Close(fd)
}

// FileLimit raises the number of files, and so of sockets, that this process may have to a million, or as far as it is allowed
// to, and returns it.
func FileLimit() int {
	const wanted = 1 << 20
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur >= wanted {
		return wanted
	}
	for _, more := range []uint64{max(limit.Max, wanted), limit.Max} {
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: min(more, wanted), Max: more}) == nil {
			return int(min(more, wanted))
		}
	}
	return int(limit.Cur)
}
