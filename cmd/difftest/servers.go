package main

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"maps"
	"net"
	"os"
	"sort"
	"strings"

	"holt/cmd/internal/ensemble"
)

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
func settings(mode string) map[string]string {
	cfg := map[string]string{
		"tickTime":                        "2000",
		"minSessionTimeout":               "600000",
		"maxSessionTimeout":               "3600000",
		"forceSync":                       "no",
		"preAllocSize":                    "1024",
		"snapCount":                       "10000000",
		"reconfigEnabled":                 "true",
		"extendedTypesEnabled":            "true",
		"globalOutstandingLimit":          "100000",
		"znode.container.checkIntervalMs": "3600000",
		"DigestAuthenticationProvider.superDigest": digestOf(superPassword),
	}
	maps.Copy(cfg, modes[mode])
	return cfg
}

// jvm keeps ZooKeeper quick to start; its digest of the tree costs time and shows nowhere.
var jvm = []string{"-Xmx1g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dzookeeper.digest.enabled=false"}

// freePorts finds n ports in a row of this machine that nobody uses.
func freePorts(n int) (first int, err error) {
	const tries = 20
	for range tries {
		if first, err = freeRow(n); err == nil {
			return first, nil
		}
	}
	return 0, fmt.Errorf("looking for %d free ports: %w", n, err)
}

func freeRow(n int) (first int, err error) {
	port := 0 // any
	for range n {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return 0, err
		}
		defer l.Close()
		if first == 0 {
			first = l.Addr().(*net.TCPAddr).Port
			port = first
		}
		port++
	}
	return first, nil
}

// side is one of the servers compared, when difftest starts it: a server that stands alone or an ensemble.
type side struct {
	cfg     ensemble.Config
	keep    bool // leave data and logs for whoever looks
	running *ensemble.Ensemble
}

// start starts servers with empty data directories.
func (s *side) start() (err error) {
	if s.cfg.Dir, err = os.MkdirTemp("", "holt-difftest-"); err != nil {
		return err
	}
	s.running, err = ensemble.Start(context.Background(), s.cfg)
	return err
}

// again kills the servers and starts them on what they left.
func (s *side) again() error {
	s.running.Kill()
	return s.running.Start()
}

// stop ends the servers and removes their data.
func (s *side) stop() {
	if s == nil || s.running == nil {
		return
	}
	s.running.Kill()
	s.running = nil
	if !s.keep {
		_ = os.RemoveAll(s.cfg.Dir)
	}
}
