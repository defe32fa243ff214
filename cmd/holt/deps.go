//go:build deps

package main

import (
	_ "github.com/VictoriaMetrics/metrics"
	_ "github.com/anishathalye/porcupine"
	_ "github.com/cockroachdb/datadriven"
	_ "github.com/cockroachdb/pebble/v2"
	_ "github.com/go-zookeeper/zk"
	_ "github.com/klauspost/compress/s2"
	_ "github.com/panjf2000/gnet/v2"
	_ "go.etcd.io/raft/v3"
)
