package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"holt/cmd/internal/ensemble"
)

// fault is something that happens to an ensemble: begin makes it, end undoes it. Which members it hits is decided when it
// begins.
type fault struct {
	name  string
	lasts [2]time.Duration // shortest, longest
	begin func(c *campaign, hit *hit) error
	end   func(c *campaign, hit *hit) error
}

// hit is whom a fault struck.
type hit struct {
	leader   *ensemble.Member
	others   []*ensemble.Member // in random order
	one      *ensemble.Member   // leader or not, as the fault says
	downtime []*ensemble.Member // to be started again
	several  bool               // other faults strike at the same time
	flood    *flood             // of writes, while a disk is full
}

// faultKinds are all there are. What lasts longer than a session's timeout is only what stops every clock: the loss of the
// quorum. Pauses stay short of it, since clients wait for a frozen member until their own patience ends.
var faultKinds = []fault{
	{"leader killed", span(1, 4), (*campaign).killLeader, (*campaign).startDown},
	{"follower killed", span(1, 4), (*campaign).killOther, (*campaign).startDown},
	{"leader stopped", span(1, 3), (*campaign).stopLeader, (*campaign).startDown},
	{"leader frozen", span(2, 6), (*campaign).freezeLeader, (*campaign).thaw},
	{"follower frozen", span(2, 6), (*campaign).freezeOther, (*campaign).thaw},
	{"link cut from leader to follower", span(2, 7), cutLink(true, false), (*campaign).heal},
	{"link cut from follower to leader", span(2, 7), cutLink(false, true), (*campaign).heal},
	{"link cut both ways", span(2, 7), cutLink(true, true), (*campaign).heal},
	{"link cut between followers", span(2, 5), (*campaign).cutOthers, (*campaign).heal},
	{"leader alone (minority partition)", span(3, 8), (*campaign).isolateLeader, (*campaign).heal},
	{"leader hears nobody", span(3, 8), (*campaign).deafenLeader, (*campaign).heal},
	{"leader is heard by nobody", span(3, 8), (*campaign).muteLeader, (*campaign).heal},
	{"follower alone", span(3, 8), (*campaign).isolateOther, (*campaign).heal},
	{"no quorum (all links cut)", span(3, 20), (*campaign).isolateAll, (*campaign).heal},
	{"clients cut from leader", span(2, 7), (*campaign).cutClients, (*campaign).heal},
	{"leader's disk full", span(2, 5), (*campaign).fillLeader, (*campaign).freeDisk},
	{"follower's disk full", span(2, 5), (*campaign).fillOther, (*campaign).freeDisk},
	{"all killed", span(0, 2), (*campaign).killAll, (*campaign).startDown},
	{"leader killed while a follower is down", span(1, 4), (*campaign).killTwo, (*campaign).startDown},
}

func span(least, most int) [2]time.Duration {
	return [2]time.Duration{time.Duration(least) * time.Second, time.Duration(most) * time.Second}
}

// makeFaults makes one fault after another, now and then several at once, and lets the ensemble recover between them.
func (c *campaign) makeFaults(ctx context.Context) error {
	var kinds []fault
	for _, f := range faultKinds {
		if strings.Contains(f.name, c.only) {
			kinds = append(kinds, f)
		}
	}
	if len(kinds) == 0 {
		return fmt.Errorf("-only %q: no fault has that in its name", c.only)
	}
	if c.short {
		for _, f := range kinds {
			f.lasts[1] = min(f.lasts[1], f.lasts[0]+time.Second)
			if err := c.make(ctx, f); err != nil {
				return err
			}
		}
		return c.make(ctx, kinds[c.random.IntN(len(kinds))], kinds[c.random.IntN(len(kinds))])
	}
	const several = 4 // every so manieth time
	for deadline := time.Now().Add(c.length); time.Now().Before(deadline); {
		faults := []fault{kinds[c.random.IntN(len(kinds))]}
		for c.random.IntN(several) == 0 {
			faults = append(faults, kinds[c.random.IntN(len(kinds))])
		}
		if err := c.make(ctx, faults...); err != nil {
			return err
		}
	}
	return nil
}

// make lets faults happen at once and waits until all is well again.
func (c *campaign) make(ctx context.Context, faults ...fault) error {
	leader, err := c.members.Leader(recoveryPatience)
	if err != nil {
		return err
	}
	var names []string
	var lasts time.Duration
	var hits []*hit
	for _, f := range faults {
		names = append(names, f.name)
		h := &hit{leader: leader, others: shuffled(c.random, c.members.Others(leader)), several: len(faults) > 1}
		hits = append(hits, h)
		if err := f.begin(c, h); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		lasts = max(lasts, f.lasts[0]+time.Duration(c.random.Int64N(int64(f.lasts[1]-f.lasts[0])+1)))
	}
	began := now()
	if !sleep(ctx, lasts) {
		return ctx.Err()
	}
	for i, f := range faults {
		if err := f.end(c, hits[i]); err != nil {
			return fmt.Errorf("end of %s: %w", f.name, err)
		}
	}
	what := strings.Join(names, " + ")
	ended := now()
	if err := c.recover(); err != nil {
		return fmt.Errorf("C7: after %s: %w", what, err)
	}
	recovered := now()
	if err := c.allWrite(recovered, writePatience); err != nil {
		return fmt.Errorf("after %s: %w", what, err)
	}
	r := faultReport{what, time.Duration(c.history.firstWriteAfter(began) - began), time.Duration(recovered - ended)}
	c.faults = append(c.faults, r)
	fmt.Printf("chaos: %-60s lasted %4.1f s; next write after %5.2f s; all serve after %5.2f s\n",
		what, lasts.Seconds(), r.gap.Seconds(), r.back.Seconds())
	if !sleep(ctx, calmAtLeast+time.Duration(c.random.Int64N(int64(calmSpread)))) {
		return ctx.Err()
	}
	return nil
}

func shuffled(random *rand.Rand, members []*ensemble.Member) []*ensemble.Member {
	random.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	return members
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// recover starts what has ended by itself, as whoever supervises servers does, and waits until all serve.
func (c *campaign) recover() error {
	deadline := time.Now().Add(recoveryPatience)
	for {
		var err error
		for _, m := range c.members.Members {
			if startErr := m.Start(); startErr != nil && !errors.Is(startErr, ensemble.ErrRunning) {
				return startErr
			}
			_, modeErr := m.Mode()
			err = errors.Join(err, modeErr)
		}
		if err == nil {
			_, err = c.members.Leader(time.Until(deadline))
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not all members serve after %v: %w", recoveryPatience, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (c *campaign) host(m *ensemble.Member) *ensemble.Host { return c.hosts[m.ID-1] }

func (c *campaign) killLeader(h *hit) error { return c.kill(h, h.leader) }
func (c *campaign) killOther(h *hit) error  { return c.kill(h, h.others[0]) }
func (c *campaign) killTwo(h *hit) error    { return c.kill(h, h.others[0], h.leader) }
func (c *campaign) killAll(h *hit) error    { return c.kill(h, c.members.Members...) }

func (c *campaign) kill(h *hit, members ...*ensemble.Member) error {
	for _, m := range members {
		m.Kill()
	}
	h.downtime = members
	if c.mutate == mutateAmnesia && len(members) == c.size {
		return c.forget(members[:c.size/2+1])
	}
	return nil
}

// forget gives a majority of members the disks that they had when it was first called: acknowledged writes are then lost, and
// the checks must say so.
func (c *campaign) forget(majority []*ensemble.Member) error {
	for _, m := range majority {
		saved := filepath.Join(c.dir, fmt.Sprintf("saved-%d", m.ID))
		copied := []string{m.Data(), saved}
		if _, err := os.Stat(saved); err == nil {
			copied = []string{saved, m.Data()}
		}
		script := `find "$1" -mindepth 1 -delete; mkdir -p "$1"; cp -a "$0/." "$1/"`
		if out, err := exec.Command("sh", "-c", script, copied[0], copied[1]).CombinedOutput(); err != nil {
			return fmt.Errorf("copying %s to %s: %w: %s", copied[0], copied[1], err, out)
		}
	}
	return nil
}

func (c *campaign) stopLeader(h *hit) error {
	h.downtime = []*ensemble.Member{h.leader}
	h.leader.Stop()
	return nil
}

// amnesiaAhead is by how much members that forgot are started before the others.
const amnesiaAhead = 3 * time.Second

func (c *campaign) startDown(h *hit) error {
	for i, m := range h.downtime {
		if c.mutate == mutateAmnesia && i > c.size/2 {
			time.Sleep(amnesiaAhead) // those who forgot agree before they meet one who remembers
		}
		if err := m.Start(); err != nil && !errors.Is(err, ensemble.ErrRunning) {
			return err
		}
	}
	return nil
}

func (c *campaign) freezeLeader(h *hit) error { h.one = h.leader; h.one.Freeze(); return nil }
func (c *campaign) freezeOther(h *hit) error  { h.one = h.others[0]; h.one.Freeze(); return nil }
func (c *campaign) thaw(h *hit) error         { h.one.Thaw(); return nil }

// cutLink cuts the link between the leader and a follower.
func cutLink(fromLeader, toLeader bool) func(*campaign, *hit) error {
	return func(c *campaign, h *hit) error {
		var err error
		if fromLeader {
			err = ensemble.Cut(c.host(h.leader), c.host(h.others[0]))
		}
		if toLeader {
			err = errors.Join(err, ensemble.Cut(c.host(h.others[0]), c.host(h.leader)))
		}
		return err
	}
}

func (c *campaign) cutOthers(h *hit) error {
	a, b := c.host(h.others[0]), c.host(h.others[1])
	return errors.Join(ensemble.Cut(a, b), ensemble.Cut(b, a))
}

func (c *campaign) isolateLeader(h *hit) error {
	return errors.Join(c.deafen(h.leader), c.muteFor(h.leader))
}

func (c *campaign) isolateOther(h *hit) error {
	return errors.Join(c.deafen(h.others[0]), c.muteFor(h.others[0]))
}
func (c *campaign) deafenLeader(h *hit) error { return c.deafen(h.leader) }
func (c *campaign) muteLeader(h *hit) error   { return c.muteFor(h.leader) }

func (c *campaign) isolateAll(*hit) error {
	var err error
	for _, m := range c.members.Members {
		err = errors.Join(err, c.deafen(m))
	}
	return err
}

// deafen drops what the other members send to one.
func (c *campaign) deafen(one *ensemble.Member) error {
	var err error
	for _, m := range c.members.Others(one) {
		err = errors.Join(err, ensemble.Cut(c.host(m), c.host(one)))
	}
	return err
}

// muteFor drops what one member sends to the others.
func (c *campaign) muteFor(one *ensemble.Member) error {
	var err error
	for _, m := range c.members.Others(one) {
		err = errors.Join(err, ensemble.Cut(c.host(one), c.host(m)))
	}
	return err
}

// cutClients cuts the clients from the leader, who keeps its followers.
func (c *campaign) cutClients(h *hit) error {
	return errors.Join(ensemble.Cut(nil, c.host(h.leader)), ensemble.Cut(c.host(h.leader), nil))
}

func (c *campaign) heal(*hit) error {
	var hub *ensemble.Host
	err := hub.Heal()
	for _, h := range c.hosts {
		err = errors.Join(err, h.Heal())
	}
	return err
}
