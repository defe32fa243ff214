package shell

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/term"
)

// Exit codes.
const (
	ExitOK      = 0
	ExitError   = 1
	ExitUsage   = 2   // the shell's own arguments were wrong
	ExitUnknown = 127 // no such command
)

const usage = `usage: holt shell [-server host:port[,host:port...][/chroot]] [-timeout ms] [-r] [-waitforconnection] [command [arguments]]

Speaks to any ZooKeeper-speaking server with zkCli's commands: in a prompt with history and completion, or, with a
command, once. Without a terminal it reads commands from standard input, one a line.

  -server host:port   default 127.0.0.1:2181 or $HOLT_SERVER; several are tried in turn; /chroot goes before every path
  -timeout ms         session timeout to ask for, default 30000
  -r                  a server in read-only mode will do
  -waitforconnection  with a command: wait for a server as long as -timeout says

Exit codes: 0 done, 1 failed, 2 wrong arguments, 127 no such command. From standard input, that of the last failure.
`

// Shell runs commands on one session after another.
type Shell struct {
	client      *client
	out, err    io.Writer
	colours     colours
	version     string
	history     []string
	quietEvents atomic.Bool
	done        bool // quit was said
}

func (sh *Shell) printf(format string, args ...any) { fmt.Fprintf(sh.out, format, args...) }

// errUnknown is a command that does not exist.
type errUnknown string

func (e errUnknown) Error() string {
	return "Command not found: " + string(e) + "; help lists them"
}

// Main is "holt shell": args are what stands behind it, version what the version command prints.
func Main(args []string, in io.Reader, out, errOut io.Writer, version string) int {
	server := "127.0.0.1:2181"
	if s := os.Getenv("HOLT_SERVER"); s != "" {
		server = s
	}
	flags := flag.NewFlagSet("holt shell", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&server, "server", server, "")
	timeoutMs := flags.Int("timeout", 30000, "")
	readOnly := flags.Bool("r", false, "")
	wait := flags.Bool("waitforconnection", false, "")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(out, usage)
		return ExitOK
	}
	hosts, chroot, serverErr := splitServer(server)
	switch {
	case err == nil && serverErr != nil:
		err = fmt.Errorf("-server: %w", serverErr)
	case err == nil && *timeoutMs < 1:
		err = fmt.Errorf("-timeout takes milliseconds, not %d", *timeoutMs)
	}
	if err != nil {
		fmt.Fprintf(errOut, "holt shell: %v\n\n%s", err, usage)
		return ExitUsage
	}

	terminal := isTerminal(out)
	sh := &Shell{
		out: &sharedWriter{w: out}, err: errOut, version: version,
		colours: colours(terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"),
	}
	interactive := flags.NArg() == 0 && terminal && isTerminal(in)
	cfg := clientConfig{hosts: hosts, chroot: chroot, timeoutMs: *timeoutMs, readOnly: *readOnly}
	if flags.NArg() > 0 {
		return sh.once(cfg, flags.Args(), *wait)
	}
	cfg.event = sh.event
	if interactive {
		return sh.prompt(cfg)
	}
	return sh.script(cfg, in)
}

// sharedWriter lets events, which come on the client's goroutine, and commands print to one stream.
type sharedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *sharedWriter) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}

// isTerminal says whether a stream is one a person looks at.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// once runs the one command of the command line. A word is an argument as it is: the caller's shell has cut them.
func (sh *Shell) once(cfg clientConfig, words []string, wait bool) int {
	c, ok := findCommand(words[0])
	if !ok {
		return sh.fail(errUnknown(words[0]))
	}
	sh.quietEvents.Store(true)
	sh.client = dial(cfg)
	defer func() { sh.client.close() }()
	if !c.offline {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(cfg.timeoutMs)*time.Millisecond)
		defer cancel()
		if err := sh.client.connected(ctx, !wait); err != nil {
			return sh.fail(err)
		}
	}
	return sh.fail(sh.words(words))
}

// script reads commands from a pipe or a file and goes on after failures, as zkCli does.
func (sh *Shell) script(cfg clientConfig, in io.Reader) int {
	sh.client = dial(cfg)
	defer func() { sh.client.close() }()
	if err := sh.connected(); err != nil {
		return sh.fail(err)
	}
	code := ExitOK
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for !sh.done && lines.Scan() {
		if c := sh.fail(sh.enter(lines.Text())); c != ExitOK {
			code = c
		}
	}
	if err := lines.Err(); err != nil {
		return sh.fail(err)
	}
	return code
}

// connected waits for a session before the next command.
func (sh *Shell) connected() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(sh.client.cfg.timeoutMs)*time.Millisecond)
	defer cancel()
	return sh.client.connected(ctx, true)
}

// enter runs a line that a person or a script gave, and keeps it in the history.
func (sh *Shell) enter(line string) error {
	line = strings.TrimSpace(line)
	if line == "" {
		return nil
	}
	sh.history = append(sh.history, line)
	return sh.line(line)
}

func (sh *Shell) line(line string) error {
	words, err := splitWords(line)
	if err != nil || len(words) == 0 {
		return err
	}
	return sh.words(words)
}

// words runs one command.
func (sh *Shell) words(words []string) error {
	c, ok := findCommand(words[0])
	if !ok {
		return errUnknown(words[0])
	}
	o, err := parseOptions(words[1:], c.options)
	if n := len(o.args); err == nil && (n < c.args[0] || n > c.args[1]) {
		err = usagef("%s", argumentsWrong(n, c.args))
	}
	if err == nil {
		err = c.run(sh, &o)
	}
	var wrong usageError
	if errors.As(err, &wrong) {
		return usagef("%s\n%s", wrong, strings.TrimSpace(c.name+" "+c.usage))
	}
	return err
}

func argumentsWrong(n int, bounds [2]int) string {
	if n < bounds[0] {
		return "an argument is missing"
	}
	return "too many arguments; quote those with blanks"
}

// fail prints an error, if there is one, and returns the exit code that it stands for.
func (sh *Shell) fail(err error) int {
	if err == nil {
		return ExitOK
	}
	fmt.Fprintln(sh.err, sh.colours.failure(err.Error()))
	var unknown errUnknown
	if errors.As(err, &unknown) {
		return ExitUnknown
	}
	return ExitError
}

// event prints what the client reports, unless printwatches is off.
func (sh *Shell) event(e event) {
	if !sh.quietEvents.Load() {
		fmt.Fprintf(sh.out, "\n%s\n\n%s\n", sh.colours.event("WATCHER::"), sh.colours.event(e.String()))
	}
}
