package config

import (
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Property is one entry of a properties file, with the line (from 1) on which it begins.
type Property struct {
	Key, Value string
	Line       int
}

// ParseProperties reads the format of java.util.Properties: "key=value", "key: value" or "key value"; '#' and '!' begin
// comments; a backslash at the end of a line joins it with the next, whose leading blanks are dropped; \t \n \r \f
// \uXXXX and backslash before any other character are escapes. Entries come in file order, repeated keys included.
// Unlike Java's it reads UTF-8. The only errors are a malformed \u escape, which Java refuses as well, and a NUL.
func ParseProperties(text string) ([]Property, error) {
	var properties []Property
	lines := splitLines(text)
	for i := 0; i < len(lines); {
		start := i
		line := trimBlanks(lines[i])
		i++
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		for endsInBackslash(line) {
			line = line[:len(line)-1]
			if i == len(lines) {
				break
			}
			line += trimBlanks(lines[i])
			i++
		}
		p, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", start+1, err)
		}
		p.Line = start + 1
		properties = append(properties, p)
	}
	return properties, nil
}

// splitLines cuts at \n, \r or \r\n.
func splitLines(text string) []string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	return strings.Split(strings.ReplaceAll(text, "\r", "\n"), "\n")
}

// trimBlanks drops what Java calls white space at the start of a line. Blanks at the end belong to the value.
func trimBlanks(line string) string { return strings.TrimLeft(line, " \t\f") }

// endsInBackslash says whether the line goes on: an odd number of backslashes, as a pair is an escaped one.
func endsInBackslash(line string) bool {
	n := len(line) - len(strings.TrimRight(line, `\`))
	return n%2 == 1
}

func parseLine(line string) (Property, error) {
	end := keyEnd(line)
	rest := trimBlanks(line[end:])
	if rest != "" && (rest[0] == '=' || rest[0] == ':') {
		rest = trimBlanks(rest[1:])
	}
	key, err := unescape(line[:end])
	if err != nil {
		return Property{}, err
	}
	value, err := unescape(rest)
	if err != nil {
		return Property{}, err
	}
	if strings.ContainsRune(key+value, 0) {
		return Property{}, fmt.Errorf("NUL in %q", key)
	}
	return Property{Key: key, Value: value}, nil
}

// keyEnd is the offset of the first separator or blank that no backslash protects.
func keyEnd(line string) int {
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '=', ':', ' ', '\t', '\f':
			return i
		}
	}
	return len(line)
}

func unescape(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 'f':
			b.WriteByte('\f')
		case 'u':
			r, size, err := unicodeEscape(s[i-1:])
			if err != nil {
				return "", err
			}
			b.WriteRune(r)
			i += size - 2
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), nil
}

// unicodeEscape reads the \uXXXX at the start of s, or two of them that make a surrogate pair; size is what it took.
func unicodeEscape(s string) (r rune, size int, err error) {
	unit, err := codeUnit(s)
	if err != nil {
		return 0, 0, err
	}
	if !utf16.IsSurrogate(unit) {
		return unit, 6, nil
	}
	if len(s) >= 12 && s[6] == '\\' && s[7] == 'u' {
		low, err := codeUnit(s[6:])
		if err != nil {
			return 0, 0, err
		}
		if r := utf16.DecodeRune(unit, low); r != utf8.RuneError {
			return r, 12, nil
		}
	}
	return utf8.RuneError, 6, nil
}

func codeUnit(s string) (rune, error) {
	if len(s) < 6 {
		return 0, fmt.Errorf("malformed escape %q: \\u takes four hexadecimal digits", s)
	}
	var unit rune
	for _, c := range []byte(s[2:6]) {
		switch {
		case '0' <= c && c <= '9':
			unit = unit<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			unit = unit<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, fmt.Errorf("malformed escape %q: \\u takes four hexadecimal digits", s[:6])
		}
	}
	return unit, nil
}
