package netloop

import (
	"net"
	"sync"

	"holt/netloop/admin"
)

// words are the conversations in four-letter words, each on a goroutine of its own and away from the loops.
type words struct {
	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
	done   sync.WaitGroup
}

// serve answers a word on a goroutine, unless too many are being answered or the server stops.
func (w *words) serve(c net.Conn, answer func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || len(w.conns) >= fourLetterConnsMax {
		return false
	}
	if w.conns == nil {
		w.conns = map[net.Conn]struct{}{}
	}
	w.conns[c] = struct{}{}
	w.done.Add(1)
	go func() {
		defer w.done.Done()
		answer()
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.conns, c)
	}()
	return true
}

// close ends the conversations and waits for them.
func (w *words) close() {
	w.mu.Lock()
	w.closed = true
	for c := range w.conns {
		_ = c.Close()
	}
	w.mu.Unlock()
	w.done.Wait()
}

const wordBytes = 4

// fourLetters looks whether a fresh connection begins with a four-letter word; if so the socket is given away and the
// connection has gone. b is all that has been received. Words are not understood later: then they are a length.
func (l *loop) fourLetters(c *conn, b []byte) bool {
	if len(b) < wordBytes || l.cfg.FourLetter == nil || !admin.IsFourLetterWord(b[:wordBytes]) {
		return false
	}
	word, read := string(b[:wordBytes]), append([]byte(nil), b[wordBytes:]...)
	socket, err := c.link.Detach()
	c.stage = stageClosing
	c.link.Close()
	switch {
	case err != nil:
		l.log.Warn("a four-letter word cannot be answered", "client", c.addr, "word", word, "err", err)
	case !l.words.serve(socket, func() { l.cfg.FourLetter(socket, word, read) }):
		l.log.Debug("too many four-letter words at once", "client", c.addr, "word", word)
		_ = socket.Close()
	}
	return true
}
