# What one does here. Everything that is built or installed goes into target/.
#
#   make dev    start three regions            make test      everything a change has to pass
#   make lint   formatting and clippy          make test-all  the same with more seeds, and what takes longer
#   make bench  speed beside a bare echo       make clean     forget all of it, the data of `make dev` apart

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

# One of them watches system calls; where strace is not to be had, it says so and is skipped.
.PHONY: rust-tests
rust-tests: $(INSTALLED)
	@command -v strace >/dev/null || { $(call install,strace); } || true
	TRADEWIND_TEST_PYTHON=$(PYTHON) cargo test --workspace --locked --no-fail-fast

.PHONY: blackbox
blackbox: $(INSTALLED)
	cd tests/blackbox && $(PYTHON) -m pytest --quiet -n $(WORKERS)

# Runs what README.md says, word for word.
.PHONY: readme
readme: $(INSTALLED)
	cd tests/readme && $(PYTHON) -m pytest --quiet

.PHONY: seeds
seeds:
	TRADEWIND_SEEDS=$${TRADEWIND_SEEDS:-5000} cargo test --locked -p tradewind-testing --test simulation five_hundred_seeds

.PHONY: test
test: $(INSTALLED)
	@$(PYTHON) tests/stages.py fmt-check clippy build rust-tests blackbox readme

.PHONY: test-all
test-all: $(INSTALLED)
	@$(PYTHON) tests/stages.py fmt-check clippy build rust-tests blackbox readme seeds

# --- measuring

.PHONY: bench
bench:
	@command -v wrk >/dev/null || { $(call install,wrk); }
	cargo build --release --locked -p tradewind -p tradewind-echo
	python3 tests/speed/compare.py

# --- forgetting

.PHONY: clean
clean:
	cargo clean
