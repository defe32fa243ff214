package netloop

import (
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

type quietLogger struct{}

func (quietLogger) Printf(string, ...any) {}

func dialZK(t *testing.T, addr string) *zk.Conn {
	t.Helper()
	c, events, err := zk.Connect([]string{addr}, 4*time.Second, zk.WithLogger(quietLogger{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	deadline := time.After(10 * time.Second)
	for {
		select {
		case e := <-events:
			if e.State == zk.StateHasSession {
				return c
			}
		case <-deadline:
			t.Fatal("no session within 10 s")
		}
	}
}

func TestGoZKBasics(t *testing.T) {
	_, addr := startServer(t, newFakeQuorum(t), nil)
	c := dialZK(t, addr)
	open := zk.WorldACL(zk.PermAll)
	if p, err := c.Create("/a", []byte("x"), 0, open); err != nil || p != "/a" {
		t.Fatalf("Create: %q, %v", p, err)
	}
	if p, err := c.Create("/a/s-", nil, zk.FlagSequence, open); err != nil || p != "/a/s-0000000000" {
		t.Fatalf("sequential Create: %q, %v", p, err)
	}
	data, stat, ev, err := c.GetW("/a")
	if err != nil || string(data) != "x" || stat.NumChildren != 1 {
		t.Fatalf("GetW: %q, %+v, %v", data, stat, err)
	}
	if _, err := c.Set("/a", []byte("y"), 0); err != nil {
		t.Fatal(err)
	}
	select {
	case e := <-ev:
		if e.Type != zk.EventNodeDataChanged || e.Path != "/a" {
			t.Fatalf("event %+v", e)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("no event")
	}
	if _, err := c.Set("/a", nil, 0); err != zk.ErrBadVersion {
		t.Fatalf("Set with an old version: %v", err)
	}
	kids, _, err := c.Children("/a")
	if err != nil || len(kids) != 1 || kids[0] != "s-0000000000" {
		t.Fatalf("Children: %v, %v", kids, err)
	}
	if _, err := c.Sync("/a"); err != nil {
		t.Fatalf("Sync: %v", err)
	}
	res, err := c.Multi(&zk.CreateRequest{Path: "/m", Acl: open}, &zk.SetDataRequest{Path: "/m", Data: []byte("1"), Version: 0},
		&zk.DeleteRequest{Path: "/m", Version: 1})
	if err != nil || len(res) != 3 || res[0].String != "/m" || res[1].Stat.Version != 1 {
		t.Fatalf("Multi: %+v, %v", res, err)
	}
	if _, err = c.Multi(&zk.CreateRequest{Path: "/m", Acl: open}, &zk.CheckVersionRequest{Path: "/nope", Version: 1}); err != zk.ErrNoNode {
		t.Fatalf("failing Multi: %v", err)
	}
	if ok, _, err := c.Exists("/m"); ok || err != nil {
		t.Fatalf("Exists after a failed Multi: %v, %v", ok, err)
	}
	if err := c.AddAuth("digest", []byte("u:p")); err != nil {
		t.Fatalf("AddAuth: %v", err)
	}
	if _, err := c.Create("/private", []byte("s"), 0, zk.DigestACL(zk.PermAll, "u", "p")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := dialZK(t, addr).Get("/private"); err != zk.ErrNoAuth {
		t.Fatalf("Get without permission: %v", err)
	}
	if _, _, err := c.Get("/private"); err != nil {
		t.Fatalf("Get with permission: %v", err)
	}
}
