package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"holt/cmd/holt/config"
	"holt/quorum"
	"holt/tree"
	"holt/wal"
	"holt/wal/checkpoint"
)

const recoverUsage = `usage: holt recover [flags] [zoo.cfg]

Makes a new ensemble of what this one member has, after the others of its ensemble were lost for good: so many that no majority is left.
The member must be stopped. It takes the zoo.cfg and the flags that the member is started with, and

  --members 1,2,3   the new ensemble, by number, from the server lines; this member alone if not given
  --confirm         do it; without, it only says what it would do

What the lost members had acknowledged and this one had not received is gone, and nobody is told. As long as a majority of
the old members can be started, start them instead: that loses nothing.
`

// recoverCommand is "holt recover".
func recoverCommand(args []string, std stdio) int {
	flags, confirm := flag.NewFlagSet("holt recover", flag.ContinueOnError), false
	members := ""
	flags.StringVar(&members, "members", "", "")
	flags.BoolVar(&confirm, "confirm", false, "")
	c, code, ok := offlineConfig(flags, args, recoverUsage, std)
	if !ok {
		return code
	}
	if err := recoverEnsemble(c, members, confirm, std.out); err != nil {
		fmt.Fprintf(std.err, "holt recover: %v\n", err)
		return exitError
	}
	if !confirm {
		fmt.Fprint(std.err, "nothing was changed; add --confirm to do it\n")
		return exitError
	}
	return exitOK
}

// offlineConfig reads the configuration of a member that does not run, as holt server reads it.
func offlineConfig(flags *flag.FlagSet, args []string, usage string, std stdio) (c *config.Config, code int, ok bool) {
	sources := config.Sources{Environ: os.Environ()}
	flags.SetOutput(io.Discard)
	sources.Register(flags)
	words, err := parseAround(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(std.out, usage)
		return nil, exitOK, false
	case err == nil:
		err = serverWords(&sources, words)
	}
	if err != nil {
		fmt.Fprintf(std.err, "%s: %v\n%s --help lists the flags.\n", flags.Name(), err, flags.Name())
		return nil, exitUsage, false
	}
	c, _, err = config.Load(sources) // its warnings are for those who start it
	if err != nil {
		fmt.Fprintf(std.err, "%v\n", err)
		return nil, exitError, false
	}
	return c, exitOK, true
}

// openData opens what a stopped member has on its disk.
func openData(c *config.Config, logger *slog.Logger) (log *wal.Log, image *checkpoint.Store, err error) {
	for _, dir := range []string{logDir(c), imageDir(c)} {
		if !exists(dir) {
			return nil, nil, fmt.Errorf("%s does not exist: there is no data of a member", dir)
		}
	}
	fatal := func(err error) { panic(err) } // of a disk that fails while it is written to
	if log, err = wal.Open(wal.Config{Dir: logDir(c), SegmentBytes: c.WAL.SegmentBytes, Fatal: fatal, Logger: logger}); err != nil {
		return nil, nil, err
	}
	if image, err = checkpoint.Open(checkpoint.Config{Dir: imageDir(c), Fatal: fatal, Logger: logger}); err != nil {
		return nil, nil, errors.Join(err, log.Close())
	}
	return log, image, nil
}

func logDir(c *config.Config) string   { return filepath.Join(c.Data.LogDir, "log") }
func imageDir(c *config.Config) string { return filepath.Join(c.Data.Dir, "image") }

func recoverEnsemble(c *config.Config, members string, confirm bool, out io.Writer) (err error) {
	log, image, err := openData(c, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close(), image.Close()) }()
	s, err := quorum.OpenSurvivor(tree.NodeOf(c.ID), log, image)
	if err != nil {
		return err
	}
	root := s.Root()
	next, err := newEnsemble(c, root.Ensemble(), members)
	if err != nil {
		return err
	}
	cluster := max(rand.Uint64(), 1)
	fmt.Fprintf(out, "server.%d in %s: zxid %#x, %d znodes, %d sessions; log to entry %d, %d of these not known to be committed, which are kept\n",
		c.ID, c.Data.Dir, uint64(root.Zxid()), root.NodeCount(), root.SessionCount(), s.Last, s.Last-s.Committed)
	fmt.Fprintf(out, "ensemble %016x of %s\n      -> %016x of %s\n", root.ClusterID(), ids(root.Ensemble()), cluster, ids(next))
	fmt.Fprint(out, "What the other members had acknowledged and this one had not received is lost. They must not run again with their old data: a majority "+
		"of them\nwould go on as the old ensemble, and clients would find either. The new one refuses them until they are emptied with holt refill.\n")
	if !confirm {
		return nil
	}
	if err := s.Found(next, cluster, time.Now().UnixMilli()); err != nil {
		return err
	}
	fmt.Fprintf(out, "done: start this member")
	if len(next.Members) > 1 {
		fmt.Fprint(out, "; empty the others with holt refill and start them, and they are filled from it")
	}
	fmt.Fprintln(out)
	return nil
}

// newEnsemble takes the members with the given numbers from the server lines, or from what the ensemble last agreed on.
func newEnsemble(c *config.Config, agreed *tree.Ensemble, numbers string) (*tree.Ensemble, error) {
	if numbers == "" {
		numbers = strconv.Itoa(int(c.ID))
	}
	var members []tree.Member
	for _, number := range strings.Split(numbers, ",") {
		id, err := strconv.ParseUint(strings.TrimSpace(number), 10, 8)
		if err != nil {
			return nil, fmt.Errorf("--members: %q is not the number of a server", number)
		}
		m, ok := tree.Member{}, false
		for _, e := range []*tree.Ensemble{c.Ensemble, agreed} {
			if e != nil && !ok {
				m, ok = e.Member(tree.NodeOf(uint8(id)))
			}
		}
		if !ok {
			return nil, fmt.Errorf("there is no server line for server.%d, here or in what the ensemble agreed on", id)
		}
		if uint8(id) == c.ID {
			m.Observer = false // somebody has to vote
		}
		members = append(members, m)
	}
	return tree.NewEnsemble(members, 0)
}

func ids(e *tree.Ensemble) string {
	if e == nil {
		return "a server that stands alone"
	}
	var names []string
	for _, m := range e.Members {
		name := fmt.Sprintf("server.%d", m.ID)
		if m.Observer {
			name += " (observer)"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

const refillUsage = `usage: holt refill [flags] [zoo.cfg]

Moves the data of a member aside, so that it starts empty and is filled by the others: for one whose log or image is damaged, or whose
state is not that of the others. The member must be stopped. It takes the zoo.cfg and the flags that the member is started with, and

  --confirm   do it; without, it only says what it would do
  --force     also when no other member says that it leads

A member that is filled anew does not count for the quorum until it has caught up. Never empty a majority: what only they had would be
gone, and all of them empty would begin an empty ensemble. Therefore a leader among the others has to answer (srvr on its client port).
`

// refillCommand is "holt refill".
func refillCommand(args []string, std stdio) int {
	flags, confirm, force := flag.NewFlagSet("holt refill", flag.ContinueOnError), false, false
	flags.BoolVar(&confirm, "confirm", false, "")
	flags.BoolVar(&force, "force", false, "")
	c, code, ok := offlineConfig(flags, args, refillUsage, std)
	if !ok {
		return code
	}
	if err := refill(c, confirm, force, std.out); err != nil {
		fmt.Fprintf(std.err, "holt refill: %v\n", err)
		return exitError
	}
	if !confirm {
		fmt.Fprint(std.err, "nothing was changed; add --confirm to do it\n")
		return exitError
	}
	return exitOK
}

func refill(c *config.Config, confirm, force bool, out io.Writer) error {
	if c.Ensemble == nil || len(c.Ensemble.Members) < 2 {
		return errors.New("this server stands alone: there is nobody to fill it. Restore its directory from a backup")
	}
	if err := notRunning(c); err != nil {
		return err
	}
	leader, led := otherLeader(c)
	if led {
		fmt.Fprintf(out, "server.%d leads and can fill this member\n", leader)
	} else if !force {
		return errors.New("no other member answers srvr as leader: without one nobody can fill this member, and what it has may be the last copy. " +
			"Start the others first; --force goes on all the same")
	}
	aside := "aside-" + time.Now().UTC().Format("20060102T150405.000")
	moved := 0
	for _, dir := range []string{logDir(c), imageDir(c)} {
		to := filepath.Join(filepath.Dir(dir), aside, filepath.Base(dir))
		if !exists(dir) {
			continue
		}
		moved++
		fmt.Fprintf(out, "%s -> %s\n", dir, to)
		if !confirm {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.Rename(dir, to); err != nil {
			return err
		}
		if err := errors.Join(syncDir(filepath.Dir(to)), syncDir(filepath.Dir(dir))); err != nil {
			return err
		}
	}
	if confirm && led {
		if err := awaitState(c); err != nil {
			return err
		}
	}
	switch {
	case moved == 0:
		fmt.Fprintf(out, "%s holds no data: start the member, and it is filled\n", c.Data.Dir)
	case confirm:
		fmt.Fprintln(out, "done: start the member, and it is filled; what was moved can be deleted when it serves")
	}
	return nil
}

// awaitState makes sure that a member without data waits for that of the others.
func awaitState(c *config.Config) error {
	image, err := checkpoint.Open(checkpoint.Config{Dir: imageDir(c), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	return errors.Join(quorum.AwaitState(image), image.Close())
}

// notRunning makes sure that no process has the directory. A log that cannot be read is what refill is for.
func notRunning(c *config.Config) error {
	if !exists(logDir(c)) {
		return nil
	}
	log, err := wal.Open(wal.Config{Dir: logDir(c), SegmentBytes: c.WAL.SegmentBytes})
	if errors.Is(err, wal.ErrLocked) {
		return fmt.Errorf("the member runs: %w", err)
	}
	if err != nil {
		return nil
	}
	return log.Close()
}

// otherLeader asks the other members for the one that leads.
func otherLeader(c *config.Config) (id uint8, ok bool) {
	i := slices.IndexFunc(c.Ensemble.Members, func(m tree.Member) bool {
		return m.ID != c.ID && m.ClientAddr != "" && strings.Contains(fourLetters(clientAddr(m), "srvr"), "\nMode: leader\n")
	})
	if i < 0 {
		return 0, false
	}
	return c.Ensemble.Members[i].ID, true
}

// clientAddr is where clients reach a member: a wildcard stands for the host of its server line.
func clientAddr(m tree.Member) string {
	if port, ok := strings.CutPrefix(m.ClientAddr, "0.0.0.0:"); ok {
		return net.JoinHostPort(m.Host, port)
	}
	if port, ok := strings.CutPrefix(m.ClientAddr, "[::]:"); ok {
		return net.JoinHostPort(m.Host, port)
	}
	return m.ClientAddr
}

func syncDir(name string) error {
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
