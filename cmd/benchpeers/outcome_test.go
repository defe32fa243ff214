package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holt/bench"
)

// reportOf is a run with these operations per CPU-second and this p99.
func reportOf(perCPU float64, p99 time.Duration) *bench.Report {
	return &bench.Report{
		Seconds: 1, Rate: perCPU / 2, Server: &bench.ServerReport{CPU: 0.5, OpsPerCPU: perCPU},
		Series: []bench.SeriesReport{{Name: "x", P99: int64(p99)}},
	}
}

// made is an outcome with one case of three rounds, in the second of which ZooKeeper failed.
func made() *outcome {
	r := &result{Case: "set <1>", goals: []goal{times(perCPU, 2, 3), tail, ofCeiling(0.5, 0.9)}, Failed: []string{"ZooKeeper: it stumbled"}}
	r.Reports = map[target][]*bench.Report{
		zookeeper: {reportOf(100, 10e6), nil, reportOf(200, 10e6)},
		holt:      {reportOf(250, 5e6), reportOf(1, 1), reportOf(500, 8e6)},
		ceiling:   {reportOf(1000, 1), reportOf(1000, 1), reportOf(1000, 1)},
	}
	return &outcome{options: &options{rounds: 3}, tables: []tableResult{{"standalone", []*result{r}}}}
}

func TestP2_RatiosAreTakenRoundByRound(t *testing.T) {
	r := made().tables[0].results[0]
	if got := r.ratios(r.goals[0]); len(got) != 2 || got[0] != 2.5 || got[1] != 2.5 {
		t.Errorf("per CPU: %v", got)
	}
	if got := r.ratios(r.goals[1]); len(got) != 2 || got[0] != 0.5 || got[1] != 0.8 {
		t.Errorf("p99: %v", got)
	}
}

func TestVerdicts(t *testing.T) {
	for _, test := range []struct {
		g    goal
		v    float64
		want string
	}{
		{times(perCPU, 2, 3), 3, "aim"},
		{times(perCPU, 2, 3), 2.5, "must"},
		{times(perCPU, 2, 3), 1.99, "**missed**"},
		{times(perCPU, 2, 3), 0, "no figure"},
		{tail, 0.3, "aim"},
		{tail, 0.5, "must"},
		{tail, 0.61, "**missed**"},
	} {
		if got := test.g.verdict(test.v); got != test.want {
			t.Errorf("%s %v: %s, want %s", test.g.name, test.v, got, test.want)
		}
	}
	if m := median([]float64{3, 1, 2}); m != 2 {
		t.Error(m)
	}
	if m := median([]float64{4, 1, 2, 3}); m != 2.5 {
		t.Error(m)
	}
}

func TestTheTableSaysWhatFailedAndWhatIsShort(t *testing.T) {
	a := made()
	a.absolute = absoluteGoals()
	a.absolute[0].rounds, a.absolute[0].theirs = []float64{300, 280, 290}, []float64{2000}
	text := a.markdown()
	for _, want := range []string{
		"| set <1> | per server-CPU-s | 250 | ZooKeeper: 150 | **2.50** | 2.50 2.50 | ≥ 2 | ≥ 3 | must |",
		"Failed: set <1>, ZooKeeper: it stumbled",
		"- set <1>, p99: 0.65 of ZooKeeper, goal ≤ 0.6",
		"- set <1>, per server-CPU-s: 0.25 of ceiling, goal ≥ 0.5",
		"Worse than ZooKeeper in no figure above.",
		"| **290 B** | 300 B, 280 B, 290 B | ≤ 260 B | ≤ 200 B | **missed** | 1.953 KiB |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestThePlotIsXML(t *testing.T) {
	d := xml.NewDecoder(strings.NewReader(made().svg()))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestP4_OnlyTheMarkedPartIsWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(file, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"one\n", "two\n"} {
		if err := replacePart(file, text); err != nil {
			t.Fatal(err)
		}
		got, _ := os.ReadFile(file)
		if want := "before\n\n" + markBegin + text + markEnd; string(got) != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if err := os.WriteFile(file, []byte(markBegin), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := replacePart(file, "x"); err == nil {
		t.Error("a page whose end of the part is gone was written")
	}
}

// Every load of the tables must be one that package bench takes, but for the servers that are missing here.
func TestEveryCaseIsARun(t *testing.T) {
	for _, table := range []table{standalone(), ensembleOfThree()} {
		seen := map[string]bool{}
		for _, c := range table.cases {
			if seen[c.name] || len(c.goals) == 0 {
				t.Errorf("%s: named twice, or without a goal", c.name)
			}
			seen[c.name] = true
			load := c.load
			load.Servers = []string{"127.0.0.1:1"}
			if _, err := bench.Run(t.Context(), load, nil); err == nil || !strings.Contains(err.Error(), "connection refused") {
				t.Errorf("%s: %v", c.name, err)
			}
			for _, g := range c.goals {
				if g.against == ceiling && c.ceiling == "" {
					t.Errorf("%s has a goal beside no ceiling", c.name)
				}
				if better := g.aim < g.must; better != g.less && g.must > 0 {
					t.Errorf("%s, %s: the aim is below the must", c.name, g.name)
				}
			}
		}
	}
}
