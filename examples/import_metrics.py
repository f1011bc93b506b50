#!/usr/bin/env python3
"""Brings the rows of an older NoETL server's table noetl.metric to noetl-metrics.

    python examples/import_metrics.py --from postgres://…/noetl --url http://127.0.0.1:8082

Reads the older database with psql, an hour at a time and in the order of time, and reports the rows as
their components would have, many to a request. Needs no package. How far it got stands in a file
(--state), so that it can be stopped and started again; a request whose answer was lost is repeated under
its Idempotency-Key, which the server remembers for ten minutes.

Components and metrics keep their names; runtime_id, metric_id and created_at are given anew.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

LINES_MAX = 500
BYTES_MAX = 4 << 20
ATTEMPTS_MAX = 60

BOUNDS = """
SELECT floor(extract(epoch FROM min(timestamp)) / 3600)::bigint,
       floor(extract(epoch FROM max(timestamp)) / 3600)::bigint, count(*)
  FROM noetl.metric
"""

# One line per component and second, as a worker reports. JSON has no word for the values that are
# no finite numbers; the server takes them as text.
HOUR = """
SELECT json_build_object(
           'component_name', r.name, 'component_type', r.component_type,
           'metrics', json_agg(json_build_object(
               'metric_name', m.metric_name, 'metric_type', m.metric_type,
               'metric_value', CASE m.metric_value WHEN 'NaN' THEN to_json('NaN'::text)
                                    WHEN 'Infinity' THEN to_json('+Inf'::text)
                                    WHEN '-Infinity' THEN to_json('-Inf'::text)
                                    ELSE to_json(m.metric_value) END,
               'timestamp', (extract(epoch FROM m.timestamp) * 1000000)::bigint,
               'labels', m.labels, 'help_text', m.help_text, 'unit', m.unit)
               ORDER BY m.timestamp, m.metric_id))
  FROM noetl.metric m JOIN noetl.runtime r USING (runtime_id)
 WHERE m.timestamp >= to_timestamp({hour} * 3600.0) AND m.timestamp < to_timestamp(({hour} + 1) * 3600.0)
 GROUP BY r.runtime_id, r.name, r.component_type, date_trunc('second', m.timestamp)
 ORDER BY date_trunc('second', m.timestamp), r.runtime_id
"""


def psql(database, statement):
    """The answer's lines, as they come. COPY, for psql would collect a SELECT in memory."""
    copy = f"COPY ({statement}) TO STDOUT (FORMAT csv, DELIMITER E'\\x02', QUOTE E'\\x01')"
    command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", copy, database]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            yield line.rstrip("\n")
    if process.returncode:
        sys.exit("the older database could not be read; see above")


def batches(lines):
    """Lines in lists that make one request each."""
    batch, size = [], 0
    for line in lines:
        if batch and (len(batch) == LINES_MAX or size + len(line) > BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += len(line)
    if batch:
        yield batch


def push(url, batch):
    """Sends a batch until it is acknowledged; returns how many metrics were taken."""
    body = "\n".join(batch).encode()
    request = urllib.request.Request(f"{url}/api/metrics/report", data=body, headers={
        "content-type": "application/x-ndjson",
        "idempotency-key": hashlib.sha256(body).hexdigest(),
    })
    for attempt in range(ATTEMPTS_MAX):
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                answer = json.load(response)
            refused = answer.get("lines_rejected", []) + answer.get("metrics_rejected", [])
            for one in refused[:3]:
                line = batch[one["line"] - 1]
                print(f"refused: {one['reason']} in {line[:200]}", file=sys.stderr)
            return answer["metrics_inserted"]
        except urllib.error.HTTPError as error:
            detail = error.read().decode(errors="replace")
            if error.code != 429 and error.code < 500:
                sys.exit(f"refused ({error.code}): {detail}")
            pause = float(error.headers.get("retry-after") or 1)
        except (urllib.error.URLError, OSError) as error:
            detail, pause = str(error), min(2 ** attempt / 10, 10)
        print(f"trying again in {pause:.1f} s: {detail}", file=sys.stderr)
        time.sleep(pause)
    sys.exit("gave up; start again to go on from here")


def main():
    parser = argparse.ArgumentParser(description="Imports an older NoETL server's noetl.metric.")
    parser.add_argument("--from", dest="database", required=True, help="URL of the older database")
    parser.add_argument("--url", default=os.environ.get("NOETL_SERVER_URL", "http://127.0.0.1:8082"),
                        help="the server (default: %(default)s)")
    parser.add_argument("--state", default="import_metrics.state",
                        help="the file that says how far it got (default: %(default)s)")
    options = parser.parse_args()

    first, last, total = next(psql(options.database, BOUNDS)).split("\x02")
    if not first:
        sys.exit("noetl.metric is empty")
    state = {"hour": int(first), "batches": 0, "metrics": 0}
    if os.path.exists(options.state):
        with open(options.state, encoding="utf-8") as file:
            state = json.load(file)
    for hour in range(state["hour"], int(last) + 1):
        done = state["batches"] if hour == state["hour"] else 0
        for number, batch in enumerate(batches(psql(options.database, HOUR.format(hour=hour)))):
            if number < done:
                continue
            taken = push(options.url.rstrip("/"), batch)
            state = {"hour": hour, "batches": number + 1, "metrics": state["metrics"] + taken}
            with open(options.state + ".new", "w", encoding="utf-8") as file:
                json.dump(state, file)
            os.replace(options.state + ".new", options.state)
    print(f"imported {state['metrics']} of {total} rows")
    if state["metrics"] < int(total):
        print("the others were refused, see above, or their component is not in noetl.runtime",
              file=sys.stderr)
    return 0 if state["metrics"] == int(total) else 1


if __name__ == "__main__":
    sys.exit(main())
