// Package config turns flags, the environment and ZooKeeper's own zoo.cfg into one typed Config.
//
// # Model
//
// A key is a name as ZooKeeper spells it (tickTime, 4lw.commands.whitelist) or, for what only Holt has, a name under
// "holt.". All keys stand in one table, Keys: what a key means for Holt, how its value is read and shown, which flag
// and which environment variables set it as well. The reference page docs/configuration.md is printed from that table.
//
// # Data flow
//
//	zoo.cfg ── ParseProperties ──┐
//	JVMFLAGS -Dname=value ───────┤
//	ZOO_* and HOLT_* ────────────┼──> assignments, weakest first ──> Key.set on Config ──> finish ──> Config
//	flags and --set key=value ───┘                                                    └──> Warnings
//
// # Invariants
//
//	C1  Precedence is flag > HOLT_* > ZOO_* > JVMFLAGS > file > default, whatever the order within a source.
//	C2  A file that starts ZooKeeper starts Holt, unless it asks for what would be unsafe to leave out (TLS, required
//	    authentication, weighted quorums): that is an error that says so.
//	C3  A value that makes no sense is an error that names the key and where it stands; an unknown key is a warning
//	    that does the same. All errors of a source are reported together.
//	C4  A key in the table is read, or refused, or its entry says what stands in its place: nothing is dropped silently
//	    that an operator could rely on.
//
// # Ownership
//
// Load reads files and the environment it is given and starts nothing; the Config it returns belongs to the caller.
//
// # Failure
//
// Load returns every error found, joined. It never logs: warnings are returned, for the caller to log.
package config
