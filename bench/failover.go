package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"holt/netloop/wire"
)

// failoverLoad writes while servers fail, and measures the gap that clients see. Each connection writes a znode of its
// own with a number that goes up. A lost connection is no fault here: the client goes to the next server with its session.
// That an acknowledged number is not there at the end is one.
type failoverLoad struct {
	run     *run
	actors  []*survivor
	lastNs  atomic.Int64 // of the last acknowledgement of any client
	gapNs   atomic.Int64 // the longest time without any
	losses  atomic.Int64
	unknown atomic.Int64
}

func (p *failoverLoad) series() []series {
	return []series{{name: "set", counts: true}, {name: "reconnect"}}
}

func (p *failoverLoad) znode(number int) []byte {
	return appendDigits(append([]byte(p.run.root), "/w"...), uint32(number), 6)
}

func (p *failoverLoad) prepare(r *run, s *Conn) error {
	w := window{Conn: s}
	for n := range r.cfg.Conns {
		if err := w.create(p.znode(n), make([]byte, 8)); err != nil {
			return err
		}
	}
	return w.wait()
}

func (p *failoverLoad) actor(_ *run, number int) actor {
	a := &survivor{load: p, path: p.znode(number)}
	p.actors = append(p.actors, a)
	return a
}

// check reads what is there of every acknowledged write.
func (p *failoverLoad) check(r *run, s *Conn) error {
	w := window{Conn: s}
	for _, a := range p.actors {
		q := wire.WatchRequest{Path: a.path}
		if err := w.ask(wire.OpGetData, q.Append, func(reply Reply) error {
			var d wire.DataReply
			body := wire.NewReader(reply.Body)
			if reply.Err != wire.CodeOK || !d.Parse(&body) || len(d.Data) < 8 || binary.BigEndian.Uint64(d.Data) < a.acknowledged {
				r.fault(FaultOrder, "an acknowledged write that is not there", 1)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return w.wait()
}

func (p *failoverLoad) figures(r *run, report *Report) {
	longest := int64(0)
	for _, a := range p.actors {
		longest = max(longest, a.gapNs)
	}
	report.add(FigureWriteGap, float64(p.gapNs.Load()), "ns")
	report.add("longest gap of one client", float64(longest), "ns")
	report.add("connections lost", float64(p.losses.Load()), "")
	report.add("writes whose outcome is unknown", float64(p.unknown.Load()), "")
}

// survivor is one connection.
type survivor struct {
	quiet
	load         *failoverLoad
	path         []byte
	number       uint64
	acknowledged uint64
	lastNs       int64
	lostNs       int64
	gapNs        int64
}

func (a *survivor) opened(c *client, _ bool) {
	if !c.told {
		c.ready()
		return
	}
	if a.lostNs != 0 {
		c.measure(1, a.lostNs)
		a.lostNs = 0
	}
	a.write(c)
}

func (a *survivor) begin(c *client) { a.write(c) }

func (a *survivor) write(c *client) {
	if c.loop.phase < phaseWarm || c.loop.stopping() || c.state != clientOpen {
		return
	}
	var data [8]byte
	a.number++
	binary.BigEndian.PutUint64(data[:], a.number)
	q := wire.SetDataRequest{Path: a.path, Data: data[:], Version: wire.AnyVersion}
	c.end(q.Append(c.begin(wire.OpSetData)), 0, 0, 0)
}

func (a *survivor) reply(c *client, w request, p *reply) {
	if p.code == wire.CodeOK {
		a.acknowledged = a.number
		c.measure(0, w.startNs)
		a.count(c)
	} else if p.code != wire.CodeConnectionLoss && p.code != wire.CodeSessionMoved {
		c.expect(p, "set")
	}
	if every := c.loop.run.cfg.Hold; every > 0 {
		c.loop.after(every.Nanoseconds(), c, 0)
		return
	}
	a.write(c)
}

func (a *survivor) poke(c *client, _ int32) {
	if c.waiting.empty() {
		a.write(c)
	}
}

// count follows the gaps between acknowledgements in the measured time.
func (a *survivor) count(c *client) {
	now, begin := c.loop.now, c.loop.run.beginNs.Load()
	last := a.load.lastNs.Swap(now)
	if begin == 0 || c.loop.phase != phaseMeasure {
		a.lastNs = now
		return
	}
	a.gapNs = max(a.gapNs, now-max(a.lastNs, begin))
	a.lastNs = now
	for gap := now - max(last, begin); ; {
		longest := a.load.gapNs.Load()
		if gap <= longest || a.load.gapNs.CompareAndSwap(longest, gap) {
			return
		}
	}
}

func (a *survivor) lost(c *client, unanswered int, err error) {
	if c.failures == 1 {
		a.load.losses.Add(1)
	}
	a.load.unknown.Add(int64(unanswered))
	if a.lostNs == 0 {
		a.lostNs = c.loop.now
	}
	if errors.Is(err, errExpired) {
		c.fault(FaultError, fmt.Sprintf("session lost: %v", err), 1)
	}
	c.reconnect(retryNs)
}

// retryNs is how soon a client tries the next server: short, so that what is measured is the servers' gap.
const retryNs = int64(5e6)

// idle does not wait for a client that finds no server.
func (a *survivor) idle(c *client) bool { return c.waiting.empty() }
