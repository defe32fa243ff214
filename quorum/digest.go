package quorum

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Members tell each other a digest of their state after every digestEvery-th entry. One that differs from a majority at
// the same entry has a damaged state: whatever it served from now on could be wrong, so it stops.

// digestEvery is how many entries lie between two digests that are compared.
const digestEvery = 256

// digestsKept is how many indexes a member compares at a time: members that lag further are compared when they send.
const digestsKept = 64

// digestAt is the digest of the state after an entry.
type digestAt struct{ index, digest uint64 }

// digests holds what the members said of the newest indexes. It belongs to the quorum goroutine.
type digests struct {
	own    map[uint64]uint64            // by index
	theirs map[uint64]map[uint64]uint64 // by index, by member
}

// ErrDiffers says that this member's state is not that of the others.
var ErrDiffers = errors.New("quorum: this member's state differs from that of the other members; " +
	"take it out of service and have it refilled from them (holt refill)")

// sampled takes note of own digests and tells the others.
func (q *Quorum) sampled(list []digestAt) {
	if q.cfg.Network == nil {
		return
	}
	for _, d := range list {
		if q.digests.own == nil {
			q.digests.own, q.digests.theirs = map[uint64]uint64{}, map[uint64]map[uint64]uint64{}
		}
		q.digests.own[d.index] = d.digest
		q.digests.forget(d.index)
		frame := binary.LittleEndian.AppendUint64([]byte{frameDigest}, d.index)
		frame = binary.LittleEndian.AppendUint64(frame, d.digest)
		for _, id := range q.members.others(q.cfg.ID) {
			q.cfg.Network.Send(id, LaneRaft, append([]byte(nil), frame...))
		}
		q.digests.compare(q, d.index)
	}
}

// heard takes note of another member's digest.
func (d *digests) heard(q *Quorum, from uint64, at digestAt) {
	if d.theirs == nil {
		d.own, d.theirs = map[uint64]uint64{}, map[uint64]map[uint64]uint64{}
	}
	if at.index+digestsKept*digestEvery < q.seen.index || at.index > q.seen.index+digestsKept*digestEvery {
		return
	}
	if d.theirs[at.index] == nil {
		d.theirs[at.index] = map[uint64]uint64{}
	}
	d.theirs[at.index][from] = at.digest
	d.compare(q, at.index)
}

// compare stops this member if a majority of all members agrees on another state than its own.
func (d *digests) compare(q *Quorum, index uint64) {
	own, ok := d.own[index]
	if !ok {
		return
	}
	votes := map[uint64]int{}
	for _, digest := range d.theirs[index] {
		votes[digest]++
	}
	most := len(q.members.all)/2 + 1
	for digest, n := range votes {
		if digest == own {
			continue
		}
		q.cfg.Metrics.DigestMismatches.Inc()
		if n >= most {
			q.fail(fmt.Errorf("%w: after entry %d it is %#x here and %#x on %d others", ErrDiffers, index, own, digest, n))
			return
		}
		q.cfg.Logger.Error("the state of members differs; the minority stops", "index", index, "here", own, "there", digest, "members", n)
	}
}

// forget drops what is too old to be compared.
func (d *digests) forget(newest uint64) {
	for index := range d.own {
		if index+digestsKept*digestEvery < newest {
			delete(d.own, index)
		}
	}
	for index := range d.theirs {
		if index+digestsKept*digestEvery < newest {
			delete(d.theirs, index)
		}
	}
}
