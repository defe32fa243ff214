package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"time"
)

func main() {
	var (
		holt    = flag.String("holt", "bin/holt", "server binary")
		rounds  = flag.Int("rounds", 200, "kills")
		seed    = flag.Uint64("seed", uint64(time.Now().UnixNano()), "for the load and the moments of the kills")
		addr    = flag.String("addr", "127.0.0.1:26181", "client address of the server under test")
		dir     = flag.String("dir", "", "data directory; default: a temporary one, removed on success")
		loadMs  = flag.Int("load-ms", 600, "longest time a load runs before the kill, milliseconds")
		verbose = flag.Bool("v", false, "a line per round")
	)
	flag.Parse()
	if err := run(*holt, *addr, *dir, *rounds, *seed, *loadMs, *verbose); err != nil {
		fmt.Fprintf(os.Stderr, "crash: seed %d: %v\n", *seed, err)
		os.Exit(1)
	}
}

func run(holt, addr, dir string, rounds int, seed uint64, loadMs int, verbose bool) error {
	temporary := dir == ""
	if temporary {
		var err error
		if dir, err = os.MkdirTemp("", "holt-crash-"); err != nil {
			return err
		}
	}
	fmt.Printf("crash: %d rounds, seed %d, data in %s\n", rounds, seed, dir)
	c := &campaign{
		server: server{binary: holt, addr: addr, dir: dir},
		random: rand.New(rand.NewPCG(seed, 0)),
		model:  newModel(),
		loadMs: loadMs,
	}
	for round := 1; round <= rounds; round++ {
		before := c.counts
		if err := c.round(); err != nil {
			c.server.kill()
			return fmt.Errorf("round %d: %w\nthe data directory is kept: %s\n%s", round, err, dir, c.server.lastLines(20))
		}
		if verbose {
			fmt.Printf("crash: round %d: %s\n", round, c.counts.since(before))
		}
	}
	c.server.kill()
	fmt.Printf("crash: %d rounds passed: %s\n", rounds, c.counts)
	if temporary {
		return os.RemoveAll(dir)
	}
	return nil
}

// counts says how much was at stake, so that a campaign in which nothing happened is noticed.
type counts struct {
	Acknowledged, Unknown, Verified, Multis, Sessions, Ephemerals, Closed, Abandoned, RecoveryKills int
}

func (c counts) String() string {
	return fmt.Sprintf("%d writes acknowledged (%d multis), %d of unknown outcome; %d facts verified; "+
		"%d sessions re-attached, %d closed, %d abandoned and expired; %d ephemerals checked; %d kills during recovery",
		c.Acknowledged, c.Multis, c.Unknown, c.Verified, c.Sessions, c.Closed, c.Abandoned, c.Ephemerals, c.RecoveryKills)
}

func (c counts) since(b counts) counts {
	return counts{
		c.Acknowledged - b.Acknowledged, c.Unknown - b.Unknown, c.Verified - b.Verified, c.Multis - b.Multis, c.Sessions - b.Sessions,
		c.Ephemerals - b.Ephemerals, c.Closed - b.Closed, c.Abandoned - b.Abandoned, c.RecoveryKills - b.RecoveryKills,
	}
}
