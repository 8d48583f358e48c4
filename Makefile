# Everything sets up what it needs, and leaves the host as it was. `make` alone lists it.
GO ?= go
FUZZTIME ?= 10s
DICE ?= 3000
BIN := $(shell $(GO) env GOCACHE)/weir
GOLDEN := ./apps ./intent

PREFIX ?= /usr/local
BINDIR = $(PREFIX)/bin
UNITDIR = $(PREFIX)/lib/systemd/system
USERSDIR = $(PREFIX)/lib/sysusers.d
TMPDIRS = $(PREFIX)/lib/tmpfiles.d
MANDIR = $(PREFIX)/share/man
BASHDIR = $(PREFIX)/share/bash-completion/completions
ZSHDIR = $(PREFIX)/share/zsh/site-functions
FISHDIR = $(PREFIX)/share/fish/vendor_completions.d
CONFDIR = /etc/weir
DEB ?= $(BIN)
VERSION = $(shell scripts/version.sh)

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
	WEIR_INTEGRATION=1 WEIR_BIN=$(BIN)/weir $(GO) test -count=1 -timeout 20m ./internal/sandbox ./cmd/weir ./ofproto ./controller ./apps ./test/bench ./ofproto/oftest

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
	WEIR_INTEGRATION=1 $(GO) test -count=1 -timeout 60m ./apps ./ofproto ./internal/flowsim -run 'Semantics|TakenBack|Units|Conjunctions|Random|APlanMakes' -rapid.checks=$(DICE)

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

install:              ## into PREFIX, below DESTDIR: binary, manual page, completions, systemd unit (docs/package.md)
	mkdir -p $(BIN)
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '-s -w -X main.release=$(VERSION)' -o $(BIN)/weir-release ./cmd/weir
	install -D -m 755 $(BIN)/weir-release $(DESTDIR)$(BINDIR)/weir
	for d in $(MANDIR)/man1 $(BASHDIR) $(ZSHDIR) $(FISHDIR) $(UNITDIR) $(USERSDIR) $(TMPDIRS) $(CONFDIR); do install -d -m 755 $(DESTDIR)$$d || exit 1; done
	$(BIN)/weir-release manual >$(DESTDIR)$(MANDIR)/man1/weir.1
	$(BIN)/weir-release completion bash >$(DESTDIR)$(BASHDIR)/weir
	$(BIN)/weir-release completion zsh >$(DESTDIR)$(ZSHDIR)/_weir
	$(BIN)/weir-release completion fish >$(DESTDIR)$(FISHDIR)/weir.fish
	sed "s,@BINDIR@,$(BINDIR),g" packaging/weir.service >$(DESTDIR)$(UNITDIR)/weir.service
	install -m 644 packaging/weir.sysusers $(DESTDIR)$(USERSDIR)/weir.conf
	install -m 644 packaging/weir.tmpfiles $(DESTDIR)$(TMPDIRS)/weir.conf
	test -e $(DESTDIR)$(CONFDIR)/serve.env || install -m 644 packaging/serve.env $(DESTDIR)$(CONFDIR)/serve.env

uninstall:            ## what install has put there, but for /etc/weir
	rm -f $(addprefix $(DESTDIR),$(BINDIR)/weir $(MANDIR)/man1/weir.1 $(BASHDIR)/weir $(ZSHDIR)/_weir $(FISHDIR)/weir.fish $(UNITDIR)/weir.service $(USERSDIR)/weir.conf $(TMPDIRS)/weir.conf)

deb:                  ## a Debian package, in $(DEB): the same bytes each time (docs/package.md)
	@scripts/deps.sh deb
	@packaging/deb.sh $(DEB)

deb-test:             ## builds it twice, installs it in a Debian of its own with systemd and Open vSwitch, upgrades and purges it
	@scripts/deps.sh deb
	@packaging/test.sh

clean:                ## what the targets above have left in the build cache
	rm -rf $(BIN)
	$(GO) clean -testcache

.PHONY: help demo build deps test integration integration-kernel integration-vm integration-containers images bench dice fuzz golden lint install uninstall deb deb-test clean
