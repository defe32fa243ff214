// Package shell is "holt shell": zkCli's commands against any server that speaks ZooKeeper's protocol.
//
// # Model
//
// A Shell runs commands, one after the other, on one client; a client is one session. The client is written on
// netloop/wire instead of a library: all commands of a shell must run on one session, because getEphemerals, whoami,
// addauth and watches are about the session or connection that asks, and the Go client in common use lacks the requests
// for half of them. It is small because it may be: one user, no callbacks, and a lost connection fails what was under
// way instead of being hidden.
//
// Names, options and output are zkCli's, so that scripts go on working. The differences: results go to standard output
// and everything else to standard error; one-shot use prints nothing but the result; getEphemerals answers without the
// chroot; an unknown permission letter is an error; a word may be empty ("").
//
// # Data flow
//
//	terminal ── readline ──┐
//	standard input ────────┼── line ── splitWords ── words ── parseOptions ── command.run ── client.do ──> server
//	holt shell ls / ───────┘                                                                    │
//	                  terminal <── event ── client.read (own goroutine) <───────────────────────┘
//
// # Invariants
//
//	S1  Exit codes: 0 done, 1 failed, 2 the shell's arguments were wrong, 127 no such command.
//	S2  A reply belongs to the oldest call that waits; any other order closes the connection.
//	S3  After a reconnect credentials come first, then watches, then new calls. No call is sent twice.
//	S4  No line with a password goes to the history file.
//
// # Ownership
//
// client.run owns the reading side of the connection; ping has a goroutine that ends with the connection; calls may
// start on any goroutine, under client.mu. close returns after all of them have gone.
//
// # Failure
//
// A refusal by the server is printed in zkCli's words. A lost connection is an event and an error of the calls under
// way; the client reconnects until the session is closed or has expired.
package shell
