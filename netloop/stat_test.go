package netloop

import (
	"reflect"
	"testing"

	"holt/netloop/wire"
	"holt/tree"
)

// TestStatsAreTheSame: appendStat takes the one for the other.
func TestStatsAreTheSame(t *testing.T) {
	ours, wires := reflect.TypeFor[tree.Stat](), reflect.TypeFor[wire.Stat]()
	if ours.Size() != wires.Size() || ours.NumField() != wires.NumField() {
		t.Fatalf("%d bytes, %d fields; wire has %d, %d", ours.Size(), ours.NumField(), wires.Size(), wires.NumField())
	}
	for i := range ours.NumField() {
		a, b := ours.Field(i), wires.Field(i)
		if a.Name != b.Name || a.Offset != b.Offset || a.Type.Kind() != b.Type.Kind() {
			t.Errorf("field %d: %s %v at %d; in wire %s %v at %d", i, a.Name, a.Type.Kind(), a.Offset, b.Name, b.Type.Kind(), b.Offset)
		}
	}
}
