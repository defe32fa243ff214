package shell

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"holt/netloop/wire"
)

// A quota is two znodes of text (reference: ZooKeeper's Quotas and StatsTrack):
//
//	/zookeeper/quota<path>/zookeeper_limits   count=5,bytes=-1=;byteHardLimit=-1;countHardLimit=9
//	/zookeeper/quota<path>/zookeeper_stats    count=2,bytes=17
//
// -1 is no limit. The odd "=" before the hard limits is what keeps old readers happy.
const (
	quotaRoot  = "/zookeeper/quota"
	limitsName = "zookeeper_limits"
	statsName  = "zookeeper_stats"
)

var errQuotaChroot = errors.New("quotas stand outside of the chroot; connect without one")

// limits are one quota; -1 is none.
type limits struct{ count, bytes, countHard, bytesHard int64 }

var noLimits = limits{-1, -1, -1, -1}

func (l limits) String() string {
	return fmt.Sprintf("count=%d,bytes=%d=;byteHardLimit=%d;countHardLimit=%d", l.count, l.bytes, l.bytesHard, l.countHard)
}

func parseLimits(text string) limits {
	l := noLimits
	for _, field := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ';' }) {
		name, value, _ := strings.Cut(field, "=")
		n, err := strconv.ParseInt(strings.Trim(value, "= "), 10, 64)
		if err != nil {
			continue
		}
		if p := l.field(name); p != nil {
			*p = n
		}
	}
	return l
}

func (l *limits) field(name string) *int64 {
	switch name {
	case "count", "n":
		return &l.count
	case "bytes", "b":
		return &l.bytes
	case "countHardLimit", "N":
		return &l.countHard
	case "byteHardLimit", "B":
		return &l.bytesHard
	}
	return nil
}

func quotaPath(path string) string {
	if path == "/" {
		return quotaRoot
	}
	return quotaRoot + path
}

func setQuota(sh *Shell, o *options) error {
	path := o.args[0]
	if sh.client.cfg.chroot != "" {
		return errQuotaChroot
	}
	if len(o.values) != 1 {
		return usagef("exactly one of -n, -b, -N and -B")
	}
	var flag string
	for flag = range o.values {
	}
	value, err := strconv.ParseInt(o.last(flag), 10, 64)
	switch {
	case err != nil:
		return usagef("-%s takes a number, not %q", flag, o.last(flag))
	case value <= 0:
		return usagef("a quota must be greater than zero")
	}
	if err := sh.quotaPossible(path); err != nil {
		return err
	}
	if err := sh.makeParents(quotaPath(path)); err != nil {
		return err
	}
	l := noLimits
	file := join(quotaPath(path), limitsName)
	old, _, err := sh.client.get(file, false)
	switch {
	case isCode(err, wire.CodeNoNode):
		*l.field(flag) = value
		return sh.makeQuota(file, l, join(quotaPath(path), statsName))
	case err != nil:
		return err
	}
	l = parseLimits(string(old))
	*l.field(flag) = value
	_, err = sh.client.set(file, []byte(l.String()), -1)
	return err
}

// quotaPossible refuses a path that does not exist, or that has a quota above or below it.
func (sh *Shell) quotaPossible(path string) error {
	if _, err := sh.client.exists(path, false); err != nil {
		if isCode(err, wire.CodeNoNode) {
			return fmt.Errorf("%s does not exist.", path) //nolint:staticcheck // ZooKeeper's words
		}
		return err
	}
	for parent := path; len(parent) > 1; {
		parent = parent[:max(strings.LastIndex(parent, "/"), 1)]
		if _, err := sh.client.exists(join(quotaPath(parent), limitsName), false); err == nil {
			return fmt.Errorf("%s has a parent %s which has a quota", path, parent)
		}
	}
	err := sh.client.walk(quotaPath(path), func(q string) error {
		owner, isLimits := strings.CutSuffix(strings.TrimPrefix(q, quotaRoot), "/"+limitsName)
		if isLimits && owner != strings.TrimSuffix(path, "/") {
			return fmt.Errorf("%s has a child %s which has a quota", path, owner)
		}
		return nil
	})
	if isCode(err, wire.CodeNoNode) {
		return nil
	}
	return err
}

func (sh *Shell) makeQuota(file string, l limits, stats string) error {
	make := func(path, data string) error {
		_, err := sh.client.create(wire.OpCreate2, openNode([]byte(data)), path)
		return err
	}
	if err := make(file, l.String()); err != nil {
		return err
	}
	return make(stats, "count=0,bytes=0")
}

// openNode is a persistent znode with everybody's permissions.
func openNode(data []byte) wire.CreateRequest {
	return wire.CreateRequest{Data: data, ACL: wire.MakeACLs(wire.ACL{Perms: wire.PermAll, Scheme: []byte("world"), ID: []byte("anyone")})}
}

func (sh *Shell) makeParents(path string) error {
	for i := 1; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			continue
		}
		_, err := sh.client.create(wire.OpCreate2, openNode(nil), path[:i])
		if err != nil && !isCode(err, wire.CodeNodeExists) {
			return err
		}
	}
	return nil
}

func listQuota(sh *Shell, o *options) error {
	path := o.args[0]
	if sh.client.cfg.chroot != "" {
		return errQuotaChroot
	}
	file := join(quotaPath(path), limitsName)
	sh.printf("absolute path is %s\n", file)
	data, _, err := sh.client.get(file, false)
	if isCode(err, wire.CodeNoNode) {
		return fmt.Errorf("quota for %s does not exist.", path) //nolint:staticcheck // ZooKeeper's words
	}
	if err != nil {
		return err
	}
	sh.printf("Output quota for %s %s\n", path, parseLimits(string(data)))
	stats, _, err := sh.client.get(join(quotaPath(path), statsName), false)
	if err == nil {
		sh.printf("Output stat for %s %s\n", path, stats)
	}
	return err
}

func removeQuota(sh *Shell, o *options) error {
	path := o.args[0]
	if sh.client.cfg.chroot != "" {
		return errQuotaChroot
	}
	if len(o.values) > 1 {
		return usagef("one of -n, -b, -N and -B at most")
	}
	file := join(quotaPath(path), limitsName)
	data, _, err := sh.client.get(file, false)
	if isCode(err, wire.CodeNoNode) {
		return fmt.Errorf("Quota does not exist for %s", path) //nolint:staticcheck // ZooKeeper's words
	}
	if err != nil {
		return err
	}
	for flag := range o.values {
		l := parseLimits(string(data))
		*l.field(flag) = -1
		_, err := sh.client.set(file, []byte(l.String()), -1)
		return err
	}
	return sh.dropQuota(path)
}

// dropQuota removes both znodes and the parents that nobody needs any more.
func (sh *Shell) dropQuota(path string) error {
	err := errors.Join(sh.client.remove(join(quotaPath(path), limitsName), -1), sh.client.remove(join(quotaPath(path), statsName), -1))
	if err != nil {
		return err
	}
	for q := quotaPath(path); q != quotaRoot; q = q[:strings.LastIndex(q, "/")] {
		if err := sh.client.remove(q, -1); isCode(err, wire.CodeNotEmpty) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}
