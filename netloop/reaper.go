package netloop

import (
	"errors"
	"time"

	"holt/quorum"
	"holt/tree"
)

// reaper proposes, as leader, to remove containers and TTL nodes that have had their time; whether they still have is
// decided again at Apply. It belongs to the clock's goroutine.
//
// It looks as often as ContainerCheckIntervalMs says, be that every millisecond. A look costs by the number of containers
// and TTL nodes, so one that took long is followed by a pause in proportion: restFactor bounds the share of a core.
type reaper struct {
	*shared
	reader   *tree.Reader
	allow    float64   // removals that the rate permits
	lookedNs int64     // when allow was counted last
	restNs   int64     // no look before
	proposed tree.Zxid // the tree's when removals were proposed; they move it on
	askedNs  int64     // and when that was
}

const (
	restFactor   = 9           // times the last look
	reapRetryMax = time.Second // until removals are proposed again that did not come about
)

func newReaper(s *shared) reaper {
	return reaper{shared: s, reader: s.quorum.Readers().Join(), allow: 1, lookedNs: s.cfg.NowNs()}
}

func (r *reaper) interval() time.Duration {
	return time.Duration(max(r.cfg.ContainerCheckIntervalMs, 1)) * time.Millisecond
}

// look proposes what is due, not more than the rate allows.
func (r *reaper) look() {
	now := r.cfg.NowNs()
	perMinute := float64(r.cfg.ContainerMaxPerMinute)
	r.allow = min(r.allow+time.Duration(now-r.lookedNs).Minutes()*perMinute, max(perMinute, 1))
	r.lookedNs = now
	s := r.quorum.Status()
	if s.Role != quorum.Leader || s.Full || now < r.restNs {
		return
	}
	r.reader.Enter()
	defer r.reader.Rest()
	root := r.quorum.Tail().Root
	if root.Zxid() == r.proposed && now-r.askedNs < int64(reapRetryMax) {
		return // what was proposed has not been applied yet
	}
	var batch []byte
	neverUsedMs := int64(r.cfg.ContainerNeverUsedMs)
	root.Reapable(r.cfg.NowMs(), neverUsedMs, int(r.allow), func(path []byte) bool {
		r.allow--
		batch = tree.AppendReap(batch, &tree.CommandHeader{}, &tree.Reap{Path: path, NeverUsedMs: neverUsedMs})
		return true
	})
	r.restNs = now + restFactor*(r.cfg.NowNs()-now)
	if len(batch) == 0 {
		return
	}
	r.proposed, r.askedNs = root.Zxid(), now
	if err := r.quorum.ProposeAsLeader(s.Term, batch); err != nil && !errors.Is(err, quorum.ErrClosed) {
		r.log.Debug("containers and TTL nodes are removed later", "err", err)
	}
}
