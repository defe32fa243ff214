package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// Register gives flags one flag per used key; parsing adds to s.Settings, in the order of the command line.
func (s *Sources) Register(flags *flag.FlagSet) {
	for i := range usedKeys {
		key := &usedKeys[i]
		if key.Name == serverKey {
			flags.Func("server", key.Doc, s.server)
			continue
		}
		flags.Var(&keyFlag{key, s}, key.flagName(), key.Doc)
	}
}

// server takes one member: --server 1=host:port:port;clientPort.
func (s *Sources) server(value string) error {
	id, line, ok := strings.Cut(strings.TrimPrefix(value, "server."), "=")
	if !ok {
		return errors.New("it takes N=host:port:port[:role][;[clientHost:]clientPort]")
	}
	s.Settings = append(s.Settings, Setting{"server." + id, line, "--server"})
	return nil
}

// keyFlag makes a key a flag.Value.
type keyFlag struct {
	key     *Key
	sources *Sources
}

func (f *keyFlag) String() string {
	if f.key == nil { // package flag asks a zero value
		return ""
	}
	return f.key.Default()
}

func (f *keyFlag) Set(value string) error {
	f.sources.Settings = append(f.sources.Settings, Setting{f.key.Name, value, f.key.Flag()})
	return nil
}

// IsBoolFlag lets --skip-acl stand for --skip-acl=true.
func (f *keyFlag) IsBoolFlag() bool { return f.key.isBool }

// PrintFlags lists the flags of the used keys with what they take and their defaults.
func PrintFlags(w io.Writer) {
	for i := range usedKeys {
		key := &usedKeys[i]
		line := "  " + key.Flag()
		if value := key.Default(); value != "" {
			line += "=" + value
		}
		fmt.Fprintf(w, "%s\n%s\n", line, wrap(strings.ReplaceAll(key.Doc, "`", "")+" Takes "+key.Takes+".", "      ", 100))
	}
}

// wrap breaks text at blanks, so that lines are at most width long, each with the indent before it.
func wrap(text, indent string, width int) string {
	var b strings.Builder
	line := indent
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > width && line != indent {
			b.WriteString(line + "\n")
			line = indent
		}
		if line != indent {
			line += " "
		}
		line += word
	}
	return b.String() + line
}
