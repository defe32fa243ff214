//go:build !linux

package admin

func machineMemory() uint64 { return 0 }
