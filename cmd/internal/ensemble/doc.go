// Package ensemble starts members of Apache ZooKeeper and of Holt as processes, from the same zoo.cfg, and does to them what
// happens to servers: kill, stop, freeze, start again, cut a link, fill a disk.
//
// # Model
//
// A launcher is an executable that takes a zoo.cfg and stays in the foreground: servers/zookeeper and servers/holt. An Ensemble
// is N Members that run one launcher; each has a directory with its zoo.cfg, its data and its log. One Member alone has no
// server lines: a standalone server. Members listen on loopback, on ports of their own, or each on its own Host.
//
// Hosts are network namespaces joined by a bridge. The program that wants them calls Isolate first thing in main: it runs
// itself again in a network and mount namespace of its own, where it may make what it needs, touches nothing of the machine's
// network, and leaves nothing behind however it ends, since namespaces end with their last process. Packets are dropped where
// they arrive, by nftables, so that a link is cut in one direction or in both.
//
// # Data flow
//
//	Config ──> zoo.cfg, myid ──> launcher <zoo.cfg> ──> log
//	                                 │
//	                host 1 ── eth0 ──┤ veth
//	                host 2 ── eth0 ──┼── bridge ── hub: this program, clients
//	                host 3 ── eth0 ──┘
//
// # Invariants
//
//   - N1: ZooKeeper and Holt get the same zoo.cfg, byte for byte but for ports and directories.
//   - N2: no server outlives this program: each is killed by the kernel when its parent ends.
//   - N3: a log is appended to, never cut: what a member said before it was killed stays.
//
// # Ownership
//
// An Ensemble, its Members and its Hosts belong to one goroutine at a time, except Member.Mode, Member.Word, Member.Ended
// and Member.Addr, which any may call.
//
// # Failure
//
// What cannot be installed or started is an error that ends with what the command or the server said last.
package ensemble
