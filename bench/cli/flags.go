package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"holt/bench"
)

// options are the arguments of one holt bench.
type options struct {
	bench.Config
	json, html string
	file       string
	quiet      bool
}

// option is a flag of holt bench. The order here is that of the help.
type option struct {
	name, args, help string
	set              func(o *options, value string) error
}

func number(field func(o *options) *int) func(*options, string) error {
	return func(o *options, value string) error {
		v, err := strconv.Atoi(strings.ReplaceAll(value, "_", ""))
		if err != nil {
			return errors.New("not a whole number")
		}
		*field(o) = v
		return nil
	}
}

func span(field func(o *options) *time.Duration) func(*options, string) error {
	return func(o *options, value string) error {
		v, err := time.ParseDuration(value)
		if err != nil {
			return errors.New("not a time such as 10s or 500ms")
		}
		*field(o) = v
		return nil
	}
}

func text(field func(o *options) *string) func(*options, string) error {
	return func(o *options, value string) error {
		*field(o) = value
		return nil
	}
}

func parsed[T any](field func(o *options) *T, parse func(string) (T, error)) func(*options, string) error {
	return func(o *options, value string) (err error) {
		*field(o), err = parse(value)
		return err
	}
}

func truth(field func(o *options) *bool) func(*options, string) error {
	return parsed(field, func(s string) (bool, error) {
		if s == "" {
			return true, nil
		}
		return strconv.ParseBool(s)
	})
}

// allOptions is the table of flags, also of the keys of a workload file.
func allOptions() []option {
	return []option{
		{"servers", "HOST:PORT,...", "the servers; connections go to them in turn (default 127.0.0.1:2181)", parsed(func(o *options) *[]string { return &o.Servers }, parseList)},
		{"conns", "N", "connections, each a session (default 64)", number(func(o *options) *int { return &o.Conns })},
		{"pipeline", "N", "requests under way on each connection, in a closed loop (default 1)", number(func(o *options) *int { return &o.Pipeline })},
		{"rate", "N", "an open loop: so many requests per second in all, whatever the server does; latency counts from when a request was due", parsed(func(o *options) *float64 { return &o.Rate }, parseFloat)},
		{"poisson", "", "an open loop's requests come at random intervals, not at equal ones", truth(func(o *options) *bool { return &o.Poisson })},
		{"warmup", "TIME", "load before measuring begins (default 2s)", span(func(o *options) *time.Duration { return &o.Warmup })},
		{"duration", "TIME", "how long to measure (default 10s)", span(func(o *options) *time.Duration { return &o.Duration })},
		{"threads", "N", "event loops of the load generator (default 1: it is good for millions of requests per second)", number(func(o *options) *int { return &o.Threads })},
		{"nodes", "N", "znodes to read, write or watch (default 10000)", number(func(o *options) *int { return &o.Nodes })},
		{"value", "BYTES", "size of a znode's data, or a range such as 10-1000 (default 100)", parsed(func(o *options) *bench.Range { return &o.Value }, bench.ParseRange)},
		{"keys", "HOW", "which znode a request is for: uniform, zipfian[:THETA], hot[:PART:SHARE] (default uniform; theta 0.99; 0.01:0.9 is a hundredth of the znodes that gets nine tenths of the requests)", parsed(func(o *options) *bench.Keys { return &o.Keys }, bench.ParseKeys)},
		{"fanout", "N", "children of a directory that is listed (default 1000)", number(func(o *options) *int { return &o.Fanout })},
		{"ops", "N", "operations of a multi (default 10)", number(func(o *options) *int { return &o.Ops })},
		{"mix", "OP=WEIGHT,...", "operations of mixed and soak: " + strings.Join(bench.MixOps(), ", "), parsed(func(o *options) *[]bench.Share { return &o.Mix }, bench.ParseMix)},
		{"watches", "N", "watches in all, for wide-watch and storm (default 100000)", number(func(o *options) *int { return &o.Watches })},
		{"mode", "HOW", "of watches: oneshot or persistent (default oneshot)", text(func(o *options) *string { return &o.Mode })},
		{"writers", "N", "connections that write while others watch, beside --conns; in queue the producers among them", number(func(o *options) *int { return &o.Writers })},
		{"locks", "N", "locks of lock (default 1)", number(func(o *options) *int { return &o.Locks })},
		{"hold", "TIME", "how long a lock or an office is held (default: not at all), or an instance rests between changes", span(func(o *options) *time.Duration { return &o.Hold })},
		{"services", "N", "services of discovery (default 10)", number(func(o *options) *int { return &o.Services })},
		{"every", "TIME", "from the end of one storm to the next (default 5s)", span(func(o *options) *time.Duration { return &o.Every })},
		{"file", "FILE", "a workload file: flags, and operations with sizes and keys of their own (docs/bench.md); flags beside it win", text(func(o *options) *string { return &o.file })},
		{"pid", "N,...", "processes of the servers, on this machine: their CPU time and memory are reported", parsed(func(o *options) *[]int { return &o.PIDs }, parsePIDs)},
		{"session-timeout", "TIME", "asked for by every session (default 30s)", span(func(o *options) *time.Duration { return &o.SessionTimeout })},
		{"timeout", "TIME", "after which a watch event counts as lost (default 10s)", span(func(o *options) *time.Duration { return &o.Timeout })},
		{"connect-at-once", "N", "connections that may be in the making at the same time (default 64 per thread)", number(func(o *options) *int { return &o.ConnectAtOnce })},
		{"root", "PATH", "the znode below which everything is made (default: a new one below /bench)", parsed(func(o *options) *string { return &o.Root }, parseRoot)},
		{"keep", "", "do not remove what was made", truth(func(o *options) *bool { return &o.Keep })},
		{"filled", "", "the znodes are there already, from a run with the same --root, --nodes and --keep", truth(func(o *options) *bool { return &o.Filled })},
		{"seed", "N", "of every random choice (default 0)", parsed(func(o *options) *uint64 { return &o.Seed }, func(s string) (uint64, error) { return strconv.ParseUint(s, 10, 64) })},
		{"name", "WORD", "of this run, in reports (default: the workload)", text(func(o *options) *string { return &o.Name })},
		{"json", "FILE", "write the report, for holt bench compare and for programs", text(func(o *options) *string { return &o.json })},
		{"html", "FILE", "write the report as one page with plots", text(func(o *options) *string { return &o.html })},
		{"quiet", "", "no progress on the terminal", truth(func(o *options) *bool { return &o.quiet })},
	}
}

func parseList(s string) ([]string, error) {
	list := strings.Split(s, ",")
	for i := range list {
		if list[i] = strings.TrimSpace(list[i]); list[i] == "" {
			return nil, errors.New("an empty name in the list")
		}
	}
	return list, nil
}

func parsePIDs(s string) (pids []int, err error) {
	for word := range strings.SplitSeq(s, ",") {
		pid, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || pid <= 0 {
			return nil, fmt.Errorf("%q is not a process number", word)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

func parseFloat(s string) (float64, error) {
	return strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
}

func parseRoot(s string) (string, error) {
	if !strings.HasPrefix(s, "/") || len(s) < 2 || strings.HasSuffix(s, "/") {
		return "", errors.New("not the path of a znode, such as /bench/mine")
	}
	return s, nil
}

// flagValue makes an option a flag.Value.
type flagValue struct {
	o      *options
	option option
}

func (v flagValue) String() string     { return "" }
func (v flagValue) Set(s string) error { return v.option.set(v.o, s) }

// IsBoolFlag lets --keep stand alone.
func (v flagValue) IsBoolFlag() bool { return v.option.args == "" }

// parseFlags reads the flags of a run into o and returns the words between them.
func parseFlags(o *options, args []string) (words []string, err error) {
	flags := flag.NewFlagSet("holt bench", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	for _, option := range allOptions() {
		flags.Var(flagValue{o, option}, option.name, option.help)
	}
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return words, nil
		}
		words = append(words, flags.Arg(0))
		args = flags.Args()[1:]
	}
}
