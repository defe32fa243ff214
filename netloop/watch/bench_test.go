package watch

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func benchPaths(n int) ([]string, [][]byte, []uint64, *Table) {
	w := New(Config{})
	names, bytes, hashes := make([]string, n), make([][]byte, n), make([]uint64, n)
	for i := range names {
		names[i] = fmt.Sprintf("/services/payments/node-%02d/instance-%06d", i/25_000, i)
		bytes[i] = []byte(names[i])
		hashes[i] = w.hash(names[i])
	}
	return names, bytes, hashes, w
}

// BenchmarkAdd fills a table up to a million watches, then starts again with an empty one.
func BenchmarkAdd(b *testing.B) {
	for _, shape := range []struct{ paths, conns int }{{1_000_000, 1}, {100_000, 10}, {100, 10_000}} {
		b.Run(fmt.Sprintf("paths=%d/conns=%d", shape.paths, shape.conns), func(b *testing.B) {
			_, paths, hashes, w := benchPaths(shape.paths)
			hash := w.hash
			b.ReportAllocs()
			onCPU(b)
			i := 0
			for b.Loop() {
				if i == shape.paths*shape.conns {
					w, i = New(Config{Hash: hash}), 0
				}
				// Connection by connection: the order in which clients arrive.
				conn, p := i/shape.paths, i%shape.paths
				if shape.conns == 1 {
					conn = i % 1000
				}
				_ = w.Add(uint32(conn), Data, paths[p], hashes[p])
				i++
			}
			b.ReportMetric(float64(w.Bytes())/float64(max(1, w.Count())), "B/watch")
		})
	}
}

// BenchmarkFanout is one event to 10,000 connections: 100 bytes appended to each one's buffer.
func BenchmarkFanout(b *testing.B) {
	for _, mode := range []Mode{Persistent, Data} {
		for _, append100 := range []bool{false, true} {
			b.Run(fmt.Sprintf("mode=%d/append=%v", mode, append100), func(b *testing.B) {
				const conns = 10_000
				names, paths, hashes, w := benchPaths(10)
				event := make([]byte, 100)
				buffers := make([][]byte, conns)
				for i := range buffers {
					buffers[i] = make([]byte, 0, 256)
				}
				visit := func(conn uint32) {
					if append100 {
						buffers[conn] = append(buffers[conn][:0], event...)
					}
				}
				fill := func() {
					for conn := range uint32(conns) {
						for i := range paths {
							_ = w.Add(conn, mode, paths[i], hashes[i])
						}
					}
				}
				fill()
				b.ReportAllocs()
				stop := onCPU(b)
				i := 0
				for b.Loop() {
					if mode == Data && i > 0 && i%len(names) == 0 {
						stop(true)
						fill()
						stop(false)
					}
					w.Fire(DataChanged, names[i%len(names)], hashes[i%len(names)], visit)
					i++
				}
			})
		}
	}
}

// BenchmarkFireOne consumes single watches among a million on distinct paths.
func BenchmarkFireOne(b *testing.B) {
	names, paths, hashes, w := benchPaths(1_000_000)
	order := rand.New(rand.NewPCG(1, 1)).Perm(len(names))
	n := 0
	visit := func(uint32) { n++ }
	b.ReportAllocs()
	stop := onCPU(b)
	i := 0
	for b.Loop() {
		if i%len(names) == 0 {
			stop(true)
			for p := range paths {
				_ = w.Add(uint32(p%1000), Data, paths[p], hashes[p])
			}
			stop(false)
		}
		p := order[i%len(order)]
		w.Fire(DataChanged, names[p], hashes[p], visit)
		i++
	}
}

// BenchmarkFireMiss asks for a path that nobody watches, with a million others in the table, with and without recursive watches.
func BenchmarkFireMiss(b *testing.B) {
	for _, recursive := range []bool{false, true} {
		b.Run(fmt.Sprintf("recursive=%v", recursive), func(b *testing.B) {
			_, paths, hashes, w := benchPaths(1_000_000)
			for p := range paths {
				_ = w.Add(uint32(p%1000), Data, paths[p], hashes[p])
			}
			if recursive {
				_ = w.Add(1, Recursive, []byte("/elsewhere"), w.hash("/elsewhere"))
			}
			visit := func(uint32) {}
			b.ReportAllocs()
			onCPU(b)
			i := uint64(0)
			for b.Loop() {
				i++
				w.Fire(DataChanged, "/services/payments/node-01/nobody", i*0x9e3779b97f4a7c15, visit)
			}
		})
	}
}

// BenchmarkRemoveConn drops connections of 100 watches each.
func BenchmarkRemoveConn(b *testing.B) {
	_, paths, hashes, w := benchPaths(100_000)
	const conns = 1000
	b.ReportAllocs()
	stop := onCPU(b)
	i := 0
	for b.Loop() {
		if i%conns == 0 {
			stop(true)
			for p := range paths {
				_ = w.Add(uint32(p%conns), Data, paths[p], hashes[p])
			}
			stop(false)
		}
		w.RemoveConn(uint32(i % conns))
		i++
	}
	b.ReportMetric(100, "watches/op")
}
