#!/bin/sh
# Prints the data directory for `make run`: ./data, or one under /var/lib where ./data cannot work.
#
# Root's server runs PostgreSQL as an unprivileged user, for PostgreSQL refuses root. That user
# must be able to enter every directory above the data directory, and /root, where root's
# checkouts often lie, is closed to it.
set -eu
cd "$(dirname "$0")/.."

dir=$PWD
while [ "$(id -u)" -eq 0 ] && [ "$dir" != / ]; do
    case $(stat -c %A "$dir") in
        *x | *t) dir=$(dirname "$dir") ;;
        *)
            printf '%s is closed to other users, so PostgreSQL keeps its data in /var/lib\n' "$dir" >&2
            printf '/var/lib/noetl-metrics\n'
            exit 0
            ;;
    esac
done
printf './data\n'
