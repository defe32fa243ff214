package main

import (
	"testing"
)

func TestGCPercent(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, 100}, {4 << 20, 100}, {64 << 20, 100}, {80 << 20, 80}, {128 << 20, 50}, {160 << 20, 40}, {100 << 30, 40},
	} {
		if got := gcPercent(c.live); got != c.want {
			t.Errorf("%d MiB live: GOGC %d, want %d", c.live>>20, got, c.want)
		}
	}
}
