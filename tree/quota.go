package tree

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// A quota on /a/b is the znode /zookeeper/quota/a/b/zookeeper_limits, what is
// used stands in zookeeper_stats beside it. Holt keeps no table of quotas: the
// longest prefix of a path that has a quota is found by walking down
// /zookeeper/quota along the path, and Root.limits says when not to.
const (
	limitsName = "zookeeper_limits"
	statsName  = "zookeeper_stats"
)

// Quota is one quota as an operator reads it. Limits are -1 when not set.
type Quota struct {
	Path                 string // the znode the quota is about
	Count, CountHard     int64
	Bytes, BytesHard     int64
	CountUsed, BytesUsed int64 // from its zookeeper_stats; -1 when there is none
}

// track is the text of a quota node: ZooKeeper's StatsTrack.
type track struct {
	count, bytes         int64 // -1 when absent
	countHard, bytesHard int64
	others               []trackPair // all but count and bytes, as they will be written back
}

type trackPair struct {
	key   string
	value int64
}

// parseTrack reads "count=1,bytes=2=;byteHardLimit=3". ok is false for text on
// which ZooKeeper's parser throws.
func parseTrack(b []byte) (t track, ok bool) {
	t = track{-1, -1, -1, -1, nil}
	if b == nil {
		return t, false
	}
	text := strings.ReplaceAll(string(b), ";", ",")
	first := true
	for text != "" {
		pair, rest, more := strings.Cut(text, ",")
		text = rest
		if more {
			text = strings.TrimLeft(rest, ",")
		}
		if pair == "" && first && text == "" {
			return t, true // nothing but separators
		}
		first = false
		if !t.set(pair) {
			return t, false
		}
	}
	return t, true
}

// set takes one key=value; whatever follows a second "=" is ignored.
func (t *track) set(pair string) bool {
	parts := strings.Split(strings.TrimRight(pair, "="), "=")
	if len(parts) < 2 {
		return false
	}
	value := int64(-1)
	if parts[1] != "" {
		v, err := strconv.ParseInt(parts[1], 10, 64)
		if err != nil {
			return false
		}
		value = v
	}
	switch key := parts[0]; key {
	case "count":
		t.count = value
	case "bytes":
		t.bytes = value
	default:
		t.setOther(key, value)
	}
	return true
}

func (t *track) setOther(key string, value int64) {
	switch key {
	case "countHardLimit":
		t.countHard = value
	case "byteHardLimit":
		t.bytesHard = value
	}
	for i := range t.others {
		if t.others[i].key == key {
			t.others[i].value = value
			return
		}
	}
	t.others = append(t.others, trackPair{key, value})
}

func (t *track) append(dst []byte) []byte {
	dst = append(dst, "count="...)
	dst = strconv.AppendInt(dst, t.count, 10)
	dst = append(dst, ",bytes="...)
	dst = strconv.AppendInt(dst, t.bytes, 10)
	if len(t.others) == 0 {
		return dst
	}
	dst = append(dst, '=')
	slices.SortFunc(t.others, func(a, b trackPair) int { return strings.Compare(a.key, b.key) })
	for _, p := range t.others {
		dst = append(dst, ';')
		dst = append(dst, p.key...)
		dst = append(dst, '=')
		dst = strconv.AppendInt(dst, p.value, 10)
	}
	return dst
}

// quotaOf finds the longest prefix of path that has a quota and the znode
// below /zookeeper/quota that holds it; nil when there is none.
func (s *State) quotaOf(path []byte) (prefix []byte, q *znode) {
	if s.cur.limits == 0 {
		return nil, nil
	}
	at := s.w.lookup([]byte(quotaPath))
	for i := 0; i < len(path) && at != nil; {
		end := len(path)
		if n := bytes.IndexByte(path[i+1:], '/'); n >= 0 {
			end = i + 1 + n
		}
		if at = at.child(path[i+1 : end]); at != nil && at.child([]byte(limitsName)) != nil {
			prefix, q = path[:end], at
		}
		i = end
	}
	return prefix, q
}

// checkQuota refuses a write that exceeds a hard limit
// (ZooKeeperServer.checkQuota). Soft limits are for the operator's eyes.
func (s *State) checkQuota(path []byte, bytesDiff, countDiff int64) Code {
	if s.rules&RuleEnforceQuota == 0 {
		return OK
	}
	_, q := s.quotaOf(path)
	if q == nil {
		return OK
	}
	limits, ok := parseTrack(q.child([]byte(limitsName)).data())
	if !ok {
		return MarshallingError
	}
	countLimited := countDiff != 0 && (limits.count > -1 || limits.countHard > -1)
	bytesLimited := bytesDiff != 0 && (limits.bytes > -1 || limits.bytesHard > -1)
	stats := q.child([]byte(statsName))
	if !countLimited && !bytesLimited || stats == nil {
		return OK
	}
	used, ok := parseTrack(stats.data())
	switch {
	case !ok:
		return MarshallingError
	case countLimited && limits.countHard > -1 && used.count+countDiff > limits.countHard,
		bytesLimited && limits.bytesHard > -1 && used.bytes+bytesDiff > limits.bytesHard:
		s.noteOverQuota(path)
		return QuotaExceeded
	}
	return OK
}

// noteOverQuota tells whose quota was too small, by the name under which
// ZooKeeper counts it (PathUtils.getTopNamespace).
func (s *State) noteOverQuota(path []byte) {
	if t := &s.out.Txns[len(s.out.Txns)-1]; t.Local {
		name, _, _ := bytes.Cut(path[1:], []byte("/"))
		t.setRare().OverQuota = stringOf(name)
	}
}

// countQuota adds a change to the stats of the quota it falls under
// (DataTree.updateQuotaStat). Stats that do not parse stay as they are; they
// stop a ZooKeeper server.
func (s *State) countQuota(path []byte, bytesDiff, countDiff int64) {
	prefix, q := s.quotaOf(path)
	if q == nil {
		return
	}
	stats := q.child([]byte(statsName))
	if stats == nil {
		return
	}
	used, ok := parseTrack(stats.data())
	if !ok {
		return
	}
	used.count += countDiff
	used.bytes += bytesDiff
	s.writeStats(prefix, stats, &used)
}

// startStats fills a zookeeper_stats node just created below
// /zookeeper/quota<path> (DataTree.updateQuotaForPath). path "" is the root.
func (s *State) startStats(path []byte, stats *znode) {
	used := track{countHard: -1, bytesHard: -1}
	if z := s.w.lookup(path); z != nil {
		used.count, used.bytes = z.descendants()+1, z.subtreeBytes()
	}
	s.writeStats(path, stats, &used)
}

// writeStats replaces the data of the stats node of the quota on path, in
// place: version and mzxid stay.
func (s *State) writeStats(path []byte, stats *znode, used *track) {
	full := slices.Concat([]byte(quotaPath), path, []byte("/"+statsName))
	f := stats.fields()
	f.data = used.append(nil)
	s.replace(full, stats, &f)
}

// limitsBelowQuota says whether parent/name is the limits node of a quota.
func limitsBelowQuota(parent, name []byte) bool {
	return string(name) == limitsName && len(parent) > len(quotaPath) && belowQuota(parent)
}

func belowQuota(parent []byte) bool {
	return bytes.HasPrefix(parent, []byte(quotaPath)) &&
		(len(parent) == len(quotaPath) || parent[len(quotaPath)] == '/')
}

// visitQuotas visits the quotas at and below the znode q, which stands for path.
func visitQuotas(q *znode, path []byte, visit func(Quota) bool) bool {
	if limits := q.child([]byte(limitsName)); limits != nil && len(path) > 0 {
		l, _ := parseTrack(limits.data())
		quota := Quota{
			Path: string(path), Count: l.count, CountHard: l.countHard, Bytes: l.bytes, BytesHard: l.bytesHard,
			CountUsed: -1, BytesUsed: -1,
		}
		if stats := q.child([]byte(statsName)); stats != nil {
			used, _ := parseTrack(stats.data())
			quota.CountUsed, quota.BytesUsed = used.count, used.bytes
		}
		if !visit(quota) {
			return false
		}
	}
	more := true
	q.walkChildren(nil, func(z *znode) bool {
		more = visitQuotas(z, slices.Concat(path, []byte("/"), z.name()), visit)
		return more
	})
	return more
}
