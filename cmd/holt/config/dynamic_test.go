package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holt/tree"
)

// What KeepDynamicFile writes, read again, is the new ensemble, and all else is as it was.
func TestKeepDynamicFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "zoo.cfg")
	text := "# a comment that stays \\\ndataDir=" + dir + "\nclientPort=2181\nreconfigEnabled=true\nserver.1=a:2888:3888;2181\n" +
		"server.2=b:2888:\\\n  3888;2181\nserver.3=c:2888:3888;2181\npeerType=participant\nmaxClientCnxns=7"
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(name, text)
	write(filepath.Join(dir, "myid"), "1")
	for i, members := range []string{
		"server.1=a:2888:3888:participant;0.0.0.0:2181\nserver.2=b:2888:3888:participant;0.0.0.0:2181\n",
		"server.1=a:2888:3888:participant;0.0.0.0:2181\nserver.2=b:2888:3888:participant;0.0.0.0:2181\nserver.9=d:2888:3888:observer;0.0.0.0:2181\n",
	} {
		c, _, err := Load(Sources{File: name})
		if err != nil {
			t.Fatal(err)
		}
		e, err := tree.ParseEnsemble([]byte(members + "version=10000000" + string(rune('a'+i))))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time changes nothing
			if err := c.KeepDynamicFile(e); err != nil {
				t.Fatal(err)
			}
		}
		want := name + ".dynamic.10000000" + string(rune('a'+i))
		d, warnings, err := Load(Sources{File: name})
		if err != nil || !d.Ensemble.Equal(e) || d.Peers.DynamicFile != want || d.Client.Addr() != ":2181" || d.Limits.ConnsPerAddress != 7 {
			t.Fatalf("%+v, %v, %v", d, warnings, err)
		}
		if dynamic, _ := os.ReadFile(want); string(dynamic) != members {
			t.Errorf("dynamic file: %s", dynamic)
		}
	}
	static, _ := os.ReadFile(name)
	if want := "# a comment that stays \\\ndataDir=" + dir + "\nreconfigEnabled=true\nmaxClientCnxns=7\ndynamicConfigFile=" + name + ".dynamic.10000000b\n"; string(static) != want {
		t.Errorf("zoo.cfg:\n%s\nwant:\n%s", static, want)
	}
	if old, _ := os.ReadFile(name + ".bak"); string(old) != text {
		t.Errorf("zoo.cfg.bak: %s", old)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*tmp*")); len(files) > 0 {
		t.Errorf("left over: %s", strings.Join(files, " "))
	}
	if err := (&Config{}).KeepDynamicFile(nil); err != nil {
		t.Errorf("without a file: %v", err)
	}
}

// TestKeepDynamicFile_NewClientPort: the port of the static file goes, or the next start would find two. From ZooKeeper's
// ReconfigLegacyTest.testReconfigRemoveClientFromStatic.
func TestKeepDynamicFile_NewClientPort(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "zoo.cfg")
	text := "dataDir=" + dir + "\nclientPort=2181\nclientPortAddress=127.0.0.1\nholt.id=1\nserver.1=a:2888:3888\nserver.2=b:2888:3888\nserver.3=c:2888:3888\n"
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ line, addr string }{{"server.1=a:2888:3888", "127.0.0.1:2181"}, {"server.1=a:2888:3888;2191", ":2191"}} {
		c, _, err := Load(Sources{File: name})
		if err != nil {
			t.Fatal(err)
		}
		e, err := tree.ParseEnsemble([]byte(step.line + "\nserver.2=b:2888:3888\nserver.3=c:2888:3888\nversion=" + step.addr[len(step.addr)-2:]))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.KeepDynamicFile(e); err != nil {
			t.Fatal(err)
		}
		if d, _, err := Load(Sources{File: name}); err != nil || d.Client.Addr() != step.addr {
			t.Errorf("%s: started again %+v, %v; want clients at %s", step.line, d, err, step.addr)
		}
	}
}
