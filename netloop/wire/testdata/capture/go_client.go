//go:build ignore

// Drives go-zookeeper/zk through the operations it has: go run go_client.go 127.0.0.1:22010 (the capture proxy).
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/go-zookeeper/zk"
)

func main() {
	c, events, err := zk.Connect(os.Args[1:2], 6*time.Second)
	if err != nil {
		panic(err)
	}
	go func() {
		for e := range events {
			fmt.Println(e)
		}
	}()
	open := zk.WorldACL(zk.PermAll)
	show := func(v ...any) { fmt.Println(v...) }

	show(c.Create("/g", []byte("root"), 0, open))
	show(c.Create("/g/empty", []byte{}, 0, open))
	show(c.Create("/g/null", nil, 0, open))
	show(c.Create("/g/seq-", []byte("s"), zk.FlagSequence, open))
	show(c.Create("/g/eph", []byte("e"), zk.FlagEphemeral, open))
	show(c.CreateContainer("/g/container", []byte("c"), zk.FlagTTL, open))
	show(c.CreateTTL("/g/ttl", []byte("t"), zk.FlagTTL, open, time.Minute))
	show(c.CreateProtectedEphemeralSequential("/g/lock-", nil, open))
	show(c.Create("/g", nil, 0, open))
	c.Get("/g")
	c.GetW("/g")
	c.ExistsW("/later")
	c.ChildrenW("/g")
	c.Children("/g")
	show(c.Exists("/missing"))
	show(c.Set("/g", []byte("changed"), -1))
	show(c.Set("/g", nil, 77))
	show(c.GetACL("/g"))
	show(c.AddAuth("digest", []byte("user:secret")))
	show(c.SetACL("/g/empty", zk.DigestACL(zk.PermAll, "user", "secret"), -1))
	show(c.Sync("/g"))
	show(c.Multi(&zk.CheckVersionRequest{Path: "/g", Version: -1},
		&zk.CreateRequest{Path: "/g/m", Data: []byte("m"), Acl: open},
		&zk.SetDataRequest{Path: "/g/m", Data: []byte("n"), Version: 0},
		&zk.DeleteRequest{Path: "/g/m", Version: 1}))
	show(c.Multi(&zk.CreateRequest{Path: "/g/m", Data: []byte("m"), Acl: open},
		&zk.DeleteRequest{Path: "/missing", Version: -1}))
	show(c.IncrementalReconfig([]string{"server.1=a:1:2;3"}, nil, -1))
	c.Set("/g/null", []byte("x"), -1)
	c.GetW("/g")
	c.ExistsW("/later")
	c.ChildrenW("/g")
	c.Exists("/cut-me")
	time.Sleep(2500 * time.Millisecond)
	show(c.Set("/g", []byte("after"), -1))
	time.Sleep(2500 * time.Millisecond)
	children, _, err := c.Children("/g")
	show(children, err)
	for _, child := range children {
		show(c.Delete("/g/"+child, -1))
	}
	show(c.Delete("/g", -1))
	c.Close()
}
