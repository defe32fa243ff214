package main

import (
	"errors"
	"net"
	"strconv"

	"holt/tree"
)

// place is where this member waits for its peers and for clients. A reconfig can give it other ports, which its peers and its
// clients go by from then on; it moves there without a restart, as ZooKeeper does (QuorumPeer.processReconfig).
type place struct {
	s    *server
	line tree.Member // the server line that it is in accord with
	said string      // the last failure, so that each is told once
}

func newPlace(s *server) *place {
	self, _ := s.cfg.Self()
	return &place{s: s, line: self}
}

// follow goes where e has this member. What fails is tried again by the next call.
func (p *place) follow(e *tree.Ensemble) {
	line, ok := e.Member(tree.NodeOf(p.s.cfg.ID))
	if !ok || line == p.line {
		return
	}
	err := errors.Join(p.movePeers(&line), p.moveClients(&line))
	if err == nil {
		p.line, p.said = line, ""
		return
	}
	if said := err.Error(); said != p.said {
		p.said = said
		p.s.logger.Error("a reconfig gave this member another address, which cannot be opened; it stays where it was and tries again", "line", line.String(), "err", err)
	}
}

func (p *place) movePeers(line *tree.Member) error {
	addr := line.PeerAddr()
	if p.s.cfg.Peers.ListenAll {
		addr = net.JoinHostPort("", strconv.Itoa(line.PeerPort))
	}
	if covers(p.s.streams.Addr(), addr) {
		return nil
	}
	return p.s.streams.Move(addr)
}

func (p *place) moveClients(line *tree.Member) error {
	if line.ClientAddr == "" || line.ClientAddr == p.line.ClientAddr || covers(p.s.client.Addr(), line.ClientAddr) {
		return nil
	}
	return p.s.client.Move(line.ClientAddr)
}

// covers says whether who listens at one address is reached at the other.
func covers(at net.Addr, addr string) bool {
	l, ok := at.(*net.TCPAddr)
	want, err := net.ResolveTCPAddr("tcp", addr)
	return ok && err == nil && l.Port == want.Port && (l.IP.IsUnspecified() || l.IP.Equal(want.IP))
}
