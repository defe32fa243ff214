package tree

import (
	"fmt"
	"hash/maphash"
)

// Zxid numbers a transaction. The high half is the raft term (ZooKeeper's
// epoch), the low half counts transactions, failed ones included. It never
// goes back; within a long term the count may carry into the high half.
type Zxid int64

// SessionID names a session; zero is no session.
type SessionID int64

// Perm is a set of permission bits as ZooKeeper numbers them. Unknown bits and
// zero are stored as given.
type Perm int32

// Permission bits.
const (
	PermRead   Perm = 1
	PermWrite  Perm = 2
	PermCreate Perm = 4
	PermDelete Perm = 8
	PermAdmin  Perm = 16
	PermAll    Perm = 31
)

// Code is the outcome of a command, with ZooKeeper's numbers
// (KeeperException.Code).
type Code int32

// Codes.
const (
	OK                           Code = 0
	SystemError                  Code = -1
	RuntimeInconsistency         Code = -2
	DataInconsistency            Code = -3
	ConnectionLoss               Code = -4
	MarshallingError             Code = -5
	Unimplemented                Code = -6
	OperationTimeout             Code = -7
	BadArguments                 Code = -8
	UnknownSession               Code = -12
	NewConfigNoQuorum            Code = -13
	ReconfigInProgress           Code = -14
	APIError                     Code = -100
	NoNode                       Code = -101
	NoAuth                       Code = -102
	BadVersion                   Code = -103
	NoChildrenForEphemerals      Code = -108
	NodeExists                   Code = -110
	NotEmpty                     Code = -111
	SessionExpired               Code = -112
	InvalidCallback              Code = -113
	InvalidACL                   Code = -114
	AuthFailed                   Code = -115
	SessionMoved                 Code = -118
	NotReadOnly                  Code = -119
	EphemeralOnLocalSession      Code = -120
	NoWatcher                    Code = -121
	RequestTimeout               Code = -122
	ReconfigDisabled             Code = -123
	SessionClosedRequireSASLAuth Code = -124
	QuotaExceeded                Code = -125
	ThrottledOp                  Code = -127
)

var codeNames = map[Code]string{
	OK: "OK", SystemError: "SystemError", RuntimeInconsistency: "RuntimeInconsistency",
	DataInconsistency: "DataInconsistency", ConnectionLoss: "ConnectionLoss",
	MarshallingError: "MarshallingError", Unimplemented: "Unimplemented",
	OperationTimeout: "OperationTimeout", BadArguments: "BadArguments",
	UnknownSession: "UnknownSession", NewConfigNoQuorum: "NewConfigNoQuorum",
	ReconfigInProgress: "ReconfigInProgress", APIError: "APIError", NoNode: "NoNode",
	NoAuth: "NoAuth", BadVersion: "BadVersion",
	NoChildrenForEphemerals: "NoChildrenForEphemerals", NodeExists: "NodeExists",
	NotEmpty: "NotEmpty", SessionExpired: "SessionExpired", InvalidCallback: "InvalidCallback",
	InvalidACL: "InvalidACL", AuthFailed: "AuthFailed", SessionMoved: "SessionMoved",
	NotReadOnly: "NotReadOnly", EphemeralOnLocalSession: "EphemeralOnLocalSession",
	NoWatcher: "NoWatcher", RequestTimeout: "RequestTimeout", ReconfigDisabled: "ReconfigDisabled",
	SessionClosedRequireSASLAuth: "SessionClosedRequireSASLAuth",
	QuotaExceeded:                "QuotaExceeded", ThrottledOp: "ThrottledOp",
}

func (c Code) String() string {
	if s, ok := codeNames[c]; ok {
		return s
	}
	return fmt.Sprintf("Code(%d)", int32(c))
}

// Op says what a command does. Where a client can ask for it the number is
// ZooKeeper's opcode; Holt's own are below -1000.
type Op int16

// Ops.
const (
	OpCreate          Op = 1
	OpDelete          Op = 2
	OpSetData         Op = 5
	OpSetACL          Op = 7
	OpCheck           Op = 13 // only inside a multi
	OpMulti           Op = 14
	OpCreate2         Op = 15
	OpReconfig        Op = 16
	OpCreateContainer Op = 19
	OpDeleteContainer Op = 20
	OpCreateTTL       Op = 21
	OpError           Op = -1  // a write that could not be decoded: AppendFailed
	OpOpenSession     Op = -10 // ZooKeeper's createSession
	OpCloseSession    Op = -11
	OpAttachSession   Op = -1001
	OpExpire          Op = -1002 // the leader closes a session that fell silent
	OpReap            Op = -1003 // the leader removes a container or TTL node
	OpBootstrap       Op = -1004 // the first leader gives the state its identity
	OpReconfigDone    Op = -1005 // the leader ends the pending reconfig
	OpReconfigBegun   Op = -1006 // in a Txn only: a reconfig was accepted; the answer comes with OpReconfigDone
	OpRecover         Op = -1007 // an operator makes the state that of a new ensemble
)

// Create flags, as in the flags field of ZooKeeper's CreateRequest.
const (
	FlagPersistent          int32 = 0
	FlagEphemeral           int32 = 1
	FlagSequential          int32 = 2
	FlagEphemeralSequential int32 = 3
	FlagContainer           int32 = 4
	FlagTTL                 int32 = 5
	FlagTTLSequential       int32 = 6
	TTLMsMax                int64 = 0xffffffffff // 40 bits, about 34.8 years
)

// Stat is what a client sees of a znode besides data: ZooKeeper's Stat record.
// Times are milliseconds since 1970 of the proposer's clock.
type Stat struct {
	Czxid, Mzxid   Zxid
	Ctime, Mtime   int64
	Version        int32
	Cversion       int32 // creates and deletes of children
	Aversion       int32
	EphemeralOwner SessionID // zero also for container and TTL nodes
	DataLength     int32
	NumChildren    int32
	Pzxid          Zxid
}

// ID is one identity: of a caller, or named in an ACL.
type ID struct{ Scheme, ID string }

// ACL grants Perms to ID.
type ACL struct {
	Perms Perm
	ID    ID
}

// Origin says through which connection a command entered: the process
// incarnation (random, non-zero), its event loop and the connection's number,
// which a process never uses twice. The zero Origin is the ensemble itself.
type Origin struct {
	Process uint32
	Loop    uint16
	Conn    uint64
}

// Session is the replicated part of a session.
type Session struct {
	ID        SessionID
	TimeoutMs int32
	Password  [16]byte
	Owner     Origin // the connection that opened or last attached it
}

// EventKind is the kind of a watch event, with ZooKeeper's numbers
// (Watcher.Event.EventType).
type EventKind int32

// Event kinds.
const (
	NodeCreated         EventKind = 1
	NodeDeleted         EventKind = 2
	NodeDataChanged     EventKind = 3
	NodeChildrenChanged EventKind = 4
)

// Change is one thing a transaction did that watches can see. Changes are in
// the order in which ZooKeeper triggers (DataTree.processTxn): create P/n is
// NodeCreated(P/n), NodeChildrenChanged(P); delete P/n is NodeDeleted(P/n),
// NodeChildrenChanged(P); setData n is NodeDataChanged(n).
type Change struct {
	Kind EventKind
	Path string
	Hash uint64   // PathHash(Path)
	ACL  *ACLList // the event goes to connections that have READ in it; nil: to all
}

var pathSeed = maphash.MakeSeed()

// PathHash hashes a path for tables of this process. The value differs from
// one process to the next, so nothing replicated may depend on it.
func PathHash[T string | []byte](p T) uint64 {
	switch p := any(p).(type) {
	case string:
		return maphash.String(pathSeed, p)
	case []byte:
		return maphash.Bytes(pathSeed, p)
	}
	panic("unreachable")
}

// Batch is one raft entry for State.Apply.
type Batch struct {
	Term  uint64 // raft term of the entry
	Data  []byte // AppendBatchHeader, then framed commands; strings of the result alias it, so it must not change any more
	Local uint32 // Origin.Process of this process
}

// Applied is what a batch did.
type Applied struct {
	Root    *Root    // the state after the batch
	Txns    []Txn    // one per command, in order, also for those that consume no zxid
	Changes []Change // of all Txns, in order
}

// CloseReason says why a session's connection has to go.
type CloseReason uint8

// Close reasons.
const (
	NotClosed      CloseReason = iota
	ClosedByClient             // closeSession: the owner is answered, then closed
	ClosedByExpiry             // the session is gone; Rare.PrevOwner may still be connected
	ClosedByMove               // the session lives on, attached elsewhere; PrevOwner must close
)

// Txn is the outcome of one command. Fields after Code are filled for local
// commands only, except Session, Closed and Rare.PrevOwner, which every process
// needs to close connections.
type Txn struct {
	Zxid        Zxid // its own, or the last one when the command consumes none
	Op          Op
	Local       bool // entered through this process: Origin.Process == Batch.Local
	Closed      CloseReason
	Code        Code
	ChangesFrom uint32 // Applied.Changes[ChangesFrom:ChangesTo]
	ChangesTo   uint32
	Session     SessionID // the caller's; for opens, attaches, closes and expiries the one they are about
	Origin      Origin
	Tag         uint64
	Before      *Root         // Flags&KeepBefore: the state just before this command
	Path        string        // create: the path made, with suffix; aliases the batch when there is no suffix
	Stat        Stat          // create, setData, setACL, reconfig
	Multi       []MultiResult // multi: one per operation; not nil for a multi that was decoded
	rare        *Rare         // nil: all zero
}

// Rare is what few transactions have, apart: a Txn is written for every command.
type Rare struct {
	PrevOwner Origin // Closed != NotClosed: the connection that had the session
	TimeoutMs int32  // open, attach: as negotiated
	Data      []byte // reconfig: the new configuration
	OverQuota string // of a write refused for a hard quota, alone or in a multi: the first name of its path; aliases the batch
}

// Rare returns what few transactions have, to be read; all of it is zero for the others.
func (t *Txn) Rare() *Rare {
	if t.rare == nil {
		return &nothingRare
	}
	return t.rare
}

var nothingRare Rare

// setRare is Rare to be filled in.
func (t *Txn) setRare() *Rare {
	if t.rare == nil {
		t.rare = &Rare{}
	}
	return t.rare
}

// MultiResult is the outcome of one operation of a multi. When the multi
// failed every entry has Op OpError and a code: OK before the operation that
// failed, RuntimeInconsistency after it.
type MultiResult struct {
	Op   Op // OpCreate, OpCreate2 (also for container and TTL), OpDelete, OpSetData, OpCheck, OpError
	Code Code
	Path string // create
	Stat Stat   // OpCreate2, OpSetData
}
