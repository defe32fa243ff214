package config

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"holt/tree"
)

// Peers is about the ensemble, besides its members.
type Peers struct {
	StandaloneEnabled bool   // standaloneEnabled: one participant makes a server that stands alone
	ListenAll         bool   // quorumListenOnAllIPs
	Type              string // peerType
	InitLimit         int    // shown by conf, as ZooKeeper does, and used by nothing
	SyncLimit         int    // the same
	DynamicFile       string // dynamicConfigFile: where the server lines were read from, "" = not from there
}

// Self is the server line of this server; ok is false for one that stands alone.
func (c *Config) Self() (m tree.Member, ok bool) {
	if c.Ensemble == nil {
		return m, false
	}
	return c.Ensemble.Member(tree.NodeOf(c.ID))
}

// PeerAddr is where this member waits for its peers, in the form net.Listen takes; "" for a server that stands alone.
func (c *Config) PeerAddr() string {
	m, ok := c.Self()
	switch {
	case !ok:
		return ""
	case c.Peers.ListenAll:
		return net.JoinHostPort("", strconv.Itoa(m.PeerPort))
	}
	return m.PeerAddr()
}

// dynamicFile reads the member list that ZooKeeper keeps in a file of its own (reference: dynamic configuration file).
func (l *loader) dynamicFile(name, origin string) {
	l.c.Peers.DynamicFile = name
	l.c.origins["dynamicConfigFile"] = origin
	text, err := os.ReadFile(name)
	if err != nil {
		l.fail(origin, "dynamicConfigFile: %w", err)
		return
	}
	properties, err := ParseProperties(string(text))
	if err != nil {
		l.fail(name, "%w", err)
		return
	}
	for _, p := range properties {
		at := fmt.Sprintf("%s:%d", name, p.Line)
		switch kind, _, _ := strings.Cut(p.Key, "."); kind {
		case "server":
			l.member(p.Key, p.Value, at)
		case "group", "weight":
			l.fail(at, "%s: %w", p.Key, tree.ErrGroups)
		case "version":
		default:
			l.fail(at, "%s: only server lines may stand in a dynamic configuration file", p.Key)
		}
	}
}

// separate refuses server lines beside a dynamic file (QuorumPeerConfig.parseProperties).
func (l *loader) separate(name string, properties []Property) {
	if !slices.ContainsFunc(properties, func(p Property) bool { return p.Key == "dynamicConfigFile" }) {
		return
	}
	for _, p := range properties {
		if strings.HasPrefix(p.Key, "server.") {
			l.fail(fmt.Sprintf("%s:%d", name, p.Line), "%s: with dynamicConfigFile all server lines stand in that file", p.Key)
		}
	}
}

func (l *loader) member(name, value, origin string) {
	id, err := parseNumber(strings.TrimPrefix(name, "server."), 0, tree.MemberIDMax)
	if err != nil {
		l.fail(origin, "%s: the number of a server: %w", name, err)
		return
	}
	m, err := tree.ParseMember(id, value)
	if err != nil {
		l.fail(origin, "%s=%s: %w", name, value, err)
		return
	}
	l.c.origins[serverKey] = origin
	l.c.origins[fmt.Sprintf("server.%d", id)] = origin
	for i := range l.c.Members {
		if l.c.Members[i].ID == m.ID {
			l.c.Members[i] = m
			return
		}
	}
	l.c.Members = append(l.c.Members, m)
}

// members draws the conclusions from the server lines: one participant alone is a server that stands alone, unless
// standaloneEnabled is off (QuorumPeerConfig.isDistributed); more make an ensemble.
func (l *loader) members() {
	c := l.c
	if len(c.Members) == 0 {
		if strings.EqualFold(c.Peers.Type, "observer") {
			l.fail(c.origin("peerType"), "peerType=observer: an observer cannot run alone: server lines are missing")
		}
		return
	}
	e, err := tree.NewEnsemble(c.Members, 0)
	voters := 0
	for _, m := range c.Members {
		if !m.Observer {
			voters++
		}
	}
	origin := c.origins[serverKey]
	switch {
	case voters == 0:
		l.fail(origin, "server.%d is an observer, and observers cannot run without participants", c.Members[0].ID)
	case voters == 1 && len(c.Members) > 1 && c.Peers.StandaloneEnabled:
		l.fail(origin, "one participant and %d observers: add participants, or set standaloneEnabled=false for an ensemble with one vote", len(c.Members)-1)
	case voters == 1 && c.Peers.StandaloneEnabled:
		l.alone(c.Members[0])
	case err != nil:
		l.fail(origin, "%w", err)
	default:
		c.Ensemble = e
		l.together(voters)
	}
}

// alone takes from the only server line what a server that stands alone can use.
func (l *loader) alone(m tree.Member) {
	c := l.c
	if m.ClientAddr != "" && !c.given("clientPort", "clientPortAddress", "holt.clientAddr") {
		l.clientAddr(m)
	}
	if c.given("holt.id") {
		return
	}
	switch id, ok := l.myid(); {
	case !ok:
		c.ID = m.ID // one server line leaves no doubt
	case id != int(m.ID):
		l.fail(l.myidFile(), "this server is number %d, but the only server line is server.%d", id, m.ID)
	default:
		c.ID = uint8(id)
	}
}

// clientAddr takes the client address of this server's own line.
func (l *loader) clientAddr(m tree.Member) {
	c := l.c
	c.Client.Host, c.Client.Port, _ = parseHostPort(m.ClientAddr, 1)
	if c.Client.Host == "0.0.0.0" { // IPv6 too, as in Java
		c.Client.Host = ""
	}
	c.Client.hostGiven = true
	c.origins["holt.clientAddr"] = c.origins[fmt.Sprintf("server.%d", m.ID)]
}

// together finds out which member this server is.
func (l *loader) together(voters int) {
	c := l.c
	origin := c.origins[serverKey]
	if voters%2 == 0 {
		l.warn(origin, "%d participants survive the loss of %d, as %d would; an odd number is better", voters, voters/2-1, voters-1)
	}
	id, ok := l.myid()
	switch {
	case !ok && !c.given("holt.id"):
		if len(l.errs) == 0 {
			l.fail(l.myidFile(), "missing, and so it is not known which of the %d server lines is this server's; write its number into that file, or give --id",
				len(c.Members))
		}
		return
	case !ok:
	case c.given("holt.id") && id != int(c.ID):
		l.fail(c.origin("holt.id"), "number %d, but %s says %d: is this the directory of another member?", c.ID, l.myidFile(), id)
		return
	default:
		c.ID = uint8(id)
	}
	m, ok := c.Self()
	if !ok {
		l.fail(origin, "this server is number %d, and no line is server.%d", c.ID, c.ID)
		return
	}
	if t := c.Peers.Type; c.given("peerType") && strings.EqualFold(t, "observer") != m.Observer {
		l.warn(c.origin("peerType"), "peerType=%s does not say the same as server.%d; the server line counts", t, m.ID)
	}
	l.memberClientAddr(m)
}

// memberClientAddr settles where clients are served: the server line says it, or clientPort does. That both say different things
// is an error (QuorumPeerConfig.setupClientPort), but for the flag or variable that is about this process only.
func (l *loader) memberClientAddr(m tree.Member) {
	c := l.c
	if m.ClientAddr == "" || c.given("holt.clientAddr") {
		return
	}
	host, port, _ := net.SplitHostPort(m.ClientAddr)
	if c.given("clientPort") {
		wildcard := c.Client.Host == "" || c.Client.Host == "0.0.0.0" || c.Client.Host == "::"
		if port != strconv.Itoa(c.Client.Port) || !wildcard && host != c.Client.Host {
			l.fail(c.origin("clientPort"), "clients are to be served on %s, but on %s by server.%d; remove one", c.Client.Addr(), m.ClientAddr, m.ID)
			return
		}
	}
	l.clientAddr(m)
}

func (l *loader) myidFile() string { return filepath.Join(l.c.Data.Dir, "myid") }

// myid reads the file that tells a server which server line is its own.
func (l *loader) myid() (id int, ok bool) {
	text, err := os.ReadFile(l.myidFile())
	if errors.Is(err, os.ErrNotExist) {
		return 0, false
	}
	if err != nil {
		l.errs = append(l.errs, fmt.Errorf("reading the number of this server: %w", err))
		return 0, false
	}
	if id, err = parseNumber(strings.TrimSpace(string(text)), 0, tree.MemberIDMax); err != nil {
		l.fail(l.myidFile(), "%q: %w", strings.TrimSpace(string(text)), err)
		return 0, false
	}
	return id, true
}
