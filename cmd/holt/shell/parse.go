package shell

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"holt/netloop/wire"
)

// splitWords cuts a line as zkCli does: at blanks, except that a word which begins with a quote goes to the next quote
// of its kind. Quotes inside a word stay, so that JSON can be typed as it is; that is why this is not a shell's
// parser. Unlike zkCli an empty pair of quotes is an empty word, and a missing closing quote is an error.
func splitWords(line string) ([]string, error) {
	var words []string
	for {
		line = strings.TrimLeft(line, " \t\r\n")
		if line == "" {
			return words, nil
		}
		if quote := line[0]; quote == '"' || quote == '\'' {
			word, rest, ok := strings.Cut(line[1:], string(quote))
			if !ok {
				return nil, fmt.Errorf("no closing %c", quote)
			}
			words = append(words, word)
			line = rest
			continue
		}
		end := strings.IndexAny(line, " \t\r\n")
		if end < 0 {
			end = len(line)
		}
		words = append(words, line[:end])
		line = line[end:]
	}
}

// options are what stands behind a command's name: flags that were given, and the words between them.
type options struct {
	values map[string][]string // by flag name; flags without an argument have one empty value
	args   []string
}

func (o *options) has(name string) bool { return len(o.values[name]) > 0 }

func (o *options) last(name string) string {
	if v := o.values[name]; len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}

// number reads a flag's argument; it is absent when the flag was not given.
func (o *options) number(name string, absent int32) (int32, error) {
	if !o.has(name) {
		return absent, nil
	}
	n, err := strconv.ParseInt(o.last(name), 10, 32)
	if err != nil {
		return 0, usagef("-%s takes a number, not %q", name, o.last(name))
	}
	return int32(n), nil
}

// parseOptions reads flags anywhere between the words, as zkCli does. spec lists them, with a colon behind those that
// take an argument: "s v: add:". One-letter flags may be joined (-sw). "--" ends them; -1 is a word.
func parseOptions(words []string, spec string) (options, error) {
	o := options{values: map[string][]string{}}
	known := strings.Fields(spec)
	for i := 0; i < len(words); i++ {
		word := words[i]
		name := strings.TrimPrefix(word, "-")
		_, number := strconv.ParseFloat(word, 64)
		switch {
		case word == "--":
			o.args = append(o.args, words[i+1:]...)
			return o, nil
		case name == word || name == "" || number == nil:
			o.args = append(o.args, word)
		case slices.Contains(known, name):
			o.values[name] = append(o.values[name], "")
		case slices.Contains(known, name+":"):
			if i++; i == len(words) {
				return o, usagef("-%s takes an argument", name)
			}
			o.values[name] = append(o.values[name], words[i])
		case joined(name, known):
			for _, letter := range name {
				o.values[string(letter)] = append(o.values[string(letter)], "")
			}
		default:
			return o, usagef("no option %s", word)
		}
	}
	return o, nil
}

func joined(name string, known []string) bool {
	for _, letter := range name {
		if !slices.Contains(known, string(letter)) {
			return false
		}
	}
	return true
}

// permLetters are in the order in which zkCli prints them.
var permLetters = []struct {
	letter rune
	bit    int32
}{{'c', wire.PermCreate}, {'d', wire.PermDelete}, {'r', wire.PermRead}, {'w', wire.PermWrite}, {'a', wire.PermAdmin}}

// parseACL reads scheme:id:perms, several with commas between. The id may hold colons.
func parseACL(text string) (wire.ACLs, error) {
	var entries []wire.ACL
	for entry := range strings.SplitSeq(text, ",") {
		entry = strings.TrimSpace(entry)
		first, last := strings.Index(entry, ":"), strings.LastIndex(entry, ":")
		if first < 0 || first == last {
			return wire.ACLs{}, fmt.Errorf("%s does not have the form scheme:id:perm", entry)
		}
		perms, err := parsePerms(entry[last+1:])
		if err != nil {
			return wire.ACLs{}, err
		}
		entries = append(entries, wire.ACL{Perms: perms, Scheme: []byte(entry[:first]), ID: []byte(entry[first+1 : last])})
	}
	return wire.MakeACLs(entries...), nil
}

func parsePerms(text string) (perms int32, err error) {
next:
	for _, letter := range text {
		for _, p := range permLetters {
			if p.letter == letter {
				perms |= p.bit
				continue next
			}
		}
		return 0, fmt.Errorf("Unknown perm type: %c", letter) //nolint:staticcheck // ZooKeeper's words
	}
	return perms, nil
}

func formatPerms(perms int32) string {
	var b strings.Builder
	for _, p := range permLetters {
		if perms&p.bit != 0 {
			b.WriteRune(p.letter)
		}
	}
	return b.String()
}

func parseBase64(text string) ([]byte, error) {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("the data is not base64")
	}
	return data, nil
}

// splitServer reads the -server argument: hosts with commas between, then a chroot. 2181 is the default port.
func splitServer(server string) (hosts []string, chroot string, err error) {
	list, chroot, rooted := strings.Cut(server, "/")
	if chroot = strings.Trim(chroot, "/"); rooted && chroot != "" {
		chroot = "/" + chroot
	}
	for host := range strings.SplitSeq(list, ",") {
		host = strings.TrimSpace(host)
		switch colon := strings.LastIndex(host, ":"); {
		case host == "":
			return nil, "", fmt.Errorf("%q names no host", server)
		case colon < 0 || strings.HasSuffix(host, "]"):
			host += ":2181"
		case strings.Count(host, ":") > 1 && host[0] != '[':
			host = "[" + host + "]:2181"
		case colon == 0:
			host = "127.0.0.1" + host
		}
		hosts = append(hosts, host)
	}
	return hosts, chroot, nil
}
