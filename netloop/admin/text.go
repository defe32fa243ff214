package admin

import (
	"bufio"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"holt/perf"
	"holt/tree"
)

// answers write one word's text each; those in always are answered by a server that is not serving, too.
var (
	answers = map[string]func(w *bufio.Writer, s *question){
		"conf": writeConf, "cons": writeCons, "crst": writeCrst, "dirs": writeDirs, "dump": writeDump, "envi": writeEnvi, "gtmk": writeGtmk,
		"hash": writeHash, "isro": writeIsro, "mntr": writeMntr, "ruok": writeRuok, "srst": writeSrst, "srvr": writeSrvr, "stat": writeStat,
		"wchc": writeWchc, "wchp": writeWchp, "wchs": writeWchs,
	}
	always = map[string]bool{"ruok": true, "isro": true, "gtmk": true, "envi": true}
)

// question is a Source as the connection that asks sees it: among the clients.
type question struct {
	*Source
	Clients Clients // in place of the Source's
}

func newQuestion(s *Source, from string) *question {
	return &question{s, withAsker{s.Clients, Connection{Remote: from, Received: 1, LastXid: -1, LastZxid: -1}}}
}

// withAsker adds the connection that asks, which has left its loop. ZooKeeper lists it like any other.
type withAsker struct {
	Clients
	asker Connection
}

func (c withAsker) Connections() []Connection { return append(c.Clients.Connections(), c.asker) }

func writeAnswer(w *bufio.Writer, word string, s *question) {
	if !always[word] && !s.State.Serving() {
		fmt.Fprintln(w, notServing)
		return
	}
	answers[word](w, s)
}

func writeRuok(w *bufio.Writer, _ *question) { fmt.Fprint(w, "imok") }

func writeIsro(w *bufio.Writer, s *question) {
	switch {
	case !s.State.Serving():
		fmt.Fprint(w, "null")
	case s.State.Mode() == ReadOnly:
		fmt.Fprint(w, "ro")
	default:
		fmt.Fprint(w, "rw")
	}
}

func writeGtmk(w *bufio.Writer, s *question) { fmt.Fprint(w, s.mask()) }

func writeCrst(w *bufio.Writer, s *question) {
	s.Clients.ResetConnections()
	fmt.Fprintln(w, "Connection stats reset.")
}

func writeSrst(w *bufio.Writer, s *question) {
	s.Metrics.ResetStats()
	fmt.Fprintln(w, "Server stats reset.")
}

func writeDirs(w *bufio.Writer, s *question) {
	data, log := s.dirs()
	fmt.Fprintf(w, "datadir_size: %d\nlogdir_size: %d\n", data, log)
}

func writeEnvi(w *bufio.Writer, s *question) {
	fmt.Fprintln(w, "Environment:")
	for _, kv := range environment(s.Source) {
		fmt.Fprintf(w, "%s=%s\n", kv.key, kv.value)
	}
}

func writeConf(w *bufio.Writer, s *question) {
	c := &s.Config
	data, log := s.dirs()
	fmt.Fprintf(w, "clientPort=%d\nsecureClientPort=%d\n", c.ClientPort, c.SecureClientPort)
	fmt.Fprintf(w, "dataDir=%s\ndataDirSize=%d\ndataLogDir=%s\ndataLogSize=%d\n", c.DataDir, data, c.DataLogDir, log)
	fmt.Fprintf(w, "tickTime=%d\nmaxClientCnxns=%d\n", c.TickMs, c.MaxClientConns)
	fmt.Fprintf(w, "minSessionTimeout=%d\nmaxSessionTimeout=%d\n", c.MinSessionTimeoutMs, c.MaxSessionTimeoutMs)
	fmt.Fprintf(w, "clientPortListenBacklog=%d\nserverId=%d\n", c.ListenBacklog, c.ServerID)
	q := c.Quorum
	if q == nil {
		return
	}
	fmt.Fprintf(w, "initLimit=%d\nsyncLimit=%d\nelectionAlg=%d\n", q.InitLimit, q.SyncLimit, q.ElectionAlg)
	fmt.Fprintf(w, "electionPort=%d\nquorumPort=%d\npeerType=%d\n", q.ElectionPort, q.QuorumPort, q.peerType())
	membership := q.Membership
	if e := s.State.Root().Ensemble(); e != nil {
		membership = string(e.Text())
	}
	fmt.Fprintf(w, "membership: \n%s", membership) // and no line's end
}

// peerType is 0 for a participant and 1 for an observer.
func (q *QuorumConfig) peerType() int {
	if q.Observer {
		return 1
	}
	return 0
}

func writeSrvr(w *bufio.Writer, s *question) { writeServer(w, s, false) }
func writeStat(w *bufio.Writer, s *question) { writeServer(w, s, true) }

// writeServer is what field parsers know best (zkServer.sh status, go-zookeeper, kazoo, Telegraf, Datadog): words, colons and order
// are those of StatCommand.
func writeServer(w *bufio.Writer, s *question, clients bool) {
	root, mode, stats := s.State.Root(), s.State.Mode(), s.Metrics.Stats()
	fmt.Fprintf(w, "Zookeeper version: %s\n", s.Version)
	if mode == ReadOnly {
		fmt.Fprintln(w, "READ-ONLY mode; serving only read-only clients")
	}
	if clients {
		fmt.Fprintln(w, "Clients:")
		for _, c := range s.Clients.Connections() {
			writeConnection(w, &c, true)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "Latency min/avg/max: %d/%s/%d\n", stats.LatencyMinMs, perf.JavaDouble(stats.LatencyAvgMs), stats.LatencyMaxMs)
	fmt.Fprintf(w, "Received: %d\nSent: %d\nConnections: %d\n", stats.PacketsReceived, stats.PacketsSent, stats.Conns)
	fmt.Fprintf(w, "Outstanding: %d\nZxid: 0x%x\nMode: %s\nNode count: %d\n", stats.Outstanding, uint64(root.Zxid()), mode, root.NodeCount())
	if mode == Leader {
		fmt.Fprintf(w, "Proposal sizes last/min/max: %d/%d/%d\n", stats.ProposalLast, stats.ProposalMin, stats.ProposalMax)
	}
}

func writeCons(w *bufio.Writer, s *question) {
	for _, c := range s.Clients.Connections() {
		writeConnection(w, &c, false)
	}
	fmt.Fprintln(w)
}

func writeConnection(w *bufio.Writer, c *Connection, brief bool) {
	fmt.Fprintf(w, " /%s[%x](queued=%d,recved=%d,sent=%d", c.Remote, c.interestOps(), c.Queued, c.Received, c.Sent)
	if !brief && c.Session != 0 {
		fmt.Fprintf(w, ",sid=0x%x,lop=%s,est=%d,to=%d", uint64(c.Session), c.lop(), c.EstablishedMs, c.TimeoutMs)
		if c.LastXid >= 0 {
			fmt.Fprintf(w, ",lcxid=0x%x", c.LastXid)
		}
		fmt.Fprintf(w, ",lzxid=0x%x,lresp=%d", uint64(c.LastZxid), c.LastReplyMs)
		fmt.Fprintf(w, ",llat=%d,minlat=%d,avglat=%d,maxlat=%d", c.LastLatencyMs, c.MinLatencyMs, c.AvgLatencyMs, c.MaxLatencyMs)
	}
	fmt.Fprintln(w, ")")
}

func writeMntr(w *bufio.Writer, s *question) {
	fmt.Fprintf(w, "zk_version\t%s\nzk_server_state\t%s\n", s.Version, s.State.Mode())
	for _, f := range roleFields(s.State) {
		fmt.Fprintf(w, "zk_%s\t%v\n", f.key, f.value)
	}
	s.Metrics.VisitZooKeeper(func(name, value string) { fmt.Fprintf(w, "zk_%s\t%s\n", name, value) })
}

// writeHash writes the digest of the state at its zxid. Digests are comparable between Holt's members, not with ZooKeeper's.
func writeHash(w *bufio.Writer, s *question) {
	root := s.State.Root()
	fmt.Fprintf(w, "%x: %d\n", uint64(root.Zxid()), root.Digest())
}

func writeWchs(w *bufio.Writer, s *question) {
	n := s.watchSummary()
	fmt.Fprintf(w, "%d connections watching %d paths\nTotal watches:%d\n", n.Conns, n.Paths, n.Watches)
}

// watchesListedMax bounds the watches up to which wchs lists them, to count a path that several loops watch once.
const watchesListedMax = 10_000

func (s *Source) watchSummary() WatchCounts {
	n := s.Clients.WatchCounts()
	if n.Watches <= watchesListedMax {
		n.Paths = int64(len(s.Clients.WatchedPaths()))
	}
	return n
}

func writeWchp(w *bufio.Writer, s *question) {
	paths := s.Clients.WatchedPaths()
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		fmt.Fprintln(w, path)
		for _, session := range paths[path] {
			fmt.Fprintf(w, "\t0x%x\n", uint64(session))
		}
	}
	fmt.Fprintln(w)
}

func writeWchc(w *bufio.Writer, s *question) {
	bySession := pathsBySession(s.Clients.WatchedPaths())
	for _, session := range slices.Sorted(maps.Keys(bySession)) {
		fmt.Fprintf(w, "0x%x\n", uint64(session))
		for _, path := range bySession[session] {
			fmt.Fprintf(w, "\t%s\n", path)
		}
	}
	fmt.Fprintln(w)
}

// pathsBySession turns a map of watched paths around, each list in order.
func pathsBySession(byPath map[string][]tree.SessionID) map[tree.SessionID][]string {
	out := map[tree.SessionID][]string{}
	for _, path := range slices.Sorted(maps.Keys(byPath)) {
		for _, session := range byPath[path] {
			out[session] = append(out[session], path)
		}
	}
	return out
}

func writeDump(w *bufio.Writer, s *question) {
	root := s.State.Root()
	fmt.Fprintln(w, "SessionTracker dump:")
	if expiries := s.Clients.Expiries(); expiries != nil {
		fmt.Fprint(w, "Session ")
		writeExpiries(w, expiries, func(id tree.SessionID) string { return "0x" + strconv.FormatUint(uint64(id), 16) })
	} else {
		fmt.Fprintf(w, "Global Sessions(%d):\n", root.SessionCount())
		root.Sessions(func(session tree.Session) bool {
			fmt.Fprintf(w, "0x%x\t%dms\n", uint64(session.ID), session.TimeoutMs)
			return true
		})
	}
	fmt.Fprintln(w, "ephemeral nodes dump:")
	bySession, order := ephemerals(root)
	fmt.Fprintf(w, "Sessions with Ephemerals (%d):\n", len(order))
	for _, id := range order {
		fmt.Fprintf(w, "0x%x:\n", uint64(id))
		for _, path := range bySession[id] {
			fmt.Fprintf(w, "\t%s\n", path)
		}
	}
	fmt.Fprintln(w, "Connections dump:")
	fmt.Fprint(w, "Connections ")
	byExpiry := map[int64][]Connection{}
	for _, c := range s.Clients.Connections() {
		byExpiry[c.ExpiresMs] = append(byExpiry[c.ExpiresMs], c)
	}
	writeExpiries(w, byExpiry, func(c Connection) string { return fmt.Sprintf("ip: /%s sessionId: 0x%x", c.Remote, uint64(c.Session)) })
}

// writeExpiries writes an expiry queue: how many buckets and elements, then each bucket.
func writeExpiries[T any](w *bufio.Writer, buckets map[int64][]T, text func(T) string) {
	n := 0
	for _, elements := range buckets {
		n += len(elements)
	}
	fmt.Fprintf(w, "Sets (%d)/(%d):\n", len(buckets), n)
	for _, at := range slices.Sorted(maps.Keys(buckets)) {
		when := "an unknown time"
		if at != 0 {
			when = time.UnixMilli(at).UTC().Format("Mon Jan 02 15:04:05 MST 2006")
		}
		fmt.Fprintf(w, "%d expire at %s:\n", len(buckets[at]), when)
		for _, element := range buckets[at] {
			fmt.Fprintf(w, "\t%s\n", text(element))
		}
	}
}

// ephemerals returns the ephemeral nodes of every session that has some, and the sessions in order.
func ephemerals(root *tree.Root) (bySession map[tree.SessionID][]string, order []tree.SessionID) {
	bySession = map[tree.SessionID][]string{}
	root.Sessions(func(session tree.Session) bool {
		root.Ephemerals(session.ID, func(path []byte) bool {
			bySession[session.ID] = append(bySession[session.ID], string(path))
			return true
		})
		if len(bySession[session.ID]) > 0 {
			order = append(order, session.ID)
		}
		return true
	})
	return bySession, order
}
