package admin

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"holt/perf"
	"holt/tree"
)

// command is one of the AdminServer's: GET /commands/<name or alias>.
type command struct {
	names   []string // the first is the canonical one
	serving bool     // answered only by a server that is serving
	auth    bool     // needs permission ALL on /
	run     func(s *Source, args url.Values) (answer object, problem string)
}

func ok(run func(s *Source) object) func(*Source, url.Values) (object, string) {
	return func(s *Source, _ url.Values) (object, string) { return run(s), "" }
}

var commands = []command{
	{names: []string{"configuration", "conf", "config"}, serving: true, run: ok(configuration)},
	{names: []string{"connection_stat_reset", "crst"}, serving: true, run: ok(func(s *Source) object { s.Clients.ResetConnections(); return nil })},
	{names: []string{"connections", "cons"}, serving: true, run: ok(func(s *Source) object { return connections(s, false) })},
	{names: []string{"dirs"}, serving: true, run: ok(func(s *Source) object {
		data, log := s.dirs()
		return object{{"datadir_size", data}, {"logdir_size", log}}
	})},
	{names: []string{"dump"}, serving: true, run: ok(dump)},
	{names: []string{"environment", "env", "envi"}, run: ok(func(s *Source) (o object) {
		for _, kv := range environment(s) {
			o.add(kv.key, kv.value)
		}
		return o
	})},
	{names: []string{"get_trace_mask", "gtmk"}, run: ok(func(s *Source) object { return object{{"tracemask", s.mask()}} })},
	{names: []string{"hash"}, serving: true, run: ok(digests)},
	{names: []string{"initial_configuration", "icfg"}, serving: true, run: ok(func(s *Source) object {
		return object{{"initial_configuration", s.Config.Text}}
	})},
	{names: []string{"is_read_only", "isro"}, serving: true, run: ok(func(s *Source) object {
		return object{{"read_only", s.State.Mode() == ReadOnly}}
	})},
	{names: []string{"last_snapshot", "lsnp"}, serving: true, run: ok(lastSnapshot)},
	{names: []string{"leader", "lead"}, serving: true, run: leader},
	{names: []string{"monitor", "mntr"}, run: ok(monitor)},
	{names: []string{"observer_connection_stat_reset", "orst"}, serving: true, run: ok(func(*Source) object { return nil })},
	{names: []string{"observers", "obsr"}, serving: true, run: ok(observers)},
	{names: []string{"restore", "rest"}, serving: true, auth: true},
	{names: []string{"ruok"}, serving: true, run: ok(func(*Source) object { return nil })},
	{names: []string{"server_stats", "srvr"}, serving: true, run: ok(serverStats)},
	{names: []string{"set_trace_mask", "stmk"}, run: setTraceMask},
	{names: []string{"snapshot", "snap"}, serving: true, auth: true},
	{names: []string{"stat_reset", "srst"}, serving: true, run: ok(func(s *Source) object { s.Metrics.ResetStats(); return nil })},
	{names: []string{"stats", "stat"}, serving: true, run: ok(func(s *Source) object { return append(serverStats(s), connections(s, true)...) })},
	{names: []string{"system_properties", "sysp"}, run: ok(properties)},
	{names: []string{"voting_view"}, serving: true, run: ok(votingView)},
	{names: []string{"watch_summary", "wchs"}, serving: true, run: ok(func(s *Source) object {
		n := s.watchSummary()
		return object{{"num_connections", n.Conns}, {"num_paths", n.Paths}, {"num_total_watches", n.Watches}}
	})},
	{names: []string{"watches", "wchc"}, serving: true, run: ok(watches)},
	{names: []string{"watches_by_path", "wchp"}, serving: true, run: ok(watchesByPath)},
	{names: []string{"zabstate"}, run: ok(zabState)},
}

var commandByName = func() map[string]*command {
	m := map[string]*command{}
	for i := range commands {
		for _, name := range commands[i].names {
			m[name] = &commands[i]
		}
	}
	return m
}()

// runCommand answers one command: its fields, then command and error, and the HTTP status.
func runCommand(s *Source, name string, args url.Values) (object, int) {
	finish := func(o object, command string, problem string) object {
		o.add("command", command)
		if problem == "" {
			o.add("error", nil)
		} else {
			o.add("error", problem)
		}
		return o
	}
	c := commandByName[name]
	switch {
	case c == nil:
		return finish(nil, name, "Unknown command: "+name), http.StatusOK
	case c.serving && !s.State.Serving():
		return finish(nil, c.names[0], notServing), http.StatusOK
	case c.auth:
		return finish(nil, c.names[0], "not available: back up with a checkpoint of the data directory"), http.StatusServiceUnavailable
	}
	answer, problem := c.run(s, args)
	return finish(answer, c.names[0], problem), http.StatusOK
}

func configuration(s *Source) object {
	c := &s.Config
	return object{
		{"client_port", c.ClientPort},
		{"data_dir", c.DataDir},
		{"data_log_dir", c.DataLogDir},
		{"tick_time", c.TickMs},
		{"max_client_cnxns", c.MaxClientConns},
		{"min_session_timeout", c.MinSessionTimeoutMs},
		{"max_session_timeout", c.MaxSessionTimeoutMs},
		{"server_id", c.ServerID},
		{"client_port_listen_backlog", c.ListenBacklog},
	}
}

func connections(s *Source, brief bool) object {
	plain, secure := list{}, list{}
	for _, c := range s.Clients.Connections() {
		if c.Secure {
			secure = append(secure, connection(&c, brief))
		} else {
			plain = append(plain, connection(&c, brief))
		}
	}
	return object{{"connections", plain}, {"secure_connections", secure}}
}

func connection(c *Connection, brief bool) object {
	o := object{
		{"remote_socket_address", c.Remote},
		{"interest_ops", c.interestOps()},
		{"outstanding_requests", c.Queued},
		{"packets_received", c.Received},
		{"packets_sent", c.Sent},
	}
	if brief {
		return o
	}
	return append(o, object{
		{"session_id", int64(c.Session)},
		{"last_operation", c.lop()},
		{"established", c.EstablishedMs},
		{"session_timeout", int(c.TimeoutMs)},
		{"last_cxid", int(c.LastXid)},
		{"last_zxid", c.LastZxid},
		{"last_response_time", c.LastReplyMs},
		{"last_latency", c.LastLatencyMs},
		{"min_latency", c.MinLatencyMs},
		{"avg_latency", c.AvgLatencyMs},
		{"max_latency", c.MaxLatencyMs},
	}...)
}

func dump(s *Source) object {
	expiries := s.Clients.Expiries()
	byTime := object{}
	for _, at := range slices.Sorted(maps.Keys(expiries)) {
		byTime.add(strconv.FormatInt(at, 10), sessionList(expiries[at]))
	}
	paths, order := ephemerals(s.State.Root())
	bySession := object{}
	for _, id := range order {
		bySession.add(sessionKey(id), stringList(paths[id]))
	}
	return object{{"expiry_time_to_session_ids", byTime}, {"session_id_to_ephemeral_paths", bySession}}
}

func digests(s *Source) object {
	root := s.State.Root()
	one := object{{"zxid", int64(root.Zxid())}, {"digest", literal(strconv.FormatUint(root.Digest(), 10))}, {"version", digestVersion}}
	return object{{"digests", list{one}}}
}

// digestVersion sets Holt's digest apart from the reference's, which has version 2.
const digestVersion = 1 << 16

func lastSnapshot(s *Source) object {
	zxid, at := int64(-1), int64(-1)
	if s.LastCheckpoint != nil {
		if z, when, ok := s.LastCheckpoint(); ok {
			zxid, at = int64(z), when.Unix()
		}
	}
	return object{{"zxid", strconv.FormatUint(uint64(zxid), 16)}, {"timestamp", at}}
}

func monitor(s *Source) object {
	o := object{{"version", s.Version.String()}, {"server_state", string(s.State.Mode())}}
	o = append(o, roleFields(s.State)...)
	s.Metrics.VisitZooKeeper(func(name, value string) { o.add(name, literal(value)) })
	return o
}

func serverStats(s *Source) object {
	stats, root := s.Metrics.Stats(), s.State.Root()
	data, log := s.dirs()
	sizes := object{{"last_buffer_size", -1}, {"min_buffer_size", -1}, {"max_buffer_size", -1}}
	o := object{
		{"version", s.Version.String()},
		{"read_only", s.State.Mode() == ReadOnly},
		{"server_stats", object{
			{"packets_sent", int64(stats.PacketsSent)},
			{"packets_received", int64(stats.PacketsReceived)},
			{"fsync_threshold_exceed_count", int64(stats.FsyncSlow)},
			{"client_response_stats", sizes},
			{"provider_null", false},
			{"data_dir_size", data},
			{"log_dir_size", log},
			{"last_processed_zxid", int64(root.Zxid())},
			{"outstanding_requests", stats.Outstanding},
			{"server_state", string(s.State.Mode())},
			{"avg_latency", literal(perf.JavaDouble(stats.LatencyAvgMs))},
			{"max_latency", stats.LatencyMaxMs},
			{"min_latency", stats.LatencyMinMs},
			{"num_alive_client_connections", stats.Conns},
			{"uptime", s.Metrics.UptimeMs()},
			{"auth_failed_count", int64(stats.AuthFailures)},
			{"non_mtlsremote_conn_count", 0},
			{"non_mtlslocal_conn_count", 0},
		}},
		{"client_response", sizes},
	}
	if s.State.Mode() == Leader {
		o.add("proposal_stats", object{
			{"last_buffer_size", stats.ProposalLast}, {"min_buffer_size", stats.ProposalMin}, {"max_buffer_size", stats.ProposalMax},
		})
	}
	o.add("node_count", root.NodeCount())
	return o
}

func setTraceMask(s *Source, args url.Values) (object, string) {
	const needs = "setTraceMask requires long traceMask argument"
	if !args.Has("traceMask") {
		return nil, needs
	}
	mask, err := strconv.ParseInt(args.Get("traceMask"), 10, 64)
	if err != nil {
		return nil, needs + ", got " + args.Get("traceMask")
	}
	s.setMask(mask)
	return object{{"tracemask", mask}}, ""
}

// properties are the configuration's keys. Values whose key speaks of a secret are not shown; the reference shows them.
func properties(s *Source) (o object) {
	for _, key := range slices.Sorted(maps.Keys(s.Config.Properties)) {
		value := s.Config.Properties[key]
		if isSecret(key) {
			value = "(not shown)"
		}
		o.add(key, value)
	}
	return o
}

func isSecret(key string) bool {
	key = strings.ToLower(key)
	for _, word := range []string{"password", "passwd", "secret", "superdigest", "token"} {
		if strings.Contains(key, word) {
			return true
		}
	}
	return false
}

func watches(s *Source) object {
	bySession := pathsBySession(s.Clients.WatchedPaths())
	o := object{}
	for _, id := range slices.Sorted(maps.Keys(bySession)) {
		o.add(sessionKey(id), stringList(bySession[id]))
	}
	return object{{"session_id_to_watched_paths", o}}
}

func watchesByPath(s *Source) object {
	paths := s.Clients.WatchedPaths()
	o := object{}
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		o.add(path, sessionList(paths[path]))
	}
	return object{{"path_to_session_ids", o}}
}

func sessionKey(id tree.SessionID) string { return strconv.FormatInt(int64(id), 10) }

func sessionList(ids []tree.SessionID) list {
	l := list{}
	for _, id := range ids {
		l = append(l, int64(id))
	}
	return l
}

func stringList(texts []string) list {
	l := list{}
	for _, t := range texts {
		l = append(l, t)
	}
	return l
}
