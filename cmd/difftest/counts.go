package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// countedKeys are the lines of mntr that must be equal when nothing is going on. zk_approximate_data_size is not one: ZooKeeper
// counts a path in UTF-16 units and forgets what quotas write.
var countedKeys = []string{
	"zk_znode_count", "zk_watch_count", "zk_ephemerals_count", "zk_global_sessions", "zk_num_alive_connections",
}

// counts compares what the servers count. Connections that were closed a moment ago may still be counted, so it looks again
// before it calls a difference one.
func (r *run) counts(s *step) *mismatch {
	var texts [2]string
	for deadline := time.Now().Add(r.servers[subject].waits() / 3); ; time.Sleep(20 * time.Millisecond) {
		for i, srv := range r.servers {
			text, err := srv.counted()
			if err != nil {
				return &mismatch{what: err.Error(), step: s, slot: s.slot}
			}
			texts[i] = text
		}
		if texts[reference] == texts[subject] {
			return nil
		}
		if time.Now().After(deadline) {
			return &mismatch{
				what: "the servers count differently", step: s, slot: s.slot,
				detail: fmt.Sprintf("%s: %s\n%s: %s", r.servers[reference].name, texts[reference], r.servers[subject].name, texts[subject]),
			}
		}
	}
}

// counted is the lines of mntr that are compared.
func (s *server) counted() (string, error) {
	c, err := s.dial()
	if err != nil {
		return "", err
	}
	defer c.close()
	c.send([]byte("mntr"))
	_ = c.nc.SetReadDeadline(time.Now().Add(s.waits()))
	text, err := io.ReadAll(c.in)
	if err != nil {
		return "", fmt.Errorf("mntr of %s: %w", s.name, err)
	}
	var found []string
	for _, key := range countedKeys {
		for _, line := range strings.Split(string(text), "\n") {
			if name, value, ok := strings.Cut(line, "\t"); ok && name == key {
				found = append(found, name+"="+strings.TrimSpace(value))
			}
		}
	}
	return strings.Join(found, " "), nil
}
