// Package checkpoint keeps the tree's durable image: what the tree was at one entry of the log, so that the log up to
// there can be cut, and a restart loads it and replays only the rest.
//
// # Model
//
// The image is a sorted set of keys and values, the stored form of a tree.Root, in a Pebble store that is used for two
// things only: to ingest sorted tables, and to be scanned. A Write takes the difference between the root that the image
// holds and a newer one, which tree.Diff finds without the older root, writes it as sorted tables beside the store, and has all of
// them ingested in one step, the mark among them. So a Write costs what changed, once per znode however often it was
// written; nothing passes through a memtable or a second log. Pebble's compactions fold the tables together.
//
//	key          value
//	00 "format"  version u32
//	00 "mark"    index u64 │ term u64 │ conf state
//	"m".."s"     see tree's stored form
//
// # Data flow
//
//	*tree.Base, *tree.Root ─ tree.Diff ▶ building/000000.sst ...  ── sync ──▶ Pebble: ingest, one manifest record
//	                        keys in order, bursts with pauses                   │            │
//	                                                                            ▼            ▼
//	tree.State ◀── tree.Loader ◀── pages ◀── scan "m".."t" ◀────────────── image     compactions, paced
//
// # Invariants
//
//   - C1: a Write's tables and its mark become visible, and durable, together or not at all. The image is always a
//     Root that was given to a Write that returned nil, or to one that did not return.
//   - C2: a Write starts from what the image holds: the Root that was last written or loaded, known by zxid and digest.
//   - C3: the memtable is always empty, so Pebble's own log is off, and a Backup is complete as it stands.
//   - C4: neither a Write nor a compaction takes more than Config.BusyPercent of a core, in bursts of a millisecond.
//   - C5: nothing is compacted before the image was read, so that a start does not wait for it.
//
// # Ownership
//
// The checkpoint goroutine of the caller owns the Store: Write, Load and Close are called one at a time. Backup and
// DiskBytes may be called by anyone. Load has a goroutine that reads ahead and ends with it. Pebble's goroutines end in
// Close.
//
// # Failure
//
// No space refuses a Write with an error wrapping ErrFull and leaves the image as it was; the next Write tries the whole
// difference again. A store that another process has, or a newer Holt wrote, does not open (ErrLocked, ErrNewerFormat). What
// Pebble or tree.Loader find damaged is an error of Load. A failure after which the store cannot know what its files
// hold ends the process through Config.Fatal.
package checkpoint
