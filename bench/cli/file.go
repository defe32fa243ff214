package cli

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"holt/bench"
)

// applyFile reads a workload file into o: lines "flag = value" as on the command line, then a section per operation of the mix.
//
//	# what our application does
//	conns = 200
//	nodes = 50000
//
//	[get]
//	weight = 90
//	keys = zipfian:0.9
//
//	[set]
//	weight = 10
//	value = 50-2000
func (o *options) applyFile(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	f := fileReader{o: o}
	for i, line := range strings.Split(string(b), "\n") {
		if err := f.line(line); err != nil {
			return fmt.Errorf("%s:%d: %w", file, i+1, err)
		}
	}
	for _, share := range f.mix {
		if share.Weight == 0 {
			return fmt.Errorf("%s: [%s] has no weight", file, share.Op)
		}
	}
	if len(f.mix) > 0 {
		o.Mix = f.mix
	}
	return nil
}

type fileReader struct {
	o       *options
	mix     []bench.Share
	section bool
}

func (f *fileReader) line(line string) error {
	line, _, _ = strings.Cut(line, "#")
	line = strings.TrimSpace(line)
	if line == "" {
		return nil
	}
	if op, ok := strings.CutPrefix(line, "["); ok {
		op = strings.TrimSuffix(op, "]")
		if !slices.Contains(bench.MixOps(), op) {
			return fmt.Errorf("no operation %q; there are %s", op, strings.Join(bench.MixOps(), ", "))
		}
		f.section = true
		f.mix = append(f.mix, bench.Share{Op: op})
		return nil
	}
	key, value, ok := strings.Cut(line, "=")
	if !ok {
		return fmt.Errorf("%q is neither a section nor key = value", line)
	}
	key, value = strings.TrimSpace(key), strings.TrimSpace(value)
	if f.section {
		return f.share(&f.mix[len(f.mix)-1], key, value)
	}
	return f.option(key, value)
}

func (f *fileReader) option(key, value string) error {
	if key == "workload" {
		f.o.Workload = value
		return nil
	}
	for _, option := range allOptions() {
		if option.name == key && key != "file" {
			if err := option.set(f.o, value); err != nil {
				return fmt.Errorf("%s = %s: %w", key, value, err)
			}
			return nil
		}
	}
	return fmt.Errorf("no flag --%s", key)
}

func (*fileReader) share(s *bench.Share, key, value string) error {
	switch key {
	case "weight":
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 {
			return fmt.Errorf("weight = %s: not a whole number above 0", value)
		}
		s.Weight = n
	case "value":
		v, err := bench.ParseRange(value)
		if err != nil {
			return err
		}
		s.Value = &v
	case "keys":
		k, err := bench.ParseKeys(value)
		if err != nil {
			return err
		}
		s.Keys = &k
	default:
		return fmt.Errorf("an operation has weight, value and keys, but no %s", key)
	}
	return nil
}
