# What a person runs. `make` lists it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
CARGO ?= cargo

.PHONY: help run test deps tools fmt bench fuzz

help: ## List what can be made
	@sed -nE 's/^([a-z]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

run: deps ## Build the server and start it: no configuration needed
	$(CARGO) build --release --locked -p authy-server
	exec ./target/release/authy-server

test: tools ## Check everything: format, lints, documentation, every test
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --all-features --locked -- -D warnings
	$(CARGO) check -p authy-core --no-default-features --locked
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --all-features --no-deps --locked
	$(CARGO) test --workspace --all-features --locked

bench: ## Measure: ratios against this machine's own limits, in one run
	@scripts/deps --tests
	$(CARGO) bench --locked -p authy-tests --bench abuse
	$(CARGO) bench --locked -p authy-tests --bench load
	$(CARGO) bench --locked -p authy-tests --bench relay
	$(CARGO) bench --locked -p authy-tests --bench revocation
	$(CARGO) bench --locked -p authy-tests --bench timing

# Without a sanitizer the stable toolchain is enough, and there is no unsafe code of ours for one to watch. The targets are
# compiled with the versions of the workspace.
fuzz: ## Fuzz every reader of a stranger's bytes, FUZZ_SECONDS each (30): needs cargo-fuzz and a C++ compiler
	@cargo fuzz --version > /dev/null 2>&1 || { echo "cargo install --locked cargo-fuzz, then try again" >&2; exit 1; }
	cp Cargo.lock fuzz/Cargo.lock
	$(CARGO) fuzz build --sanitizer none
	for target in $$($(CARGO) fuzz list); do \
	    $(CARGO) fuzz run --sanitizer none $$target -- -max_len=64000 -timeout=10 -max_total_time=$(or $(FUZZ_SECONDS),30); \
	done

fmt: ## Format the code
	$(CARGO) fmt --all

deps: ## Install what is missing: PostgreSQL's server programs, a C compiler, curl
	@scripts/deps

tools: ## Install what is missing for the tests as well: Python, Node, a browser, and the packages that the tests use
	@scripts/deps --tests
	@scripts/tools
