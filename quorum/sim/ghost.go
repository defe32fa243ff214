package sim

import (
	"holt/tree"

	zk "holt/netloop/wire"
)

// ghost writes through a connection whose session was taken elsewhere. Until the server closes it that is what a client
// does whose process was copied; none of it may succeed once the session is attached elsewhere.
func (c *client) ghost(p *pipe) {
	if !p.alive() || p.session == 0 {
		return
	}
	path := c.register()
	data := c.value()
	q := zk.SetDataRequest{Path: []byte(path), Data: []byte(data), Version: -1}
	b := zk.BeginFrame(nil)
	b = zk.AppendRequestHeader(b, 1<<30, zk.OpSetData)
	b = q.Append(b)
	zk.EndFrame(b, 0)
	p.issued = append(p.issued, issue{tree.OpSetData, path, data, c.nowNs})
	r := &request{op: zk.OpSetData, path: path, data: data, version: -1}
	c.history().begin(c, r)
	c.history().unknown(r)
	p.toServer.send(b)
}
