#!/usr/bin/env python3
"""What a fleet needs, from the figures that docs/performance.md and docs/decisions/0013 state.

    scripts/sizing.py                                          the tables of docs/operations.md
    scripts/sizing.py --workers 3000 --interval 20 --metrics 40    one fleet

A figure is read from its page and nowhere repeated, and a test compares the tables with docs/operations.md.
"""

import argparse
import pathlib
import re

DOCS = pathlib.Path(__file__).resolve().parent.parent / "docs"
WORKERS, INTERVALS, METRICS = (100, 1_000, 10_000, 100_000), (15, 60), (10, 100)
DAY_S, HOUR_S = 86_400, 3_600
SEGMENT_BYTES = 128 << 20
# Samples of a group stand in one row, and a row has so many places.
SLOTS = 64


def figure(page, pattern):
    """The number that `pattern` finds in a page."""
    text = (DOCS / page).read_text()
    found = re.search(pattern, text, re.MULTILINE)
    if not found:
        raise SystemExit(f"{page} no longer has a figure like {pattern}")
    return float(found[1].replace(",", ""))


def compared(metrics, column):
    """A column of the comparison at 64 connections and 100,000 series."""
    row = rf"^\| {metrics} \| 64 \| 100,000 \| noetl-metrics " + r"\| [\d.,]+ " * column
    return figure("performance.md", row + r"\| ([\d.,]+)")


# CPU seconds of a million samples in reports of ten, at the lowest rate measured: few reports share a sync.
REPORT_CPU_US = 10 * figure(
    "performance.md", r"^## Latency against rate(?:.*\n)+?\| [\d,]+ (?:\| [\d.,]+ ){7}\| ([\d.]+) \|"
)
# What a sample more in a report costs: of a full report of a hundred, where requests weigh least.
SAMPLE_CPU_US = compared(100, 1)
STORED_BYTES = {metrics: compared(metrics, 4) for metrics in METRICS}
SERIES_BYTES = figure("decisions/0013-a-million-series-in-half-a-gigabyte.md", r"built in\*\*.*\*\*(\d+) MB\*\* \|$")
CONNECTION_BYTES = 1024 * figure("performance.md", r"took ([\d.]+) KiB of memory each")
BASE_BYTES = 1e6 * figure("performance.md", r"A server without series takes (\d+) MB")
RECORD_BYTES, ROW_BYTES, VALUE_BYTES = (
    figure("performance.md", rf"{what} takes (\d+) bytes") for what in ("A record with its key", "each row in it", "each value")
)


def stored_bytes(metrics):
    """Bytes of a sample in PostgreSQL, its share of the row's head and of the index among them."""
    (few, many) = METRICS
    # So many bytes for a value, and so many for a row.
    value = (few * STORED_BYTES[few] - many * STORED_BYTES[many] / rows(many)) / (few - many / rows(many))
    row = few * (STORED_BYTES[few] - value)
    return value + row * rows(metrics) / metrics


def rows(metrics):
    return -(-metrics // SLOTS)


def number(value, unit=""):
    """A size as people say it: two digits, then whole ones."""
    for step, name in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if unit and value >= step:
            value, unit = value / step, f"{name}{unit}"
            break
    text = f"{value:.1f}" if value < 10 and value != int(value) else f"{value:,.0f}"
    return f"{text} {unit}".rstrip()


def duration(seconds):
    if seconds > 2 * DAY_S:
        return f"{seconds / DAY_S:,.0f} d"
    if seconds > 2 * HOUR_S:
        return f"{seconds / HOUR_S:,.0f} h"
    return f"{seconds / 60:,.0f} min" if seconds > 120 else f"{seconds:,.0f} s"


def row(workers, interval, metrics):
    reports = workers / interval
    samples = reports * metrics
    cpu = reports * (REPORT_CPU_US + max(metrics - 10, 0) * SAMPLE_CPU_US) / 1e6
    memory = BASE_BYTES + workers * (metrics * SERIES_BYTES + CONNECTION_BYTES)
    day = samples * stored_bytes(metrics) * DAY_S
    logged = reports * (RECORD_BYTES + rows(metrics) * ROW_BYTES + metrics * VALUE_BYTES)
    cells = (
        f"{workers:,}",
        f"{interval:g} s",
        f"{workers * metrics:,}",
        number(samples),
        f"{max(cpu, 0.01):.2f}",
        number(memory, "B"),
        number(day, "B"),
        # Thirty days and the one that is being written.
        number(31 * day, "B"),
        number(logged * HOUR_S, "B"),
        duration(SEGMENT_BYTES / logged),
    )
    return "| " + " | ".join(cells) + " |"


def table(fleets):
    head = "workers | every | series | samples/s | cores | memory | disk a day | 30 days | log for an hour | a segment is"
    return [f"| {head} |", "|" + "--:|" * 10] + [row(*fleet) for fleet in fleets]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--interval", type=float, default=15, help="seconds between two reports")
    parser.add_argument("--metrics", type=int, default=10, help="of a report")
    given = parser.parse_args()
    if given.workers:
        print("\n".join(table([(given.workers, given.interval, given.metrics)])))
        return
    for metrics in METRICS:
        print(f"Reports of {metrics} metrics:\n")
        print("\n".join(table([(n, s, metrics) for n in WORKERS for s in INTERVALS])) + "\n")


if __name__ == "__main__":
    main()
