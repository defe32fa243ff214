# Targets are listed by `make help`. Every tool is pinned here and fetched through the Go module proxy.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS  := -s -w -X main.commit=$(VERSION)

PKG  ?= ./...
TIME ?= 30s
ARGS ?=

.PHONY: help
help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/holt, one static binary
	CGO_ENABLED=0 go build -trimpath -pgo=cmd/holt/holt.pgo -ldflags '$(LDFLAGS)' -o bin/holt ./cmd/holt

.PHONY: run
run: build ## build, and serve ZooKeeper clients on 127.0.0.1:2181 from ./data (ARGS='--client-addr :2181')
	bin/holt server --data-dir ./data $(ARGS)

.PHONY: cluster
cluster: build ## build, and run three members on this machine, clients on :2181 to :2183 (N=5 for more, ARGS='--help' for ports and directories)
	bin/holt cluster -n $(or $(N),3) $(ARGS)

.PHONY: test
test: ## every test, with the race detector (PKG=./tree/... for less)
	go test -race -timeout 9m $(ARGS) $(PKG)

.PHONY: lint
lint: ## gofumpt, go vet, staticcheck, the import edges of docs/architecture.md and more: .golangci.yml
	CGO_ENABLED=0 go run $(GOLANGCI) run --allow-parallel-runners $(PKG)

.PHONY: fmt
fmt: ## rewrite the sources as gofumpt wants them
	CGO_ENABLED=0 go run $(GOLANGCI) fmt $(PKG)

.PHONY: fuzz
fuzz: ## every fuzz target for TIME=30s each (PKG=./netloop/wire for one package)
	.ci/fuzz $(TIME) $(PKG)

.PHONY: bench
bench: ## every Go benchmark once, with allocations (PKG=./tree ARGS='-bench=Get -count=6')
	go test -run '^$$' -bench . -benchmem -timeout 60m $(ARGS) $(PKG)

SIM := CGO_ENABLED=0 go test ./quorum/sim -count=1 -timeout 0 -v

.PHONY: sim
sim: ## whole clusters from seeds: SEEDS=1-1000 on all cores, or SEED=17 with all that happens (docs/simulation.md)
ifdef SEED
	$(SIM) -run 'TestSeeds$$' -sim.seeds=$(SEED) -sim.log $(ARGS)
else
	$(SIM) -run 'TestSeeds$$|TestMutationsAreFound$$' -sim.seeds=$(or $(SEEDS),1-500) -sim.procs=$(or $(PROCS),$(shell nproc)) $(ARGS)
endif

.PHONY: sim-hunt
sim-hunt: ## for each bug of other systems that is put in, the first of SEEDS=1-500 that finds it; writes quorum/sim/testdata/mutations
	$(SIM) -run 'TestHunt$$' -sim.hunt=$(or $(SEEDS),1-500) -rewrite $(ARGS)

.PHONY: crash
crash: build ## ROUNDS=200 kills of a real server under load, each followed by a check that nothing acknowledged was lost
	go run ./cmd/crash -rounds $(or $(ROUNDS),200) $(ARGS)

.PHONY: chaos
chaos: build ## members in network namespaces under faults and load, histories checked (ARGS='-for 10m -seed 1', '-short', '-kind zookeeper'; root)
	go build -o bin/chaos ./cmd/chaos && bin/chaos run $(ARGS)

.PHONY: failover
failover: build ## how long clients cannot write when the leader goes, ROUNDS=30 times in each way, beside ZooKeeper
	go build -o bin/chaos ./cmd/chaos && bin/chaos gap -rounds $(or $(ROUNDS),30) $(ARGS)

.PHONY: catchup
catchup: build ## a member that missed 1M writes of a tree of 5M znodes comes back under load (ARGS='-apart -znodes 500000')
	go build -o bin/chaos ./cmd/chaos && bin/chaos catchup $(ARGS)

.PHONY: crowd
crowd: ## 10,000 connections that say nothing (CONNS=10000), beside clients that work
	HOLT_TEST_SILENT_CONNS=$(or $(CONNS),10000) go test -count=1 -v -run SilentConnections ./cmd/holt $(ARGS)

.PHONY: conformance
conformance: ## the clients' own test suites against ZooKeeper and Holt, side by side (ARGS='--suites java --servers holt --short')
	cmd/conformance/run $(ARGS)

.PHONY: difftest
difftest: build ## random operations against ZooKeeper and Holt, compared (SEED=1 OPS=100000 MODE=all; needs Java and Maven)
	go run ./cmd/difftest -seed $(or $(SEED),1) -ops $(or $(OPS),100000) -mode $(or $(MODE),all) $(ARGS)

.PHONY: measure
measure: build ## figures of whole processes for BENCHMARKS.md: reads, restart, checkpoint
	go build -o bin/measure ./cmd/measure
	bin/measure reads && bin/measure restart && bin/measure checkpoint

.PHONY: bench-peers
bench-peers: build ## ROUNDS=3 rounds beside Apache ZooKeeper and bare servers; writes BENCHMARKS.md (ARGS='-only get' prints some rows)
	go build -o bin/benchpeers ./cmd/benchpeers
	bin/benchpeers -rounds $(or $(ROUNDS),3) $(if $(ARGS),$(ARGS),-write)

.PHONY: profile
profile: build ## record cmd/holt/holt.pgo anew: the profile that make build optimises by (after changes of the hot path)
	cp bin/holt /tmp/holt && go run ./cmd/measure profile -holt /tmp/holt; rm /tmp/holt # the profile names the binary by its path

.PHONY: docs
docs: ## print docs/configuration.md and docs/bench.md anew from the tables of keys, workloads and flags
	go test ./cmd/holt/config -run TestReferencePage -rewrite
	go test ./bench/cli -run TestDocsAreUpToDate -rewrite

.PHONY: clean
clean: ## remove what the build and the tools made; ./data stays
	rm -rf bin .cache
