package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// holt runs a command line and returns what it printed and its exit code.
func holt(t *testing.T, args ...string) (out, errOut string, code int) {
	t.Helper()
	var o, e strings.Builder
	code = dispatch(args, stdio{strings.NewReader(""), &o, &e})
	return o.String(), e.String(), code
}

func TestM1_WrongArguments(t *testing.T) {
	for _, test := range []struct {
		args, want string
		code       int
	}{
		{"", "usage: holt <command>", exitUsage},
		{"sever", `holt: no command "sever"; did you mean holt server?`, exitUsage},
		{"zoo.cfg", "did you mean holt server zoo.cfg?", exitUsage},
		{"--client-addr :1", "did you mean holt server --client-addr?", exitUsage},
		{"version now", "holt version takes no arguments", exitUsage},
		{"server --bogus", "flag provided but not defined: -bogus\nholt server --help lists the flags.", exitUsage},
		{"server a.cfg b.cfg", `one configuration file is read, and "b.cfg" follows a.cfg`, exitUsage},
		{"server 1 d 2 3 4", `"4" is too much`, exitUsage},
		{"server nowhere.cfg", "reading the configuration: open nowhere.cfg: no such file or directory", exitError},
		{"server --tick-time x", "--tick-time: tickTime=x: not a whole number", exitError},
		{"server --check=perhaps", "invalid boolean value", exitUsage},
	} {
		out, errOut, code := holt(t, strings.Fields(test.args)...)
		if code != test.code || !strings.Contains(errOut, test.want) || out != "" {
			t.Errorf("holt %s: code %d, out %q, err %q", test.args, code, out, errOut)
		}
	}
}

func TestM2_WhatWasAskedForGoesToStandardOutput(t *testing.T) {
	for args, want := range map[string]string{
		"help": "usage: holt <command>", "--help": "usage: holt <command>", "help server": "usage: holt server", "server -h": "--jute-maxbuffer=1048575",
		"help shell": "usage: holt shell", "version": "holt " + version + " (", "--version": "holt " + version, "help help": "usage",
	} {
		out, errOut, code := holt(t, strings.Fields(args)...)
		if code != exitOK || !strings.Contains(out, want) || errOut != "" {
			t.Errorf("holt %s: code %d, out %q, err %q", args, code, out, errOut)
		}
	}
}

func TestCheckPrintsTheEffectiveConfiguration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "zoo.cfg")
	if err := os.WriteFile(file, []byte("dataDir=/x\nclientPort=7\nfoo=1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOLT_MAX_CNXNS", "5")
	out, errOut, code := holt(t, "server", file, "--check", "--tick-time", "9")
	for _, want := range []string{"clientPort=7 ", "# " + file + ":2", "tickTime=9 ", "# --tick-time", "maxCnxns=5 ", "# HOLT_MAX_CNXNS", "minSessionTimeout=18 "} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if code != exitOK || errOut != "warning: "+file+":3: unknown key foo is ignored\n" {
		t.Errorf("code %d, err %q", code, errOut)
	}
	out, _, code = holt(t, "server", "--check", "7", "/y", "3000", "12")
	if code != exitOK || !strings.Contains(out, "dataDir=/y ") || !strings.Contains(out, "maxClientCnxns=12 ") {
		t.Errorf("old short form: code %d\n%s", code, out)
	}
}

func TestExplainSaysWhatToDo(t *testing.T) {
	first, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	_, inUse := net.Listen("tcp", first.Addr().String())
	_, elsewhere := net.Listen("tcp", "192.0.2.1:0")
	for want, err := range map[string]error{
		"--client-addr or --admin-addr":       inUse,
		"not an address of this machine":      elsewhere,
		"opening ./data: something else said": errors.New("opening ./data: something else said"),
	} {
		if got := explain(err); !strings.Contains(got, want) {
			t.Errorf("got %q, want ...%s...", got, want)
		}
	}
}

// The binary, as users run it, says nothing that it was not asked for: libraries that print at start are silenced.
func TestBinaryIsQuiet(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "holt")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var errOut strings.Builder
	cmd := exec.Command(binary, "version")
	cmd.Stderr = &errOut
	if out, err := cmd.Output(); err != nil || !strings.HasPrefix(string(out), "holt ") || errOut.Len() > 0 {
		t.Errorf("%v, printed %q and %q", err, out, errOut.String())
	}
}
