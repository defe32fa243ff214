// Package admin is what an operator speaks: four-letter words on the client port, and on the admin address the AdminServer's
// commands, metrics, health and profiles.
//
// # Model
//
// A question is answered from a Source: small interfaces that netloop and the wiring implement, the metrics, and the
// configuration as facts. Texts and JSON keys are ZooKeeper's, word for word, because monitors parse them with regular
// expressions; testdata holds what a ZooKeeper 3.9.5 answered, and the tests compare.
//
// # Data flow
//
//	client port: first four bytes are a word --> netloop detaches the socket --> ServeFourLetter --> answer, half-close, drain
//	admin address --> Handler --> /commands/<name> --> command table --> object --> JSON
//	                         '--> /metrics --> perf
//
// # Invariants
//
//	A1  A word that is not whitelisted tells nothing and changes nothing.
//	A2  Nothing here runs on an event loop or waits for one without the Clients interface saying so.
//	A3  Every answer of /commands has command (the canonical name) and error (null or a text); an unknown command has status 200.
//	A4  A four-letter conversation is bounded in time and bytes, and its answer is not thrown away by a reset.
//
// # Ownership
//
// Each four-letter conversation is a goroutine of netloop's. Listen starts one goroutine, whose end Close waits for.
//
// # Failure
//
// What is not known is left out or zero; a server without a quorum says that it is not serving. Differences from ZooKeeper, all
// wanted: the whitelist's default (DefaultWhitelist), no java.* keys in envi, secrets hidden in system_properties, digests that
// only Holt's members can compare, snapshot and restore over HTTP refused.
package admin
