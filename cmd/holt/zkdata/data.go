package zkdata

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"holt/netloop/wire"
	"holt/tree"
)

// epochMax is the last epoch that the upper half of a zxid can tell.
const epochMax = 1<<32 - 1

// Data is what a stopped ZooKeeper server left.
type Data struct {
	Snapshot string // the file that was read
	Txns     int    // transactions of the log after it
	Znodes   int    // as ZooKeeper counts them
	Sessions int
	Orphans  int            // ephemerals whose session had ended, which are left out as ZooKeeper does when it starts
	Zxid     tree.Zxid      // the last transaction, or the beginning of an epoch that has none
	Agreed   Agreement      // with ZooKeeper's own digests
	Notes    []string       // what was met with and dealt with
	Doubts   []string       // reasons to think that something is missing or wrong
	Schemes  map[string]int // znodes by the schemes in their ACLs, but for world:anyone ALL

	db *database
}

// Agreement is what came of comparing ZooKeeper's digests of its tree with those of what was read. Those in its log are computed
// ahead, and with requests that are refused on their way ZooKeeper's own tree does not always agree with them; but then it does again.
type Agreement struct {
	Last    tree.Zxid // where they were equal last; 0: nowhere
	Differ  int       // digests after it, which differ
	Digests int       // in all; none before 3.6, or with digest.enabled=false
}

// differMax is how many digests in a row may differ, at the end: a multiple of what was seen.
const differMax = 100

func (a *Agreement) add(equal bool, zxid int64) {
	a.Digests++
	a.Differ++
	if equal {
		a.Last, a.Differ = tree.Zxid(zxid), 0
	}
}

// Read reads the newest whole snapshot in snapDir and the log in logDir, ZooKeeper's version-2 directories (FileTxnSnapLog.restore).
func Read(snapDir, logDir string) (*Data, error) {
	snapshots, err := files(snapDir, snapshotPrefix)
	if err != nil {
		return nil, err
	}
	logs, err := files(logDir, logPrefix)
	if err != nil {
		return nil, err
	}
	if len(snapshots) == 0 {
		if len(logs) > 0 {
			return nil, fmt.Errorf("%w: %s has a log and %s no snapshot for it to go on from; ZooKeeper would not start with that either", ErrDamaged, logDir, snapDir)
		}
		return nil, fmt.Errorf("%w in %s: there is no snapshot", ErrNothing, snapDir)
	}
	d := &Data{}
	digest, err := d.readSnapshot(snapshots)
	if err != nil {
		return nil, err
	}
	if err = d.readLogs(logs, digest); err != nil {
		return nil, err
	}
	for key := range d.db.noACL {
		return nil, fmt.Errorf("%w: %s has no ACL for %s, and the log says none either", ErrDamaged, d.Snapshot, tree.AppendPath(nil, []byte(key)))
	}
	if digest.zxid > d.db.zxid {
		d.doubt("the snapshot was still being written at %#x, and the log ends before", uint64(digest.zxid))
	}
	if a := d.Agreed; a.Digests > 0 && a.Last == 0 || a.Differ > differMax {
		d.doubt("the last %d digests of ZooKeeper's tree are not those of what was read", a.Differ)
	}
	epoch, err := epochOf(snapDir)
	if err != nil {
		return nil, err
	}
	d.Zxid = tree.Zxid(max(d.db.zxid, epoch<<32))
	d.leaveOut()
	d.count()
	return d, nil
}

func (d *Data) doubt(format string, args ...any) {
	d.Doubts = append(d.Doubts, fmt.Sprintf(format, args...))
}

// readSnapshot reads the newest snapshot that is whole.
func (d *Data) readSnapshot(snapshots []file) (latest digestAt, err error) {
	var first error
	for _, f := range slices.Backward(snapshots) {
		d.db = newDatabase()
		b, err := f.read()
		if err == nil {
			latest, err = f.parseSnapshot(b, d.db)
		}
		if err == nil {
			d.Snapshot, d.db.zxid = f.path, f.zxid
			return latest, nil
		}
		if first == nil {
			first = err
		}
		d.Notes = append(d.Notes, fmt.Sprintf("%v; an older snapshot was taken, with more of the log", err))
	}
	return digestAt{}, first
}

// readLogs replays what comes after the snapshot, and compares digests.
func (d *Data) readLogs(logs []file, snapshot digestAt) error {
	begin := 0
	for i, f := range logs {
		if f.zxid <= d.db.zxid+1 {
			begin = i
		}
	}
	d.compare(snapshot)
	for _, f := range logs[begin:] {
		cut, err := f.replay(func(h *header, r *wire.Reader) error {
			if h.zxid <= d.db.zxid {
				return nil
			}
			if !follows(d.db.zxid, h.zxid) {
				d.doubt("transactions between %#x and %#x are missing", uint64(d.db.zxid), uint64(h.zxid))
			}
			if err := d.db.apply(h, r); err != nil {
				return err
			}
			d.db.zxid = h.zxid
			d.Txns++
			d.compare(digestBehind(h.zxid, r.Rest()))
			d.compare(snapshot)
			return nil
		})
		if err != nil {
			return err
		}
		if cut != "" {
			d.doubt("%s: %s", f.path, cut)
		}
	}
	return nil
}

// compare holds a digest of ZooKeeper's, if it is of the last transaction, against that of what was read so far.
func (d *Data) compare(theirs digestAt) {
	if theirs.version == digestVersion && theirs.zxid == d.db.zxid {
		d.Agreed.add(theirs.digest == d.db.digest, theirs.zxid)
	}
}

// follows says whether no transaction can lie between two: a leader counts from 1 in its epoch, and every one is logged.
func follows(a, b int64) bool {
	if a>>32 == b>>32 {
		return b == a+1
	}
	return b&(1<<32-1) == 1
}

// leaveOut removes ephemerals of sessions that are not there any more (ZooKeeperServer.loadData).
func (d *Data) leaveOut() {
	for session := range d.db.owned {
		if _, ok := d.db.sessions[session]; !ok {
			d.Orphans += d.db.dropOwned(session, d.db.zxid)
		}
	}
}

func (d *Data) count() {
	for _, path := range []string{"/zookeeper", "/zookeeper/quota", "/zookeeper/config"} { // the last came with 3.5
		if key := string(tree.AppendKey(nil, []byte(path))); d.db.znodes[key] == nil {
			z := tree.Fresh(path)
			d.db.znodes[key] = &z
		}
	}
	d.Znodes, d.Sessions = len(d.db.znodes)+1, len(d.db.sessions) // it knows the root under two names
	d.Schemes = map[string]int{}
	for _, z := range d.db.znodes {
		for _, scheme := range d.db.schemes[string(z.ACL)] {
			d.Schemes[scheme]++
		}
	}
}

// Term is a raft term whose zxids come after all of ZooKeeper's: the next epoch.
func (d *Data) Term() uint64 { return uint64(d.Zxid)>>32 + 1 }

// State makes a state of it. A server that will stand alone has no use for the members that /zookeeper/config lists, and
// clients that read it (Curator's EnsembleTracker) would go there.
func (d *Data) State(alone bool) (*tree.State, error) {
	if alone {
		const config = "/zookeeper/config"
		d.db.znodes[string(tree.AppendKey(nil, []byte(config)))].Data = tree.Fresh(config).Data
	}
	var to tree.Importer
	for _, key := range slices.Sorted(maps.Keys(d.db.znodes)) {
		if err := to.Znode([]byte(key), d.db.znodes[key]); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(d.Snapshot), err)
		}
	}
	for id, timeoutMs := range d.db.sessions {
		s := tree.Session{ID: tree.SessionID(id), TimeoutMs: timeoutMs, Password: passwordOf(id)}
		if err := to.Session(&s); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(d.Snapshot), err)
		}
	}
	return to.Finish(d.Zxid)
}

// passwordOf is the password that every ZooKeeper server gives to a session (SessionTrackerImpl, ZooKeeperServer.generatePasswd): the bytes of a
// java.util.Random seeded with the id and a constant.
func passwordOf(session int64) (p [16]byte) {
	const secret, multiplier, increment, mask = 0xB3415C00, 0x5DEECE66D, 0xB, 1<<48 - 1
	state := (uint64(session^secret) ^ multiplier) & mask
	for i := range p {
		if i%4 == 0 {
			state = (state*multiplier + increment) & mask
		}
		p[i] = byte(state >> 16 >> (8 * (i % 4)))
	}
	return p
}
