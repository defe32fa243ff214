package tree

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MemberIDMax is the largest number of a member: it is the top byte of session ids.
const MemberIDMax = 255

// NodeOf is the number by which raft and the streams between members know the member of that number: the same, but for
// server.0, as 0 means nobody there.
func NodeOf(id uint8) uint64 {
	if id == 0 {
		return MemberIDMax + 1
	}
	return uint64(id)
}

// NumberOf is the number that users know a node by.
func NumberOf(node uint64) uint8 { return uint8(node % (MemberIDMax + 1)) }

// Member is one server line of an ensemble. Where a line names several addresses the first one counts.
type Member struct {
	ID           uint8
	Host         string // where its peers reach it: a name or an address, IPv6 without brackets
	PeerPort     int
	ElectionPort int // ZooKeeper's second port; Holt keeps it and does not listen there
	Observer     bool
	ClientAddr   string // host:port; "" when the line has none
}

// Ensemble is a list of members, by ascending id, and the transaction that made it the valid one. It never changes.
type Ensemble struct {
	Members []Member
	Version Zxid
}

// errServerNumber is about a number that ZooKeeper takes.
var errServerNumber = fmt.Errorf("the number of a server is from 0 to %d", MemberIDMax)

// ErrGroups refuses weighted quorums.
var ErrGroups = errors.New("hierarchical quorums (group and weight lines) are not supported; every participant has one vote")

// NewEnsemble sorts the members and checks what must hold between them: distinct numbers, no address twice.
func NewEnsemble(members []Member, version Zxid) (*Ensemble, error) {
	e := &Ensemble{Members: slices.Clone(members), Version: version}
	slices.SortFunc(e.Members, func(a, b Member) int { return int(a.ID) - int(b.ID) })
	for i := range e.Members {
		m := &e.Members[i]
		for j := range i {
			if err := m.clash(&e.Members[j]); err != nil {
				return nil, err
			}
		}
	}
	return e, nil
}

// clash says whether two members cannot be told apart. ZooKeeper compares addresses that are neither loopback nor a
// wildcard (QuorumServer.checkAddressDuplicate); two members that wait for peers at one address are wrong anywhere.
func (m *Member) clash(o *Member) error {
	if m.ID == o.ID {
		return fmt.Errorf("server.%d stands there twice", m.ID)
	}
	for _, a := range m.addresses() {
		if slices.Contains(o.addresses(), a) {
			return fmt.Errorf("server.%d and server.%d have the same address %s", o.ID, m.ID, a)
		}
	}
	return nil
}

func (m *Member) addresses() []string {
	all := []string{m.PeerAddr(), net.JoinHostPort(m.Host, strconv.Itoa(m.ElectionPort))}
	if host, _, err := net.SplitHostPort(m.ClientAddr); err == nil && !local(host) {
		all = append(all, m.ClientAddr)
	}
	return all
}

// local says that a host names a different machine for everybody who reads it.
func local(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && (ip.IsLoopback() || ip.IsUnspecified())
}

// Node is NodeOf the member's number.
func (m Member) Node() uint64 { return NodeOf(m.ID) }

// PeerAddr is host:port on which the member hears its peers.
func (m Member) PeerAddr() string { return net.JoinHostPort(m.Host, strconv.Itoa(m.PeerPort)) }

// String is the server line as ZooKeeper shows it in /zookeeper/config.
func (m Member) String() string {
	role := "participant"
	if m.Observer {
		role = "observer"
	}
	s := fmt.Sprintf("server.%d=%s:%d:%s", m.ID, m.PeerAddr(), m.ElectionPort, role)
	if m.ClientAddr != "" {
		s += ";" + m.ClientAddr
	}
	return s
}

// ParseMember reads what stands behind "server.<id>=" (QuorumPeer.QuorumServer):
//
//	host:peerPort:electionPort[:participant|:observer][|more addresses][;[clientHost:]clientPort]
func ParseMember(id int, value string) (Member, error) {
	if id < 0 || id > MemberIDMax {
		return Member{}, errServerNumber
	}
	m := Member{ID: uint8(id)}
	addresses, client, hasClient := strings.Cut(strings.TrimSpace(value), ";")
	role := ""
	for i, address := range strings.Split(addresses, "|") {
		host, ports, r, err := parseMemberAddr(address)
		if err != nil {
			return Member{}, err
		}
		if i == 0 {
			m.Host, m.PeerPort, m.ElectionPort = host, ports[0], ports[1]
		}
		if role != "" && r != "" && r != role {
			return Member{}, fmt.Errorf("addresses with different roles, %q and %q", role, r)
		}
		role = cmp.Or(role, r)
	}
	switch strings.ToLower(strings.TrimSpace(role)) {
	case "", "participant":
	case "observer":
		m.Observer = true
	default:
		return Member{}, fmt.Errorf("role %q: it takes participant or observer", role)
	}
	if !hasClient {
		return m, nil
	}
	client, secure, _ := strings.Cut(client, ";")
	if secure != "" {
		return Member{}, errors.New("a secure client port: TLS is not served yet")
	}
	var err error
	m.ClientAddr, err = parseClientAddr(client)
	return m, err
}

func parseMemberAddr(s string) (host string, ports [2]int, role string, err error) {
	rest := strings.TrimSpace(s)
	if strings.HasPrefix(rest, "[") {
		var ok bool
		if host, rest, ok = strings.Cut(rest[1:], "]:"); !ok {
			return "", ports, "", errors.New("an IPv6 address in brackets is followed by :port:port")
		}
	} else {
		host, rest, _ = strings.Cut(rest, ":")
	}
	if err := checkHost(host); err != nil {
		return "", ports, "", err
	}
	peer, rest, ok := strings.Cut(rest, ":")
	if !ok {
		return "", ports, "", errors.New("not host:port:port, the ports for peers and for elections")
	}
	election, role, _ := strings.Cut(rest, ":")
	for i, text := range []string{peer, election} {
		if ports[i], err = parsePort(text); err != nil {
			return "", ports, "", err
		}
	}
	if ports[0] == ports[1] {
		return "", ports, "", errors.New("the ports for peers and for elections must differ")
	}
	return host, ports, role, nil
}

// parseClientAddr reads [host:]port; without a host it is ZooKeeper's wildcard.
func parseClientAddr(s string) (string, error) {
	host, port := "0.0.0.0", strings.TrimSpace(s)
	if strings.Contains(port, ":") {
		var err error
		if host, port, err = net.SplitHostPort(port); err != nil {
			return "", fmt.Errorf("client address %q: not host:port (IPv6 addresses stand in brackets)", s)
		}
		if host == "" {
			host = "0.0.0.0"
		}
	}
	n, err := parsePort(port)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(host, strconv.Itoa(n)), checkHost(host)
}

func parsePort(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("port %q: it takes a number from 1 to 65535", s)
	}
	return int(n), nil
}

const hostBytesMax = 255

// checkHost refuses what cannot be a name or an address.
func checkHost(host string) error {
	bad := func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune("/,;|\"'=[]", r) }
	if host == "" || len(host) > hostBytesMax || !utf8.ValidString(host) || strings.ContainsFunc(host, bad) {
		return fmt.Errorf("%q is not a host name or an address", host)
	}
	if strings.Contains(host, ":") {
		if _, err := netip.ParseAddr(host); err != nil {
			return fmt.Errorf("%q is not an address", host)
		}
	}
	return nil
}

// Text is the content of /zookeeper/config (QuorumMaj.toString).
func (e *Ensemble) Text() []byte {
	var b bytes.Buffer
	for _, m := range e.Members {
		b.WriteString(m.String() + "\n")
	}
	fmt.Fprintf(&b, "version=%x", uint64(e.Version))
	return b.Bytes()
}

// ParseEnsemble reads server lines and, if there is one, the version: Ensemble.Text, and the newMembers of a reconfig.
// Blank lines and those that begin with # are skipped; of two lines for one server the last counts.
func ParseEnsemble(text []byte) (*Ensemble, error) {
	var members []Member
	var version Zxid
	for line := range strings.SplitSeq(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		kind, number, _ := strings.Cut(key, ".")
		switch {
		case kind == "group" || kind == "weight":
			return nil, ErrGroups
		case key == "version":
			n, err := strconv.ParseUint(value, 16, 64)
			if err != nil {
				return nil, fmt.Errorf("version %q is not a hexadecimal number", value)
			}
			version = Zxid(n)
		case kind == "server":
			m, err := parseServer(number, value)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			members = with(members, m)
		default:
			return nil, fmt.Errorf("%q: only server and version lines may stand here", key)
		}
	}
	return NewEnsemble(members, version)
}

func parseServer(number, value string) (Member, error) {
	id, err := serverNumber(number)
	if err != nil {
		return Member{}, err
	}
	return ParseMember(int(id), value)
}

func serverNumber(s string) (uint8, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is not the number of a server", s)
	case n > MemberIDMax:
		return 0, errServerNumber
	}
	return uint8(n), nil
}

// with puts m among members, in the place of the one with its id.
func with(members []Member, m Member) []Member {
	return append(without(members, m.ID), m)
}

func without(members []Member, id uint8) []Member {
	return slices.DeleteFunc(slices.Clone(members), func(m Member) bool { return m.ID == id })
}

// Voters are the nodes of the participants.
func (e *Ensemble) Voters() []uint64 { return e.nodes(false) }

// Observers are the nodes of the members without a vote.
func (e *Ensemble) Observers() []uint64 { return e.nodes(true) }

func (e *Ensemble) nodes(observer bool) []uint64 {
	var nodes []uint64
	for _, m := range e.Members {
		if m.Observer == observer {
			nodes = append(nodes, m.Node())
		}
	}
	return nodes
}

// Member finds a member by its node.
func (e *Ensemble) Member(node uint64) (Member, bool) {
	i := slices.IndexFunc(e.Members, func(m Member) bool { return m.Node() == node })
	if i < 0 {
		return Member{}, false
	}
	return e.Members[i], true
}

// Equal says that the members are the same, whatever the version.
func (e *Ensemble) Equal(o *Ensemble) bool {
	if e == nil || o == nil {
		return e == o
	}
	return slices.Equal(e.Members, o.Members)
}

// next is what a reconfig makes of e: newMembers alone, or leaving taken out and then joining put in
// (PrepRequestProcessor, case reconfig).
func (e *Ensemble) next(r *Reconfig) (*Ensemble, error) {
	if r.NewMembers != nil {
		n, err := ParseEnsemble(bytes.ReplaceAll(r.NewMembers, []byte(","), []byte("\n")))
		if err != nil {
			return nil, err
		}
		return &Ensemble{Members: n.Members}, nil
	}
	members := slices.Clone(e.Members)
	for _, leaving := range splitList(r.Leaving) {
		id, err := serverNumber(leaving)
		if err != nil {
			return nil, fmt.Errorf("leaving server %q: %w", leaving, err)
		}
		members = without(members, id)
	}
	for _, joining := range splitList(r.Joining) {
		key, value, _ := strings.Cut(joining, "=")
		m, err := parseServer(strings.TrimSpace(key[strings.LastIndex(key, ".")+1:]), value)
		if err != nil {
			return nil, fmt.Errorf("joining server %q: %w", joining, err)
		}
		if m.ClientAddr == "" {
			return nil, fmt.Errorf("joining server %q: a client port is needed", joining)
		}
		members = with(members, m)
	}
	return NewEnsemble(members, 0)
}

// splitList splits at commas; blanks around and empty pieces go.
func splitList(list []byte) []string {
	pieces := strings.Split(string(list), ",")
	for i := range pieces {
		pieces[i] = strings.TrimSpace(pieces[i])
	}
	return slices.DeleteFunc(pieces, func(s string) bool { return s == "" })
}
