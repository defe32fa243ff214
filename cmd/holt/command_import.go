package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"holt/cmd/holt/config"
	"holt/cmd/holt/zkdata"
	"holt/quorum"
	"holt/tree"
	"holt/wal"
	"holt/wal/checkpoint"
)

const importUsage = `usage: holt import [flags] [zoo.cfg]

Takes over what a ZooKeeper server left: all znodes with their stats and ACLs, quotas, and the open sessions with their ephemerals, so that
clients go on where they were. Both servers must be stopped. It takes the zoo.cfg and the flags that Holt is to be started with, and reads
ZooKeeper's snapshot and log from where that zoo.cfg has them, which it leaves as they are. Of an ensemble, import one member, the
one whose last transaction is the newest.

  --check         only read, and say what is there
  --from DIR      ZooKeeper's dataDir, if it is not that of the zoo.cfg
  --from-log DIR  its dataLogDir, if that is another
  --force         also when something seems to be missing
`

// importing is what the flags of holt import say.
type importing struct {
	from, fromLog string
	check, force  bool
}

// importCommand is "holt import".
func importCommand(args []string, std stdio) int {
	flags := flag.NewFlagSet("holt import", flag.ContinueOnError)
	var i importing
	flags.StringVar(&i.from, "from", "", "")
	flags.StringVar(&i.fromLog, "from-log", "", "")
	flags.BoolVar(&i.check, "check", false, "")
	flags.BoolVar(&i.force, "force", false, "")
	c, code, ok := offlineConfig(flags, args, importUsage, std)
	if !ok {
		return code
	}
	if err := i.run(c, std.out); err != nil {
		fmt.Fprintf(std.err, "holt import: %v\n", err)
		return exitError
	}
	return exitOK
}

func (i *importing) run(c *config.Config, out io.Writer) error {
	if !i.check {
		if err := roomForImport(c); err != nil {
			return err
		}
	}
	data, err := i.read(c)
	if err != nil {
		return err
	}
	describeImport(data, out)
	if i.check {
		return nil
	}
	if len(data.Doubts) > 0 && !i.force {
		return errors.New("nothing was imported, as something seems to be missing; --force imports what is there")
	}
	if err := importData(c, data); err != nil {
		return err
	}
	fmt.Fprintln(out, "done: start it with holt server")
	if c.Ensemble != nil && len(c.Ensemble.Members) > 1 {
		fmt.Fprintln(out, "Then start the other members: they are filled from it. One whose directory has neither ZooKeeper's files nor Holt's must be started last.")
	}
	return nil
}

func (i *importing) read(c *config.Config) (*zkdata.Data, error) {
	from, fromLog := c.Data.Dir, c.Data.LogDir
	if i.from != "" {
		from, fromLog = i.from, i.from
	}
	if i.fromLog != "" {
		fromLog = i.fromLog
	}
	return zkdata.Read(zkdata.In(from), zkdata.In(fromLog))
}

// roomForImport makes sure that nothing is there that an import would put aside, and nobody who still writes.
func roomForImport(c *config.Config) error {
	for _, dir := range []string{logDir(c), imageDir(c)} {
		if exists(dir) {
			return fmt.Errorf("%s exists: this member has data of its own. Move it away to import another's", dir)
		}
	}
	host, port, err := net.SplitHostPort(c.Client.Addr())
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(host, port), time.Second)
	if err != nil {
		return nil // nobody is there
	}
	conn.Close()
	return fmt.Errorf("a server answers on %s: stop it first", net.JoinHostPort(host, port))
}

func describeImport(d *zkdata.Data, out io.Writer) {
	fmt.Fprintf(out, "%s and %d transactions of the log after it\n", d.Snapshot, d.Txns)
	fmt.Fprintf(out, "last zxid %#x, %d znodes, %d sessions\n", uint64(d.Zxid), d.Znodes, d.Sessions)
	switch a := d.Agreed; {
	case a.Digests == 0:
		fmt.Fprintln(out, "ZooKeeper wrote no digest of its tree there: nothing to compare")
	case a.Last > 0 && a.Differ == 0:
		fmt.Fprintln(out, "ZooKeeper's digest of its tree is equal to that of what was read")
	case a.Last > 0:
		fmt.Fprintf(out, "ZooKeeper's digest of its tree is equal to that of what was read at zxid %#x, and %d after it are not: it errs where requests were refused\n",
			uint64(a.Last), a.Differ)
	}
	if d.Orphans > 0 {
		fmt.Fprintf(out, "left out: %d ephemerals whose session had ended\n", d.Orphans)
	}
	for _, scheme := range slices.Sorted(maps.Keys(d.Schemes)) {
		if !slices.Contains([]string{"world", "auth", "digest", "ip"}, scheme) {
			fmt.Fprintf(out, "warning: %d znodes have an ACL entry of scheme %q, by which nobody can log in to Holt\n", d.Schemes[scheme], scheme)
		}
	}
	for _, note := range d.Notes {
		fmt.Fprintf(out, "note: %s\n", note)
	}
	for _, doubt := range d.Doubts {
		fmt.Fprintf(out, "doubt: %s\n", doubt)
	}
}

// importData writes the data into directories with other names, and gives them their own when all of it is on the disk: until
// then there is no data of Holt's, and it does not start on that of ZooKeeper.
func importData(c *config.Config, data *zkdata.Data) (err error) {
	alone := c.Ensemble == nil
	state, err := data.State(alone)
	if err != nil {
		return err
	}
	b := quorum.Beginning{ID: tree.NodeOf(c.ID), State: state, Term: data.Term(), NowMs: time.Now().UnixMilli()}
	if !alone {
		b.Identity = &tree.Bootstrap{ClusterID: max(rand.Uint64(), 1), Ensemble: c.Ensemble}
	}
	const unfinished = ".import"
	dirs := []string{logDir(c), imageDir(c)}
	for _, dir := range dirs {
		if err := os.RemoveAll(dir + unfinished); err != nil {
			return err
		}
	}
	if err := beginAt(&b, dirs[0]+unfinished, dirs[1]+unfinished, c); err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := os.Rename(dir+unfinished, dir); err != nil {
			return err
		}
		if err := syncDir(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	return nil
}

func beginAt(b *quorum.Beginning, logAt, imageAt string, c *config.Config) (err error) {
	fatal := func(err error) { panic(err) } // of a disk that fails while it is written to
	quiet := slog.New(slog.DiscardHandler)
	log, err := wal.Open(wal.Config{Dir: logAt, SegmentBytes: c.WAL.SegmentBytes, Fatal: fatal, Logger: quiet})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	image, err := checkpoint.Open(checkpoint.Config{Dir: imageAt, Fatal: fatal, Logger: quiet})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, image.Close()) }()
	return quorum.Begin(b, log, image)
}

// mindZooKeeper looks for data of ZooKeeper's where there is none of Holt's. Whoever starts Holt in ZooKeeper's place expects to find it: a
// server that stands alone does not begin with an empty tree then, and a member of an ensemble waits for the state of the others.
func (s *server) mindZooKeeper() error {
	data := s.cfg.Data
	if exists(logDir(s.cfg)) {
		return nil
	}
	found, err := zkdata.Exists(data.Dir, data.LogDir)
	if err != nil || !found {
		return err
	}
	if s.cfg.Ensemble == nil || len(s.cfg.Ensemble.Members) == 1 {
		return fmt.Errorf("%s holds the data of a ZooKeeper server and none of Holt's: take it over with holt import, or move ZooKeeper's away to begin with an empty tree",
			data.Dir)
	}
	s.logger.Warn("the directory holds the data of a ZooKeeper server and none of Holt's: this member waits to be filled by one whose data was taken over with holt import",
		"dir", data.Dir)
	return awaitState(s.cfg)
}
