"""What schemathesis has to be told about this API: what JSON Schema has no words for.

Nothing here hides an answer. Hooks make requests that are valid beyond their schema (a body is compressed as
its header says, a time is not in the future), and checks ask for more than the document does.
"""

import gzip
import json
import struct
import time
import zlib
from datetime import datetime, timedelta, timezone
from uuid import uuid4

import schemathesis
from hypothesis import strategies as st

DAY_S = 86_400
# The server makes a partition for each day that samples are of, so they are of few days.
RECENT_S = 2 * DAY_S


# Times


def recent(seconds_ago, offset_minutes):
    zone = timezone(timedelta(minutes=offset_minutes))
    return (datetime.now(zone) - timedelta(seconds=seconds_ago)).isoformat()


schemathesis.openapi.format(
    "date-time", st.builds(recent, st.integers(0, RECENT_S), st.integers(-14 * 60, 14 * 60))
)
schemathesis.openapi.format(
    "cursor",
    st.builds("{}-{}".format, st.integers(0, 253_402_300_799_999_999), st.integers(0, 2**63 - 1)),
)


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def recent_number(value):
    """A number of the recent past for one of any time: seconds, milli-, micro- or nanoseconds."""
    unit = 1000 ** (int(value) % 4)
    return int((time.time() - int(value) % RECENT_S) * unit)


def reports_of(body):
    reports = body if isinstance(body, list) else [body]
    return [report for report in reports if isinstance(report, dict)]


def moment_of(value):
    """Seconds since 1970 of a time in a query, which the schema allows to be the last of two before the first."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        pass
    else:
        for limit, unit in ((1e11, 1), (1e14, 1e3), (1e17, 1e6)):
            if number < limit:
                return number / unit
        return number / 1e9
    try:
        return datetime.fromisoformat(value).timestamp()
    except (TypeError, ValueError):
        return None


@schemathesis.hook
def before_call(context, case, kwargs):
    positive = case.meta and case.meta.generation.mode.is_positive
    if positive and isinstance(case.body, list):
        # Where nothing is taken of many reports the answer is a 400, also where one report would be a 404, as one of
        # an unknown id, or a 409, as one with the key of another.
        for report in case.body:
            if not report.get("component_name"):
                report["component_name"] = "by-name"
        if case.headers and "Idempotency-Key" in case.headers:
            case.headers["Idempotency-Key"] = str(uuid4())
    for report in reports_of(case.body):
        metrics = report.get("metrics")
        for metric in metrics if isinstance(metrics, list) else []:
            at = metric.get("timestamp") if isinstance(metric, dict) else None
            if is_number(at) and 0 <= at < 2.534023008e20:
                metric["timestamp"] = recent_number(at)
    query = case.query
    days = query.get("days_ahead") if positive and query else None
    if days not in (None, ""):
        # A year of partitions makes every later call slow.
        query["days_ahead"] = int(days) % 20
    if query and "start_time" in query and "end_time" in query:
        start, end = moment_of(query["start_time"]), moment_of(query["end_time"])
        if start is not None and end is not None and start > end:
            query["start_time"], query["end_time"] = query["end_time"], query["start_time"]


# Bodies


def snappy(data):
    length, prefix = len(data), bytearray()
    while length >= 0x80:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    prefix.append(length)
    chunks = [data[at : at + 65_536] for at in range(0, len(data), 65_536)]
    # A literal with two bytes of length.
    return bytes(prefix) + b"".join(b"\xf4" + struct.pack("<H", len(one) - 1) + one for one in chunks)


def zstd(data):
    frame = b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", len(data))
    chunks = [data[at : at + 65_536] for at in range(0, len(data), 65_536)] or [b""]
    for nth, chunk in enumerate(chunks):
        last = nth == len(chunks) - 1
        # A raw block.
        frame += struct.pack("<I", len(chunk) << 3 | last)[:3] + chunk
    return frame


ENCODERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "snappy": snappy,
    "zstd": zstd,
}


def encoded(case, data):
    """The body as its header says; as it is, where the header says what nobody knows."""
    encoding = (case.headers or {}).get("Content-Encoding")
    encode = ENCODERS.get(encoding) if isinstance(encoding, str) else None
    return encode(data) if encode else data


@schemathesis.serializer("application/json")
def serialize_json(context, value):
    return encoded(context.case, value if isinstance(value, bytes) else json.dumps(value).encode())


@schemathesis.serializer("application/x-ndjson")
def serialize_lines(context, value):
    if isinstance(value, bytes):
        return encoded(context.case, value)
    lines = value if isinstance(value, list) else [value]
    return encoded(context.case, "".join(json.dumps(line) + "\n" for line in lines).encode())


# Checks


@schemathesis.hook
def before_load_schema(context, schema):
    """Clients have to expect further fields in answers; this server has to document each that it sends."""
    schemas = schema["components"]["schemas"]
    requests = {"Report", "Metric", "Labels", "Registration", "PoolRegistration", "Component", "Pool", "Heartbeat", "StoredJson"}
    for name, answer in schemas.items():
        if name not in requests and "properties" in answer:
            answer["additionalProperties"] = False


@schemathesis.check
def what_is_not_taken_is_named(context, response, case):
    """One bad metric does not sink the others, so a report that violates its schema may be answered 200: then the
    answer names what was not taken. This is why negative_data_rejection is off for reports."""
    if case.path != "/api/metrics/report" or response.status_code != 200 or not case.meta:
        return
    if not case.meta.components.get(schemathesis_body()):
        return
    body = case.meta.components[schemathesis_body()]
    if body.mode.is_negative:
        answer = response.json()
        assert answer.get("metrics_rejected") or answer.get("lines_rejected"), f"nothing is named: {answer}"


def schemathesis_body():
    from schemathesis.core.parameters import ParameterLocation

    return ParameterLocation.BODY
