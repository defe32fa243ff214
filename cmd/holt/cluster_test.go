package main

import (
	"bytes"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A second cluster on the same ports said that its members led and followed: the first one's had answered.
func TestClusterRefusesTakenPorts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	dir := filepath.Join(t.TempDir(), "cluster")
	var out, said bytes.Buffer
	code := clusterCommand([]string{"-n", "1", "-dir", dir, "-client-port", strconv.Itoa(port), "-admin-port", "0"}, stdio{out: &out, err: &said})
	if code != exitError || !strings.Contains(said.String(), l.Addr().String()) || !strings.Contains(said.String(), "-client-port") {
		t.Errorf("exit status %d, said %q", code, said.String())
	}
	if exists(dir) {
		t.Error("directories were made")
	}
}
