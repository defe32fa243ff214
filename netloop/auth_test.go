package netloop

import (
	"fmt"
	"strings"
	"testing"

	"holt/netloop/wire"
	"holt/tree"
)

func authBody(scheme, auth string) func([]byte) []byte {
	q := wire.AuthRequest{Scheme: []byte(scheme), Auth: []byte(auth)}
	return q.Append
}

// TestEnforcedAuth: who has not authenticated is told so and closed, as by ZooKeeper's AuthenticationHelper.
func TestEnforcedAuth(t *testing.T) {
	q := newFakeQuorum(t)
	_, addr := startServer(t, q, func(c *Config) { c.AuthSchemes = []string{"digest", "x509"} })
	for _, op := range []wire.Op{wire.OpCreate, wire.OpGetData, wire.OpSync, wire.OpPing, wire.OpCloseSession, wire.OpMulti, wire.Op(999)} {
		c := openRaw(t, addr)
		if p := c.call(7, op, watchBody("/", false)); p.Err != wire.Code(tree.SessionClosedRequireSASLAuth) || p.Xid != 7 || p.Zxid != 0 || len(p.body) != 0 {
			t.Errorf("%v: %+v", op, p)
		}
		c.ended()
	}
	c := openRaw(t, addr)
	if p := c.call(1, wire.OpSASL, func(b []byte) []byte { return wire.AppendBuffer(b, nil) }); p.Err != 0 {
		t.Errorf("sasl: %v", p.Err)
	}
	if p := c.call(-4, wire.OpAuth, authBody("ip", "")); p.Err != 0 {
		t.Errorf("ip: %v", p.Err)
	}
	c.add(-4, wire.OpAuth, authBody("digest", "user1:pass1"))
	c.add(2, wire.OpCreate, createBody("/a", "", 0)) // in the same segment
	c.send()
	for range 2 {
		if p := c.reply(); p.Err != 0 {
			t.Errorf("%+v", p.ReplyHeader)
		}
	}
	if n := q.Tail().Root.SessionCount(); n != 8 {
		t.Errorf("%d sessions, want 8: they outlive their connections", n)
	}

	// Every connection has an id of the scheme ip.
	_, addr = startServer(t, newFakeQuorum(t), func(c *Config) { c.AuthSchemes = []string{"digest", "ip"} })
	if p := openRaw(t, addr).call(1, wire.OpCreate, createBody("/a", "", 0)); p.Err != 0 {
		t.Errorf("scheme ip: %v", p.Err)
	}
}

// TestEnsembleAuth: ZooKeeper's EnsembleAuthenticationProvider.
func TestEnsembleAuth(t *testing.T) {
	for _, test := range []struct {
		on     bool
		names  []string
		auth   string
		want   string // error of the answer, or "closed"
		counts string // ok, failed, skipped
	}{
		{false, nil, "goo", "-115", "0 0 0"},
		{true, nil, "goo", "0", "0 0 1"},
		{true, []string{"woo"}, "", "0", "0 0 1"},
		{true, []string{"foo", "woo"}, "woo", "0", "1 0 0"},
		{true, []string{"woo"}, "goo", "closed", "0 1 0"},
	} {
		s, addr := startServer(t, newFakeQuorum(t), func(c *Config) { c.EnsembleAuth, c.EnsembleNames = test.on, test.names })
		c := openRaw(t, addr)
		c.add(-4, wire.OpAuth, authBody("ensemble", test.auth))
		c.send()
		got := "closed"
		if test.want == "closed" {
			c.ended()
		} else {
			got = fmt.Sprint(int(c.reply().Err))
		}
		m := s.cfg.Metrics
		counts := fmt.Sprint(m.EnsembleAuthOK.Value(), m.EnsembleAuthFailed.Value(), m.EnsembleAuthSkipped.Value())
		if got != test.want || counts != test.counts {
			t.Errorf("%+v: %s, counted %s", test, got, counts)
		}
		if test.want == "0" {
			if p := c.call(1, wire.OpExists, watchBody("/", false)); p.Err != 0 {
				t.Errorf("%+v: %v", test, p.Err)
			}
		}
	}
}

// TestQuotaExceededIsCounted: by the first name of the path, also for a client that is gone by then.
func TestQuotaExceededIsCounted(t *testing.T) {
	q := newFakeQuorum(t)
	q.rules |= tree.RuleEnforceQuota
	s, addr := startServer(t, q, func(c *Config) { c.Loops = 2 })
	c := openRaw(t, addr)
	for i, node := range [][2]string{
		{"/a", ""},
		{"/zookeeper/quota/a", ""},
		{"/zookeeper/quota/a/zookeeper_limits", "count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=1"},
		{"/zookeeper/quota/a/zookeeper_stats", "count=0,bytes=0"},
	} {
		if p := c.call(i, wire.OpCreate, createBody(node[0], node[1], 0)); p.Err != 0 {
			t.Fatalf("%s: %v", node[0], p.Err)
		}
	}
	if p := c.call(9, wire.OpCreate, createBody("/a/b", "", 0)); p.Err != wire.CodeQuotaExceeded {
		t.Errorf("create: %v", p.Err)
	}
	c.add(10, wire.OpCreate, createBody("/a/b", "", 0))
	c.send()
	c.conn.Close()
	eventually(t, func() string {
		got := ""
		s.cfg.Metrics.VisitZooKeeper(func(name, value string) {
			if strings.HasSuffix(name, "quota_exceeded_error_per_namespace") {
				got += name + "=" + value
			}
		})
		if got != "a_quota_exceeded_error_per_namespace=2" || s.cfg.Metrics.QuotaExceeded.Value() != 2 {
			return got
		}
		return ""
	})
}
