# The two commands are `make run` and `make test`; both install first what is missing.

TARGET := $(or $(CARGO_TARGET_DIR),target)
# Further arguments: make run ARGS="--listen 0.0.0.0:8082"
ARGS ?=

.PHONY: help run test bench lint loadtest

help:
	@echo 'make run       build and start the server with a PostgreSQL of its own'
	@echo 'make test      every test, against a real PostgreSQL and a real Prometheus'
	@echo 'make bench     the benchmarks'
	@echo 'make lint      formatting, clippy and documentation, without warnings'
	@echo 'make loadtest  a simulated fleet; see make loadtest ARGS=--help'

run:
	@scripts/setup.sh run
	NOETL_DATA_DIR="$${NOETL_DATA_DIR:-$$(scripts/data_dir.sh)}" cargo run --release -- serve $(ARGS)

# The tests take python3, prometheus and promtool from PATH.
test: export PATH := $(abspath $(TARGET)/venv/bin):$(PATH):$(abspath $(TARGET)/tools/usr/bin)
test:
	@scripts/setup.sh test
	cargo test --workspace $(ARGS)

bench:
	cargo bench $(ARGS)

lint: export RUSTDOCFLAGS := -D warnings
lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo doc --workspace --no-deps

loadtest:
	cargo run --release -p loadtest -- $(ARGS)
