# The commands for developers. `make` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
CARGO ?= cargo

.PHONY: help run check test test-operations nemesis features features-pairs coverage deps tools fmt bench fuzz record-release

help: ## List what can be made
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

run: deps ## Build the server and start it: no configuration needed
	$(CARGO) build --release --locked -p authy-server
	exec ./target/release/authy-server

check: ## Check quickly: format, lints and unit tests, which need no database, broker, browser or Node
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --all-features --locked -- -D warnings
	$(CARGO) test --workspace --all-features --lib --bins --locked

test: tools ## Check everything: format, lints, documentation, every test
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --all-features --locked -- -D warnings
	@$(MAKE) --no-print-directory features
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --all-features --no-deps --locked
	$(CARGO) test --workspace --all-features --locked

test-operations: ## Run the slow tests: failing databases, brokers and disks, clocks, restarts behind a balancer, a kill at every step
	@scripts/deps --operations
	@scripts/tools
	$(CARGO) test --package authy-tests --all-features --locked --test operations -- --ignored --test-threads 1
	AUTHY_TEST_EVERY_STEP=1 $(CARGO) test --package authy-tests --all-features --locked --test it -- \
	    --exact crash::killed_at_any_step_of_any_write_nothing_is_half_done_lost_or_invented

nemesis: ## Break servers, database, broker and networks at random, NEMESIS_SECONDS (600) long, from NEMESIS_SEED (random)
	@scripts/deps --operations
	NEMESIS_SECONDS=$${NEMESIS_SECONDS:-600} $(CARGO) test --package authy-tests --all-features --locked --test operations -- \
	    --ignored --nocapture --test-threads 1 no_fault_breaks_what_was_promised

# Lints, because they deny warnings without another compilation of the dependencies.
features: ## Check without features, with each alone, and with all, for errors and warnings: installs cargo-hack
	@$(CARGO) hack --version > /dev/null 2>&1 || $(CARGO) install --locked --debug cargo-hack
	$(CARGO) hack clippy --package authy-core --package authy-client --package authy-postgres --package authy-server \
	    --each-feature --exclude-features default,fuzz-entry-points --locked -- -D warnings

# The features of the core add modules that have nothing to do with each other, so they need no pairs.
features-pairs: ## Check every pair of features of the other crates as well: takes minutes
	@$(CARGO) hack --version > /dev/null 2>&1 || $(CARGO) install --locked --debug cargo-hack
	$(CARGO) hack clippy --package authy-client --package authy-postgres --package authy-server \
	    --feature-powerset --depth 2 --exclude-features default,fuzz-entry-points --locked -- -D warnings

coverage: tools ## Run every test and print the line coverage of each crate: installs cargo-llvm-cov and LLVM's tools
	@scripts/coverage

bench: ## Measure: ratios against this machine's own limits, in one run
	@scripts/deps --benches
	$(CARGO) bench --locked -p authy-tests --bench abuse
	$(CARGO) bench --locked -p authy-tests --bench cost
	$(CARGO) bench --locked -p authy-tests --bench hashes
	$(CARGO) bench --locked -p authy-tests --bench import
	$(CARGO) bench --locked -p authy-tests --bench load
	$(CARGO) bench --locked -p authy-tests --bench memory
	$(CARGO) bench --locked -p authy-tests --bench relay
	$(CARGO) bench --locked -p authy-tests --bench revocation
	$(CARGO) bench --locked -p authy-tests --bench timing
	UI_USERS=10000 $(CARGO) bench --locked -p authy-tests --bench ui

# Without a sanitizer the stable toolchain is enough, and there is no unsafe code of ours for one to watch. The targets are
# compiled with the versions of the workspace.
fuzz: ## Fuzz every reader of untrusted bytes, FUZZ_SECONDS each (30): needs cargo-fuzz and a C++ compiler
	@cargo fuzz --version > /dev/null 2>&1 || { echo "cargo install --locked cargo-fuzz, then try again" >&2; exit 1; }
	cp Cargo.lock fuzz/Cargo.lock
	$(CARGO) fuzz build --sanitizer none
	for target in $$($(CARGO) fuzz list); do \
	    $(CARGO) fuzz run --sanitizer none $$target -- -max_len=64000 -timeout=10 -max_total_time=$(or $(FUZZ_SECONDS),30); \
	done

record-release: ## Record the database and the statements of this release, for the upgrade tests of the next one
	@scripts/deps
	$(CARGO) test --package authy-tests --all-features --locked --test it -- --ignored --exact \
	    upgrade::record::the_release_is_recorded

fmt: ## Format the code
	$(CARGO) fmt --all

deps: ## Install what is missing: PostgreSQL's server programs, a C compiler, curl
	@scripts/deps

tools: ## Install what is missing for the tests as well: Python, Node, a browser, and the packages that the tests use
	@scripts/deps --tests
	@scripts/tools
