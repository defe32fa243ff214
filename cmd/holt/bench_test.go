package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holt/bench"
	"holt/cmd/holt/config"
)

// Every workload, as it is offered but short, against our own server: it must find nothing wrong, and leave nothing behind.
func TestBench_EveryWorkload(t *testing.T) {
	server := startServer(t, serverConfig(t, t.TempDir(), config.Setting{Name: "maxClientCnxns", Value: "0", Origin: "test"}))
	extra := map[string]string{
		"idle": "--session-timeout 4s --duration 2s --conns 20", "soak": "--rate 500", "discovery": "--hold 20ms", "storm": "--every 50ms",
		"wide-watch": "--nodes 100 --watches 500", "children": "--fanout 50", "leader": "--conns 8",
	}
	for _, kind := range bench.Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			args := "bench " + kind.Name + " --servers " + server.addr + " --conns 20 --nodes 200 --watches 1000 --warmup 50ms --duration 250ms --threads 2 " + extra[kind.Name]
			out, errOut, code := holt(t, strings.Fields(args)...)
			if code != exitOK || !strings.Contains(out, "errors 0, order violations 0") {
				t.Errorf("holt %s: code %d\n%s%s", args, code, out, errOut)
			}
		})
	}
	if out, _, code := shellOnce(server.addr, "ls", "/"); code != 0 || strings.TrimSpace(out) != "[zookeeper]" {
		t.Errorf("left behind: %s", out)
	}
}

// What the README shows: a report as JSON and as a page, and two of them compared.
func TestBench_ReportsAndTheirComparison(t *testing.T) {
	server := startServer(t, serverConfig(t, t.TempDir()))
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"a", "b"} {
		args := "bench mixed --mix get=90,set=10 --rate 500 --nodes 100 --conns 10 --warmup 20ms --duration 1200ms --name " + name + " --json " + file(name+".json") + " --html " + file(name+".html") + " --servers " + server.addr
		if out, errOut, code := holt(t, strings.Fields(args)...); code != exitOK {
			t.Fatalf("code %d\n%s%s", code, out, errOut)
		}
	}
	out, errOut, code := holt(t, "bench", "compare", file("a.json"), file("b.json"), "--html", file("ab.html"))
	if code != exitOK || !strings.Contains(out, "get p99") || errOut != "" {
		t.Errorf("code %d\n%s%s", code, out, errOut)
	}
	for _, name := range []string{"a.html", "ab.html"} {
		if page, err := os.ReadFile(file(name)); err != nil || !strings.Contains(string(page), "<polyline") {
			t.Errorf("%s: %v, no plot", name, err)
		}
	}
}
