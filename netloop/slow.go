package netloop

import "time"

// restrain stops a client that does not read: its requests wait, and when events pile up it is closed.
func (l *loop) restrain(c *conn) {
	unsent := c.link.Outbound()
	if unsent < outboundBytesSoft && len(c.parts) == 0 {
		return
	}
	if unsent+len(c.out) > l.cfg.OutboundBytesMax {
		l.cfg.Metrics.ConnsSlow.Inc()
		l.log.Warn("closing connection that does not read", "client", c.addr, "session", sessionText(c.session), "unsent", unsent+len(c.out))
		c.stage = stageClosing
		c.link.Close()
		return
	}
	if unsent >= outboundBytesSoft && !c.choked {
		c.choked = true
		c.stall |= stallOutbound
		l.choked = append(l.choked, c)
	}
}

// pollInterval is how often clients that do not read are looked at: gnet does not say when it has written everything.
const pollInterval = 2 * time.Millisecond

// poll lets go on whose client has read.
func (l *loop) poll() {
	kept := l.choked[:0]
	for _, c := range l.choked {
		switch {
		case c.stage == stageGone:
		case c.stage == stageClosing && l.nowNs < c.lingersNs && c.link.Outbound() > 0:
			kept = append(kept, c)
		case c.stage == stageClosing || c.link.Outbound() < outboundBytesSoft/2:
			c.choked = false
			l.mark(c)
			l.relieve(c, stallOutbound)
		default:
			kept = append(kept, c)
		}
	}
	clear(l.choked[len(kept):])
	l.choked = kept
	if len(kept) > 0 {
		l.host.After(pollInterval)
	}
}

// lingerMax is how long a connection that is to be closed may take to read something of what it is owed.
const lingerMax = 2 * time.Second

// end closes a connection whose client has what it is owed, or does not read it: gnet drops what a Close finds unsent.
func (l *loop) end(c *conn) {
	unsent := c.link.Outbound()
	if c.lingersNs == 0 || unsent == 0 {
		c.lingersNs = l.nowNs + int64(lingerMax)
	}
	owed := len(c.parts) > 0 || len(c.out) > 0 || unsent > 0
	switch {
	case !owed || l.nowNs >= c.lingersNs:
		c.link.Close()
	case !c.choked && unsent > 0:
		c.choked = true
		l.choked = append(l.choked, c)
		l.host.After(pollInterval)
	}
}
