package shell

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/chzyer/readline"
)

const (
	historyFile    = ".holt_history" // in the home directory
	historyLines   = 1000
	completionsMax = 200 // children offered at most
)

// prompt reads commands from a terminal until quit or the end of input.
func (sh *Shell) prompt(cfg clientConfig) int {
	rl, err := readline.NewEx(&readline.Config{
		HistoryFile: historyPath(), HistoryLimit: historyLines, DisableAutoSaveHistory: true, HistorySearchFold: true,
		AutoComplete: &completer{sh}, InterruptPrompt: "^C", EOFPrompt: "quit",
	})
	if err != nil {
		return sh.fail(err)
	}
	defer func() {
		if err := rl.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err) // rl's own streams are gone
		}
	}()
	sh.out, sh.err = rl.Stdout(), rl.Stderr() // so that events do not tear the line being typed
	sh.printf("Connecting to %s\n", strings.Join(cfg.hosts, ","))
	sh.client = dial(cfg)
	defer func() { sh.client.close() }()
	if err := sh.connected(); err != nil {
		sh.fail(fmt.Errorf("%w; trying on", err))
	}
	for !sh.done {
		rl.SetPrompt(sh.promptText())
		line, err := rl.Readline()
		switch {
		case errors.Is(err, readline.ErrInterrupt):
			continue
		case errors.Is(err, io.EOF):
			return ExitOK
		case err != nil:
			return sh.fail(err)
		}
		if keep(line) {
			if err := rl.SaveHistory(line); err != nil {
				sh.fail(fmt.Errorf("keeping the history: %w", err))
			}
		}
		sh.fail(sh.enter(line))
	}
	return ExitOK
}

// keep says whether a line may go to the history file: not those with passwords.
func keep(line string) bool {
	line = strings.TrimSpace(line)
	return line != "" && !strings.HasPrefix(line, "addauth")
}

func (sh *Shell) promptText() string {
	host, state := sh.client.status()
	return sh.colours.prompt(fmt.Sprintf("[zk: %s%s(%s) %d] ", host, sh.client.cfg.chroot, state, len(sh.history)))
}

// historyPath is "" when there is no home directory: no history is kept then.
func historyPath() string {
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, historyFile)
}

// completer offers commands for the first word, and children for a word that begins with a slash.
type completer struct{ sh *Shell }

// Do implements readline.AutoCompleter: what may follow the text before the cursor, and how much of it is shared.
func (c *completer) Do(line []rune, pos int) (tails [][]rune, length int) {
	text := string(line[:pos])
	words := strings.Fields(text)
	word := ""
	if len(words) > 0 && !strings.HasSuffix(text, " ") {
		word = words[len(words)-1]
		words = words[:len(words)-1]
	}
	var candidates []string
	switch {
	case len(words) == 0:
		for _, command := range commands() {
			candidates = append(candidates, command.name+" ")
		}
	case strings.HasPrefix(word, "/"):
		candidates = c.children(word)
	case words[0] == "help":
		for _, command := range commands() {
			candidates = append(candidates, command.name)
		}
	}
	return complete(word, candidates)
}

// complete keeps the candidates that begin with word and cuts it off them.
func complete(word string, candidates []string) (tails [][]rune, length int) {
	slices.Sort(candidates)
	for _, candidate := range candidates {
		if tail, ok := strings.CutPrefix(candidate, word); ok && tail != "" && len(tails) < completionsMax {
			tails = append(tails, []rune(tail))
		}
	}
	return tails, len([]rune(word))
}

// children lists the znodes that the word may become.
func (c *completer) children(word string) (paths []string) {
	parent := word[:max(strings.LastIndex(word, "/"), 1)]
	names, _, err := c.sh.client.children(parent, false)
	if err != nil {
		return nil
	}
	for _, name := range names {
		paths = append(paths, join(parent, name))
	}
	return paths
}
