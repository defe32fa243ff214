package main

import (
	"strings"
	"testing"
	"time"
)

const junitConsole = `<?xml version="1.0" encoding="UTF-8"?>
<testsuite name="JUnit Jupiter" tests="4">
<testcase name="testPing()" classname="org.a.ClientTest" time="0.5"/>
<testcase name="testMulti(boolean)[1]" classname="org.a.ClientTest"><failure message="expected: &lt;1&gt; but was: &lt;0&gt;
second line" type="x"><![CDATA[stack]]></failure></testcase>
<testcase name="testSkipped()" classname="org.a.ClientTest"><skipped/></testcase>
<testcase name="testError()" classname="org.a.ClientTest"><error type="java.lang.Error">bad ` + "\x01" + `byte</error></testcase>
</testsuite>`

const pytestReport = `<?xml version="1.0"?><testsuites><testsuite name="pytest">
<testcase classname=".TestClient" name="test_a[x-1]" /><testcase classname="kazoo.tests.test_client.TestClient" name="test_b">
<failure message="AssertionError">trace</failure></testcase></testsuite></testsuites>`

func TestParseReport(t *testing.T) {
	u := unit{suite: "java", server: "holt", name: "org.a.ClientTest"}
	got, err := parseReport([]byte(junitConsole), u)
	if err != nil {
		t.Fatal(err)
	}
	want := []result{
		{u, "org.a.ClientTest.testPing", passed, "", false},
		{u, "org.a.ClientTest.testMulti(boolean)[1]", failed, "expected: <1> but was: <0>", false},
		{u, "org.a.ClientTest.testSkipped", skipped, "", false},
		{u, "org.a.ClientTest.testError", failed, "bad byte", false},
	}
	checkResults(t, got, want)

	u = unit{suite: "kazoo", server: "holt", name: "test_client"}
	got, err = parseReport([]byte(pytestReport), u)
	if err != nil {
		t.Fatal(err)
	}
	checkResults(t, got, []result{
		{u, "test_client.TestClient.test_a[x-1]", passed, "", false},
		{u, "test_client.TestClient.test_b", failed, "AssertionError", false},
	})
}

// TestC3_SecondRun: only what fails twice is failed.
func TestC3_SecondRun(t *testing.T) {
	u := unit{suite: "java", server: "holt", name: "C"}
	r := func(test string, o outcome) result { return result{unit: u, test: test, outcome: o} }
	first := []result{r("C.a", passed), r("C.b", failed), r("C.c", failed)}
	second := []result{r("C.a", failed), r("C.b", passed), r("C.c", failed)}
	got := merge(first, second)
	want := []result{r("C.a", passed), {u, "C.b", passed, "", true}, r("C.c", failed)}
	checkResults(t, got, want)

	// C2: a unit without a report failed; what the second run reports takes its place.
	checkResults(t, merge([]result{r("C", failed)}, second), second)
	checkResults(t, merge([]result{r("C", failed)}, []result{r("C", failed)}), []result{r("C", failed)})
}

func TestCompare(t *testing.T) {
	cfg := Config{Suites: []string{"java"}, Servers: serverNames}
	on := func(server, test string, o outcome) result {
		return result{unit: unit{suite: "java", server: server, name: "C"}, test: test, outcome: o}
	}
	results := []result{
		on("zookeeper", "C.both", failed), on("holt", "C.both", failed),
		on("zookeeper", "C.known", passed), on("holt", "C.known", failed),
		on("zookeeper", "C.mended", passed), on("holt", "C.mended", passed),
	}
	exceptions := reasons{"java C.known": "safer", "java C.mended": "was safer"}
	rep := compare(cfg, results, exceptions)
	if err := rep.err(); err != nil {
		t.Errorf("err = %v, want none: every difference is excepted", err)
	}
	if len(rep.excepted) != 1 || len(rep.oracle) != 1 || len(rep.unneeded) != 1 {
		t.Errorf("excepted %d, oracle %d, unneeded %d, want one each", len(rep.excepted), len(rep.oracle), len(rep.unneeded))
	}

	rep = compare(cfg, append(results, on("holt", "C.new", failed)), exceptions)
	if rep.err() == nil {
		t.Error("err = nil for a test that passes on ZooKeeper and fails on Holt")
	}
	var out strings.Builder
	rep.print(&out, "logs", time.Second)
	if last := lastLines(out.String(), 3); !strings.Contains(last, "C.new") {
		t.Errorf("the last lines do not name the test that failed:\n%s", last)
	}
}

// TestLists: the committed lists parse, and every exception belongs to a unit that is run.
func TestLists(t *testing.T) {
	h := newHouse("../..")
	h.source = "."
	units, err := h.units(Config{Suites: suiteNames, Servers: serverNames})
	if err != nil {
		t.Fatal(err)
	}
	short, err := h.units(Config{Suites: suiteNames, Servers: []string{"holt"}, Short: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(short)*2 >= len(units) {
		t.Errorf("the short run has %d of %d units", len(short), len(units)/2)
	}
	for _, file := range []string{"exceptions.txt", "not-run.txt"} {
		named, err := readReasons(file)
		if err != nil {
			t.Error(err)
		}
		for key := range named {
			known := false
			for _, u := range units {
				known = known || strings.HasPrefix(key, u.suite+" "+u.name)
			}
			if !known {
				t.Errorf("%s: %q is in no unit that is run", file, key)
			}
		}
	}
}

func checkResults(t *testing.T, got, want []result) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d results, want %d: %v", len(got), len(want), got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("result %d = %v, want %v", i, got[i], want[i])
		}
	}
}

// TestClaim: two runs at a time read each other's lists and remove each other's directories.
func TestClaim(t *testing.T) {
	first, second := newHouse(t.TempDir()), &house{}
	second.cache = first.cache
	if err := first.claim(); err != nil {
		t.Fatal(err)
	}
	if err := second.claim(); err == nil || !strings.Contains(err.Error(), "another run uses") {
		t.Errorf("a second run: %v", err)
	}
	if err := first.lock.Close(); err != nil {
		t.Fatal(err)
	}
	if err := second.claim(); err != nil {
		t.Errorf("after the end of the first: %v", err)
	}
	second.lock.Close()
}
