package main

import (
	"holt/tree"
	"holt/wal/checkpoint"
)

// logOnly is a server without checkpoints: it starts by replaying its whole log.
type logOnly struct{}

func (logOnly) Load() (*tree.State, checkpoint.Mark, error) {
	return tree.New(), checkpoint.Mark{}, nil
}

func (logOnly) Write(_, _ *tree.Root, _ checkpoint.Mark) error {
	return nil
}
func (logOnly) Close() error     { return nil }
func (logOnly) DiskBytes() int64 { return 0 }
