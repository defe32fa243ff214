package perf

// Op is a kind of request as the metrics tell them apart.
type Op uint8

// The kinds, in the order of their names in the metrics.
const (
	OpOther Op = iota
	OpPing
	OpConnect
	OpClose
	OpCreate
	OpDelete
	OpExists
	OpGetData
	OpSetData
	OpGetACL
	OpSetACL
	OpGetChildren
	OpSync
	OpMulti
	OpMultiRead
	OpReconfig
	OpCheckWatches
	OpRemoveWatches
	OpAuth
	OpSetWatches
	OpSASL
	OpGetEphemerals
	OpGetAllChildrenNumber
	OpAddWatch
	OpWhoAmI
	OpDeleteContainer
	OpCheck
	opsLen
)

// opName are the names that ZooKeeper 3.10 gives its op_count_ metrics, where it has one.
var opName = [opsLen]string{
	"other", "ping", "create_session", "close_session", "create", "delete", "exists", "get_data", "set_data", "get_acl", "set_acl",
	"get_children", "sync", "multi", "multi_read", "reconfig", "check_watches", "remove_watches", "auth", "set_watches", "sasl",
	"get_ephemerals", "get_all_children_number", "add_watch", "who_am_i", "delete_container", "check",
}

func (o Op) String() string { return opName[o] }

// writes are the kinds that go through the log.
var writes = [opsLen]bool{
	OpConnect: true, OpClose: true, OpCreate: true, OpDelete: true, OpSetData: true, OpSetACL: true, OpMulti: true,
	OpReconfig: true, OpDeleteContainer: true,
}

// opOf maps ZooKeeper's opcodes 0..127; a kind that does not stand here is OpOther.
var opOf = [128]Op{
	1: OpCreate, 15: OpCreate, 19: OpCreate, 21: OpCreate,
	2: OpDelete, 3: OpExists, 4: OpGetData, 5: OpSetData, 6: OpGetACL, 7: OpSetACL, 8: OpGetChildren, 12: OpGetChildren,
	9: OpSync, 11: OpPing, 13: OpCheck, 14: OpMulti, 16: OpReconfig, 17: OpCheckWatches, 18: OpRemoveWatches, 20: OpDeleteContainer,
	22: OpMultiRead, 100: OpAuth, 101: OpSetWatches, 102: OpSASL, 103: OpGetEphemerals, 104: OpGetAllChildrenNumber,
	105: OpSetWatches, 106: OpAddWatch, 107: OpWhoAmI,
}

// OpOf maps an opcode of the wire (ZooDefs.OpCode) to its kind.
func OpOf(code int32) Op {
	switch {
	case uint32(code) < uint32(len(opOf)):
		return opOf[code]
	case code == -10:
		return OpConnect
	case code == -11:
		return OpClose
	}
	return OpOther
}
