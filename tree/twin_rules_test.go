package tree

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The twin's ACLs and quotas.

func (t *twin) allowed(n *twinZnode, c *call, perm Perm) bool {
	if t.rules&RuleSkipACL != 0 {
		return true
	}
	return twinAllows(n.acl, c.ids, perm)
}

func twinAllows(acl []ACL, ids []ID, perm Perm) bool {
	for _, id := range ids {
		if id.Scheme == "super" {
			return true
		}
	}
	for _, e := range acl {
		if e.Perms&perm == 0 {
			continue
		}
		if e.ID == (ID{"world", "anyone"}) {
			return true
		}
		for _, id := range ids {
			if id.Scheme != e.ID.Scheme {
				continue
			}
			if id.ID == e.ID.ID || id.Scheme == "sasl" && id.ID == "super" {
				return true
			}
			if id.Scheme == "ip" {
				if prefix, ok := twinPrefix(e.ID.ID); ok {
					if addr, err := netip.ParseAddr(id.ID); err == nil && prefix.Contains(addr) {
						return true
					}
				}
			}
		}
	}
	return false
}

func twinPrefix(s string) (netip.Prefix, bool) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	return p, err == nil
}

var twinDigest = regexp.MustCompile(`^[^:]*:[^:]+:*$`)

func (t *twin) fix(c *call) ([]ACL, Code) {
	var unique, fixed []ACL
	for _, e := range c.acl {
		if !slices.Contains(unique, e) {
			unique = append(unique, e)
		}
	}
	if len(unique) == 0 {
		return nil, InvalidACL
	}
	provider := map[string]bool{
		"ip": true, "digest": t.rules&RuleNoDigest == 0, "x509": t.rules&RuleX509 != 0, "sasl": t.rules&RuleSASL != 0,
	}
	for _, e := range unique {
		valid := false
		switch e.ID.Scheme {
		case "world":
			valid = e.ID.ID == "anyone"
		case "auth":
			for _, id := range c.ids {
				if provider[id.Scheme] && id.Scheme != "ip" {
					fixed = append(fixed, ACL{e.Perms, id})
					valid = true
				}
			}
			if valid {
				continue
			}
		case "ip":
			_, valid = twinPrefix(e.ID.ID)
		case "digest":
			valid = provider["digest"] && twinDigest.MatchString(e.ID.ID)
		case "x509", "sasl":
			valid = provider[e.ID.Scheme]
		}
		if !valid {
			return nil, InvalidACL
		}
		fixed = append(fixed, e)
	}
	return fixed, OK
}

// Quotas.

// quota finds the path of the quota that path falls under.
func (t *twin) quota(path string) (string, bool) {
	for p := path; p != "/" && p != ""; p = twinParent(p) {
		if t.nodes["/zookeeper/quota"+p+"/zookeeper_limits"] != nil {
			return p, true
		}
	}
	return "", false
}

func twinTrack(text []byte) (map[string]int64, bool) {
	m := map[string]int64{}
	if text == nil {
		return m, false
	}
	pairs := regexp.MustCompile("[,;]+").Split(string(text), -1)
	for len(pairs) > 0 && pairs[len(pairs)-1] == "" {
		pairs = pairs[:len(pairs)-1]
	}
	for _, pair := range pairs {
		kv := strings.Split(pair, "=")
		for len(kv) > 0 && kv[len(kv)-1] == "" {
			kv = kv[:len(kv)-1]
		}
		if len(kv) < 2 {
			return m, false
		}
		if kv[1] == "" {
			kv[1] = "-1"
		}
		v, err := strconv.ParseInt(kv[1], 10, 64)
		if err != nil {
			return m, false
		}
		m[kv[0]] = v
	}
	return m, true
}

func twinValue(m map[string]int64, key string) int64 {
	if v, ok := m[key]; ok {
		return v
	}
	return -1
}

func (t *twin) quotaCode(path string, bytes, count int64) Code {
	if t.rules&RuleEnforceQuota == 0 {
		return OK
	}
	q, ok := t.quota(path)
	if !ok {
		return OK
	}
	limits, ok := twinTrack(t.nodes["/zookeeper/quota"+q+"/zookeeper_limits"].data)
	if !ok {
		return MarshallingError
	}
	byCount := count != 0 && (twinValue(limits, "count") > -1 || twinValue(limits, "countHardLimit") > -1)
	byBytes := bytes != 0 && (twinValue(limits, "bytes") > -1 || twinValue(limits, "byteHardLimit") > -1)
	stats := t.nodes["/zookeeper/quota"+q+"/zookeeper_stats"]
	if !byCount && !byBytes || stats == nil {
		return OK
	}
	used, ok := twinTrack(stats.data)
	if !ok {
		return MarshallingError
	}
	if hard := twinValue(limits, "countHardLimit"); byCount && hard > -1 && twinValue(used, "count")+count > hard {
		return QuotaExceeded
	}
	if hard := twinValue(limits, "byteHardLimit"); byBytes && hard > -1 && twinValue(used, "bytes")+bytes > hard {
		return QuotaExceeded
	}
	return OK
}

func (t *twin) quotaAdd(path string, bytes, count int64) {
	q, ok := t.quota(path)
	if !ok {
		return
	}
	stats := t.nodes["/zookeeper/quota"+q+"/zookeeper_stats"]
	if stats == nil {
		return
	}
	used, ok := twinTrack(stats.data)
	if !ok {
		return
	}
	text := fmt.Sprintf("count=%d,bytes=%d", twinValue(used, "count")+count, twinValue(used, "bytes")+bytes)
	delete(used, "count")
	delete(used, "bytes")
	if len(used) > 0 {
		text += "="
		for _, key := range slices.Sorted(maps.Keys(used)) {
			text += fmt.Sprintf(";%s=%d", key, used[key])
		}
	}
	stats.data = []byte(text)
}
