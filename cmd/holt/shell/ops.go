package shell

import (
	"errors"
	"slices"
	"strings"

	"holt/netloop/wire"
)

// One method per operation. Paths are without the chroot; a nil slice of data is null.

var errBadReply = errors.New("the server's reply could not be read")

// checkPath is what ZooKeeper's client library refuses before it sends anything.
func checkPath(path string) error {
	switch {
	case path == "":
		return errors.New("Path length must be > 0") //nolint:staticcheck // ZooKeeper's words
	case path[0] != '/':
		return errors.New("Path must start with / character") //nolint:staticcheck // ZooKeeper's words
	case len(path) > 1 && strings.HasSuffix(path, "/"):
		return errors.New("Path must not end with / character") //nolint:staticcheck // ZooKeeper's words
	}
	return nil
}

// ask sends a request about a path and lets parse read the reply.
func (c *client) ask(op wire.Op, path string, body func([]byte) []byte, parse func(*wire.Reader) bool) error {
	if err := checkPath(path); err != nil {
		return err
	}
	reply, err := c.do(op, body)
	if err != nil {
		return about(path, err)
	}
	r := wire.NewReader(reply)
	if parse != nil && !parse(&r) {
		return about(path, errBadReply)
	}
	return nil
}

// remember notes a watch that the server has accepted.
func (c *client) remember(kind watchKind, path string) {
	c.mu.Lock()
	c.watches[kind][path] = true
	c.mu.Unlock()
}

func (c *client) get(path string, watch bool) (data []byte, stat wire.Stat, err error) {
	var reply wire.DataReply
	err = c.ask(wire.OpGetData, path, (&wire.WatchRequest{Path: c.path(path), Watch: watch}).Append, reply.Parse)
	if err == nil && watch {
		c.remember(watchData, path)
	}
	return reply.Data, reply.Stat, err
}

// config reads the members, which stand outside of any chroot.
func (c *client) config(watch bool) (data []byte, stat wire.Stat, err error) {
	const path = "/zookeeper/config"
	var reply wire.DataReply
	err = c.ask(wire.OpGetData, path, (&wire.WatchRequest{Path: []byte(path), Watch: watch}).Append, reply.Parse)
	return reply.Data, reply.Stat, err
}

// exists answers NoNode as an error. A watch is set either way.
func (c *client) exists(path string, watch bool) (stat wire.Stat, err error) {
	err = c.ask(wire.OpExists, path, (&wire.WatchRequest{Path: c.path(path), Watch: watch}).Append, stat.Parse)
	if watch && err == nil {
		c.remember(watchData, path)
	} else if watch && isCode(err, wire.CodeNoNode) {
		c.remember(watchExist, path)
	}
	return stat, err
}

// children are sorted.
func (c *client) children(path string, watch bool) (names []string, stat wire.Stat, err error) {
	var reply wire.ChildrenReply
	err = c.ask(wire.OpGetChildren2, path, (&wire.WatchRequest{Path: c.path(path), Watch: watch}).Append, reply.Parse)
	if err == nil && watch {
		c.remember(watchChild, path)
	}
	names = stringsOf(reply.Children)
	slices.Sort(names)
	return names, reply.Stat, err
}

func stringsOf(v wire.Strings) []string {
	var all []string
	for {
		s, ok := v.Next()
		if !ok {
			return all
		}
		all = append(all, string(s))
	}
}

// create returns the path that was made, which differs from the one asked for when flags say sequential.
func (c *client) create(op wire.Op, q wire.CreateRequest, path string) (made string, err error) {
	q.Path = c.path(path)
	var reply wire.PathStatReply
	body := q.Append
	if op == wire.OpCreateTTL {
		body = q.AppendTTL
	}
	check := path
	if sequential := q.Flags == wire.FlagPersistentSequential || q.Flags == wire.FlagEphemeralSequential || q.Flags == wire.FlagPersistentSequentialTTL; sequential {
		check += "1" // "/a/" is a legal prefix
	}
	if err := checkPath(check); err != nil {
		return "", err
	}
	raw, err := c.do(op, body)
	if err != nil {
		return "", about(path, err)
	}
	r := wire.NewReader(raw)
	if !reply.Parse(&r) {
		return "", about(path, errBadReply)
	}
	return c.unroot(string(reply.Path)), nil
}

func (c *client) set(path string, data []byte, version int32) (stat wire.Stat, err error) {
	err = c.ask(wire.OpSetData, path, (&wire.SetDataRequest{Path: c.path(path), Data: data, Version: version}).Append, stat.Parse)
	return stat, err
}

func (c *client) remove(path string, version int32) error {
	return c.ask(wire.OpDelete, path, (&wire.VersionRequest{Path: c.path(path), Version: version}).Append, nil)
}

func (c *client) getACL(path string) (acl wire.ACLs, stat wire.Stat, err error) {
	var reply wire.ACLReply
	err = c.ask(wire.OpGetACL, path, (&wire.PathRequest{Path: c.path(path)}).Append, reply.Parse)
	return reply.ACL, reply.Stat, err
}

func (c *client) setACL(path string, acl wire.ACLs, version int32) (stat wire.Stat, err error) {
	err = c.ask(wire.OpSetACL, path, (&wire.SetACLRequest{Path: c.path(path), ACL: acl, Version: version}).Append, stat.Parse)
	return stat, err
}

func (c *client) sync(path string) error {
	return c.ask(wire.OpSync, path, (&wire.PathRequest{Path: c.path(path)}).Append, nil)
}

// descendants counts all nodes below a path.
func (c *client) descendants(path string) (int32, error) {
	var reply wire.IntReply
	err := c.ask(wire.OpGetAllChildrenNumber, path, (&wire.PathRequest{Path: c.path(path)}).Append, reply.Parse)
	return reply.Value, err
}

// ephemerals lists this session's ephemeral nodes whose path begins with the prefix.
func (c *client) ephemerals(prefix string) ([]string, error) {
	var reply wire.StringsReply
	err := c.ask(wire.OpGetEphemerals, prefix, (&wire.PathRequest{Path: c.path(prefix)}).Append, reply.Parse)
	paths := stringsOf(reply.Strings)
	for i := range paths {
		paths[i] = c.unroot(paths[i])
	}
	slices.Sort(paths)
	return paths, err
}

func (c *client) addWatch(path string, mode wire.AddWatchMode) error {
	kind := watchPersistent
	if mode == wire.AddWatchPersistentRecursive {
		kind = watchRecursive
	}
	err := c.ask(wire.OpAddWatch, path, (&wire.AddWatchRequest{Path: c.path(path), Mode: mode}).Append, nil)
	if err == nil {
		c.remember(kind, path)
	}
	return err
}

// removeWatches takes watches of this connection away, and reports those that were set here, as ZooKeeper's client
// does. With local set it forgets them even if the server cannot be asked.
func (c *client) removeWatches(path string, typ wire.WatchType, local bool) error {
	err := c.ask(wire.OpRemoveWatches, path, (&wire.WatchTypeRequest{Path: c.path(path), Type: typ}).Append, nil)
	var refusal codeError
	if err != nil && (!local || errors.As(err, &refusal)) {
		return err
	}
	c.mu.Lock()
	gone := c.watches.removed(typ, path)
	c.mu.Unlock()
	for _, kind := range gone {
		c.report(event{State: "SyncConnected", Type: removedNames[kind], Path: path, Zxid: -1})
	}
	return nil
}

// whoAmI lists the connection's identities.
func (c *client) whoAmI() ([]wire.ClientInfo, error) {
	body, err := c.do(wire.OpWhoAmI, nil)
	if err != nil {
		return nil, err
	}
	r := wire.NewReader(body)
	var reply wire.WhoAmIReply
	if !reply.Parse(&r) {
		return nil, errBadReply
	}
	var all []wire.ClientInfo
	for {
		info, ok := reply.ClientInfos.Next()
		if !ok {
			return all, nil
		}
		all = append(all, info)
	}
}

// reconfig changes the members; the answer is the new configuration.
func (c *client) reconfig(q wire.ReconfigRequest) (data []byte, stat wire.Stat, err error) {
	body, err := c.do(wire.OpReconfig, q.Append)
	if err != nil {
		return nil, stat, err
	}
	r := wire.NewReader(body)
	var reply wire.DataReply
	if !reply.Parse(&r) {
		return nil, stat, errBadReply
	}
	return reply.Data, reply.Stat, nil
}
