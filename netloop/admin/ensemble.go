package admin

import (
	"net"
	"net/url"
	"strconv"

	"holt/tree"
)

// What the commands say of a member's place in its ensemble. Words are those of QuorumPeer and its zab states; Holt's protocol is
// another one, so a member that serves is in the state that serving members have, broadcast.

const broadcast = "broadcast"

// roleFields are what a member of an ensemble says after its server_state.
func roleFields(state State) object {
	e := state.Ensemble()
	if e == nil || !state.Serving() {
		return nil
	}
	switch state.Mode() {
	case Leader:
		return object{{"peer_state", "leading - " + broadcast}}
	case Follower:
		return object{{"peer_state", "following - " + broadcast}}
	case Observer:
		return object{{"peer_state", "observing - " + broadcast}, {"observer_master_id", int64(tree.NumberOf(e.Leader))}}
	}
	return nil
}

// member finds the entry of a member in what the ensemble agreed on.
func member(s *Source, id uint64) (tree.Member, bool) {
	if agreed := s.State.Root().Ensemble(); agreed != nil {
		return agreed.Member(id)
	}
	return tree.Member{}, false
}

func leader(s *Source, _ url.Values) (object, string) {
	e := s.State.Ensemble()
	if e == nil {
		return nil, "server is not initialized"
	}
	o := object{{"is_leader", s.State.Mode() == Leader}}
	if e.Leader != 0 {
		m, _ := member(s, e.Leader)
		o = append(o, field{"leader_id", int64(tree.NumberOf(e.Leader))}, field{"leader_ip", m.Host})
	}
	return o, ""
}

// observers are those that a leader has; the fields that describe the reference's queues to them are not there.
func observers(s *Source) object {
	synced, all := 0, list{}
	if e := s.State.Ensemble(); e != nil {
		for i := range e.Peers {
			p := &e.Peers[i]
			if !p.Observer || !p.Active {
				continue
			}
			if p.synced() {
				synced++
			}
			m, _ := member(s, p.ID)
			all = append(all, object{{"remote_socket_address", m.PeerAddr()}, {"sid", int64(tree.NumberOf(p.ID))}, {"lag", int64(p.Lag)}})
		}
	}
	return object{{"synced_observers", synced}, {"observers", all}}
}

func votingView(s *Source) object {
	view := object{}
	if agreed := s.State.Root().Ensemble(); agreed != nil && s.State.Ensemble() != nil {
		for _, m := range agreed.Members {
			if !m.Observer {
				view.add(strconv.Itoa(int(m.ID)), object{
					{"server_addresses", list{m.PeerAddr()}},
					{"election_addresses", list{electionAddr(&m)}},
					{"client_address", m.ClientAddr},
					{"learner_type", "participant"},
				})
			}
		}
	}
	return object{{"current_config", view}}
}

func electionAddr(m *tree.Member) string {
	return net.JoinHostPort(m.Host, strconv.Itoa(m.ElectionPort))
}

// zabState names the addresses as the ensemble knows them; which of them can be reached is not tried out.
func zabState(s *Source) object {
	e := s.State.Ensemble()
	if e == nil || !s.State.Serving() {
		return object{{"voting", false}, {"zabstate", ""}}
	}
	root := s.State.Root()
	o := object{{"myid", int64(tree.NumberOf(e.ID))}, {"is_leader", s.State.Mode() == Leader}}
	m, known := member(s, e.ID)
	if known {
		var client any
		if m.ClientAddr != "" {
			client = m.ClientAddr
		}
		o = append(o, field{"quorum_address", addresses(m.Host, m.PeerPort)}, field{"election_address", addresses(m.Host, m.ElectionPort)},
			field{"client_address", client})
	}
	return append(o, object{
		{"voting", known && !m.Observer},
		{"last_zxid", "0x" + strconv.FormatUint(uint64(root.Zxid()), 16)},
		{"zab_epoch", int64(root.Zxid() >> 32)},
		{"zab_counter", int64(root.Zxid() & 0xffffffff)},
		{"zabstate", broadcast},
	}...)
}

// addresses is MultipleAddresses with one address.
func addresses(host string, port int) object {
	addr := net.JoinHostPort(host, strconv.Itoa(port))
	return object{
		{"empty", false},
		{"all_addresses", list{addr}},
		{"wildcard_addresses", list{net.JoinHostPort("0.0.0.0", strconv.Itoa(port))}},
		{"all_ports", list{port}},
		{"all_host_strings", list{host}},
		{"reachable_address", addr},
		{"all_reachable_addresses", list{addr}},
		{"all_reachable_addresses_or_all", list{addr}},
		{"reachable_or_one", addr},
		{"one", addr},
	}
}
