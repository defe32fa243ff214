package config

import (
	"fmt"
	"slices"
	"strings"
)

// Reference is the page docs/configuration.md, printed from Keys so that it cannot go stale.
func Reference() string {
	var b strings.Builder
	b.WriteString(referenceHead)
	b.WriteString("\n## Keys that Holt uses\n\n| key | default | takes | meaning | flag and variable |\n| --- | --- | --- | --- | --- |\n")
	for i := range usedKeys {
		k := &usedKeys[i]
		names := append([]string{k.Flag(), k.Variable()}, k.Env...)
		names = slices.DeleteFunc(names, func(name string) bool { return name == "" })
		value := k.Default()
		if value == "" {
			value = "none"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | `%s` |\n", k.Name, cell(value), cell(k.Takes), cell(k.Doc), strings.Join(names, "` `"))
	}
	b.WriteString("\n## Keys that are accepted, and why they change nothing\n\n" +
		"Their values are checked where ZooKeeper checks them. Those marked * give a warning at start when they are on.\n\n" +
		"| key | what stands in its place |\n| --- | --- |\n")
	for i := range acceptedKeys {
		k := &acceptedKeys[i]
		mark := ""
		if k.Kind == Noted {
			mark = " *"
		}
		doc := k.Doc
		if k.Takes != "" {
			doc += ". (It takes " + strings.TrimPrefix(k.Takes, ", ") + ".)"
		}
		fmt.Fprintf(&b, "| `%s`%s | %s |\n", k.Name, mark, cell(doc))
	}
	return b.String()
}

// cell protects what would end a table cell.
func cell(text string) string { return strings.ReplaceAll(text, "|", "\\|") }

const referenceHead = `# Configuration

<!-- Printed from the table in cmd/holt/config by "make docs"; a test compares. -->

    bin/holt server                                 defaults
    bin/holt server --client-addr :2181             flags
    bin/holt server conf/zoo.cfg                    ZooKeeper's own file, as it is
    bin/holt server 2181 ./data                     ZooKeeper's old short form: port, directory [, tickTime [, maxClientCnxns]]
    bin/holt server --check conf/zoo.cfg            print what would be used and where each value comes from; do not start

**Precedence**: flag, then ` + "`HOLT_*`" + ` variable, then ` + "`ZOO_*`" + ` variable of ZooKeeper's container image
(` + "`ZOO_SERVERS` and `ZOO_CFG_EXTRA`" + ` too), then ` + "`-Dzookeeper.name=value` in `JVMFLAGS` or `SERVER_JVMFLAGS`" + `, then the file,
then the default.

**Names**: every key below is taken in the file, with or without ` + "`zookeeper.`" + ` in front, also those that ZooKeeper takes only as
a Java property. The file is a Java properties file (` + "`=`, `:` or a blank between key and value, `#` and `!`" + ` for comments, a
backslash to continue a line); text is UTF-8.

**Mistakes**: a value that makes no sense is an error with file and line, and the server does not start. An unknown key is a warning.
What would be unsafe to leave out is an error too: TLS ports, required authentication, weighted quorums.
`
