package bench

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"holt/netloop/wire"
)

// queueLoad is the queue recipe: producers create sequential znodes, consumers list them, read one and delete it; whose
// delete succeeds has the message. A consumer that finds none waits for a child watch. Each message carries who made it,
// its number and when, so that one taken twice is seen, and at the end the number of those that are left must be right.
type queueLoad struct {
	plainWorkload
	run       *run
	producers int
	blob      blob
	made      atomic.Int64
	taken     atomic.Int64
	lists     [][]uint64 // by producer: a bit per message that was taken
}

// Series of a queueLoad.
const (
	queueTake = iota
	queuePut
	queueList
)

// Kinds of its requests.
const (
	kindPut uint8 = iota + 20
	kindRead
	kindTake
)

const (
	backlogMax   = 1000    // messages in the queue, beyond which producers rest
	messageBytes = 16      // header of a message: producer, number, time
	perProducer  = 1 << 22 // messages that one producer makes at most
	producersMax = 255
	grabMax      = 32 // messages of one list that a consumer tries
)

func newQueueLoad(r *run) (workload, error) {
	p := &queueLoad{run: r, producers: r.cfg.Writers, blob: newBlob(r.cfg.Value)}
	if p.producers >= r.cfg.Conns {
		return nil, fmt.Errorf("--writers %d of --conns %d: nobody is left to consume", p.producers, r.cfg.Conns)
	}
	if p.producers > producersMax {
		return nil, fmt.Errorf("--writers %d: at most %d producers", p.producers, producersMax)
	}
	p.lists = make([][]uint64, p.producers)
	for i := range p.lists {
		p.lists[i] = make([]uint64, perProducer/64)
	}
	return p, nil
}

func (p *queueLoad) series() []series {
	return []series{{name: "take", counts: true}, {name: "put"}, {name: "list"}}
}

func (p *queueLoad) root() []byte { return append([]byte(p.run.root), "/q"...) }

func (p *queueLoad) prepare(_ *run, s *Conn) error { return MakePath(s, string(p.root())) }

func (p *queueLoad) actor(r *run, number int) actor {
	random := rand.New(rand.NewPCG(r.cfg.Seed, uint64(number)))
	if number < p.producers {
		return &producer{load: p, number: uint32(number), random: random, root: p.root(), message: make([]byte, r.cfg.Value.Max+messageBytes)}
	}
	return &consumer{load: p, root: p.root(), random: random}
}

// check compares what is left with what was made and taken.
func (p *queueLoad) check(r *run, s *Conn) error {
	paths, err := listTree(s, string(p.root()))
	if err != nil {
		return err
	}
	if want := p.made.Load() - p.taken.Load(); int64(len(paths)-1) != want {
		r.fault(FaultLock, fmt.Sprintf("%d messages are left of %d made and %d taken", len(paths)-1, p.made.Load(), p.taken.Load()), 1)
	}
	return nil
}

// producer puts messages.
type producer struct {
	quiet
	load    *queueLoad
	number  uint32
	serial  uint32
	random  *rand.Rand
	root    []byte
	message []byte
	path    [256]byte
}

func (a *producer) begin(c *client) {
	for range c.loop.run.cfg.Pipeline {
		a.put(c)
	}
}

func (a *producer) put(c *client) {
	p := a.load
	if c.loop.stopping() || c.state != clientOpen || a.serial == perProducer {
		return
	}
	if p.made.Load()-p.taken.Load() >= backlogMax {
		c.loop.after(int64(time.Millisecond), c, 0)
		return
	}
	m := binary.BigEndian.AppendUint32(a.message[:0], a.number)
	m = binary.BigEndian.AppendUint32(m, a.serial)
	m = binary.BigEndian.AppendUint64(m, uint64(c.loop.now))
	m = append(m, p.blob.pick(p.run.cfg.Value, a.random)...)
	q := wire.CreateRequest{
		Path: append(append(a.path[:0], a.root...), "/m-"...), Data: m[:max(messageBytes, len(m)-messageBytes)], ACL: wire.OpenACL,
		Flags: wire.FlagPersistentSequential,
	}
	c.end(q.Append(c.begin(wire.OpCreate)), kindPut, a.serial, 0)
	a.serial++
}

func (a *producer) poke(c *client, _ int32) { a.put(c) }

func (a *producer) reply(c *client, w request, p *reply) {
	if c.expect(p, "create") {
		a.load.made.Add(1)
		c.measure(queuePut, w.startNs)
	}
	a.put(c)
}

// consumer takes messages.
type consumer struct {
	quiet
	load    *queueLoad
	random  *rand.Rand
	root    []byte
	names   []byte // of the messages to try, nameBytes each
	next    int
	waits   bool // for a message to come
	watched bool // a child watch is set
	buf     [256]byte
}

func (a *consumer) begin(c *client) { a.list(c) }

// list asks for the messages. The watch that it sets tells of new ones if there are none.
func (a *consumer) list(c *client) {
	if c.loop.stopping() || c.state != clientOpen {
		return
	}
	b := wire.AppendBuffer(c.begin(wire.OpGetChildren), a.root)
	c.end(wire.AppendBool(b, !a.watched), kindList, 0, 0)
	a.watched = true
	a.waits = false
}

const messageNameBytes = len("m-0123456789")

func (a *consumer) reply(c *client, w request, p *reply) {
	switch w.kind {
	case kindList:
		c.measure(queueList, w.startNs)
		if c.expect(p, "getChildren") {
			a.listed(c, p)
		}
	case kindRead:
		a.read(c, p)
	case kindTake:
		a.took(c, w, p)
	}
}

// listed notes some messages, from another place than other consumers would.
func (a *consumer) listed(c *client, p *reply) {
	r := wire.NewReader(p.body)
	children := r.Strings()
	a.names, a.next = a.names[:0], 0
	skip := 0
	if n := children.Len(); n > grabMax {
		skip = a.random.IntN(n - grabMax)
	}
	for name, ok := children.Next(); ok && len(a.names) < grabMax*messageNameBytes; name, ok = children.Next() {
		if skip--; skip < 0 && len(name) == messageNameBytes {
			a.names = append(a.names, name...)
		}
	}
	a.try(c)
}

// try reads the next message, or lists again.
func (a *consumer) try(c *client) {
	if c.loop.stopping() {
		return
	}
	if a.next >= len(a.names) {
		if len(a.names) > 0 || !a.watched {
			a.list(c)
			return
		}
		a.waits = true
		return
	}
	b := wire.AppendBuffer(c.begin(wire.OpGetData), a.current())
	c.end(wire.AppendBool(b, false), kindRead, 0, 0)
}

func (a *consumer) current() []byte {
	return append(append(append(a.buf[:0], a.root...), '/'), a.names[a.next:a.next+messageNameBytes]...)
}

// read remembers the message in the request that deletes it.
func (a *consumer) read(c *client, p *reply) {
	var d wire.DataReply
	r := wire.NewReader(p.body)
	if p.code == wire.CodeNoNode {
		a.next += messageNameBytes
		a.try(c)
		return
	}
	if !c.expect(p, "getData") || !d.Parse(&r) || len(d.Data) < messageBytes {
		return
	}
	q := wire.VersionRequest{Path: a.current(), Version: wire.AnyVersion}
	number, serial := binary.BigEndian.Uint32(d.Data), binary.BigEndian.Uint32(d.Data[4:])
	c.end(q.Append(c.begin(wire.OpDelete)), kindTake, number<<24|serial, int64(binary.BigEndian.Uint64(d.Data[8:])))
}

func (a *consumer) took(c *client, w request, p *reply) {
	a.next += messageNameBytes
	if p.code != wire.CodeNoNode && c.expect(p, "delete") {
		a.load.taken.Add(1)
		c.measure(queueTake, w.startNs)
		producer, serial := w.arg>>24, w.arg&(perProducer-1)
		word, bit := &a.load.lists[producer][serial/64], uint64(1)<<(serial%64)
		if atomic.OrUint64(word, bit)&bit != 0 {
			c.fault(FaultLock, "a message that was taken twice", 1)
		}
	}
	a.try(c)
}

func (a *consumer) event(c *client, e *event) {
	if !a.watched || !bytes.Equal(e.path, a.root) {
		c.fault(FaultDoubled, "an event that nobody had asked for", 1)
		return
	}
	a.watched = false
	if a.waits {
		a.list(c)
	}
}
