package shell

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"holt/netloop/wire"
)

// command is one of zkCli's. run gets the words after its name; a usageError makes the usage be printed.
type command struct {
	name    string
	usage   string // after the name
	summary string
	options string // for parseOptions
	args    [2]int // how many words: least, most (-1: no limit)
	offline bool   // works without a connection
	run     func(sh *Shell, o *options) error
}

func commands() []command {
	return []command{
		{"addauth", "scheme [auth]", "present credentials", "", [2]int{1, 2}, false, addAuth},
		{"addWatch", "[-m PERSISTENT|PERSISTENT_RECURSIVE] path", "watch for good, by default everything below too", "m:", [2]int{1, 1}, false, addWatch},
		{"close", "", "end the session", "", [2]int{0, 0}, true, closeSession},
		{"config", "[-c] [-w] [-s]", "print the members", "c w s", [2]int{0, 0}, false, printConfig},
		{"connect", "[host:port]", "open a new session", "", [2]int{0, 1}, true, connect},
		{"create", "[-s] [-e] [-c] [-t ttl] path [data] [acl]", "make a znode: sequential, ephemeral, container, TTL in ms", "s e c t:", [2]int{1, 3}, false, create},
		{"delete", "[-v version] path", "remove a znode", "v:", [2]int{1, 1}, false, remove},
		{"deleteall", "path [-b batch size]", "remove a znode and all below it", "b:", [2]int{1, 1}, false, removeAll},
		{"delquota", "[-n|-b|-N|-B] path", "remove a quota, or one of its limits", "n b N B", [2]int{1, 1}, false, removeQuota},
		{"get", "[-s] [-w] [-b] [-x] path", "print the data: with stat, watched, as base64, as hex", "s w b x", [2]int{1, 1}, false, get},
		{"getAcl", "[-s] path", "print the access control list", "s", [2]int{1, 1}, false, getACL},
		{"getAllChildrenNumber", "path", "count all znodes below", "", [2]int{1, 1}, false, countAll},
		{"getEphemerals", "[path]", "list this session's ephemeral znodes", "", [2]int{0, 1}, false, listEphemerals},
		{"help", "[command]", "print this", "", [2]int{0, 1}, true, printHelp},
		{"history", "", "list the last commands", "", [2]int{0, 0}, true, printHistory},
		{"listquota", "path", "print a quota and what is used of it", "", [2]int{1, 1}, false, listQuota},
		{"ls", "[-s] [-w] [-R] path", "list the children: with stat, watched, all below", "s w R", [2]int{0, 1}, false, list},
		{"printwatches", "on|off", "whether events are printed", "", [2]int{0, 1}, true, printWatches},
		{"quit", "", "end the session and the shell", "", [2]int{0, 0}, true, quit},
		{"exit", "", "the same", "", [2]int{0, 0}, true, quit},
		{"reconfig", "[-s] [-v version] [-file path | -members list] [-add server]* [-remove id]*", "change the members", "s v: file: members: add: remove:", [2]int{0, 0}, false, reconfig},
		{"redo", "cmdno", "run a command of the history again", "", [2]int{1, 1}, true, redo},
		{"removewatches", "path [-c|-d|-p|-r|-a] [-l]", "remove child, data, persistent, recursive or all watches", "c d p r a l", [2]int{1, 1}, false, removeWatches},
		{"set", "path data [-s] [-v version] [-b]", "write the data, which may be given as base64", "s v: b", [2]int{2, 2}, false, set},
		{"setAcl", "[-s] [-v version] [-R] path acl", "write the access control list", "s v: R", [2]int{2, 2}, false, setACL},
		{"setquota", "-n|-b|-N|-B value path", "limit the znodes or bytes of a subtree; capitals are enforced", "n: b: N: B:", [2]int{1, 1}, false, setQuota},
		{"stat", "[-w] path", "print the stat", "w", [2]int{1, 1}, false, stat},
		{"sync", "path", "wait until this server has what the leader has", "", [2]int{1, 1}, false, syncPath},
		{"version", "", "print the version", "", [2]int{0, 0}, true, printVersion},
		{"whoami", "", "print the identities of this connection", "", [2]int{0, 0}, false, whoAmI},
	}
}

// findCommand looks a name up; like zkCli it minds case.
func findCommand(name string) (command, bool) {
	all := commands()
	i := slices.IndexFunc(all, func(c command) bool { return c.name == name })
	if i < 0 {
		return command{}, false
	}
	return all[i], true
}

func addAuth(sh *Shell, o *options) error {
	data := ""
	if len(o.args) == 2 {
		data = o.args[1]
	}
	err := sh.client.addAuth(o.args[0], data)
	if isCode(err, wire.CodeAuthFailed) {
		return fmt.Errorf("%w: the server refused scheme %s", err, o.args[0])
	}
	return err
}

func addWatch(sh *Shell, o *options) error {
	mode := wire.AddWatchPersistentRecursive
	switch name := o.last("m"); {
	case !o.has("m") || strings.EqualFold(name, "PERSISTENT_RECURSIVE"):
	case strings.EqualFold(name, "PERSISTENT"):
		mode = wire.AddWatchPersistent
	default:
		return usagef("no mode %s", name)
	}
	return sh.client.addWatch(o.args[0], mode)
}

func closeSession(sh *Shell, _ *options) error {
	sh.client.close()
	return nil
}

func connect(sh *Shell, o *options) error {
	cfg := sh.client.cfg
	if len(o.args) == 1 {
		hosts, chroot, err := splitServer(o.args[0])
		if err != nil {
			return err
		}
		cfg.hosts, cfg.chroot = hosts, chroot
	}
	sh.client.close()
	sh.client = dial(cfg)
	return sh.connected()
}

func create(sh *Shell, o *options) error {
	q := wire.CreateRequest{ACL: wire.MakeACLs(wire.ACL{Perms: wire.PermAll, Scheme: []byte("world"), ID: []byte("anyone")})}
	op := wire.OpCreate2
	sequential, ephemeral := o.has("s"), o.has("e")
	switch {
	case o.has("c") && (sequential || ephemeral):
		return usagef("-c cannot be combined with -s or -e. Containers cannot be ephemeral or sequential.")
	case o.has("t") && ephemeral:
		return usagef("TTLs cannot be used with Ephemeral znodes")
	case o.has("t") && o.has("c"):
		return usagef("TTLs cannot be used with Container znodes")
	case o.has("c"):
		op, q.Flags = wire.OpCreateContainer, wire.FlagContainer
	case o.has("t"):
		ttl, err := strconv.ParseInt(o.last("t"), 10, 64)
		if err != nil {
			return usagef("-t argument must be a long value")
		}
		op, q.Flags, q.TTLMs = wire.OpCreateTTL, wire.FlagPersistentTTL, ttl
		if sequential {
			q.Flags = wire.FlagPersistentSequentialTTL
		}
	case sequential && ephemeral:
		q.Flags = wire.FlagEphemeralSequential
	case sequential:
		q.Flags = wire.FlagPersistentSequential
	case ephemeral:
		q.Flags = wire.FlagEphemeral
	}
	if len(o.args) > 1 {
		q.Data = []byte(o.args[1])
	}
	if len(o.args) > 2 {
		acl, err := parseACL(o.args[2])
		if err != nil {
			return err
		}
		q.ACL = acl
	}
	made, err := sh.client.create(op, q, o.args[0])
	if err == nil {
		sh.printf("Created %s\n", made)
	}
	return err
}

func remove(sh *Shell, o *options) error {
	version, err := o.number("v", -1)
	if err != nil {
		return err
	}
	return sh.client.remove(o.args[0], version)
}

func get(sh *Shell, o *options) error {
	data, stat, err := sh.client.get(o.args[0], o.has("w"))
	if err != nil {
		return err
	}
	switch {
	case data == nil:
		sh.printf("null\n")
	case o.has("b"):
		sh.printf("%s\n", base64.StdEncoding.EncodeToString(data))
	case o.has("x"):
		printHex(sh.out, data)
	default:
		sh.printf("%s\n", data)
	}
	if o.has("s") {
		sh.colours.printStat(sh.out, stat)
	}
	return nil
}

func set(sh *Shell, o *options) error {
	version, err := o.number("v", -1)
	if err != nil {
		return err
	}
	data := []byte(o.args[1])
	if o.has("b") {
		if data, err = parseBase64(o.args[1]); err != nil {
			return err
		}
	}
	stat, err := sh.client.set(o.args[0], data, version)
	if err == nil && o.has("s") {
		sh.colours.printStat(sh.out, stat)
	}
	return err
}

func getACL(sh *Shell, o *options) error {
	acl, stat, err := sh.client.getACL(o.args[0])
	if err != nil {
		return err
	}
	printACL(sh.out, acl)
	if o.has("s") {
		sh.colours.printStat(sh.out, stat)
	}
	return nil
}

func setACL(sh *Shell, o *options) error {
	version, err := o.number("v", -1)
	if err != nil {
		return err
	}
	acl, err := parseACL(o.args[1])
	if err != nil {
		return err
	}
	paths := []string{o.args[0]}
	if o.has("R") {
		if paths, err = sh.client.subtree(o.args[0]); err != nil {
			return err
		}
	}
	for _, path := range paths {
		stat, err := sh.client.setACL(path, acl, version)
		if err != nil {
			return err
		}
		if o.has("s") {
			sh.colours.printStat(sh.out, stat)
		}
	}
	return nil
}

func countAll(sh *Shell, o *options) error {
	n, err := sh.client.descendants(o.args[0])
	if err == nil {
		sh.printf("%d\n", n)
	}
	return err
}

func listEphemerals(sh *Shell, o *options) error {
	prefix := "/"
	if len(o.args) == 1 {
		prefix = o.args[0]
	}
	paths, err := sh.client.ephemerals(prefix)
	if err == nil {
		printList(sh.out, paths)
	}
	return err
}

func list(sh *Shell, o *options) error {
	path := "/"
	if len(o.args) == 1 {
		path = o.args[0]
	}
	if o.has("R") {
		return sh.client.walk(path, func(path string) error {
			sh.printf("%s\n", path)
			return nil
		})
	}
	names, stat, err := sh.client.children(path, o.has("w"))
	if err != nil {
		return err
	}
	printList(sh.out, names)
	if o.has("s") {
		sh.colours.printStat(sh.out, stat)
	}
	return nil
}

func stat(sh *Shell, o *options) error {
	stat, err := sh.client.exists(o.args[0], o.has("w"))
	if err == nil {
		sh.colours.printStat(sh.out, stat)
	}
	return err
}

func syncPath(sh *Shell, o *options) error {
	err := sh.client.sync(o.args[0])
	if err == nil {
		sh.printf("Sync is OK\n")
	}
	return err
}

func whoAmI(sh *Shell, _ *options) error {
	ids, err := sh.client.whoAmI()
	if err != nil {
		return err
	}
	sh.printf("Auth scheme: User\n")
	for _, id := range ids {
		sh.printf("%s: %s\n", id.AuthScheme, id.User)
	}
	return nil
}

func removeWatches(sh *Shell, o *options) error {
	typ, given := wire.WatchAny, 0
	for name, t := range map[string]wire.WatchType{
		"c": wire.WatchChildren, "d": wire.WatchData, "p": wire.WatchPersistent, "r": wire.WatchPersistentRecursive, "a": wire.WatchAny,
	} {
		if o.has(name) {
			typ = t
			given++
		}
	}
	if given > 1 {
		return usagef("one of -c, -d, -p, -r and -a at most")
	}
	return sh.client.removeWatches(o.args[0], typ, o.has("l"))
}

func printConfig(sh *Shell, o *options) error {
	data, stat, err := sh.client.config(o.has("w"))
	if err != nil {
		return err
	}
	if o.has("c") {
		sh.printf("%s\n", clientAddresses(string(data)))
	} else {
		sh.printf("%s\n", data)
	}
	if o.has("s") {
		sh.colours.printStat(sh.out, stat)
	}
	return nil
}

// clientAddresses turns a configuration into "host:port,host:port version", as zkCli's -c does.
func clientAddresses(config string) string {
	var hosts []string
	version := ""
	for line := range strings.Lines(config) {
		line = strings.TrimSpace(line)
		if v, ok := strings.CutPrefix(line, "version="); ok {
			version = v
			continue
		}
		if _, client, ok := strings.Cut(line, ";"); ok && strings.HasPrefix(line, "server.") {
			hosts = append(hosts, client)
		}
	}
	return strings.Join(hosts, ",") + " " + version
}

func reconfig(sh *Shell, o *options) error {
	q := wire.ReconfigRequest{ConfigID: -1}
	if o.has("v") {
		version, err := strconv.ParseInt(o.last("v"), 16, 64)
		if err != nil {
			return usagef("-v takes a version in hexadecimal, not %q", o.last("v"))
		}
		q.ConfigID = version
	}
	whole, step := o.has("file") || o.has("members"), o.has("add") || o.has("remove")
	switch {
	case whole && step:
		return usagef("-file and -members set the whole list, -add and -remove change it: use one kind")
	case !whole && !step:
		return usagef("nothing to change")
	case o.has("file"):
		text, err := os.ReadFile(o.last("file"))
		if err != nil {
			return err
		}
		q.NewMembers = []byte(strings.Join(memberLines(string(text)), ","))
	case o.has("members"):
		q.NewMembers = []byte(o.last("members"))
	default:
		if o.has("add") {
			q.Joining = []byte(strings.Join(o.values["add"], ","))
		}
		if o.has("remove") {
			q.Leaving = []byte(strings.Join(o.values["remove"], ","))
		}
	}
	data, stat, err := sh.client.reconfig(q)
	if err != nil {
		return err
	}
	sh.printf("Committed new configuration:\n%s\n", data)
	if o.has("s") {
		sh.colours.printStat(sh.out, stat)
	}
	return nil
}

// memberLines are the server lines of a configuration file.
func memberLines(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "server.") {
			lines = append(lines, line)
		}
	}
	return lines
}

func printWatches(sh *Shell, o *options) error {
	if len(o.args) == 1 {
		if o.args[0] != "on" && o.args[0] != "off" {
			return usagef("on or off, not %q", o.args[0])
		}
		sh.quietEvents.Store(o.args[0] == "off")
		return nil
	}
	state := "on"
	if sh.quietEvents.Load() {
		state = "off"
	}
	sh.printf("printwatches is %s\n", state)
	return nil
}

func printVersion(sh *Shell, _ *options) error {
	sh.printf("%s\n", sh.version)
	return nil
}

func printHistory(sh *Shell, _ *options) error {
	for i := max(0, len(sh.history)-11); i < len(sh.history); i++ {
		sh.printf("%d - %s\n", i, sh.history[i])
	}
	return nil
}

func redo(sh *Shell, o *options) error {
	i, err := strconv.Atoi(o.args[0])
	if err != nil || i < 0 || i >= len(sh.history)-1 {
		return errors.New("Command index out of range") //nolint:staticcheck // ZooKeeper's words
	}
	line := sh.history[i]
	if strings.HasPrefix(strings.TrimSpace(line), "redo") {
		return errors.New("a redo cannot be done again")
	}
	sh.history[len(sh.history)-1] = line
	return sh.line(line)
}

func quit(sh *Shell, _ *options) error {
	sh.done = true
	return nil
}

func printHelp(sh *Shell, o *options) error {
	if len(o.args) == 1 {
		c, ok := findCommand(o.args[0])
		if !ok {
			return errUnknown(o.args[0])
		}
		sh.printf("%s %s\n    %s\n", c.name, c.usage, c.summary)
		return nil
	}
	for _, c := range commands() {
		sh.printf("  %-60s %s\n", strings.TrimSpace(c.name+" "+c.usage), c.summary)
	}
	return nil
}
