#!/usr/bin/env python3
"""A worker that reports its host's and its own figures, as workers in a fleet do.

    pip install -r examples/requirements.txt
    python examples/worker.py --url http://127.0.0.1:8082 --interval 15

A timestamp is `datetime.now().isoformat()`: local time without a zone. The server takes it in its
own zone (setting `time-zone`), so worker and server must agree, as they do in containers. Each
metric is stamped by itself, so the timestamps of one report differ by microseconds.

Ends with status 0 when every report was acknowledged, which means: synced to the server's disk.
"""

import argparse
import os
import socket
import sys
import time
from datetime import datetime

import httpx
import psutil


def metric(name, value, unit, help_text, labels):
    return {
        "metric_name": name,
        "metric_type": "gauge",
        "metric_value": value,
        "timestamp": datetime.now().isoformat(),
        "labels": labels,
        "help_text": help_text,
        "unit": unit,
    }


def figures(component, process):
    """What the host and this process look like now."""
    labels = {"component": component, "hostname": socket.gethostname()}
    memory = psutil.virtual_memory()
    started = process.create_time()
    return [
        metric("noetl_system_cpu_usage_percent", psutil.cpu_percent(), "percent",
               "CPU usage percentage", labels),
        metric("noetl_system_memory_usage_bytes", memory.used, "bytes",
               "Memory usage in bytes", labels),
        metric("noetl_system_memory_usage_percent", memory.percent, "percent",
               "Memory usage percentage", labels),
        metric("noetl_process_cpu_percent", process.cpu_percent(), "percent",
               "CPU usage of the process", labels),
        metric("noetl_process_memory_rss_bytes", process.memory_info().rss, "bytes",
               "Resident memory of the process", labels),
        metric("noetl_process_start_time_seconds", started, "seconds",
               "Start of the process since the Unix epoch", labels),
        metric("noetl_uptime_seconds", time.time() - started, "seconds",
               "Time since the process started", labels),
    ]


def report(client, url, component, process):
    """Sends one report and says whether all of it was acknowledged."""
    body = {
        "component_name": component,
        "component_type": "worker_pool",
        "metrics": figures(component, process),
    }
    try:
        response = client.post(f"{url}/api/metrics/report", json=body)
        answer = response.json()
    except (httpx.HTTPError, ValueError) as error:
        print(f"not reported: {error}", file=sys.stderr)
        return False
    if response.is_error or "metrics_rejected" in answer:
        print(f"not taken ({response.status_code}): {answer}", file=sys.stderr)
        return False
    print(f"reported {answer['metrics_inserted']} metrics as {component}", flush=True)
    return True


def main():
    parser = argparse.ArgumentParser(description="Reports the figures of this host and process.")
    parser.add_argument("--url", default=os.environ.get("NOETL_SERVER_URL", "http://127.0.0.1:8082"),
                        help="the server (default: %(default)s)")
    parser.add_argument("--name",
                        default=os.environ.get("NOETL_WORKER_POOL_NAME", socket.gethostname()),
                        help="the component's name (default: %(default)s)")
    parser.add_argument("--interval", type=float,
                        default=float(os.environ.get("NOETL_WORKER_METRICS_INTERVAL", "60")),
                        help="seconds between reports (default: %(default)s)")
    parser.add_argument("--count", type=int, default=0,
                        help="reports to send, 0 for no end (default: %(default)s)")
    options = parser.parse_args()

    process = psutil.Process()
    # The first reading has nothing to compare with and is always 0.
    psutil.cpu_percent()
    process.cpu_percent()
    all_taken = True
    sent = 0
    with httpx.Client(timeout=30) as client:
        while True:
            all_taken &= report(client, options.url.rstrip("/"), options.name, process)
            sent += 1
            if sent == options.count:
                break
            time.sleep(options.interval)
    return 0 if all_taken else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
