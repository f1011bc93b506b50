#!/bin/sh
# Packs a server that was built: an archive and a Debian package in target/dist.
#
#   scripts/dist.sh [BINARY]     by default target/release/noetl-metrics
set -eu
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
binary=${1:-$target/release/noetl-metrics}
dist=$target/dist
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
machine=$(uname -m)
[ -x "$binary" ] || { printf 'dist: there is no %s; make dist builds it\n' "$binary" >&2; exit 1; }
# The same commit gives the same bytes.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH
rm -rf "$dist"
umask 022

# Installs what both have: copy MODE FROM TO
copy() { mkdir -p "$(dirname "$3")" && install -m "$1" "$2" "$3"; }

name=noetl-metrics-$version-$machine-linux
archive=$dist/$name
copy 755 "$binary" "$archive/noetl-metrics"
strip --strip-debug "$archive/noetl-metrics"
copy 644 LICENSE "$archive/LICENSE"
copy 644 src/http/status/uplot/LICENSE "$archive/LICENSE.uPlot"
copy 644 README.md "$archive/README.md"
copy 644 CHANGELOG.md "$archive/CHANGELOG.md"
cp -r docs packaging "$archive/"
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
    -C "$dist" -cf - "$name" | gzip -9n >"$dist/$name.tar.gz"

if command -v dpkg-deb >/dev/null; then
    package=$dist/package
    copy 755 "$archive/noetl-metrics" "$package/usr/bin/noetl-metrics"
    for unit in packaging/systemd/noetl-metrics.service packaging/noetl-metrics-agent.service; do
        copy 644 "$unit" "$package/lib/systemd/system/$(basename "$unit")"
    done
    for document in LICENSE README.md CHANGELOG.md; do
        copy 644 "$document" "$package/usr/share/doc/noetl-metrics/$document"
    done
    cp -r packaging/grafana packaging/prometheus "$package/usr/share/doc/noetl-metrics/"
    architecture=$(dpkg --print-architecture)
    mkdir -p "$package/DEBIAN"
    sed "s/@VERSION@/$version/; s/@ARCHITECTURE@/$architecture/" packaging/debian/control >"$package/DEBIAN/control"
    for script in postinst prerm postrm; do copy 755 "packaging/debian/$script" "$package/DEBIAN/$script"; done
    dpkg-deb --build --root-owner-group "$package" "$dist/noetl-metrics_${version}_$architecture.deb" >/dev/null
    rm -r "$package"
fi
rm -r "$archive"
(cd "$dist" && sha256sum -- * >SHA256SUMS && cat SHA256SUMS)
