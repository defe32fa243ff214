package main

import (
	"fmt"
	"slices"
	"time"

	"holt/bench"
	"holt/cmd/internal/bare"
)

// table is a set of cases with the same servers.
type table struct {
	name    string
	members int // of ZooKeeper and of Holt
	cases   []testCase
}

// testCase is a load with its goals.
type testCase struct {
	name    string
	load    bench.Config
	ceiling bare.Mode // "" none
	etcd    string    // etcdpeer's name of the load, "" if etcd has no equal
	goals   []goal
}

// goal is what a figure of Holt shall be, in relation to another server's.
type goal struct {
	figure
	against   target
	must, aim float64
}

// target is a server that is measured.
type target string

const (
	zookeeper target = "ZooKeeper"
	holt      target = "Holt"
	ceiling   target = "ceiling"
	etcd      target = "etcd"
)

// figure is something that a report says.
type figure struct {
	name   string
	less   bool // less is better
	of     func(r *bench.Report) float64
	format func(v float64) string
}

func ns(v float64) string { return bench.Short(int64(v)) }

// The figures that goals are set for.
var (
	perCPU  = figure{"per server-CPU-s", false, (*bench.Report).OpsPerCPU, bench.Thousands}
	perWall = figure{"per second", false, func(r *bench.Report) float64 { return r.Rate }, bench.Thousands}
	p50     = figure{"p50", true, func(r *bench.Report) float64 { return float64(first(r).P50) }, ns}
	p99     = figure{"p99", true, func(r *bench.Report) float64 { return float64(first(r).P99) }, ns}
	cpuUsed = figure{"server CPU", true, func(r *bench.Report) float64 { return r.Server.CPU / r.Seconds }, func(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) }}
)

// first is the latency that stands for the case.
func first(r *bench.Report) bench.SeriesReport { return r.Series[0] }

// times is a goal in relation to ZooKeeper.
func times(f figure, must, aim float64) goal { return goal{f, zookeeper, must, aim} }

// ofCeiling is a goal in relation to the bare server, per server-CPU-second.
func ofCeiling(must, aim float64) goal { return goal{perCPU, ceiling, must, aim} }

// beside is a figure without a goal.
func beside(f figure, which target) goal { return goal{f, which, 0, 0} }

// tail is what every write, watch and lock case must keep.
var tail = times(p99, 0.6, 0.3)

// filledNodes is the key space that most cases share.
const filledNodes = 10_000

// on is a load on the key space that is there already.
func on(workload string, conns, pipeline int) bench.Config {
	return bench.Config{Workload: workload, Conns: conns, Pipeline: pipeline, Nodes: filledNodes, Root: bare.Root, Keep: true, Filled: true}
}

// fresh is a load that makes what it needs and removes it.
func fresh(workload string, conns, pipeline int) bench.Config {
	return bench.Config{Workload: workload, Conns: conns, Pipeline: pipeline, Nodes: filledNodes}
}

// with changes a load.
func with(c bench.Config, change func(c *bench.Config)) bench.Config {
	change(&c)
	return c
}

func mixOf(get, set int) func(c *bench.Config) {
	return func(c *bench.Config) {
		c.Mix = []bench.Share{{Op: "get", Weight: get}, {Op: "set", Weight: set}}
	}
}

func mode(m string) func(c *bench.Config) { return func(c *bench.Config) { c.Mode = m } }

func locks(n int) func(c *bench.Config) { return func(c *bench.Config) { c.Locks = n } }

func rate(n float64) func(c *bench.Config) { return func(c *bench.Config) { c.Rate = n } }

// fanout is a znode of the bare server's, so that it can send the right event.
func fanout(conns int) bench.Config {
	return bench.Config{Workload: "watch", Conns: conns, Mode: bench.ModePersistent, Root: bare.Root, Keep: true}
}

func wide(m string) bench.Config {
	return bench.Config{Workload: "wide-watch", Conns: 100, Pipeline: 16, Nodes: 10_000, Watches: 100_000, Mode: m, Root: bare.Root, Keep: true, Filled: true}
}

// standalone is one server each.
func standalone() table {
	t := table{name: "standalone", members: 1}
	add := func(name string, load bench.Config, ceiling bare.Mode, goals ...goal) {
		t.cases = append(t.cases, testCase{name: name, load: load, ceiling: ceiling, goals: goals})
	}
	add("get 64x1", on("get", 64, 1), bare.Reads, times(perCPU, 2.2, 2.7), ofCeiling(0.85, 0.95))
	add("get 16x1", on("get", 16, 1), bare.Reads, times(perCPU, 2.2, 2.7), ofCeiling(0.85, 0.95))
	add("get 1000x1", on("get", 1000, 1), "", times(perCPU, 2.3, 2.9))
	add("get 64x32", on("get", 64, 32), bare.Reads, times(perCPU, 15, 30), ofCeiling(0.40, 0.70))
	add("getChildren of 1000, 64x1", fresh("children", 64, 1), "", times(perCPU, 1.8, 2.5))
	add("mixed 90/10 64x1", with(on("mixed", 64, 1), mixOf(90, 10)), "", times(perCPU, 2.5, 3.5))
	add("mixed 90/10 64x16", with(on("mixed", 64, 16), mixOf(90, 10)), "", times(perCPU, 10, 20))
	add("set 100 B 64x1", on("set", 64, 1), bare.Commit, times(perCPU, 2.8, 3.8), times(perWall, 1.8, 2.5), tail)
	add("set 100 B 64x16", on("set", 64, 16), bare.Commit, times(perCPU, 8, 16), tail)
	add("set 1x1", on("set", 1, 1), bare.Commit, times(p50, 0.55, 0.42), tail)
	add("create 64x1", fresh("create", 64, 1), "", times(perCPU, 3, 4.5), tail)
	add("create-delete 64x1", fresh("create-delete", 64, 1), "", times(perCPU, 3, 4.5), tail)
	add("ephemeral churn 64x1", fresh("ephemeral", 64, 1), "", times(perCPU, 3, 4.5), tail)
	add("create 64x16", fresh("create", 64, 16), "", times(perCPU, 8, 16), tail)
	add("multi of 10 sets 64x1", on("multi", 64, 1), "", times(perCPU, 5, 9), tail)
	add("watch fan-out 1000, persistent", fanout(1000), bare.Fanout, times(perCPU, 2.2, 2.8), ofCeiling(0.8, 0.9), tail)
	add("watch fan-out 1000, one-shot with re-arm", with(fanout(1000), mode(bench.ModeOneShot)), "", times(perCPU, 2.3, 3), tail)
	add("wide watches 100k, one-shot", wide(bench.ModeOneShot), "", times(perCPU, 2.2, 2.8), tail)
	add("wide watches 100k, persistent", wide(bench.ModePersistent), "", times(perCPU, 3, 5), tail)
	add("lock, 64 clients, 1 lock", fresh("lock", 64, 1), "", times(perWall, 2.5, 4), tail)
	add("lock, 64 clients, 16 locks", with(fresh("lock", 64, 1), locks(16)), "", times(perWall, 2.5, 3.5), tail)
	add("lock, 1000 waiters on one lock", fresh("lock", 1000, 1), "", times(perCPU, 3, 10), tail)
	add("sessions opened and closed", fresh("sessions", 64, 1), "", times(perCPU, 2.5, 5))
	add("open loop get 5000/s", with(on("get", 64, 1), rate(5000)), "", times(p99, 0.7, 0.4), times(cpuUsed, 0.6, 0.3))
	add("open loop set 1000/s", with(on("set", 64, 1), rate(1000)), "", times(p99, 0.3, 0.2), times(cpuUsed, 0.5, 0.3))
	for _, op := range []string{"get", "set", "create"} {
		for _, clients := range []int{1, 2, 5, 10, 20} {
			load := on(op, clients, 1)
			if op == "create" {
				load = fresh(op, clients, 1)
			}
			add(fmt.Sprintf("%s, %d clients", op, clients), load, "", times(p50, 1, 0.67), times(perWall, 1, 1.5))
		}
	}
	for i := range t.cases {
		c := &t.cases[i]
		if c.etcd = etcdEquals[c.name]; c.etcd != "" {
			c.goals = append(c.goals, beside(perCPU, etcd), beside(p99, etcd))
		}
	}
	return t
}

// etcdEquals are etcdpeer's loads that do what a case does.
var etcdEquals = map[string]string{
	"get 64x1": "get", "get 64x32": "get", "set 100 B 64x1": "set", "set 100 B 64x16": "set", "set 1x1": "set", "create 64x1": "create",
	"multi of 10 sets 64x1": "multi", "watch fan-out 1000, persistent": "watch", "lock, 64 clients, 1 lock": "lock",
}

// leaveOut drops what is said of a target that is not measured.
func (t *table) leaveOut(which target) {
	for i := range t.cases {
		c := &t.cases[i]
		c.goals = slices.DeleteFunc(c.goals, func(g goal) bool { return g.against == which })
		if which == etcd {
			c.etcd = ""
		}
	}
}

// ensembleOfThree is three members each; clients spread over all of them.
func ensembleOfThree() table {
	t := table{name: "three members", members: 3}
	add := func(name string, load bench.Config, goals ...goal) {
		t.cases = append(t.cases, testCase{name: name, load: load, goals: goals})
	}
	add("3: set 64x1", on("set", 64, 1), times(perCPU, 3, 5), tail)
	add("3: create 64x1", fresh("create", 64, 1), times(perCPU, 3, 5), tail)
	add("3: set 64x16", on("set", 64, 16), times(perCPU, 8, 16), tail)
	add("3: create 64x16", fresh("create", 64, 16), times(perCPU, 8, 16), tail)
	add("3: get 64x1", on("get", 64, 1), times(perCPU, 3, 4))
	add("3: get 64x32", on("get", 64, 32), times(perCPU, 20, 40))
	add("3: lock, 64 clients, 1 lock", fresh("lock", 64, 1), times(perWall, 3, 6), tail)
	add("3: sessions opened and closed", fresh("sessions", 64, 1), times(perCPU, 3, 5))
	add("3: watch fan-out 1000, persistent", fanout(1000), times(perCPU, 3, 5), tail)
	for _, clients := range []int{1, 16, 64, 256} {
		add(fmt.Sprintf("3: set, %d clients", clients), on("set", clients, 1), times(perWall, 1, 1.5), times(p50, 1, 0.67), beside(p99, zookeeper), beside(cpuUsed, zookeeper))
	}
	return t
}

// defaults are the times of a case unless flags say otherwise.
const (
	eachDefault   = 3 * time.Second
	warmupDefault = time.Second
	warmJVM       = 10 * time.Second
)
