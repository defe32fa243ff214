package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
)

// Paths of the campaign.
const (
	rootPath      = "/chaos"
	registerPath  = "/chaos/r"
	logPath       = "/chaos/log"
	ephemeralPath = "/chaos/eph"
	bulkPath      = "/chaos/bulk"
)

// plan is what every client, of any kind, is told. The workers get it as arguments.
type plan struct {
	servers   []string
	timeout   time.Duration // of sessions
	epoch     int64         // CLOCK_MONOTONIC of the beginning, ns: clocks the generations of registers
	pairs     int           // of registers, per generation
	generated time.Duration // length of a generation
	pause     time.Duration // longest pause between operations
	sessions  time.Duration // after about so long a session is closed and another opened
	mutate    string        // how the clients lie, see main.go
}

// pair is the name of a random pair of registers of the current generation; its two registers end in -a and -b.
func (p *plan) pair(random *rand.Rand) string {
	generation := (now() - p.epoch) / int64(p.generated)
	return fmt.Sprintf("%s/%04d-%d", registerPath, generation, random.IntN(p.pairs))
}

var openACL = zk.WorldACL(zk.PermAll)

// goClient is one client of go-zookeeper/zk: one session after another, one operation at a time.
type goClient struct {
	name    string
	plan    *plan
	random  *rand.Rand
	history *History
	conn    *zk.Conn
	breaks  *atomic.Int64 // of the connection, so far: a sync and a read between which it stays are on one connection
	socket  *socket
	n       int
	opened  int64 // when the session began
	version map[string]int32
}

// run works until stop is closed.
func (c *goClient) run(stop <-chan struct{}) {
	c.open()
	defer func() { c.conn.Close() }() // the one it has by then
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-stop:
			return
		case <-next.C:
		}
		pause := time.Duration(c.random.Int64N(int64(c.plan.pause)))
		if !c.step() {
			pause = 100 * time.Millisecond
		}
		next.Reset(pause)
	}
}

// open begins a session.
func (c *goClient) open() {
	c.version, c.breaks, c.socket = map[string]int32{}, new(atomic.Int64), &socket{}
	conn, events, err := zk.Connect(c.plan.servers, c.plan.timeout, zk.WithLogger(quiet{}), zk.WithDialer(c.socket.dial))
	if err != nil {
		panic(fmt.Sprintf("go-zookeeper/zk refuses its arguments: %v", err))
	}
	c.conn, c.opened = conn, now()
	go c.watch(conn, events, c.breaks) // ends when conn closes the channel
}

// watch notes what becomes of the session of one conn.
func (c *goClient) watch(conn *zk.Conn, events <-chan zk.Event, breaks *atomic.Int64) {
	had := int64(0)
	for e := range events {
		switch e.State {
		case zk.StateDisconnected:
			breaks.Add(1)
			if had != 0 {
				c.note(OpLost, had)
			}
		case zk.StateExpired:
			c.note(OpExpired, had)
		case zk.StateHasSession:
			if id := conn.SessionID(); id == had {
				c.note(OpBack, id)
			} else {
				had = id
				c.history.Add(Entry{Client: c.name, Session: id, Op: OpSession, Begin: now(), End: now(), Timeout: c.plan.timeout.Milliseconds()})
			}
		}
	}
}

func (c *goClient) note(op Op, session int64) {
	t := now()
	c.history.Add(Entry{Client: c.name, Session: session, Op: op, Begin: t, End: t})
}

// step does one operation. false says that the client is not connected.
func (c *goClient) step() bool {
	if now()-c.opened > int64(c.plan.sessions) {
		c.leave()
		return true
	}
	c.n++
	pair := c.plan.pair(c.random)
	path := pair + []string{"-a", "-b"}[c.random.IntN(2)]
	value := fmt.Sprintf("%s.%d", c.name, c.n)
	switch k := c.random.IntN(100); {
	case k < 22:
		return c.set(OpSet, path, value, -1)
	case k < 32:
		version, known := c.version[path]
		if !known {
			return c.get(OpRead, path)
		}
		return c.set(OpCas, path, value, version)
	case k < 54:
		return c.get(OpRead, path)
	case k < 74:
		return c.get(OpGet, path)
	case k < 84:
		return c.create(OpCreate, path, value, 0)
	case k < 86:
		return c.remove(path)
	case k < 93:
		return c.multi(pair, value)
	case k < 97:
		return c.create(OpAppend, logPath+"/"+value, value, 0)
	case k < 98:
		return c.create(OpEphemeral, ephemeralPath+"/"+value, value, zk.FlagEphemeral)
	default:
		return c.census()
	}
}

func (c *goClient) begin(op Op, path, value string) Entry {
	return Entry{Client: c.name, Session: c.conn.SessionID(), Op: op, Path: path, Value: value, Begin: now()}
}

// end writes the entry with what came of the operation, unless it was never sent. false: not connected.
func (c *goClient) end(e Entry, err error) bool {
	e.End = now()
	switch {
	case err == nil:
		e.Result = ResultOK
		e.Session = c.conn.SessionID() // a session that began while the request waited
	case errors.Is(err, zk.ErrNoNode):
		e.Result = ResultNoNode
	case errors.Is(err, zk.ErrNodeExists):
		e.Result = ResultExists
	case errors.Is(err, zk.ErrBadVersion):
		e.Result = ResultBadVersion
	case errors.Is(err, zk.ErrNoServer):
		return false // flushed before it was sent
	case errors.Is(err, zk.ErrConnectionClosed), errors.Is(err, zk.ErrSessionExpired), errors.Is(err, zk.ErrSessionMoved), errors.Is(err, zk.ErrClosing):
		e.Result = ResultUnknown
	default:
		e.Result, e.Error = ResultFault, err.Error()
	}
	c.history.Add(e)
	return e.Result != ResultUnknown
}

func (e *Entry) stat(s *zk.Stat) {
	if s != nil {
		e.Version, e.Zxid = s.Version, s.Mzxid
	}
}

func (c *goClient) set(op Op, path, value string, version int32) bool {
	e := c.begin(op, path, value)
	if c.plan.mutate == mutateForget && c.n%20 == 0 {
		return c.end(e, nil) // a lie: nothing was sent
	}
	e.Want = version
	stat, err := c.conn.Set(path, []byte(value), version)
	if err == nil {
		e.stat(stat)
		c.version[path] = stat.Version
	}
	return c.end(e, err)
}

func (c *goClient) get(op Op, path string) bool {
	e := c.begin(op, path, "")
	breaks := c.breaks.Load()
	if op == OpRead && c.plan.mutate != mutateStale {
		if _, err := c.conn.Sync(path); err != nil {
			return !errors.Is(err, zk.ErrNoServer) && c.end(e, err)
		}
	}
	data, stat, err := c.conn.Get(path)
	if err == nil {
		e.Got = string(data)
		e.stat(stat)
		c.version[path] = stat.Version
	}
	if c.breaks.Load() != breaks {
		e.Op = OpGet // another connection than the sync's
	}
	return c.end(e, err)
}

func (c *goClient) create(op Op, path, value string, flags int32) bool {
	e := c.begin(op, path, value)
	_, err := c.conn.Create(path, []byte(value), flags, openACL)
	return c.end(e, err)
}

func (c *goClient) remove(path string) bool {
	e := c.begin(OpDelete, path, "")
	return c.end(e, c.conn.Delete(path, -1))
}

func (c *goClient) multi(pair, value string) bool {
	e := c.begin(OpMulti, pair, value)
	results, err := c.conn.Multi(
		&zk.SetDataRequest{Path: pair + "-a", Data: []byte(value), Version: -1},
		&zk.SetDataRequest{Path: pair + "-b", Data: []byte(value), Version: -1})
	if err == nil {
		e.stat(results[0].Stat)
	}
	return c.end(e, err)
}

func (c *goClient) census() bool {
	e := c.begin(OpCensus, ephemeralPath, "")
	breaks := c.breaks.Load()
	if _, err := c.conn.Sync(ephemeralPath); err != nil {
		return !errors.Is(err, zk.ErrNoServer) && c.end(e, err)
	}
	names, _, err := c.conn.Children(ephemeralPath)
	if c.breaks.Load() != breaks {
		return true // no census of one moment
	}
	e.Names = names
	return c.end(e, err)
}

// leave ends the session, by closing it or by falling silent, and begins another.
func (c *goClient) leave() {
	e := c.begin(OpClose, "", "")
	if c.random.IntN(3) == 0 {
		e.Op = OpAbandon
		c.socket.abandon()
	}
	c.conn.Close()
	e.End, e.Result = now(), ResultUnknown // the library does not say whether the server heard it
	c.history.Add(e)
	c.open()
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

// socket dials for one go-zookeeper/zk connection. The library waits for the answer to its first request for ten times the
// read timeout, longer than a session lives; a member that is frozen accepts and never answers. handshakePatience is what other
// clients grant.
type socket struct {
	mu   sync.Mutex
	gone bool     // dial no more
	conn net.Conn // the latest
}

const handshakePatience = 2 * time.Second

var errAbandoned = errors.New("the client was told to fall silent")

func (s *socket) dial(network, addr string, timeout time.Duration) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return nil, errAbandoned
	}
	c, err := net.DialTimeout(network, addr, timeout)
	if err != nil {
		return nil, err
	}
	s.conn = c
	return &greeting{Conn: c}, nil
}

// abandon makes the client silent: what it sends to close its session finds no connection.
func (s *socket) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
	if s.conn != nil {
		s.conn.Close()
	}
}

// greeting bounds how long the first answer on a connection may take.
type greeting struct {
	net.Conn
	greeted bool
}

func (g *greeting) SetReadDeadline(t time.Time) error {
	if latest := time.Now().Add(handshakePatience); !g.greeted && t.After(latest) {
		t = latest
	}
	return g.Conn.SetReadDeadline(t)
}

func (g *greeting) Read(b []byte) (int, error) {
	n, err := g.Conn.Read(b)
	g.greeted = g.greeted || n > 0
	return n, err
}

// arguments are the plan as the workers take it.
func (p *plan) arguments(name string, clients int, seed uint64) []string {
	return []string{
		"--servers", strings.Join(p.servers, ","), "--name", name, "--clients", strconv.Itoa(clients), "--seed", strconv.FormatUint(seed, 10),
		"--timeout-ms", strconv.FormatInt(p.timeout.Milliseconds(), 10), "--epoch", strconv.FormatInt(p.epoch, 10),
		"--pairs", strconv.Itoa(p.pairs), "--generation-ms", strconv.FormatInt(p.generated.Milliseconds(), 10),
		"--pause-ms", strconv.FormatInt(p.pause.Milliseconds(), 10), "--sessions-ms", strconv.FormatInt(p.sessions.Milliseconds(), 10),
	}
}

// workerNames are the names of the clients of a worker process.
func workerNames(name string, clients int) []string {
	names := make([]string, clients)
	for i := range names {
		names[i] = name + strconv.Itoa(i+1)
	}
	return slices.Clip(names)
}
