package main

import (
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// junitSuite is the part of JUnit's XML report that JUnit's console and pytest both write.
type junitSuite struct {
	Suites []junitSuite `xml:"testsuite"`
	Cases  []struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Failure *junitFailure `xml:"failure"`
		Error   *junitFailure `xml:"error"`
		Skipped *struct{}     `xml:"skipped"`
	} `xml:"testcase"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// readReports reads the TEST-*.xml of a unit.
func readReports(dir string, u unit) ([]result, error) {
	files, err := filepath.Glob(filepath.Join(dir, "TEST-*.xml"))
	if err != nil {
		return nil, err
	}
	var got []result
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return got, err
		}
		results, err := parseReport(content, u)
		if err != nil {
			return got, fmt.Errorf("%s: %w", file, err)
		}
		got = append(got, results...)
	}
	if len(got) == 0 {
		return nil, errors.New("no test ran")
	}
	return got, nil
}

func parseReport(content []byte, u unit) ([]result, error) {
	var root junitSuite
	// JUnit writes control characters of messages as they are, which XML does not allow.
	clean := strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' && r != '\r' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(string(content), "?"))
	decoder := xml.NewDecoder(strings.NewReader(clean))
	decoder.Strict = false
	if err := decoder.Decode(&root); err != nil {
		return nil, err
	}
	var got []result
	for _, s := range append(root.Suites, root) {
		for _, c := range s.Cases {
			r := result{unit: u, test: testName(u, c.Class, c.Name)}
			failure := cmp.Or(c.Failure, c.Error)
			switch {
			case failure != nil:
				r.outcome, r.message = failed, firstLine(cmp.Or(failure.Message, failure.Text))
			case c.Skipped != nil:
				r.outcome = skipped
			}
			got = append(got, r)
		}
	}
	return got, nil
}

// testName is Class.test for JUnit, which adds (), and module.Class.test for pytest, which names the module as it sees fit.
func testName(u unit, class, name string) string {
	if u.suite != "kazoo" {
		return class + "." + strings.Replace(name, "()", "", 1)
	}
	class = class[strings.LastIndexByte(class, '.')+1:]
	if class == "" || class == u.name {
		return u.name + "." + name
	}
	return u.name + "." + class + "." + name
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	if len(line) > 240 {
		line = line[:240] + "..."
	}
	return line
}

// reasons maps "suite test" to why the test is an exception. A name without a test covers all of its unit.
type reasons map[string]string

// readReasons reads lists; one that is not there is empty.
func readReasons(paths ...string) (reasons, error) {
	all := reasons{}
	for _, path := range paths {
		lines, err := readWords(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, words := range lines {
			if len(words) < 3 {
				return nil, fmt.Errorf("%s: %q: a line is suite, test and reason", path, strings.Join(words, " "))
			}
			all[words[0]+" "+words[1]] = strings.Join(words[2:], " ")
		}
	}
	return all, nil
}

func (r reasons) has(suite, test string) bool { return r[suite+" "+test] != "" }

type counts struct{ passed, failed, skipped int }

func count(results []result) counts {
	var c counts
	for _, r := range results {
		switch r.outcome {
		case passed:
			c.passed++
		case failed:
			c.failed++
		case skipped:
			c.skipped++
		}
	}
	return c
}

// report is the comparison of two servers over the suites.
type report struct {
	cfg        Config
	results    []result
	different  []result          // fail on Holt, do not fail on ZooKeeper, no exception names them
	excepted   []result          // the same, named in exceptions.txt
	oracle     []result          // fail on ZooKeeper
	unsteady   []result          // failed, then passed
	unneeded   []string          // exceptions whose test passed on Holt
	exceptions map[string]string // reasons by "suite test"
}

func compare(cfg Config, results []result, exceptions reasons) *report {
	rep := &report{cfg: cfg, results: results, exceptions: exceptions}
	failsThere := map[string]bool{}
	for _, r := range results {
		if r.unit.server == "zookeeper" && r.outcome == failed {
			failsThere[r.unit.suite+" "+r.test] = true
			rep.oracle = append(rep.oracle, r)
		}
		if r.again {
			rep.unsteady = append(rep.unsteady, r)
		}
	}
	for _, r := range results {
		if r.unit.server != "holt" {
			continue
		}
		key := r.unit.suite + " " + r.test
		switch {
		case r.outcome == failed && exceptions.has(r.unit.suite, r.test):
			rep.excepted = append(rep.excepted, r)
		case r.outcome == failed && !failsThere[key]:
			rep.different = append(rep.different, r)
		case r.outcome == passed && exceptions.has(r.unit.suite, r.test):
			rep.unneeded = append(rep.unneeded, key)
		}
	}
	return rep
}

// err is errDifferent when Holt fails what ZooKeeper passes. A unit that ZooKeeper left without a report is an error of its own:
// nothing was compared.
func (rep *report) err() error {
	if len(rep.different) > 0 {
		return errDifferent
	}
	for _, r := range rep.oracle {
		if r.test == r.unit.name {
			return fmt.Errorf("%s: %s", r.unit, r.message)
		}
	}
	return nil
}

func (rep *report) print(w io.Writer, logs string, took time.Duration) {
	fmt.Fprintln(w)
	rep.list(w, "Fail on ZooKeeper as well, so they say nothing", rep.oracle, func(r result) string { return r.message })
	rep.list(w, "Unsteady: failed, and passed when run again", rep.unsteady, func(r result) string { return r.message })
	rep.list(w, "Excepted: fail on Holt for a known reason", rep.excepted, func(r result) string {
		return rep.exceptions[r.unit.suite+" "+r.test]
	})
	for _, key := range rep.unneeded {
		fmt.Fprintf(w, "Exception no longer needed: %s passes on Holt\n\n", key)
	}
	rep.table(w)
	fmt.Fprintf(w, "%s; logs in %s/<server>/<suite>/<unit>\n", took.Round(time.Second), logs)
	if len(rep.different) == 0 {
		return
	}
	rep.list(w, "\nFAILED: pass on ZooKeeper, fail on Holt, not in exceptions.txt", rep.different,
		func(r result) string { return r.message })
}

func (rep *report) list(w io.Writer, title string, results []result, say func(result) string) {
	if len(results) == 0 {
		return
	}
	fmt.Fprintf(w, "%s (%d):\n", title, len(results))
	slices.SortStableFunc(results, func(a, b result) int { return cmp.Compare(a.unit.server+a.test, b.unit.server+b.test) })
	for _, r := range results {
		fmt.Fprintf(w, "  %-9s %-7s %s\n            %s\n", r.unit.server, r.unit.suite, r.test, say(r))
	}
	fmt.Fprintln(w)
}

// table prints one line a suite, the servers side by side.
func (rep *report) table(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "suite\t")
	for _, server := range rep.cfg.Servers {
		fmt.Fprintf(t, "%s: tests\tpassed\tfailed\tskipped\t", server)
	}
	fmt.Fprintln(t)
	for _, suite := range rep.cfg.Suites {
		fmt.Fprintf(t, "%s\t", suite)
		for _, server := range rep.cfg.Servers {
			var of []result
			for _, r := range rep.results {
				if r.unit.suite == suite && r.unit.server == server {
					of = append(of, r)
				}
			}
			c := count(of)
			fmt.Fprintf(t, "%d\t%d\t%d\t%d\t", len(of), c.passed, c.failed, c.skipped)
		}
		fmt.Fprintln(t)
	}
	_ = t.Flush()
}
