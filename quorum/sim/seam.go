package sim

import (
	"encoding/binary"
	"time"

	"holt/quorum"
	"holt/tree"
)

// seam stands between a member's server and its quorum. It looks at what passes, and it is where mutations of the path
// between them are put in.
type seam struct {
	*quorum.Quorum
	member *member
	server func(*quorum.Commit)
	chain  *quorum.Chain // with a mutation of commits: what the server sees instead
	real   *tree.Root    // the newest there is
}

func newSeam(m *member) *seam {
	s := &seam{Quorum: m.quorum, member: m}
	if m.bugs.commits() {
		s.chain = quorum.NewChain(m.quorum.Tail().Root)
	}
	return s
}

// Tail implements netloop.Quorum.
func (s *seam) Tail() *quorum.Commit {
	if s.chain != nil {
		return s.chain.Tail()
	}
	return s.Quorum.Tail()
}

// OnPublished implements netloop.Quorum.
func (s *seam) OnPublished(f func(*quorum.Commit)) { s.server = f }

// Propose implements netloop.Quorum.
func (s *seam) Propose(epoch uint64, commands []byte) error {
	s.member.poke()
	if s.member.bugs.dropWrites && s.member.clientDice.IntN(100) == 0 {
		return nil
	}
	if s.member.bugs.acceptMoved {
		if p := s.ghost(commands); p != nil { // as if the check had been passed while the session was still there
			held := append([]byte(nil), commands...)
			s.member.later("held", 300*time.Millisecond, func() {
				_ = s.Quorum.Propose(s.Quorum.Epoch(), s.rewrite(held))
				s.member.poke()
			})
			return nil
		}
	}
	return s.Quorum.Propose(epoch, s.rewrite(commands))
}

// ProposeAsLeader implements netloop.Quorum.
func (s *seam) ProposeAsLeader(term uint64, commands []byte) error {
	for rest := commands; len(rest) > 0; {
		h, body, after, err := tree.ParseCommand(rest)
		if err != nil {
			s.member.broken("no panic", "member %d proposes what does not parse: %v", s.member.id, err)
		}
		if h.Op == tree.OpExpire {
			s.member.truth.expires(s.member, tree.SessionID(binary.LittleEndian.Uint64(body)))
		}
		rest = after
	}
	s.member.poke()
	return s.Quorum.ProposeAsLeader(term, commands)
}

// ghost is the connection whose client has gone elsewhere that commands come from, or nil.
func (s *seam) ghost(commands []byte) *pipe {
	h, _, _, err := tree.ParseCommand(commands)
	if err != nil || h.Op <= 0 {
		return nil
	}
	if p := s.member.truth.origins[h.Origin]; p != nil && p.over {
		return p
	}
	return nil
}

// Sync implements netloop.Quorum.
func (s *seam) Sync(o tree.Origin, tag uint64) error {
	s.member.poke()
	if s.member.bugs.ownSync && s.Quorum.Status().Role == quorum.Leader {
		s.member.later("own sync", 0, func() {
			s.pass(&quorum.Commit{Index: s.Tail().Index, Root: s.Tail().Root, Synced: []quorum.Synced{{Origin: o, Tag: tag}}})
		})
		return nil
	}
	return s.Quorum.Sync(o, tag)
}

// Touch implements netloop.Quorum.
func (s *seam) Touch(ids []tree.SessionID) {
	if s.member.bugs.noTouches {
		ids = nil
	}
	s.Quorum.Touch(ids)
	s.member.poke()
}

// publish passes a commit on.
func (s *seam) publish(c *quorum.Commit) {
	switch {
	case s.chain != nil:
		s.distort(c)
	case s.server != nil:
		s.server(c)
	}
}
