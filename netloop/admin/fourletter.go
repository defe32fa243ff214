package admin

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"time"
)

// Bounds of one four-letter conversation.
const (
	answerTimeout  = 30 * time.Second // for the client to take the answer
	argumentWait   = 5 * time.Second  // for the eight bytes after stmk
	lingerTime     = time.Second      // for the client to close after the answer
	lingerBytesMax = 64 << 10         // of what it may still send
	argumentBytes  = 8
)

const (
	notServing     = "This ZooKeeper instance is not currently serving requests"
	notWhitelisted = " is not executed because it is not in the whitelist."
)

// ServeFourLetter answers a four-letter word on conn and closes it. read is what has already been read after the word.
//
// A client may have closed its sending side, and may have sent a newline that nobody reads (echo ruok | nc). So the answer is
// followed by a half-close, and what the client still sends is read until it closes too, within bounds: a plain close would
// make the kernel reset the connection and throw the answer away.
func ServeFourLetter(conn net.Conn, word string, read []byte, src *Source) {
	defer conn.Close()
	if word == telnetInterrupt {
		return
	}
	src.Metrics.FourLetterPackets.Inc()
	src.Metrics.FourLetterConns.Add(1)
	defer src.Metrics.FourLetterConns.Add(-1)
	_ = conn.SetDeadline(time.Now().Add(answerTimeout))
	w := bufio.NewWriter(conn)
	switch {
	case !src.Whitelist.Allows(word):
		_, _ = w.WriteString(word + notWhitelisted + "\n")
	case word == "stmk":
		_ = conn.SetReadDeadline(time.Now().Add(argumentWait))
		mask, err := readMask(conn, read)
		if err != nil {
			src.logger().Info("stmk needs eight bytes more, a long; nothing was set", "client", conn.RemoteAddr().String(), "error", err)
			return
		}
		src.setMask(mask)
		_, _ = w.WriteString(strconv.FormatInt(mask, 10))
	default:
		writeAnswer(w, word, newQuestion(src, conn.RemoteAddr().String()))
	}
	if err := w.Flush(); err != nil {
		return
	}
	linger(conn)
}

func readMask(conn io.Reader, read []byte) (int64, error) {
	var b [argumentBytes]byte
	n := copy(b[:], read)
	if _, err := io.ReadFull(conn, b[n:]); err != nil {
		return 0, err
	}
	return int64(binary.BigEndian.Uint64(b[:])), nil
}

// linger says that no more will come and reads what the client still sends, until it closes or the bounds are reached.
func linger(conn net.Conn) {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = conn.SetReadDeadline(time.Now().Add(lingerTime))
	_, _ = io.CopyN(io.Discard, conn, lingerBytesMax) // however it ends, the conversation is over
}
