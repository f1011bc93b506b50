# The two commands are `make run` and `make test`; both install first what is missing.

BUILD := $(or $(CARGO_TARGET_DIR),target)
# Further arguments: make run ARGS="--listen 0.0.0.0:8082 --allow-anonymous"
ARGS ?=

.PHONY: help run test dist pgo bench lint dependencies advisories simulate loadtest performance torture fuzz

help:
	@echo 'make run       build and start the server with a PostgreSQL of its own'
	@echo 'make test      every test, against a real PostgreSQL and a real Prometheus'
	@echo 'make dist      a release archive and a Debian package, in target/dist'
	@echo 'make pgo       the server built for this processor and by a profile of its own work'
	@echo 'make bench     the benchmarks'
	@echo 'make lint      formatting, clippy and documentation, without warnings'
	@echo 'make dependencies  their licences and sources, and what is known against them'
	@echo 'make advisories  takes the newest list of what is known, from GitHub'
	@echo 'make simulate  worlds that go wrong: make simulate SEEDS=100000 FROM=0; TOLD=1 tells them line by line'
	@echo 'make loadtest  a simulated fleet; see make loadtest ARGS=--help'
	@echo 'make performance  the tables and figures of docs/performance.md: make performance ROUNDS=5'
	@echo 'make torture   kill and starve the server and its PostgreSQL: make torture ROUNDS=300 SEED=1'
	@echo 'make fuzz      libFuzzer: make fuzz TARGET=report SECONDS=60; targets are in fuzz/corpus'

run:
	@scripts/setup.sh run
	NOETL_DATA_DIR="$${NOETL_DATA_DIR:-$$(scripts/data_dir.sh)}" cargo run --release -- serve $(ARGS)

# The tests take python3, prometheus and promtool from PATH, and cargo its subcommands.
test dependencies dist: export PATH := $(abspath $(BUILD)/venv/bin):$(abspath $(BUILD)/tools/bin):$(PATH):$(abspath $(BUILD)/tools/usr/bin)
test:
	@scripts/setup.sh test
	cargo test --workspace $(ARGS)

dist:
	@scripts/setup.sh dist
	cargo build --release --locked -p noetl-metrics
	scripts/dist.sh

# Some ten minutes; see docs/performance.md for what it gains.
pgo:
	scripts/pgo.sh

dependencies:
	@scripts/setup.sh dependencies
	scripts/dependencies.sh

advisories:
	scripts/dependencies.sh renew

bench:
	cargo bench -p noetl-metrics -p noetl-metrics-client $(ARGS)

lint: export RUSTDOCFLAGS := -D warnings
lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo doc --workspace --no-deps

# Optimised, with the assertions of a debug build and with its dependencies as they are: only this crate is
# compiled for it.
SEEDS ?= 20000
FROM ?= 0
TOLD ?=
simulate: export SIMULATION_SEEDS := $(SEEDS)
simulate: export SIMULATION_FROM := $(FROM)
simulate: export SIMULATION_TOLD := $(TOLD)
simulate: export CARGO_PROFILE_DEV_OPT_LEVEL := 2
simulate:
	cargo test --lib -- flush::simulation::simulate --exact --ignored --nocapture

loadtest:
	cargo run --release -p loadtest -- $(ARGS)

# Some twenty minutes a round, in which the machine should have nothing else to do.
performance: ROUNDS = 5
performance: RESULTS = $(BUILD)/performance
performance:
	cargo build --release -p noetl-metrics -p loadtest
	scripts/performance.sh $(BUILD)/release $(RESULTS) $(ROUNDS)

# Full disks take root, to mount them; without, they are left out, and the table says so.
ROUNDS ?= 30
SEED ?= 1
torture:
	cargo build --release -p noetl-metrics -p loadtest
	$(BUILD)/release/loadtest torture --server $(BUILD)/release/noetl-metrics --rounds $(ROUNDS) --seed $(SEED) $(ARGS)

# Coverage is an option of LLVM, which a stable compiler passes on; libFuzzer itself is compiled, by c++.
# `--target` keeps the coverage away from build scripts. What libFuzzer finds worth keeping stays under the build directory, and so does what fails.
TARGET ?= report
SECONDS ?= 60
FUZZ := $(BUILD)/fuzz
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
fuzz: export RUSTFLAGS := -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-trace-compares
fuzz: export CARGO_PROFILE_RELEASE_LTO := off
fuzz: export CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS := true
fuzz: export CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS := true
fuzz:
	cargo build --release --package fuzz --features libfuzzer --target $(HOST) --target-dir $(FUZZ)
	@mkdir -p $(FUZZ)/corpus/$(TARGET) $(FUZZ)/failed
	FUZZ_TARGET=$(TARGET) $(FUZZ)/$(HOST)/release/fuzz -max_total_time=$(SECONDS) \
		-artifact_prefix=$(FUZZ)/failed/$(TARGET)- $(FUZZ)/corpus/$(TARGET) fuzz/corpus/$(TARGET)
