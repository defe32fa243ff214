package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"unicode"
)

// Kind says what Holt does with a key.
type Kind int

const (
	Used     Kind = iota // it sets a field of Config
	Accepted             // valid, and nothing in Holt corresponds or needs to: Doc says why
	Noted                // as Accepted, but an operator who set it should hear why: a warning when it is on
)

func (k Kind) String() string { return [...]string{"used", "accepted", "noted"}[k] }

// Key is one thing that can be configured.
type Key struct {
	Name  string   // as ZooKeeper spells it, without "zookeeper."; a trailing * stands for any ending
	Kind  Kind     // what Holt does with it
	Takes string   // what values are possible, in words
	Doc   string   // what it means for Holt; for keys that are not used, what stands in its place
	Env   []string // names of the ZooKeeper image's environment variables that set it, if any

	set    func(c *Config, value string) error
	show   func(c *Config) string
	isBool bool
	secret bool
}

// flagName is the key as a flag: admin.serverPort is --admin-server-port, holt.adminAddr is --admin-addr.
func (k *Key) flagName() string { return strings.ToLower(strings.ReplaceAll(snake(k.Name), "_", "-")) }

// envName is the key as an environment variable: admin.serverPort is HOLT_ADMIN_SERVER_PORT.
func (k *Key) envName() string { return "HOLT_" + strings.ToUpper(snake(k.Name)) }

// Flag is the command line's spelling, "" when there is none.
func (k *Key) Flag() string {
	if k.Kind != Used {
		return ""
	}
	if k.Name == serverKey {
		return "--server"
	}
	return "--" + k.flagName()
}

// Variable is the environment's spelling, "" when there is none.
func (k *Key) Variable() string {
	if strings.HasSuffix(k.Name, "*") {
		return ""
	}
	return k.envName()
}

// Default shows the value that a server which was told nothing runs with; "" for keys that are not used.
func (k *Key) Default() string {
	if k.show == nil {
		return ""
	}
	c := Default()
	c.finish()
	return k.show(c)
}

// snake cuts a key into words at dots and at the humps of camel case. "holt." is dropped: flags and variables are
// Holt's own anyway.
func snake(name string) string {
	name = strings.ReplaceAll(strings.TrimPrefix(name, "holt."), ".", "_")
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		begins := unicode.IsUpper(r) && i > 0 && runes[i-1] != '_' &&
			(!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
		if begins {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// The constructors below are how Keys is written: one line says name, what it takes, and where it goes.

func number(name, doc string, least, most int, field func(*Config) *int) Key {
	takes := fmt.Sprintf("a number from %d to %d", least, most)
	if most == math.MaxInt32 {
		takes = fmt.Sprintf("a number, at least %d", least)
	}
	return Key{
		Name: name, Doc: doc, Takes: takes,
		set: func(c *Config, value string) error {
			n, err := parseNumber(value, least, most)
			if err == nil {
				*field(c) = n
			}
			return err
		},
		show: func(c *Config) string { return strconv.Itoa(*field(c)) },
	}
}

func boolean(name, doc string, field func(*Config) *bool) Key {
	return Key{
		Name: name, Doc: doc, Takes: "true or false", isBool: true,
		set: func(c *Config, value string) error {
			on, err := parseBool(value)
			if err == nil {
				*field(c) = on
			}
			return err
		},
		show: func(c *Config) string { return strconv.FormatBool(*field(c)) },
	}
}

func text(name, doc, takes string, field func(*Config) *string, check func(string) error) Key {
	return Key{
		Name: name, Doc: doc, Takes: takes,
		set: func(c *Config, value string) error {
			if err := check(value); err != nil {
				return err
			}
			*field(c) = value
			return nil
		},
		show: func(c *Config) string { return *field(c) },
	}
}

func (k Key) env(names ...string) Key {
	k.Env = names
	return k
}

// accepted is a key that changes nothing; its value is checked all the same, so that a typing error shows.
func accepted(name, doc string, check func(string) error) Key {
	return Key{Name: name, Kind: Accepted, Doc: doc, set: func(_ *Config, value string) error { return check(value) }}
}

// shown is an accepted number that is kept to be shown to operators.
func shown(name, doc string, field func(*Config) *int) Key {
	k := number(name, doc, 0, math.MaxInt32, field)
	return Key{Name: name, Kind: Accepted, Doc: doc, set: k.set}
}

// noted is an accepted key whose value, unless harmless, deserves a word at start.
func noted(name, doc string, check func(string) error, harmless ...string) Key {
	k := accepted(name, doc, check)
	k.Kind = Noted
	k.set = func(c *Config, value string) error {
		if err := check(value); err != nil {
			return err
		}
		for _, h := range harmless {
			if strings.EqualFold(value, h) {
				return nil
			}
		}
		return noteError(doc)
	}
	return k
}

// noteError is how a Key's set says that the value stands but means little here; it becomes a warning.
type noteError string

func (n noteError) Error() string { return string(n) }

// refused is a key that would be unsafe to leave out: only the harmless values pass.
func refused(name, doc string, harmless ...string) Key {
	takes := strings.Join(harmless, ", ") + "; anything else is an error"
	if len(harmless) == 0 {
		takes = "nothing: it is an error"
	}
	return Key{
		Name: name, Kind: Accepted, Doc: doc, Takes: takes,
		set: func(_ *Config, value string) error {
			for _, h := range harmless {
				if strings.EqualFold(value, h) {
					return nil
				}
			}
			return errors.New(doc)
		},
	}
}

func parseNumber(value string, least, most int) (int, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("out of range: it takes a number from %d to %d", least, most)
	case err != nil:
		return 0, errors.New("not a whole number")
	case n < int64(least):
		return 0, fmt.Errorf("too small: it takes at least %d", least)
	case n > int64(most):
		return 0, fmt.Errorf("too large: it takes at most %d", most)
	}
	return int(n), nil
}

func parseBool(value string) (bool, error) {
	switch strings.ToLower(value) {
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0":
		return false, nil
	}
	return false, errors.New("neither true nor false")
}

// parseHostPort reads host:port, :port or [ipv6]:port.
func parseHostPort(value string, portLeast int) (host string, port int, err error) {
	host, portText, err := net.SplitHostPort(value)
	if err != nil {
		return "", 0, errors.New("not host:port (IPv6 addresses stand in brackets)")
	}
	if port, err = parseNumber(portText, portLeast, 65535); err != nil {
		return "", 0, fmt.Errorf("port %q: %w", portText, err)
	}
	return host, port, checkHost(host)
}

// checkHost refuses what cannot be a host name or an address; "" means all interfaces.
func checkHost(host string) error {
	if strings.ContainsAny(host, " \t/,;|\"'\n\r") {
		return fmt.Errorf("%q is not a host name or an address", host)
	}
	return nil
}

// Checks for keys that are accepted only.

func anyText(string) error { return nil }

func anyBool(value string) error {
	_, err := parseBool(value)
	return err
}

func anyNumber(value string) error {
	_, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return errors.New("not a number")
	}
	return nil
}

// anyPeriod is a number, alone or with one of the units that ZooKeeper 3.10 takes.
func anyPeriod(value string) error {
	for _, unit := range []string{"ms", "s", "m", "h", "d"} {
		if digits, ok := strings.CutSuffix(value, unit); ok {
			value = digits
			break
		}
	}
	return atLeast(math.MinInt32)(value)
}

func atLeast(least int) func(string) error {
	return func(value string) error {
		_, err := parseNumber(value, least, math.MaxInt32)
		return err
	}
}

func oneOf(values ...string) func(string) error {
	return func(value string) error {
		for _, v := range values {
			if strings.EqualFold(v, value) {
				return nil
			}
		}
		return fmt.Errorf("it takes one of %s", strings.Join(values, ", "))
	}
}
