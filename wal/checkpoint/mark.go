package checkpoint

// Mark says which part of the log an image contains.
type Mark struct {
	Index, Term uint64 // of the last entry that was applied to the tree in the image; zero for a fresh one
	ConfState   []byte // the members as of that entry, as raft encodes them; nil for a fresh image
}
