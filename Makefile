# Everything is built from Go modules; nothing else is downloaded. `make help`
# lists the targets.

GO ?= go

# One set of flags for builds and tests, so that they share the build cache.
export GOFLAGS := $(GOFLAGS) -trimpath

BIN := bin
TOOLS := $(BIN)/tools

LND := github.com/lightningnetwork/lnd
LND_TAGS := autopilotrpc chainrpc invoicesrpc peersrpc routerrpc signrpc \
	walletrpc watchtowerrpc wtclientrpc

# Limits of a whole run of the tests, not of one test.
UNIT_TIMEOUT ?= 20m
ITEST_TIMEOUT ?= 40m
CRASH_TIMEOUT ?= 60m
MOVE_TIMEOUT ?= 30m
TROUBLE_TIMEOUT ?= 120m
BENCH_TIMEOUT ?= 20m

# The number of changed backups that both decoders judge.
MUTANTS ?= 3000

# run=Name selects integration tests by a regular expression.
run ?= .

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' \
		$(MAKEFILE_LIST)

# --- Building --------------------------------------------------------------

.PHONY: build
build: ## Build loop, loopd and upstream's loop (loop-upstream) into bin/.
	$(GO) build -o $(BIN)/ ./cmd/loop ./cmd/loopd
	$(GO) -C upstream build -o ../$(BIN)/loop-upstream tool

# The programs that the integration tests and the demo run beside ours. They
# change only with the module set, which the stamp stands for.
NODES := $(BIN)/.nodes
$(NODES): go.sum
	$(GO) build -o $(BIN)/btcd github.com/btcsuite/btcd
	$(GO) build -tags "$(LND_TAGS)" -o $(BIN)/ $(LND)/cmd/lnd $(LND)/cmd/lncli
	$(GO) build -o $(BIN)/loopd-upstream github.com/lightninglabs/loop/cmd/loopd
	@touch $@

.PHONY: nodes
nodes: $(NODES) ## Build btcd, lnd, lncli and upstream's loopd into bin/.

.PHONY: build-itest
build-itest: build nodes ## Build all that the integration tests run.
	$(GO) build -tags failpoint -o $(BIN)/loopd-failpoint ./cmd/loopd

.PHONY: demo
demo: build nodes ## Lose a Loop client and bring it back, on regtest.
	@$(GO) build -o $(BIN)/demo ./internal/testkit/regtest/cmd/demo
	@$(BIN)/demo -bin $(BIN)

# --- Testing ---------------------------------------------------------------

.PHONY: test
test: unit itest ## Run every test.

.PHONY: unit
unit: ## Run the unit tests with the race detector.
	$(GO) test -race -tags failpoint -timeout $(UNIT_TIMEOUT) \
		$$($(GO) list ./... | grep -v /itest$$)
	$(GO) test -timeout $(UNIT_TIMEOUT) ./internal/failpoint

.PHONY: itest
itest: build-itest ## Run the integration tests (run=Name for some of them).
	$(GO) test -count=1 -timeout $(ITEST_TIMEOUT) -v -run '$(run)' ./itest

.PHONY: crash
crash: build-itest ## Kill a restore everywhere, three times, and compare.
	@$(GO) test -c -o $(BIN)/itest.test ./itest
	@cd itest && ../$(BIN)/itest.test -test.timeout $(CRASH_TIMEOUT) \
		-test.v -test.run 'TestCrash$$' -crash

# The version of ours that directories are moved from, with Loop v0.34.
OLD_VERSION := 0e8ad9d
OLD := $(BIN)/old
OLD_STAMP := $(OLD)/.built-$(OLD_VERSION)
$(OLD_STAMP):
	rm -rf $(OLD) && mkdir -p $(OLD)/source
	git archive -o $(OLD)/source.tar $(OLD_VERSION)
	tar -x -f $(OLD)/source.tar -C $(OLD)/source
	$(GO) -C $(OLD)/source build -o ../ ./cmd/loopd
	$(GO) -C $(OLD)/source build -tags failpoint -o ../loopd-failpoint \
		./cmd/loopd
	rm -rf $(OLD)/source $(OLD)/source.tar
	@touch $@

.PHONY: move
move: build-itest $(OLD_STAMP) ## Move directories from an old version, and try the way back.
	@$(GO) test -c -o $(BIN)/itest.test ./itest
	@cd itest && ../$(BIN)/itest.test -test.timeout $(MOVE_TIMEOUT) \
		-test.v -test.run 'TestMove$$' -move

.PHONY: trouble
trouble: build-itest ## Get loopd into every trouble, each watched for minutes.
	@$(GO) test -c -o $(BIN)/itest.test ./itest
	@cd itest && ../$(BIN)/itest.test -test.timeout $(TROUBLE_TIMEOUT) \
		-test.parallel 4 -test.v -test.run 'TestTrouble$$' \
		-trouble -watch 5m

.PHONY: bench
bench: ## Measure the scan against its bounds: walk, requests, memory.
	@$(GO) test -c -o $(BIN)/chainscan.test ./chainscan
	@cd chainscan && ../$(BIN)/chainscan.test -test.timeout $(BENCH_TIMEOUT) \
		-test.run 'TestBench$$' -measure

.PHONY: bench-check
bench-check: ## Hold the speed of filter matching and of the block walk to ratios of their peers.
	@$(GO) test -c -o $(BIN)/chainscan.test ./chainscan
	@cd chainscan && ../$(BIN)/chainscan.test -test.timeout $(BENCH_TIMEOUT) \
		-test.run 'TestBenchCheck$$' -measure

.PHONY: vectors
vectors: ## Check the backup format's test vectors and mutants, in Go and in Python.
	$(GO) test -count=1 -run 'Test(Vectors|SecondDecoder)$$' ./backup \
		-mutants $(MUTANTS)
	@python3 docs/vectors/decode.py

.PHONY: powercut
powercut: ## Cut the power at every point of every write of a token or backup.
	@$(GO) run ./internal/testkit/powercut/cmd/powercut

.PHONY: explore
explore: explore-chains explore-histories ## Try every two faults at every boundary; first the chains.
	@$(GO) run ./internal/testkit/explore/cmd/explore

.PHONY: explore-chains
explore-chains: ## Scan 50,000 adversarial chains; some minutes.
	$(GO) test -count=1 -v -run AdversarialChains -timeout 2h ./chainscan \
		-chains 50000 -peerchains 500

.PHONY: explore-histories
explore-histories: ## Compare 20,000 random histories of wallet and chain with the truth.
	$(GO) test -count=1 -v -run 'TestHistories$$' -timeout 1h ./lndview \
		-histories 20000

.PHONY: cover
cover: ## Print what unit tests reach around the swap client; fails below bounds.
	@tools/cover.sh

.PHONY: docs-check
docs-check: ## Check that what the documents promise is held by tests.
	$(GO) test -count=1 ./docs
	$(GO) test -count=1 -run 'TestErrorList|TestManual' ./cmd/loop

# --- Checking --------------------------------------------------------------

.PHONY: lint
lint: tools ## Check format, go vet, staticcheck and generated code.
	@tools/lint.sh

.PHONY: generate
generate: proto ## Write all generated code again.
	PATH="$(CURDIR)/$(TOOLS):$$PATH" $(GO) generate ./...

.PHONY: proto
proto: tools ## Write the code generated from recoveryrpc's proto file again.
	PATH="$(CURDIR)/$(TOOLS):$$PATH" recoveryrpc/gen.sh

TOOLS_STAMP := $(TOOLS)/.built
$(TOOLS_STAMP): tools/go.mod tools/go.sum $(wildcard tools/*/*.go)
	$(GO) -C tools build -o ../$(TOOLS)/ tool ./protoc
	@touch $@

.PHONY: tools
tools: $(TOOLS_STAMP) ## Build the pinned tools into bin/tools.

.PHONY: clean
clean: ## Remove everything that was built.
	rm -rf $(BIN)
