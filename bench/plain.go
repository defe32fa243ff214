package bench

import (
	"math/rand/v2"
	"slices"

	"holt/netloop/wire"
)

// plainOp is a request of the plain workloads, and the kind by which its reply is recognised.
type plainOp uint8

const (
	opGet plainOp = iota
	opExists
	opSet
	opCreate
	opCreateDelete // a create whose znode a later turn deletes
	opEphemeral    // the same with an ephemeral znode
	opMulti
	opChildren
	opSync
	opDelete // the other half of opCreateDelete and opEphemeral
	plainOpCount
)

var plainOpNames = [plainOpCount]string{"get", "exists", "set", "create", "create-delete", "ephemeral", "multi", "children", "sync", "delete"}

// MixOps are the operations that a mix may hold.
func MixOps() []string { return plainOpNames[:opDelete] }

// plainLoad is every workload whose requests depend on nothing but chance: one operation, or several by weight. In a closed
// loop each reply lets the next request go; in an open loop the schedule does.
type plainLoad struct {
	plainWorkload
	run      *run
	turns    []plainOp // as many of each operation as its weight; a request takes one at random
	ops      [plainOpCount]plainShape
	list     []series
	seriesOf [plainOpCount]int
	blob     blob
}

// plainShape is what one operation of a mix has of its own.
type plainShape struct {
	keys  chooser
	value Range
}

// newPlainLoad is a load of the given operations, or without any of those that the run is configured for.
func newPlainLoad(only ...Share) func(r *run) (workload, error) {
	return func(r *run) (workload, error) {
		p := &plainLoad{run: r}
		mix := only
		if len(mix) == 0 {
			mix = r.cfg.Mix
		}
		if len(mix) == 0 {
			mix = []Share{{Op: "get", Weight: 90}, {Op: "set", Weight: 10}}
		}
		biggest := r.cfg.Value
		random := rand.New(rand.NewPCG(r.cfg.Seed, 1<<63))
		for _, share := range mix {
			op := plainOp(slices.Index(plainOpNames[:], share.Op))
			shape := plainShape{value: r.cfg.Value}
			keys := r.cfg.Keys
			if share.Keys != nil {
				keys = *share.Keys
			}
			if share.Value != nil {
				shape.value = *share.Value
			}
			n := r.cfg.Nodes
			if op == opChildren {
				n = p.directories()
			}
			shape.keys = newChooser(keys, n, random)
			biggest.Max = max(biggest.Max, shape.value.Max)
			p.ops[op] = shape
			for range share.Weight {
				p.turns = append(p.turns, op)
			}
			p.addSeries(op)
		}
		p.blob = newBlob(biggest)
		return p, nil
	}
}

// addSeries gives the operation a series of latencies.
func (p *plainLoad) addSeries(op plainOp) {
	names := []string{plainOpNames[op]}
	ops := []plainOp{op}
	switch op {
	case opCreateDelete:
		names, ops = []string{"create", "delete"}, append(ops, opDelete)
	case opEphemeral:
		names, ops = []string{"create-ephemeral", "delete"}, append(ops, opDelete)
	}
	for i, name := range names {
		at := slices.IndexFunc(p.list, func(s series) bool { return s.name == name })
		if at < 0 {
			at = len(p.list)
			p.list = append(p.list, series{name: name, counts: true})
		}
		p.seriesOf[ops[i]] = at
	}
}

func (p *plainLoad) series() []series { return p.list }

func (p *plainLoad) uses(ops ...plainOp) bool {
	return slices.ContainsFunc(p.turns, func(op plainOp) bool { return slices.Contains(ops, op) })
}

// directories is how many directories getChildren chooses from.
func (p *plainLoad) directories() int {
	return max(1, min(10, p.run.cfg.Nodes/max(1, p.run.cfg.Fanout)))
}

func (p *plainLoad) prepare(r *run, s *Conn) error {
	if p.uses(opGet, opExists, opSet, opMulti, opSync) && !r.cfg.Filled {
		if err := Fill(s, r.root, r.cfg.Nodes, r.cfg.Value); err != nil {
			return err
		}
	}
	w := window{Conn: s}
	if p.uses(opChildren) {
		for d := range uint32(p.directories()) {
			if err := w.create(p.appendDirectory(nil, "/f", d), nil); err != nil {
				return err
			}
			for n := range uint32(r.cfg.Fanout) {
				path := appendDigits(append(p.appendDirectory(nil, "/f", d), "/n"...), n, 10)
				if err := w.create(path, nil); err != nil {
					return err
				}
			}
		}
	}
	if p.uses(opCreate, opCreateDelete, opEphemeral) {
		for n := range uint32(r.cfg.Conns) {
			if err := w.create(p.appendDirectory(nil, "/c", n), nil); err != nil {
				return err
			}
		}
	}
	return w.wait()
}

// appendDirectory is the path of a directory of its own: of a connection (/c), or to list (/f).
func (p *plainLoad) appendDirectory(dst []byte, kind string, n uint32) []byte {
	return appendDigits(append(append(dst, p.run.root...), kind...), n, 6)
}

func (p *plainLoad) actor(r *run, number int) actor {
	a := &plainActor{load: p, random: rand.New(rand.NewPCG(r.cfg.Seed, uint64(number)))}
	a.cursor = a.random.Uint32()
	a.own = append(p.appendDirectory(nil, "/c", uint32(number)), "/n"...)
	return a
}

// plainActor is one connection of a plainLoad.
type plainActor struct {
	quiet
	load    *plainLoad
	random  *rand.Rand
	cursor  uint32   // over drawn keys
	own     []byte   // the path of znodes of its own, but for the number
	serial  uint32   // of the last one
	created []uint32 // those that are to be deleted
	path    [256]byte
}

func (a *plainActor) begin(c *client) {
	if c.loop.run.cfg.Rate > 0 || c.state != clientOpen {
		return
	}
	for range c.loop.run.cfg.Pipeline {
		a.issue(c, 0)
	}
}

func (a *plainActor) opened(c *client, again bool) {
	if !again {
		c.ready()
	}
	if again && c.loop.phase >= phaseWarm && !c.loop.stopping() {
		a.begin(c)
	}
}

// issue sends one request: the one that the weights and chance choose.
func (a *plainActor) issue(c *client, startNs int64) {
	p := a.load
	op := p.turns[0]
	if len(p.turns) > 1 {
		op = p.turns[a.random.Uint32N(uint32(len(p.turns)))]
	}
	switch op {
	case opCreate:
		a.create(c, op, wire.FlagPersistent, startNs)
	case opCreateDelete, opEphemeral:
		if len(a.created) > 0 {
			a.delete(c, startNs)
			return
		}
		flags := wire.FlagPersistent
		if op == opEphemeral {
			flags = wire.FlagEphemeral
		}
		a.create(c, op, flags, startNs)
	case opMulti:
		a.multi(c, startNs)
	default:
		a.keyed(c, op, startNs)
	}
}

var plainWireOps = [plainOpCount]wire.Op{
	opGet: wire.OpGetData, opExists: wire.OpExists, opSet: wire.OpSetData, opChildren: wire.OpGetChildren, opSync: wire.OpSync,
}

// keyed sends a request for one znode of the key space.
func (a *plainActor) keyed(c *client, op plainOp, startNs int64) {
	p := a.load
	shape := &p.ops[op]
	key := shape.keys.pick(a.random, &a.cursor)
	b := c.begin(plainWireOps[op])
	switch op {
	case opChildren:
		b = wire.AppendBuffer(b, p.appendDirectory(a.path[:0], "/f", key))
		b = wire.AppendBool(b, false)
	case opSync:
		b = wire.AppendBuffer(b, appendKey(a.path[:0], p.run.root, key))
	case opSet:
		b = wire.AppendBuffer(b, appendKey(a.path[:0], p.run.root, key))
		b = wire.AppendBuffer(b, p.blob.pick(shape.value, a.random))
		b = wire.AppendInt32(b, wire.AnyVersion)
	default:
		b = wire.AppendBuffer(b, appendKey(a.path[:0], p.run.root, key))
		b = wire.AppendBool(b, false)
	}
	c.end(b, uint8(op), key, startNs)
}

func (a *plainActor) create(c *client, op plainOp, flags int32, startNs int64) {
	a.serial++
	q := wire.CreateRequest{
		Path: appendDigits(append(a.path[:0], a.own...), a.serial, 10),
		Data: a.load.blob.pick(a.load.ops[op].value, a.random), ACL: wire.OpenACL, Flags: flags,
	}
	c.end(q.Append(c.begin(wire.OpCreate)), uint8(op), a.serial, startNs)
}

func (a *plainActor) delete(c *client, startNs int64) {
	serial := a.created[len(a.created)-1]
	a.created = a.created[:len(a.created)-1]
	q := wire.VersionRequest{Path: appendDigits(append(a.path[:0], a.own...), serial, 10), Version: wire.AnyVersion}
	c.end(q.Append(c.begin(wire.OpDelete)), uint8(opDelete), serial, startNs)
}

func (a *plainActor) multi(c *client, startNs int64) {
	p := a.load
	shape := &p.ops[opMulti]
	b := c.begin(wire.OpMulti)
	for range p.run.cfg.Ops {
		o := wire.MultiOp{
			Op: wire.OpSetData, Path: appendKey(a.path[:0], p.run.root, shape.keys.pick(a.random, &a.cursor)),
			Data: p.blob.pick(shape.value, a.random), Version: wire.AnyVersion,
		}
		b = o.Append(b)
	}
	c.end(wire.AppendMultiEnd(b), uint8(opMulti), 0, startNs)
}

func (a *plainActor) reply(c *client, w request, p *reply) {
	op := plainOp(w.kind)
	if p.code != wire.CodeOK && !a.forgive(op, p.code) {
		c.expect(p, plainOpNames[op])
	}
	if op == opCreateDelete || op == opEphemeral {
		a.created = append(a.created, w.arg)
	}
	c.measure(a.load.seriesOf[op], w.startNs)
	if c.loop.run.cfg.Rate == 0 && !c.loop.stopping() {
		a.issue(c, 0)
	}
}

// forgive says whether the code is what must be expected after a connection was lost: the znode's fate is unknown then.
func (a *plainActor) forgive(op plainOp, code wire.Code) bool {
	return a.load.run.cfg.Workload == workloadFailover &&
		(op == opDelete && code == wire.CodeNoNode || op == opCreate && code == wire.CodeNodeExists)
}

// blob is random data, of which requests send parts.
type blob struct {
	bytes []byte
	sizes Range
}

func newBlob(sizes Range) blob {
	b := blob{bytes: make([]byte, sizes.Max+4096), sizes: sizes}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range b.bytes {
		b.bytes[i] = byte(random.Uint32())
	}
	return b
}

// pick is data of a size from the range.
func (b *blob) pick(sizes Range, random *rand.Rand) []byte {
	n := sizes.Min
	if sizes.Max > n {
		n += random.IntN(sizes.Max - n + 1)
	}
	return b.bytes[:n]
}

// at is the data that a znode of the key space is made with.
func (b *blob) at(key uint32) []byte {
	n := b.sizes.Min
	if spread := b.sizes.Max - n; spread > 0 {
		n += int(key*2_654_435_761) % (spread + 1)
	}
	return b.bytes[:n]
}
