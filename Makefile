# What can be done here. "make help" lists it.

GO ?= go
NPM ?= npm
BUNDLE := internal/app/clientbundle
BUNDLE_FILES := socket.io.js socket.io.min.js socket.io.esm.min.js socket.io.msgpack.min.js
NPM_DIRS := $(BUNDLE) test/e2e test/bench test/client-peer test/redis
GO_MODULES := . test/e2e test/bench
FUZZTIME ?= 20s
LINTER_VERSION := v2.15.0
BENCHSTAT_VERSION := v0.0.0-20260908200009-22c9c6c9d4da
# The benchmarks with a baseline, how often each is run, and for how long.
MICRO := . ./protocol/... ./internal/wsconn ./internal/hub ./engineio
MICRO_BENCHMARKS := ^Benchmark(HotPath|Broadcast|Emit)$$
MICRO_BASELINE := test/bench/micro-baseline.txt
COUNT ?= 6
BENCHTIME ?= 100ms

.DEFAULT_GOAL := help
.PHONY: help
help: ## List what there is
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# npm packages, by lock file. The stamp is younger than what it was made from.
%/node_modules/.stamp: %/package.json %/package-lock.json
	cd $* && $(NPM) ci --no-audit --no-fund
	@touch $@

$(BUNDLE)/dist/socket.io.js: $(BUNDLE)/node_modules/.stamp
	cd $(BUNDLE) && for f in $(BUNDLE_FILES); do \
		cp node_modules/socket.io-client/dist/$$f node_modules/socket.io-client/dist/$$f.map dist/; done
	@touch $@

.PHONY: build
build: $(BUNDLE)/dist/socket.io.js ## Build bin/socketeer, with the browser client inside
	$(GO) build -o bin/socketeer ./cmd/socketeer

.PHONY: up
up: build ## Run the chat on three nodes, here, until Ctrl-C
	bin/socketeer up --nodes 3

.PHONY: setup
setup: build $(NPM_DIRS:%=%/node_modules/.stamp) ## Install what the tests need
	scripts/setup

.PHONY: test
test: setup check allocs storm ## Install what the tests need, and run all of them
	for m in $(GO_MODULES); do (cd $$m && $(GO) test -race -timeout 9m ./...) || exit 1; done

# They are skipped with the race detector, which changes them.
.PHONY: allocs
allocs: ## Hold the hot paths to their allocations
	$(GO) test -run 'Allocs$$|NoMemory$$' $(MICRO)

# With the race detector there are fewer of them.
.PHONY: storm
storm: ## Let 5,000 clients recover at once
	$(GO) test -count=1 -run '^TestStorm$$' ./test/faults

.PHONY: check
check: ## Formatting and go vet
	@unformatted=$$(git ls-files '*.go' | xargs gofmt -l); \
		if [ -n "$$unformatted" ]; then echo "not gofmt-ed:"; echo "$$unformatted"; exit 1; fi
	for m in $(GO_MODULES); do (cd $$m && $(GO) vet ./...) || exit 1; done

# The linter is compiled once, which takes minutes.
LINTER := bin/golangci-lint-$(LINTER_VERSION)
$(LINTER):
	GOBIN=$(CURDIR)/bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINTER_VERSION)
	@mv bin/golangci-lint $@

.PHONY: lint
lint: $(LINTER) ## golangci-lint, installed into bin
	for m in $(GO_MODULES); do (cd $$m && $(CURDIR)/$(LINTER) run --config $(CURDIR)/.golangci.yml ./...) || exit 1; done

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (20s)
	@for p in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
			echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p || exit 1; \
		done; done

.PHONY: bench
bench: ## All micro-benchmarks, once
	$(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: compare
compare: build test/bench/node_modules/.stamp ## Measure us and our peers side by side (ARGS="--help")
	cd test/bench && $(GO) build -o $(CURDIR)/bin/compare ./compare
	bin/compare $(ARGS)

BENCHSTAT := bin/benchstat-$(BENCHSTAT_VERSION)
$(BENCHSTAT):
	GOBIN=$(CURDIR)/bin $(GO) install golang.org/x/perf/cmd/benchstat@$(BENCHSTAT_VERSION)
	@mv bin/benchstat $@

# One package after the other, or they would disturb each other.
bin/micro.txt: FORCE
	@mkdir -p bin
	$(GO) test -p 1 -run '^$$' -bench '$(MICRO_BENCHMARKS)' -benchtime $(BENCHTIME) -count $(COUNT) $(MICRO) > $@ || { cat $@; exit 1; }
.PHONY: FORCE

.PHONY: bench-micro
bench-micro: bin/micro.txt $(BENCHSTAT) ## Benchmarks of the hot paths, COUNT (6) times, beside the baseline
	$(BENCHSTAT) baseline=$(MICRO_BASELINE) now=bin/micro.txt

.PHONY: bench-micro-baseline
bench-micro-baseline: bin/micro.txt ## ... and make the outcome the baseline
	cp bin/micro.txt $(MICRO_BASELINE)

.PHONY: clean
clean: ## Remove what was built and installed here
	rm -rf bin $(NPM_DIRS:%=%/node_modules) $(BUNDLE_FILES:%=$(BUNDLE)/dist/%) $(BUNDLE_FILES:%=$(BUNDLE)/dist/%.map)
