package main

import (
	"fmt"

	"holt/netloop/wire"
)

// Mode wide has one directory with more children than a server lists in one piece, long multis, long lists of watches, and
// requests of just the size that is still taken.
const (
	wideDir      = "/wide"
	wideChildren = 10_000
	wireFrameMax = 0xfffff // jute.maxbuffer: payload bytes of the largest request
)

func wideName(i int) string { return fmt.Sprintf("%s/child-%05d", wideDir, i) }

// wideDirectory creates it.
func (g *generator) wideDirectory() []step {
	mkdir := (&wire.CreateRequest{Path: []byte(wideDir), ACL: wire.OpenACL}).Append(nil)
	s := step{kind: stepBurst, slot: 0, requests: []request{g.requestOf(0, wire.OpCreate, mkdir)}}
	for i := 0; i < wideChildren; {
		var b []byte
		for range 1000 {
			op := wire.MultiOp{Op: wire.OpCreate, Path: []byte(wideName(i)), ACL: wire.OpenACL}
			b = op.Append(b)
			i++
		}
		s.requests = append(s.requests, g.requestOf(0, wire.OpMulti, wire.AppendMultiEnd(b)))
	}
	return []step{s}
}

// widePath is the directory or, more often, a child that may exist.
func (g *generator) widePath() []byte {
	if g.chance(30) {
		return []byte(wideDir)
	}
	return []byte(wideName(g.rng.IntN(wideChildren + 100)))
}

// exactFrame is a setData whose payload has this many bytes.
func (g *generator) exactFrame(slot, payloadBytes int) request {
	q := wire.SetDataRequest{Path: g.widePath(), Version: -1}
	empty := len(q.Append(nil)) + wire.RequestHeaderBytes
	q.Data = make([]byte, payloadBytes-empty)
	return g.requestOf(slot, wire.OpSetData, q.Append(nil))
}
