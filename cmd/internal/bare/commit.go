package bare

import (
	"context"
	"fmt"
	"os"
	"sync"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"

	"holt/netloop/wire"
)

// fileBytes is what the file has from the start, and is written over and over: growing it would cost a second write per sync.
const fileBytes = 64 << 20

// committer writes what waits and syncs once for all of it.
type committer struct {
	server *server
	file   *os.File
	at     int64

	mu    sync.Mutex
	some  *sync.Cond
	batch *batch
}

// batch is requests that wait for one sync.
type batch struct {
	bytes []byte // whole frames
	parts []part
}

// part is the requests of one connection that came at once.
type part struct {
	c    gnet.Conn
	from int // in bytes
	to   int
}

func newCommitter(s *server, name string) (*committer, error) {
	file, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	zeros := make([]byte, 1<<20)
	for range fileBytes / len(zeros) {
		if _, err := file.Write(zeros); err != nil {
			return nil, err
		}
	}
	if err := file.Sync(); err != nil {
		return nil, err
	}
	m := &committer{server: s, file: file, batch: &batch{}}
	m.some = sync.NewCond(&m.mu)
	go m.run() // it ends with the process
	return m, nil
}

// add is called by the loop. The frames are copied.
func (m *committer) add(c gnet.Conn, frames []byte) {
	m.mu.Lock()
	b := m.batch
	from := len(b.bytes)
	b.bytes = append(b.bytes, frames...)
	b.parts = append(b.parts, part{c, from, len(b.bytes)})
	m.mu.Unlock()
	m.some.Signal()
}

func (m *committer) run() {
	spare := make(chan *batch, 2)
	spare <- &batch{}
	spare <- &batch{}
	for {
		next := <-spare
		m.mu.Lock()
		for len(m.batch.parts) == 0 {
			m.some.Wait()
		}
		b := m.batch
		m.batch = next
		m.mu.Unlock()
		m.write(b.bytes)
		_ = b.parts[0].c.EventLoop().Execute(context.Background(), gnet.RunnableFunc(func(context.Context) error {
			m.answer(b)
			spare <- &batch{bytes: b.bytes[:0], parts: b.parts[:0]}
			return nil
		}))
	}
}

func (m *committer) write(b []byte) {
	if m.at+int64(len(b)) > fileBytes {
		m.at = 0
	}
	if _, err := m.file.WriteAt(b, m.at); err != nil {
		panic(fmt.Sprintf("bare: writing %s: %v", m.file.Name(), err))
	}
	if err := unix.Fdatasync(int(m.file.Fd())); err != nil {
		panic(fmt.Sprintf("bare: syncing %s: %v", m.file.Name(), err))
	}
	m.at += int64(len(b))
}

// answer runs on the loop.
func (m *committer) answer(b *batch) {
	for _, p := range b.parts {
		out := m.server.out[:0]
		for frames := b.bytes[p.from:p.to]; len(frames) > 0; {
			payload, size, _ := wire.Frame(frames, frameBytesMax) // cut once already
			out = m.server.appendReply(out, payload)
			frames = frames[size:]
		}
		m.server.out = out
		_, _ = p.c.Write(out)
	}
}
