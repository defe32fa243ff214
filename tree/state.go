package tree

// State is the writable tree. One goroutine owns it.
type State struct{}

// New makes the state of a fresh server: /, /zookeeper, /zookeeper/quota and
// /zookeeper/config as ZooKeeper has them.
func New() *State { panic("tree: storage has not landed") }

// Root is the current published state, the one of the last Apply.
func (s *State) Root() *Root { panic("tree: storage has not landed") }

// Apply runs a batch and publishes the new Root. The same batch on the same
// state gives the same state and, but for Local, the same results on every
// member. An error means bytes that no version of Holt wrote, or that a newer
// one did; the state is then as before the batch.
func (s *State) Apply(b Batch) (Applied, error) { panic("tree: storage has not landed") }
