package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// Times of the histories below are in milliseconds.
const msec = int64(time.Millisecond)

func entry(client string, session int64, op Op, path string, begin, end int64, result Result) Entry {
	return Entry{Client: client, Session: session, Op: op, Path: path, Begin: begin * msec, End: end * msec, Result: result}
}

func (e Entry) wrote(value string, version int32, zxid int64) Entry {
	e.Value, e.Version, e.Zxid = value, version, zxid
	return e
}

func (e Entry) read(value string, version int32, zxid int64) Entry {
	e.Got, e.Version, e.Zxid = value, version, zxid
	return e
}

func (e Entry) saw(names ...string) Entry {
	e.Names = names
	return e
}

func began(client string, session, at int64) Entry {
	e := entry(client, session, OpSession, "", at, at, "")
	e.Timeout = 10_000
	return e
}

const (
	regA  = registerPath + "/0000-0-a"
	regB  = registerPath + "/0000-0-b"
	regs  = registerPath + "/0000-0"
	epoch = int64(1) << 32
)

// theEnd is what is read at the end: the log with what was appended, on two members alike.
func theEnd(names ...string) (list []Entry) {
	for _, client := range []string{finalClient + "1", finalClient + "2"} {
		for _, name := range names {
			list = append(list, entry(client, 9, OpRead, logPath+"/"+name, 90_000, 90_001, ResultOK).read(name, 0, 0))
		}
		list = append(list, entry(client, 9, OpCensus, logPath, 90_000, 90_001, ResultOK).saw(names...))
	}
	return list
}

// sound is a history in which all is well: two clients, an answer that was lost, a session that fell silent.
func sound() []Entry {
	return append([]Entry{
		began("go1", 1, 0), began("go2", 2, 0),
		entry("go1", 1, OpCreate, regA, 10, 20, ResultOK).wrote("v0", 0, 0),
		entry("go1", 1, OpCreate, regB, 21, 25, ResultOK).wrote("w0", 0, 0),
		entry("go1", 1, OpSet, regA, 30, 40, ResultOK).wrote("v1", 1, epoch+3),
		entry("go2", 2, OpRead, regA, 41, 50, ResultOK).read("v1", 1, epoch+3),
		entry("go2", 2, OpSet, regA, 51, 60, ResultUnknown).wrote("v2", 0, 0),
		entry("go1", 1, OpRead, regA, 61, 70, ResultOK).read("v2", 2, epoch+4),
		entry("go2", 2, OpMulti, regs, 71, 80, ResultOK).wrote("m", 3, epoch+5),
		entry("go1", 1, OpAppend, logPath+"/a", 81, 90, ResultOK).wrote("a", 0, 0),
		entry("go2", 2, OpAppend, logPath+"/b", 81, 90, ResultUnknown).wrote("b", 0, 0),
		entry("go2", 2, OpEphemeral, ephemeralPath+"/e", 91, 100, ResultOK).wrote("e", 0, 0),
		entry("go1", 1, OpCensus, ephemeralPath, 110, 120, ResultOK).saw("e"),
		entry("go2", 2, OpAbandon, "", 130, 131, ResultUnknown),
		entry("go1", 1, OpCensus, ephemeralPath, 9_000, 9_010, ResultOK).saw("e"),
		entry("go1", 1, OpSet, regB, 60_000, 60_010, ResultOK).wrote("w2", 2, epoch+9),
		entry("go1", 1, OpCensus, ephemeralPath, 60_020, 60_030, ResultOK).saw(),
	}, theEnd("a")...)
}

func TestSoundHistory(t *testing.T) {
	if err := check(sound(), t.TempDir()); err != nil {
		t.Error(err)
	}
}

// TestViolations: each adds to a sound history what must not be.
func TestViolations(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		add        []Entry
	}{
		{"a fault", "must not come", []Entry{entry("go1", 1, OpSet, regA, 200, 210, ResultFault)}},
		{"C1: sync and read of what was before", "C1", []Entry{entry("go1", 1, OpRead, regA, 200, 210, ResultOK).read("v1", 1, 0)}},
		{"C1: a write that is gone", "C1", []Entry{
			entry("go1", 1, OpSet, regA, 200, 210, ResultOK).wrote("v4", 4, epoch+6),
			entry("go1", 1, OpRead, regA, 220, 230, ResultOK).read("m", 3, epoch+5),
		}},
		{"C1: half of a multi", "C1", []Entry{entry("go1", 1, OpRead, regB, 200, 210, ResultOK).read("w0", 0, 0)}},
		{"C1: nobody wrote that", "C1", []Entry{entry("go1", 1, OpRead, regA, 200, 210, ResultOK).read("x", 3, epoch+5)}},
		{"C1: two creates of one znode", "C1", []Entry{entry("go1", 1, OpCreate, regA, 200, 210, ResultOK).wrote("v0", 0, 0)}},
		{"C1: a version that is too old is taken", "C1", []Entry{{
			Client: "go1", Session: 1, Op: OpCas, Path: regA, Want: 1, Value: "c", Begin: 200 * msec, End: 210 * msec, Result: ResultOK, Version: 2, Zxid: epoch + 6,
		}}},
		{"C1: a lost answer's write comes after its session's next answer", "C1", []Entry{
			entry("go1", 1, OpSet, regA, 200, 210, ResultUnknown).wrote("late", 0, 0),
			entry("go1", 1, OpRead, regA, 220, 230, ResultOK).read("m", 3, epoch+5),
			entry("go1", 1, OpRead, regA, 240, 250, ResultOK).read("m", 3, epoch+5),
			entry("go3", 3, OpRead, regA, 300, 310, ResultOK).read("late", 4, epoch+8),
		}},
		{"C2: a later write is before", "C2", []Entry{entry("go1", 1, OpSet, registerPath+"/0001-0-a", 200, 210, ResultOK).wrote("z", 1, epoch+2)}},
		{"C2: two writes are one", "C2", []Entry{entry("go1", 1, OpSet, registerPath+"/0001-0-a", 65, 75, ResultOK).wrote("z", 1, epoch+5)}},
		{"C3: a session goes back", "C3", []Entry{entry("go2", 2, OpGet, regA, 125, 126, ResultOK).read("v1", 1, epoch+3)}},
		{"C4: an append is gone", "C4", []Entry{entry("go1", 1, OpAppend, logPath+"/c", 200, 210, ResultOK).wrote("c", 0, 0)}},
		{"C4: what nobody wrote", "C4", []Entry{entry(finalClient+"1", 9, OpRead, logPath+"/x", 90_000, 90_001, ResultOK).read("x", 0, 0)}},
		{"C4: members differ", "C4", []Entry{entry(finalClient+"3", 9, OpCensus, logPath, 90_000, 90_001, ResultOK).saw("a", "b")}},
		{"C5: expired early", "C5", []Entry{
			began("go3", 3, 0), entry("go3", 3, OpGet, regA, 200, 210, ResultNoNode),
			{Client: "go3", Session: 3, Op: OpExpired, Begin: 9_000 * msec, End: 9_000 * msec},
		}},
		{"C6: an ephemeral outlives its session", "C6", []Entry{entry("go1", 1, OpCensus, ephemeralPath, 59_000, 59_010, ResultOK).saw("e")}},
		{"C6: an ephemeral is gone before its session", "C6", []Entry{entry("go1", 1, OpCensus, ephemeralPath, 125, 128, ResultOK).saw()}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := check(append(sound(), tc.add...), t.TempDir())
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want a violation of %s", err, tc.want)
			}
		})
	}
}

// TestNothingReadAtTheEnd: a run that could not look is none that found nothing.
func TestNothingReadAtTheEnd(t *testing.T) {
	if err := check(sound()[:4], t.TempDir()); err == nil || !strings.Contains(err.Error(), "C4") {
		t.Errorf("got %v, want C4", err)
	}
}

// A session that fell silent expires under a leader that leads for long enough: each new one grants it a full timeout. Seen in a
// run of ten minutes: faults came faster than sessions expire, and that was called a violation.
func TestC6_NewLeadersGrantFullTimeouts(t *testing.T) {
	history := slices.DeleteFunc(sound(), func(e Entry) bool { return e.Begin == 60_000*msec })
	for i := range int64(10) { // a new leader every 6 s
		history = append(history, entry("go1", 1, OpSet, registerPath+"/0002-0-a", 1000+6000*i, 1010+6000*i, ResultOK).wrote("x", int32(1+i), (2+i)<<32))
	}
	history = append(history, entry("go1", 1, OpCensus, ephemeralPath, 59_000, 59_010, ResultOK).saw("e"))
	for _, found := range newIndex(history).ephemerals() {
		t.Error(found)
	}
}

// A lost answer may mean either.
func TestC1_LostAnswers(t *testing.T) {
	for _, tc := range []struct {
		value   string
		version int32
	}{{"m", 3}, {"lost", 4}} {
		history := append(sound(),
			entry("go1", 1, OpSet, regA, 200, 210, ResultUnknown).wrote("lost", 0, 0),
			entry("go3", 3, OpRead, regA, 220, 230, ResultOK).read(tc.value, tc.version, 0))
		if err := check(history, t.TempDir()); err != nil {
			t.Errorf("%+v: %v", tc, err)
		}
	}
}
