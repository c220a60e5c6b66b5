# What one does here. Everything that is built or installed goes into target/.
#
#   make dev    start three regions            make test      everything a change has to pass
#   make lint   formatting and clippy          make test-all  the same with more seeds, and what takes longer
#   make cluster, make cluster-down   three regions from processes, with PostgreSQL and Kafka
#   make load   a load test, and its check
#   make bench  speed beside a bare echo; bench-cpu: CPU time
#                                              make clean     forget all of it, the data of `make dev` apart

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.SUFFIXES:

VENV := target/venv
PYTHON := $(abspath $(VENV)/bin/python)
# The environment is made anew when the requirements change.
REQUIREMENTS := tests/requirements.txt
INSTALLED := $(VENV)/.installed-$(shell sha256sum $(REQUIREMENTS) | cut -c1-16)
WORKERS ?= $(shell nproc)

# Whoever has the rights gets what is missing; everybody else is told its name.
define install
if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(1); \
else \
	echo "please install $(1)" >&2; exit 1; \
fi
endef

.PHONY: help
help:
	@sed -n 's/^#   //p' Makefile

# --- running

.PHONY: dev
dev:
	cargo build --release -p tradewind
	exec target/release/tradewind dev $(ARGS)

# Three regions from real processes, from port 8101 on; ends by Ctrl-C or `make cluster-down`.
PORT ?= 8101

.PHONY: cluster
cluster: $(INSTALLED) test-tools
	tests/kafka/run.sh --fetch
	cargo build --release -p tradewind
	exec $(PYTHON) tests/cluster/cluster.py up target/release/tradewind target/cluster $(PORT)

.PHONY: cluster-down
cluster-down:
	@python3 tests/cluster/cluster.py down target/cluster

# The AWS CLI and the test tools, for those who have none of their own.
.PHONY: tools
tools: $(INSTALLED)

$(INSTALLED): $(REQUIREMENTS)
	@rm -rf $(VENV)
	@python3 -c 'import venv, ensurepip' 2>/dev/null || { $(call install,python3-venv); }
	@echo "installing $(REQUIREMENTS) into $(VENV)"
	@python3 -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check -r $(REQUIREMENTS)
	@touch $@

# --- checking

.PHONY: fmt
fmt:
	cargo fmt --all

.PHONY: fmt-check
fmt-check:
	cargo fmt --all --check

.PHONY: clippy
clippy:
	cargo clippy --workspace --all-targets --locked --keep-going -- -D warnings

.PHONY: lint
lint: fmt-check clippy

# One profile and one selection of packages, so that nothing is built twice: the black-box tests run what this builds.
.PHONY: build
build:
	cargo build --workspace --locked --lib --bins --tests --examples

# What the tests start: PostgreSQL's programs (unless a server is named), a Java runtime and Maven for Kafka's own broker and
# clients, kcat. One watches system calls; where strace is not to be had, it says so and is skipped.
.PHONY: test-tools
test-tools:
	@missing=; \
	has() { command -v $$1 >/dev/null || missing="$$missing$$2 "; }; \
	[ -n "$${TRADEWIND_TEST_POSTGRES:-}" ] || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || has initdb postgresql; \
	has java default-jre-headless; has mvn maven; has kcat kcat; \
	[ -z "$$missing" ] || { $(call install,$$missing); }
	@command -v strace >/dev/null || { $(call install,strace); } || true

# AWS's own runtime client for Node.js, which is compiled as it is installed; tests of Node functions run with it too if it
# is there.
NODE_RUNTIME := target/node-runtime
NODE_RUNTIME_LOCK := tests/node-runtime/package-lock.json
NODE_RUNTIME_INSTALLED := $(NODE_RUNTIME)/.installed-$(shell sha256sum $(NODE_RUNTIME_LOCK) | cut -c1-16)

.PHONY: node-runtime
node-runtime: $(NODE_RUNTIME_INSTALLED)

$(NODE_RUNTIME_INSTALLED): $(NODE_RUNTIME_LOCK)
	@missing=; \
	has() { command -v $$1 >/dev/null || missing="$$missing$$2 "; }; \
	has npm npm; has autoreconf autoconf; has automake automake; has libtoolize libtool; has cmake cmake; has g++ g++; \
	has make make; has python3 python3; \
	[ -z "$$missing" ] || { $(call install,$$missing); }
	@rm -rf $(NODE_RUNTIME) && mkdir -p $(NODE_RUNTIME)
	@cp tests/node-runtime/package.json $(NODE_RUNTIME_LOCK) $(NODE_RUNTIME)
	@echo "compiling aws-lambda-ric into $(NODE_RUNTIME), which takes some minutes"
	@npm ci --prefix $(NODE_RUNTIME) --no-audit --no-fund --loglevel=error
	@test -e $(NODE_RUNTIME)/node_modules/aws-lambda-ric/dist/rapid-client.node
	@touch $@

.PHONY: rust-tests
rust-tests: $(INSTALLED) test-tools
	TRADEWIND_TEST_PYTHON=$(PYTHON) TRADEWIND_TEST_NODE_MODULES=$(abspath $(NODE_RUNTIME)/node_modules) \
		cargo test --workspace --locked --no-fail-fast

.PHONY: blackbox
blackbox: $(INSTALLED) test-tools
	cd tests/blackbox && $(PYTHON) -m pytest --quiet -n $(WORKERS)

# The same on storage nodes with PostgreSQL, and what only those have. `make test` has one shape, `make test-all` all.
SHAPE ?= nodes=3,databases=2

.PHONY: blackbox-cluster
blackbox-cluster: $(INSTALLED) test-tools
	cd tests/blackbox && TRADEWIND_TEST_CLUSTER=$(SHAPE) $(PYTHON) -m pytest --quiet -n $(WORKERS)

# Each region is cut off for a minute; `make blackbox` has the short form.
.PHONY: regions-long
regions-long: $(INSTALLED) test-tools
	cd tests/blackbox && TRADEWIND_LONG=1 $(PYTHON) -m pytest --quiet test_regions.py

.PHONY: blackbox-clusters
blackbox-clusters:
	for shape in nodes=1 nodes=3 nodes=1,databases=2; do $(MAKE) blackbox-cluster SHAPE=$$shape; done

# Runs what README.md says, word for word.
.PHONY: readme
readme: $(INSTALLED)
	cd tests/readme && $(PYTHON) -m pytest --quiet

# The official SDKs and some mappers, by their own tools; what they need goes below target/sdk.
.PHONY: sdks
sdks: $(INSTALLED) build
	cd tests/sdk && $(PYTHON) -m pytest --quiet

# Generated requests beside Amazon's DynamoDB Local.
.PHONY: differential
differential: $(INSTALLED) build
	cd tests/differential && $(PYTHON) -m pytest --quiet

.PHONY: seeds
seeds:
	TRADEWIND_SEEDS=$${TRADEWIND_SEEDS:-5000} cargo test --workspace --locked --test simulation five_hundred_seeds

# The example of docs/functions.md on AWS's own crate; the black-box tests run it if it is there.
.PHONY: rust-function
rust-function:
	cd examples/functions/rust && CARGO_TARGET_DIR=$(abspath target/rust-function) cargo build --release --locked

.PHONY: test
test: $(INSTALLED)
	@$(PYTHON) tests/stages.py fmt-check clippy build rust-tests blackbox blackbox-cluster readme

.PHONY: test-all
test-all: $(INSTALLED)
	@$(PYTHON) tests/stages.py fmt-check clippy build rust-function node-runtime rust-tests blackbox blackbox-cluster blackbox-clusters regions-long readme seeds sdks differential fuzz

# --- measuring

.PHONY: bench
bench:
	@command -v wrk >/dev/null || { $(call install,wrk); }
	cargo build --release --locked -p tradewind -p tradewind-echo
	python3 tests/speed/compare.py

# The same by CPU time per operation, which a machine that is busy with other things still tells. BUILT names a folder with
# programs that are built already, as target/debug.
BUILT ?=
.PHONY: bench-cpu
bench-cpu:
	@command -v wrk >/dev/null || { $(call install,wrk); }
	[ -n "$(BUILT)" ] || cargo build --release --locked -p tradewind -p tradewind-echo
	python3 tests/speed/cpu.py --built $(or $(BUILT),target/release) $(ARGS)

# A short load test of three regions, with its check; the report is in target/load.
.PHONY: load
load:
	cargo build --release --locked -p tradewind
	@folder=$$(mktemp -d target/load-XXXXXX); \
	target/release/tradewind dev --port 0 --data-dir $$folder/data --ready-file $$folder/ready.json >/dev/null & server=$$!; \
	trap 'kill $$server; wait $$server || true; rm -rf $$folder' EXIT; \
	for nth in $$(seq 300); do [ -e $$folder/ready.json ] && break; sleep 0.1; done; \
	port=$$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["ports"]["all"])' $$folder/ready.json); \
	target/release/tradewind loadtest run $(or $(WORKLOAD),short) --report target/load $(ARGS) \
		$$(for region in us-east-1 eu-west-1 ap-southeast-1; do echo --target $$region=http://127.0.0.1:$$port; done)

# How fast functions run: the backlog of a million changes, one change a batch, a Python process, and change to start.
.PHONY: functions-speed
functions-speed:
	cargo run --profile quick --locked -p tradewind-streams --example speed -- $(ARGS)

# The CPU time of a typical UpdateItem without I/O: under 15 µs.
.PHONY: hot-path
hot-path:
	cd benches/update && CARGO_TARGET_DIR=$(CURDIR)/target/benches cargo bench

# Without coverage, but by any compiler; see tests/README.md for cargo-fuzz.
FUZZ_SECONDS ?= 60
.PHONY: fuzz
fuzz:
	cd fuzz && CARGO_TARGET_DIR=$(CURDIR)/target/fuzz cargo build --release --no-default-features --bin drive
	for target in decode expression partiql; do target/fuzz/release/drive $$target $(FUZZ_SECONDS); done

# --- forgetting

.PHONY: clean
clean:
	cargo clean
