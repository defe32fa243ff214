package wal

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// steppedConfig is a log in memory with the smallest segments, which does nothing by itself.
func steppedConfig(fs vfs.FS) Config {
	salt := uint64(1)
	return Config{
		FS: fs, Dir: "/data/log", SegmentBytes: segmentBytesMin, Stepped: true,
		Salt: func() uint64 { salt++; return salt },
	}
}

func mustOpen(t testing.TB, cfg Config) *Log {
	t.Helper()
	l, err := Open(cfg)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return l
}

func makeEntries(first, last, term uint64, size int) []Entry {
	var out []Entry
	for i := first; i <= last; i++ {
		data := bytes.Repeat([]byte{byte(i)}, size)
		copy(data, fmt.Sprintf("%d/%d", i, term))
		out = append(out, Entry{Index: i, Term: term, Data: data})
	}
	return out
}

// appendNow appends, steps, and returns what Done was told.
func appendNow(l *Log, hs *HardState, entries ...Entry) (err error) {
	err = errors.New("Done did not run")
	l.Append(Append{Entries: entries, HardState: hs, Done: func(e error) { err = e }})
	l.Step()
	return err
}

func checkEntries(t testing.TB, l *Log, want []Entry) {
	t.Helper()
	if len(want) == 0 {
		return
	}
	lo := want[0].Index
	got, err := l.Entries(lo, lo+uint64(len(want)), 1<<40)
	if err != nil {
		t.Fatalf("Entries(%d, %d): %v", lo, lo+uint64(len(want)), err)
	}
	if len(got) != len(want) {
		t.Fatalf("Entries(%d, %d): %d entries", lo, lo+uint64(len(want)), len(got))
	}
	for i := range want {
		if got[i].Index != want[i].Index || got[i].Term != want[i].Term || got[i].Type != want[i].Type || !bytes.Equal(got[i].Data, want[i].Data) {
			t.Fatalf("entry %d: got %d/%d %q, want %d/%d %q", i, got[i].Index, got[i].Term, got[i].Data, want[i].Index, want[i].Term, want[i].Data)
		}
	}
}

func TestAppendAndReopen(t *testing.T) {
	fs := vfs.NewMem()
	l := mustOpen(t, steppedConfig(fs))
	var all []Entry
	for i := range uint64(300) {
		e := makeEntries(i+1, i+1, 1+i/100, 200)
		if err := appendNow(l, &HardState{Term: e[0].Term, Vote: 7, Commit: i}, e...); err != nil {
			t.Fatal(err)
		}
		all = append(all, e...)
	}
	checkEntries(t, l, all)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, steppedConfig(fs))
	defer l.Close()
	checkEntries(t, l, all)
	if got, want := l.HardState(), (HardState{3, 7, 299}); got != want {
		t.Fatalf("HardState %v, want %v", got, want)
	}
	if first, last := l.FirstIndex(), l.LastIndex(); first != 1 || last != 300 {
		t.Fatalf("holds %d..%d", first, last)
	}
	for i := range uint64(300) {
		if term, err := l.Term(i + 1); err != nil || term != 1+i/100 {
			t.Fatalf("Term(%d) = %d, %v", i+1, term, err)
		}
	}
}

func TestBefore(t *testing.T) {
	const (
		size  = 1000
		frame = frameHeadBytes + entryHeadBytes + size
	)
	fs := vfs.NewMem()
	cfg := steppedConfig(fs)
	cfg.SegmentBytes = 4 * markEveryBytes
	l := mustOpen(t, cfg)
	if got := l.Before(1); got != 0 {
		t.Errorf("an empty log: %d", got)
	}
	check := func(what string) {
		t.Helper()
		for _, bytes := range []int64{1, markEveryBytes, 5*markEveryBytes + 1, 9 * markEveryBytes} {
			at := l.Before(bytes)
			if kept := int64(l.LastIndex()-at) * frame; kept < bytes || kept > bytes+markEveryBytes*3/2 {
				t.Errorf("%s: %d bytes are asked for, entries with %d are kept", what, bytes, kept)
			}
		}
		if at := l.Before(1 << 40); at != l.FirstIndex()-1 {
			t.Errorf("%s: more than there is: %d", what, at)
		}
	}
	for i := range uint64(1000) {
		if err := appendNow(l, nil, makeEntries(i+1, i+1, 1, size)...); err != nil {
			t.Fatal(err)
		}
	}
	check("written")
	if err := appendNow(l, nil, makeEntries(901, 950, 2, size)...); err != nil {
		t.Fatal(err)
	}
	check("taken back in part")
	if err := l.Cut(l.Before(10 * markEveryBytes)); err != nil {
		t.Fatal(err)
	}
	check("cut")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, cfg)
	defer l.Close()
	check("reopened")
}

// What lies in a Scratch is right until it is reset, however often that is used, and takes no new memory then.
func TestEntriesIn(t *testing.T) {
	cfg := steppedConfig(vfs.NewMem())
	cfg.TailBytes = -1
	l := mustOpen(t, cfg)
	defer l.Close()
	entries := makeEntries(1, 3000, 1, 5000)
	for batch := range slices.Chunk(entries, 100) {
		if err := appendNow(l, nil, batch...); err != nil {
			t.Fatal(err)
		}
	}
	var s Scratch
	for range 3 {
		var got []Entry
		for len(got) < 100 {
			part, err := l.EntriesIn(&s, uint64(len(got)+1), 101, 30_000)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, part...)
		}
		if !reflect.DeepEqual(got, entries[:100]) {
			t.Fatal("the entries are not those that were appended")
		}
		s.Reset()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 10 {
		if _, err := l.EntriesIn(&s, 1, 101, 1<<20); err != nil {
			t.Fatal(err)
		}
		s.Reset()
	}
	runtime.ReadMemStats(&after)
	if bytes := after.TotalAlloc - before.TotalAlloc; bytes > 500_000 {
		t.Errorf("5 MB were read with %d bytes of new memory", bytes)
	}
}
