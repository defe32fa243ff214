package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"holt/cmd/internal/ensemble"
)

// house knows the directories: the harness's sources, the cache with what was installed, the logs.
type house struct {
	root   string // of the repository
	source string // cmd/conformance
	cache  string // .cache/conformance
	lib    string // jars
	class  string // compiled java/src
	python string // the interpreter that has kazoo
	logs   string
	notRun reasons // the lists not-run*.txt that apply
	merged string  // those lists in one file, for the adapters
	door   string  // cmd/conformance/ensemble, built; "" without an ensemble
	cfg    Config
	lock   *os.File // on the cache
}

func newHouse(root string) *house {
	cache := filepath.Join(root, ".cache", "conformance")
	return &house{
		root:   root,
		source: filepath.Join(root, "cmd", "conformance"),
		cache:  cache,
		lib:    filepath.Join(cache, "lib"),
		class:  filepath.Join(cache, "classes"),
		logs:   filepath.Join(cache, "logs"),
	}
}

// install brings in what the wanted suites and servers need and the cache lacks. Every piece is stamped with a hash of what
// decides it, so that a changed pin is fetched anew and nothing else is.
func (h *house) install(ctx context.Context, cfg Config, logger *slog.Logger) error {
	h.cfg = cfg
	if err := h.claim(); err != nil {
		return err
	}
	java := slices.Contains(cfg.Servers, "zookeeper") || slices.ContainsFunc(cfg.Suites, func(s string) bool { return s != "kazoo" })
	steps := []struct {
		wanted bool
		name   string
		do     func(context.Context, *slog.Logger) error
	}{
		{java, "Java", func(ctx context.Context, l *slog.Logger) error {
			return ensemble.InstallPackages(ctx, l, ensemble.JavaPackages...)
		}},
		{java, "jars", h.installJars},
		{java, "adapter classes", h.compile},
		{slices.Contains(cfg.Suites, "kazoo"), "kazoo", h.installKazoo},
		{slices.Contains(cfg.Servers, "holt"), "bin/holt", h.buildHolt},
		{cfg.Members > 1, "the launcher of ensembles", h.buildDoor},
	}
	for _, s := range steps {
		if !s.wanted {
			continue
		}
		if err := s.do(ctx, logger); err != nil {
			return fmt.Errorf("installing %s: %w", s.name, err)
		}
	}
	return nil
}

// claim keeps the cache for this run until the process ends: lists, classes and logs in it are of one run.
func (h *house) claim() error {
	if err := os.MkdirAll(h.cache, 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(h.cache, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("another run uses %s (%w): wait for its end", h.cache, errors.Join(err, f.Close()))
	}
	h.lock = f
	return nil
}

func (h *house) installJars(ctx context.Context, logger *slog.Logger) error {
	pom := filepath.Join(h.source, "java", "pom.xml")
	return h.once("jars", []string{pom}, func() error {
		logger.Info("fetching ZooKeeper, Curator and their tests")
		if err := os.RemoveAll(h.lib); err != nil {
			return err
		}
		return h.command(ctx, "mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies", "-DoutputDirectory="+h.lib)
	})
}

func (h *house) compile(ctx context.Context, _ *slog.Logger) error {
	sources, err := filesUnder(filepath.Join(h.source, "java", "src"), ".java")
	if err != nil {
		return err
	}
	pom := filepath.Join(h.source, "java", "pom.xml")
	return h.once("classes", append(sources, pom), func() error {
		if err := os.RemoveAll(h.class); err != nil {
			return err
		}
		args := []string{"javac", "-nowarn", "-d", h.class, "-cp", filepath.Join(h.lib, "*")}
		if err := h.command(ctx, append(args, sources...)...); err != nil {
			return err
		}
		// JUnit finds NotRun by this file.
		services := filepath.Join(h.class, "META-INF", "services")
		if err := os.MkdirAll(services, 0o755); err != nil {
			return err
		}
		extension := filepath.Join(services, "org.junit.jupiter.api.extension.Extension")
		return os.WriteFile(extension, []byte("holt.conformance.NotRun\n"), 0o644)
	})
}

func (h *house) installKazoo(ctx context.Context, logger *slog.Logger) error {
	var err error
	h.python, err = ensemble.InstallPython(ctx, h.root, logger, "conformance", filepath.Join(h.source, "kazoo", "requirements.txt"))
	return err
}

func (h *house) buildHolt(ctx context.Context, _ *slog.Logger) error {
	if bin := os.Getenv("HOLT_BIN"); bin != "" {
		_, err := os.Stat(bin)
		return err
	}
	return h.command(ctx, "go", "build", "-o", filepath.Join(h.root, "bin", "holt"), "./cmd/holt")
}

func (h *house) buildDoor(ctx context.Context, _ *slog.Logger) error {
	h.door = filepath.Join(h.cache, "ensemble")
	return h.command(ctx, "go", "build", "-o", h.door, "./cmd/conformance/ensemble")
}

// mergeNotRun reads the lists of what is not run, and writes them into one for the adapters.
func (h *house) mergeNotRun(cfg Config) (err error) {
	if h.notRun, err = readReasons(cfg.lists(h.source, "not-run")...); err != nil {
		return err
	}
	h.merged = filepath.Join(h.cache, "not-run.txt")
	var b strings.Builder
	for _, test := range slices.Sorted(maps.Keys(h.notRun)) {
		fmt.Fprintf(&b, "%s %s\n", test, h.notRun[test])
	}
	return os.WriteFile(h.merged, []byte(b.String()), 0o644)
}

// once does the work unless the stamp of this name says that it was done from the same inputs.
func (h *house) once(name string, inputs []string, work func() error) error {
	sum := sha256.New()
	for _, input := range inputs {
		content, err := os.ReadFile(input)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s %d\n", filepath.Base(input), len(content))
		sum.Write(content)
	}
	stamp := filepath.Join(h.cache, name+".stamp")
	want := hex.EncodeToString(sum.Sum(nil))
	if got, err := os.ReadFile(stamp); err == nil && string(got) == want {
		return nil
	}
	if err := work(); err != nil {
		return err
	}
	return os.WriteFile(stamp, []byte(want), 0o644)
}

// command runs args in the repository; its error ends with what the command said.
func (h *house) command(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = h.root
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, lastLines(said.String(), 15))
	}
	return nil
}

func filesUnder(dir, extension string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, extension) {
			files = append(files, path)
		}
		return err
	})
	return files, err
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
