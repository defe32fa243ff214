package main

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"
)

// zookeeperVersion is the release compared with; zookeeper.pom.xml pins the same.
const zookeeperVersion = "3.9.5"

// superPassword authenticates the session that looks at everything.
const superPassword = "super:holt-difftest"

func digestOf(userPassword string) string {
	sum := sha1.Sum([]byte(userPassword))
	user, _, _ := strings.Cut(userPassword, ":")
	return user + ":" + base64.StdEncoding.EncodeToString(sum[:])
}

// modes are the configurations to compare under: zoo.cfg lines beyond the common ones.
var modes = map[string]map[string]string{
	"default": {},
	"quota":   {"enforceQuota": "true"},
	"plain":   {"extendedTypesEnabled": "false", "reconfigEnabled": "false"},
	"skipacl": {"skipACL": "yes"},
	"restart": {"holt.checkpointBytes": "1048576"},
	"wide":    {},
	"time":    {"znode.container.checkIntervalMs": "300", "minSessionTimeout": "1000", "tickTime": "500"},
}

func modeNames() []string {
	var names []string
	for name := range modes {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// settings is the zoo.cfg of a mode, the same for both servers.
func settings(mode, dataDir string, port int) map[string]string {
	cfg := map[string]string{
		"tickTime":                        "2000",
		"dataDir":                         dataDir,
		"clientPort":                      fmt.Sprint(port),
		"clientPortAddress":               "127.0.0.1",
		"maxClientCnxns":                  "0",
		"minSessionTimeout":               "600000",
		"maxSessionTimeout":               "3600000",
		"admin.enableServer":              "false",
		"forceSync":                       "no",
		"preAllocSize":                    "1024",
		"snapCount":                       "10000000",
		"reconfigEnabled":                 "true",
		"extendedTypesEnabled":            "true",
		"4lw.commands.whitelist":          "*",
		"globalOutstandingLimit":          "100000",
		"znode.container.checkIntervalMs": "3600000",
		"DigestAuthenticationProvider.superDigest": digestOf(superPassword),
	}
	for k, v := range modes[mode] {
		cfg[k] = v
	}
	return cfg
}

// freePorts finds two ports of this machine that nobody uses.
func freePorts() (ports [2]int, err error) {
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return ports, fmt.Errorf("looking for a free port: %w", err)
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

// process is a server that difftest started.
type process struct {
	l       *launcher
	cmd     *exec.Cmd
	dir     string
	log     string
	cfgFile string
	cfg     map[string]string
}

// launcher starts servers of one kind.
type launcher struct {
	name    string
	port    int
	mode    string
	keep    bool // leave data and logs for whoever looks
	command func(cfgFile string, cfg map[string]string) *exec.Cmd
}

// start starts a server with an empty data directory.
func (l *launcher) start() (*process, error) {
	dir, err := os.MkdirTemp("", "holt-difftest-")
	if err != nil {
		return nil, err
	}
	p := &process{
		l: l, dir: dir, log: filepath.Join(dir, "log"), cfgFile: filepath.Join(dir, "zoo.cfg"),
		cfg: settings(l.mode, filepath.Join(dir, "data"), l.port),
	}
	if err := os.WriteFile(p.cfgFile, []byte(cfgText(p.cfg)), 0o600); err != nil {
		return nil, err
	}
	if err := p.run(); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// run starts the process and waits until it listens.
func (p *process) run() error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	p.cmd = p.l.command(p.cfgFile, p.cfg)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		p.cmd = nil
		return fmt.Errorf("starting %s: %w", p.l.name, err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", p.l.port)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		nc, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			nc.Close()
			return nil
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(p.log)
			return fmt.Errorf("%s does not listen on %s:\n%s", p.l.name, addr, text)
		}
	}
}

// kill ends the process at once. What it wrote so far stays in the machine's memory and is there when it starts again.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	_ = p.cmd.Wait()
	p.cmd = nil
}

// stop ends the process and removes its data.
func (p *process) stop() {
	if p == nil {
		return
	}
	p.kill()
	if !p.l.keep {
		_ = os.RemoveAll(p.dir)
	}
}

func cfgText(cfg map[string]string) string {
	var lines []string
	for k, v := range cfg {
		lines = append(lines, k+"="+v+"\n")
	}
	sort.Strings(lines)
	return strings.Join(lines, "")
}

// zookeeperLauncher runs Apache ZooKeeper from the jars in lib, fetching them with Maven if they are not there.
func zookeeperLauncher(lib, mode string, port int) (*launcher, error) {
	if _, err := os.Stat(filepath.Join(lib, "zookeeper-"+zookeeperVersion+".jar")); err != nil {
		abs, err := filepath.Abs(lib)
		if err != nil {
			return nil, err
		}
		mvn := exec.Command("mvn", "-q", "-B", "-f", "cmd/difftest/zookeeper.pom.xml", "dependency:copy-dependencies",
			"-DincludeScope=runtime", "-DoutputDirectory="+abs)
		if out, err := mvn.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("fetching Apache ZooKeeper %s with Maven: %w\n%s", zookeeperVersion, err, out)
		}
	}
	return &launcher{name: "zookeeper", port: port, mode: mode, command: func(cfgFile string, cfg map[string]string) *exec.Cmd {
		// What ZooKeeper reads only as a bare Java property cannot stand in its zoo.cfg.
		return exec.Command("java", "-Xmx1g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
			"-Dznode.container.checkIntervalMs="+cfg["znode.container.checkIntervalMs"],
			"-Dzookeeper.admin.enableServer=false", "-Dzookeeper.digest.enabled=false",
			"-cp", lib+string(os.PathListSeparator)+filepath.Join(lib, "*"), "org.apache.zookeeper.server.quorum.QuorumPeerMain", cfgFile)
	}}, nil
}

// holtLauncher runs Holt's binary.
func holtLauncher(binary, mode string, port int) *launcher {
	return &launcher{name: "holt", port: port, mode: mode, command: func(cfgFile string, _ map[string]string) *exec.Cmd {
		return exec.Command(binary, "server", cfgFile)
	}}
}
