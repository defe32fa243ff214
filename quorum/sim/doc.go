// Package sim runs whole clusters on one goroutine from one seed: members with their disks, clocks and network, and clients
// that check everything they are told. It is for tests only. docs/simulation.md says how to run it and what to do with a seed.
//
// # Model
//
// A world is a heap of events by time. An event is a tick of a clock, a frame or some bytes that arrive, a sync of a log that
// is done, a client that has an idea, a fault. Nothing runs but the event that is next, so two runs of one seed do the same
// in the same order, and the hash of all that happened, the trace, is the same. Several dice, one per subject, are thrown from the seed.
//
// A member is the product: wal.Log, quorum.Quorum and netloop.Stepped, all in their stepped mode, in which somebody else says
// when each has its turn. Not the product, but stand-ins that decide nothing: the network between members (fabric, for
// quorum/peers), that to clients (wire and pipe, for gnet), the file system (disk: what was not synced may be lost, sector by
// sector) and the durable image (image, for wal/checkpoint, which has crash tests of its own and is too slow for this).
//
// A run has three parts: a time of faults; a time after which all faults are over, everybody is back and every client has had a
// write answered; and a time after which all members are the same. Each seed draws which kinds of faults it may have, how often they come,
// how many members there are, what the members' configuration says about reads, and what each client does.
//
// # Data flow
//
//	seed ─▶ dice ─▶ injector ── faults ──▶ fabric, wire, disks, clocks, processes, operators' requests
//	                                          │
//	  clients ◀── pipe (wire) ──▶ netloop ◀─ seam ─▶ quorum ◀── port (fabric) ──▶ the other members
//	     │                                    │        │
//	     │                                    │        └──▶ wal ──▶ disk      image ◀── checkpoints, states from peers
//	     │                                    └─ every Commit, every proposal of a leader ─┐
//	     └─ what was sent and what was answered ──▶ history (porcupine)                    ▼
//	     └─────────── what was answered, compared with ──────────────────────────────▶ truth: the one history
//
// truth is fed by whoever applies an entry first: it applies the entry itself, command by command, and so knows the tree at every
// zxid. All others, and all answers, are compared with it. history knows nothing of the log: it hands the operations on
// single znodes to porcupine, so that linearizability does not rest on truth alone.
//
// # Invariants
//
// Checks have names, which a Violation begins with:
//
//	one leader per term    no two members lead in one term
//	members agreed         a member that starts knows all changes of members to be committed but the last one in its log
//	equal digests          after the same entry all members have the same state, also one that starts or was sent the state
//	applied in order       entries are published in order
//	entries apply          what is committed can be applied
//	acknowledged writes    an answer to a write says what the history says; what was acknowledged is in it, and stays
//	multi                  all of it or nothing
//	linearizable           a write or sync comes after all that was acknowledged before it was sent; so do reads that are configured to;
//	                       and porcupine finds an order for what was done to each register
//	reads                  a read is the state at the zxid it names
//	session order          a session never sees an older state, and what a connection sends is in the log in its order, without gaps
//	answers in order       requests are answered in the order they were sent
//	watch order            no answer shows a change before the event of it has come
//	watch events           each change that is watched is told once, in order, and nothing else is; setWatches catches up
//	moved sessions         a write succeeds only through the connection that has the session
//	sessions live          an open session is not said to be expired; nobody gets another's
//	sessions end once      what is gone stays gone
//	never early            a leader expires no session that a member without trouble has heard of within its timeout
//	ephemeral lifetime     ephemerals go when deleted or when their session ends, with it, and never stay behind
//	read-only              a member without a leader answers no write, and takes no session of the ensemble
//	cluster id             members of one ensemble agree on its name
//	members go on          no process ends by its own decision, unless its disk gave it reason
//	no panic               no invariant that the product itself asserts is broken
//	wire format            what clients receive can be read
//	liveness               after faults every client is served, and all members are back and the same
//
// That the checks see what they are for is shown by mutations (mutate.go): bugs that other systems had, put in at the seams of a
// member, each with a seed that finds it in testdata/mutations. They sit at seams so that the product holds no switches.
//
// # Ownership
//
// One goroutine, one world. Run replaces crypto/rand.Reader, of which raft and sessions draw, so a process runs one world at a
// time; `make sim` starts several processes.
//
// # Failure
//
// A check that fails panics with a *Violation, through whatever product code is on the stack, up to Run. It carries the seed, the
// time, and what happened last. The seed replays it, as long as neither the simulator nor what it draws from has changed: so a bug is
// kept as a test of the package it was in, and its seed is named there.
//
// What is not simulated: TLS, quorum/peers' handshakes with other releases, the real image, real time and the operating system.
// cmd/chaos has those.
package sim
