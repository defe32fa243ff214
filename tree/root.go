package tree

// Root is the whole replicated state at one point: immutable, readable by any
// number of goroutines without a lock, valid for as long as somebody holds it.
type Root struct{}

// Node is a znode in a Root: a small value to be passed by value.
type Node struct{}

// Zxid is the last transaction in this state.
func (r *Root) Zxid() Zxid { panic("tree: storage has not landed") }

// Lookup finds a znode. "" and "/" are the root; nothing is validated, nothing
// allocated.
func (r *Root) Lookup(path []byte) (Node, bool) { panic("tree: storage has not landed") }

// NodeCount counts znodes as ZooKeeper does: an empty server has 5.
func (r *Root) NodeCount() int64 { panic("tree: storage has not landed") }

// DataBytes is ZooKeeper's approximate_data_size: bytes of all paths and data.
func (r *Root) DataBytes() int64 { panic("tree: storage has not landed") }

// EphemeralCount counts ephemeral znodes.
func (r *Root) EphemeralCount() int64 { panic("tree: storage has not landed") }

// SessionCount counts open sessions.
func (r *Root) SessionCount() int { panic("tree: storage has not landed") }

// Session finds a session.
func (r *Root) Session(id SessionID) (Session, bool) { panic("tree: storage has not landed") }

// Sessions visits all sessions in ascending unsigned order of their ids until
// visit returns false.
func (r *Root) Sessions(visit func(Session) bool) { panic("tree: storage has not landed") }

// Ephemerals visits the paths of a session's ephemerals in byte order until
// visit returns false. path is valid during the call only.
func (r *Root) Ephemerals(id SessionID, visit func(path []byte) bool) {
	panic("tree: storage has not landed")
}

// Reapable visits containers that had children and are empty, TTL nodes that
// are childless and expired at nowMs, and, if neverUsedMs > 0, containers
// older than that which never had a child: at most max, in path order. Its
// cost follows the number of container and TTL nodes, not the tree.
func (r *Root) Reapable(nowMs, neverUsedMs int64, max int, visit func(path []byte) bool) {
	panic("tree: storage has not landed")
}

// Quota is one quota as an operator reads it. Limits are -1 when not set.
type Quota struct {
	Path                 string // the znode the quota is about
	Count, CountHard     int64
	Bytes, BytesHard     int64
	CountUsed, BytesUsed int64 // from its zookeeper_stats
}

// Quotas visits all quotas in path order until visit returns false.
func (r *Root) Quotas(visit func(Quota) bool) { panic("tree: storage has not landed") }

// Digest covers the whole state: members with equal state have equal digests.
func (r *Root) Digest() uint64 { panic("tree: storage has not landed") }

// Stat is the znode's stat as a client sees it: cversion counts creates and
// deletes, the owner of container and TTL nodes is hidden.
func (n Node) Stat() Stat { panic("tree: storage has not landed") }

// Data is the znode's data: nil when null, non-nil when empty. It aliases the
// tree and must not be written.
func (n Node) Data() []byte { panic("tree: storage has not landed") }

// ACL is the znode's ACL; nil is world:anyone ALL.
func (n Node) ACL() *ACLList { panic("tree: storage has not landed") }

// NumChildren counts the direct children.
func (n Node) NumChildren() int { panic("tree: storage has not landed") }

// Children visits the names of the children in byte order, from the first one
// greater than after (nil: from the start), until visit returns false. name is
// valid as long as the Root.
func (n Node) Children(after []byte, visit func(name []byte) bool) {
	panic("tree: storage has not landed")
}

// Descendants counts all znodes below this one in O(1). For "/" ZooKeeper's
// getAllChildrenNumber says the same: 3 on an empty server.
func (n Node) Descendants() int64 { panic("tree: storage has not landed") }
