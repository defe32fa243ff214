package quorum

import "holt/tree"

// Chain is the writing end of a commit chain. It belongs to the apply goroutine, or to whoever tests or simulates event
// loops without a log.
type Chain struct{ tail *Commit }

// NewChain begins a chain at a state.
func NewChain(root *tree.Root) *Chain { return &Chain{tail: &Commit{Seq: 1, Root: root}} }

// Tail returns the newest commit.
func (c *Chain) Tail() *Commit { return c.tail }

// Publish appends a commit.
func (c *Chain) Publish(n *Commit) {
	n.Seq = c.tail.Seq + 1
	n.seal()
	c.tail.next.Store(n)
	c.tail = n
}
