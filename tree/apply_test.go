package tree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
)

// history is a run of random commands, framed, that are the same for every
// test of one seed.
func history(seed uint64, n int) [][]byte {
	tw := newTwin()
	tw.rules = testRules
	r := newCaller(seed, tw)
	var commands [][]byte
	for range n {
		c := r.call()
		c.keepBefore = false
		tw.apply(1, &c)
		commands = append(commands, c.encode(nil))
	}
	return commands
}

// play runs commands in batches of size each, or of sizes 1, 2, 3, ... for 0.
func play(t testing.TB, s *State, commands [][]byte, each int, visit func(Applied)) {
	t.Helper()
	header := AppendBatchHeader(nil, BatchHeader{TimeMs: 5, Rules: testRules})
	for i, n := 0, 1; i < len(commands); i, n = i+n, n+1 {
		if each > 0 {
			n = each
		}
		n = min(n, len(commands)-i)
		data := slices.Concat(append([][]byte{header}, commands[i:i+n]...)...)
		out, err := s.Apply(Batch{Term: 1, Data: data, Local: testProcess})
		if err != nil {
			t.Fatal(err)
		}
		if visit != nil {
			visit(out)
		}
	}
}

// dump is everything in a root as text.
func dump(r *Root) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%#x %d %d %d %d %016x\n", r.Zxid(), r.NodeCount(), r.DataBytes(), r.EphemeralCount(), r.limits, r.Digest())
	var walk func(path []byte)
	walk = func(path []byte) {
		n, _ := r.Lookup(path)
		fmt.Fprintf(&b, "%q %+v %x %q %v\n", path, n.Stat(), n.z.owner(), n.Data(), n.ACL().Entries())
		n.Children(nil, func(name []byte) bool { walk(slices.Concat(path, []byte("/"), name)); return true })
	}
	walk(nil)
	r.Sessions(func(s Session) bool {
		fmt.Fprintf(&b, "%+v", s)
		r.Ephemerals(s.ID, func(p []byte) bool { fmt.Fprintf(&b, " %q", p); return true })
		b.WriteByte('\n')
		return true
	})
	r.reapable.walk(nil, func(p []byte, _ *present) bool { fmt.Fprintf(&b, "%q\n", p); return true })
	return b.String()
}

// outcome is all of a transaction.
type outcome struct {
	Txn
	Rare
}

// T2: the same commands give the same state and results, however they are
// split into batches and whichever process looks.
func TestT2_Deterministic(t *testing.T) {
	for seed := uint64(1); seed <= 3; seed++ {
		commands := history(seed, 1200)
		var want string
		var wantTxns []outcome
		for _, each := range []int{1, 0, 7, 256, len(commands)} {
			s := New()
			var txns []outcome
			play(t, s, commands, each, func(out Applied) {
				for _, txn := range out.Txns {
					txn.ChangesTo -= txn.ChangesFrom
					txn.ChangesFrom = 0
					rare := *txn.Rare()
					txn.rare = nil
					txns = append(txns, outcome{txn, rare})
				}
			})
			if got := dump(s.Root()); want == "" {
				want, wantTxns = got, txns
			} else if got != want {
				t.Errorf("seed %d, batches of %d: another state", seed, each)
			}
			for i := range txns {
				if a, b := fmt.Sprintf("%+v", txns[i]), fmt.Sprintf("%+v", wantTxns[i]); a != b {
					t.Fatalf("seed %d, batches of %d, command %d: %s, want %s", seed, each, i, a, b)
				}
			}
		}
	}
}

// T1: a root stays as it was whatever is applied later.
func TestT1_OldRootsStay(t *testing.T) {
	s := New()
	var roots []*Root
	var dumps []string
	play(t, s, history(4, 2000), 20, func(out Applied) {
		roots, dumps = append(roots, out.Root), append(dumps, dump(out.Root))
	})
	for i, r := range roots {
		if dump(r) != dumps[i] {
			t.Fatalf("root %d of %d changed", i, len(roots))
		}
	}
}

// T4: a batch that cannot be read changes nothing, and what follows is applied
// as if it had never been.
func TestT4_MalformedBatch(t *testing.T) {
	b := newBed(t)
	b.mustCreate("/a", FlagEphemeral)
	before, text := b.s.Root(), dump(b.s.Root())
	good := AppendSetData(AppendBatchHeader(nil, BatchHeader{TimeMs: 5, Rules: testRules}), &b.h, &SetData{[]byte("/a"), []byte("x"), -1})
	good = AppendCloseSession(good, &b.h, &CloseSession{ID: b.h.Session})
	newer := slices.Clone(good)
	newer[0] = batchVersion + 1
	rules := slices.Clone(good)
	binary.LittleEndian.PutUint32(rules[1:], uint32(rulesEnd))
	unknown := AppendFailed(slices.Clone(good), &b.h, OK)
	binary.LittleEndian.PutUint16(unknown[len(good)+4:], 555)
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"empty":         {nil, ErrMalformed},
		"cut header":    {good[:12], ErrMalformed},
		"cut command":   {good[:len(good)-1], ErrMalformed},
		"version 0":     {append([]byte{0}, good[1:]...), ErrMalformed},
		"newer version": {newer, ErrNewerFormat},
		"newer rules":   {rules, ErrNewerFormat},
		"unknown op":    {unknown, ErrMalformed},
		"one byte more": {append(slices.Clone(good), 0), ErrMalformed},
		"not a body":    {appendBody(slices.Clone(good), &b.h, OpSetData, "xyz"), ErrMalformed},
		"ids":           {appendIDsCreate(slices.Clone(good), b.h), ErrMalformed},
	} {
		out, err := b.s.Apply(Batch{Term: 1, Data: c.data, Local: testProcess})
		if !errors.Is(err, c.want) || out.Root != nil || b.s.Root() != before {
			t.Errorf("%s: %v", name, err)
		}
		if dump(b.s.Root()) != text {
			t.Errorf("%s changed the state", name)
		}
	}
	if _, err := b.s.Apply(Batch{Term: 1, Data: good}); err != nil || b.has("/a") {
		t.Errorf("after malformed batches: %v", err)
	}
	if dump(before) != text {
		t.Error("the root before was changed")
	}
}

func appendBody(dst []byte, h *CommandHeader, op Op, body string) []byte {
	dst, start := beginCommand(dst, h, op)
	return endCommand(append(dst, body...), start)
}

// appendIDsCreate needs the caller's identities, which are rubbish.
func appendIDsCreate(dst []byte, h CommandHeader) []byte {
	h.Session, h.IDs, h.Op = 0x77, []byte{9}, OpCreate
	dst = AppendOpenSession(dst, &CommandHeader{Origin: h.Origin}, &OpenSession{ID: 0x77})
	return AppendCreate(dst, &h, &Create{Path: []byte("/x"), ACL: AppendACL(nil, 31, []byte("auth"), nil)})
}

func TestKeepBefore(t *testing.T) {
	b := newBed(t)
	keep := b.h
	keep.Flags = KeepBefore
	dst := AppendSetData(nil, &keep, &SetData{[]byte("/"), []byte("1"), -1})
	dst = AppendSetData(dst, &b.h, &SetData{[]byte("/"), []byte("22"), -1})
	dst = AppendSetData(dst, &keep, &SetData{[]byte("/"), []byte("333"), -1})
	first := b.s.Root()
	out := b.batch(dst)
	if out.Txns[0].Before != first || out.Txns[1].Before != nil {
		t.Error("Before of the first command is the root before the batch")
	}
	top, _ := out.Txns[2].Before.Lookup(nil)
	if string(top.Data()) != "22" || out.Txns[2].Before.Zxid() != out.Txns[1].Zxid {
		t.Errorf("before the third command: %q at %#x", top.Data(), out.Txns[2].Before.Zxid())
	}
}

// Results of other processes' commands are not worked out.
func TestLocal(t *testing.T) {
	b := newBed(t)
	data := AppendBatchHeader(nil, BatchHeader{TimeMs: 5})
	h := b.h
	h.Op = OpCreate2
	data = AppendCreate(data, &h, &Create{Path: []byte("/x"), ACL: OpenACL})
	for _, local := range []uint32{0, testProcess + 1} {
		s := New()
		play(t, s, [][]byte{AppendOpenSession(nil, &b.h, &OpenSession{ID: b.h.Session})}, 1, nil)
		out, err := s.Apply(Batch{Term: 1, Data: data, Local: local})
		if err != nil || out.Txns[0].Local || out.Txns[0].Path != "" || len(out.Changes) != 2 {
			t.Errorf("local %d: %+v, %v", local, out.Txns[0], err)
		}
	}
}

func FuzzApply(f *testing.F) {
	for _, c := range history(5, 60) {
		f.Add(c)
	}
	setup := slices.Concat(history(7, 40)...)
	f.Fuzz(func(t *testing.T, command []byte) {
		s := New()
		play(t, s, [][]byte{setup}, 1, nil)
		before, digest := s.Root(), s.Root().Digest()
		data := AppendBatchHeader(nil, BatchHeader{TimeMs: 1 << 40, Rules: testRules | RuleEnforceQuota})
		out, err := s.Apply(Batch{Term: 2, Data: append(data, command...), Local: testProcess})
		if err != nil {
			if !errors.Is(err, ErrMalformed) || s.Root() != before {
				t.Fatalf("error %v", err)
			}
			return
		}
		if n, err := CountCommands(command); err != nil || n != len(out.Txns) {
			t.Fatalf("%d transactions of %d commands, %v", len(out.Txns), n, err)
		}
		if got, want := out.Root.Digest(), digestFromScratch(out.Root); got != want {
			t.Fatalf("digest %#x, from scratch %#x", got, want)
		}
		if digestFromScratch(before) != digest {
			t.Fatal("the root before changed")
		}
	})
}

func FuzzBatch(f *testing.F) {
	f.Add(AppendBatchHeader(nil, BatchHeader{}))
	f.Add(append(AppendBatchHeader(nil, BatchHeader{TimeMs: 1, Rules: testRules}), slices.Concat(history(5, 5)...)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := New()
		out, err := s.Apply(Batch{Term: 1, Data: data, Local: 1})
		if (err == nil) != (out.Root != nil) {
			t.Fatalf("root %v, error %v", out.Root, err)
		}
	})
}

// FuzzParseCommand: a command that parses is written back as it was.
func FuzzParseCommand(f *testing.F) {
	for _, c := range history(6, 60) {
		f.Add(c)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, body, rest, err := ParseCommand(data)
		if err != nil {
			return
		}
		back := appendBody(nil, &h, h.Op, string(body))
		back = append(back, rest...)
		// Three bytes of the header are spare.
		for _, i := range []int{7, 14, 15} {
			back[i] = data[i]
		}
		if !bytes.Equal(back, data) {
			t.Fatalf("%x became %x", data, back)
		}
	})
}

// applyWork makes a state of dirs×each znodes and a batch of n commands on it.
func applyWork(tb testing.TB, dirs, each int) (*State, CommandHeader) {
	tb.Helper()
	s := New()
	h := CommandHeader{Origin: testOrigin, Session: 0x100000000000001, IDs: AppendIDs(nil, []ID{{"ip", "127.0.0.1"}})}
	setup := [][]byte{AppendOpenSession(nil, &h, &OpenSession{ID: h.Session})}
	for d := range dirs {
		setup = append(setup, appendBenchCreate(nil, &h, fmt.Appendf(nil, "/service-%05d", d)))
		for i := range each {
			setup = append(setup, appendBenchCreate(nil, &h, fmt.Appendf(nil, "/service-%05d/instance-%010d", d, i)))
		}
	}
	play(tb, s, setup, 4096, nil)
	return s, h
}

var workData = bytes.Repeat([]byte{'d'}, 100)

func appendBenchCreate(dst []byte, h *CommandHeader, path []byte) []byte {
	c := *h
	c.Op = OpCreate
	return AppendCreate(dst, &c, &Create{Path: path, Data: workData, ACL: OpenACL})
}

const budgetBatch = 256

// The budget of Apply per command at batch 256 in a tree of 100×1000: what is
// measured plus a tenth.
func TestApplyAllocations(t *testing.T) {
	s, h := applyWork(t, 100, 1000)
	header := AppendBatchHeader(nil, BatchHeader{TimeMs: 5, Rules: testRules})
	next := 0
	for _, c := range []struct {
		name   string
		budget float64
		append func(dst []byte) []byte
	}{
		{"set", 4.2, func(dst []byte) []byte {
			next++
			p := fmt.Appendf(nil, "/service-%05d/instance-%010d", next*7%100, next*31%1000)
			return AppendSetData(dst, &h, &SetData{p, workData, -1})
		}},
		{"create", 3.3, func(dst []byte) []byte {
			next++
			return appendBenchCreate(dst, &h, fmt.Appendf(nil, "/service-%05d/instance-%010d", next*7%100, 1000000+next))
		}},
	} {
		var batches [][]byte
		const runs = 20
		for range runs + 2 {
			data := slices.Clone(header)
			for range budgetBatch {
				data = c.append(data)
			}
			batches = append(batches, data)
		}
		i := 0
		got := testing.AllocsPerRun(runs, func() {
			if _, err := s.Apply(Batch{Term: 1, Data: batches[i], Local: testProcess}); err != nil {
				t.Fatal(err)
			}
			i++
		}) / budgetBatch
		t.Logf("%s: %.2f allocations per command at batch %d", c.name, got, budgetBatch)
		if got > c.budget {
			t.Errorf("%s: %.2f allocations per command, budget %.1f", c.name, got, c.budget)
		}
	}
}

func BenchmarkApply(b *testing.B) {
	for _, batch := range []int{1, 16, 256} {
		for _, op := range []string{"set", "create", "multi3", "check+set"} {
			b.Run(fmt.Sprintf("op=%s/batch=%d", op, batch), func(b *testing.B) { benchmarkApply(b, op, batch) })
		}
	}
}

func benchmarkApply(b *testing.B, op string, batch int) {
	s, h := applyWork(b, 100, 10000)
	header := AppendBatchHeader(nil, BatchHeader{TimeMs: 5, Rules: testRules})
	path := func(i int) []byte {
		return fmt.Appendf(nil, "/service-%05d/instance-%010d", i*7919%100, i*104729%10000)
	}
	one := func(dst []byte, i int) []byte {
		switch op {
		case "set":
			return AppendSetData(dst, &h, &SetData{path(i), workData, -1})
		case "create":
			return appendBenchCreate(dst, &h, fmt.Appendf(nil, "/service-%05d/instance-%010d", i*7919%100, 1000000+i))
		}
		dst, m := BeginMulti(dst, &h)
		if op == "multi3" {
			dst = AppendMultiSetData(dst, &SetData{path(3 * i), workData, -1})
			dst = AppendMultiSetData(dst, &SetData{path(3*i + 1), workData, -1})
		} else {
			dst = AppendMultiCheck(dst, &Check{path(3 * i), -1})
		}
		dst = AppendMultiSetData(dst, &SetData{path(3*i + 2), workData, -1})
		return EndMulti(dst, m)
	}
	var batches [][]byte
	for i := 0; i < b.N; {
		data := slices.Clone(header)
		for range min(batch, b.N-i) {
			data = one(data, i)
			i++
		}
		batches = append(batches, data)
	}
	runtime.GC()
	b.ReportAllocs()
	b.ResetTimer()
	for _, data := range batches {
		if _, err := s.Apply(Batch{Term: 1, Data: data, Local: testProcess}); err != nil {
			b.Fatal(err)
		}
	}
}
