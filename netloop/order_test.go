package netloop

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"holt/netloop/wire"
)

// request is one step of a transcript test.
type request struct {
	op   wire.Op
	body func([]byte) []byte
}

// pipelined makes requests of one client in its own directory: reads, writes, watches, syncs and pings mixed.
func pipelined(r *rand.Rand, dir string, n int) []request {
	reqs := []request{{wire.OpCreate, createBody(dir, "", 0)}}
	for i := range n {
		p := fmt.Sprintf("%s/n%d", dir, r.IntN(4))
		switch r.IntN(11) {
		case 0, 1:
			reqs = append(reqs, request{wire.OpCreate, createBody(p, fmt.Sprint(i), 0)})
		case 2:
			reqs = append(reqs, request{wire.OpCreate, createBody(dir+"/s", "", 3)})
		case 3:
			reqs = append(reqs, request{wire.OpDelete, deleteBody(p)})
		case 4, 5:
			reqs = append(reqs, request{wire.OpSetData, setBody(p, fmt.Sprint(i))})
		case 6:
			reqs = append(reqs, request{wire.OpGetData, watchBody(p, r.IntN(2) == 0)})
		case 7:
			reqs = append(reqs, request{wire.OpExists, watchBody(p, r.IntN(2) == 0)})
		case 8:
			reqs = append(reqs, request{wire.OpGetChildren, watchBody(dir, r.IntN(2) == 0)})
		case 9:
			reqs = append(reqs, request{wire.OpSync, pathBody(p)})
		case 10:
			reqs = append(reqs, request{wire.OpPing, nil})
		}
	}
	return reqs
}

// play sends requests in random segments and returns what the client saw.
func play(t *testing.T, addr string, reqs []request, r *rand.Rand, oneByOne bool) string {
	t.Helper()
	c := openRaw(t, addr)
	var b strings.Builder
	seen := func(i int) {
		for {
			p := c.reply()
			if p.Xid == wire.XidPing {
				p.Xid = wire.Xid(i + 1)
			}
			b.WriteString(p.text(reqs[i].op) + "\n")
			if p.Xid != wire.XidEvent {
				if int(p.Xid) != i+1 {
					t.Fatalf("N1: reply %d where %d was due", p.Xid, i+1)
				}
				return
			}
		}
	}
	if oneByOne {
		for i, q := range reqs {
			c.add(i+1, q.op, q.body)
			c.send()
			seen(i)
		}
		return b.String()
	}
	var all []byte
	for i, q := range reqs {
		c.add(i+1, q.op, q.body)
		all = append(all, c.out...)
		c.out = c.out[:0]
	}
	go func() {
		for len(all) > 0 {
			n := min(len(all), 1+r.IntN(700))
			if _, err := c.conn.Write(all[:n]); err != nil {
				return
			}
			all = all[n:]
		}
	}()
	for i := range reqs {
		seen(i)
	}
	return b.String()
}

// TestN1N2N3_OneTranscript: what a client sees does not depend on how its requests are cut into segments, how commits
// are batched and how many loops there are: it is what a client sees that waits for every answer.
func TestN1N2N3_OneTranscript(t *testing.T) {
	const clients, steps = 5, 300
	for _, seed := range []uint64{1, 2, 3} {
		want := make([]string, clients)
		for _, mode := range []struct {
			name         string
			loops, batch int
			oneByOne     bool
			linear       bool
		}{
			{"alone", 1, 1, true, false},
			{"loops=1/batch=1", 1, 1, false, false},
			{"loops=1/batch=7", 1, 7, false, false},
			{"loops=1/batch=all", 1, 0, false, false},
			{"loops=3/batch=3", 3, 3, false, false},
			{"loops=3/batch=50", 3, 50, false, false},
			{"loops=3/batch=all", 3, 0, false, false},
			{"linear/loops=1/batch=1", 1, 1, false, true},
			{"linear/loops=3/batch=50", 3, 50, false, true},
			{"linear/alone", 1, 1, true, true},
		} {
			t.Run(fmt.Sprintf("seed=%d/%s", seed, mode.name), func(t *testing.T) {
				q := newFakeQuorum(t)
				q.batchMax = mode.batch
				if !mode.oneByOne {
					q.pace = func() { time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond) }
				}
				_, addr := startServer(t, q, func(c *Config) { c.Loops = mode.loops; c.OutstandingPerConn = 40; c.LinearizableReads = mode.linear })
				var wg sync.WaitGroup
				got := make([]string, clients)
				for i := range clients {
					wg.Go(func() {
						r := rand.New(rand.NewPCG(seed, uint64(i)))
						reqs := pipelined(r, fmt.Sprintf("/d%d", i), steps)
						got[i] = play(t, addr, reqs, r, mode.oneByOne)
					})
				}
				wg.Wait()
				for i := range clients {
					if want[i] == "" {
						want[i] = got[i]
					} else if got[i] != want[i] {
						t.Errorf("client %d saw\n%s", i, firstDifference(got[i], want[i]))
					}
				}
			})
		}
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d: %q\nwant %q\nafter %q", i, g[i], w[i], w[max(0, i-5):i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

// TestN3_EventBeforeReply: the event of a client's own write comes before the write's reply, that of another's before
// any read that shows it.
func TestN3_EventBeforeReply(t *testing.T) {
	_, addr := startServer(t, newFakeQuorum(t), func(c *Config) { c.Loops = 2 })
	a, b := openRaw(t, addr), openRaw(t, addr)
	a.call(1, wire.OpCreate, createBody("/w", "0", 0))
	for i := range 200 {
		xid := 10 * i
		a.call(xid+2, wire.OpGetData, watchBody("/w", true))
		b.add(xid+3, wire.OpSetData, setBody("/w", fmt.Sprint(i)))
		b.send()
		a.add(xid+4, wire.OpGetData, watchBody("/w", false))
		a.send()
		event, version := false, int32(i)
		for !event || version != int32(i+1) {
			p := a.reply()
			if p.Xid == wire.XidEvent {
				event = true
			} else {
				var d wire.DataReply
				r := wire.NewReader(p.body)
				d.Parse(&r)
				if version = d.Stat.Version; version == int32(i+1) && !event {
					t.Fatal("N3: the new version was shown before its event")
				}
			}
			if event && version != int32(i+1) {
				a.add(xid+5, wire.OpGetData, watchBody("/w", false))
				a.send()
			} else if !event && p.Xid != wire.XidEvent {
				a.add(xid+5, wire.OpGetData, watchBody("/w", false))
				a.send()
			}
		}
		b.reply()
		a.add(xid+6, wire.OpPing, nil)
		a.send()
		for a.reply().Xid != wire.XidPing {
		}
	}
	a.call(9000, wire.OpGetData, watchBody("/w", true))
	a.add(9001, wire.OpSetData, setBody("/w", "own"))
	a.send()
	if p := a.reply(); p.Xid != wire.XidEvent {
		t.Fatalf("N3: the reply %d came before the own event", p.Xid)
	}
	if p := a.reply(); p.Xid != 9001 || p.Err != 0 {
		t.Fatalf("reply %+v", p)
	}
}
