package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"
)

// Bounds of the admin address.
const (
	requestTimeout = 10 * time.Second // to send a request
	answerMax      = 5 * time.Minute  // to take the answer; profiles take as long as they are asked to
	headerBytesMax = 64 << 10
)

// Handler serves the AdminServer's commands, metrics, health and profiles:
//
//	/commands, /commands/<name>   as ZooKeeper's AdminServer
//	/metrics                      Prometheus text format
//	/healthz                      200 while the process answers
//	/readyz                       200 while requests of clients are answered, else 503 and why not
//	/debug/pprof/                 Go's profiles
func Handler(s *Source) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /commands", func(w http.ResponseWriter, _ *http.Request) { writeLinks(w) })
	mux.HandleFunc("/commands/", func(w http.ResponseWriter, r *http.Request) { serveCommand(w, r, s) })
	handleMetrics(mux, s)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { serveReady(w, s) })
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// handleMetrics answers /metrics in Prometheus text format.
func handleMetrics(mux *http.ServeMux, s *Source) {
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		s.Metrics.WritePrometheus(w)
	})
}

func writeLinks(w io.Writer) {
	for _, c := range commands {
		fmt.Fprintf(w, "<a href=\"/commands/%s\">%s</a>\n<br/>\n", c.names[0], c.names[0])
	}
}

func serveCommand(w http.ResponseWriter, r *http.Request, s *Source) {
	name := strings.TrimPrefix(r.URL.Path, "/commands/")
	if name == "" {
		writeLinks(w)
		return
	}
	answer, status := runCommand(s, name, r.URL.Query())
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer.String())
}

func serveReady(w http.ResponseWriter, s *Source) {
	switch {
	case !s.State.Serving():
		http.Error(w, "not serving: this member does not know of a quorum", http.StatusServiceUnavailable)
	case s.State.Mode() == ReadOnly:
		http.Error(w, "no quorum: reads are served to clients that ask for a read-only session", http.StatusServiceUnavailable)
	case s.Metrics.LogFull.Value() != 0:
		fmt.Fprintln(w, "ok, for reads; writes are refused until the disk of the log has space again")
	default:
		fmt.Fprintf(w, "ok, %s\n", s.State.Mode())
	}
}

// Server is the admin address: Listen, then Close once.
type Server struct {
	http   http.Server
	listen net.Listener
	done   chan struct{}
}

// Listen opens addr and serves Handler on it.
func Listen(addr string, s *Source) (*Server, error) { return listen(addr, s, Handler(s)) }

// ListenMetrics opens addr and serves /metrics on it and nothing else: the address of ZooKeeper's Prometheus provider is open to
// the network by default, and commands and profiles are not for everybody.
func ListenMetrics(addr string, s *Source) (*Server, error) {
	mux := http.NewServeMux()
	handleMetrics(mux, s)
	return listen(addr, s, mux)
}

func listen(addr string, s *Source, handler http.Handler) (*Server, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("admin: opening the admin address (is another server running?): %w", err)
	}
	a := &Server{
		listen: ln,
		done:   make(chan struct{}),
		http: http.Server{
			Handler: handler, ReadHeaderTimeout: requestTimeout, ReadTimeout: requestTimeout, WriteTimeout: answerMax,
			MaxHeaderBytes: headerBytesMax,
		},
	}
	go func() {
		defer close(a.done)
		if err := a.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			s.logger().Error("the admin address is gone; clients are still served", "addr", ln.Addr().String(), "error", err)
		}
	}()
	return a, nil
}

// Addr is where it listens.
func (a *Server) Addr() net.Addr { return a.listen.Addr() }

// Close lets running requests end until ctx does and returns when the listener's goroutine has ended.
func (a *Server) Close(ctx context.Context) error {
	err := a.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, a.http.Close())
	}
	<-a.done
	return err
}
