// Command capture stands between a ZooKeeper client and a ZooKeeper server and writes down every frame that passes, one a
// line: the number of the connection, the direction (> from the client, < from the server), the payload in hex.
//
//	capture -listen 127.0.0.1:22010 -server 127.0.0.1:22000 -out kazoo.txt
//
// A request whose bytes contain "/cut-me" makes it close that connection once the reply has passed, so that a client
// can be made to come back with its session and its watches. It ends on SIGTERM.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
)

type transcript struct {
	mu sync.Mutex
	w  *bufio.Writer
}

func (t *transcript) add(conn int, direction byte, payload []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.w, "%d %c %s\n", conn, direction, hex.EncodeToString(payload))
}

func (t *transcript) flush() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.w.Flush()
}

func main() {
	listen := flag.String("listen", "127.0.0.1:22010", "where clients connect")
	server := flag.String("server", "127.0.0.1:22000", "the ZooKeeper server")
	out := flag.String("out", "transcript.txt", "file to write")
	flag.Parse()

	f, err := os.Create(*out)
	if err != nil {
		log.Fatal(err)
	}
	t := &transcript{w: bufio.NewWriter(f)}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	go func() {
		<-stop
		l.Close()
	}()
	for n := 1; ; n++ {
		client, err := l.Accept()
		if err != nil {
			break
		}
		upstream, err := net.Dial("tcp", *server)
		if err != nil {
			log.Fatal(err)
		}
		var cut atomic.Bool
		go pass(t, n, '>', client, upstream, &cut)
		go pass(t, n, '<', upstream, client, &cut)
	}
	if err := errors.Join(t.flush(), f.Close()); err != nil {
		log.Fatal(err)
	}
}

// pass copies frames one way until either side ends.
func pass(t *transcript, conn int, direction byte, from, to net.Conn, cut *atomic.Bool) {
	defer from.Close()
	defer to.Close()
	in := bufio.NewReader(from)
	for {
		head, err := in.Peek(4)
		if err != nil {
			return
		}
		n := binary.BigEndian.Uint32(head)
		if n > 1<<24 { // a four-letter word: not a frame
			_, _ = io.Copy(to, in)
			return
		}
		frame := make([]byte, 4+n)
		if _, err := io.ReadFull(in, frame); err != nil {
			return
		}
		t.add(conn, direction, frame[4:])
		if direction == '>' && bytes.Contains(frame, []byte("/cut-me")) {
			cut.Store(true)
		}
		if _, err := to.Write(frame); err != nil {
			return
		}
		if direction == '<' && cut.Load() {
			return
		}
	}
}
