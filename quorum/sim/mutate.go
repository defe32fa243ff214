package sim

import (
	"encoding/binary"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"google.golang.org/protobuf/proto"

	pb "go.etcd.io/raft/v3/raftpb"

	"holt/quorum"
	"holt/tree"
	"holt/wal/checkpoint"
)

// Mutation is a bug that some system had, put into Holt at one of its seams: the disk, the image, the network between
// members, or what passes between quorum and server. The product is not touched: what a broken product would do to its
// surroundings is done there. A simulator that does not find these sees nothing.
type Mutation struct {
	Name   string
	Source string // where it happened
	put    func(w *world)
}

// Mutations are all of them.
var Mutations = []Mutation{
	{"acknowledged before it is durable", "etcd #14370, NATS 2.12 lazy fsync", func(w *world) {
		w.eachDisk(func(string, int) bool { return true })
	}},
	{"vote not persisted", "raft section 5.2; ZOOKEEPER-335", func(w *world) {
		w.eachDisk(func(_ string, unsynced int) bool { return unsynced == hardStateFrameBytes })
	}},
	{"disk rolled back", "restored snapshots of machines; ZOOKEEPER-3526", func(w *world) { w.bugs.rollBack = true }},
	{"checkpoint not durable when the log is cut", "ClickHouse Keeper #102629, ZOOKEEPER-3644", func(w *world) {
		w.eachImage(func(_ *tree.Base, _ *tree.Root, m *checkpoint.Mark, _ *[]pair) bool { return true })
	}},
	{"checkpoint newer than its mark", "ZOOKEEPER-3127, fuzzy snapshots", func(w *world) {
		w.eachImage(func(_ *tree.Base, _ *tree.Root, m *checkpoint.Mark, _ *[]pair) bool {
			m.Index -= min(m.Index, 2)
			return false
		})
	}},
	{"checkpoint older than its mark", "ZOOKEEPER-2846, 3642, 4785: lost on synchronisation", func(w *world) {
		was := map[*image][]pair{}
		for _, m := range w.members {
			i := m.image
			i.spoil = func(_ *tree.Base, _ *tree.Root, _ *checkpoint.Mark, pairs *[]pair) bool {
				now := *pairs
				if old := was[i]; old != nil && w.diskDice.IntN(4) == 0 {
					*pairs = old
				}
				was[i] = now
				return false
			}
		}
	}},
	{"part of a multi in a checkpoint", "ZOOKEEPER-3127", func(w *world) {
		w.eachImage(func(_ *tree.Base, _ *tree.Root, _ *checkpoint.Mark, pairs *[]pair) bool {
			if p := *pairs; len(p) > 8 && w.diskDice.IntN(4) == 0 {
				cut := 3 + w.diskDice.IntN(len(p)-3)
				*pairs = append(append([]pair(nil), p[:cut]...), p[cut+1:]...)
			}
			return false
		})
	}},
	{"entry lost on synchronisation", "ZOOKEEPER-3642, 4785: DIFF", func(w *world) {
		w.tapRaft(pb.MsgApp, func(_, _ uint64, m *pb.Message) (*pb.Message, tapped) {
			if n := len(m.GetEntries()); n > 1 && w.netDice.IntN(8) == 0 {
				m.Entries[w.netDice.IntN(n)].Data = nil
			}
			return m, tapReplace
		})
	}},
	{"bit flipped between members", "NATS 2.12, Jepsen", func(w *world) {
		w.tapRaft(pb.MsgApp, func(_, _ uint64, m *pb.Message) (*pb.Message, tapped) {
			for _, e := range m.GetEntries() {
				if n := len(e.GetData()); n > 80 && w.netDice.IntN(100) == 0 {
					e.Data[n-1-w.netDice.IntN(8)] ^= 1
				}
			}
			return m, tapReplace
		})
	}},
	{"acknowledgement of an image lost", "ClickHouse Keeper #112405", func(w *world) {
		w.tapRaft(pb.MsgAppResp, func(from, _ uint64, m *pb.Message) (*pb.Message, tapped) {
			if at := w.bugs.installed[from]; at != 0 && m.GetIndex() == at && !m.GetReject() {
				return nil, tapDrop
			}
			return m, tapPass
		})
	}},
	{"committed before a quorum has it", "Raft; MongoDB, Redis-raft", func(w *world) {
		w.tapRaft(pb.MsgApp, func(from, to uint64, m *pb.Message) (*pb.Message, tapped) {
			if n := uint64(len(m.GetEntries())); n > 0 {
				index := m.GetIndex() + n
				w.inject(to, from, &pb.Message{Type: pb.MsgAppResp.Enum(), From: &to, To: &from, Term: m.Term, Index: &index})
			}
			return m, tapPass
		})
	}},
	{"read index of an earlier question", "etcd-io/raft #397, contexts used again", func(w *world) {
		last := map[uint64]uint64{}
		w.tapRaft(pb.MsgReadIndexResp, func(_, to uint64, m *pb.Message) (*pb.Message, tapped) {
			old, known := last[to]
			last[to] = m.GetIndex()
			if known {
				m.Index = &old
			}
			return m, tapReplace
		})
	}},
	{"sync answered without asking the quorum", "etcd #20418: stale reads under pause", func(w *world) { w.bugs.ownSync = true }},
	{"events lost", "etcd #17529", func(w *world) { w.bugs.dropEvents = true }},
	{"events after the read that shows their change", "etcd #15271: back in time", func(w *world) { w.bugs.lateEvents = true }},
	{"events told twice", "one-shot watches, ZOOKEEPER-706", func(w *world) { w.bugs.twiceEvents = true }},
	{"watches set again from too late a zxid", "ZOOKEEPER-1505, lost on reconnect", func(w *world) { w.bugs.lateRewatch = true }},
	{"requests of a moved session accepted", "ZOOKEEPER-710", func(w *world) { w.bugs.acceptMoved = true }},
	{"later write overtakes a lost one", "ZOOKEEPER-2619", func(w *world) { w.bugs.dropWrites = true }},
	{"write applied twice", "etcd retries, JGroups-raft", func(w *world) { w.bugs.twiceWrites = true }},
	{"touches of followers lost", "ZOOKEEPER-1751, sessions expired early", func(w *world) { w.bugs.noTouches = true }},
	{"ephemerals stay when their session closes", "ZOOKEEPER-1208, 2355", func(w *world) { w.bugs.leaveEphemerals = true }},
	{"a follower answers before it has applied", "RaftKeeper, read your writes", func(w *world) { w.bugs.earlyAnswers = true }},
}

// bugs are the mutations that seams and clients look for.
type bugs struct {
	installed map[uint64]uint64 // member: index of the state it took over last
	rollBack, ownSync, dropEvents, lateEvents, twiceEvents, lateRewatch, acceptMoved, dropWrites, twiceWrites,
	noTouches, leaveEphemerals, earlyAnswers bool
}

// commits says that what the server sees of commits differs from what there is.
func (b *bugs) commits() bool {
	return b.ownSync || b.dropEvents || b.lateEvents || b.twiceEvents || b.earlyAnswers
}

// hardStateFrameBytes is a frame of the log that holds a hard state and nothing else.
const hardStateFrameBytes = 56

func (w *world) mutate(name string) {
	w.bugs.installed = map[uint64]uint64{}
	for i := range Mutations {
		if Mutations[i].Name == name {
			Mutations[i].put(w)
		}
	}
}

func (w *world) eachDisk(lies func(path string, unsynced int) bool) {
	for _, m := range w.members {
		m.disk.lies = lies
	}
}

func (w *world) eachImage(spoil func(from *tree.Base, to *tree.Root, m *checkpoint.Mark, pairs *[]pair) bool) {
	for _, m := range w.members {
		m.image.spoil = spoil
	}
}

// frameRaft is quorum's mark of raft's messages on LaneRaft.
const frameRaft = 16

// tapRaft looks at raft's messages of one type.
func (w *world) tapRaft(t pb.MessageType, f func(from, to uint64, m *pb.Message) (*pb.Message, tapped)) {
	w.fabric.taps = append(w.fabric.taps, func(from, to uint64, lane quorum.Lane, frame []byte) ([]byte, tapped) {
		if lane != quorum.LaneRaft || frame[0] != frameRaft {
			return frame, tapPass
		}
		var m pb.Message
		if proto.Unmarshal(frame[1:], &m) != nil || m.GetType() != t {
			return frame, tapPass
		}
		n, what := f(from, to, &m)
		if what == tapReplace {
			frame = encodeRaft(n)
		}
		return frame, what
	})
}

func encodeRaft(m *pb.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend([]byte{frameRaft}, m)
	if err != nil {
		panic(err)
	}
	return b
}

// inject forges a message.
func (w *world) inject(from, to uint64, m *pb.Message) {
	frame := encodeRaft(m)
	w.after(100*time.Microsecond, "forged", from, to, func() {
		if t := w.fabric.member(to); t.up() && !t.paused {
			t.port.recv.Receive(from, quorum.LaneRaft, frame)
			t.poke()
		}
	})
}

// Places in an encoded command.
const (
	commandOrigin  = 8
	commandSession = 32
	commandHeadMin = 40
)

// rewrite is what mutations make of commands that are proposed.
func (s *seam) rewrite(commands []byte) []byte {
	b := &s.member.bugs
	if !b.acceptMoved && !b.twiceWrites && !b.leaveEphemerals {
		return commands
	}
	var out []byte
	for len(commands) > 0 {
		h, _, rest, err := tree.ParseCommand(commands)
		if err != nil {
			return commands
		}
		one := append([]byte(nil), commands[:len(commands)-len(rest)]...)
		commands = rest
		if b.acceptMoved && h.Session != 0 {
			if owner, ok := s.member.truth.owners[h.Session]; ok && h.Op > 0 {
				putOrigin(one, owner)
			}
		}
		if b.leaveEphemerals && h.Op == tree.OpCloseSession {
			id := s.member.clientDice.Uint64() | 1 // the session that is closed is another one
			binary.LittleEndian.PutUint64(one[len(one)-closeBodyBytes:], id)
		}
		out = append(out, one...)
		if b.twiceWrites && h.Op == tree.OpSetData && s.member.clientDice.IntN(20) == 0 {
			out = append(out, one...)
		}
	}
	return out
}

// closeBodyBytes is the body of a closeSession: the session and a flag.
const closeBodyBytes = 9

func putOrigin(command []byte, o tree.Origin) {
	binary.LittleEndian.PutUint32(command[commandOrigin:], o.Process)
	binary.LittleEndian.PutUint16(command[commandOrigin+4:], o.Loop)
	binary.LittleEndian.PutUint64(command[commandOrigin+8:], o.Conn)
}

// distort makes of a commit what a server with a bug would see, and passes that on.
func (s *seam) distort(c *quorum.Commit) {
	n := &quorum.Commit{Index: c.Index, Root: c.Root, Txns: c.Txns, Changes: c.Changes, Synced: c.Synced, Installed: c.Installed, AtNs: c.AtNs}
	b, dice := &s.member.bugs, s.member.cpuDice
	switch {
	case b.dropEvents && dice.IntN(20) == 0:
		n.Txns, n.Changes = withoutChanges(n.Txns), nil
	case b.twiceEvents && dice.IntN(4) == 0:
		n.Txns, n.Changes = twice(n.Txns, n.Changes)
	case b.lateEvents && len(n.Changes) > 0:
		// The root comes first, with the answers, and the events a little later.
		late := &quorum.Commit{Index: c.Index, Root: c.Root, Changes: n.Changes, AtNs: c.AtNs}
		for i := range n.Txns {
			t := n.Txns[i]
			late.Txns = append(late.Txns, tree.Txn{Zxid: t.Zxid, Op: t.Op, ChangesFrom: t.ChangesFrom, ChangesTo: t.ChangesTo, Session: t.Session})
		}
		n.Txns, n.Changes = withoutChanges(n.Txns), nil
		s.member.later("late events", time.Millisecond, func() { s.pass(late) })
	}
	if s.real = c.Root; b.earlyAnswers && len(n.Txns) > 0 && dice.IntN(4) == 0 {
		n.Root = s.chain.Tail().Root
		s.member.later("late root", time.Millisecond, func() { s.pass(&quorum.Commit{Index: s.Tail().Index, Root: s.real}) })
	}
	s.pass(n)
}

// twice has each transaction change everything twice.
func twice(txns []tree.Txn, changes []tree.Change) ([]tree.Txn, []tree.Change) {
	out, all := append([]tree.Txn(nil), txns...), []tree.Change(nil)
	for i := range out {
		t := &out[i]
		own := changes[t.ChangesFrom:t.ChangesTo]
		t.ChangesFrom = uint32(len(all))
		all = append(append(all, own...), own...)
		t.ChangesTo = uint32(len(all))
	}
	return out, all
}

func withoutChanges(txns []tree.Txn) []tree.Txn {
	out := append([]tree.Txn(nil), txns...)
	for i := range out {
		out[i].ChangesFrom, out[i].ChangesTo = 0, 0
	}
	return out
}

// pass publishes on the chain that the server sees.
func (s *seam) pass(c *quorum.Commit) {
	s.chain.Publish(c)
	if s.server != nil {
		s.server(c)
	}
}

// relative is the zxid from which on setWatches catches up.
func (c *client) relative() int64 {
	if c.bugs.lateRewatch {
		return int64(c.truth.root().Zxid())
	}
	return int64(c.seen)
}

// rollBack puts an older state of the machine back, now and then.
func (m *member) rollBack() {
	if !m.bugs.rollBack {
		return
	}
	now := saved{m.disk.CrashClone(vfs.CrashCloneCfg{}), m.image.pairs, m.image.mark}
	if old := m.saved; old.fs != nil && m.diskDice.IntN(2) == 0 {
		m.disk.MemFS, m.image.pairs, m.image.mark = old.fs, old.pairs, old.mark
		now = saved{}
	}
	m.saved = now
}

// saved is the disk of a member as it was once.
type saved struct {
	fs    *vfs.MemFS
	pairs []pair
	mark  checkpoint.Mark
}
