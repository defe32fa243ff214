package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"holt/cmd/holt/config"
)

const serverUsage = `usage: holt server [flags] [zoo.cfg]
       holt server [flags] port dataDir [tickTime [maxClientCnxns]]

Serves ZooKeeper clients. A zoo.cfg is read as it is; flags win over HOLT_* variables, those over the file.
docs/configuration.md describes every key. SIGTERM and SIGINT stop the server gracefully, a second one at once.

  --check
      Print the effective configuration and where each value comes from; do not start.
`

// serverCommand is "holt server".
func serverCommand(args []string, std stdio) int {
	sources := config.Sources{Environ: os.Environ()}
	check := false
	flags := flag.NewFlagSet("holt server", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&check, "check", false, "")
	sources.Register(flags)
	words, err := parseAround(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(std.out, serverUsage)
		config.PrintFlags(std.out)
		return exitOK
	case err == nil:
		err = serverWords(&sources, words)
	}
	if err != nil {
		fmt.Fprintf(std.err, "holt server: %v\nholt server --help lists the flags.\n", err)
		return exitUsage
	}

	c, warnings, err := config.Load(sources)
	if err != nil {
		for _, w := range warnings {
			fmt.Fprintf(std.err, "warning: %s: %s\n", w.Origin, w.Text)
		}
		fmt.Fprintf(std.err, "%v\n", err)
		return exitError
	}
	if check {
		for _, w := range warnings {
			fmt.Fprintf(std.err, "warning: %s: %s\n", w.Origin, w.Text)
		}
		fmt.Fprint(std.out, c.Format())
		return exitOK
	}
	logger := newLogger(std.err, c.Logging)
	slog.SetDefault(logger) // and with it package log's, for libraries that use that
	for _, w := range warnings {
		logger.Warn(w.Text, "at", w.Origin)
	}
	return serve(c, logger)
}

// parseAround lets flags stand before and after the words between them, and returns the words.
func parseAround(flags *flag.FlagSet, args []string) (words []string, err error) {
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

// serverWords reads what is not a flag: a file, or ZooKeeper's old "port dataDir [tickTime [maxClientCnxns]]".
func serverWords(sources *config.Sources, words []string) error {
	if len(words) == 0 {
		return nil
	}
	if _, err := strconv.Atoi(words[0]); err != nil || len(words) == 1 {
		sources.File = words[0]
		if len(words) > 1 {
			return fmt.Errorf("one configuration file is read, and %q follows %s", words[1], words[0])
		}
		return nil
	}
	names := []string{"clientPort", "dataDir", "tickTime", "maxClientCnxns"}
	if len(words) > len(names) {
		return fmt.Errorf("%q is too much after %s", words[len(names)], strings.Join(names, ", "))
	}
	var settings []config.Setting
	for i, word := range words {
		settings = append(settings, config.Setting{Name: names[i], Value: word, Origin: "command line"})
	}
	sources.Settings = append(settings, sources.Settings...)
	return nil
}

func newLogger(w io.Writer, c config.Logging) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo // config has checked it
	}
	options := &slog.HandlerOptions{Level: level}
	if strings.EqualFold(c.Format, "json") {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// serve runs the server until it fails or is told to stop. The first signal asks, the second ends the process.
func serve(c *config.Config, logger *slog.Logger) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop)
	if err := run(ctx, c, logger); err != nil {
		logger.Error("holt server: " + explain(err))
		return exitError
	}
	return exitOK
}

// explain adds to an error of starting what its reader can do about it.
func explain(err error) string {
	text := err.Error()
	var op *net.OpError
	switch {
	case !errors.As(err, &op) || op.Op != "listen":
		return text
	case errors.Is(err, syscall.EADDRINUSE):
		return text + "; stop the process that has it, or choose another with --client-addr or --admin-addr"
	case errors.Is(err, syscall.EACCES):
		return text + "; ports below 1024 need CAP_NET_BIND_SERVICE"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return text + "; it is not an address of this machine"
	}
	return text
}
