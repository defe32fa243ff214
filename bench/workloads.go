package bench

import "slices"

// Kind is a workload as it is offered.
type Kind struct {
	Name    string
	Summary string
	Detail  string // what it does, and what its figures mean
	Example string // of a command line
	Open    bool   // it can run as an open loop (Rate)

	adjust func(c *Config)
	make   func(r *run) (workload, error)
}

const (
	workloadFailover = "failover"
	seriesPing       = "ping"
)

// Kinds are all workloads.
func Kinds() []Kind {
	return plainKinds()
}

// Find looks a workload up by its name.
func Find(name string) (Kind, bool) {
	kinds := Kinds()
	i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		return Kind{}, false
	}
	return kinds[i], true
}

func plainKinds() []Kind {
	one := func(op string) func(r *run) (workload, error) { return newPlainLoad(Share{Op: op, Weight: 1}) }
	return []Kind{
		{
			Name: "get", Summary: "read znodes", Open: true, make: one("get"),
			Detail:  "getData of one of --nodes znodes, chosen by --keys. No watch is left.",
			Example: "holt bench get --conns 64 --pipeline 32",
		},
		{
			Name: "exists", Summary: "look whether znodes are there", Open: true, make: one("exists"),
			Detail:  "exists of one of --nodes znodes: a read whose reply has no data.",
			Example: "holt bench exists --keys zipfian:0.99",
		},
		{
			Name: "set", Summary: "write znodes", Open: true, make: one("set"),
			Detail:  "setData of --value bytes on one of --nodes znodes, whatever its version.",
			Example: "holt bench set --conns 64 --value 100",
		},
		{
			Name: "create", Summary: "create znodes", Open: true, make: one("create"),
			Detail:  "create of persistent znodes with --value bytes, in a directory of each connection. They are removed at the end; with many of them that takes a while.",
			Example: "holt bench create --conns 64 --pipeline 16 --duration 5s",
		},
		{
			Name: "create-delete", Summary: "create znodes and delete them", Open: true, make: one("create-delete"),
			Detail:  "Each znode that was created is deleted by a later request of its connection, so that the tree keeps its size. Both count as operations.",
			Example: "holt bench create-delete --conns 64",
		},
		{
			Name: "ephemeral", Summary: "the same with ephemeral znodes", Open: true, make: one("ephemeral"),
			Detail:  "create-delete with znodes that belong to the session.",
			Example: "holt bench ephemeral --conns 64",
		},
		{
			Name: "multi", Summary: "transactions of --ops writes", Open: true, make: one("multi"),
			Detail:  "multi of --ops setData on znodes chosen by --keys. A multi counts as one operation.",
			Example: "holt bench multi --ops 10",
		},
		{
			Name: "children", Summary: "list directories of --fanout children", Open: true, make: one("children"),
			Detail:  "getChildren of one of up to ten directories with --fanout children each.",
			Example: "holt bench children --fanout 1000",
		},
		{
			Name: "mixed", Summary: "several operations by weight", Open: true, make: newPlainLoad(),
			Detail:  "Each request is one of --mix at random, by weight; every operation has a latency of its own. A workload file can give operations their own sizes and keys.",
			Example: "holt bench mixed --mix get=90,set=10",
		},
	}
}
