package sim

import (
	"encoding/binary"

	"holt/quorum"
	"holt/tree"
)

// seam stands between a member's server and its quorum. It looks at what passes, and it is where mutations of the path
// between them are put in.
type seam struct {
	*quorum.Quorum
	member    *member
	server    func(*quorum.Commit)
	chain     *quorum.Chain // with a mutation of commits: what the server sees instead
	mutate    *mutation
	syncs     []quorum.Synced
	withheld  []*quorum.Commit
	published uint64
}

// OnPublished implements netloop.Quorum.
func (s *seam) OnPublished(f func(*quorum.Commit)) { s.server = f }

// Propose implements netloop.Quorum.
func (s *seam) Propose(epoch uint64, commands []byte) error {
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
	return s.Quorum.Propose(epoch, commands)
}

// Sync implements netloop.Quorum.
func (s *seam) Sync(o tree.Origin, tag uint64) error {
	s.member.poke()
	return s.Quorum.Sync(o, tag)
}

// Touch implements netloop.Quorum.
func (s *seam) Touch(ids []tree.SessionID) {
	s.Quorum.Touch(ids)
	s.member.poke()
}

// publish passes a commit on.
func (s *seam) publish(c *quorum.Commit) {
	if s.server != nil {
		s.server(c)
	}
}
