package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// report says how much was at stake, so that a run in which nothing happened is noticed, and what faults cost.
func (c *campaign) report(entries []Entry) {
	type count struct{ answered, unknown int }
	ops := map[Op]count{}
	clients := map[string]count{}
	for i := range entries {
		e := &entries[i]
		n, k := ops[e.Op], clients[kindOf(e.Client)]
		if e.Result == ResultUnknown {
			n.unknown++
			k.unknown++
		} else {
			n.answered++
			k.answered++
		}
		ops[e.Op], clients[kindOf(e.Client)] = n, k
	}
	fmt.Printf("chaos: %d entries of %d clients; unknown outcomes in brackets:", len(entries), len(c.names))
	for _, op := range []Op{
		OpCreate, OpDelete, OpSet, OpCas, OpMulti, OpRead, OpGet, OpAppend, OpEphemeral, OpCensus, OpClose, OpAbandon, OpLost, OpBack, OpSession, OpExpired,
	} {
		fmt.Printf(" %s %d (%d)", op, ops[op].answered, ops[op].unknown)
	}
	fmt.Println()
	for _, kind := range []string{"go", "kazoo", "java"} {
		fmt.Printf("chaos: %s: %d answered, %d unknown\n", kind, clients[kind].answered, clients[kind].unknown)
	}
	c.reportFaults()
}

// kindOf is a client's name without its number.
func kindOf(client string) string { return strings.TrimRight(client, "0123456789") }

func (c *campaign) reportFaults() {
	byKind := map[string][]faultReport{}
	for _, f := range c.faults {
		if !strings.Contains(f.what, " + ") {
			byKind[f.what] = append(byKind[f.what], f)
		}
	}
	fmt.Printf("chaos: %d times one or more faults; those that came alone, median and longest wait for the next write:\n", len(c.faults))
	for _, kind := range faultKinds {
		list := byKind[kind.name]
		if len(list) == 0 {
			continue
		}
		slices.SortFunc(list, func(a, b faultReport) int { return cmp.Compare(a.gap, b.gap) })
		fmt.Printf("  %-42s %3d times  %6.2f s  %6.2f s\n", kind.name, len(list), list[len(list)/2].gap.Seconds(), list[len(list)-1].gap.Round(time.Millisecond).Seconds())
	}
}
