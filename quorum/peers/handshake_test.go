package peers

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"holt/quorum"
)

// logbook is a log that can be searched.
type logbook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logbook) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

func (l *logbook) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func TestP6_Refusals(t *testing.T) {
	for _, tc := range []struct {
		name  string
		other func(*Config) // makes member 2 differ
		set   func(a, b *member)
		know  func(a, b *member) // default: join
		want  string
	}{
		{
			name: "ensemble", want: "member 2 belongs to ensemble 00000000000000bb, member 1 to ensemble 00000000000000aa",
			set: func(a, b *member) { a.SetCluster(0xaa); b.SetCluster(0xbb) },
		},
		{
			name: "fresh with other members", want: "compare their server.N lines",
			other: func(c *Config) { c.EnsembleHash = 8 },
		},
		{
			name: "version", want: "member 2 speaks protocol versions 2 to 3, member 1 speaks 1 to 1",
			set: func(_, b *member) { b.stance.versionMin, b.stance.versionMax = 2, 3 },
		},
		{
			name: "target", want: "this is member 2, not member 3",
			know: func(a, b *member) {
				a.SetPeers([]quorum.Peer{{ID: 3, Addr: b.peer().Addr}})
			},
		},
		{
			name: "not a member", want: "member 1 is not among the members that member 2 knows",
			know: func(a, b *member) { a.SetPeers([]quorum.Peer{b.peer()}) },
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var book logbook
			a := start(t, 1, func(c *Config) { c.EnsembleHash = 7; c.Logger = book.logger() })
			b := start(t, 2, func(c *Config) {
				c.EnsembleHash = 7
				if tc.other != nil {
					tc.other(c)
				}
			})
			if tc.set != nil {
				tc.set(a, b)
			}
			if tc.know == nil {
				tc.know = func(a, b *member) { join(a, b) }
			}
			tc.know(a, b)
			for limit := time.Now().Add(5 * time.Second); b.Stats().Refused < 3; time.Sleep(time.Millisecond) {
				if time.Now().After(limit) {
					t.Fatal("member 2 refuses nobody")
				}
			}
			// Once as the one who dials, and once as the one who is dialled where both refuse.
			if n := book.count(tc.want); n < 1 || n > 2 || book.count("a member refuses this one") != 1 {
				t.Errorf("member 1 logged %d times %q; its log:\n%s", n, tc.want, book.b.String())
			}
			a.Close()
			b.Close()
			if len(a.events)+len(b.events) != 0 {
				t.Errorf("events: %v %v", a.events, b.events)
			}
		})
	}
}

// Member 1 learns its ensemble while streams are open to one that named another: they end. One that named none stays.
func TestP6_ClusterLearntLater(t *testing.T) {
	a, b, d := start(t, 1, nil), start(t, 2, nil), start(t, 3, nil)
	b.SetCluster(0xbb)
	join(a, b, d)
	for _, id := range []uint64{2, 3} {
		a.awaitKind(t, 1, "opened", id, quorum.LaneRaft)
		a.awaitKind(t, 1, "writable", id, quorum.LaneRaft)
	}
	a.SetCluster(0xaa)
	a.awaitKind(t, 1, "ended", 2, quorum.LaneRaft)
	a.awaitKind(t, 1, "broken", 2, quorum.LaneRaft)
	if a.count("ended", 3, quorum.LaneRaft)+a.count("broken", 3, quorum.LaneRaft) != 0 {
		t.Fatal("streams to a fresh member were ended")
	}
	a.await(t, "what 2 said of itself", func(es []event) bool {
		for _, e := range es {
			if e.kind == "greeted" && e.peer == 2 && e.hello == (quorum.Hello{Cluster: 0xbb, Process: b.cfg.Process, Version: 1}) {
				return true
			}
		}
		return false
	})
}

// Whoever dials and whoever is dialled say alike whether they are fresh.
func TestPromisedIsToldBothWays(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	a.SetPromised()
	join(a, b)
	for _, m := range []*member{a, b} {
		m.await(t, "greetings", func(es []event) bool {
			n := 0
			for _, e := range es {
				if e.kind != "greeted" {
					continue
				}
				if n++; e.hello.Promised != (e.peer == 1) {
					t.Errorf("member %d is told of member %d: %+v", m.cfg.ID, e.peer, e.hello)
				}
			}
			return n >= 2 // of the stream that it dialled, and of the one that the other did
		})
	}
}

// caller dials m as a member would, and returns the answer.
func caller(t *testing.T, m *member, h hello) (net.Conn, reply) {
	t.Helper()
	c, err := net.Dial("tcp", m.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if h.versionMax == 0 {
		h.versionMin, h.versionMax = 1, 1
	}
	h.to = m.cfg.ID
	if _, err := c.Write(appendHello(nil, &h)); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	r, err := readReply(c)
	if err != nil {
		t.Fatal(err)
	}
	return c, r
}

func TestP6_TwoServersWithOneID(t *testing.T) {
	a := start(t, 1, nil)
	a.SetPeers([]quorum.Peer{{ID: 2, Addr: freeAddr(t)}})
	if _, r := caller(t, a, hello{from: 1, process: 9}); !strings.Contains(r.reason, "both are member 1") {
		t.Fatalf("%+v", r)
	}
	if _, r := caller(t, a, hello{from: 2, process: 100, lane: quorum.LaneForward}); r.refused {
		t.Fatalf("%+v", r)
	}
	a.awaitKind(t, 1, "opened", 2, quorum.LaneForward)
	// Another run of member 2 ends all streams of the one before.
	if _, r := caller(t, a, hello{from: 2, process: 200}); r.refused {
		t.Fatalf("%+v", r)
	}
	a.awaitKind(t, 1, "ended", 2, quorum.LaneForward)
	// The earlier run comes back, so it is another server.
	if _, r := caller(t, a, hello{from: 2, process: 100}); !strings.Contains(r.reason, "two servers have the same id") {
		t.Fatalf("%+v", r)
	}
	if _, r := caller(t, a, hello{from: 2, process: 200, lane: quorum.LaneImage}); r.refused {
		t.Fatalf("%+v", r)
	}
	if _, r := caller(t, a, hello{from: 2, process: 200, lane: 17}); !strings.Contains(r.reason, "kind 17") {
		t.Fatalf("%+v", r)
	}
}

// A release that adds to the end of a hello is understood by this one, and so is a range of versions.
func TestNewerHello(t *testing.T) {
	a := start(t, 1, nil)
	a.SetPeers([]quorum.Peer{{ID: 2, Addr: freeAddr(t)}})
	b := appendHello(nil, &hello{versionMin: 1, versionMax: 4, from: 2, to: 1, process: 5})
	b = append(b[:len(b)-4], "what comes later"...)
	b[8] += byte(len("what comes later"))
	c, err := net.Dial("tcp", a.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write(appendSum(b, 0))
	r, err := readReply(c)
	if err != nil || r.refused || r.version != 1 {
		t.Fatalf("%+v %v", r, err)
	}
}

// A newer stream takes the place of an older one that still delivers: Ended, then Opened, then nothing of the older.
func TestP3_Replaced(t *testing.T) {
	a := start(t, 1, func(c *Config) { c.Logger = nil })
	a.SetPeers([]quorum.Peer{{ID: 2, Addr: freeAddr(t)}})
	const streams = 60
	var writers sync.WaitGroup
	for i := range byte(streams) {
		c, r := caller(t, a, hello{from: 2, process: 5, lane: quorum.LaneForward})
		if r.refused {
			t.Fatalf("%+v", r)
		}
		var b batch
		for range 100 {
			b.add([]byte{i})
		}
		a.awaitKind(t, int(i)+1, "opened", 2, quorum.LaneForward)
		writers.Go(func() {
			for {
				if _, err := c.Write(b.arena); err != nil {
					return
				}
			}
		})
		if i%3 == 0 {
			a.await(t, "frames of this stream", func(es []event) bool { return len(es[len(es)-1].frame) == 1 })
		}
	}
	a.Close()
	writers.Wait()
	now, open, frames := -1, false, 0
	for _, e := range a.events {
		switch e.kind {
		case "opened":
			if open {
				t.Fatal("Opened before Ended of the stream before")
			}
			open = true
			now++
		case "ended":
			open = false
		case "receive":
			frames++
			if !open || int(e.frame[0]) != now {
				t.Fatalf("a frame of stream %d while stream %d is open: %v", e.frame[0], now, open)
			}
		}
	}
	if now != streams-1 {
		t.Fatalf("%d streams were opened, want %d", now+1, streams)
	}
	t.Logf("%d frames", frames)
}

// Whoever does not say who they are is thrown out, in time or by others of their kind, and does not keep members out.
func TestP5_HalfOpen(t *testing.T) {
	a := start(t, 1, func(c *Config) { c.Logger = nil })
	a.SetPeers([]quorum.Peer{{ID: 2, Addr: freeAddr(t)}})
	var silent []net.Conn
	for range 3 * halfOpenMax {
		c, err := net.Dial("tcp", a.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		silent = append(silent, c)
	}
	if _, r := caller(t, a, hello{from: 2, process: 5}); r.refused {
		t.Fatalf("%+v", r)
	}
	a.Network.mu.Lock()
	if n := len(a.halfOpen); n > halfOpenMax {
		t.Errorf("%d connections are half open", n)
	}
	a.Network.mu.Unlock()
	if st := a.Stats(); st.Crowded < 2*halfOpenMax {
		t.Errorf("stats %+v", st)
	}
	for _, c := range silent {
		c.SetReadDeadline(time.Now().Add(2 * handshakeTimeout))
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Fatal("a silent connection was answered")
		} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
			t.Fatal("a silent connection stays open")
		}
	}
}

func TestGarbageOnThePort(t *testing.T) {
	a := start(t, 1, nil)
	a.SetPeers([]quorum.Peer{{ID: 2, Addr: freeAddr(t)}})
	hi := appendHello(nil, &hello{versionMin: 1, versionMax: 1, from: 2, to: 1, process: 5})
	damaged := bytes.Clone(hi)
	damaged[20] ^= 1
	for _, b := range [][]byte{
		[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), []byte("ruok"), damaged, hi[:20],
		append([]byte(helloMagic), 255, 255), append([]byte(helloMagic), 0, 0, 0, 0, 0, 0), make([]byte, 100_000),
	} {
		c, err := net.Dial("tcp", a.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c.Write(b)
		c.(*net.TCPConn).CloseWrite()
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if got, err := io.ReadAll(c); len(got) > 0 || isTimeout(err) {
			t.Errorf("%.20q is answered with %q, %v", b, got, err)
		}
		c.Close()
	}
	// After a good handshake, frames that are none.
	for i, b := range [][]byte{bytes.Repeat([]byte{0xff}, 100), make([]byte, 7), make([]byte, 8), append([]byte{255, 255, 255, 15}, make([]byte, 1000)...)} {
		c, _ := caller(t, a, hello{from: 2, process: 5})
		c.Write(b)
		c.(*net.TCPConn).CloseWrite()
		a.awaitKind(t, i+1, "ended", 2, quorum.LaneRaft)
	}
	if n := len(a.frames(2, quorum.LaneRaft)); n != 0 {
		t.Fatalf("%d frames were made of garbage", n)
	}
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error)
	return ok && ne.Timeout()
}

// Wrap is enough for TLS with certificates on both sides.
func TestWrapTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		DNSNames: []string{"holt.test"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(crand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	conf := &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		RootCAs:      pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, ServerName: "holt.test",
	}
	wrap := func(c *Config) {
		c.Wrap = func(ctx context.Context, c net.Conn, peer *quorum.Peer) (net.Conn, error) {
			s := tls.Server(c, conf)
			if peer != nil {
				s = tls.Client(c, conf)
			}
			return s, s.HandshakeContext(ctx)
		}
	}
	a, b, plain := start(t, 1, wrap), start(t, 2, wrap), start(t, 3, nil)
	join(a, b, plain)
	frames := [][]byte{[]byte("small"), bytes.Repeat([]byte("large "), 50_000), nil}
	for _, f := range frames {
		a.mustSend(t, 2, quorum.LaneForward, f)
	}
	b.awaitKind(t, len(frames), "receive", 1, quorum.LaneForward)
	for i, f := range b.frames(1, quorum.LaneForward) {
		if !bytes.Equal(f, frames[i]) {
			t.Errorf("frame %d differs", i)
		}
	}
	b.Close()
	a.awaitKind(t, 1, "broken", 2, quorum.LaneForward)
	if plain.count("opened", 1, quorum.LaneRaft)+a.count("opened", 3, quorum.LaneRaft) != 0 {
		t.Fatal("a member without TLS got in")
	}
}

func FuzzHandshake(f *testing.F) {
	f.Add(appendHello(nil, &hello{versionMin: 1, versionMax: 1, cluster: 5, from: 2, to: 1, process: 7, ensemble: 9}))
	f.Add(appendReply(nil, &reply{version: 1, cluster: 5, id: 2, process: 7}))
	f.Add(appendReply(nil, &reply{refused: true, reason: "no"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		// The checksum is made good, so that what follows it is reached.
		for _, in := range [][]byte{b, appendSum(b[:max(0, len(b)-4):max(0, len(b)-4)], 0)} {
			r := bytes.NewReader(in)
			if h, err := readHello(r); err == nil {
				if again, err := readHello(bytes.NewReader(appendHello(nil, &h))); err != nil || again != h {
					t.Fatalf("%+v became %+v, %v", h, again, err)
				}
				st := stance{id: 1, cluster: 5, ensemble: 9, versionMin: 1, versionMax: 1}
				st.judge(&h)
			}
			if a, err := readReply(bytes.NewReader(in)); err == nil {
				again, err := readReply(bytes.NewReader(appendReply(nil, &a)))
				if err != nil || again != a {
					t.Fatalf("%+v became %+v, %v", a, again, err)
				}
			}
		}
	})
}
