package config

import (
	"sort"
	"strings"
)

// environment takes what the environment says, weakest first: -D options meant for ZooKeeper's JVM, the variables of
// ZooKeeper's container image, Holt's own.
func (l *loader) environment(environ []string) {
	vars := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		vars[name] = value
	}
	for _, name := range []string{"JVMFLAGS", "SERVER_JVMFLAGS"} {
		l.jvmFlags(name, vars[name])
	}
	l.imageVariables(vars)
	l.holtVariables(vars)
}

// jvmFlags reads -Dzookeeper.name=value and -Dname=value of keys that are known. All else is the JVM's.
func (l *loader) jvmFlags(variable, flags string) {
	for option := range strings.FieldsSeq(flags) {
		definition, ok := strings.CutPrefix(option, "-D")
		name, value, hasValue := strings.Cut(definition, "=")
		if ok && hasValue && Lookup(name) != nil {
			l.assign(name, value, variable)
		}
	}
}

// imageVariables reads ZOO_*: one value per key, ZOO_SERVERS with server lines, ZOO_CFG_EXTRA with key=value words.
func (l *loader) imageVariables(vars map[string]string) {
	for _, key := range Keys {
		for _, variable := range key.Env {
			if value := vars[variable]; value != "" {
				l.assign(key.Name, value, variable)
			}
		}
	}
	for _, variable := range []string{"ZOO_SERVERS", "ZOO_CFG_EXTRA"} {
		for word := range strings.FieldsSeq(vars[variable]) {
			name, value, ok := strings.Cut(word, "=")
			if !ok {
				l.fail(variable, "%q is not key=value", word)
				continue
			}
			l.assign(name, value, variable)
		}
	}
}

// foreignVariables begin like keys and belong to others: the shell and the tools around the server.
var foreignVariables = map[string]bool{"HOLT_SERVER": true, "HOLT_BIN": true}

func (l *loader) holtVariables(vars map[string]string) {
	byName := map[string]*Key{}
	for i := range Keys {
		if v := Keys[i].Variable(); v != "" {
			byName[v] = &Keys[i]
		}
	}
	var names []string
	for name := range vars {
		if strings.HasPrefix(name, "HOLT_") && !foreignVariables[name] {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		key := byName[name]
		if key == nil {
			l.warn(name, "no key is set by this variable; it is ignored")
			continue
		}
		l.assign(key.Name, vars[name], name)
	}
}

// didYouMean names the known key that differs from an unknown one by a letter or two, or by case.
func didYouMean(name string) string {
	name = strings.TrimPrefix(name, "zookeeper.")
	best, bestDistance := "", 3
	for _, key := range Keys {
		if strings.HasSuffix(key.Name, "*") {
			continue
		}
		if d := distance(strings.ToLower(name), strings.ToLower(key.Name)); d < bestDistance {
			best, bestDistance = key.Name, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance is Levenshtein's: letters to add, drop or replace. Long strings, which no key is, count as far away.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return len(a) + len(b)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
