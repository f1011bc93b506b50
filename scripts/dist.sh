#!/bin/sh
# Packs a server that was built: an archive and a Debian package, each with the list of what is in the
# binary (CycloneDX). The same commit and compiler give the same bytes.
#
#   scripts/dist.sh [PROFILE [DIRECTORY]]
#
# PROFILE is that of cargo which it was built with, by default release; DIRECTORY is emptied first, by
# default target/dist.
set -eu
cd "$(dirname "$0")/.."

profile=${1:-release}
target=${CARGO_TARGET_DIR:-target}
built=$target/$profile
if [ "$profile" = dev ]; then built=$target/debug; fi
binary=$built/noetl-metrics
dist=${2:-$target/dist}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
machine=$(uname -m)
triple=$(rustc -vV | sed -n 's/^host: //p')
[ -x "$binary" ] || { printf 'dist: there is no %s; make dist builds it\n' "$binary" >&2; exit 1; }
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH
umask 022
rm -rf "$dist"
mkdir -p "$dist"

# cargo-cyclonedx leaves a file beside every Cargo.toml, so it is shown a copy of what it reads.
sources=$dist/sources
mkdir "$sources"
cp -r Cargo.toml Cargo.lock src benches client fuzz loadtest "$sources/"
(cd "$sources" && cargo cyclonedx --quiet --format json --spec-version 1.5 --describe binaries \
    --no-build-deps --target "$triple")
python3 scripts/sbom.py "$triple" <"$sources/noetl-metrics_bin.cdx.json" >"$dist/sbom.cdx.json"
rm -r "$sources"

# Installs a file: copy MODE FROM TO
copy() { mkdir -p "$(dirname "$3")" && install -m "$1" "$2" "$3"; }

name=noetl-metrics-$version-$machine-linux
archive=$dist/$name
copy 755 "$binary" "$archive/noetl-metrics"
strip --strip-debug "$archive/noetl-metrics"
copy 644 "$dist/sbom.cdx.json" "$archive/sbom.cdx.json"
copy 644 LICENSE "$archive/LICENSE"
copy 644 src/http/status/uplot/LICENSE "$archive/LICENSE.uPlot"
copy 644 README.md "$archive/README.md"
copy 644 CHANGELOG.md "$archive/CHANGELOG.md"
cp -r docs packaging "$archive/"
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
    -C "$dist" -cf - "$name" | gzip -9n >"$dist/$name.tar.gz"
rm -r "$archive"

# What it consists of stands in Cargo.toml. It looks for built files where the binary is.
if command -v dpkg-deb >/dev/null; then
    copy 644 "$dist/sbom.cdx.json" "$built/noetl-metrics.cdx.json"
    cargo deb --quiet --locked --no-build --strip --profile "$profile" --output "$dist/"
    rm "$built/noetl-metrics.cdx.json"
fi
mv "$dist/sbom.cdx.json" "$dist/$name.cdx.json"
(cd "$dist" && sha256sum -- * >SHA256SUMS && cat SHA256SUMS)
