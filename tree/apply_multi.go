package tree

import (
	"encoding/binary"
	"fmt"
)

// multi runs its operations under one zxid, all or none. sessionCode is the
// outcome of the session check and fails the whole.
//
// Changes are logged for a rollback, except those of the last operation, which
// like every operation changes nothing when it fails.
func (s *State) multi(t *Txn, body []byte, sessionCode Code) (Code, error) {
	ops, err := parseMulti(s.ops[:0], body)
	if err != nil {
		return OK, err
	}
	s.keepOps(ops)
	if sessionCode != OK {
		t.fail(len(ops), 0, sessionCode)
		return sessionCode, nil
	}
	for i := range ops {
		if !ops[i].modeKnown() {
			// ZooKeeper cannot decode such a multi.
			return MarshallingError, nil
		}
	}
	if t.Multi = []MultiResult{}; t.Local {
		t.Multi = make([]MultiResult, 0, len(ops))
	}
	changes := len(s.out.Changes)
	for i := range ops {
		s.logging = i < len(ops)-1
		r := MultiResult{Op: ops[i].op}
		code, err := s.operation(&r, ops[i].body, OK, true)
		if err != nil {
			return OK, fmt.Errorf("operation %d, op %d: %w", i, r.Op, err)
		}
		if code != OK {
			s.rollback()
			clear(s.out.Changes[changes:])
			s.out.Changes = s.out.Changes[:changes]
			if code == MarshallingError {
				// What ZooKeeper stumbles over is no result of one operation.
				t.Multi = nil
				return code, nil
			}
			t.fail(len(ops), i, code)
			return OK, nil
		}
		if t.Local {
			t.Multi = append(t.Multi, r.shown())
		}
	}
	s.forgetLog()
	return OK, nil
}

// keepOps keeps the memory of a short multi's operations for the next one.
func (s *State) keepOps(ops []multiOp) {
	if cap(ops) <= multiOpsKept {
		s.ops = ops
	}
}

// fail makes the results of a multi of n operations that failed at i.
func (t *Txn) fail(n, i int, code Code) {
	t.Multi = []MultiResult{}
	if !t.Local {
		return
	}
	for j := range n {
		r := MultiResult{Op: OpError, Code: RuntimeInconsistency}
		switch {
		case j < i:
			r.Code = OK
		case j == i:
			r.Code = code
		}
		t.Multi = append(t.Multi, r)
	}
}

// shown is the result as a client sees it: containers and TTL nodes answer as
// create2, and only those that answer a stat keep one.
func (r MultiResult) shown() MultiResult {
	switch r.Op {
	case OpCreateContainer, OpCreateTTL:
		r.Op = OpCreate2
	case OpCreate:
		r.Stat = Stat{}
	}
	return r
}

// multiOp is one operation of a multi.
type multiOp struct {
	op   Op
	body []byte
}

// modeKnown says whether ZooKeeper could decode the operation: while decoding
// creates other than createTTL it refuses unknown flags, and those that want a
// TTL (MultiOperationRecord.deserialize).
func (o *multiOp) modeKnown() bool {
	switch o.op {
	case OpCreate, OpCreate2, OpCreateContainer:
		flags := int32(binary.LittleEndian.Uint32(o.body))
		return flags >= FlagPersistent && flags <= FlagContainer
	}
	return true
}

// asDecoded is the op as ZooKeeper's Op.create understands it: in a multi the
// flags decide what a create is, so flag 4 makes a container even through
// create, and createTTL without a TTL flag is a plain create.
func asDecoded(op Op, flags int32) Op {
	isTTL := flags == FlagTTL || flags == FlagTTLSequential
	switch {
	case flags == FlagContainer:
		return OpCreateContainer
	case op == OpCreateTTL && !isTTL:
		return OpCreate
	}
	return op
}

// parseMulti splits a multi and checks the shape of every operation, so that
// what cannot be run fails before anything has been. It appends to ops.
func parseMulti(ops []multiOp, b []byte) ([]multiOp, error) {
	for len(b) > 0 {
		if len(b) < frameBytes+2 {
			return nil, fmt.Errorf("operation %d in %d bytes: %w", len(ops), len(b), ErrMalformed)
		}
		n := uint64(binary.LittleEndian.Uint32(b))
		if n < 2 || n > uint64(len(b)-frameBytes) {
			return nil, fmt.Errorf("operation %d of length %d in %d bytes: %w", len(ops), n, len(b), ErrMalformed)
		}
		o := multiOp{Op(binary.LittleEndian.Uint16(b[frameBytes:])), b[frameBytes+2 : frameBytes+n : frameBytes+n]}
		switch o.op {
		case OpCreate, OpCreate2, OpCreateContainer, OpCreateTTL:
			if len(o.body) < 4 {
				return nil, fmt.Errorf("create of %d bytes in a multi: %w", len(o.body), ErrMalformed)
			}
		case OpDelete, OpSetData, OpCheck:
		default:
			return nil, fmt.Errorf("op %d in a multi: %w", o.op, ErrMalformed)
		}
		ops = append(ops, o)
		b = b[frameBytes+n:]
	}
	return ops, nil
}
