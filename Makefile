# rollcall: everything a person or CI runs. `make help` lists the targets.

GO       ?= go
# The toolchain line of go.mod names the release with the standard library's fixes.
export GOTOOLCHAIN ?= auto
# The race detector needs a C compiler; without one the tests run without it.
RACE     := $(shell command -v gcc >/dev/null 2>&1 || command -v cc >/dev/null 2>&1 && echo -race)
# The race detector would sleep for a second at the end of each of 45 packages.
export GORACE ?= atexit_sleep_ms=10
# Many tests wait more than they compute, so one package more than there are cores.
PACKAGES := $(shell echo $$(($$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2) + 1)))
# The last line of a test run names what it ran on.
TESTED    = if [ -z "$(RACE)" ]; then echo "no C compiler: the race detector did not run"; fi; \
	if command -v redis-server >/dev/null 2>&1; then \
		echo "tested on miniredis and on $$(redis-server --version | cut -d' ' -f1-3)"; \
	else \
		echo "tested on miniredis alone: redis-server is not on the PATH, its tests were skipped"; \
	fi
TOOL      = $(GO) tool -modfile=tools/go.mod
# A tag v0.1.0 names the version; a commit after it is 0.1.0-5-g1234567.
VERSION  ?= $(or $(patsubst v%,%,$(shell git describe --tags --match 'v[0-9]*' --dirty 2>/dev/null)),0.0.0-dev)
REVISION ?= $(or $(shell git describe --always --match '' --abbrev=12 --dirty 2>/dev/null),unknown)
LDFLAGS   = -X rollcall/internal/buildinfo.version=$(VERSION) -X rollcall/internal/buildinfo.revision=$(REVISION)
BIN      ?= bin
FUZZTIME ?= 30s
ONLY     ?=
QUICK    ?=
PLOTS    ?=
DURATION ?= 10m
TASKS    ?= 20000
VARIANT  ?= always
SEED     ?= 1
CHAOS    ?=
OTHER    ?=
PKG      ?= ./...
RUNS     ?= 20
WAYS     ?= shuffled cpu busy
TESTFLAGS ?=

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

.PHONY: build
build: ## Build bin/worker, bin/enqueue and bin/rollcall
	@mkdir -p $(BIN)
	$(GO) build -trimpath -ldflags "$(LDFLAGS)" -o $(BIN)/ ./cmd/...

.PHONY: demo
demo: build ## Send a sample school through on this machine, and compare
	@bin/worker demo

.PHONY: run
run: build ## The same, and stay up with the web UI
	@bin/worker run

.PHONY: test
test: ## Run the tests that take no minutes; on a real Redis too, where there is one
	@GO="$(GO)" PKG="$(PKG)" tools/test.sh -short $(RACE) -ldflags="-s -w" -timeout 20m -shuffle=on -p $(PACKAGES) $(TESTFLAGS)
	@$(TESTED)

# One package at a time: tests that let Redis servers fail over need the
# processors that other packages would take.
.PHONY: test-long
test-long: ## Run all tests: failovers, every topology, every lost reply, a browser (20 minutes)
	$(GO) test $(RACE) -timeout 40m -shuffle=on -p 1 ./...
	@$(TESTED)

.PHONY: flake
flake: ## Run make test 34 times, in three ways, and list each test that failed; PKG, RUNS, WAYS
	@PKG="$(PKG)" RUNS="$(RUNS)" WAYS="$(WAYS)" tools/flake.sh

.PHONY: lint
lint: ## go vet, staticcheck and golangci-lint, at pinned versions, and the words
	$(GO) vet ./...
	$(TOOL) staticcheck -checks all ./...
	$(TOOL) golangci-lint run
	$(GO) test -run '^TestCommentsStringsAndDocumentsUsePlainWords$$' .

# The database of vulnerabilities is a module, pinned in tools/go.mod: what is
# found depends on the commit alone, and nothing but the module proxy is asked.
.PHONY: vuln
vuln: ## Report known vulnerabilities that the code can reach; fail if there is one
	@GO="$(GO)" tools/vuln.sh

.PHONY: tidy
tidy: ## Fail if a go.mod or go.sum is not what go mod tidy would write
	$(GO) mod tidy -diff
	$(GO) -C tools mod tidy -diff
	$(GO) -C deploy/check mod tidy -diff
	$(GO) -C examples/producer mod tidy -diff

.PHONY: dist
dist: ## Build dist/: archives for Linux, macOS and Windows, SBOMs, checksums
	$(GO) run ./release -version $(VERSION) -revision $(REVISION) $(if $(TARGETS),-targets $(TARGETS))

# PATH is the module's here; tools/module.sh looks for its commands by itself.
.PHONY: module
module: ## Rename the module everywhere: make module PATH=git.example.edu/it/rollcall
	@/bin/bash tools/module.sh "$(PATH)"

.PHONY: examples
examples: ## Build examples/producer in the three documented ways, and run it against a worker
	@GO="$(GO)" tools/examples.sh

.PHONY: format
format: ## Format all Go code
	$(TOOL) gofumpt -w .

.PHONY: bench
bench: ## Measure beside bare asynq; ONLY=prefix for some, ONLY=ledger and ONLY=pace for more
	@$(GO) run ./bench $(if $(QUICK),-quick) $(if $(PLOTS),-plots $(PLOTS)) $(ONLY)

.PHONY: chaos
chaos: build ## Kill everything for DURATION (10m) around TASKS (20000), and compare; VARIANT, SEED, OTHER
	@$(if $(OTHER),GO="$(GO)" tools/other.sh "$(OTHER)" $(BIN)/other)
	@$(GO) run ./chaos -worker $(BIN)/worker $(if $(OTHER),-other $(BIN)/other) -duration $(DURATION) -tasks $(TASKS) -variant $(VARIANT) -seed $(SEED) $(CHAOS)

# -count=1: the cache of results does not see files outside that module.
.PHONY: check-deploy
check-deploy: ## Judge deploy/ by the code of those who read it
	$(GO) -C deploy/check test -count=1 ./...

.PHONY: trial
trial: build ## The trial of deploy/README.md, on a real Redis (3 minutes)
	@deploy/trial.sh

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (30s)
	@for f in $$(grep -rlE '^func Fuzz' --include='*_test.go' .); do \
		for name in $$(grep -oE '^func Fuzz[A-Za-z0-9_]+' $$f | cut -d' ' -f2); do \
			echo "$$name in $$(dirname $$f)"; \
			$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5x $$(dirname $$f) || exit 1; \
		done; \
	done

.PHONY: update
update: ## Rewrite golden files and generated pages from the code
	@for dir in $$(grep -rlE 'flag\.Bool\("update"' --include='*_test.go' . | xargs -n1 dirname | sort -u); do \
		$(GO) test -short $$dir -update || exit 1; \
	done

.PHONY: structure
structure: ## Print lines by package, exported names of tasks, words of docs; LIST=1 for pages
	@tools/structure.sh

.PHONY: clean
clean: ## Remove what make build, make test and make dist made
	rm -rf bin dist
