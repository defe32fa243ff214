package cli

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"holt/bench"
)

var rewrite = flag.Bool("rewrite", false, "write the generated parts of docs/bench.md anew")

const docs = "../../docs/bench.md"

// The page's tables of workloads and flags come from the code: make docs writes them.
func TestDocsAreUpToDate(t *testing.T) {
	b, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	want := replaceBetween(t, string(b), "workloads", workloadsText())
	want = replaceBetween(t, want, "flags", flagsText())
	if want == string(b) {
		return
	}
	if !*rewrite {
		t.Fatalf("%s is not what the code says; make docs writes it anew", docs)
	}
	if err := os.WriteFile(docs, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

func replaceBetween(t *testing.T, page, name, text string) string {
	t.Helper()
	begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->\n"
	i, j := strings.Index(page, begin), strings.Index(page, end)
	if i < 0 || j < i {
		t.Fatalf("%s has no %q ... %q", docs, begin, end)
	}
	return page[:i+len(begin)] + text + page[j:]
}

func workloadsText() string {
	var b strings.Builder
	for _, k := range bench.Kinds() {
		loop := "closed loop"
		if k.Open {
			loop = "closed or open loop"
		}
		fmt.Fprintf(&b, "### %s: %s (%s)\n\n    %s\n\n%s\n\n", k.Name, k.Summary, loop, k.Example, k.Detail)
	}
	return b.String()
}

func flagsText() string {
	var b strings.Builder
	b.WriteString("| flag | |\n| --- | --- |\n")
	for _, o := range allOptions() {
		fmt.Fprintf(&b, "| `--%s` | %s |\n", strings.TrimSpace(o.name+" "+o.args), strings.ReplaceAll(o.help, "|", "\\|"))
	}
	return b.String()
}
