package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"holt/cmd/internal/ensemble"
)

// unit is one process of a suite's test runner against one server.
type unit struct {
	suite  string
	server string
	name   string // a test module of kazoo, a test class of Java
	props  string // system properties of a Java unit, key=value, separated by blanks
}

func (u unit) String() string { return u.suite + " " + u.name + " on " + u.server }

// result is what came of one test.
type result struct {
	unit    unit
	test    string // unit-independent name: module.Class.test or package.Class.test
	outcome outcome
	message string // of a failure: its first line
	again   bool   // failed in the first run of the unit and passed in the second
}

type outcome int

const (
	passed outcome = iota
	failed
	skipped
)

// units reads the lists <suite>-tests.txt: a line is the name of a unit, "short" when it belongs to the short run, and system
// properties that the class expects to be set from outside.
func (h *house) units(cfg Config) ([]unit, error) {
	var units []unit
	for _, suite := range cfg.Suites {
		lines, err := readWords(filepath.Join(h.source, suite+"-tests.txt"))
		if err != nil {
			return nil, err
		}
		for _, words := range lines {
			short := slices.Contains(words, "short")
			props := slices.DeleteFunc(slices.Clone(words[1:]), func(w string) bool { return !strings.Contains(w, "=") })
			if (cfg.Short && !short) || !strings.Contains(words[0], cfg.Only) {
				continue
			}
			for _, server := range cfg.Servers {
				units = append(units, unit{suite, server, words[0], strings.Join(props, " ")})
			}
		}
	}
	if len(units) == 0 {
		return nil, fmt.Errorf("--only %q: no unit of the chosen suites has that in its name", cfg.Only)
	}
	return units, nil
}

// runAll runs every unit, and once more those in which a test failed that no exception names: a machine that is busy with
// something else makes tests that wait for a time fail (C3).
func (h *house) runAll(ctx context.Context, cfg Config, units []unit, exceptions reasons, logger *slog.Logger) []result {
	first := h.runOnce(ctx, cfg, units, "1", logger)
	var doubtful []unit
	for _, u := range units {
		for _, r := range first[u] {
			if r.outcome == failed && !exceptions.has(u.suite, r.test) {
				doubtful = append(doubtful, u)
				break
			}
		}
	}
	var second map[unit][]result
	if len(doubtful) > 0 && ctx.Err() == nil {
		logger.Info("running again what failed", "units", len(doubtful))
		second = h.runOnce(ctx, cfg, doubtful, "2", logger)
	}
	var all []result
	for _, u := range units {
		all = append(all, merge(first[u], second[u])...)
	}
	return all
}

// merge takes, of a test that failed first, what came of it the second time.
func merge(first, second []result) []result {
	if len(second) == 0 {
		return first
	}
	then := map[string]result{}
	for _, r := range second {
		then[r.test] = r
	}
	var all []result
	for _, r := range first {
		again, ran := then[r.test]
		switch {
		case r.outcome == failed && ran && again.outcome != failed:
			r.outcome, r.again = again.outcome, true
		case r.outcome == failed && !ran && r.test == r.unit.name:
			// The unit had left no report (C2) and now has one: its tests are below.
			continue
		}
		all = append(all, r)
		delete(then, r.test)
	}
	for _, r := range second {
		if _, unseen := then[r.test]; unseen && r.test != r.unit.name {
			all = append(all, r)
		}
	}
	return all
}

// runOnce runs units on cfg.Jobs workers.
func (h *house) runOnce(ctx context.Context, cfg Config, units []unit, attempt string, logger *slog.Logger) map[unit][]result {
	queue := make(chan unit)
	results := make(map[unit][]result, len(units))
	var mu sync.Mutex // guards results
	var workers sync.WaitGroup
	for w := range cfg.Jobs {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for u := range queue {
				began := time.Now()
				got := h.runUnit(ctx, u, cfg.PortBase+w*portsPerWorker, attempt)
				if ctx.Err() != nil {
					continue // it was ended halfway
				}
				c := count(got)
				logger.Info(u.String(), "passed", c.passed, "failed", c.failed, "skipped", c.skipped,
					"seconds", int(time.Since(began).Seconds()))
				mu.Lock()
				results[u] = got
				mu.Unlock()
			}
		}()
	}
	for _, u := range units {
		if ctx.Err() != nil {
			break
		}
		queue <- u
	}
	close(queue)
	workers.Wait()
	return results
}

// runUnit runs one unit in a directory of its own and reads its report.
func (h *house) runUnit(ctx context.Context, u unit, port int, attempt string) []result {
	dir := filepath.Join(h.logs, u.server, u.suite, u.name, attempt)
	lost := func(err error) []result {
		return []result{{unit: u, test: u.name, outcome: failed, message: err.Error()}}
	}
	if err := os.RemoveAll(dir); err != nil {
		return lost(err)
	}
	tmp := filepath.Join(dir, "tmp")
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return lost(err)
	}
	defer os.RemoveAll(tmp)

	ctx, cancel := context.WithTimeout(ctx, unitTimeMax)
	defer cancel()
	err := h.start(ctx, u, dir, port)
	got, reportErr := readReports(dir, u)
	h.leaveOut(got)
	switch {
	case ctx.Err() != nil:
		return append(got, lost(fmt.Errorf("ended after %s; see %s", unitTimeMax, dir))...)
	case reportErr != nil:
		return append(got, lost(fmt.Errorf("no readable report: %w; see %s", errors.Join(reportErr, err), dir))...)
	}
	return got
}

// leaveOut marks what not-run.txt names but the runner has run all the same: JUnit 4 knows nothing of our NotRun.
func (h *house) leaveOut(results []result) {
	for i, r := range results {
		if h.notRun.has(r.unit.suite, r.test) {
			results[i].outcome = skipped
		}
	}
}

// start runs the unit's process as a process group, so that its servers end with it (C4).
func (h *house) start(ctx context.Context, u unit, dir string, port int) error {
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := h.javaCommand(ctx, u, dir, port)
	if u.suite == "kazoo" {
		cmd = h.kazooCommand(ctx, u, dir, port)
	}
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		return err
	}
	err = cmd.Wait()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // a server that the tests left behind
	return err
}

func (h *house) kazooCommand(ctx context.Context, u unit, dir string, port int) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "nice", h.python, "-m", "pytest",
		"-p", "launched_servers", "-p", "no:cacheprovider", "--timeout", "120", "-v", "-ra",
		"--junitxml", filepath.Join(dir, "TEST-kazoo.xml"), "--pyargs", "kazoo.tests."+u.name)
	cmd.Env = append(h.serverEnvironment(u.server),
		"CONFORMANCE_LAUNCHER="+h.launcher(u.server),
		"CONFORMANCE_LOGS="+dir,
		"CONFORMANCE_NOT_RUN="+h.merged,
		"PYTHONPATH="+filepath.Join(h.source, "kazoo"),
		"PYTHONDONTWRITEBYTECODE=1",
		"TMPDIR="+filepath.Join(dir, "tmp"),
		"ZOOKEEPER_VERSION="+ensemble.ZooKeeperVersion,          // chooses the tests that kazoo runs
		fmt.Sprintf("ZOOKEEPER_CLUSTER_SIZE=%d", h.cfg.Members), // kazoo knows ensembles: its servers are members
		fmt.Sprintf("ZOOKEEPER_PORT_OFFSET=%d", port))
	return cmd
}

func (h *house) javaCommand(ctx context.Context, u unit, dir string, port int) *exec.Cmd {
	tmp := filepath.Join(dir, "tmp")
	args := []string{
		"java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dfile.encoding=UTF-8", "-Djava.awt.headless=true",
		"-Djava.io.tmpdir=" + tmp, "-Dbuild.test.dir=" + filepath.Join(tmp, "build"),
		"-Dlogback.configurationFile=" + filepath.Join(filepath.Dir(ensemble.Launcher(h.root, ensemble.ZooKeeper)), "logback.xml"),
		"-Dconformance.launcher=" + h.launcher(u.server),
		"-Dconformance.logs=" + dir,
		"-Dconformance.notrun=" + h.merged,
		fmt.Sprintf("-Dconformance.ports=%d-%d", port, port+portsPerWorker-1),
		"-Dzookeeper.serverCnxnFactory=holt.conformance.ExternalCnxnFactory",
	}
	for _, prop := range strings.Fields(u.props) {
		args = append(args, "-D"+prop)
	}
	args = append(args, "-cp", h.class+":"+filepath.Join(h.lib, "*"),
		"org.junit.platform.console.ConsoleLauncher", "execute", "-c", u.name,
		"--disable-banner", "--disable-ansi-colors", "--details=tree", "--reports-dir="+dir,
		"--config=junit.jupiter.extensions.autodetection.enabled=true",
		"--config=junit.jupiter.execution.timeout.testable.method.default=300s")
	cmd := exec.CommandContext(ctx, "nice", args...)
	cmd.Env = h.serverEnvironment(u.server)
	return cmd
}

func (h *house) launcher(server string) string {
	return ensemble.Launcher(h.root, ensemble.Kind(server))
}

// serverJVM keeps ZooKeeper's servers small: several run side by side, and none for long.
const serverJVM = "-Xmx256m -Xss512k -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto"

// serverEnvironment is what the launchers read.
func (h *house) serverEnvironment(server string) []string {
	return append(os.Environ(), "ZOOKEEPER_LIB="+h.lib, "ZOOKEEPER_JVM="+serverJVM,
		"ENSEMBLE_ROOT="+h.root, "ENSEMBLE_KIND="+server, fmt.Sprintf("ENSEMBLE_MEMBERS=%d", h.cfg.Members), "ENSEMBLE_AT="+h.cfg.At)
}

// readWords reads a list: words by line, from # on a remark.
func readWords(path string) ([][]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseWords(f)
}

func parseWords(r io.Reader) ([][]string, error) {
	var lines [][]string
	scanner := bufio.NewScanner(r)
	for scanner.Scan() {
		text, _, _ := strings.Cut(scanner.Text(), "#")
		if words := strings.Fields(text); len(words) > 0 {
			lines = append(lines, words)
		}
	}
	return lines, scanner.Err()
}
