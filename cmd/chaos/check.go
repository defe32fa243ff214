package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// violationsMax is how many violations of one kind are told.
const violationsMax = 5

// check holds a history against C1 to C6.
func check(entries []Entry, dir string) error {
	slices.SortStableFunc(entries, func(a, b Entry) int { return cmp.Compare(a.Begin, b.Begin) })
	h := newIndex(entries)
	checks := []func(*index) []string{
		(*index).faults, (*index).zxidOrder, (*index).sessionOrder, (*index).nothingLost, (*index).expiries, (*index).ephemerals,
	}
	var all []error
	for _, c := range checks {
		found := c(h)
		for _, text := range found[:min(len(found), violationsMax)] {
			all = append(all, errors.New(text))
		}
		if more := len(found) - violationsMax; more > 0 {
			all = append(all, fmt.Errorf("and %d more of this kind", more))
		}
	}
	return errors.Join(append(all, linearizable(h, filepath.Join(dir, "violation")))...)
}

// index is a history as the checks want it.
type index struct {
	entries  []Entry // by Begin
	bySess   map[int64][]*Entry
	byClient map[string][]*Entry
	writes   map[string][]*Entry // by register: answered writes whose zxid is known, by zxid
	reigns   []reign             // by epoch
}

// reign is when a leader is known to have led: from the first answer to a write of its epoch to the last.
type reign struct{ epoch, from, to int64 }

func newIndex(entries []Entry) *index {
	h := &index{entries: entries, bySess: map[int64][]*Entry{}, byClient: map[string][]*Entry{}, writes: map[string][]*Entry{}}
	for i := range entries {
		e := &entries[i]
		h.byClient[e.Client] = append(h.byClient[e.Client], e)
		if e.Session != 0 {
			h.bySess[e.Session] = append(h.bySess[e.Session], e)
		}
		if e.Result != ResultOK || e.Zxid == 0 {
			continue
		}
		switch e.Op {
		case OpSet, OpCas, OpCreate:
			h.writes[e.Path] = append(h.writes[e.Path], e)
		case OpMulti:
			h.writes[e.Path+"-a"] = append(h.writes[e.Path+"-a"], e)
			h.writes[e.Path+"-b"] = append(h.writes[e.Path+"-b"], e)
		}
	}
	for _, list := range h.writes {
		slices.SortFunc(list, func(a, b *Entry) int { return cmp.Compare(a.Zxid, b.Zxid) })
	}
	h.reigns = reigns(entries)
	return h
}

func reigns(entries []Entry) (list []reign) {
	byEpoch := map[int64]reign{}
	for i := range entries {
		e := &entries[i]
		if e.Result != ResultOK || e.Zxid == 0 || !e.Op.writes() {
			continue
		}
		r, known := byEpoch[e.Zxid>>32]
		if !known {
			r = reign{e.Zxid >> 32, e.End, e.Begin}
		}
		byEpoch[r.epoch] = reign{r.epoch, min(r.from, e.End), max(r.to, e.Begin)}
	}
	for _, epoch := range slices.Sorted(maps.Keys(byEpoch)) {
		list = append(list, byEpoch[epoch])
	}
	return list
}

// expired is when a session that fell silent must have expired: a new leader grants a full timeout, so it takes one reign that
// is long enough. never: none was.
func (h *index) expired(silent, timeout int64) int64 {
	for _, r := range h.reigns {
		if at := max(r.from, silent) + timeout + int64(expirySlack); at <= r.to {
			return at
		}
	}
	return never
}

// faults lists answers that must not come.
func (h *index) faults() (found []string) {
	for i := range h.entries {
		if e := &h.entries[i]; e.Result == ResultFault {
			found = append(found, "an answer that must not come: "+e.String())
		}
	}
	return found
}

// zxidOrder is C2.
func (h *index) zxidOrder() (found []string) {
	var done []*Entry // answered writes with a zxid, by End
	for i := range h.entries {
		if e := &h.entries[i]; e.Result == ResultOK && e.Zxid != 0 && e.Op.writes() {
			done = append(done, e)
		}
	}
	begun := slices.Clone(done)
	slices.SortFunc(done, func(a, b *Entry) int { return cmp.Compare(a.End, b.End) })
	var before *Entry // the answered write with the greatest zxid so far
	seen := map[int64]*Entry{}
	for _, e := range begun {
		for len(done) > 0 && done[0].End < e.Begin {
			if before == nil || done[0].Zxid > before.Zxid {
				before = done[0]
			}
			done = done[1:]
		}
		if before != nil && e.Zxid <= before.Zxid {
			found = append(found, fmt.Sprintf("C2: a later write has a smaller zxid:\n  %s\n  %s", before, e))
		}
		if other := seen[e.Zxid]; other != nil {
			found = append(found, fmt.Sprintf("C2: two writes have one zxid:\n  %s\n  %s", other, e))
		}
		seen[e.Zxid] = e
	}
	return found
}

// sessionOrder is C3. What a session has seen is the greatest zxid of its results; a read of a register must show the last
// write up to there.
func (h *index) sessionOrder() (found []string) {
	for _, entries := range h.bySess {
		var seen int64
		for _, e := range entries { // one client, one operation at a time: program order
			if e.Result != ResultOK || e.Zxid == 0 {
				continue
			}
			if e.Op == OpGet || e.Op == OpRead {
				if w := h.missed(e, seen); w != nil {
					found = append(found, fmt.Sprintf("C3: a session that had seen zxid %#x reads what was before %#x:\n  %s\n  %s", seen, w.Zxid, e, w))
				}
			}
			seen = max(seen, e.Zxid)
		}
	}
	return found
}

// missed is a write to what e read that is newer than what e shows, and not newer than seen.
func (h *index) missed(e *Entry, seen int64) *Entry {
	list := h.writes[e.Path]
	i, _ := slices.BinarySearchFunc(list, e.Zxid+1, func(w *Entry, z int64) int { return cmp.Compare(w.Zxid, z) })
	if i < len(list) && list[i].Zxid <= seen {
		return list[i]
	}
	return nil
}

// nothingLost is C4, of the log: what was appended is on every member, with its value, and nothing else is. Registers are read
// at the end too, which is part of their linearizability, C1.
func (h *index) nothingLost() (found []string) {
	asked, answered := map[string]string{}, map[string]*Entry{}
	for i := range h.entries {
		if e := &h.entries[i]; e.Op == OpAppend {
			asked[e.Path] = e.Value
			if e.Result == ResultOK {
				answered[e.Path] = e
			}
		}
	}
	var common []string // names the first member had
	for name, entries := range h.byClient {
		if !strings.HasPrefix(name, finalClient) {
			continue
		}
		there := map[string]bool{}
		for _, e := range entries {
			if e.Op == OpRead && strings.HasPrefix(e.Path, logPath+"/") {
				there[e.Path] = true
				if value, ok := asked[e.Path]; !ok || value != e.Got {
					found = append(found, fmt.Sprintf("C4: %s has what nobody wrote: %s", name, e))
				}
			}
			if e.Op != OpCensus || e.Path != logPath {
				continue
			}
			names := slices.Sorted(slices.Values(e.Names))
			if common == nil {
				common = names
			}
			if !slices.Equal(common, names) {
				found = append(found, fmt.Sprintf("C4: members differ: %d and %d znodes in %s", len(common), len(names), logPath))
			}
		}
		for path, e := range answered {
			if !there[path] {
				found = append(found, fmt.Sprintf("C4: %s lacks what was acknowledged: %s", name, e))
			}
		}
	}
	if common == nil {
		found = append(found, "C4: nothing was read at the end")
	}
	return found
}

// expiries is C5: between the last answer that a session got and the news of its expiry its whole timeout has passed.
func (h *index) expiries() (found []string) {
	for _, entries := range h.bySess {
		var heard, timeout int64
		for _, e := range entries {
			switch {
			case e.Op == OpSession:
				heard, timeout = e.End, e.Timeout*int64(time.Millisecond)
			case e.Op == OpBack, e.Result != "" && e.Result != ResultUnknown:
				heard = max(heard, e.Begin)
			case e.Op == OpExpired && e.End-heard < timeout:
				found = append(found, fmt.Sprintf("C5: expired %.1f s after it was heard of, with a timeout of %.1f s: %s",
					float64(e.End-heard)/1e9, float64(timeout)/1e9, e))
			}
		}
	}
	return found
}

// life is what is known of one ephemeral: it must be there in [from, to], and must not in [gone, ...).
type life struct {
	entry          *Entry
	from, to, gone int64
}

// expirySlack is how much later than its timeout a session may expire under one leader: ticks, reports of other members, and a
// machine that is busy, whose stalls a server grants its sessions.
const expirySlack = 15 * time.Second

// ephemerals is C6.
func (h *index) ephemerals() (found []string) {
	lives := h.lives()
	for i := range h.entries {
		census := &h.entries[i]
		if census.Op != OpCensus || census.Path != ephemeralPath || census.Result != ResultOK {
			continue
		}
		there := map[string]bool{}
		for _, name := range census.Names {
			there[name] = true
			if l, ok := lives[name]; ok && census.Begin > l.gone {
				found = append(found, fmt.Sprintf("C6: an ephemeral outlives its session by %.1f s:\n  %s\n  seen by %s at %d",
					float64(census.Begin-l.gone)/1e9, l.entry, census.Client, census.Begin))
			}
		}
		for name, l := range lives {
			if l.from < census.Begin && census.End < l.to && !there[name] {
				found = append(found, fmt.Sprintf("C6: an ephemeral is gone before its session:\n  %s\n  missed by %s at %d", l.entry, census.Client, census.End))
			}
		}
	}
	return found
}

func (h *index) lives() map[string]life {
	lives := map[string]life{}
	for _, entries := range h.bySess {
		last := entries[len(entries)-1]
		var timeout, heard int64
		to, gone := int64(never), int64(never)
		for _, e := range entries {
			if e.Op == OpSession {
				timeout = e.Timeout * int64(time.Millisecond)
			}
			if e.Result == ResultOK {
				heard = e.Begin
			}
			switch e.Op {
			case OpExpired:
				to, gone = min(to, heard+timeout), e.End
			case OpClose: // may or may not have been heard
				to, gone = e.Begin, h.expired(e.End, timeout)
			case OpAbandon:
				to, gone = min(e.Begin, heard)+timeout, h.expired(e.End, timeout)
			}
		}
		if to == never { // the run ended first; it closes its sessions
			to = last.Begin
		}
		for _, e := range entries {
			if e.Op == OpEphemeral && e.Result == ResultOK {
				lives[strings.TrimPrefix(e.Path, ephemeralPath+"/")] = life{e, e.End, to, gone}
			}
		}
	}
	return lives
}
