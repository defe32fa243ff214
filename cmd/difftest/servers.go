package main

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"sort"
	"strings"
	"time"

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

// side is one of the servers compared, when difftest starts it: a server that stands alone or an ensemble.
type side struct {
	cfg     ensemble.Config
	at      string // the role of the member to talk to
	keep    bool   // leave data and logs for whoever looks
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

// addr is the client address of the member to talk to.
func (s *side) addr() (string, error) {
	if s.cfg.Members == 1 {
		return s.running.Members[0].Addr(), nil
	}
	m, err := s.running.In(s.at, rolePatience)
	if err != nil {
		return "", fmt.Errorf("%s: %w", s.cfg.Kind, err)
	}
	return m.Addr(), nil
}

const rolePatience = 30 * time.Second

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
