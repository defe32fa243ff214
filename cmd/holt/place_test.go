package main

import (
	"net"
	"testing"
)

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		at, want string
		covers   bool
	}{
		{"127.0.0.1:2181", "127.0.0.1:2181", true},
		{"127.0.0.1:2181", "localhost:2181", true},
		{"127.0.0.1:2181", "127.0.0.1:2182", false},
		{"127.0.0.1:2181", "0.0.0.0:2181", false},
		{"0.0.0.0:2181", "127.0.0.1:2181", true},
		{"[::]:2181", "0.0.0.0:2181", true},
		{"127.0.0.1:2181", "no port", false},
	} {
		at, err := net.ResolveTCPAddr("tcp", c.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := covers(at, c.want); got != c.covers {
			t.Errorf("listening at %s, wanted at %s: got %t", c.at, c.want, got)
		}
	}
	if covers(nil, "127.0.0.1:2181") {
		t.Error("one who does not listen is reached")
	}
}
