package bench

// sessionLoad opens sessions and closes them, each on a connection of its own.
type sessionLoad struct{ plainWorkload }

const (
	sessionOpen = iota
	sessionClose
)

func (sessionLoad) series() []series {
	return []series{{name: "open", counts: true}, {name: "close"}}
}

func (sessionLoad) actor(*run, int) actor { return &sessionActor{} }

type sessionActor struct{ quiet }

func (a *sessionActor) opened(c *client, _ bool) {
	if !c.told {
		c.ready()
		return
	}
	c.measure(sessionOpen, c.dialNs)
	c.leave()
}

func (a *sessionActor) begin(c *client) {
	if c.state == clientOpen {
		c.leave()
	}
}

func (a *sessionActor) reply(c *client, w request, _ *reply) {
	c.measure(sessionClose, w.startNs)
	if !c.loop.stopping() {
		c.loop.enqueue(c)
	}
}

func (a *sessionActor) idle(c *client) bool {
	return c.state == clientClosed || c.state == clientOpen && c.waiting.empty()
}

// idleLoad holds sessions that do nothing but ping.
type idleLoad struct{ plainWorkload }

func (idleLoad) series() []series { return []series{{name: seriesPing, counts: true}} }

func (idleLoad) actor(*run, int) actor { return quietActor{} }

// quietActor is an actor that asks nothing; its client pings.
type quietActor struct{ quiet }

func (idleLoad) figures(r *run, report *Report) {
	if report.Server != nil { // at the end: what opening them took is no part of idle sessions
		report.add(FigureSessionBytes, float64(report.Server.RSS-r.rssBefore)/float64(r.cfg.Conns), "bytes")
	}
}
