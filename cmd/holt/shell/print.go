package shell

import (
	"fmt"
	"io"
	"strings"
	"time"

	"holt/netloop/wire"
)

// colours marks up text, on a terminal only.
type colours bool

func (on colours) paint(code, text string) string {
	if !on || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (on colours) failure(text string) string { return on.paint("31", text) }
func (on colours) event(text string) string   { return on.paint("33", text) }
func (on colours) name(text string) string    { return on.paint("36", text) }
func (on colours) prompt(text string) string  { return on.paint("1", text) }

// printStat prints a Stat as zkCli does.
func (on colours) printStat(w io.Writer, s wire.Stat) {
	field := func(name string, value any) { fmt.Fprintf(w, "%s = %v\n", on.name(name), value) }
	field("cZxid", hex(s.Czxid))
	field("ctime", javaTime(s.Ctime))
	field("mZxid", hex(s.Mzxid))
	field("mtime", javaTime(s.Mtime))
	field("pZxid", hex(s.Pzxid))
	field("cversion", s.Cversion)
	field("dataVersion", s.Version)
	field("aclVersion", s.Aversion)
	field("ephemeralOwner", hex(s.EphemeralOwner))
	field("dataLength", s.DataLength)
	field("numChildren", s.NumChildren)
}

func hex(v int64) string { return fmt.Sprintf("0x%x", uint64(v)) }

// javaTime is what java.util.Date prints.
func javaTime(ms int64) string { return time.UnixMilli(ms).Format("Mon Jan 02 15:04:05 MST 2006") }

func printACL(w io.Writer, acl wire.ACLs) {
	for {
		a, ok := acl.Next()
		if !ok {
			return
		}
		fmt.Fprintf(w, "'%s,'%s\n: %s\n", a.Scheme, a.ID, formatPerms(a.Perms))
	}
}

// printList prints names as Java prints a list.
func printList(w io.Writer, names []string) { fmt.Fprintf(w, "[%s]\n", strings.Join(names, ", ")) }

// printHex prints data as Netty's ByteBufUtil does, which zkCli uses.
func printHex(w io.Writer, data []byte) {
	if len(data) == 0 {
		return
	}
	fmt.Fprint(w, "         +-------------------------------------------------+\n"+
		"         |  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f |\n"+
		"+--------+-------------------------------------------------+----------------+\n")
	for at := 0; at < len(data); at += 16 {
		row := data[at:min(at+16, len(data))]
		var digits, text strings.Builder
		for _, b := range row {
			fmt.Fprintf(&digits, " %02x", b)
			if b < 0x20 || b > 0x7e {
				b = '.'
			}
			text.WriteByte(b)
		}
		fmt.Fprintf(w, "|%08x|%-48s |%-16s|\n", at, digits.String(), text.String())
	}
	fmt.Fprint(w, "+--------+-------------------------------------------------+----------------+\n")
}
