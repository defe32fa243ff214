package config

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// Warning is something an operator should know that does not keep the server from starting.
type Warning struct {
	Origin string // file:line, a variable or a flag
	Text   string
}

// Setting is one key with a value, from the command line.
type Setting struct{ Name, Value, Origin string }

// Sources are the places a configuration comes from, weakest first.
type Sources struct {
	File     string    // a zoo.cfg; "" = none
	Environ  []string  // as os.Environ gives it
	Settings []Setting // flags
}

// Load reads all sources in the order of C1. The error joins everything that was wrong; warnings come even then.
func Load(s Sources) (*Config, []Warning, error) {
	l := loader{c: Default()}
	if s.File != "" {
		l.c.File = s.File
		l.file(s.File)
	}
	l.environment(s.Environ)
	for _, setting := range s.Settings {
		l.assign(setting.Name, setting.Value, setting.Origin)
	}
	return l.result()
}

// result draws the conclusions from all that was assigned.
func (l *loader) result() (*Config, []Warning, error) {
	l.members()
	if len(l.errs) == 0 {
		l.c.finish()
		l.check()
	}
	return l.c, l.warnings, errors.Join(l.errs...)
}

type loader struct {
	c        *Config
	warnings []Warning
	errs     []error
}

func (l *loader) fail(origin, format string, args ...any) {
	l.errs = append(l.errs, fmt.Errorf(origin+": "+format, args...))
}

func (l *loader) warn(origin, format string, args ...any) {
	l.warnings = append(l.warnings, Warning{origin, fmt.Sprintf(format, args...)})
}

// assign gives one key its value.
func (l *loader) assign(name, value, origin string) {
	value = strings.TrimSpace(value) // as QuorumPeerConfig does
	key := Lookup(name)
	if key == nil {
		l.warn(origin, "unknown key %s is ignored%s", name, didYouMean(name))
		return
	}
	name = strings.TrimPrefix(name, "zookeeper.")
	switch {
	case strings.HasPrefix(name, "server."):
		l.member(name, value, origin)
		return
	case name == "dynamicConfigFile":
		l.dynamicFile(value, origin)
		return
	}
	var note noteError
	err := key.set(l.c, value)
	switch {
	case errors.As(err, &note):
		l.warn(origin, "%s=%s has no effect: %s", name, value, note)
	case err != nil && key.secret:
		l.fail(origin, "%s: %w", name, err)
	case err != nil:
		hint := ""
		if key.Takes != "" && key.Kind == Used {
			hint = " (it takes " + key.Takes + ")"
		}
		l.fail(origin, "%s=%s: %w%s", name, value, err, hint)
	default:
		l.c.origins[key.Name] = origin
	}
}

func (l *loader) file(name string) {
	text, err := os.ReadFile(name)
	if err != nil {
		l.errs = append(l.errs, fmt.Errorf("reading the configuration: %w", err))
		return
	}
	l.text(name, string(text))
}

func (l *loader) text(name, text string) {
	properties, err := ParseProperties(text)
	if err != nil {
		l.fail(name, "%w", err)
		return
	}
	l.separate(name, properties)
	seen := map[string]int{}
	for _, p := range properties {
		origin := fmt.Sprintf("%s:%d", name, p.Line)
		if first, ok := seen[p.Key]; ok {
			l.warn(origin, "%s stands in line %d as well; the last one counts", p.Key, first)
		}
		seen[p.Key] = p.Line
		l.assign(p.Key, p.Value, origin)
	}
}

// serverIDMaxTTL is the largest server number with TTL nodes.
const serverIDMaxTTL = 254

// check looks at values that are right one by one and wrong together.
func (l *loader) check() {
	c := l.c
	if c.Sessions.TimeoutMsMin > c.Sessions.TimeoutMsMax {
		l.fail(c.origin("minSessionTimeout", "maxSessionTimeout", "tickTime"),
			"minSessionTimeout=%d is above maxSessionTimeout=%d; the defaults are 2 and 20 ticks of %d ms",
			c.Sessions.TimeoutMsMin, c.Sessions.TimeoutMsMax, c.Sessions.TickMs)
	}
	if c.given("clientPortAddress") && !c.given("clientPort", "holt.clientAddr") {
		l.fail(c.origin("clientPortAddress"), "clientPortAddress is set but clientPort is not")
	}
	if c.File != "" && !c.given("dataDir") {
		l.fail(c.File, "dataDir is missing; set it to the directory that is to hold the data")
	}
	if c.File != "" && !c.given("clientPort", "holt.clientAddr") {
		l.warn(c.File, "clientPort is missing: clients are served on %s", c.Client.Addr())
	}
	if c.Admin.Enabled && c.Client.Port != 0 && c.Admin.Port == c.Client.Port && overlap(c.Admin.Host, c.Client.Host) {
		l.fail(c.origin("holt.adminAddr", "admin.serverPort", "clientPort", "holt.clientAddr"),
			"clients and the admin server cannot share port %d", c.Client.Port)
	}
	if c.Tree.TTLNodes && c.ID > serverIDMaxTTL { // EphemeralType.validateServerId
		l.fail(c.origin("holt.id", serverKey), "server number %d is too large: with TTL nodes (extendedTypesEnabled) %d is the largest, as session ids of 255 look like their marks",
			c.ID, serverIDMaxTTL)
	}
	l.auth()
	if _, unknown := c.Admin.Whitelist(); len(unknown) > 0 {
		l.warn(c.origin("4lw.commands.whitelist"), "4lw.commands.whitelist: there are no words %s", strings.Join(unknown, ", "))
	}
	if !c.WAL.Sync {
		l.warn(c.origin("forceSync"), "forceSync=no: writes are acknowledged before they are on the disk, and are lost when the machine dies")
	}
	if c.Tree.SkipACL {
		l.warn(c.origin("skipACL"), "skipACL=yes: everybody may read and write everything")
	}
	if c.Admin.Enabled && c.given("admin.serverPort") && !c.given("admin.serverAddress", "holt.adminAddr") {
		l.warn(c.origin("admin.serverPort"), "the admin server listens on loopback only; admin.serverAddress=0.0.0.0 opens it as ZooKeeper would")
	}
}

// overlap says whether two hosts may be one interface.
func overlap(a, b string) bool {
	all := func(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }
	return a == b || all(a) || all(b)
}

// finish computes the defaults that hang on other values.
func (c *Config) finish() {
	if c.Sessions.TimeoutMsMin == -1 {
		c.Sessions.TimeoutMsMin = 2 * c.Sessions.TickMs
	}
	if c.Sessions.TimeoutMsMax == -1 {
		c.Sessions.TimeoutMsMax = 20 * c.Sessions.TickMs
	}
	if c.Data.LogDir == "" {
		c.Data.LogDir = c.Data.Dir
	}
}

// given says whether any of the keys was set by anything but a default.
func (c *Config) given(keys ...string) bool {
	for _, key := range keys {
		if c.origins[key] != "" {
			return true
		}
	}
	return false
}

// origin is where the first of the keys that were set was set.
func (c *Config) origin(keys ...string) string {
	for _, key := range keys {
		if o := c.origins[key]; o != "" {
			return o
		}
	}
	return "configuration"
}

// Lookup finds the key that a name stands for, with or without "zookeeper."; nil if there is none.
func Lookup(name string) *Key {
	name = strings.TrimPrefix(name, "zookeeper.")
	var found *Key
	for i := range Keys {
		key := &Keys[i]
		if key.Name == name {
			return key
		}
		prefix, wild := strings.CutSuffix(key.Name, "*")
		if wild && strings.HasPrefix(name, prefix) && (found == nil || len(key.Name) > len(found.Name)) {
			found = key
		}
	}
	return found
}

// Format prints the effective configuration as a file that says the same, each line with its origin.
func (c *Config) Format() string {
	var b strings.Builder
	for i := range usedKeys {
		key := &usedKeys[i]
		value := key.show(c)
		if key.Name == serverKey || key.Name == dynamicConfigFile.Name && value == "" {
			continue // members come below
		}
		if key.secret && value != "" {
			value = "(not shown)"
		}
		origin := c.origins[key.Name]
		switch {
		case origin == "" && key.show(c) == key.Default():
			origin = "default"
		case origin == "":
			origin = "follows from other keys"
		}
		fmt.Fprintf(&b, "%-50s # %s\n", key.Name+"="+value, origin)
	}
	for _, m := range c.Members {
		line := m.String()
		if c.Peers.DynamicFile != "" {
			line = "# " + line
		}
		fmt.Fprintf(&b, "%-50s # %s\n", line, c.origins[fmt.Sprintf("server.%d", m.ID)])
	}
	return b.String()
}
