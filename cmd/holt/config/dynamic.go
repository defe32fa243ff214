package config

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"holt/tree"
)

var dynamicVersion = regexp.MustCompile(`\.[0-9a-f]+$`)

// KeepDynamicFile writes the members to <zoo.cfg>.dynamic.<version> and has zoo.cfg name that file instead of the server lines
// it may have, so that a restart begins with what the ensemble agreed on (QuorumPeer.setQuorumVerifier, QuorumPeerConfig.editStaticConfig).
// All else in zoo.cfg stays as it is; its first version is kept as zoo.cfg.bak. Without a file there is nothing to do.
func (c *Config) KeepDynamicFile(e *tree.Ensemble) error {
	if c.File == "" {
		return nil
	}
	base := c.File + ".dynamic"
	if c.Peers.DynamicFile != "" {
		base = dynamicVersion.ReplaceAllString(c.Peers.DynamicFile, "")
	}
	name, err := filepath.Abs(fmt.Sprintf("%s.%x", base, uint64(e.Version)))
	if err != nil {
		return err
	}
	old, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	var lines strings.Builder
	for _, m := range e.Members {
		lines.WriteString(m.String() + "\n")
	}
	if err := replaceFile(name, []byte(lines.String())); err != nil {
		return err
	}
	self, _ := e.Member(tree.NodeOf(c.ID))
	text, changed, err := pointTo(string(old), name, self.ClientAddr)
	if err != nil || !changed {
		return err
	}
	if err := keepFile(c.File+".bak", old); err != nil {
		return err
	}
	c.Peers.DynamicFile = name
	return replaceFile(c.File, []byte(text))
}

// pointTo returns a zoo.cfg without server lines, with the name of the dynamic file. The client port goes too if the own server
// line has the same one.
func pointTo(text, dynamic, clientAddr string) (_ string, changed bool, err error) {
	properties, err := ParseProperties(text)
	if err != nil {
		return "", false, err
	}
	_, clientPort, _ := net.SplitHostPort(clientAddr)
	drop := map[int]bool{}
	for _, p := range properties {
		switch {
		case p.Key == "dynamicConfigFile" && p.Value == dynamic:
			return text, false, nil
		case strings.HasPrefix(p.Key, "server."), p.Key == "dynamicConfigFile", p.Key == "peerType",
			(p.Key == "clientPort" || p.Key == "clientPortAddress") && clientPort != "": // the line says it now
			drop[p.Line] = true
		}
	}
	var b strings.Builder
	dropping, continued, n := false, false, 0
	for line := range strings.Lines(text) {
		n++
		comment := false
		if !continued {
			dropping = drop[n]
			start := trimBlanks(line)
			comment = strings.HasPrefix(start, "#") || strings.HasPrefix(start, "!")
		}
		continued = !comment && endsInBackslash(strings.TrimRight(line, "\r\n"))
		if !dropping {
			b.WriteString(line)
		}
	}
	if s := b.String(); s != "" && !strings.HasSuffix(s, "\n") {
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "dynamicConfigFile=%s\n", escapeValue(dynamic))
	return b.String(), true, nil
}

// escapeValue protects backslashes, which properties files give a meaning.
func escapeValue(s string) string { return strings.ReplaceAll(s, `\`, `\\`) }

// keepFile writes a file that is not there yet.
func keepFile(name string, text []byte) error {
	if _, err := os.Stat(name); err == nil || !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return replaceFile(name, text)
}

// replaceFile writes a file beside the one it replaces, durably, and renames it.
func replaceFile(name string, text []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".tmp*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), name); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
