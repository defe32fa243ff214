package admin

import "strings"

// words are the four-letter words that the server port understands.
var words = []string{
	"conf", "cons", "crst", "dirs", "dump", "envi", "gtmk", "hash", "isro", "mntr", "ruok", "srst", "srvr", "stat", "stmk",
	"wchc", "wchp", "wchs",
}

// telnetInterrupt is what telnet sends when its user interrupts it; the connection is closed without an answer.
const telnetInterrupt = "\xff\xf4\xff\xfd"

// IsFourLetterWord says whether the first four bytes of a fresh connection are a word, whitelisted or not, and not a length.
func IsFourLetterWord(first []byte) bool {
	for _, w := range words {
		if string(first) == w {
			return true
		}
	}
	return string(first) == telnetInterrupt
}

// DefaultWhitelist is what is answered if the operator says nothing: words that probes and monitors send, that cost little and
// tell no secrets. ZooKeeper's own default is srvr alone.
const DefaultWhitelist = "ruok, srvr, mntr, isro"

// Whitelist is the set of words that are answered. The zero value answers none.
type Whitelist struct{ allowed map[string]bool }

// ParseWhitelist reads 4lw.commands.whitelist: words with commas between, or * for all; srvr is allowed always, as zkServer.sh asks
// it (FourLetterCommands.isEnabled). Words that do not exist are returned, for a warning.
func ParseWhitelist(list string) (w Whitelist, unknown []string) {
	w.allowed = map[string]bool{"srvr": true}
	for _, name := range strings.Split(list, ",") {
		name = strings.TrimSpace(name)
		switch {
		case name == "*":
			for _, known := range words {
				w.allowed[known] = true
			}
		case name == "":
		case len(name) == 4 && IsFourLetterWord([]byte(name)):
			w.allowed[name] = true
		default:
			unknown = append(unknown, name)
		}
	}
	return w, unknown
}

// Allows says whether a word is answered.
func (w Whitelist) Allows(word string) bool { return w.allowed[word] }
