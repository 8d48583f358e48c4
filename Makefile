# Everything sets up what it needs, and leaves the host as it was. `make` alone lists it.
GO ?= go
FUZZTIME ?= 10s
DICE ?= 3000
BIN := $(shell $(GO) env GOCACHE)/weir
GOLDEN := ./apps ./intent

help:                 ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 22

demo: build           ## the main job on a real Open vSwitch of its own; KEEP=1 leaves it running
	@$(BIN)/weir demo $(if $(KEEP),--keep)

build: deps
	@mkdir -p $(BIN) && $(GO) build -o $(BIN)/weir ./cmd/weir

deps:
	@scripts/deps.sh

test: deps            ## unit tests, in seconds, and what needs an Open vSwitch without root
	$(GO) vet ./...
	$(GO) test ./...

integration: build    ## real traffic through the userspace datapath
	@WEIR_BIN=$(BIN)/weir test/integration.sh
	WEIR_INTEGRATION=1 WEIR_BIN=$(BIN)/weir $(GO) test -count=1 -timeout 20m ./internal/sandbox ./cmd/weir ./ofproto ./controller ./apps ./test/bench
	WEIR_INTEGRATION=1 $(GO) test -count=1 -timeout 5m ./ofproto/oftest

integration-kernel: build ## the same traffic through the Linux kernel's datapath, in a guest
	@scripts/deps.sh kernel
	@WEIR_BIN=$(BIN)/weir test/uml/integration.sh

integration-vm: build ## the same traffic through the kernel's datapath, in virtual machines with Debian's own kernel; RUN says which tests
	@scripts/deps.sh vm
	@WEIR_GUEST=vm WEIR_BIN=$(BIN)/weir test/uml/integration.sh '$(or $(RUN),.)'

integration-containers: build ## the acceptance scenarios with Open vSwitch in containers, and docker-compose.yml (docs/containers.md)
	@scripts/deps.sh containers
	$(GO) build -o $(BIN)/containers ./test/containers && $(BIN)/containers $(CONTAINERS)

images:               ## the images of docker-compose.yml, also where no registry is reached
	@scripts/deps.sh containers
	$(GO) build -o $(BIN)/containers ./test/containers && $(BIN)/containers -images

bench: build          ## figures, each beside a peer's in the same run; BENCH says how much of it (docs/bench.md)
	@scripts/deps.sh bench || echo "benchmarks beside a peer that is missing are left out"
	@scripts/deps.sh ovn || echo "OVN cannot be installed: Weir is measured without it"
	$(GO) build -o $(BIN)/bench ./test/bench && $(BIN)/bench -weir $(BIN)/weir $(BENCH)
	$(GO) test -run '^$$' -bench . -benchmem ./...

dice:                 ## other random models and packets than the tests draw, DICE of each kind
	WEIR_INTEGRATION=1 $(GO) test -count=1 -timeout 60m ./apps -run 'Semantics|TakenBack|Units|Conjunctions' -rapid.checks=$(DICE)

fuzz:                 ## every decoder, FUZZTIME each
	@for p in $$(grep -rl --include=*_test.go 'func Fuzz' . | xargs -n1 dirname | sort -u); do \
	  for f in $$(grep -ho 'func Fuzz[A-Za-z]*' $$p/*_test.go | cut -c6-); do \
	    echo "$$p $$f" && $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p || exit 1; done; done

golden:               ## write the golden files anew; then read what has changed
	$(GO) test $(GOLDEN) -update

lint:                 ## gofmt, go vet, and golangci-lint where it is installed
	@test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	$(GO) vet ./...
	@if command -v golangci-lint >/dev/null; then golangci-lint run; else echo "golangci-lint is not installed: left out"; fi

clean:                ## what the targets above have left in the build cache
	rm -rf $(BIN)
	$(GO) clean -testcache

.PHONY: help demo build deps test integration integration-kernel integration-vm integration-containers images bench dice fuzz golden lint clean
