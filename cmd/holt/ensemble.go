package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"holt/cmd/holt/config"
	"holt/quorum"
	"holt/quorum/peers"
	"holt/tree"
)

// network opens the streams to the other members; nil for a server that stands alone.
func (s *server) network() (quorum.Network, error) {
	if s.cfg.Ensemble == nil {
		return nil, nil
	}
	var err error
	s.streams, err = peers.New(peers.Config{
		ID: tree.NodeOf(s.cfg.ID), Listen: s.cfg.PeerAddr(), Process: s.process, EnsembleHash: ensembleHash(s.cfg.Ensemble), Logger: s.logger,
	})
	return s.streams, err
}

// ensembleHash stands for who the members are, not for their addresses: one host may have several names, and a member may call
// itself 0.0.0.0.
func ensembleHash(e *tree.Ensemble) uint64 {
	h := fnv.New64a()
	for _, m := range e.Members {
		fmt.Fprintf(h, "%d %t\n", m.ID, m.Observer)
	}
	return max(h.Sum64(), 1)
}

// noteID writes myid where it is missing, so that a directory is not mistaken for another member's later.
func noteID(c *config.Config) error {
	if c.Ensemble == nil {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(c.Data.Dir, "myid"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil // config has compared it
	}
	if err != nil {
		return fmt.Errorf("noting the number of this member: %w", err)
	}
	_, err = fmt.Fprintf(f, "%d\n", c.ID)
	return errors.Join(err, f.Close())
}

// checkAlone refuses to have a server stand alone on what belongs to an ensemble.
func (s *server) checkAlone() error {
	if s.cfg.Ensemble != nil {
		return nil
	}
	e := s.quorum.Tail().Root.Ensemble()
	if s.quorum.Status().Alone && (e == nil || len(e.Members) == 1) {
		return nil
	}
	return fmt.Errorf("%s holds the state of a member of an ensemble, and this server was told of no other members: give it their server lines, "+
		"or make it an ensemble of its own with holt recover", s.cfg.Data.Dir)
}

// compare warns of server lines that are not what the ensemble agreed on.
func (s *server) compare(e *tree.Ensemble) {
	for _, line := range differences(s.cfg.Ensemble, e) {
		rule := "the ensemble's members count"
		if strings.Contains(line, "address") && !s.cfg.Tree.ReconfigEnabled {
			rule = "this server goes by its own"
		}
		s.logger.Warn("server lines are not what the ensemble agreed on: "+line+"; "+rule, "version", fmt.Sprintf("%x", uint64(e.Version)))
	}
}

// differences says how the server lines of this server differ from the ensemble's.
func differences(local, agreed *tree.Ensemble) []string {
	var lines []string
	for _, m := range local.Members {
		a, ok := agreed.Member(m.Node())
		switch {
		case !ok:
			lines = append(lines, fmt.Sprintf("server.%d is no member", m.ID))
		case m.Observer != a.Observer:
			lines = append(lines, fmt.Sprintf("%s is another role than %s", m, a))
		case m.PeerAddr() != a.PeerAddr():
			lines = append(lines, fmt.Sprintf("server.%d has the address %s here and %s there", m.ID, m.PeerAddr(), a.PeerAddr()))
		}
	}
	for _, a := range agreed.Members {
		if _, ok := local.Member(a.Node()); !ok {
			lines = append(lines, fmt.Sprintf("%s is missing here", a))
		}
	}
	return lines
}

// followInterval is how often a change of members is looked for.
const followInterval = 100 * time.Millisecond

// follow tells of changes of the ensemble until ctx ends, moves this member to where it is expected, and keeps the dynamic
// configuration file if there is one.
func (s *server) follow(ctx context.Context) {
	tick := time.NewTicker(followInterval)
	defer tick.Stop()
	var known *tree.Ensemble
	where := newPlace(s)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		e := s.quorum.Tail().Root.Ensemble()
		if e != nil && s.cfg.Tree.ReconfigEnabled {
			where.follow(e)
		}
		if e == known || e == nil {
			continue
		}
		known = e
		lines := strings.Split(string(e.Text()), "\n")
		s.logger.Info("the ensemble", "members", slices.Clip(lines[:len(lines)-1]), "version", fmt.Sprintf("%x", uint64(e.Version)))
		s.compare(e)
		if s.cfg.Tree.ReconfigEnabled {
			if err := s.cfg.KeepDynamicFile(e); err != nil {
				s.logger.Error("keeping the dynamic configuration file; the ensemble goes on without", "err", err)
			}
		}
		if _, member := e.Member(tree.NodeOf(s.cfg.ID)); !member {
			s.logger.Warn("this server is no member of the ensemble any more; stop it, or add it again with reconfig", "id", s.cfg.ID)
		}
	}
}
