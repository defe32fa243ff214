package disk

import (
	"syscall"
	"time"
	"unsafe"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// heldMax is for how long a goroutine keeps its processor.
const heldMax = 2 * time.Millisecond

// Held syncs files in such a way that the goroutine which waits keeps its processor for up to heldMax.
//
// Go's monitor takes the processor from a goroutine that is in a system call for some 100 us and has another thread go on. Where
// there is one processor and much of what is asked of it waits for that very sync, the other thread does little with it: the two
// take turns on different cores, and the monitor wakes every 75 us to see to it, a twelfth of all processor time. So the sync is
// given to the kernel (io_submit, which returns at once) and waited for in a system call that Go is not told of, which ends in
// time. A signal, such as the collector sends to whom it waits for, ends it too.
//
// One goroutine uses it.
type Held struct {
	ring    uintptr // the kernel's
	control controlBlock
	pointer *controlBlock
	event   completion
	skip    int // syncs that are not held, as
	slow    int // so many in a row were too slow
}

// controlBlock is struct iocb of linux/aio_abi.h.
type controlBlock struct {
	_      uint64
	_      [2]uint32
	opcode uint16
	_      uint16
	file   uint32
	_      [5]uint64
}

// completion is struct io_event.
type completion struct {
	_      [2]uint64
	result int64 // an errno, negated
	_      int64
}

func (c *completion) err() error {
	if c.result < 0 {
		return syscall.Errno(-c.result)
	}
	return nil
}

const (
	slowMax  = 4   // slow syncs in a row, after which
	slowSkip = 100 // are not held
)

const fdSync = 3 // IOCB_CMD_FDSYNC

// NewHeld returns nil where the kernel does not offer it.
func NewHeld() *Held {
	h := new(Held)
	if _, _, e := syscall.RawSyscall(syscall.SYS_IO_SETUP, 1, uintptr(unsafe.Pointer(&h.ring)), 0); e != 0 {
		return nil
	}
	return h
}

// Close gives back what the kernel holds for it.
func (h *Held) Close() {
	if h != nil {
		_, _, _ = syscall.RawSyscall(syscall.SYS_IO_DESTROY, h.ring, 0, 0)
	}
}

// SyncData does what f.SyncData does.
func (h *Held) SyncData(f vfs.File) error {
	if h == nil || f.Fd() == vfs.InvalidFd {
		return f.SyncData()
	}
	if h.skip > 0 {
		h.skip--
		return f.SyncData()
	}
	h.control = controlBlock{opcode: fdSync, file: uint32(f.Fd())}
	h.pointer = &h.control
	if _, _, e := syscall.RawSyscall(syscall.SYS_IO_SUBMIT, h.ring, 1, uintptr(unsafe.Pointer(&h.pointer))); e != 0 {
		h.tooSlow()
		return f.SyncData()
	}
	return h.wait()
}

// wait returns what became of the sync that was submitted.
func (h *Held) wait() error {
	limit := syscall.NsecToTimespec(heldMax.Nanoseconds())
	n, _, e := syscall.RawSyscall6(syscall.SYS_IO_GETEVENTS, h.ring, 1, 1, uintptr(unsafe.Pointer(&h.event)), uintptr(unsafe.Pointer(&limit)), 0)
	if n == 0 {
		h.tooSlow()
	} else if e == 0 {
		h.slow = 0
	}
	for n == 0 || e == syscall.EINTR {
		n, _, e = syscall.Syscall6(syscall.SYS_IO_GETEVENTS, h.ring, 1, 1, uintptr(unsafe.Pointer(&h.event)), 0, 0)
	}
	if e != 0 {
		return e
	}
	return h.event.err()
}

// tooSlow leaves the next syncs alone if it is called often: on a slow disk others should have the processor meanwhile.
func (h *Held) tooSlow() {
	if h.slow++; h.slow >= slowMax {
		h.skip = slowSkip
	}
}
