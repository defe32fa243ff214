package config

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// testdata/odd.properties.java is what java.util.Properties (OpenJDK 17) reads from testdata/odd.properties.
func TestProperties_AsJavaReadsThem(t *testing.T) {
	text, err := os.ReadFile("testdata/odd.properties")
	if err != nil {
		t.Fatal(err)
	}
	java, err := os.ReadFile("testdata/odd.properties.java")
	if err != nil {
		t.Fatal(err)
	}
	properties, err := ParseProperties(string(text))
	if err != nil {
		t.Fatal(err)
	}
	last := map[string]string{}
	for _, p := range properties {
		last[p.Key] = p.Value
	}
	var got []string
	for key, value := range last {
		got = append(got, fmt.Sprintf("%s %s", quote(key), quote(value)))
	}
	slices.Sort(got)
	want := strings.Split(strings.TrimSpace(string(java)), "\n")
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// quote writes a string as the Java program that made the expected file did.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		case r < 32 || r > 126:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func TestProperties_Lines(t *testing.T) {
	properties, err := ParseProperties("\n# c\na=1\n\nb=\\\n\\\n2\nc=3\n")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(properties), "[{a 1 3} {b 2 5} {c 3 8}]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestProperties_Malformed(t *testing.T) {
	for _, text := range []string{`a=\u`, `a=\u12g4`, `\u00=b`, "a=\x00"} {
		if p, err := ParseProperties("x=1\n" + text); err == nil || !strings.Contains(err.Error(), "line 2: ") {
			t.Errorf("%q: %v, %v", text, p, err)
		}
	}
}

func FuzzProperties(f *testing.F) {
	f.Add("a=b\\\n c\nd:e\n#f\ng \\u0041")
	f.Fuzz(func(t *testing.T, text string) {
		properties, err := ParseProperties(text)
		if err != nil {
			return
		}
		line := 0
		for _, p := range properties {
			if p.Line <= line || p.Line > strings.Count(text, "\n")+strings.Count(text, "\r")+1 {
				t.Fatalf("lines do not ascend: %+v", properties)
			}
			line = p.Line
		}
	})
}
