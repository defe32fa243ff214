package bench

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// quick is a short run against a server of our own.
func quick(f *fake, workload string, change func(c *Config)) (*Report, error) {
	c := Config{
		Workload: workload, Servers: []string{f.listener.Addr().String()}, Conns: 8, Nodes: 50, Fanout: 20, Watches: 200,
		Warmup: 20 * time.Millisecond, Duration: 150 * time.Millisecond, Timeout: 300 * time.Millisecond, DrainTime: 2 * time.Second,
		Every: 20 * time.Millisecond, Hold: 0,
	}
	if workload == "discovery" {
		c.Hold = 5 * time.Millisecond
	}
	if change != nil {
		change(&c)
	}
	return Run(tContext, c, nil)
}

// The same operations through one loop and through several must count no fault against a server that does right.
func TestB5_NoFaultWhereThereIsNone(t *testing.T) {
	for _, kind := range Kinds() {
		for _, threads := range []int{1, 3} {
			t.Run(kind.Name, func(t *testing.T) {
				f := newFake(t, "")
				r, err := quick(f, kind.Name, func(c *Config) {
					c.Threads = threads
					if kind.Name == "soak" {
						c.Rate = 2000
					}
					if kind.Name == "idle" {
						c.SessionTimeout = 120 * time.Millisecond
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				if r.Failed() {
					t.Errorf("faults %v, causes %v", r.Faults, r.Causes)
				}
				if r.Ops == 0 {
					t.Error("no operation was counted")
				}
				if left := f.paths(); len(left) != 1 {
					t.Errorf("left behind: %v", left)
				}
			})
		}
	}
}

// What is wrong must be counted, under its name.
func TestB1B5_FaultsAreCounted(t *testing.T) {
	for _, test := range []struct {
		wrong, workload, want string
	}{
		{"error", "get", "errors"},
		{"zxid", "get", "order_violations"},
		{"swallow", "get", "order_violations"},
		{"hang up", "get", "errors"},
		{"lose events", "watch", "lost_events"},
		{"lose events", "wide-watch", "lost_events"},
		{"double events", "watch", "doubled_events"},
		{"double events", "recursive-watch", "doubled_events"},
		{"lose events", "storm", "lost_events"},
		{"double events", "storm", "doubled_events"},
		{"lose events", "discovery", "lost_events"},
		{"two holders", "lock", "lock_violations"},
		{"two holders", "leader", "lock_violations"},
	} {
		t.Run(test.wrong+"/"+test.workload, func(t *testing.T) {
			t.Parallel()
			r, err := quick(newFake(t, test.wrong), test.workload, func(c *Config) {
				c.Pipeline = 4
				c.Duration = 600 * time.Millisecond
				c.DrainTime = 1500 * time.Millisecond
			})
			if err != nil {
				t.Fatal(err)
			}
			if r.Faults[test.want] == 0 || !r.Failed() {
				t.Errorf("faults %v, causes %v", r.Faults, r.Causes)
			}
		})
	}
}

// A server that stalls must show in an open loop's latency, although few requests are under way meanwhile.
func TestB4_AStallShowsInAnOpenLoop(t *testing.T) {
	f := newFake(t, "")
	stalled := make(chan struct{})
	r, err := quick(f, "get", func(c *Config) {
		c.Rate, c.Duration = 1000, 500*time.Millisecond
		c.Events = func(p Phase) {
			if p == Measuring {
				go func() {
					defer close(stalled)
					time.Sleep(100 * time.Millisecond)
					f.mu.Lock()
					time.Sleep(200 * time.Millisecond)
					f.mu.Unlock()
				}()
			}
		}
	})
	<-stalled
	if err != nil || r.Failed() {
		t.Fatal(err, r)
	}
	get := r.Series[0]
	if due := 1000 * r.Seconds; float64(get.Count) < 0.9*due || float64(get.Count) > due+10 {
		t.Errorf("%d requests of %.0f that were due in %.3f s were counted", get.Count, due, r.Seconds)
	}
	// 200 of 500 requests were due in the stall, and waited 100 ms on average.
	if get.P90 < int64(50*time.Millisecond) || get.P50 > int64(50*time.Millisecond) {
		t.Errorf("p50 %s, p90 %s", Short(get.P50), Short(get.P90))
	}
}

// B2: from a reply to the next request nothing is allocated.
func TestB2_TheHotPathDoesNotAllocate(t *testing.T) {
	for _, op := range []string{"get", "exists", "set", "create", "create-delete", "multi", "children"} {
		turn := standalone(t, op)
		for range 100 {
			turn()
		}
		if n := testing.AllocsPerRun(1000, turn); n > 0 {
			t.Errorf("%s: %v allocations per request", op, n)
		}
	}
}

// BenchmarkTurn is what a reply and the next request cost the load generator beside the system calls.
func BenchmarkTurn(b *testing.B) {
	for _, op := range []string{"get", "set"} {
		b.Run("op="+op, func(b *testing.B) {
			turn := standalone(b, op)
			b.ReportAllocs()
			for b.Loop() {
				turn()
			}
		})
	}
}

func TestKeys(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	count := func(k string, n int) []int {
		keys, err := ParseKeys(k)
		if err != nil {
			t.Fatal(err)
		}
		c := newChooser(keys, n, random)
		counts, cursor := make([]int, n), uint32(0)
		for range 200_000 {
			counts[c.pick(random, &cursor)]++
		}
		slices.Sort(counts)
		slices.Reverse(counts)
		return counts
	}
	if c := count("uniform", 100); c[0] > 2400 || c[99] < 1600 {
		t.Errorf("uniform: %d to %d", c[99], c[0])
	}
	// 1/1 of the harmonic number 5.187 of 100 is 19.3 %, half of that for the second.
	if c := count("zipfian:1", 100); c[0] < 36_000 || c[0] > 41_000 || c[1] < 17_500 || c[1] > 21_000 {
		t.Errorf("zipfian: %v", c[:3])
	}
	if c := count("hot:0.05:0.8", 100); c[4] < 28_000 || c[5] > 1000 {
		t.Errorf("hot: %v", c[:7])
	}
	for _, wrong := range []string{"", "zipfian:x", "zipfian:-1", "hot:2", "hot:0.1:2", "hot:1:1:1", "uniform:1", "cold"} {
		if _, err := ParseKeys(wrong); err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
}

func TestScatterIsAPermutation(t *testing.T) {
	for _, n := range []int{1, 2, 3, 10, 1000, 9973, 10_000} {
		seen := make([]bool, n)
		for rank := range n {
			seen[scatter(rank, n)] = true
		}
		if slices.Contains(seen, false) {
			t.Errorf("%d: not every key has a rank", n)
		}
	}
}

func TestPlacementFindsEveryWatch(t *testing.T) {
	for _, test := range [][3]int{{1, 1, 1}, {10, 1, 10}, {100, 10, 10}, {100, 50, 7}, {1000, 100, 33}} {
		p, err := place(test[0], test[1], test[2])
		if err != nil {
			t.Fatal(test, err)
		}
		for watch := range p.watches() {
			if got, ok := p.watchOf(watch%p.watchers, p.node(watch)); !ok || got != watch {
				t.Fatalf("%v: watch %d is found as %d", test, watch, got)
			}
		}
		found := 0
		for watcher := range p.watchers {
			for node := range uint32(p.nodes) {
				if _, ok := p.watchOf(watcher, node); ok {
					found++
				}
			}
		}
		if found != p.watches() {
			t.Errorf("%v: %d watches found of %d", test, found, p.watches())
		}
	}
	if _, err := place(1000, 10, 50); err == nil {
		t.Error("a connection cannot have two watches on a znode")
	}
}

func TestRing(t *testing.T) {
	var r ring
	r.head, r.tail = ^uint32(5), ^uint32(5) // it counts over the end of its numbers
	next, got := uint32(0), uint32(0)
	for i := range 1000 {
		for range i % 7 {
			r.push(request{arg: next})
			next++
		}
		for range i % 5 {
			if w, ok := r.pop(); ok {
				if w.arg != got {
					t.Fatalf("%d came where %d was due", w.arg, got)
				}
				got++
			}
		}
	}
	if r.len() != int(next-got) {
		t.Errorf("%d are left of %d", r.len(), next-got)
	}
}

func TestReportsSurviveTheirFile(t *testing.T) {
	r, err := quick(newFake(t, ""), "mixed", func(c *Config) { c.Mix = []Share{{Op: "get", Weight: 1}, {Op: "set", Weight: 1}} })
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "r.json")
	if err := r.WriteJSON(file); err != nil {
		t.Fatal(err)
	}
	s, err := ReadJSON(file)
	if err != nil {
		t.Fatal(err)
	}
	var a, b, page bytes.Buffer
	r.WriteTable(&a)
	s.WriteTable(&b)
	if a.String() != b.String() || !strings.Contains(a.String(), "get") {
		t.Errorf("written:\n%s\nread:\n%s", &a, &b)
	}
	for _, c := range Compare(r, s) {
		if c.A != c.B || c.Verdict() != "" {
			t.Errorf("%s: %v and %v, %s", c.Name, c.A, c.B, c.Verdict())
		}
	}
	if err := WritePage(&page, r, s); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<svg", "latency distribution", "<polyline", "Side by side"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page has no %q", want)
		}
	}
	for _, never := range []string{"<script", "http://", "https://", "ZgotmplZ", "NaN"} {
		if strings.Contains(page.String(), never) {
			t.Errorf("the page has %q", never)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	f := newFake(t, "")
	for want, change := range map[string]func(c *Config){
		"no workload":        func(c *Config) { c.Workload = "gte" },
		"--conns":            func(c *Config) { c.Conns = -1 },
		"closed loop":        func(c *Config) { c.Workload, c.Rate = "lock", 10 },
		"at most one watch":  func(c *Config) { c.Workload, c.Watches, c.Nodes = "wide-watch", 1000, 10 },
		"--mode sometimes":   func(c *Config) { c.Workload, c.Mode = "watch", "sometimes" },
		"nobody is left":     func(c *Config) { c.Workload, c.Writers = "queue", 8 },
		"connection refused": func(c *Config) { c.Servers = []string{"127.0.0.1:1"} },
		"--duration":         func(c *Config) { c.Duration = -1 },
		"keys cold":          func(c *Config) { c.Keys.Kind = "cold" },
	} {
		if _, err := quick(f, "get", change); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestNumbersAreReadable(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 1.5: "1.5", 999: "999", 1000: "1,000", 1234567.8: "1,234,568", -5000: "-5,000"} {
		if got := Thousands(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
	for d, want := range map[time.Duration]string{5 * time.Microsecond: "5 us", 1500 * time.Microsecond: "1.50 ms", 25 * time.Millisecond: "25.0 ms", 250 * time.Millisecond: "250 ms", 2 * time.Second: "2.00 s", time.Minute: "60.0 s"} {
		if got := Short(int64(d)); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

// A server that takes a connection and never answers is an error, not a wait without end.
func TestDial_MuteServer(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	failed := make(chan error, 1)
	go func() {
		_, err := Dial(ln.Addr().String(), time.Millisecond)
		failed <- err
	}()
	select {
	case err := <-failed:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("error %v, want a deadline exceeded", err)
		}
	case <-time.After(10 * dialTimeout):
		t.Error("still waiting")
	}
}

func TestRun_SaysWhyServersHangUp(t *testing.T) {
	for _, wrong := range []string{"hangs up", "resets"} {
		if _, err := quick(newFake(t, wrong), "get", func(c *Config) { c.Conns = 61 }); err == nil || !strings.Contains(err.Error(), "maxClientCnxns") {
			t.Errorf("a server that %s: %v", wrong, err)
		}
	}
}
