package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"holt/tree"
)

func get(t *testing.T, s *Source, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	Handler(s).ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

// shape lists the keys of a JSON value with the kind of each value, lists by their first element.
func shape(v any, at string) []string {
	switch v := v.(type) {
	case map[string]any:
		out := []string{at + " object"}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			out = append(out, shape(v[key], at+"."+key)...)
		}
		return out
	case []any:
		out := []string{at + " list"}
		if len(v) > 0 {
			out = append(out, shape(v[0], at+"[]")...)
		}
		return out
	default:
		return []string{fmt.Sprintf("%s %T", at, v)}
	}
}

func parseJSON(t *testing.T, name, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v in\n%s", name, err, text)
	}
	return v
}

// TestA3_CommandsAreZooKeepers compares keys and kinds of every answer with the captured ones, and byte for byte where the state
// decides the text.
func TestA3_CommandsAreZooKeepers(t *testing.T) {
	exact := []string{
		"bogus", "configuration", "connection_stat_reset", "dirs", "get_trace_mask", "is_read_only", "leader", "observers", "ruok",
		"set_trace_mask", "stat_reset", "voting_view", "watch_summary", "zabstate", "observer_connection_stat_reset",
	}
	files, err := os.ReadDir("testdata/zookeeper-3.9.5")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), ".json")
		if !ok || slices.Contains([]string{"environment", "monitor", "hash", "snapshot", "restore"}, name) {
			continue // compared below
		}
		s, clients, _ := testSource(t)
		clients.conns = clients.conns[:1]
		clients.expiries = map[int64][]tree.SessionID{2064000: {testSession}}
		status, got := get(t, s, "/commands/"+name+"?traceMask=306")
		want := reference(t, f.Name())
		if status != http.StatusOK {
			t.Errorf("%s: status %d", name, status)
		}
		if slices.Contains(exact, name) {
			if a, b := parseJSON(t, name, got), parseJSON(t, name, want); fmt.Sprint(a) != fmt.Sprint(b) {
				t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
			}
			continue
		}
		if a, b := shape(parseJSON(t, name, got), ""), shape(parseJSON(t, name, want), ""); !slices.Equal(a, b) {
			t.Errorf("%s: got\n%q\nwant\n%q", name, a, b)
		}
	}
	if _, got := get(t, testSourceOnly(t), "/commands/dirs"); got != reference(t, "dirs.json") {
		t.Errorf("layout: got\n%s\nwant\n%s", got, reference(t, "dirs.json"))
	}
}

func testSourceOnly(t *testing.T) *Source {
	s, _, _ := testSource(t)
	return s
}

func TestMonitorAndEnvironment(t *testing.T) {
	s := testSourceOnly(t)
	_, text := get(t, s, "/commands/mntr")
	got, want := parseJSON(t, "monitor", text), parseJSON(t, "monitor", reference(t, "monitor.json"))
	for key, v := range got {
		if strings.HasPrefix(key, "op_count_") || strings.HasPrefix(key, "ttl_node_") || key == "quorum_size" {
			continue
		}
		if ref, ok := want[key]; !ok || fmt.Sprintf("%T", ref) != fmt.Sprintf("%T", v) {
			t.Errorf("monitor: %s is %v, in ZooKeeper %v", key, v, ref)
		}
	}
	if got["command"] != "monitor" || got["server_state"] != "standalone" || got["znode_count"] != 6.0 {
		t.Errorf("got %v", text)
	}
	_, text = get(t, s, "/commands/env")
	for key := range parseJSON(t, "environment", text) {
		if !strings.Contains(reference(t, "environment.json"), `"`+key+`"`) && key != "go.version" {
			t.Errorf("environment: ZooKeeper has no %s", key)
		}
	}
}

func TestNames(t *testing.T) {
	s := testSourceOnly(t)
	for alias, canonical := range map[string]string{
		"conf": "configuration", "config": "configuration", "cons": "connections", "crst": "connection_stat_reset", "env": "environment",
		"envi": "environment", "gtmk": "get_trace_mask", "icfg": "initial_configuration", "isro": "is_read_only", "lsnp": "last_snapshot",
		"lead": "leader", "mntr": "monitor", "obsr": "observers", "orst": "observer_connection_stat_reset", "rest": "restore",
		"snap": "snapshot", "srvr": "server_stats", "srst": "stat_reset", "stat": "stats", "stmk": "set_trace_mask",
		"sysp": "system_properties", "wchc": "watches", "wchp": "watches_by_path", "wchs": "watch_summary", "hash": "hash",
	} {
		_, text := get(t, s, "/commands/"+alias)
		if got := parseJSON(t, alias, text)["command"]; got != canonical {
			t.Errorf("%s is %v, want %s", alias, got, canonical)
		}
		if _, links := get(t, s, "/commands"); !strings.Contains(links, `<a href="/commands/`+canonical+`">`+canonical+"</a>") {
			t.Errorf("no link to %s", canonical)
		}
	}
}

func TestHTTPNotServing(t *testing.T) {
	s, _, state := testSource(t)
	state.serving = false
	for _, c := range commands {
		status, text := get(t, s, "/commands/"+c.names[0])
		refused := parseJSON(t, c.names[0], text)["error"] == notServing
		if status != http.StatusOK || refused != c.serving {
			t.Errorf("%s: status %d, %s", c.names[0], status, text)
		}
	}
	if status, text := get(t, s, "/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(text, "quorum") {
		t.Errorf("readyz: %d %s", status, text)
	}
	if status, _ := get(t, s, "/healthz"); status != http.StatusOK {
		t.Errorf("healthz: %d", status)
	}
}

func TestOtherPages(t *testing.T) {
	s := testSourceOnly(t)
	for path, want := range map[string]int{
		"/": 404, "/healthz": 200, "/readyz": 200, "/metrics": 200, "/debug/pprof/": 200, "/debug/pprof/heap": 200, "/commands/": 200,
		"/commands/snapshot": 503, "/commands/restore": 503, "/nothing": 404,
	} {
		if got, _ := get(t, s, path); got != want {
			t.Errorf("%s: status %d, want %d", path, got, want)
		}
	}
	if _, text := get(t, s, "/metrics"); !strings.Contains(text, "\nznode_count 6\n") || !strings.Contains(text, "\nholt_request_seconds_count{op=\"create\"} 1\n") {
		t.Error("metrics lack znode_count or holt_request_seconds")
	}
	s.Metrics.LogFull.Set(1)
	if status, text := get(t, s, "/readyz"); status != 200 || !strings.Contains(text, "refused") {
		t.Errorf("with a full log: %d %s", status, text)
	}
	if _, text := get(t, s, "/commands/sysp"); strings.Contains(text, "geheim") || !strings.Contains(text, `"dataDir" : "/data"`) {
		t.Errorf("properties: %s", text)
	}
}

func TestListenAndClose(t *testing.T) {
	a, err := Listen("127.0.0.1:0", testSourceOnly(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(a.Addr().String(), testSourceOnly(t)); err == nil || !strings.Contains(err.Error(), "admin address") {
		t.Errorf("the same address twice: %v", err)
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{}}
	r, err := client.Get("http://" + a.Addr().String() + "/commands/ruok")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(r.Body)
	r.Body.Close()
	if parseJSON(t, "ruok", string(body))["command"] != "ruok" || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("got %s", body)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := a.Close(ctx); err != nil {
		t.Error(err)
	}
}
