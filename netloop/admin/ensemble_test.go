package admin

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"holt/perf"
	"holt/tree"
)

// members are those of the ensemble that testdata was captured from.
const members = `server.1=127.0.0.1:22331:22332:participant
server.2=127.0.0.1:22334:22335:participant
server.3=127.0.0.1:22337:22338:participant
server.4=127.0.0.1:22340:22341:observer
version=0`

// captured is what a member of that ensemble answered.
func captured(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "zookeeper-3.9.5-ensemble", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// testMember is a source in one of the roles of the captured ensemble.
func testMember(t *testing.T, role Mode) (*Source, *fakeState) {
	t.Helper()
	s, clients, state := testSource(t)
	clients.conns, clients.expiries, clients.paths = nil, nil, nil
	e, err := tree.ParseEnsemble([]byte(members))
	if err != nil {
		t.Fatal(err)
	}
	batch := tree.AppendBatchHeader(nil, tree.BatchHeader{TimeMs: 1})
	batch = tree.AppendBootstrap(batch, &tree.CommandHeader{}, &tree.Bootstrap{ClusterID: 1, Ensemble: e})
	applied, err := tree.New().Apply(tree.Batch{Term: 1, Data: batch})
	if err != nil {
		t.Fatal(err)
	}
	id := map[Mode]uint64{Leader: 3, Follower: 1, Observer: 4}[role]
	state.root, state.mode, state.others = applied.Root, role, &Ensemble{ID: id, Leader: 3}
	s.Config.Quorum = &QuorumConfig{InitLimit: 10, SyncLimit: 5, ElectionAlg: 3, ElectionPort: int(22329 + 3*id), QuorumPort: int(22328 + 3*id), Observer: role == Observer}
	s.Config.ClientPort, s.Config.MaxClientConns, s.Config.ServerID = int(22327+3*id), 0, int64(id)
	if role == Leader {
		state.others.Peers = []Peer{{ID: 1, Active: true}, {ID: 2, Active: true}, {ID: 4, Active: true, Observer: true}}
	}
	one := func(v int64) func() int64 { return func() int64 { return v } }
	s.Metrics.SetSources(perf.Sources{
		Leader: func() bool { return role == Leader }, LeaderUptimeMs: one(3538), QuorumSize: one(3), Learners: one(3), Followers: one(2),
		SyncedFollowers: one(2), SyncedObservers: one(1),
		Znodes: state.root.NodeCount, DataBytes: state.root.DataBytes, Ephemerals: state.root.EphemeralCount, Sessions: one(0),
	})
	return s, state
}

var roles = []Mode{Leader, Follower, Observer}

// TestRolesInText: srvr, conf and dump of each role, but for counters.
func TestRolesInText(t *testing.T) {
	sizes := regexp.MustCompile(`(?m)^(dataDirSize|dataLogSize|Latency.*|Received|Sent|Connections).*$`)
	for _, role := range roles {
		for _, word := range []string{"srvr", "conf"} {
			s, _ := testMember(t, role)
			got := sizes.ReplaceAllString(comparable(answer(t, s, word)), "")
			if want := sizes.ReplaceAllString(comparable(captured(t, string(role)+"."+word+".txt")), ""); got != want {
				t.Errorf("%s of a %s: got\n%s\nwant\n%s", word, role, got, want)
			}
		}
	}
	s, _ := testMember(t, Follower)
	if got := answer(t, s, "dump"); !strings.HasPrefix(got, "SessionTracker dump:\nGlobal Sessions(0):\nephemeral nodes dump:\n") {
		t.Errorf("dump of a follower:\n%s", got)
	}
}

// TestRolesInMntr: what a role tells of itself, and the metrics that only leaders have.
func TestRolesInMntr(t *testing.T) {
	keys := func(text string) (keys []string) {
		for line := range strings.Lines(text) {
			key, _, _ := strings.Cut(line, "\t")
			if !strings.Contains(key, "learner_handler") && key != "zk_followers" { // one has no queues per learner; the other is an older name
				keys = append(keys, key)
			}
		}
		return keys
	}
	without := func(a, b []string) []string {
		a = slices.DeleteFunc(slices.Clone(a), func(k string) bool { return slices.Contains(b, k) })
		slices.Sort(a)
		return a
	}
	ours, theirs := map[Mode]string{}, map[Mode]string{}
	for _, role := range roles {
		s, _ := testMember(t, role)
		ours[role], theirs[role] = answer(t, s, "mntr"), captured(t, string(role)+".mntr.txt")
		head := 3
		if role == Observer {
			head = 4
		}
		a, b := strings.Split(ours[role], "\n")[1:head], strings.Split(theirs[role], "\n")[1:head]
		if !slices.Equal(a, b) {
			t.Errorf("a %s says %q, in ZooKeeper %q", role, a, b)
		}
	}
	a, b := without(keys(ours[Leader]), keys(ours[Follower])), without(keys(theirs[Leader]), keys(theirs[Follower]))
	if !slices.Equal(a, b) {
		t.Errorf("only a leader has\n%q\nin ZooKeeper\n%q", a, b)
	}
	for _, line := range []string{"zk_quorum_size\t3", "zk_learners\t3", "zk_synced_followers\t2", "zk_synced_observers\t1", "zk_followers\t2", "zk_pending_syncs\t0", "zk_leader_uptime\t3538"} {
		if !strings.Contains(ours[Leader], line+"\n") {
			t.Errorf("a leader does not say %q", line)
		}
	}
}

// TestRolesInCommands compares what the AdminServer says of roles.
func TestRolesInCommands(t *testing.T) {
	for _, role := range roles {
		for _, name := range []string{"leader", "voting_view", "zabstate"} {
			s, _ := testMember(t, role)
			_, got := get(t, s, "/commands/"+name)
			a, b := parseJSON(t, name, got), parseJSON(t, name, captured(t, string(role)+"."+name+".json"))
			if fmt.Sprint(a) != fmt.Sprint(b) {
				t.Errorf("%s of a %s: got\n%s\nwant\n%v", name, role, got, b)
			}
		}
		s, _ := testMember(t, role)
		_, got := get(t, s, "/commands/server_stats")
		if a, b := shape(parseJSON(t, "server_stats", got), ""), shape(parseJSON(t, "server_stats", captured(t, string(role)+".server_stats.json")), ""); !slices.Equal(a, b) {
			t.Errorf("server_stats of a %s: got\n%q\nwant\n%q", role, a, b)
		}
		_, got = get(t, s, "/commands/configuration")
		if a, b := shape(parseJSON(t, "configuration", got), ""), shape(parseJSON(t, "configuration", captured(t, string(role)+".configuration.json")), ""); !slices.Equal(a, b) {
			t.Errorf("configuration of a %s: got\n%q\nwant\n%q", role, a, b)
		}
		_, got = get(t, s, "/commands/monitor")
		for _, key := range []string{"server_state", "peer_state", "observer_master_id"} {
			if a, b := parseJSON(t, "monitor", got)[key], parseJSON(t, "monitor", captured(t, string(role)+".monitor.json"))[key]; a != b {
				t.Errorf("monitor of a %s: %s is %v, in ZooKeeper %v", role, key, a, b)
			}
		}
	}
	s, _ := testMember(t, Leader)
	_, got := get(t, s, "/commands/obsr")
	if o := parseJSON(t, "obsr", got); o["synced_observers"] != 1.0 || fmt.Sprint(o["observers"]) != "[map[lag:0 remote_socket_address:127.0.0.1:22340 sid:4]]" {
		t.Errorf("observers: %s", got)
	}
}

// TestLostQuorum: what a member says that knows of no leader, and in read-only mode.
func TestLostQuorum(t *testing.T) {
	s, state := testMember(t, Follower)
	state.serving, state.others.Leader = false, 0
	for word, want := range map[string]string{"isro": "null", "ruok": "imok", "srvr": notServing + "\n", "mntr": notServing + "\n"} {
		if got := answer(t, s, word); got != want {
			t.Errorf("%s: got %q, want %q", word, got, want)
		}
	}
	if _, got := get(t, s, "/commands/zabstate"); parseJSON(t, "zabstate", got)["zabstate"] != "" || parseJSON(t, "zabstate", got)["voting"] != false {
		t.Errorf("zabstate: %s", got)
	}
	if _, got := get(t, s, "/commands/leader"); parseJSON(t, "leader", got)["error"] != notServing {
		t.Errorf("leader: %s", got)
	}
	state.serving, state.mode = true, ReadOnly
	if got := answer(t, s, "isro"); got != "ro" {
		t.Errorf("isro in read-only mode: %q", got)
	}
	if got := answer(t, s, "mntr"); !strings.Contains(got, "\nzk_server_state\tread-only\n") || strings.Contains(got, "peer_state") {
		t.Errorf("mntr in read-only mode:\n%.300s", got)
	}
	if got := answer(t, s, "srvr"); !strings.Contains(got, "\nREAD-ONLY mode; serving only read-only clients\n") || !strings.Contains(got, "\nMode: read-only\n") {
		t.Errorf("srvr in read-only mode:\n%s", got)
	}
}

// TestPeersInPrometheus: lag per peer, and the age of the contact.
func TestPeersInPrometheus(t *testing.T) {
	s, _ := testMember(t, Leader)
	s.Metrics.SetSources(perf.Sources{
		Leader: func() bool { return true }, ReadOnly: func() bool { return false }, ContactNs: func() int64 { return 25e7 },
		Peers: func() []perf.Peer { return []perf.Peer{{ID: 1, Active: true, LagEntries: 7}, {ID: 4, Syncing: true}} },
	})
	var b bytes.Buffer
	s.Metrics.WritePrometheus(&b)
	for _, line := range []string{
		`holt_peer_lag_entries{peer="1"} 7`, `holt_peer_active{peer="1"} 1`, `holt_peer_active{peer="4"} 0`, `holt_peer_syncing{peer="4"} 1`,
		`holt_leader 1`, `holt_read_only 0`, `holt_leader_contact_seconds 0.25`, `holt_leader_changes_total 0`, `holt_elections_won_total 0`,
	} {
		if !strings.Contains(b.String(), line+"\n") {
			t.Errorf("no line %q", line)
		}
	}
}
