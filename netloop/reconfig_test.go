package netloop

import (
	"testing"
	"time"

	"holt/netloop/wire"
	"holt/tree"
)

// TestReconfigHoldsItsConnection: what a client sends behind a reconfig waits for its answer, which comes with a later
// transaction; what it sent before has been answered by then. Others do not notice.
func TestReconfigHoldsItsConnection(t *testing.T) {
	q := newFakeQuorum(t)
	q.rules |= tree.RuleReconfigEnabled | tree.RuleSkipACL
	_, addr := startServer(t, q, nil)
	var members []tree.Member
	for id, line := range map[int]string{1: "a:2888:3888;2181", 2: "b:2888:3888;2181", 3: "c:2888:3888;2181"} {
		m, err := tree.ParseMember(id, line)
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, m)
	}
	e, err := tree.NewEnsemble(members, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Propose(0, tree.AppendBootstrap(nil, &tree.CommandHeader{}, &tree.Bootstrap{ClusterID: 1, Ensemble: e})); err != nil {
		t.Fatal(err)
	}
	c, other := openRaw(t, addr), openRaw(t, addr)
	join := wire.ReconfigRequest{Joining: []byte("server.4=d:2888:3888:observer;2181"), ConfigID: -1}
	c.add(1, wire.OpSetData, setBody("/", "1"))
	c.add(2, wire.OpGetData, watchBody("/zookeeper/config", true))
	c.add(3, wire.OpReconfig, join.Append)
	c.add(4, wire.OpGetData, watchBody("/zookeeper/config", false))
	c.add(5, wire.OpSetData, setBody("/", "2"))
	c.send()
	for xid := wire.Xid(1); xid <= 2; xid++ {
		if p := c.reply(); p.Xid != xid || p.Err != 0 {
			t.Fatalf("%+v", p.ReplyHeader)
		}
	}
	eventually(t, func() string {
		if q.Tail().Root.Pending() == nil {
			return "the reconfig has not begun"
		}
		return ""
	})
	time.Sleep(10 * time.Millisecond)
	if p := other.call(1, wire.OpGetData, watchBody("/", false)); p.text(wire.OpGetData) != `1 0 "1" v1 c1` {
		t.Errorf("%s, want nothing of what is behind the reconfig", p.text(wire.OpGetData))
	}
	done := tree.ReconfigDone{Pending: q.Tail().Root.Pending().Zxid}
	if err := q.Propose(0, tree.AppendReconfigDone(nil, &tree.CommandHeader{}, &done)); err != nil {
		t.Fatal(err)
	}
	if p := c.reply(); p.Xid != wire.XidEvent {
		t.Errorf("N3: %+v, want the event of the new configuration", p.ReplyHeader)
	}
	for xid := wire.Xid(3); xid <= 5; xid++ {
		if p := c.reply(); p.Xid != xid || p.Err != 0 {
			t.Errorf("%+v, want %d", p.ReplyHeader, xid)
		}
	}
	bad := wire.ReconfigRequest{Leaving: []byte("9,x"), ConfigID: -1}
	if p := c.call(6, wire.OpReconfig, bad.Append); p.Err == 0 {
		t.Errorf("a reconfig that makes no sense: %+v", p.ReplyHeader)
	}
	usable(t, c, "after a refused reconfig")
}
