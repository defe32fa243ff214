package main

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
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
	"import":  {"snapCount": "1000"},
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

// restarts says whether both servers are killed now and then.
func restarts(mode string) bool { return mode == "restart" || mode == modeImport }

// modeImport is the mode in which Holt goes on with what ZooKeeper has on its disk.
const modeImport = "import"

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

// jvm keeps ZooKeeper quick to start; its digest of the tree costs time and shows nowhere but in its log.
func jvm(mode string) []string {
	options := []string{"-Xmx1g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}
	if mode != modeImport {
		options = append(options, "-Dzookeeper.digest.enabled=false")
	}
	return options
}

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

// takeOver makes Holt, which is killed, go on with what a killed ZooKeeper left: every member has its files, one imports them. ZooKeeper's
// own digest has to agree.
func (s *side) takeOver(from *ensemble.Member) error {
	for _, m := range s.running.Members {
		for _, dir := range []string{"log", "image", "version-2"} {
			if err := os.RemoveAll(filepath.Join(m.Data(), dir)); err != nil {
				return err
			}
		}
		if err := os.CopyFS(filepath.Join(m.Data(), "version-2"), os.DirFS(filepath.Join(from.Data(), "version-2"))); err != nil {
			return err
		}
	}
	out, err := exec.Command(s.cfg.Binary, "import", s.running.Members[0].Config()).CombinedOutput()
	if err == nil && !bytes.Contains(out, []byte("ZooKeeper's digest of its tree is equal")) {
		err = errors.New("the digests were not compared")
	}
	if err != nil {
		return fmt.Errorf("holt import: %w\n%s", err, out)
	}
	return nil
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
