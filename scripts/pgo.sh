#!/bin/sh
# Builds the server for the processor of this machine and by a profile of its own work: compiled to
# count which ways the code takes, put to work, compiled again with what was counted.
#
#   scripts/pgo.sh     leaves target/pgo/noetl-metrics
#
# Needs llvm-profdata of the LLVM that rustc has: `rustup component add llvm-tools`, or Debian's llvm-NN.
set -eu
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target/pgo"
out=$(cd "$target/pgo" && pwd)
host=$(rustc -vV | sed -n 's/^host: //p')
llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')

say() { printf 'pgo: %s\n' "$*" >&2; }

find_profdata() {
    for tool in "$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata" \
        "/usr/lib/llvm-$llvm/bin/llvm-profdata"; do
        if [ -x "$tool" ]; then
            printf '%s' "$tool"
            return
        fi
    done
    say "there is no llvm-profdata of LLVM $llvm: rustup component add llvm-tools, or apt-get install llvm-$llvm"
    exit 1
}

# `--target` keeps build scripts and macros as they are. More of a crate is seen at once, and so takes
# longer, than where everybody builds.
build() {
    RUSTFLAGS=$1 CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1 \
        cargo build --release --locked -p noetl-metrics --target "$host" --target-dir "$2"
}

profdata=$(find_profdata)
rm -rf "$out/counts"
say "building a server that counts"
build "-Cprofile-generate=$out/counts" "$out/counting"
cargo build --release --locked -p loadtest

# What a fleet does all day, and some of what it does at its start: few and many connections, short and
# long reports, series that come and go.
work() {
    say "at work: $*"
    "$target/release/loadtest" run --server "$out/counting/$host/release/noetl-metrics" "$@" >/dev/null
}
work --warm-up 1 --connections 64 --metrics 10 --workers 5000 --samples 2000000
work --warm-up 1 --connections 16 --metrics 10 --workers 1000 --samples 500000
work --warm-up 1 --connections 64 --metrics 100 --workers 1000 --samples 5000000
work --connections 64 --shape churn --samples 300000

say "building the server by what was counted"
"$profdata" merge -o "$out/counts.profdata" "$out/counts"
build "-Cprofile-use=$out/counts.profdata -Ctarget-cpu=native" "$out/counted"
cp "$out/counted/$host/release/noetl-metrics" "$out/noetl-metrics"
say "$out/noetl-metrics"
