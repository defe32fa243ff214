// Package perf is what a server says of itself in numbers: counters, latencies, levels, and a log of slow operations.
//
// # Model
//
// Metrics holds everything; parts write to the fields that concern them. Distributions are Histograms with one fixed table of
// bounds (six to a decade), from which three views are made: `le` buckets for Prometheus under Holt's names, summaries under
// ZooKeeper's names for the community's dashboards, and the avg/min/max/p lines of mntr. Times are nanoseconds of Now inside,
// seconds in Holt's names and milliseconds in ZooKeeper's.
//
// # Data flow
//
//	event loop ---- plain increments in a turn ---- End: atomics ---.
//	log, quorum, checkpoint, acceptor ---- atomics, per batch ------+--> WritePrometheus (/metrics)
//	Sources: callbacks at a scrape ---------------------------------'--> VisitZooKeeper (mntr, /commands/monitor), Stats (srvr)
//
// Counting a request that is answered in its own turn is one plain increment and no clock: End counts all of them with the
// time of the turn, which is the longest that any of them can have taken. A VictoriaMetrics counter per request would be
// 3 ns and a clock 50 ns; per turn they do not show. See BenchmarkTurn.
//
// # Invariants
//
//	P1  A Loop is written by one goroutine; what others read of it is atomic. Nothing here takes a lock on a hot path.
//	P2  Counters and histograms never go down; srst subtracts what was there (and resets smallest and largest).
//	P3  A metric with a ZooKeeper name means what it means there, in its unit, or is absent. One exception, wanted: readlatency
//	    leaves pings out.
//	P4  A scrape calls Sources, which must not block or walk; its cost does not depend on connections, znodes or watches.
//
// # Ownership
//
// Each event loop owns its Loop. Everything else may be written from any goroutine. Quantile windows turn when they are read, under
// a lock that only scrapes take.
//
// # Failure
//
// Nothing here can fail. The slow-operation log drops lines beyond its rate and says how many.
package perf
