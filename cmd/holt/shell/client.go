package shell

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"holt/netloop/wire"
)

// Why a call failed without an answer of the server.
var (
	errConnectionLoss = errors.New("connection lost; whether it was done is unknown")
	errNotConnected   = errors.New("not connected")
	errSessionExpired = errors.New("session expired; `connect` opens a new one")
	errClosed         = errors.New("not connected: the session was closed; `connect` opens a new one")
)

// State of the client, in the words of ZooKeeper's events.
type state string

const (
	stateConnecting state = "CONNECTING"
	stateConnected  state = "CONNECTED"
	stateReadOnly   state = "CONNECTEDREADONLY"
	stateExpired    state = "EXPIRED"
	stateClosed     state = "CLOSED"
)

// clientConfig says whom to connect to.
type clientConfig struct {
	hosts     []string // host:port; the port is given
	chroot    string   // "" or /path
	timeoutMs int      // session timeout to ask for
	readOnly  bool     // a server in read-only mode will do
	event     func(event)
}

// event is a watch event, or, with an empty path and type 0, a change of the connection's state.
type event struct {
	State string // SyncConnected, Disconnected, Expired...
	Type  string // NodeCreated, None, DataWatchRemoved...
	Path  string // without the chroot
	Zxid  int64
}

func (e event) String() string {
	path := e.Path
	if path == "" {
		path = "null"
	}
	return fmt.Sprintf("WatchedEvent state:%s type:%s path:%s zxid: %d", e.State, e.Type, path, e.Zxid)
}

// call is one request on its way. done is closed once body or err is set.
type call struct {
	op   wire.Op
	xid  wire.Xid
	body []byte
	err  error
	done chan struct{}
}

func (c *call) finish(body []byte, err error) {
	c.body, c.err = body, err
	close(c.done)
}

// wait returns the body of the answer.
func (c *call) wait() ([]byte, error) {
	<-c.done
	return c.body, c.err
}

// client holds one session with a server: it reconnects, keeps the session alive, repeats authentication and watches
// after a reconnect. One goroutine (run) owns reading; any goroutine may start calls. Lost connections fail the calls
// under way: nothing is sent twice.
type client struct {
	cfg    clientConfig
	cancel context.CancelFunc
	ended  chan struct{} // closed when run has returned

	mu      sync.Mutex
	state   state
	closing bool          // close was called: a lost connection is no news
	changed chan struct{} // closed and replaced when state changes
	conn    net.Conn      // nil unless connected
	host    string        // the one connected to, or tried last
	failure error         // why the last attempt failed
	pending []*call       // sent, in order
	xid     wire.Xid
	auths   []auth
	watches watches

	sessionID int64
	password  []byte
	timeoutMs int
	zxid      int64 // the last one seen
}

type auth struct{ scheme, data string }

// dial starts a client; it connects in the background.
func dial(cfg clientConfig) *client {
	ctx, cancel := context.WithCancel(context.Background())
	c := &client{
		cfg: cfg, cancel: cancel, ended: make(chan struct{}), changed: make(chan struct{}),
		state: stateConnecting, watches: newWatches(), timeoutMs: cfg.timeoutMs, host: cfg.hosts[0],
		password: make([]byte, wire.PasswordBytes),
	}
	go func() {
		defer close(c.ended)
		c.run(ctx)
	}()
	return c
}

// connected waits for a session: until ctx ends, or, if once is set, until every host was tried in vain.
func (c *client) connected(ctx context.Context, once bool) error {
	for {
		c.mu.Lock()
		state, changed, failure := c.state, c.changed, c.failure
		c.mu.Unlock()
		switch {
		case state == stateConnected || state == stateReadOnly:
			return nil
		case state == stateExpired:
			return errSessionExpired
		case state == stateClosed:
			return errClosed
		case once && failure != nil:
			return failure
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if failure != nil {
				return failure
			}
			return fmt.Errorf("no answer from %s", strings.Join(c.cfg.hosts, ","))
		}
	}
}

// setState publishes a state; the caller holds mu.
func (c *client) setState(s state) {
	c.state = s
	close(c.changed)
	c.changed = make(chan struct{})
}

// start sends a request. A failure to do so is reported by wait.
func (c *client) start(op wire.Op, body func(dst []byte) []byte) *call {
	q := &call{op: op, done: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		err := errNotConnected
		if c.state == stateExpired {
			err = errSessionExpired
		}
		q.finish(nil, err)
		return q
	}
	c.xid = max(c.xid+1, 1)
	q.xid = c.xid
	if op == wire.OpAuth {
		q.xid = wire.XidAuth
	}
	c.pending = append(c.pending, q)
	c.send(q.xid, op, body)
	return q
}

// send writes one request; the caller holds mu. An error closes the connection, and the reader sees to the rest.
func (c *client) send(xid wire.Xid, op wire.Op, body func(dst []byte) []byte) {
	frame := wire.AppendRequestHeader(wire.BeginFrame(nil), xid, op)
	if body != nil {
		frame = body(frame)
	}
	wire.EndFrame(frame, 0)
	c.conn.SetWriteDeadline(time.Now().Add(time.Duration(c.timeoutMs) * time.Millisecond))
	if _, err := c.conn.Write(frame); err != nil {
		c.conn.Close()
	}
}

// do sends a request and waits for its answer.
func (c *client) do(op wire.Op, body func(dst []byte) []byte) ([]byte, error) {
	return c.start(op, body).wait()
}

// addAuth presents credentials now and after every reconnect.
func (c *client) addAuth(scheme, data string) error {
	_, err := c.do(wire.OpAuth, (&wire.AuthRequest{Scheme: []byte(scheme), Auth: []byte(data)}).Append)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.auths = append(c.auths, auth{scheme, data})
	c.mu.Unlock()
	return nil
}

// close ends the session, and with it its ephemeral nodes, and waits for all goroutines.
func (c *client) close() {
	c.mu.Lock()
	c.closing = true
	c.mu.Unlock()
	q := c.start(wire.OpCloseSession, nil)
	select {
	case <-q.done:
	case <-time.After(2 * time.Second):
	}
	c.cancel()
	c.mu.Lock()
	if c.conn != nil {
		c.conn.Close()
	}
	if c.state != stateClosed {
		c.setState(stateClosed)
	}
	c.mu.Unlock()
	<-c.ended
}

// status is what the prompt shows.
func (c *client) status() (host string, s state) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.host, c.state
}

// path adds the chroot.
func (c *client) path(p string) []byte {
	if c.cfg.chroot == "" {
		return []byte(p)
	}
	if p == "/" {
		return []byte(c.cfg.chroot)
	}
	return []byte(c.cfg.chroot + p)
}

// unroot takes the chroot off a path that the server sent.
func (c *client) unroot(p string) string {
	rest, ok := strings.CutPrefix(p, c.cfg.chroot)
	switch {
	case !ok:
		return p
	case rest == "":
		return "/"
	}
	return rest
}
