package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// Op is what a client did. The workers in clients/ use the same words.
type Op string

// Operations on registers, which are linearizable objects, and others.
const (
	OpCreate Op = "create"
	OpDelete Op = "delete"
	OpSet    Op = "set"
	OpCas    Op = "cas"   // set with a version
	OpMulti  Op = "multi" // sets both registers of a pair
	OpRead   Op = "read"  // sync and get on one connection
	OpGet    Op = "get"   // get alone: local, may be old

	OpAppend    Op = "append"    // creates a znode that stays, under /chaos/log
	OpEphemeral Op = "ephemeral" // creates an ephemeral under /chaos/eph
	OpCensus    Op = "census"    // sync and list of /chaos/eph
	OpClose     Op = "close"     // of the session
	OpAbandon   Op = "abandon"   // drops the connection for good
	OpSession   Op = "session"   // a session began; Timeout is what was granted
	OpExpired   Op = "expired"   // the client was told that its session is gone
	OpLost      Op = "lost"      // the connection broke
	OpBack      Op = "back"      // the session is attached again
)

// Result is how an operation ended.
type Result string

// Results.
const (
	ResultOK         Result = "ok"
	ResultNoNode     Result = "nonode"
	ResultExists     Result = "exists"
	ResultBadVersion Result = "badversion"
	ResultUnknown    Result = "unknown" // the answer was lost
	ResultFault      Result = "fault"   // an answer that must not come
)

// Entry is one line of a history.
type Entry struct {
	Client  string   `json:"client"`
	Session int64    `json:"session,omitempty"`
	Op      Op       `json:"op"`
	Path    string   `json:"path,omitempty"`
	Value   string   `json:"value,omitempty"`   // written
	Want    int32    `json:"want,omitempty"`    // version that a cas asked for
	Begin   int64    `json:"begin"`             // CLOCK_MONOTONIC, ns
	End     int64    `json:"end"`               // the same; of an unknown outcome: when it became unknown
	Result  Result   `json:"result,omitempty"`  //
	Got     string   `json:"got,omitempty"`     // read
	Version int32    `json:"version,omitempty"` // of the znode, from the stat that came back
	Zxid    int64    `json:"zxid,omitempty"`    // mzxid of that stat
	Names   []string `json:"names,omitempty"`   // of a census
	Timeout int64    `json:"timeout,omitempty"` // ms
	Error   string   `json:"error,omitempty"`   // as the client library said it
}

func (e *Entry) String() string {
	b, _ := json.Marshal(e)
	return string(b)
}

// never is the end of what has no end.
const never = math.MaxInt64

// now is the clock of all entries.
func now() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(fmt.Sprintf("reading CLOCK_MONOTONIC: %v", err))
	}
	return t.Nano()
}

// History takes the entries of all clients, in memory and in a file.
type History struct {
	mu      sync.Mutex
	entries []Entry
	file    *os.File
	out     *bufio.Writer
	lastOK  map[string]int64 // by client: End of its last answered write
}

// Create makes a history whose entries are also kept in dir/history.jsonl.
func newHistory(dir string) (*History, error) {
	f, err := os.Create(filepath.Join(dir, "history.jsonl"))
	return &History{file: f, out: bufio.NewWriter(f), lastOK: map[string]int64{}}, err
}

// Add takes an entry; any goroutine may call it.
func (h *History) Add(e Entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.entries = append(h.entries, e)
	if e.Result == ResultOK && e.Op.writes() {
		h.lastOK[e.Client] = max(e.End, h.lastOK[e.Client])
	}
	b, _ := json.Marshal(e)
	_, _ = h.out.Write(append(b, '\n'))
}

// Take reads a worker's entries until its output ends.
func (h *History) Take(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e Entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("a worker wrote %q: %w", lines.Text(), err)
		}
		h.Add(e)
	}
	return lines.Err()
}

// Close ends the file and returns all entries.
func (h *History) Close() ([]Entry, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.out.Flush(); err != nil {
		return nil, err
	}
	return h.entries, h.file.Close()
}

// wroteSince says which of the clients have not had a write answered since t.
func (h *History) silentSince(t int64, clients []string) (silent []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range clients {
		if h.lastOK[c] < t {
			silent = append(silent, c)
		}
	}
	return silent
}

// firstWriteAfter is the end of the first answered write that began after t, or never.
func (h *History) firstWriteAfter(t int64) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	first := int64(never)
	for i := len(h.entries) - 1; i >= 0 && h.entries[i].End > t; i-- {
		e := &h.entries[i]
		if e.Begin > t && e.Result == ResultOK && e.Op.writes() {
			first = min(first, e.End)
		}
	}
	return first
}

// writes says whether an answer to the operation means that a quorum took something.
func (op Op) writes() bool {
	switch op {
	case OpCreate, OpDelete, OpSet, OpCas, OpMulti, OpAppend, OpEphemeral:
		return true
	}
	return false
}
