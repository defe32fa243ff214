package config

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"holt/tree"
)

var rewrite = flag.Bool("rewrite", false, "write docs/configuration.md anew")

// load reads a zoo.cfg with the given text; DIR in it is a fresh directory.
func load(t *testing.T, text string, environ []string, settings ...Setting) (*Config, []Warning, error) {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("zoo.cfg", []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(Sources{File: "zoo.cfg", Environ: environ, Settings: settings})
}

func TestC2_SampleFileOfZooKeeper(t *testing.T) {
	c, warnings, err := load(t, `
# The number of milliseconds of each tick
tickTime=2000
initLimit=10
syncLimit=5
dataDir=/tmp/zookeeper
# the port at which the clients will connect
clientPort=2181
#maxClientCnxns=60
autopurge.snapRetainCount=3
autopurge.purgeInterval=1
metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider
metricsProvider.httpHost=0.0.0.0
metricsProvider.httpPort=7000
metricsProvider.exportJvmInfo=true
`, nil)
	if err != nil || len(warnings) != 0 {
		t.Fatalf("error %v, warnings %v", err, warnings)
	}
	got := []any{
		c.Client.Addr(), c.Data.Dir, c.Data.LogDir, c.Sessions.TickMs, c.Sessions.TimeoutMsMin, c.Sessions.TimeoutMsMax,
		c.Admin.Addr(), c.Admin.MetricsAddr(), c.ID,
	}
	want := []any{":2181", "/tmp/zookeeper", "/tmp/zookeeper", 2000, 4000, 40000, "127.0.0.1:8080", "0.0.0.0:7000", uint8(1)}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Every name of the reference's tables, with and without the prefix, in the file: known, and not an error.
func TestC2_EveryKeyOfZooKeeperIsKnown(t *testing.T) {
	f, err := os.Open("testdata/zookeeper-keys.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	count := 0
	for lines.Scan() {
		name, value, _ := strings.Cut(strings.TrimSpace(lines.Text()), "=")
		if name == "" || strings.HasPrefix(name, "#") {
			continue
		}
		count++
		for _, prefix := range []string{"", "zookeeper."} {
			l := loader{c: Default()}
			l.assign(prefix+name, value, "here")
			for _, w := range l.warnings {
				if strings.Contains(w.Text, "unknown key") {
					t.Errorf("%s%s: %s", prefix, name, w.Text)
				}
			}
			if len(l.errs) > 0 {
				t.Errorf("%s%s=%s: %v", prefix, name, value, l.errs)
			}
		}
	}
	if count < 150 {
		t.Errorf("%d keys in the list", count)
	}
}

func TestC3_ErrorsNameKeyAndLine(t *testing.T) {
	const head = "dataDir=DIR\nclientPort=2181\n"
	for _, test := range []struct{ text, want string }{
		{head + "tickTime=fast", "zoo.cfg:3: tickTime=fast: not a whole number"},
		{head + "tickTime=0", "zoo.cfg:3: tickTime=0: too small: it takes at least 1"},
		{head + "tickTime=99999999999999999999", "zoo.cfg:3: tickTime=99999999999999999999: out of range"},
		{head + "\n\ntickTime=\\\n  2x", "zoo.cfg:5: tickTime=2x: not a whole number"},
		{head + "clientPort=70000", "zoo.cfg:3: clientPort=70000: too large: it takes at most 65535"},
		{head + "clientPortAddress=a b", `zoo.cfg:3: clientPortAddress=a b: "a b" is not a host name or an address`},
		{head + "skipACL=maybe", "zoo.cfg:3: skipACL=maybe: neither true nor false"},
		{head + "initLimit=many", "zoo.cfg:3: initLimit=many: not a whole number"},
		{head + "electionAlg=0", "zoo.cfg:3: electionAlg=0: it takes one of 3"},
		{head + "jute.maxbuffer=0xzz", "zoo.cfg:3: jute.maxbuffer=0xzz: not a whole number"},
		{head + "zookeeper.jute.maxbuffer=12", "zoo.cfg:3: jute.maxbuffer=12: too small: it takes at least 64"},
		{head + "DigestAuthenticationProvider.superDigest=secret", "zoo.cfg:3: DigestAuthenticationProvider.superDigest: not user:base64"},
		{head + "DigestAuthenticationProvider.digestAlg=ROT13", `zoo.cfg:3: DigestAuthenticationProvider.digestAlg=ROT13: digest algorithm "ROT13" is not known`},
		{
			head + "DigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU=\nDigestAuthenticationProvider.digestAlg=SHA-256",
			"zoo.cfg:3: DigestAuthenticationProvider.superDigest: not user:base64(digest of user:password): the digest has 20 bytes, SHA-256 has 32",
		},
		{head + "enforce.auth.enabled=true", "zoo.cfg:3: enforce.auth.enabled=true needs enforce.auth.schemes"},
		{head + "enforce.auth.enabled=true\nenforce.auth.schemes=digest, kerberos", `zoo.cfg:4: enforce.auth.schemes: there are no identities of a scheme "kerberos"`},
		{head + "enforce.auth.enabled=true\nenforce.auth.schemes=sasl", "zoo.cfg:4: enforce.auth.schemes: sasl: Holt cannot require SASL yet"},
		{
			head + "enforce.auth.enabled=true\nenforce.auth.schemes=digest\nDigestAuthenticationProvider.enabled=false",
			"zoo.cfg:4: enforce.auth.schemes: the scheme digest is off",
		},
		{head + "server.255=h:1:2", "zoo.cfg:3: server number 255 is too large: with TTL nodes"},
		{head + "holt.id=255", "zoo.cfg:3: server number 255 is too large: with TTL nodes"},
		{head + "holt.adminAddr=8080", "zoo.cfg:3: holt.adminAddr=8080: not host:port"},
		{head + "secureClientPort=2281", "zoo.cfg:3: secureClientPort=2281: TLS is not served yet"},
		{head + "sslQuorum=true", "zoo.cfg:3: sslQuorum=true: TLS between members"},
		{head + "sessionRequireClientSASLAuth=true", "zoo.cfg:3: sessionRequireClientSASLAuth=true: Holt cannot require SASL yet"},
		{head + "peerType=observer", "zoo.cfg:3: peerType=observer: an observer cannot run alone"},
		{head + "group.1=1:2:3", "zoo.cfg:3: group.1=1:2:3: hierarchical quorums are not supported"},
		{head + "holt.reads=dirty", "zoo.cfg:3: holt.reads=dirty: it takes one of local, linearizable"},
		{head + "holt.linearizablePaths=/a,b", `zoo.cfg:3: holt.linearizablePaths=/a,b: "b" is not a path`},
		{head + "weight.1=1", "zoo.cfg:3: weight.1=1: hierarchical quorums are not supported"},
		{head + "oraclePath=/x", "zoo.cfg:3: oraclePath=/x: hierarchical quorums are not supported"},
		{head + "quorum.auth.enableSasl=true", "zoo.cfg:3: quorum.auth.enableSasl=true: SASL between members"},
		{head + "minSessionTimeout=9000\nmaxSessionTimeout=8000", "zoo.cfg:3: minSessionTimeout=9000 is above maxSessionTimeout=8000"},
		{head + "server.1=a:2888:3888\nserver.2=b:2888:3888", "myid: missing, and so it is not known which of the 2 server lines is this server's"},
		{head + "holt.id=3\nserver.1=a:2888:3888\nserver.2=b:2888:3888", "zoo.cfg:5: this server is number 3, and no line is server.3"},
		{head + "holt.id=1\nserver.1=a:2888:3888\nserver.2=a:2888:3889", "zoo.cfg:5: server.1 and server.2 have the same address a:2888"},
		{head + "holt.id=1\nserver.1=a:2888:3888\nserver.2=b:2888:3888:observer", "zoo.cfg:5: one participant and 1 observers: add participants, or set standaloneEnabled=false"},
		{head + "server.1=a:2888:3888:observer\nserver.2=b:2888:3888:observer", "zoo.cfg:4: server.1 is an observer, and observers cannot run without participants"},
		{head + "holt.id=1\nserver.1=a:2888:3888;2182\nserver.2=b:2888:3888", "zoo.cfg:2: clients are to be served on :2181, but on 0.0.0.0:2182 by server.1"},
		{head + "server.256=a:2888:3888", "zoo.cfg:3: server.256: the number of a server: too large: it takes at most 255"},
		{head + "server.1=a:2888", `zoo.cfg:3: server.1=a:2888: not host:port:port`},
		{head + "server.1=a:2888:3888:captain", `zoo.cfg:3: server.1=a:2888:3888:captain: role "captain"`},
		{head + "server.1=a:2888:3888:observer", "zoo.cfg:3: server.1 is an observer"},
		{head + "server.x=a:2888:3888", "zoo.cfg:3: server.x: the number of a server: not a whole number"},
		{head + "server.1=a:1:2;2181;2281", "zoo.cfg:3: server.1=a:1:2;2181;2281: a secure client port"},
		{head + "dynamicConfigFile=nowhere", "zoo.cfg:3: dynamicConfigFile: open nowhere"},
		{head + "holt.adminAddr=127.0.0.1:2181", "zoo.cfg:3: clients and the admin server cannot share port 2181"},
		{head + "tickTime=\\u12", "line 3: malformed escape"},
		{"clientPort=2181", "zoo.cfg: dataDir is missing"},
		{"dataDir=DIR\nclientPortAddress=::1", "zoo.cfg:2: clientPortAddress is set but clientPort is not"},
		{"dataDir=", "zoo.cfg:1: dataDir=: must not be empty"},
	} {
		_, _, err := load(t, test.text, nil)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q:\n got %v\nwant ...%s...", test.text, err, test.want)
		}
	}
}

func TestC3_AllErrorsAtOnce(t *testing.T) {
	_, _, err := load(t, "dataDir=DIR\ntickTime=x\nmaxCnxns=-1\n", []string{"HOLT_LOOPS=none"})
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("want three errors, got %v", err)
	}
}

func TestC3_Warnings(t *testing.T) {
	const head = "dataDir=DIR\nclientPort=2181\n"
	for _, test := range []struct{ text, environ, want string }{
		{head + "maxClientCnxn=3", "", "zoo.cfg:3: unknown key maxClientCnxn is ignored; did you mean maxClientCnxns?"},
		{head + "colour=blue", "", "zoo.cfg:3: unknown key colour is ignored"},
		{head + "clientPort=2182", "", "zoo.cfg:3: clientPort stands in line 2 as well; the last one counts"},
		{head + "audit.enable=true", "", "zoo.cfg:3: audit.enable=true has no effect: there is no audit log yet"},
		{head + "audit.enable=false", "", ""},
		{head + "forceSync=no", "", "zoo.cfg:3: forceSync=no: writes are acknowledged before they are on the disk, and are lost when the machine dies"},
		{head + "4lw.commands.whitelist=stat, foo bar,,x", "", "zoo.cfg:3: 4lw.commands.whitelist: there are no words foo bar, x"},
		{head + "ensembleAuthName=a", "", "zoo.cfg:3: ensembleAuthName has no effect: the ensemble scheme needs authProvider.1=org.apache.zookeeper.server.auth.EnsembleAuthenticationProvider"},
		{head + "ensembleAuthName=a\nauthProvider.7=org.apache.zookeeper.server.auth.EnsembleAuthenticationProvider", "", ""},
		{head + "holt.id=255\nextendedTypesEnabled=false", "", ""},
		{head + "skipACL=yes", "", "zoo.cfg:3: skipACL=yes: everybody may read and write everything"},
		{head + "admin.serverPort=8081", "", "zoo.cfg:3: the admin server listens on loopback only; admin.serverAddress=0.0.0.0 opens it as ZooKeeper would"},
		{"dataDir=DIR", "", "zoo.cfg: clientPort is missing: clients are served on 127.0.0.1:2181"},
		{head, "HOLT_COLOUR=blue", "HOLT_COLOUR: no key is set by this variable; it is ignored"},
	} {
		_, warnings, err := load(t, test.text, []string{test.environ})
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
		}
		var got []string
		for _, w := range warnings {
			got = append(got, w.Origin+": "+w.Text)
		}
		if strings.Join(got, "\n") != test.want {
			t.Errorf("%q:\n got %s\nwant %s", test.text, got, test.want)
		}
	}
}

func TestC1_Precedence(t *testing.T) {
	environ := []string{}
	tick := func(settings ...Setting) int {
		t.Helper()
		c, _, err := load(t, "dataDir=DIR\nclientPort=2181\ntickTime=1\n", environ, settings...)
		if err != nil {
			t.Fatal(err)
		}
		return c.Sessions.TickMs
	}
	if got := tick(); got != 1 {
		t.Errorf("file: %d", got)
	}
	for i, variable := range []string{"JVMFLAGS=-Xmx1g -Dzookeeper.tickTime=2", "ZOO_TICK_TIME=3", "HOLT_TICK_TIME=4"} {
		environ = append([]string{variable}, environ...)
		if got := tick(); got != i+2 {
			t.Errorf("%s: %d", variable, got)
		}
	}
	if got := tick(Setting{"tickTime", "5", "--tick-time"}); got != 5 {
		t.Errorf("flag: %d", got)
	}
}

func TestFlags(t *testing.T) {
	var s Sources
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	s.Register(flags)
	if err := flags.Parse(strings.Fields("--client-addr [::1]:9 -skip-acl --4lw-commands-whitelist=* --admin-addr off --tick-time 7")); err != nil {
		t.Fatal(err)
	}
	c, _, err := Load(s)
	if err != nil {
		t.Fatal(err)
	}
	if c.Client.Addr() != "[::1]:9" || !c.Tree.SkipACL || c.Admin.FourLetterWords != "*" || c.Admin.Addr() != "" || c.Sessions.TimeoutMsMin != 14 {
		t.Errorf("got %+v", c)
	}
}

func TestClientAddress(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"clientPort=1", ":1"},
		{"clientPortAddress=10.0.0.1\nclientPort=1", "10.0.0.1:1"},
		{"clientPort=1\nclientPortAddress=::1", "[::1]:1"},
		{"holt.clientAddr=h:5", "h:5"},
		{"clientPort=0", "127.0.0.1:2181"},
		{"server.3=h:2888:3888;10.0.0.1:44", "10.0.0.1:44"},
		{"server.3=h:2888:3888:participant|g:2888:3888;44", ":44"},
		{"clientPort=1\nserver.3=[::1]:2888:3888;44", ":1"},
	} {
		c, _, err := load(t, "dataDir=DIR\n"+test.text, nil)
		if err != nil || c.Client.Addr() != test.want {
			t.Errorf("%q: %s, %v; want %s", test.text, c.Client.Addr(), err, test.want)
		}
	}
}

func TestMyid(t *testing.T) {
	for _, test := range []struct {
		myid, want string
	}{{"7\n", "7"}, {"", "7"}, {"8", "this server is number 8, but the only server line is server.7"}, {"x", "not a whole number"}} {
		dir := t.TempDir()
		if test.myid != "" {
			if err := os.WriteFile(filepath.Join(dir, "myid"), []byte(test.myid), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c, _, err := load(t, "clientPort=2181\nserver.7=h:1:2\ndataDir="+dir, nil)
		got := fmt.Sprint(c.ID)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, test.want) {
			t.Errorf("myid %q: %s, want %s", test.myid, got, test.want)
		}
	}
}

// TestMyidZero: ZooKeeper's tests number their servers from 0.
func TestMyidZero(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "myid"), []byte("0"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{dir, t.TempDir()} {
		c, _, err := load(t, "server.0=h:1:2;2181\ndataDir="+dir, nil)
		if err != nil || c.ID != 0 {
			t.Errorf("number %d, %v", c.ID, err)
		}
	}
}

// TestAuth: what the keys of authentication come to.
func TestAuth(t *testing.T) {
	c, _, err := load(t, "dataDir=DIR\nclientPort=2181\nenforce.auth.enabled=true\nenforce.auth.schemes=digest, ip\nensembleAuthName= foo,bar, baz \n"+
		"DigestAuthenticationProvider.digestAlg=SHA-256\nDigestAuthenticationProvider.superDigest=super:wjySwxg860UATFtciuZ1lpzrCHrPeov6SPu/ZD56uig=", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%q %q", c.Auth.Required(), c.Auth.Ensembles()); got != `["digest" "ip"] ["foo" "bar" "baz"]` {
		t.Errorf("got %s", got)
	}
	if c, _, _ = load(t, "dataDir=DIR\nclientPort=2181\nenforce.auth.schemes=digest", nil); c.Auth.Required() != nil || c.Auth.Ensembles() != nil {
		t.Errorf("got %+v, want nothing enforced", c.Auth)
	}
	for text, allowed := range map[string]bool{"": true, "4lw.commands.whitelist=stat": false, "4lw.commands.whitelist=stat\nreadonlymode.enabled=true": true} {
		c, _, err := load(t, "dataDir=DIR\nclientPort=2181\n"+text, nil)
		if w, _ := c.Admin.Whitelist(); err != nil || w.Allows("isro") != allowed || !w.Allows("srvr") {
			t.Errorf("%q: isro is allowed: %v, %v", text, !allowed, err)
		}
	}
}

func TestImageVariables(t *testing.T) {
	c, warnings, err := Load(Sources{Environ: []string{
		"ZOO_MY_ID=3", "ZOO_SERVERS=server.3=zoo3:2888:3888;2181", "ZOO_DATA_DIR=/data", "ZOO_DATA_LOG_DIR=/datalog",
		"ZOO_TICK_TIME=2000", "ZOO_INIT_LIMIT=5", "ZOO_MAX_CLIENT_CNXNS=0", "ZOO_STANDALONE_ENABLED=true",
		"ZOO_ADMINSERVER_ENABLED=false", "ZOO_4LW_COMMANDS_WHITELIST=srvr, ruok", "ZOO_CFG_EXTRA=maxCnxns=9 skipACL=no",
		"PATH=/bin",
	}})
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	got := fmt.Sprint(c.ID, c.Client.Addr(), c.Data, c.Limits.ConnsPerAddress, c.Limits.Conns, c.Admin.Enabled, c.Admin.FourLetterWords)
	if want := "3:2181{/data /datalog true} 0 9 falsesrvr, ruok"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	c, _, err = Load(Sources{Environ: []string{"ZOO_MY_ID=2", "ZOO_SERVERS=server.1=a:1:2;3 server.2=b:1:2;4 server.3=c:1:2:observer;5"}})
	if err != nil || c.Ensemble == nil || c.Client.Addr() != ":4" || c.PeerAddr() != "b:1" {
		t.Errorf("three members: %+v, %v", c, err)
	}
}

func TestDynamicFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "zoo.cfg.dynamic")
	write := func(text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("server.1=h:1:2:participant;3\nversion=0\n")
	c, _, err := load(t, "dataDir=DIR\ndynamicConfigFile="+name, nil)
	if err != nil || c.Client.Addr() != ":3" {
		t.Errorf("%s, %v", c.Client.Addr(), err)
	}
	write("tickTime=3\n")
	if _, _, err = load(t, "dataDir=DIR\ndynamicConfigFile="+name, nil); err == nil || !strings.Contains(err.Error(), name+":1: tickTime: only server") {
		t.Errorf("%v", err)
	}
	write("group.1=1:2\n")
	if _, _, err = load(t, "dataDir=DIR\ndynamicConfigFile="+name, nil); !errors.Is(err, tree.ErrGroups) {
		t.Errorf("groups: %v", err)
	}
	write("server.1=a:1:2;3\nserver.2=b:1:2;4\nserver.3=c:1:2;5\n")
	c, _, err = load(t, "dataDir=DIR\nholt.id=2\ndynamicConfigFile="+name, nil)
	if err != nil || len(c.Ensemble.Voters()) != 3 || c.Client.Addr() != ":4" || c.Peers.DynamicFile != name {
		t.Errorf("three members: %+v, %v", c, err)
	}
	_, _, err = load(t, "dataDir=DIR\nholt.id=2\nserver.2=b:1:2\ndynamicConfigFile="+name, nil)
	if err == nil || !strings.Contains(err.Error(), "zoo.cfg:3: server.2: with dynamicConfigFile all server lines stand in that file") {
		t.Errorf("server lines in both: %v", err)
	}
}

const members3 = "server.1=a:2888:3888:participant;2181\nserver.2=b:2888:3888;10.0.0.2:2181\nserver.3=c:2888:3888:observer\n"

func TestEnsemble(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct{ myid, text, want string }{
		{"1", "", "1 :2181 a:2888 [1 2] [3]"},
		{"2", "clientPort=2181\n", "2 10.0.0.2:2181 b:2888 [1 2] [3]"},
		{"3", "clientPort=7\nquorumListenOnAllIPs=true\n", "3 :7 :2888 [1 2] [3]"},
		{"3", "clientPort=7\nholt.id=3\n", "3 :7 c:2888 [1 2] [3]"},
		{"1", "holt.clientAddr=h:9\n", "1 h:9 a:2888 [1 2] [3]"},
		{"2", "holt.id=1\n", "number 1, but " + filepath.Join(dir, "myid") + " says 2"},
		{"x", "", "not a whole number"},
		{"4", "", "this server is number 4, and no line is server.4"},
	} {
		if err := os.WriteFile(filepath.Join(dir, "myid"), []byte(test.myid+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		c, _, err := load(t, "dataDir="+dir+"\n"+test.text+members3, nil)
		got := fmt.Sprint(err)
		if err == nil {
			got = fmt.Sprintln(c.ID, c.Client.Addr(), c.PeerAddr(), c.Ensemble.Voters(), c.Ensemble.Observers())
		}
		if !strings.Contains(got, test.want) {
			t.Errorf("myid %s %q: %s, want %s", test.myid, test.text, got, test.want)
		}
	}
}

func TestEnsembleFlags(t *testing.T) {
	var s Sources
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	s.Register(flags)
	if err := flags.Parse([]string{"--id", "2", "--server", "1=a:1:2;3", "--server=server.2=b:1:2;4", "--server", "3=c:1:2:observer;5"}); err != nil {
		t.Fatal(err)
	}
	c, _, err := Load(s)
	if err != nil || c.Client.Addr() != ":4" || c.PeerAddr() != "b:1" || len(c.Ensemble.Observers()) != 1 {
		t.Fatalf("got %+v, %v", c, err)
	}
	flags.SetOutput(io.Discard)
	if err := flags.Parse([]string{"--server", "a:1:2"}); err == nil {
		t.Error("a member without a number is accepted")
	}
	c, _, err = Load(Sources{Settings: []Setting{{"server.7", "a:1:2;3", "x"}, {"standaloneEnabled", "false", "x"}, {"holt.id", "7", "x"}}})
	if err != nil || c.Ensemble == nil || len(c.Ensemble.Voters()) != 1 {
		t.Errorf("an ensemble of one: %+v, %v", c, err)
	}
}

// The effective configuration, given back as a file, is the same configuration.
func TestFormatRoundTrip(t *testing.T) {
	c, _, err := load(t, "dataDir=DIR\nclientPort=2182\n4lw.commands.whitelist=*\npreAllocSize=2048\nforceSync=no\nholt.id=3\n"+members3, nil)
	if err != nil {
		t.Fatal(err)
	}
	var again strings.Builder
	for line := range strings.Lines(c.Format()) {
		setting, _, _ := strings.Cut(line, " #")
		again.WriteString(setting + "\n")
	}
	d, warnings, err := load(t, again.String(), nil)
	if err != nil {
		t.Fatal(err, warnings)
	}
	d.File, d.origins, c.origins = c.File, nil, nil
	c.Client.hostGiven, c.Admin.metricsPortGiven = true, true
	if !reflect.DeepEqual(c, d) {
		t.Errorf("got  %+v\nwant %+v", d, c)
	}
}

func TestKeysAreConsistent(t *testing.T) {
	flags, variables, names := map[string]string{}, map[string]string{}, map[string]bool{}
	for _, k := range Keys {
		if names[k.Name] {
			t.Errorf("%s stands twice", k.Name)
		}
		names[k.Name] = true
		if k.Doc == "" || k.set == nil {
			t.Errorf("%s: no doc or no setter", k.Name)
		}
		if k.Kind == Used && (k.show == nil || k.Takes == "") {
			t.Errorf("%s: a used key shows its value and says what it takes", k.Name)
		}
		if f := k.Flag(); f != "" && flags[f] != "" {
			t.Errorf("%s and %s are both %s", k.Name, flags[f], f)
		} else {
			flags[f] = k.Name
		}
		if v := k.Variable(); v != "" && variables[v] != "" {
			t.Errorf("%s and %s are both %s", k.Name, variables[v], v)
		} else {
			variables[v] = k.Name
		}
		if k.Kind == Used && k.Default() != "" {
			if err := k.set(Default(), k.Default()); err != nil {
				t.Errorf("%s refuses its own default %q: %v", k.Name, k.Default(), err)
			}
		}
	}
	for name, want := range map[string]string{
		"holt.adminAddr": "admin-addr", "4lw.commands.whitelist": "4lw-commands-whitelist", "skipACL": "skip-acl",
		"admin.rateLimiterIntervalInMS": "admin-rate-limiter-interval-in-ms", "znode.container.maxPerMinute": "znode-container-max-per-minute",
		"DigestAuthenticationProvider.superDigest": "digest-authentication-provider-super-digest",
	} {
		if got := Lookup(name).flagName(); got != want {
			t.Errorf("%s: --%s, want --%s", name, got, want)
		}
	}
}

func TestReferencePage(t *testing.T) {
	const page = "../../../docs/configuration.md"
	if *rewrite {
		if err := os.WriteFile(page, []byte(Reference()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != Reference() {
		t.Error("docs/configuration.md is not what the key table says; run make docs")
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("dataDir=x\nclientPort=2181\nserver.1=a:1:2;3\n")
	f.Add("tickTime : 2000\\\n 1\n!x\n\\u0041=\\uD83D\\uDE00")
	f.Add("holt.id=2\n" + members3)
	f.Add("server.1=[::1]:1:2:observer|b:1:2;[::1]:3;")
	f.Add("jute.maxbuffer 0x100000\n4lw.commands.whitelist=*,a\nmetricsProvider.httpPort=0")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "dynamicConfigFile") {
			return // would read files of the fuzzer's choice
		}
		l := loader{c: Default()}
		l.c.File = "zoo.cfg"
		l.text("zoo.cfg", text)
		c, _, err := l.result()
		if err != nil {
			return
		}
		if c.Limits.FrameBytes < frameBytesMin || c.Sessions.TimeoutMsMin > c.Sessions.TimeoutMsMax || c.Client.Port < 0 || c.Client.Port > 65535 || c.Data.Dir == "" {
			t.Errorf("accepted: %+v", c)
		}
		if _, member := c.Self(); c.Format() == "" || (c.Ensemble != nil) != member {
			t.Errorf("accepted: %+v", c)
		}
	})
}
