package ensemble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
)

// ZooKeeperVersion is the release that Holt is compared with. zookeeper.pom.xml and cmd/conformance/java/pom.xml pin the same.
const ZooKeeperVersion = "3.9.5"

// Kind is a server program.
type Kind string

// The programs that there are launchers for.
const (
	ZooKeeper Kind = "zookeeper"
	Holt      Kind = "holt"
)

// Root is the directory of go.mod at or above the working directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod at or above the working directory; run it inside the repository")
		}
		dir = parent
	}
}

// Launcher is the path of the executable that runs a server from a zoo.cfg. root is the repository's.
func Launcher(root string, kind Kind) string {
	return filepath.Join(root, "cmd", "internal", "ensemble", "servers", string(kind))
}

// InstallZooKeeper returns the directory of ZooKeeper's jars in the repository's cache, fetched with Maven unless they are
// there.
func InstallZooKeeper(ctx context.Context, root string) (lib string, err error) {
	lib = filepath.Join(root, ".cache", "zookeeper-"+ZooKeeperVersion)
	pom := filepath.Join(root, "cmd", "internal", "ensemble", "zookeeper.pom.xml")
	want, err := os.ReadFile(pom)
	if err != nil {
		return "", err
	}
	stamp := filepath.Join(lib, "complete") // a copy of the pom that the jars were fetched by
	if got, err := os.ReadFile(stamp); err == nil && bytes.Equal(got, want) {
		return lib, nil
	}
	if err := InstallPackages(ctx, slog.Default(), JavaPackages...); err != nil {
		return "", err
	}
	if err := run(ctx, "mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+lib); err != nil {
		return "", fmt.Errorf("fetching Apache ZooKeeper %s with Maven: %w", ZooKeeperVersion, err)
	}
	return lib, os.WriteFile(stamp, want, 0o644)
}

// JavaPackages is what running and compiling Java and fetching jars needs of the machine.
var JavaPackages = [][2]string{{"default-jdk-headless", "javac -version"}, {"maven", "mvn -v"}}

// InstallPackages asks apt, on a machine that has apt, for the packages whose probe, a shell command, does not succeed.
// Pairs are package and probe.
func InstallPackages(ctx context.Context, logger *slog.Logger, pairs ...[2]string) error {
	var missing []string
	for _, p := range pairs {
		if exec.CommandContext(ctx, "sh", "-c", p[1]).Run() != nil {
			missing = append(missing, p[0])
		}
	}
	if len(missing) == 0 {
		return nil
	}
	logger.Info("installing Debian packages", "packages", missing)
	apt := []string{"env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"}
	if os.Geteuid() != 0 {
		apt = append([]string{"sudo"}, apt...)
	}
	if err := run(ctx, append(apt[:len(apt):len(apt)], "update")...); err != nil {
		return err
	}
	return run(ctx, append(append(apt, "install", "--no-install-recommends"), missing...)...)
}

// run runs a command; its error ends with what the command said.
func run(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", args, err, lastLines(string(out), 15))
	}
	return nil
}

// InstallPython returns the interpreter of a virtual environment of that name in the repository's cache, with the packages that
// a requirements file pins.
func InstallPython(ctx context.Context, root string, logger *slog.Logger, name, requirements string) (python string, err error) {
	dir := filepath.Join(root, ".cache", name, "venv")
	python = filepath.Join(dir, "bin", "python")
	want, err := os.ReadFile(requirements)
	if err != nil {
		return "", err
	}
	stamp := filepath.Join(dir, "complete") // a copy of the requirements that were installed
	if got, err := os.ReadFile(stamp); err == nil && bytes.Equal(got, want) {
		return python, nil
	}
	if err := InstallPackages(ctx, logger, [2]string{"python3", "python3 --version"}, [2]string{"python3-venv", "python3 -c 'import venv, ensurepip'"}); err != nil {
		return "", err
	}
	if err := run(ctx, "python3", "-m", "venv", "--clear", dir); err != nil {
		return "", err
	}
	if err := run(ctx, python, "-m", "pip", "install", "-q", "--no-deps", "--no-binary", "kazoo", "-r", requirements); err != nil {
		return "", err
	}
	return python, os.WriteFile(stamp, want, 0o644)
}
