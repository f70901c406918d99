# Entry points for people and CI. `make demo` and `make test` work on a fresh Debian 12 or 13 with Swift.

# One build serves the daemon, its tests and the benchmark: -enable-testing only keeps internal symbols visible.
SWIFT_FLAGS = -c release -Xswiftc -enable-testing
# The processor that the packet path is compiled for, as clang's -march (elsewhere than on x86-64: -mcpu) has it; empty: what packages rely on.
export MARCH ?=
PREFIX ?= /usr/local
DESTDIR ?=

.PHONY: help build docs demo test test-quick test-drivers soak sanitize unit lint format bench bench-peers bench-guard fuzz hot-audit install package package-test
.DEFAULT_GOAL := help

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build vtepd and vtepctl (.build/release; MARCH=native: for this machine's processor)
	@scripts/setup build
	scripts/swift build $(SWIFT_FLAGS)
	@scripts/xdp-program

docs: build ## Write the parts of docs/ that come from the programs: commands, metrics, drop reasons
	@scripts/reference

demo: ## Show the main task: three hosts, one multicast group, guests that reach each other
	@scripts/setup demo
	scripts/swift build $(SWIFT_FLAGS) --product vtepd
	scripts/swift build $(SWIFT_FLAGS) --product vtepctl
	@scripts/demo

test: ## Set up, build, and run every test
	@SWIFT_FLAGS="$(SWIFT_FLAGS)" scripts/test

test-quick: ## Unit tests, lint, and one integration test per area
	@SWIFT_FLAGS="$(SWIFT_FLAGS)" scripts/test --quick

test-drivers: ## Run the integration tests over each kind of uplink, with one and two workers, with and without hugepages (an hour)
	@scripts/setup test
	scripts/swift build $(SWIFT_FLAGS) --product vtepd && scripts/swift build $(SWIFT_FLAGS) --product vtepctl
	@scripts/xdp-program
	@scripts/test-drivers

soak: ## Traffic under random faults, for an hour (SOAK: options, such as --seconds 600 --seed 7)
	@scripts/setup test
	scripts/swift build $(SWIFT_FLAGS) --product vtepd && scripts/swift build $(SWIFT_FLAGS) --product vtepctl
	@scripts/soak $(SOAK)

sanitize: ## Run the unit and data-plane tests under AddressSanitizer and ThreadSanitizer
	@scripts/setup test
	@SWIFT_FLAGS="$(SWIFT_FLAGS)" scripts/sanitize

unit: ## Build everything, and run the unit tests
	@scripts/setup test
	scripts/swift build $(SWIFT_FLAGS) --build-tests
	scripts/swift test $(SWIFT_FLAGS) --disable-testable-imports --skip-build --no-parallel

lint: ## Check format, import rules and leftovers
	@scripts/lint

format: ## Format the Swift files in place
	@scripts/format

bench: ## Measure the data plane against the bare loop and against the kernel and Open vSwitch, OVSDB against ovsdb-client
	@scripts/setup bench
	scripts/swift build $(SWIFT_FLAGS) --product vtepd-bench
	.build/release/vtepd-bench && .build/release/vtepd-bench table && .build/release/vtepd-bench latency && .build/release/vtepd-bench segments
	@scripts/bench-instructions
	scripts/swift build $(SWIFT_FLAGS) --product vtepd && scripts/swift build $(SWIFT_FLAGS) --product vtepctl
	@if [ "$$(id -u)" = 0 ]; then scripts/bench-control && scripts/bench-restart && scripts/bench-offloads && scripts/bench-tcp && scripts/bench-guests; else echo "bench-control, bench-restart, bench-offloads, bench-tcp and bench-guests skipped: they need root"; fi
	scripts/swift build $(SWIFT_FLAGS) --product ovsdb-bench
	@scripts/bench-ovsdb

bench-peers: ## Measure vtepd against dpdk-testpmd and Open vSwitch with DPDK on the same devices (root, 5 GB; BENCH_PEERS: options)
	@scripts/setup bench
	scripts/swift build $(SWIFT_FLAGS) --product vtepd && scripts/swift build $(SWIFT_FLAGS) --product vtepctl
	@scripts/bench-peers $(BENCH_PEERS)

bench-guard: ## Check that no hot loop costs more instructions than Benchmarks/instructions.limits allows
	@scripts/setup test
	scripts/swift build $(SWIFT_FLAGS) --product vtepd-bench
	@scripts/bench-instructions --guard

fuzz: ## Fuzz each decoder for a minute (FUZZ_SECONDS)
	@scripts/setup build
	@scripts/fuzz

hot-audit: build ## Prove that the packet path makes no Swift runtime calls
	@scripts/hot-audit

install: build ## Install under PREFIX (default /usr/local)
	install -D -m 755 .build/release/vtepd $(DESTDIR)$(PREFIX)/sbin/vtepd
	install -D -m 755 .build/release/vtepctl $(DESTDIR)$(PREFIX)/bin/vtepctl
	install -D -m 644 .build/release/underlay.bpf.o $(DESTDIR)$(PREFIX)/lib/vtepd/underlay.bpf.o

package: ## Build vtepd_VERSION_ARCH.deb for this Debian; its users need no Swift
	@scripts/setup package
	@scripts/package

package-test: package ## Test the package on two bare machines without Swift
	@scripts/package-test
