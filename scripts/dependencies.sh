#!/bin/sh
# Looks whether the dependencies are what deny.toml allows, and whether something is known against
# them, by the database that stands beside the tests.
#
#   scripts/dependencies.sh          looks
#   scripts/dependencies.sh renew    takes the newest database
set -eu
cd "$(dirname "$0")/.."

home=tests/advisories
archive=$home/rustsec.tar.xz
source=https://github.com/rustsec/advisory-db
# Where cargo-deny looks for a clone of that source, below `db-path` of deny.toml.
database=target/advisories/advisory-db-3157b0e258782691

# The date and the commit of the database, as its page has them.
date=$(sed -n 's/.*advisory database\](.*) of \([0-9-]*\), commit$/\1/p' $home/README.md)
commit=$(sed -n 's/^`\([0-9a-f]\{40\}\)`: .*/\1/p' $home/README.md)

# cargo-deny reads a clone and nothing else, and asks its last commit how old it is.
unpack() {
    if [ "$(cat "$database/unpacked" 2>/dev/null)" = "$commit" ]; then return 0; fi
    rm -rf "$database"
    mkdir -p "$database"
    tar -xJf "$archive" -C "$database"
    [ "$(find "$database/crates" -name 'RUSTSEC-*.md' | wc -l)" -gt 1000 ] || {
        printf 'dependencies: %s has no thousand advisories, so it is not whole\n' "$archive" >&2
        exit 1
    }
    (
        cd "$database"
        export GIT_AUTHOR_NAME=- GIT_AUTHOR_EMAIL=- GIT_COMMITTER_NAME=- GIT_COMMITTER_EMAIL=-
        export GIT_AUTHOR_DATE="${date}T00:00:00Z" GIT_COMMITTER_DATE="${date}T00:00:00Z"
        git init -q
        git add -A
        git -c commit.gpgsign=false -c core.hooksPath=/dev/null commit -q -m "$commit"
    )
    # Written last, so that an interrupted run is done again.
    printf '%s\n' "$commit" >"$database/unpacked"
}

renew() {
    clone=target/advisories/newest
    rm -rf "$clone"
    git clone -q --depth 1 "$source" "$clone"
    new_commit=$(git -C "$clone" rev-parse HEAD)
    new_date=$(git -C "$clone" log -1 --format=%cs)
    (cd "$clone" && tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="$new_date" \
        -cf - LICENSE.txt LICENSES README.md crates rust) | xz -9e >"$archive"
    sed -i "s/$date/$new_date/; s/$commit/$new_commit/" $home/README.md
    rm -rf "$clone"
    printf 'dependencies: %s is of %s now\n' "$archive" "$new_date" >&2
}

case ${1:-} in
renew) renew ;;
'')
    cargo deny --locked check --hide-inclusion-graph --allow duplicate bans licenses sources
    unpack
    printf 'against the advisories of %s\n' "$date"
    # Offline, or it would fetch another database.
    cargo deny --locked --offline check --hide-inclusion-graph advisories
    ;;
*)
    printf 'usage: scripts/dependencies.sh [renew]\n' >&2
    exit 2
    ;;
esac
