#!/bin/sh
# Measures all that stands in docs/performance.md: tables as Markdown, results as JSON, figures as SVG.
#
#   scripts/performance.sh BINARIES RESULTS ROUNDS
#
# BINARIES holds noetl-metrics and loadtest. Peers that are not installed are left out.
set -eu

binaries=$1 results=$2 rounds=$3
server="$binaries/noetl-metrics"
mkdir -p "$results"

measure() {
    name=$1
    shift
    echo "== $name: loadtest $*"
    "$binaries/loadtest" "$@" --server "$server" \
        --json "$results/$name.json" --markdown "$results/$name.md"
}

measure peers compare --matrix --warm-up 1 --rounds "$rounds"
measure formats compare --warm-up 1 --rounds "$rounds" \
    --against victoria-json,victoria-text,victoria-influx,victoria-remote-write,prometheus
measure series compare --series 10000,100000,1000000 --warm-up 1 --samples 10000000 \
    --against victoria-json --rounds "$rounds"
for shape in sparse churn cardinality; do
    measure "$shape" compare --shape "$shape" --against victoria-json --rounds "$rounds"
done
measure ramp ramp --step 10s
measure idle idle --rounds "$rounds"
"$binaries/loadtest" plot "$results/peers.json" "$results/series.json" "$results/ramp.json" \
    --out "$results/figures"
