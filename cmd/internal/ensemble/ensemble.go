package ensemble

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Config says what to start.
type Config struct {
	Kind     Kind
	Members  int               // 1: a standalone server
	Voters   int               // the first so many vote, the rest observe; 0: all vote
	Root     string            // of the repository; "": the one around the working directory
	Dir      string            // of all members; made if missing
	PortBase int               // on loopback: the first of PortsPerMember*Members ports
	Hosts    []*Host           // one per member; nil: loopback
	Settings map[string]string // lines of zoo.cfg beyond the common ones
	Binary   string            // Holt's; "": the repository's bin/holt
	Lib      string            // ZooKeeper's jars; "": InstallZooKeeper
	JVM      []string          // options of ZooKeeper's JVM; nil: defaultJVM
	Nice     int               // niceness of the servers
}

// PortsPerMember is how many ports a member on loopback takes: for clients, for peers, for elections.
const PortsPerMember = 3

// Ports of a member that has a host of its own.
const (
	hostClientPort   = 2181
	hostPeerPort     = 2888
	hostElectionPort = 3888
)

// defaultJVM is a heap that suits this kind of test; the rest is as Java chooses.
var defaultJVM = []string{"-Xmx1g"}

// commonSettings are those of ZooKeeper's zoo_sample.cfg, with every four-letter word and no limit on connections from
// one address, since all clients of a test share one.
var commonSettings = map[string]string{
	"tickTime":               "2000",
	"initLimit":              "10",
	"syncLimit":              "5",
	"maxClientCnxns":         "0",
	"admin.enableServer":     "false",
	"4lw.commands.whitelist": "*",
}

// Ensemble is members that were started together.
type Ensemble struct {
	Kind    Kind
	Members []*Member
}

// New lays out the members' directories without starting a process.
func New(ctx context.Context, cfg Config) (*Ensemble, error) {
	root, err := cfg.Root, error(nil)
	if root == "" {
		if root, err = Root(); err != nil {
			return nil, err
		}
	}
	if cfg.Hosts != nil && len(cfg.Hosts) < cfg.Members {
		return nil, fmt.Errorf("%d hosts for %d members", len(cfg.Hosts), cfg.Members)
	}
	if cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return nil, err
	}
	env, err := cfg.environment(ctx, root)
	if err != nil {
		return nil, err
	}
	e := &Ensemble{Kind: cfg.Kind}
	for id := 1; id <= cfg.Members; id++ {
		m := &Member{ID: id, Dir: filepath.Join(cfg.Dir, fmt.Sprintf("%s-%d", cfg.Kind, id)), Nice: cfg.Nice, env: env}
		if cfg.Hosts != nil {
			m.host = cfg.Hosts[id-1]
		}
		address, ports := cfg.address(id)
		m.addr = fmt.Sprintf("%s:%d", address, ports[0])
		m.argv = []string{Launcher(root, cfg.Kind), m.Config()}
		if err := os.MkdirAll(m.Data(), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(m.Config(), []byte(cfg.text(m)), 0o644); err != nil {
			return nil, err
		}
		if cfg.Members > 1 {
			if err := os.WriteFile(filepath.Join(m.Data(), "myid"), fmt.Appendln(nil, id), 0o644); err != nil {
				return nil, err
			}
		}
		e.Members = append(e.Members, m)
	}
	return e, nil
}

// Start lays out the members, starts them and waits until all serve. When that fails nothing is left running.
func Start(ctx context.Context, cfg Config) (*Ensemble, error) {
	e, err := New(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := e.Start(); err != nil {
		e.Kill()
		return nil, err
	}
	return e, nil
}

// environment is what the launcher reads beside the zoo.cfg.
func (c *Config) environment(ctx context.Context, root string) ([]string, error) {
	if c.Kind == Holt {
		if c.Binary == "" {
			return nil, nil
		}
		binary, err := filepath.Abs(c.Binary)
		return []string{"HOLT_BIN=" + binary}, err
	}
	lib := c.Lib
	if lib == "" {
		var err error
		if lib, err = InstallZooKeeper(ctx, root); err != nil {
			return nil, err
		}
	}
	jvm := c.JVM
	if jvm == nil {
		jvm = defaultJVM
	}
	return []string{"ZOOKEEPER_LIB=" + lib, "ZOOKEEPER_JVM=" + strings.Join(jvm, " ")}, nil
}

// address is where a member listens: for clients, peers, elections.
func (c *Config) address(id int) (ip string, ports [PortsPerMember]int) {
	if c.Hosts != nil {
		return c.Hosts[id-1].IP, [PortsPerMember]int{hostClientPort, hostPeerPort, hostElectionPort}
	}
	first := c.PortBase + (id-1)*PortsPerMember
	return "127.0.0.1", [PortsPerMember]int{first, first + 1, first + 2}
}

// text is the zoo.cfg of a member.
func (c *Config) text(m *Member) string {
	ip, ports := c.address(m.ID)
	lines := maps.Clone(commonSettings)
	maps.Copy(lines, c.Settings)
	lines["dataDir"] = m.Data()
	lines["clientPort"] = fmt.Sprint(ports[0])
	lines["clientPortAddress"] = ip
	if c.Members > 1 {
		for id := 1; id <= c.Members; id++ {
			ip, ports := c.address(id)
			line := fmt.Sprintf("%s:%d:%d", ip, ports[1], ports[2])
			if c.Voters > 0 && id > c.Voters {
				line += ":observer"
				if id == m.ID {
					lines["peerType"] = "observer"
				}
			}
			lines[fmt.Sprintf("server.%d", id)] = line
		}
	}
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(lines)) {
		fmt.Fprintf(&b, "%s=%s\n", key, lines[key])
	}
	return b.String()
}

// startPatience is how long members may take from start to service.
const startPatience = time.Minute

// Start starts all members that do not run and waits until all serve, one of several as leader.
func (e *Ensemble) Start() error {
	for _, m := range e.Members {
		if err := m.Start(); err != nil && !errors.Is(err, ErrRunning) {
			return err
		}
	}
	for _, m := range e.Members {
		if err := m.Serves(startPatience); err != nil {
			return err
		}
	}
	if len(e.Members) == 1 {
		return nil
	}
	_, err := e.Leader(startPatience)
	return err
}

// Kill ends all members at once.
func (e *Ensemble) Kill() {
	for _, m := range e.Members {
		m.Kill()
	}
}

// Leader waits until a member calls itself leader, and returns it.
func (e *Ensemble) Leader(patience time.Duration) (*Member, error) { return e.In("leader", patience) }

// In waits until a member is in that Mode, and returns the first.
func (e *Ensemble) In(mode string, patience time.Duration) (*Member, error) {
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		for _, m := range e.Members {
			if got, err := m.Mode(); err == nil && got == mode {
				return m, nil
			}
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("no member is %s after %v", mode, patience)
		}
	}
}

// Others is every member but one.
func (e *Ensemble) Others(one *Member) []*Member {
	return slices.DeleteFunc(slices.Clone(e.Members), func(m *Member) bool { return m == one })
}

// Addrs is the clients' addresses of all members.
func (e *Ensemble) Addrs() []string {
	var addrs []string
	for _, m := range e.Members {
		addrs = append(addrs, m.addr)
	}
	return addrs
}
