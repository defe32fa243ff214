package sim

import (
	"fmt"
	"math"
	"sort"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	zk "holt/netloop/wire"
	"holt/tree"
)

// history is what clients did to the registers, a few persistent znodes that many fight over, and what they were told.
// It knows nothing of the log: it is there so that linearizability does not rest on truth alone.
type history struct {
	*world
	clock int64
	ops   map[string][]*operation // by register
	begun map[*request][]*operation

	unproven int // registers that porcupine could not decide in time
}

// operation is one call on one register. Writes whose answer was lost are open until the end and may have happened.
type operation struct {
	client       int
	call, ret    int64
	kind         zk.Op // create, setData, delete; getData stands for all reads
	version      int32
	data         string
	code         tree.Code
	exists       bool
	got          int32 // version read or made
	gotData      string
	lost, absent bool
}

const lostNs = math.MaxInt64

func newHistory(w *world) *history {
	return &history{world: w, ops: map[string][]*operation{}, begun: map[*request][]*operation{}}
}

func isRegister(path string) bool { return strings.HasPrefix(path, "/r") }

func (w *world) now() int64 {
	w.registers.clock++
	return w.registers.clock
}

func (c *client) history() *history { return c.registers }

// begin notes the call of a write.
func (h *history) begin(c *client, r *request) {
	switch r.op {
	case zk.OpSync:
		r.called = h.now()
		return
	case zk.OpCreate2, zk.OpSetData, zk.OpDelete:
		r.called = h.now()
		if isRegister(r.path) {
			h.call(c, r, &operation{kind: r.op, version: r.version, data: r.data}, r.path)
		}
	case zk.OpMulti:
		r.called = h.now()
	case zk.OpGetData:
		if c.linearizable(r.path) && !c.readOnly {
			r.called = h.now()
		}
	}
}

func (h *history) call(c *client, r *request, o *operation, path string) {
	o.client, o.call, o.ret, o.lost = c.id, r.called, lostNs, true
	h.ops[path] = append(h.ops[path], o)
	h.begun[r] = append(h.begun[r], o)
}

// wrote notes the answer of a write.
func (h *history) wrote(c *client, r *request, code tree.Code, x *txn) {
	c.bound = max(c.bound, r.called)
	for _, o := range h.begun[r] {
		o.lost, o.ret, o.code = false, h.now(), code
		if code == tree.OK && r.op == zk.OpSetData {
			o.got = x.stat.Version
		}
	}
	delete(h.begun, r)
}

// refused: the write was not taken.
func (h *history) refused(r *request) {
	for _, o := range h.begun[r] {
		o.absent = true
	}
	delete(h.begun, r)
}

// unknown: the connection went before the answer came.
func (h *history) unknown(r *request) { delete(h.begun, r) }

// read notes a read. It is as new as the last thing that this session had confirmed: a write or a sync. One that is
// configured to be linearizable is as new as its call.
func (h *history) read(c *client, r *request, exists bool, n tree.Node) {
	call := max(c.bound, r.called)
	if !isRegister(r.path) || call == 0 {
		return
	}
	o := &operation{client: c.id, call: call, ret: h.now(), kind: zk.OpGetData, exists: exists}
	if exists {
		o.got, o.gotData = n.Stat().Version, string(n.Data())
	}
	h.ops[r.path] = append(h.ops[r.path], o)
}

// register is the state of one znode in the model.
type register struct {
	exists  bool
	version int32
	data    string
}

func registerStep(s register, o *operation) (possible bool, next register) {
	code := tree.OK
	next = s
	switch o.kind {
	case zk.OpCreate2:
		if s.exists {
			code = tree.NodeExists
		} else {
			next = register{true, 0, o.data}
		}
	case zk.OpSetData:
		switch {
		case !s.exists:
			code = tree.NoNode
		case o.version != -1 && o.version != s.version:
			code = tree.BadVersion
		default:
			next = register{true, s.version + 1, o.data}
		}
	case zk.OpDelete:
		switch {
		case !s.exists:
			code = tree.NoNode
		case o.version != -1 && o.version != s.version:
			code = tree.BadVersion
		default:
			next = register{}
		}
	case zk.OpGetData:
		return s.exists == o.exists && (!s.exists || s.version == o.got && s.data == o.gotData), s
	}
	if o.lost {
		return true, next // and it may stay open for ever, which is that it did not happen
	}
	if o.code == tree.SessionExpired || o.code == tree.SessionMoved {
		return true, s
	}
	return o.code == code && (code != tree.OK || o.kind != zk.OpSetData || o.got == next.version), next
}

var registerModel = porcupine.Model{
	Init: func() any { return register{} },
	Step: func(state, input, _ any) (bool, any) {
		return step(state.(register), input.(*operation))
	},
	DescribeOperation: func(input, _ any) string { return fmt.Sprintf("%+v", input) },
}

func step(s register, o *operation) (bool, any) {
	ok, next := registerStep(s, o)
	return ok, next
}

// proveWithin is real time: what porcupine finds is no part of the trace.
const proveWithin = 2 * time.Second

// check asks porcupine about every register.
func (h *history) check() {
	paths := make([]string, 0, len(h.ops))
	for p := range h.ops {
		paths = append(paths, p)
	}
	sort.Strings(paths)
	for _, p := range paths {
		var all []porcupine.Operation
		for _, o := range h.ops[p] {
			if !o.absent {
				all = append(all, porcupine.Operation{ClientId: o.client, Input: o, Call: o.call, Return: o.ret})
			}
		}
		switch porcupine.CheckOperationsTimeout(registerModel, all, proveWithin) {
		case porcupine.Unknown:
			h.unproven++
		case porcupine.Illegal:
			h.broken("linearizable", "the %d operations on %s have no order that explains their answers", len(all), p)
		}
	}
}
