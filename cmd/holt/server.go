package main

import (
	"context"
	"errors"
	"log/slog"

	"holt/cmd/holt/config"
)

// run serves until ctx ends.
func run(_ context.Context, _ *config.Config, _ *slog.Logger) error {
	return errors.New("the server is not wired yet in this build")
}
