package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holt/bench"
)

func command(args string) (code int, out, errOut string) {
	var o, e strings.Builder
	code = Main(strings.Fields(args), &o, &e)
	return code, o.String(), e.String()
}

func TestO1_WrongArguments(t *testing.T) {
	for args, want := range map[string]string{
		"":                                   "usage: holt bench WORKLOAD",
		"gte":                                `no workload "gte"; there are get, exists`,
		"--conns 3":                          "no workload",
		"get set":                            `"set" follows get`,
		"get --bogus":                        "flag provided but not defined: -bogus",
		"get --conns many":                   "not a whole number",
		"get --warmup 3":                     "not a time such as 10s",
		"get --value 9-1":                    "not a number of bytes",
		"get --keys cold":                    "uniform, zipfian",
		"get --root x":                       "not the path of a znode",
		"get --servers a,,b":                 "an empty name",
		"get --pid x":                        "not a process number",
		"mixed --mix get":                    "not an operation with its weight",
		"compare a.json":                     "usage: holt bench compare",
		"compare a b --bogus":                "flag provided but not defined",
		"get --file " + os.DevNull + "/none": "not a directory",
	} {
		code, out, errOut := command(args)
		if code != exitUsage || !strings.Contains(errOut, want) || out != "" {
			t.Errorf("holt bench %s: code %d, out %q, err %q", args, code, out, errOut)
		}
	}
	if code, _, errOut := command("compare nowhere.json nowhere.json"); code != exitError || !strings.Contains(errOut, "no such file") {
		t.Errorf("code %d, %s", code, errOut)
	}
	if code, _, errOut := command("get --servers 127.0.0.1:1"); code != exitError || !strings.Contains(errOut, "connection refused") {
		t.Errorf("code %d, %s", code, errOut)
	}
}

func TestO2_HelpGoesToStandardOutput(t *testing.T) {
	for args, want := range map[string]string{
		"--help": "--pipeline N", "help": "workloads:", "help lock": "mutual", "lock --help": "hand-over", "--json x --help": "usage",
	} {
		if args == "help lock" {
			want = "lock violations"
		}
		code, out, errOut := command(args)
		if code != exitOK || !strings.Contains(out, want) || errOut != "" {
			t.Errorf("holt bench %s: code %d, out %q, err %q", args, code, out, errOut)
		}
	}
	if code, _, errOut := command("help gte"); code != exitUsage || !strings.Contains(errOut, "no workload") {
		t.Errorf("code %d, err %q", code, errOut)
	}
}

func TestExamplesAreCommandLines(t *testing.T) {
	for _, k := range bench.Kinds() {
		args := strings.Fields(k.Example)
		if len(args) < 3 || args[0] != "holt" || args[1] != "bench" || args[2] != k.Name {
			t.Errorf("%s: %s", k.Name, k.Example)
			continue
		}
		if _, err := parse(args[2:]); err != nil {
			t.Errorf("%s: %v", k.Example, err)
		}
		if k.Summary == "" || k.Detail == "" {
			t.Errorf("%s says nothing of itself", k.Name)
		}
	}
}

func TestWorkloadFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mix")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# ours\nconns = 200\nduration = 3s # short\n\n[get]\nweight = 90\nkeys = zipfian:0.9\n[set]\nweight = 10\nvalue = 50-2000\n")
	o, err := parse([]string{"--conns", "5", "--file", file})
	if err != nil {
		t.Fatal(err)
	}
	if o.Workload != "mixed" || o.Conns != 5 || o.Duration.Seconds() != 3 || len(o.Mix) != 2 || o.Mix[0].Keys.Theta != 0.9 || o.Mix[1].Value.Max != 2000 {
		t.Errorf("%+v", o.Config)
	}
	for text, want := range map[string]string{
		"conns 3":              ":1: \"conns 3\" is neither",
		"\nspeed = 3":          ":2: no flag --speed",
		"conns = x":            "conns = x: not a whole number",
		"[gte]":                `no operation "gte"`,
		"[get]\nweight = 0":    "not a whole number above 0",
		"[get]\nconns = 0":     "no conns",
		"[get]\nkeys = cold":   "uniform, zipfian",
		"[get]\nvalue = large": "not a number of bytes",
		"[get]":                "[get] has no weight",
		"file = x":             "no flag --file",
	} {
		write(text)
		if _, err := parse([]string{"--file", file}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
