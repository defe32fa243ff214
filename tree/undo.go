package tree

// A multi that fails half way is taken back by the opposite of each change,
// newest first. The alternative, a frozen state before the first change to
// return to, costs a successful multi of three writes twice the memory: every
// node on the three paths is copied once more although the batch owned it.
//
// What is taken back is the state, not its memory: a znode that got its
// directory part keeps it, nodes stay copied.
type undo struct {
	kind         undoKind
	path, parent []byte
	old          *znode // replaced or dropped
	pzxid        Zxid   // of the parent, as it was
	creates      int32
}

type undoKind uint8

const (
	undoAdd undoKind = iota
	undoDrop
	undoReplace
)

// Lengths up to which memory is kept for the next multi.
const (
	undoLogKept  = 1024
	multiOpsKept = 128
)

// rollback takes back what is in the log.
func (s *State) rollback() {
	s.logging = false
	for i := len(s.log) - 1; i >= 0; i-- {
		u := &s.log[i]
		switch u.kind {
		case undoAdd:
			p := s.w.lookup(u.parent)
			s.drop(p, u.parent, u.path, s.w.lookup(u.path), u.pzxid)
			s.resetDir(u)
		case undoDrop:
			f := u.old.fields()
			s.add(s.w.lookup(u.parent), u.parent, u.path, &f)
			s.resetDir(u)
		case undoReplace:
			// What hangs below is taken from the znode that is there: its nodes may
			// have been changed in place since.
			z := s.w.lookup(u.path)
			f, old := z.fields(), u.old.fields()
			f.data, f.acl, f.mzxid, f.mtime, f.version, f.aversion = old.data, old.acl, old.mzxid, old.mtime, old.version, old.aversion
			s.replace(u.path, z, &f)
		}
	}
	s.forgetLog()
}

// resetDir gives the parent, which this edit owns, back what a create or
// delete below it changed.
func (s *State) resetDir(u *undo) {
	ps, d := pathSum(u.parent), s.w.lookup(u.parent).dir()
	s.cur.sum += dirSum(ps, u.pzxid, u.creates) - dirSum(ps, d.pzxid, d.creates)
	d.pzxid, d.creates = u.pzxid, u.creates
}

func (s *State) forgetLog() {
	s.logging = false
	if cap(s.log) > undoLogKept {
		s.log = nil
		return
	}
	clear(s.log)
	s.log = s.log[:0]
}
