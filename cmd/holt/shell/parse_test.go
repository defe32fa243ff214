package shell

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"holt/netloop/wire"
)

func TestSplitWords(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{`ls /`, `["ls" "/"]`},
		{"  create   /a\t'two words' ", `["create" "/a" "two words"]`},
		{`set /a "it's"`, `["set" "/a" "it's"]`},
		{`set /a {"k":"v"}`, `["set" "/a" "{\"k\":\"v\"}"]`},
		{`set /a ""`, `["set" "/a" ""]`},
		{`set /a back\slash`, `["set" "/a" "back\\slash"]`},
		{``, `[]`},
		{`set /a "open`, `no closing "`},
	} {
		words, err := splitWords(test.line)
		got := fmt.Sprintf("%q", words)
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: got %s, want %s", test.line, got, test.want)
		}
	}
}

func TestParseOptions(t *testing.T) {
	for _, test := range []struct{ line, spec, want string }{
		{"-s /a", "s w", "map[s:[]] [/a]"},
		{"/a data -v 3 -s", "s v:", "map[s:[] v:[3]] [/a data]"},
		{"-sw /a", "s w", "map[s:[] w:[]] [/a]"},
		{"/a -1", "s", "map[] [/a -1]"},
		{"-- -s", "s", "map[] [-s]"},
		{"/a -", "s", "map[] [/a -]"},
		{"-add a -add b", "add:", "map[add:[a b]] []"},
		{"-q", "s", "no option -q"},
		{"-v", "v:", "-v takes an argument"},
	} {
		o, err := parseOptions(strings.Fields(test.line), test.spec)
		got := fmt.Sprint(o.values, " ", o.args)
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: got %s, want %s", test.line, got, test.want)
		}
	}
}

func TestParseACL(t *testing.T) {
	acl, err := parseACL("world:anyone:r,digest:u:h=:cdrwa, ip:10.0.0.0/8:rw")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	printACL(&b, acl)
	if want := "'world,'anyone\n: r\n'digest,'u:h=\n: cdrwa\n'ip,'10.0.0.0/8\n: rw\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
	for text, want := range map[string]string{
		"world:anyone": "world:anyone does not have the form scheme:id:perm", "": " does not have the form scheme:id:perm",
		"world:anyone:rx": "Unknown perm type: x",
	} {
		if _, err := parseACL(text); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestSplitServer(t *testing.T) {
	for _, test := range []struct{ server, want string }{
		{"h", "[h:2181] "},
		{"h:1,g:2/a/b/", "[h:1 g:2] /a/b"},
		{":2182", "[127.0.0.1:2182] "},
		{"[::1]:9/x", "[[::1]:9] /x"},
		{"[::1]", "[[::1]:2181] "},
		{"::1", "[[::1]:2181] "},
		{"h:1/", "[h:1] "},
		{"", `"" names no host`},
		{"a,,b", `"a,,b" names no host`},
	} {
		hosts, chroot, err := splitServer(test.server)
		got := fmt.Sprint(hosts, " ", chroot)
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: got %s, want %s", test.server, got, test.want)
		}
	}
}

func TestQuotaText(t *testing.T) {
	const text = "count=5,bytes=-1=;byteHardLimit=7;countHardLimit=9"
	if l := parseLimits(text); l != (limits{5, -1, 9, 7}) || l.String() != text {
		t.Errorf("got %+v, %s", l, l)
	}
	if l := parseLimits("count=5,bytes=6"); l != (limits{5, 6, -1, -1}) {
		t.Errorf("without hard limits: %+v", l)
	}
}

func TestClientAddresses(t *testing.T) {
	config := "server.1=a:1:2:participant;0.0.0.0:2181\nserver.2=b:1:2:observer;b:2182\nversion=100000000"
	if got := clientAddresses(config); got != "0.0.0.0:2181,b:2182 100000000" {
		t.Errorf("got %q", got)
	}
}

// The names, options and arguments of zkCli 3.9.5, as it prints them itself, are all there.
func TestEveryCommandOfZkCli(t *testing.T) {
	for _, usage := range []string{
		"addWatch m: 1", "addauth 2", "close 0", "config c w s 0", "connect 1", "create s e c t: 1", "create s e c t: 3",
		"delete v: 1", "deleteall b: 1", "delquota n b N B 1", "get s w b x 1", "getAcl s 1", "getAllChildrenNumber 1",
		"getEphemerals 1", "history 0", "listquota 1", "ls s w R 1", "printwatches 1", "quit 0",
		"reconfig s v: file: members: add: remove: 0", "redo 1", "removewatches c d a l 1", "set s v: b 2", "setAcl s v: R 2",
		"setquota n: b: N: B: 1", "stat w 1", "sync 1", "version 0", "whoami 0",
	} {
		fields := strings.Fields(usage)
		c, ok := findCommand(fields[0])
		if !ok {
			t.Errorf("no command %s", fields[0])
			continue
		}
		for _, option := range fields[1 : len(fields)-1] {
			if !slices.Contains(strings.Fields(c.options), option) {
				t.Errorf("%s: no option %s", c.name, option)
			}
		}
		var n int
		if _, err := fmt.Sscan(fields[len(fields)-1], &n); err != nil || n < c.args[0] || n > c.args[1] {
			t.Errorf("%s does not take %d arguments", c.name, n)
		}
	}
}

func TestPrintHex(t *testing.T) {
	var b strings.Builder
	printHex(&b, []byte("hello\x00world, again"))
	want := `         +-------------------------------------------------+
         |  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f |
+--------+-------------------------------------------------+----------------+
|00000000| 68 65 6c 6c 6f 00 77 6f 72 6c 64 2c 20 61 67 61 |hello.world, aga|
|00000010| 69 6e                                           |in              |
+--------+-------------------------------------------------+----------------+
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestS4_PasswordsStayOutOfTheHistoryFile(t *testing.T) {
	for line, want := range map[string]bool{"ls /": true, " addauth digest u:p": false, "  ": false} {
		if keep(line) != want {
			t.Errorf("keep(%q) = %v", line, !want)
		}
	}
}

func TestComplete(t *testing.T) {
	tails, length := complete("/a/b", []string{"/a/bc", "/a/x", "/a/b", "/a/ba"})
	if len(tails) != 2 || string(tails[0]) != "a" || string(tails[1]) != "c" || length != 4 {
		t.Errorf("got %q %d", tails, length)
	}
}

func TestWatchesAreUsedUp(t *testing.T) {
	w := newWatches()
	for kind := range w {
		w[kind]["/a"] = true
	}
	w.fired(wire.EventNodeDataChanged, "/a")
	if w[watchData]["/a"] || w[watchExist]["/a"] || !w[watchChild]["/a"] || !w[watchPersistent]["/a"] {
		t.Errorf("after data changed: %v", w)
	}
	w.fired(wire.EventNodeDeleted, "/a")
	if w[watchChild]["/a"] || !w[watchRecursive]["/a"] {
		t.Errorf("after deleted: %v", w)
	}
	q, any := w.request(7, func(p string) []byte { return []byte("/root" + p) })
	if got := fmt.Sprintf("%v %d %d %q", any, q.RelativeZxid, q.Data.Len(), stringsOf(q.Persistent)); got != `true 7 0 ["/root/a"]` {
		t.Errorf("got %s", got)
	}
	if gone := w.removed(wire.WatchAny, "/a"); len(gone) != 2 {
		t.Errorf("gone %v", gone)
	}
}

func FuzzSplitWords(f *testing.F) {
	f.Add(`set /a "b c" 'd`)
	f.Fuzz(func(t *testing.T, line string) {
		words, err := splitWords(line)
		if err != nil {
			return
		}
		if o, err := parseOptions(words, "s w v: add:"); err == nil && len(o.args) > len(words) {
			t.Errorf("%q: more arguments than words: %q", line, o.args)
		}
		if len(words) > 0 {
			_, _, _ = splitServer(words[0])
			_, _ = parseACL(words[0])
			_ = parseLimits(words[0])
		}
	})
}
