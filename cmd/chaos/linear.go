package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// register is the state of one znode; a pair of them is the object whose histories are checked.
type register struct {
	exists  bool
	value   string
	version int32
}

type pairState [2]register

// pairModel is what a pair may do (C1). An operation of unknown outcome happened or did not.
var pairModel = porcupine.NondeterministicModel{
	Init: func() []any { return []any{pairState{}} },
	Step: func(state, input, _ any) []any {
		s, e := state.(pairState), input.(*Entry)
		next, ok := s.after(e)
		switch {
		case e.Result != ResultUnknown && ok:
			return []any{next}
		case e.Result != ResultUnknown:
			return nil
		case ok && next != s:
			return []any{s, next}
		}
		return []any{s}
	},
	DescribeOperation: func(input, _ any) string {
		e := input.(*Entry)
		return fmt.Sprintf("%s %s %q %d -> %s %q %d", e.Op, e.Path[len(e.Path)-1:], e.Value, e.Want, e.Result, e.Got, e.Version)
	},
}

// after is the state that e leads to, if e can happen in s with the result that it had; an unknown result is any.
func (s pairState) after(e *Entry) (next pairState, ok bool) {
	if e.Op == OpMulti {
		return s.afterMulti(e)
	}
	r := &s[strings.IndexByte("ab", e.Path[len(e.Path)-1])]
	unknown := e.Result == ResultUnknown
	switch e.Op {
	case OpCreate:
		if e.Result == ResultExists {
			return s, r.exists
		}
		ok, *r = !r.exists, register{exists: true, value: e.Value}
	case OpDelete:
		if e.Result == ResultNoNode {
			return s, !r.exists
		}
		ok, *r = r.exists, register{}
	case OpSet, OpCas:
		switch e.Result {
		case ResultNoNode:
			return s, !r.exists
		case ResultBadVersion:
			return s, r.exists && r.version != e.Want
		}
		wanted := e.Op == OpSet || r.version == e.Want
		ok = r.exists && wanted && (unknown || r.version+1 == e.Version)
		r.value, r.version = e.Value, r.version+1
	case OpRead:
		if e.Result == ResultNoNode {
			return s, !r.exists
		}
		ok = unknown || r.exists && r.value == e.Got && r.version == e.Version
	}
	return s, ok
}

func (s pairState) afterMulti(e *Entry) (next pairState, ok bool) {
	both := s[0].exists && s[1].exists
	if e.Result == ResultNoNode {
		return s, !both
	}
	ok = both && (e.Result == ResultUnknown || s[0].version+1 == e.Version)
	for i := range s {
		s[i].value, s[i].version = e.Value, s[i].version+1
	}
	return s, ok
}

// checkPatience bounds the search through one pair's history.
const checkPatience = 20 * time.Second

// linearizable is C1. For the first violation it draws the history into file+".html".
func linearizable(h *index, file string) error {
	model := pairModel.ToModel()
	var all []error
	histories := h.pairs()
	for _, pair := range slices.Sorted(maps.Keys(histories)) {
		result, facts := porcupine.CheckOperationsVerbose(model, histories[pair], checkPatience)
		switch result {
		case porcupine.Ok:
		case porcupine.Unknown:
			all = append(all, fmt.Errorf("C1: %s: %d operations, no verdict within %v", pair, len(histories[pair]), checkPatience))
		case porcupine.Illegal:
			if len(all) < violationsMax {
				all = append(all, fmt.Errorf("C1: %s: %d operations are not linearizable%s", pair, len(histories[pair]), drawn(model, facts, file)))
			}
			file = ""
		}
	}
	return errors.Join(all...)
}

func drawn(model porcupine.Model, facts porcupine.LinearizationInfo, file string) string {
	if file == "" {
		return ""
	}
	f, err := os.Create(file + ".html")
	if err != nil {
		return ""
	}
	defer f.Close()
	if porcupine.Visualize(model, facts, f) != nil {
		return ""
	}
	return ": " + f.Name()
}

// pairs are the histories of the pairs. What was unanswered ends with the next answer that its session got from the quorum.
func (h *index) pairs() map[string][]porcupine.Operation {
	pairs := map[string][]porcupine.Operation{}
	number := 0
	for _, client := range slices.Sorted(maps.Keys(h.byClient)) {
		answered := int64(never) // when the session's next quorum answer came, going backwards
		session := int64(0)
		for _, e := range slices.Backward(h.byClient[client]) {
			end := e.End
			if e.Session != session {
				answered, session = never, e.Session
			}
			switch {
			case e.Result == ResultUnknown:
				end = max(end, answered)
			case e.fromQuorum():
				answered = e.End
			}
			if pair, ok := e.pair(); ok && (e.Result != ResultUnknown || e.Op != OpRead) {
				pairs[pair] = append(pairs[pair], porcupine.Operation{ClientId: number, Input: e, Call: e.Begin, Return: end})
			}
		}
		number++
	}
	for _, list := range pairs {
		slices.SortFunc(list, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	}
	return pairs
}

// fromQuorum says whether the answer came through the log, behind everything that the client had sent before.
func (e *Entry) fromQuorum() bool {
	return e.Result != "" && e.Result != ResultUnknown && (e.Op.writes() || e.Op == OpRead || e.Op == OpCensus)
}

// pair is the pair of registers that an operation is about, if the check is.
func (e *Entry) pair() (string, bool) {
	if !strings.HasPrefix(e.Path, registerPath+"/") {
		return "", false
	}
	switch e.Op {
	case OpMulti:
		return e.Path, true
	case OpCreate, OpDelete, OpSet, OpCas, OpRead:
		return e.Path[:len(e.Path)-2], true
	}
	return "", false
}
