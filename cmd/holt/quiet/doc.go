// Package quiet keeps libraries from printing before main has a say: whoever asks for the version should not read about
// the kernel's pressure files.
//
// # Model
//
// Its init silences package log. The server gives package log its own logger back (slog.SetDefault); the tools leave it
// silent.
//
// # Data flow
//
// Go initialises packages in the order of their import paths as soon as all that they import is initialised. This one
// imports almost nothing, and "holt/..." comes before the "net/..." that the talkative library waits for.
//
// # Invariants
//
// A test of cmd/holt runs the binary and finds nothing on standard error.
//
// # Ownership
//
// Package log's output belongs to this package until main.
//
// # Failure
//
// Should the order change, the line is printed again and the test says so.
package quiet

import (
	"io"
	"log"
)

func init() { log.SetOutput(io.Discard) }
